"""WT1xx: weights and their updates, as dumped tensors."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import graded, is_failing, others, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from convergence_cli.features.tensors.updates import LayerUpdate, Updates
    from convergence_cli.features.tensors.weights import Weights
    from convergence_cli.model import Finding, Severity, Verdict

SMALL_STEP = 1e-4
SMALL_WAY = 0.01
SMALL_WAY_CONVERGING = 0.002
LEAST_STEPS = 2
LARGE_STEP = 0.1
LARGE_PEAK = 0.3
LARGE_AT_ONCE = 1.0
LEAST_COMPARISONS = 3
UNCHANGED_DUMPS = 2
FADED = 1e-4
GROWN = 3.0
GROWN_ALONE = 20.0
GROWN_GAIN = 2.8
STILL_GROWS = 1.3


@rule("WT101", "update-ratio-too-small", severity="error", since="0.1")
def update_ratio_too_small(
    updates: Updates, verdict: Verdict, config: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Steps are so small beside the weights that the run cannot move them.

    What it checks
        The norm of each layer's update over the norm of its weights, for one step and for the length of the
        run.

    Why it matters
        A run whose weights cannot leave their random start within its length learns nothing.

    How it decides
        In at least half of the layers one step is below 1e-4 of the weights, and all steps of the run together
        (of the planned length, where that is known) are below 1 %. Error in a run that fails; in one that
        seems to converge only where all layers are below 0.2 %, as a note.

    Known false alarms
        Fine-tuning a model that is right already: its loss does not fall either.

    References
        Karpathy, CS231n notes ("ratio of weights:updates", about 1e-3); TheDeepChecker (Ben Braiek and Khomh
        2023: log10 below -4); SageMaker Debugger, rule WeightUpdateRatio.
    """
    planned = (config or {}).get("max_steps")
    length = max(updates.steps, float(planned) if isinstance(planned, (int, float)) else 0.0)
    if verdict.state == "no-loss" and not updates.from_start:
        return
    converges = verdict.label == "converging"
    limit = SMALL_WAY_CONVERGING if converges else SMALL_WAY
    small = [one for one in updates.layers if one.per_step < SMALL_STEP and _way(one, updates, length) < limit]
    if not small or updates.steps < LEAST_STEPS or len(small) < (1.0 if converges else 0.5) * len(updates.layers):
        return
    least = min(small, key=lambda one: one.per_step)
    yield finding(
        f"One step changes the weights of {least.series.layer} by {least.per_step:.2g} of their norm, the "
        f"{length:g} steps of the run by {_way(least, updates, length):.2g}{others(len(small) - 1)}.",
        severity=graded(verdict, strong=False),
        confidence=0.9,
        evidence={
            "per_step": least.per_step,
            "threshold_per_step": SMALL_STEP,
            "in_the_run": _way(least, updates, length),
            "threshold_in_the_run": limit,
            "steps": length,
            "layers": len(small),
            "from": least.source,
            "learning_rate": updates.learning_rate,
        },
        series=least.series.title,
        layer=least.series.layer,
        first_step=float(least.series.step[0]),
        last_step=float(least.series.step[-1]),
    )


def _way(one: LayerUpdate, updates: Updates, length: float) -> float:
    return one.moved * length / max(updates.steps, 1.0)


