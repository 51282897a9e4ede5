"""Which change answers a cause that tensors have shown, with its value computed from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convergence_cli.diagnosis.values import known_rate, rounded
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

    Proposal = tuple[str, dict[str, Any], str, str | None]

# What one step should change of the weights (Karpathy, CS231n notes).
HEALTHY_RATIO = 1e-3
# A change of rate beyond this factor is a leap in the dark.
LARGEST_FACTOR = 1e3
MIN_DUMPS = 3


def rate_from_updates(evidence: Evidence) -> tuple[float, str] | None:
    """The learning rate at which one step changes the weights by a thousandth; None without dumped updates.

    A step is proportional to the rate, for plain and for adaptive methods.
    """
    updates, known = _had(evidence.updates), known_rate(evidence)
    if updates is None or known is None:
        return None
    ratios = sorted(one.per_step for one in updates.layers if one.per_step > 0)
    if not ratios:
        return None
    ratio = ratios[len(ratios) // 2]
    factor = min(max(HEALTHY_RATIO / ratio, 1 / LARGEST_FACTOR), LARGEST_FACTOR)
    return rounded(known[0] * factor), (
        f"At {known[0]:.3g} ({known[1]}) one step changes the weights by {ratio:.2g} of their norm (median of "
        f"{len(ratios)} layers); {HEALTHY_RATIO:g} is usual, which is {factor:.3g} times the rate."
    )


def factor_from_updates(evidence: Evidence) -> str | None:
    """Where no rate is known: by how much to multiply it, in words; None without measured updates."""
    updates = _had(evidence.updates)
    ratios = sorted(one.per_step for one in updates.layers if one.per_step > 0) if updates is not None else []
    if not ratios or known_rate(evidence) is not None:
        return None
    ratio = ratios[len(ratios) // 2]
    factor = min(max(HEALTHY_RATIO / ratio, 1 / LARGEST_FACTOR), LARGEST_FACTOR)
    return (
        f"No value can be given: no learning rate is logged or configured. One step changes the weights by {ratio:.2g} "
        f"of their norm and {HEALTHY_RATIO:g} is usual: multiply yours by {rounded(factor):g}."
    )


def clean_inputs(evidence: Evidence) -> list[Proposal]:
    """Which input holds values that are not finite, and from which step on."""
    tensors = _had(evidence.tensors)
    found = [one for one in tensors.nonfinite if one.series.kind == "input"] if tensors is not None else []
    if not found:
        return []
    why = (
        f"No value to give: {found[0].series.name} holds up to {int(found[0].nan + found[0].inf):,} values that are "
        f"not finite, first at step {found[0].first_step:g}; drop or repair these samples before they reach the model."
    )
    return [("clean-inputs", {}, why, None)]


def clip_from_gradients(evidence: Evidence) -> tuple[float, str] | None:
    """The 90th percentile of the global gradient norm over the dumps before the fault."""
    gradients = _had(evidence.gradients)
    if gradients is None:
        return None
    squares: dict[float, float] = {}
    for one in gradients.layers:
        for step, norm in zip(one.step.tolist(), one.series.number("l2").tolist(), strict=True):
            squares[step] = squares.get(step, 0.0) + norm * norm
    best = evidence.verdict.best_step
    norms = sorted(
        math.sqrt(square)
        for step, square in squares.items()
        if math.isfinite(square) and (best is None or step <= best)
    )
    if len(norms) < MIN_DUMPS or norms[-1] <= 0:
        return None
    value = norms[min(int(0.9 * len(norms)), len(norms) - 1)]
    return rounded(
        value
    ), f"The 90th percentile of the gradient norm in {len(norms)} dumps before the fault is {value:.3g}."


def faded(evidence: Evidence) -> str | None:
    """How far the gradient has faded between the layers, in words; None where no depth profile is known."""
    gradients = _had(evidence.gradients)
    if gradients is None or not gradients.profiles:
        return None
    worst = min(gradients.profiles, key=lambda one: one.ratio)
    return (
        f"The gradient of {worst.lowest.series.layer} is {worst.ratio:.2g} times that of {worst.highest.series.layer}, "
        f"{worst.depth} layers deep in all"
    )


def initialize(evidence: Evidence, side: str) -> list[Proposal]:
    """He's standard deviation for the layer that is farthest off."""
    born = _had(evidence.initialization)
    layers = [] if born is None else [one for one in born.layers if one.fan_in and one.rms > 0]
    if side == "copies":
        layers = [one for one in layers if one.twin >= 0.9]
    if not layers:
        return []
    pick = min if side == "small" else max
    worst = pick(layers, key=lambda one: one.gain if math.isfinite(one.gain) else 1.0)
    std = math.sqrt(2 / worst.fan_in)
    return [
        (
            "initialize-for-fan-in",
            {"weight_init": "he"},
            f"{worst.series.layer} starts with a root mean square of {worst.rms:.3g}; for its {worst.fan_in} inputs He "
            f"initialization draws with a standard deviation of sqrt(2/{worst.fan_in}) = {std:.3g}.",
            None,
        )
    ]


