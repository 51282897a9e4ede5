"""LC1xx: the shape of the loss curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.printable import counted
from convergence_cli.rules._registry import finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.chance import Chance
    from convergence_cli.features.evidence import Loss, Rate
    from convergence_cli.features.extrapolate import PowerLaw
    from convergence_cli.features.oscillation import Oscillation
    from convergence_cli.model import Finding, Verdict

GIVEN_BACK = 0.5
SPIKE_LOST = 0.25
SPIKE_FACTOR = 1.5
MIN_SPIKES_SHOWN = 3
BLOWN_UP = 1.25
PLATEAU_Z = 2.0
PLATEAU_CHANGE = 0.01
PLATEAU_POINTS = 30
SWING_OF_DROP = 0.5
SWING_OF_LEVEL = 0.25
SWING_TURNS_Z = 3.0
STILL_GAIN = 0.05
STILL_Z = 2.5
INITIAL_FACTOR = 2.0


@rule("LC101", "rising-loss", severity="error", since="0.1")
def rising_loss(loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The loss rises and does not come back.

    What it checks
        The main loss (training, else validation) at the end of the log against its best level and its start.

    Why it matters
        A run that has given back its progress rarely recovers by itself; the checkpoint to go on from is
        getting older with each step.

    How it decides
        Fires with the verdict `diverging`: at least half of the drop from start to best is lost again, or the
        loss triples from its best, or it never fell and ends at least 15 % above its best, each by more than
        4 standard errors of the curve's own noise; or the last points jump above everything since the first
        quarter.

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
        verdict.reason,
        severity="error",
        confidence=verdict.confidence,
        evidence={
            "start": shape.start,
            "best": shape.best,
            "best_step": shape.best_step,
            "end": shape.end,
            "given_back": round(shape.rise / max(shape.drop, 1e-300), 3) if shape.drop > 0 else None,
            "threshold_given_back": GIVEN_BACK,
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
        stays above the one before by more than a quarter of the drop made until then.

    Known false alarms
        A warm restart of the learning rate makes a step, not a spike; logs that print one very hard batch.

    References
        runmedic, rule "loss spike"; Chowdhery et al. 2022 (PaLM), section 5.1; OLMo 2 (2025), spike score.
    """
    if not loss.spikes:
        return
    worst = max(loss.spikes, key=lambda spike: spike.height)
    lasting = [s for s in loss.spikes if s.recovered_step is None and s.lost > SPIKE_LOST]
    shown = lasting[-1] if lasting else worst
    back = (
        "and the loss stays above its earlier level"
        if lasting
        else f"and recovered by step {shown.recovered_step:g}"
        if shown.recovered_step is not None
        else "near its end"
    )
    yield finding(
        f"{counted(len(loss.spikes), 'spike')} in {loss.name}; the {'last lasting' if lasting else 'highest'} "
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


@rule("LC103", "flat-from-start", severity="error", since="0.1")
def flat_from_start(loss: Loss, verdict: Verdict, chance: Chance | None = None) -> Iterator[Finding]:
    """The loss has not moved since the start.

    What it checks
        Whether the loss fell at all, by more than its noise and by more than a sliver of its size.

    Why it matters
        A model that learns nothing in its first hundred steps learns nothing in the next ten thousand: the
        rate is far off, the gradient does not reach the weights, or the labels do not belong to the inputs.

    How it decides
        Fires with the verdict `stuck`: the drop from start to end is below about 2 % or 4 standard errors; or
        the loss sits within 1 % of ln(C), chance level for C classes, after the first tenth.

    Known false alarms
        A log that begins late in a run, or a fine-tuning of a model that already solves the task: an accuracy
        that is high from the start keeps the rule silent.

    References
        runmedic, rule "not learning" (2 %); Karpathy, "A Recipe for Training Neural Networks" (2019), on
        ln(C).
    """
    if verdict.label != "stuck":
        return
    shape = loss.shape
    at_chance = chance is not None and chance.at_chance
    blown_up = shape.peak > BLOWN_UP * abs(shape.start) and shape.peak > shape.start + 10 * shape.late_noise
    yield finding(
        verdict.reason,
        severity="error",
        confidence=verdict.confidence,
        evidence={
            "start": shape.start,
            "end": shape.end,
            "relative_drop": round(shape.relative_drop, 5),
            "threshold_drop": 0.02,
            "drop_in_standard_errors": round(shape.drop_z, 1),
            "threshold_standard_errors": 4.0,
            "chance_level": chance.level if chance is not None and at_chance else None,
            "classes": chance.classes if chance is not None and at_chance else None,
            "peak": shape.peak,
            "side": _kind_of_flat(blown_up, chance),
        },
        series=loss.name,
        first_step=verdict.since_step,
        last_step=float(loss.curve.step[-1]),
    )


def _kind_of_flat(blown_up: bool, chance: Chance | None) -> str:
    if blown_up:
        return "blown-up"
    if chance is None or not chance.at_chance:
        return "flat"
    return "validation-at-chance" if chance.on_validation else "chance"


@rule("LC104", "plateau-at-constant-rate", severity="note", since="0.1")
def plateau_at_constant_rate(loss: Loss, verdict: Verdict, learning_rate: Rate) -> Iterator[Finding]:
    """The loss has levelled off while the learning rate was constant.

    What it checks
        The last third of a loss that fell before, in a run whose learning rate did not change there.

    Why it matters
        At a constant rate the loss settles where the noise of the gradient balances its descent; a lower rate
        usually takes it further down at once.

    How it decides
        No trend over the last third (Mann-Kendall below 2 standard errors), change below 1 % of the drop, at
        least 30 groups of points, and a rate that is constant from before that third on.

    Known false alarms
        A loss at its floor (label smoothing, entropy of the data) has nothing left to gain.

    References
        runmedic, rule "plateau"; Mann 1945; Goodfellow, Bengio and Courville 2016, section 8.3.1.
    """
    shape = loss.shape
    schedule = learning_rate.schedule
    third = float(shape.view.step[-max(len(shape.view) // 3, 1)])
    if (
        verdict.label != "converging"
        or len(shape.view) < PLATEAU_POINTS
        or schedule.constant_since > third
        or schedule.last <= 0
        or abs(shape.late_z) >= PLATEAU_Z
        or abs(shape.late_change) >= PLATEAU_CHANGE * max(shape.drop, 1e-300)
    ):
        return
    yield finding(
        f"{loss.name} has stayed at {shape.end:.4g} since step {third:g} with "
        f"the learning rate at {schedule.last:.3g}.",
        severity="note",
        confidence=0.6,
        evidence={
            "level": shape.end,
            "change_over_last_third": shape.late_change,
            "threshold_share_of_drop": PLATEAU_CHANGE,
            "trend_in_standard_errors": round(shape.late_z, 2),
            "learning_rate": schedule.last,
        },
        series=loss.name,
        first_step=third,
        last_step=float(loss.curve.step[-1]),
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
        severity="error",
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
    wide = oscillation.of_drop >= SWING_OF_DROP and oscillation.of_level >= SWING_OF_LEVEL
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


@rule("LC107", "still-improving", severity="note", since="0.1")
def still_improving(loss: Loss, verdict: Verdict, power_law: PowerLaw) -> Iterator[Finding]:
    """The loss was still falling when the log ends.

    What it checks
        The trend of the last third, and what a power law fitted to the curve expects of twice the steps.

    Why it matters
        Stopping here leaves progress on the table: longer training is the cheapest improvement there is.

    How it decides
        Falling over the last third by more than 2.5 standard errors (Mann-Kendall), and an expected further
        fall of at least 5 % of the progress so far.

    Known false alarms
        Schedules that decay to zero end while falling: the rest of the fall would need a new schedule.

    References
        Hestness et al. 2017, equation 1 (power laws of learning curves); Mann 1945.
    """
    shape = loss.shape
    if verdict.state != "still-improving" or shape.late_z > -STILL_Z or power_law.gain_by_doubling < STILL_GAIN:
        return
    if power_law.doubled >= min(shape.end, shape.best):
        return
    yield finding(
        f"{loss.name} still falls at the end ({shape.end:.4g}); twice the steps "
        f"should bring about {power_law.doubled:.4g}.",
        severity="note",
        confidence=0.6,
        evidence={
            "end": shape.end,
            "expected_at_twice_the_steps": power_law.doubled,
            "gain_share": round(power_law.gain_by_doubling, 3),
            "threshold_gain": STILL_GAIN,
            "exponent": round(power_law.exponent, 3),
            "trend_in_standard_errors": round(shape.late_z, 1),
        },
        series=loss.name,
        last_step=float(loss.curve.step[-1]),
    )


@rule("LC108", "initial-loss-off-chance", severity="note", since="0.1")
def initial_loss_off_chance(loss: Loss, chance: Chance, config: dict[str, object]) -> Iterator[Finding]:
    """The first loss is far from what an untrained classifier should have.

    What it checks
        The first logged loss against ln(C), where the run says its number of classes C.

    Why it matters
        An untrained classifier is unsure, at ln(C). Far above it, the last layer starts too large or the
        inputs are not normalised; far below, the model is not untrained, or the loss is not a cross-entropy.

    How it decides
        Start above twice ln(C), with C from the run's own config (num_classes) and the log beginning at the
        first steps.

    Known false alarms
        Losses with further terms (detection, regularisation), sums over tokens or pixels.

    References
        Karpathy, "A Recipe for Training Neural Networks" (2019); TheDeepChecker (Ben Braiek and Khomh, 2023).
    """
    import math

    classes = config.get("num_classes")
    if not isinstance(classes, (int, float)) or isinstance(classes, bool) or not 2 <= classes < 1e7:
        return
    expected = math.log(classes)
    ratio = loss.shape.start / expected
    if ratio < INITIAL_FACTOR or float(loss.curve.step[0]) > 0.02 * float(loss.curve.step[-1]) + 10:
        return
    yield finding(
        f"{loss.name} starts at {loss.shape.start:.4g}, {ratio:.1f} times ln({classes:g}) = {expected:.4g}.",
        severity="note",
        confidence=0.5,
        evidence={
            "start": loss.shape.start,
            "ln_classes": expected,
            "ratio": round(ratio, 2),
            "threshold": INITIAL_FACTOR,
        },
        series=loss.name,
        first_step=float(loss.curve.step[0]),
    )
