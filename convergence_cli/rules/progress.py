"""LC1xx: a loss that does not fall, no longer falls, or still falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import fact_of, likelihood_of, severity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.chance import Chance
    from convergence_cli.features.evidence import Loss, Rate
    from convergence_cli.features.extrapolate import PowerLaw
    from convergence_cli.features.shape import Shape
    from convergence_cli.model import Finding, Verdict

BLOWN_UP = 1.25
PLATEAU_Z = 2.0
PLATEAU_CHANGE = 0.01
PLATEAU_POINTS = 30
STILL_GAIN = 0.05
STILL_Z = 2.5
INITIAL_FACTOR = 2.0
# A fall of this share, in so many standard errors, is seen by everyone.
FELL, FELL_SURELY = 0.1, 8.0


@rule("LC103", "flat-from-start", severity="error", since="0.1")
def flat_from_start(loss: Loss, verdict: Verdict, chance: Chance | None = None) -> Iterator[Finding]:
    """The loss has not moved since the start.

    What it checks
        Whether the loss fell at all, by more than its noise and by more than a sliver of its size.

    Why it matters
        A model that learns nothing in its first hundred steps learns nothing in the next ten thousand: the
        rate is far off, the gradient does not reach the weights, or the labels do not belong to the inputs.

    How it decides
        Fires with the verdict `stuck`, whose probability is fitted on trainings with known faults
        (docs/classifier.md). What weighs: a drop from start to end of less than about 2 %, or within its noise;
        a loss within 1 % of ln(C), chance level for C classes, after the first tenth. An error from a
        probability of 0.65 on; a note below, and where the loss fell by a tenth at once, surely, and rests
        since at no chance level: that may be all there was to learn.

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
        fact_of(verdict),
        severity="note" if _fell_at_once(loss.shape) and not at_chance else severity_of(verdict),
        confidence=verdict.confidence,
        evidence={
            **likelihood_of(verdict),
            "start": shape.start,
            "end": shape.end,
            "relative_drop": round(shape.relative_drop, 5),
            "drop_in_standard_errors": round(shape.drop_z, 1),
            "chance_level": chance.level if chance is not None and at_chance else None,
            "classes": chance.classes if chance is not None and at_chance else None,
            "peak": shape.peak,
            "side": _kind_of_flat(blown_up, chance),
        },
        series=loss.name,
        first_step=verdict.since_step,
        last_step=float(loss.curve.step[-1]),
    )


def _fell_at_once(shape: Shape) -> bool:
    """Whether it fell, surely and by a tenth, and rests since: the end of learning or of washing out the start."""
    from_first = (shape.first - shape.end) / max(abs(shape.first), 1e-300)
    return max(shape.relative_drop, from_first) >= FELL and shape.drop_z >= FELL_SURELY


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