@rule("WT102", "update-ratio-too-large", severity="error", since="0.1")
def update_ratio_too_large(updates: Updates, verdict: Verdict) -> Iterator[Finding]:
    """Single steps change a layer's weights by a tenth of their norm and more.

    What it checks
        The norm of each layer's update over the norm of its weights, for one step, as a median over the dumps.

    Why it matters
        Steps of that size replace what was learned faster than the gradient can say where to go.

    How it decides
        A median of at least 0.1, or 0.3 on average over at least 5 steps between two dumps (weights thrown far
        off at first make later steps look small). From dumps several steps apart these are lower bounds, since
        steps partly undo one another. Layers that start at (almost) zero are left out. A note in a run that
        converges.

    Known false alarms
        None known.

    References
        TheDeepChecker (Ben Braiek and Khomh 2023: log10 above -1); Karpathy, CS231n notes; SageMaker Debugger,
        rule WeightUpdateRatio.
    """
    large = [one for one in updates.layers if one.per_step >= LARGE_STEP or one.peak >= LARGE_PEAK]
    # One or two single steps at the start may be large; whole stretches may not.
    large = [
        one
        for one in large
        if one.comparisons >= LEAST_COMPARISONS
        or one.peak >= LARGE_PEAK
        or one.per_step >= LARGE_AT_ONCE
        or one.source == "updates"
    ]
    large = sorted((one for one in large if not one.from_nothing), key=lambda one: -max(one.per_step, one.peak))
    for one, more in shown(large):
        yield finding(
            _in_words(one) + more + ".",
            severity=graded(verdict, strong=one.per_step >= LARGE_PEAK),
            confidence=0.85,
            evidence={
                "per_step": one.per_step,
                "threshold_per_step": LARGE_STEP,
                "peak": one.peak,
                "threshold_peak": LARGE_PEAK,
                "from": one.source,
                "learning_rate": updates.learning_rate,
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=one.step,
        )


def _in_words(one: LayerUpdate) -> str:
    """The number that decided first: the median step, or the stretch in which steps were largest."""
    if one.per_step >= LARGE_STEP or one.peak <= 0:
        return f"One step changes the weights of {one.series.layer} by {one.per_step:.2g} of their norm (median)"
    return (
        f"Up to step {one.step:g} one step changed the weights of {one.series.layer} by {one.peak:.2g} of their norm "
        f"on average (median of all dumps {one.per_step:.2g})"
    )


@rule("WT103", "frozen-parameters", severity="error", since="0.1")
def frozen_parameters(weights: Weights, verdict: Verdict) -> Iterator[Finding]:
    """Some weights never change.

    What it checks
        Which weights are the same to the last bit at every dump, and whether a gradient of them is dumped.

    Why it matters
        A layer that was to learn and is not in the optimizer, or that requires no gradient, keeps its start.

    How it decides
        Unchanged in at least 2 comparisons. Error where nothing changes at all, or where the layer has a
        gradient and the run fails; warning without a gradient in a run that fails, or with one while that is
        open or no loss is logged; else a note, for layers are frozen on purpose, too. Embeddings, and first
        layers that a zero gradient reaches, are left to other rules.

    Known false alarms
        Fine-tuning with frozen layers (a note, unless the run fails).

    References
        TrainCheck (Jiang et al. 2025), relation "optimizer step changes parameters"; DeepLocalize (Wardat et
        al. 2021), unchanged weights.
    """
    matrices = [one for one in weights.still if one.series.is_matrix and not one.series.is_embedding]
    # Where the gradient is dumped as zero from some layer down to the first, it does not get there: another finding.
    matrices = [one for one in matrices if one.gradient != 0 or one.passed or _is_frozen_whole(weights)]
    # A gradient that has faded moves weights by less than their last digit.
    matrices = [one for one in matrices if not one.share < FADED or not one.gradient > 0]
    if not matrices:
        return
    if weights.comparisons < UNCHANGED_DUMPS or not matrices:
        return
    moving = len(weights.series) - len(weights.still)
    flowing = sorted((one for one in matrices if one.gradient > 0), key=lambda one: -one.gradient)
    # Layers without gradient are still for one reason, be it a freeze or a dead layer behind them.
    quiet = [one for one in matrices if not one.gradient > 0]
    named = list(shown(flowing))
    named += [(one, others(len(quiet) - 1)) for one in quiet[:1]]
    for one, more in named if moving else [((flowing or quiet)[0], "")]:
        flows = one.gradient > 0
        severity: Severity = "note"
        if not moving or (flows and verdict.label in {"diverging", "stuck"}):
            severity = "error"
        elif (is_failing(verdict) and verdict.state != "no-loss") or (flows and verdict.label != "converging"):
            severity = "warning"
        gradient = "and it has no gradient"
        whose = "its gradient norm" if moving else f"the gradient norm of {one.series.layer}"
        if isfinite(one.gradient):
            gradient = f"although {whose} is up to {one.gradient:.3g}" if flows else "and its gradient is zero"
        if not weights.gradients_dumped:
            gradient = "and no gradient is dumped that would tell why"
        what = f"the weights of {one.series.layer}" if moving else f"all {len(matrices)} weights"
        yield finding(
            f"From step {one.since:g} to {one.until:g} {what} never changed ({weights.comparisons} comparisons), "
            f"{gradient}{more}.",
            severity=severity,
            confidence=0.95 if flows or not moving else 0.8,
            evidence={
                "side": "all" if not moving else "with-gradient" if flows else "without-gradient",
                "comparisons": weights.comparisons,
                "threshold_comparisons": UNCHANGED_DUMPS,
                "gradient": one.gradient if isfinite(one.gradient) else None,
                "weights_that_move": moving,
                "weights_that_do_not": len(weights.still),
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=one.since,
            last_step=one.until,
        )


def _is_frozen_whole(weights: Weights) -> bool:
    """Whether nothing moves at all."""
    return len(weights.series) == len(weights.still)


@rule("WT104", "weights-growing", severity="error", since="0.1")
def weights_growing(weights: Weights, verdict: Verdict) -> Iterator[Finding]:
    """A layer's weights have outgrown the scale that keeps signals their size, and grow on.

    What it checks
        The norm of each weight over the dumps, and its root mean square times the square root of its fan-in.

    Why it matters
        Growing weights make growing outputs, saturated units and, in the end, overflow.

    How it decides
        At least 3 times the first norm, 1.3 times in the last third of the dumps alone, to a gain above 2.8
        (twice He's); without any loss 20 times. The last layer, which grows as the network gets sure, counts
        in a failing run only. Error in a run that fails, note in one that converges.

    Known false alarms
        Weights before a normalisation may grow without harm while the loss falls (a note then).

    References
        TheDeepChecker (Ben Braiek and Khomh 2023: doubling per period); van Laarhoven 2017, "L2 regularization
        versus batch and weight normalization"; He et al. 2015, equation 10.
    """
    times = GROWN if verdict.state != "no-loss" else GROWN_ALONE
    grown = [
        one
        for one in weights.growth
        if one.end >= times * one.first and one.late_rise >= STILL_GROWS and one.gain >= GROWN_GAIN
    ]
    if verdict.label not in {"diverging", "stuck"}:
        # The last layer grows as the network gets sure.
        grown = [one for one in grown if one.series.name != weights.last]
    grown.sort(key=lambda one: -one.end / one.first)
    for one, more in shown(grown):
        yield finding(
            f"The weights of {one.series.layer} have grown {one.end / one.first:.3g}-fold (norm {one.first:.3g} to "
            f"{one.end:.3g} at step {one.series.step[-1]:g}, gain {one.gain:.3g}) and still grow"
            f"{more}.",
            severity=graded(verdict, strong=False),
            confidence=0.8,
            evidence={
                "first": one.first,
                "end": one.end,
                "growth": round(one.end / one.first, 2),
                "threshold_growth": times,
                "late_growth": round(one.late_rise, 3),
                "threshold_late_growth": STILL_GROWS,
                "gain": one.gain,
                "threshold_gain": GROWN_GAIN,
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=float(one.series.step[0]),
            last_step=float(one.series.step[-1]),
        )
