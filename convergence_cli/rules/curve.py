"""LC1xx: a loss that rises, jumps or swings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.printable import counted
from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import fact_of, likelihood_of, severity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.chance import Chance
    from convergence_cli.features.evidence import Loss
    from convergence_cli.features.oscillation import Oscillation
    from convergence_cli.model import Finding, Verdict

SPIKE_LOST = 0.25
SPIKE_SETTLED = 10
SWING_OF_DROP = 0.5
SWING_OF_LEVEL = 0.25
SWING_TURNS_Z = 3.0


@rule("LC101", "rising-loss", severity="error", since="0.1")
def rising_loss(loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The loss rises and does not come back.

    What it checks
        The main loss (training, else validation) at the end of the log against its best level and its start.

    Why it matters
        A run that has given back its progress rarely recovers by itself; the checkpoint to go on from is
        getting older with each step.

    How it decides
        Fires with the verdict `diverging`, whose probability is fitted on trainings with known faults
        (docs/classifier.md). What weighs: the share of the drop from start to best that is lost again (half is
        much), the multiple of the best (three is much), a rise of 15 % where the loss never fell, each beyond
        the curve's own noise; or last points that jump above everything since the first quarter. An error from
        a probability of 0.65 on, else a note.

    Known false alarms
        A task that gets harder on purpose (curriculum, growing sequence length); a loss whose definition
        changes in mid-run.

    References
        runmedic, rule "diverged" (50 % of progress); Wald 1947 for asking persistence of a rise.
    """
    if verdict.label != "diverging" or verdict.state in {"non-finite", "collapsed-to-chance"}:
        return
    shape = loss.shape
    yield finding(
        fact_of(verdict),
        severity=severity_of(verdict),
        confidence=verdict.confidence,
        evidence={
            **likelihood_of(verdict),
            "start": shape.start,
            "best": shape.best,
            "best_step": shape.best_step,
            "end": shape.end,
            "given_back": round(shape.rise / max(shape.drop, 1e-300), 3) if shape.drop > 0 else None,
            "rise_in_standard_errors": round(shape.rise_z, 1),
            "noise": shape.noise,
            "side": "from-start" if shape.drop < 0.05 * shape.scale else "after-progress",
        },
        series=loss.name,
        first_step=verdict.since_step,
        last_step=float(loss.curve.step[-1]),
    )


