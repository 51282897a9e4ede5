"""The values of remedies that dumped tensors tell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convergence_cli.diagnosis.values import clip_norm, rounded
from convergence_cli.features.tensors.series import series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.features.tensors.initialization import Born

    Value = tuple[dict[str, Any], str]

MIN_DUMPS = 3


def clean_inputs(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Which input holds values that are not finite, and from which step on."""
    tensors = _had(evidence.tensors)
    found = [one for one in tensors.nonfinite if one.series.kind == "input"] if tensors is not None else []
    if not found:
        return None
    why = (
        f"{found[0].series.name} holds up to {int(found[0].nan + found[0].inf):,} values that are not finite, first at "
        f"step {found[0].first_step:g}; drop or repair these samples before they reach the model."
    )
    return {"inputs": "drop-nonfinite"}, why


def clip(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """The 90th percentile of the gradient norms before the fault, logged or dumped; the common 1.0 where none is."""
    value = clip_norm(evidence) or _clip_from_dumps(evidence)
    if value is None:
        return {"gradient_clip_norm": 1.0}, "No gradient norm is logged; 1.0 is the common default."
    return {"gradient_clip_norm": value[0]}, value[1]


def _clip_from_dumps(evidence: Evidence) -> tuple[float, str] | None:
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


def initialize(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """He's standard deviation (Glorot's for bounded units), told for the layer that is farthest off."""
    bounded = facts.get("bounded_seen", 0.0) and not facts.get("relu_seen", 0.0)
    name, variance = ("xavier", 1.0) if bounded else ("he", 2.0)
    born = _had(evidence.initialization)
    layers = [] if born is None else [one for one in born.layers if one.fan_in and one.rms > 0]
    change = {"weight_init": name, "bias_init": "zeros"}
    if not layers:
        return change, "No weights of the first steps are dumped to compare; draw them for their fan-in."
    worst = max(layers, key=lambda one: _off(one, variance))
    std = math.sqrt(variance / worst.fan_in)
    copies = f", {worst.twin:.0%} of its units copies of another" if worst.twin >= 0.5 else ""
    why = (
        f"{worst.series.layer} starts with a root mean square of {worst.rms:.3g}{copies}; for its {worst.fan_in} "
        f"inputs draw with a standard deviation of sqrt({variance:g}/{worst.fan_in}) = {std:.3g}."
    )
    return change, why


def _off(one: Born, variance: float) -> float:
    """How far a layer's weights are from the scale for their fan-in, in powers of e; copies are the farthest."""
    return 100 * (one.twin >= 0.5) + abs(math.log(one.rms * math.sqrt(one.fan_in / variance)))


def normalize_inputs(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Standardisation by the mean and spread of the dumped inputs."""
    stats = evidence.run.tensors
    inputs = [] if stats is None else series_of(stats, "input")
    floats = [one for one in inputs if math.isfinite(float(one.number("std")[0]))]
    if not floats:
        why = (
            "No inputs are dumped to tell their scale; subtract the mean of the training set and divide by its spread."
        )
        return {"input_normalization": "standard"}, why
    widest = max(floats, key=lambda one: abs(float(one.number("mean")[0])) + float(one.number("std")[0]))
    mean, std = float(widest.number("mean").mean()), float(widest.number("std").mean())
    why = (
        f"{widest.name} has a mean of {mean:.4g} and a standard deviation of {std:.4g} over all values: subtract the "
        "one and divide by the other, feature by feature, with the figures of the training set."
    )
    return {"input_normalization": "standard"}, why


def _had(feature: Any) -> Any:
    return None if feature is None or isinstance(feature, Missing) else feature
