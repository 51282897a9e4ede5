"""AC101 to AC103 and IN104: dead and saturated units, and the scale of activations over time and depth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import graded, shown, sure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.activations import Activation, ActivationScales, BoundedActivations
    from convergence_cli.features.tensors.depth import Chain, FirstActivations
    from convergence_cli.features.tensors.idle import DeadUnits, IdleLayer
    from convergence_cli.model import Finding, Severity, Verdict

DEAD = 0.5
DEAD_BUT_CONVERGING = 0.6
MOSTLY_DEAD = 0.65
ALMOST_DEAD = 0.9
ALL_DEAD = 0.999
# Of fewer units the share is coarse, and squeezed layers leave most of theirs off.
NARROW = 32
SATURATED = 0.5
SATURATED_VALUES = 0.8
SATURATED_FROM_START = 0.35
MOSTLY_SATURATED = 0.9
DRIFT = 10.0
DRIFT_EXTREME = 100.0
DRIFT_LATE = 1.25
DRIFT_LEVEL = 1.0
DRIFT_LEVEL_ALONE = 10.0
DRIFT_EARLY_ALONE = 0.5
FAST_DRIFT = 4.0
FAST_DRIFT_LATE = 1.75
FAST_DRIFT_LEVEL = 5.0
UNEVEN = 100.0
UNEVEN_EXTREME = 1e3
STEP_UP = 8.0
# States of a run whose losses, if any, do not tell how it fares.
ALONE = ("no-loss", "adversarial", "reward-only")


@rule("AC101", "dead-relu", severity="error", since="0.1")
def dead_relu(dead_units: DeadUnits, verdict: Verdict) -> Iterator[Finding]:
    """Most units of a layer output exactly zero for every sample.

    What it checks
        The share of units that are exactly zero in at least 99 % of the samples, in layers whose outputs are
        never negative. Where no such outputs are dumped, the share of rows of the gradient that are exactly
        zero, of all weight matrices but the last; and weights that get no gradient while the bias beside
        them does, which means that the layer before gives out nothing.

    Why it matters
        A unit that is off for every sample gets no gradient and cannot come back. The layer works at a
        fraction of its width; a layer without any living unit passes nothing on, neither forward nor back.

    How it decides
        More than 50 % of the units over the last third of the dumps, and in two of them where there are
        three; at least 16 values a unit. By gradients, and in layers of fewer than 32 units, more than 70 %.
        An error where the run is stuck or diverges, or where there is no loss to judge by and more than 70 %
        are dead, by gradients only from 90 % on; a warning in other runs; in a run that converges a note, and
        only above 60 %. Embeddings are left out. Side: from-start, later (they died in training),
        whole-layer, gradient.

    Known false alarms
        Layers that are sparse by design (a penalty on activity, a much too wide layer). Between 10 and 45 %
        of idle units in a batch are usual in healthy networks, and are not reported.

    References
        Maas, Hannun and Ng 2013, "Rectifier nonlinearities improve neural network acoustic models"; Lu et al.
        2020, "Dying ReLU and Initialization"; SageMaker Debugger, rule DeadRelu.
    """
    found = [one for one in dead_units.layers if one.lasting > _least_dead(one, verdict)]
    found.sort(key=lambda one: -one.lasting)
    for one, more in shown(found):
        limit = _limit_of_dead(one)
        since = one.since(limit)
        by_gradient = one.of != "activation"
        yield finding(
            f"{one.series.layer}: {100 * one.last:.0f} % {_what_is_dead(one)} at step {one.step[-1]:g} (above "
            f"{100 * limit:.0f} % since step {since:g}){more}.",
            severity=_severity_of_dead(one, verdict),
            confidence=sure(0.6 if by_gradient else 0.7 + 0.25 * (one.lasting >= MOSTLY_DEAD), one.dumps),
            evidence={
                "dead_share": round(one.last, 4),
                "lasting_dead_share": round(one.lasting, 4),
                "first_dead_share": round(one.first, 4),
                "threshold_dead_share": limit,
                "samples": None if by_gradient else one.samples,
                "dumps": one.dumps,
                "side": _side_of_dead(one),
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=since,
        )


def _limit_of_dead(one: IdleLayer) -> float:
    return MOSTLY_DEAD if one.of != "activation" or one.units < NARROW else DEAD


def _least_dead(one: IdleLayer, verdict: Verdict) -> float:
    return max(_limit_of_dead(one), DEAD_BUT_CONVERGING if verdict.label == "converging" else DEAD)


def _severity_of_dead(one: IdleLayer, verdict: Verdict) -> Severity:
    severity = graded(verdict, strong=one.lasting > MOSTLY_DEAD)
    certain = one.of == "activation" or one.lasting >= ALMOST_DEAD
    return severity if certain or severity != "error" else "warning"


def _what_is_dead(one: IdleLayer) -> str:
    if one.of == "activation":
        return "of the units are zero for every sample"
    if one.of == "gradient":
        return "of the units get no gradient at all"
    if one.reader == one.series.layer:
        return "of its inputs are zero for every sample, for its weights get no gradient and its bias does,"
    return f"of what it gives to {one.reader} is zero for every sample, for the weights there get no gradient,"


def _side_of_dead(one: IdleLayer) -> str:
    if one.of != "activation":
        return "gradient"
    if one.lasting >= ALL_DEAD:
        return "whole-layer"
    return "from-start" if one.first > DEAD else "later"


@rule("AC102", "saturated-activation", severity="error", since="0.1")
def saturated_activation(bounded_activations: BoundedActivations, verdict: Verdict) -> Iterator[Finding]:
    """A hidden sigmoid or tanh sits at the ends of its range, where it passes no gradient.

    What it checks
        The share of units that are at the ends in at least 99 % of the samples, and the share of single
        values that are, in hidden layers whose function is sigmoid or tanh by name or by its values.

    Why it matters
        At its ends the slope is next to zero: all layers before it stop learning, and the layer carries a
        bit a unit at most.

    How it decides
        More than 50 % of the units, or more than 80 % of the values, over the last third of the dumps and in
        two of them where there are three; or more than 35 % of the values, in a dump of the first steps as
        well. An error where the run is stuck or diverges, or where there is no loss to judge by (and not by
        the 35 % alone); a warning in other runs; in a run that converges a note. Side: from-start, later.
        What the network gives out (probabilities, an actor's tanh), gates and attention weights are left out.

    Known false alarms
        Hidden layers that are meant to be binary (hashing, discrete codes).

    References
        Glorot and Bengio 2010, section 3; SageMaker Debugger, rule SaturatedActivation (its limits for tanh
        and sigmoid differ in what slope they stand for).
    """
    limits = [(one, *_saturation(one, bounded_activations.from_start)) for one in bounded_activations.layers]
    found = [item for item in limits if item[1]]
    found.sort(key=lambda item: -max(item[0].saturated, item[0].saturated_values))
    for (one, column, limit), more in shown(found):
        severity = graded(verdict, strong=limit > SATURATED_FROM_START)
        since, share = one.since(column, limit), one.end(column)
        what = "units sit" if column == "saturated" else "values lie"
        yield finding(
            f"{one.series.layer}: {100 * share:.0f} % of its {what} at the ends of {one.form} at step "
            f"{one.series.step[-1]:g} (above {100 * limit:.0f} % since step {since:g}){more}.",
            severity=severity,
            confidence=sure(0.9 if one.saturated > MOSTLY_SATURATED else 0.75, one.dumps),
            evidence={
                "saturated_share": _rounded(one.saturated),
                "threshold_saturated_share": SATURATED,
                "saturated_values": _rounded(one.saturated_values),
                "threshold_saturated_values": limit if column == "saturated_values" else SATURATED_VALUES,
                "first_share": _rounded(one.start(column)),
                "function": one.form,
                "dumps": one.dumps,
                "side": "from-start" if one.start(column) > limit else "later",
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=since,
        )


def _saturation(one: Activation, from_start: bool) -> tuple[str, float]:
    """The column by which it is saturated and the limit; an empty one where it is not."""
    if one.saturated > SATURATED:
        return "saturated", SATURATED
    if one.saturated_values > SATURATED_VALUES:
        return "saturated_values", SATURATED_VALUES
    lasting = one.saturated_values > SATURATED_FROM_START and one.start("saturated_values") > SATURATED_FROM_START
    return ("saturated_values", SATURATED_FROM_START) if lasting and from_start else ("", SATURATED)


@rule("AC103", "activation-scale-drift", severity="error", since="0.1")
def activation_scale_drift(activation_scales: ActivationScales, verdict: Verdict) -> Iterator[Finding]:
    """The scale of a hidden activation keeps growing.

    What it checks
        The root mean square of each hidden activation: its median in the last third of the dumps against
        that in the first third, and whether it still grows.

    Why it matters
        Activations that grow without end run into the limits of the number format, drown what the residual
        stream carried before, and precede divergence.

    How it decides
        Grown at least 10-fold, and by at least a quarter within the last third of at least four dumps; or,
        where a loss is logged beside it, 4-fold, by three quarters within the last third, and to above 5. It
        must end above 1, the scale that initializations aim at. Where it begins below 0.3 that counts as its
        beginning. Where no loss tells how the run fares (none, one of two players, or a reward) it must grow
        100-fold, or from above 0.5 to above 10. An error where the run is stuck or diverges, or where there
        is no loss to judge by and it grew 100-fold; a warning in other runs; in a run that converges a note.
        What the network gives out, probabilities and the logits of attention are left out; of neighbours with
        one number (conv3, relu3) the one that grew more is told.

    Known false alarms
        Residual streams that begin near zero grow in healthy training, early; a run cut off so early that
        this fills its last third.

    References
        Zhang et al. 2022 (OPT), section 2.4; Wortsman et al. 2023, "Small-scale proxies for large-scale
        Transformer training instabilities"; Takase et al. 2023, "Spike No More".
    """
    found = [one for one in activation_scales.layers if _drifts(one, verdict)]
    found.sort(key=lambda one: -one.growth)
    for one, more in shown(found):
        severity = graded(verdict, strong=one.growth >= DRIFT_EXTREME)
        step, fast = one.series.step, one.growth < DRIFT
        limit, late_limit = (FAST_DRIFT, FAST_DRIFT_LATE) if fast else (DRIFT, DRIFT_LATE)
        level = FAST_DRIFT_LEVEL if fast else DRIFT_LEVEL
        yield finding(
            f"{one.series.layer}: its root mean square grew {one.growth:.3g}-fold, from {one.early:.3g} in the first "
            f"third of the dumps to {one.late:.3g} in the last (threshold {limit:g}), and still grows at step "
            f"{step[-1]:g}{more}.",
            severity=severity,
            confidence=0.85 if one.growth >= DRIFT_EXTREME else 0.65,
            evidence={
                "early": one.early,
                "late": one.late,
                "growth": round(one.growth, 2),
                "threshold_growth": limit,
                "threshold_late": level,
                "late_growth": round(one.late_growth, 3),
                "threshold_late_growth": late_limit,
                "dumps": one.dumps,
            },
            series=one.series.title,
            layer=one.series.layer,
            first_step=float(step[len(step) // 3]),
            last_step=float(step[-1]),
        )


def _drifts(one: Activation, verdict: Verdict) -> bool:
    alone = verdict.state in ALONE
    if one.late < DRIFT_LEVEL:
        return False
    if one.growth >= DRIFT and one.late_growth >= DRIFT_LATE:
        high = one.late >= DRIFT_LEVEL_ALONE and one.early >= DRIFT_EARLY_ALONE
        return not alone or high or one.growth >= DRIFT_EXTREME
    fast = one.growth >= FAST_DRIFT and one.late_growth >= FAST_DRIFT_LATE
    return fast and not alone and one.late >= FAST_DRIFT_LEVEL


@rule("IN104", "uneven-activation-scale", severity="error", since="0.1")
def uneven_activation_scale(first_activations: FirstActivations, verdict: Verdict) -> Iterator[Finding]:
    """Before training the activations fade, blow up or jump from layer to layer.

    What it checks
        The standard deviation of hidden activations at the first dump, along chains of at least three
        layers of one type (names that differ in their numbers only), normalisation and pooling left out.

    Why it matters
        An initialization that does not fit the width and the function makes the signal fade or explode
        with depth; the gradient does the same on its way back.

    How it decides
        The largest is more than 100 times the smallest, or one layer exceeds the one before it 8-fold (not
        in a sequence of numbers alone, where types alternate). A layer that grows 10-fold until the next dump
        was begun at zero on purpose, and does not count.
        An error where the run is stuck or diverges, or where there is no loss to judge by and the ratio is
        at least 1000; a warning in other runs; in a run that converges a note, for it came through.
        Skipped where the first dump is later than step 10 and than 5 % of the steps. Side: fading, growing,
        jump.

    Known false alarms
        Very deep plain networks with their library's default initialization, which do fade.

    References
        Glorot and Bengio 2010; He et al. 2015, section 2.2; Mishkin and Matas 2016 (LSUV). SageMaker
        Debugger, rule PoorWeightInitialization, asks for a ratio of variances of 10, which healthy networks
        exceed.
    """
    found = [chain for chain in first_activations.chains if chain.ratio > UNEVEN or chain.step_up > STEP_UP]
    found.sort(key=lambda chain: -max(chain.ratio, chain.step_up))
    for chain, more in shown(found, "chain"):
        severity = graded(verdict, strong=chain.ratio >= UNEVEN_EXTREME)
        side, place = _side_of_chain(chain)
        one = chain.series[place]
        low, high = chain.series[chain.smallest], chain.series[chain.largest]
        yield finding(
            f"{one.layer}: at step {first_activations.step:g} the standard deviation of activations goes from "
            f"{chain.std[chain.smallest]:.3g} ({low.layer}) to {chain.std[chain.largest]:.3g} ({high.layer}), "
            f"{chain.ratio:.3g}-fold (threshold {UNEVEN:g}, from one layer to the next {STEP_UP:g}){more}.",
            severity=severity,
            confidence=0.85 if chain.ratio > UNEVEN else 0.7,
            evidence={
                "smallest": float(chain.std[chain.smallest]),
                "smallest_layer": low.layer,
                "largest": float(chain.std[chain.largest]),
                "largest_layer": high.layer,
                "ratio": round(chain.ratio, 1),
                "threshold_ratio": UNEVEN,
                "step_up": round(chain.step_up, 2),
                "threshold_step_up": STEP_UP,
                "layers": len(chain.series),
                "side": side,
            },
            series=one.title,
            layer=one.layer,
            first_step=first_activations.step,
            last_step=first_activations.step,
        )


def _side_of_chain(chain: Chain) -> tuple[str, int]:
    if chain.step_up > STEP_UP:
        return "jump", chain.at
    return ("fading", chain.smallest) if chain.smallest > chain.largest else ("growing", chain.largest)


def _rounded(share: float) -> float | None:
    return None if math.isnan(share) else round(share, 4)