@rule("LC102", "loss-spike", severity="warning", since="0.1")
def loss_spike(loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The loss jumps far above its trend.

    What it checks
        Single groups of points that stand out above the running median of the loss.

    Why it matters
        A spike damages the weights and the optimizer's second moments; some runs recover in a few hundred
        steps, some never return to the level before it.

    How it decides
        Height above 8 robust standard deviations of the residuals and above 1.5 times the trend, after the
        first 3 % of the log. A note where the loss came back; a warning where the level after the last spike
        stays above the one before by more than a quarter of the drop made until then, over at least a
        twentieth of the log.

    Known false alarms
        A warm restart of the learning rate makes a step, not a spike; logs that print one very hard batch.

    References
        runmedic, rule "loss spike"; Chowdhery et al. 2022 (PaLM), section 5.1; OLMo 2 (2025), spike score.
    """
    if not loss.spikes:
        return
    worst = max(loss.spikes, key=lambda spike: spike.height)
    lasting = [
        s for s in loss.spikes if s.recovered_step is None and s.lost > SPIKE_LOST and s.groups_after >= SPIKE_SETTLED
    ]
    shown = max(lasting, key=lambda spike: spike.height) if lasting else worst
    back = (
        "and the loss stays above its earlier level"
        if lasting
        else f"and recovered by step {shown.recovered_step:g}"
        if shown.recovered_step is not None
        else "too near the end to say whether it recovers"
    )
    yield finding(
        f"{counted(len(loss.spikes), 'spike')} in {loss.name}; the highest {'lasting one ' if lasting else ''}"
        f"reached {shown.height:.4g} "
        f"at step {shown.step:g} from {shown.before:.4g} {back}.",
        severity="warning" if lasting and verdict.label != "stuck" else "note",
        confidence=0.8 if lasting else 0.6,
        evidence={
            "spikes": len(loss.spikes),
            "height": shown.height,
            "level_before": shown.before,
            "level_after": shown.after,
            "robust_z": round(shown.z, 1),
            "threshold_z": 8.0,
            "lost_share": round(shown.lost, 3),
            "side": "lasting" if lasting else "recovered",
        },
        series=loss.name,
        first_step=loss.spikes[0].step,
        last_step=loss.spikes[-1].step,
    )


@rule("LC105", "collapse-to-chance", severity="error", since="0.1")
def collapse_to_chance(loss: Loss, verdict: Verdict, chance: Chance | None = None) -> Iterator[Finding]:
    """The loss fell and then jumped back to where it began, and stays there.

    What it checks
        A loss that had made progress and ends flat at (or near) its starting level.

    Why it matters
        The model has fallen back to a constant output (dead units, saturated softmax) and gets no gradient
        out of it: waiting does not help.

    How it decides
        Fires with the verdict `diverging` where the end level is above 90 % of the start, without a trend
        over the last third. Accuracy and the number of classes, where known, are shown beside it.

    Known false alarms
        None known; a log that ends within a long spike looks the same for a while.

    References
        AUTOTRAINER (Zhang et al., ICSE 2021), "dying ReLU"; reference case xlvector/learning-dl issue 1.
    """
    if verdict.state != "collapsed-to-chance":
        return
    shape = loss.shape
    yield finding(
        f"{loss.name} had fallen to {shape.best:.4g} (step {shape.best_step:g}), is back at {shape.end:.4g} and flat.",
        severity=severity_of(verdict),
        confidence=verdict.confidence,
        evidence={
            "start": shape.start,
            "best": shape.best,
            "end": shape.end,
            "end_over_start": round(shape.end / shape.start, 3) if shape.start else None,
            "accuracy": chance.accuracy if chance is not None else None,
            "chance_level": chance.level if chance is not None else None,
        },
        series=loss.name,
        first_step=verdict.since_step,
        last_step=float(loss.curve.step[-1]),
    )


@rule("LC106", "oscillating-loss", severity="warning", since="0.1")
def oscillating_loss(loss: Loss, verdict: Verdict, oscillation: Oscillation) -> Iterator[Finding]:
    """The loss swings widely instead of settling.

    What it checks
        The swings of the last half of the loss about its own trend.

    Why it matters
        Swings as large as the whole progress mean that steps overshoot: the learning rate is too high for the
        curvature, or the batch too small for the noise.

    How it decides
        Interquartile swing of at least half of the whole drop and a quarter of the level, with the direction
        changing more often, by 3 standard errors, than it does in independent noise (two points in three). A
        warning where the run does not converge, a note where it does.

    Known false alarms
        Losses of single, very different batches (detection, batch size 1).

    References
        AUTOTRAINER (Zhang et al., ICSE 2021), "oscillating loss"; Cohen et al. 2021 on the edge of stability.
    """
    wide = float("inf") > oscillation.of_drop >= SWING_OF_DROP and oscillation.of_level >= SWING_OF_LEVEL
    if not wide or oscillation.turns_z < SWING_TURNS_Z:
        return
    yield finding(
        f"{loss.name} swings by {oscillation.amplitude:.4g} about {loss.shape.end:.4g} over its last half, "
        f"{oscillation.of_drop:.1f} times its whole drop.",
        severity="note" if verdict.label == "converging" else "warning",
        confidence=0.6,
        evidence={
            "swing": oscillation.amplitude,
            "swing_of_drop": round(oscillation.of_drop, 3),
            "threshold_of_drop": SWING_OF_DROP,
            "swing_of_level": round(oscillation.of_level, 3),
            "threshold_of_level": SWING_OF_LEVEL,
            "direction_changes": round(oscillation.turns, 3),
            "direction_changes_in_standard_errors": round(oscillation.turns_z, 1),
            "threshold_standard_errors": SWING_TURNS_Z,
        },
        series=loss.name,
        first_step=float(loss.shape.view.step[len(loss.shape.view) // 2]),
        last_step=float(loss.curve.step[-1]),
    )
