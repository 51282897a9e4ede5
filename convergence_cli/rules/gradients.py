"""GR1xx: gradients layer by layer, as dumped tensors."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import graded, others, severity_in, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.gradients import Gradients
    from convergence_cli.model import Finding, Verdict

FADED = 1e-3
FADED_UNORDERED = 1e-4
FALLS_WITH_DEPTH = 0.7
FALLS_ALWAYS = 0.95
SHARE_OF_DUMPS = 0.5
LEAST_DUMPS = 2
BEYOND_ALL = 2.0
FADED_FAR = 1e-5
GROWTH = 10.0
GROWTH_ALONE = 100.0
TO_WEIGHT = 20.0
BACKWARD = 70.0
BACKWARD_DEEP = 20.0
DEEP = 6
RISES_WITH_DEPTH = -0.7
STARVED = 0.2
STARVED_FAR = 0.05
LOSS_KEPT = 0.6


@rule("GR101", "vanishing-gradient", severity="error", since="0.1")
def vanishing_gradient(gradients: Gradients, verdict: Verdict) -> Iterator[Finding]:
    """The gradient fades on its way to the first layers.

    What it checks
        The root mean square of each layer's weight gradient (of biases, too, where no layer is normalised),
        as a median over the dumps, against the largest of the layers that follow it.

    Why it matters
        Layers without gradient keep their random weights; the layers behind them learn from noise.

    How it decides
        The smallest level is below a thousandth of the largest behind it, in at least half of the dumps and
        in the last third of them, and the levels fall towards the input (rank correlation with depth at least
        0.7). Where the dump does not keep the order of layers, numbers in their names give it; else the limit
        is 1/10,000. At least 3 layers. A single dump gives a note, below 1/10,000 and falling at (nearly)
        every layer. Never by an absolute size: 1e-7 is healthy in a large model and far too much in a small
        one. Error in a run that is stuck or diverges, or below 1e-5 where no loss is logged; else warning;
        note in a run that converges.

    Known false alarms
        Query and key weights of attention at small initialization have small gradients at first: they do not
        fall with depth.

    References
        Hochreiter 1991; Glorot and Bengio 2010, section 4.2.2; AUTOTRAINER (Zhang et al., ICSE 2021: ratio
        1e-3); SageMaker Debugger, rule VanishingGradient.
    """
    found = []
    for one in gradients.profiles:
        ordered = isfinite(one.trend)
        limit = FADED if ordered else FADED_UNORDERED
        lasts = one.share >= SHARE_OF_DUMPS and one.late_ratio < limit
        if one.dumps < LEAST_DUMPS:
            lasts = one.ratio < FADED_UNORDERED and one.trend >= FALLS_ALWAYS
        if one.ratio < limit and lasts and (not ordered or one.trend >= FALLS_WITH_DEPTH):
            found.append(one)
    worst = min(found, key=lambda one: one.ratio, default=None)
    if worst is None:
        return
    low, high = worst.lowest.series, worst.highest.series
    yield finding(
        f"The gradient of {low.layer} ({worst.of}) has a root mean square of {worst.low:.3g}, {worst.ratio:.2g} times "
        f"that of {high.layer} ({worst.high:.3g}); {worst.faded} of {worst.depth} layers are below {FADED:g}.",
        severity="note" if worst.dumps < LEAST_DUMPS else graded(verdict, strong=worst.ratio < FADED_FAR),
        confidence=0.9 if isfinite(worst.trend) else 0.7,
        evidence={
            "level": worst.low,
            "largest": worst.high,
            "largest_layer": high.layer,
            "ratio": worst.ratio,
            "threshold_ratio": FADED,
            "layers_below": worst.faded,
            "layers": worst.depth,
            "correlation_with_depth": round(worst.trend, 2) if isfinite(worst.trend) else None,
            "threshold_correlation": FALLS_WITH_DEPTH,
            "share_of_dumps": round(worst.share, 2),
        },
        series=low.title,
        layer=low.layer,
        first_step=float(low.step[0]),
        last_step=float(low.step[-1]),
    )


@rule("GR102", "exploding-gradient", severity="error", since="0.1")
def exploding_gradient(gradients: Gradients, verdict: Verdict) -> Iterator[Finding]:
    """A layer's gradient grows out of all proportion, or has become NaN or infinite.

    What it checks
        Each layer's gradient: its level in the last dumps against that of the first third, its size beside the
        layer's weights, and the first layer's level against the last's.

    Why it matters
        One exploded step throws the weights to where the loss cannot be followed back.

    How it decides
        Not finite in the last dump; or at least 10 times its early level in both of the last two dumps of a
        diverging run (100 times where no verdict is given), and beyond the early level of every layer; or,
        from the first dumps on, 20 times as large as the weights, or rising towards the input to 70 times the
        last layer's level (20 times over 6 layers and more). In a converging run only the last two count, as
        a note.

    Known false alarms
        A float16 run whose very last dump fell on a step that the loss scaler skipped.

    References
        Pascanu, Mikolov and Bengio 2013; AUTOTRAINER (Zhang et al., ICSE 2021: ratio 70); Philipp, Song and
        Carbonell 2017, "The exploding gradient problem demystified".
    """
    broken = [one for one in gradients.layers if one.nonfinite[-1] > 0]
    if broken:
        worst = min(broken, key=lambda one: one.first_nonfinite_step or 0.0)
        since = worst.first_nonfinite_step or 0.0
        bad, total = int(worst.nonfinite[-1]), int(worst.series.number("count")[-1])
        yield finding(
            f"The gradient of {worst.series.layer} is NaN or infinite from step {since:g} on ({bad:,} of {total:,} "
            f"values in the last dump){others(len(broken) - 1)}.",
            severity=severity_in(verdict),
            confidence=0.9,
            evidence={
                "side": "non-finite",
                "nonfinite_values": bad,
                "values": total,
                "early": worst.early,
                "threshold_values": 0,
                "layers": len(broken),
            },
            series=worst.series.title,
            layer=worst.series.layer,
            first_step=since,
            last_step=float(worst.step[-1]),
        )
        return
    yield from _grown(gradients, verdict)


def _grown(gradients: Gradients, verdict: Verdict) -> Iterator[Finding]:
    limit = GROWTH if verdict.label == "diverging" else GROWTH_ALONE
    if verdict.label == "converging":
        limit = float("inf")
    grown = [one for one in gradients.layers if one.growth >= limit and one.lasting >= limit * one.early]
    # A layer that only catches up with the others does not explode.
    beyond = (BEYOND_ALL if verdict.label == "diverging" else limit) * gradients.largest_early
    grown = [one for one in grown if len(one.step) >= 4 and one.lasting >= beyond]
    grown.sort(key=lambda one: -one.growth)
    for one, more in shown(grown):
        yield finding(
            f"The gradient of {one.series.layer} has grown {one.growth:.3g}-fold, from a root mean square of "
            f"{one.early:.3g} to {one.end:.3g} at step {one.step[-1]:g}{more}.",
            severity=graded(verdict, strong=False),
            confidence=0.85,
            evidence={
                "side": "growing",
                "early": one.early,
                "end": one.end,
                "growth": round(one.growth, 1),
                "threshold_growth": limit,
            },
            series=one.series.title,
            layer=one.series.layer,
            last_step=float(one.step[-1]),
        )
    if grown:
        return
    large = [one for one in gradients.layers if one.to_weights >= TO_WEIGHT and not one.from_nothing]
    large = [one for one in large if not one.series.is_embedding]
    ratio = gradients.backward_growth
    limit = BACKWARD_DEEP if gradients.depth >= DEEP else BACKWARD
    backwards = ratio >= limit and gradients.trend <= RISES_WITH_DEPTH
    if not large and not backwards:
        return
    one = max(large, key=lambda layer: layer.to_weights, default=gradients.layers[0])
    times = f"{one.to_weights:.3g} times its weights" if large else ""
    backward = f"{ratio:.3g} times that of the last layer" if backwards else ""
    yield finding(
        f"From the first dumps on the gradient of {one.series.layer} is "
        f"{' and '.join(filter(None, (times, backward)))} (root mean square {one.early:.3g}){others(len(large) - 1)}.",
        severity=graded(verdict, strong=False),
        confidence=0.75,
        evidence={
            "side": "from-start",
            "level": one.early,
            "to_weights": one.to_weights,
            "threshold_to_weights": TO_WEIGHT,
            "first_over_last_layer": ratio if isfinite(ratio) else None,
            "threshold_first_over_last": limit,
        },
        series=one.series.title,
        layer=one.series.layer,
        first_step=float(one.step[0]),
    )


@rule("GR103", "gradient-starvation", severity="error", since="0.1")
def gradient_starvation(gradients: Gradients, verdict: Verdict) -> Iterator[Finding]:
    """Since a spike of the loss, layers hardly get any gradient.

    What it checks
        The root mean square of each layer's weight gradient, in the dumps before a spike of the loss and in all
        dumps after it.

    Why it matters
        A single bad step can push rectified units to where they are off for every input: no later batch brings
        them back, and the run goes on without them.

    How it decides
        In every dump after the spike (at least 2) it is below a fifth of its median before, and the loss
        stays above its level, where gradients should be larger; or below a twentieth, where the loss keeps 60 %
        of it. Error in a run that fails, note in one that converges, else warning.

    Known false alarms
        None known.

    References
        Lu et al. 2019, "Dying ReLU and initialization"; Zhang et al. 2022 (OPT), section 2.4.
    """
    starved = [one for one in gradients.starved if one.after < STARVED * one.before]
    starved = [
        one
        for one in starved
        if one.loss_after > one.loss_before
        or (one.after < STARVED_FAR * one.before and one.loss_after > LOSS_KEPT * one.loss_before)
    ]
    for one, more in shown(starved):
        series = one.layer.series
        yield finding(
            f"Since the spike of the loss at step {one.spike_step:g} the weight gradient of {series.layer} is "
            f"{f'at most {one.after:.3g}' if one.after else 0}, against {one.before:.3g} before (root mean square)"
            f"{more}; "
            f"the loss went from {one.loss_before:.4g} to {one.loss_after:.4g}.",
            severity=severity_in(verdict),
            confidence=0.8,
            evidence={
                "before": one.before,
                "after": one.after,
                "ratio": one.after / one.before,
                "threshold_ratio": STARVED,
                "threshold_ratio_of_a_loss_that_fell": STARVED_FAR,
                "threshold_loss_kept": LOSS_KEPT,
                "loss_before": one.loss_before,
                "loss_after": one.loss_after,
                "dumps_after": one.dumps_after,
            },
            series=series.title,
            layer=series.layer,
            first_step=one.spike_step,
        )