def desaturate(evidence: Evidence) -> list[Proposal]:
    """Rectified units, or smaller inputs of the saturated layer."""
    why = (
        "A rectified unit does not saturate for positive inputs; where the function must stay, normalise its inputs "
        "to a standard deviation of 1, at which less than 1 % of tanh units pass less than 2 % of the gradient."
    )
    return [
        ("use-rectified-units", {"activation": "relu", "weight_init": "he"}, why, None),
        ("add-normalization", {"normalization": "layer"}, "Normalised inputs keep units within the slope.", None),
    ]


def normalize_inputs(evidence: Evidence) -> list[Proposal]:
    """Standardisation by the mean and spread of the dumped inputs."""
    inputs = evidence.run.tensors
    if inputs is None:
        return []
    from convergence_cli.features.tensors.series import series_of

    floats = [one for one in series_of(inputs, "input") if math.isfinite(float(one.number("std")[0]))]
    if not floats:
        return []
    widest = max(floats, key=lambda one: abs(float(one.number("mean")[0])) + float(one.number("std")[0]))
    mean, std = float(widest.number("mean").mean()), float(widest.number("std").mean())
    why = (
        f"{widest.name} has a mean of {mean:.4g} and a standard deviation of {std:.4g} over all values: subtract the "
        "one and divide by the other, feature by feature, with the figures of the training set."
    )
    return [("standardize-inputs", {"input_normalization": "standard"}, why, None)]


def balance_classes(evidence: Evidence) -> list[Proposal]:
    """Weights inverse to the class counts: n / (k n_c), as scikit-learn's "balanced" has it."""
    stats = evidence.run.tensors
    counts: dict[float, int] = {}
    for one in stats.labels if stats is not None else ():
        if not one.sequence:
            for value, count in zip(one.values, one.counts, strict=True):
                counts[value] = counts.get(value, 0) + count
    if len(counts) < 2:
        return []
    total = sum(counts.values())
    rare, common = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
    weight = {label: total / (len(counts) * counts[label]) for label in (rare, common)}
    why = (
        f"Weights n / (k n_c) from the {total} dumped labels: {weight[rare]:.3g} for class {rare:g} "
        f"({counts[rare]} labels), {weight[common]:.3g} for class {common:g} ({counts[common]})."
    )
    return [("weight-classes", {"class_weight": "balanced"}, why, "more false alarms for the rare classes")]


def tame_attention(evidence: Evidence) -> list[Proposal]:
    why = "Normalised queries and keys bound the scores (Henry et al. 2020; Dehghani et al. 2023, ViT-22B)."
    return [("normalize-queries-and-keys", {"normalization": "qk"}, why, None)]


def tame_logits(evidence: Evidence) -> list[Proposal]:
    why = "A z-loss of 1e-4 times the squared log-normaliser holds the scores (Chowdhery et al. 2022, PaLM)."
    return [("add-z-loss", {"loss": "z-loss-1e-4"}, why, None)]


def hold_scale(evidence: Evidence) -> list[Proposal]:
    why = "A weight decay of 0.01 and normalised layers hold the scale of weights and activations."
    return [("add-normalization", {"normalization": "layer", "weight_decay": 0.01}, why, None)]


def synchronize(evidence: Evidence) -> list[Proposal]:
    why = (
        "No value to give: broadcast the weights from rank 0 at the start, and let the wrapper reduce gradients before "
        "they are clipped."
    )
    return [("synchronize-replicas", {}, why, None)]


def bucket_lengths(evidence: Evidence) -> list[Proposal]:
    stats = evidence.run.tensors
    shares = [one.padding_share for one in stats.tokens] if stats is not None else []
    if not shares:
        return []
    share = sum(shares) / len(shares)
    why = (
        f"No value to give: {100 * share:.0f} % of the positions are padding; batches of sequences of like length, or "
        f"packed sequences, save up to that much of the compute."
    )
    return [("bucket-by-length", {}, why, None)]


def _had(feature: Any) -> Any:
    return None if feature is None or isinstance(feature, Missing) else feature
