"""GN1xx: training against validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules._standing import fact_of, likelihood_of, severity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.evidence import Loss
    from convergence_cli.features.gap import Gap
    from convergence_cli.features.shape import Shape
    from convergence_cli.model import Finding, Verdict

GAP_FACTOR = 3.0
# Beyond this the two are not the same quantity.
WIDEST = 1e6
GAP_EVALS = 5
BETTER = 0.9
DISAGREE_Z = 3.0


@rule("GN101", "overfitting", severity="error", since="0.1")
def overfitting(gap: Gap, val_loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """Validation has been rising since its best point while training goes on falling.

    What it checks
        The validation loss after its best point: how far it has risen, for how long, beyond its own noise,
        and what training did meanwhile.

    Why it matters
        Every step since the best one has made the model worse on new data; the best checkpoint may already
        have been overwritten.

    How it decides
        Fires with the verdict `overfitting`, whose probability is fitted on trainings with known faults
        (docs/classifier.md). What weighs: how far the last evaluations lie above the best (6 % is much),
        beyond their noise and lastingly, and how far training fell meanwhile. Fewer than 5 evaluations are
        never enough. An error from a probability of 0.65 on, else a note.

    Known false alarms
        Over-confident classifiers: the log-loss rises while accuracy still improves (see metric-disagrees);
        validation with another criterion than training (label smoothing in one of them).

    References
        Prechelt 1998, "Early stopping - but when?", generalisation loss GL; runmedic, rule "overfitting" (5
        %).
    """
    if verdict.label != "overfitting":
        return
    yield finding(
        fact_of(verdict),
        severity=severity_of(verdict),
        confidence=verdict.confidence,
        evidence={
            **likelihood_of(verdict),
            "best": gap.best,
            "best_step": gap.best_step,
            "end": gap.end,
            "rise_share": round(gap.rise_share, 4),
            "rise_in_standard_errors": round(gap.rise_z, 1),
            "evaluations_since_best": gap.evals_since,
            "training_fall_since_best": None if gap.train_fall is None else round(gap.train_fall, 4),
            "noise": gap.noise,
            "gap_at_start": gap.gap_start,
            "gap_at_end": gap.gap_end,
        },
        series=val_loss.name,
        first_step=gap.best_step,
        last_step=float(val_loss.curve.step[-1]),
    )


@rule("GN102", "generalisation-gap", severity="note", since="0.1")
def generalisation_gap(gap: Gap, train_loss: Loss, val_loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """Validation ends far above training.

    What it checks
        The end levels of both losses.

    Why it matters
        A wide gap that does not grow is no failure, but says where improvement is to be had: in
        regularisation or data, not in more training.

    How it decides
        Validation at least 3 times training at the end, both positive, at least 5 evaluations. Never more
        than a note: by itself a gap has a precision of 0.26 for overfitting.

    Known false alarms
        Sums over different units, criteria that differ between training and validation, mixed-in penalties.

    References
        AUTOTRAINER features (gap of 0.10); runmedic's measurement on simulated curves, reported in its tests.
    """
    end = train_loss.shape.end
    wide = GAP_FACTOR * end <= gap.end < WIDEST * end
    if verdict.label == "overfitting" or gap.evals < GAP_EVALS or end <= 0 or not wide:
        return
    yield finding(
        f"{val_loss.name} ends at {gap.end:.4g}, {gap.end / end:.1f} times {train_loss.name} ({end:.4g}).",
        severity="note",
        confidence=0.5,
        evidence={"val_end": gap.end, "train_end": end, "ratio": round(gap.end / end, 2), "threshold": GAP_FACTOR},
        series=val_loss.name,
        last_step=float(val_loss.curve.step[-1]),
    )


@rule("GN103", "validation-better-than-train", severity="note", since="0.1")
def validation_better_than_train(gap: Gap, train_loss: Loss, val_loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """Validation is clearly better than training.

    What it checks
        The end levels of both losses, the other way round.

    Why it matters
        Usually harmless (dropout and augmentation act on training only; training is averaged over the epoch),
        sometimes a leak of validation data into training.

    How it decides
        Validation below 0.9 of training at the end, both positive, at least 5 evaluations. Only ever a note.

    Known false alarms
        Most of the runs it names: it fires on 39 % of healthy large runs.

    References
        runmedic, rule "validation below train"; Keras FAQ, "Why is my training loss much higher than my
        testing loss?".
    """
    end = train_loss.shape.end
    if verdict.label == "diverging" or gap.evals < GAP_EVALS or end <= 0 or gap.end <= 0 or gap.end > BETTER * end:
        return
    yield finding(
        f"{val_loss.name} ends at {gap.end:.4g}, below {train_loss.name} ({end:.4g}): ratio {gap.end / end:.2f}.",
        severity="note",
        confidence=0.4,
        evidence={"val_end": gap.end, "train_end": end, "ratio": round(gap.end / end, 3), "threshold": BETTER},
        series=val_loss.name,
        last_step=float(val_loss.curve.step[-1]),
    )


@rule("GN104", "metric-disagrees", severity="note", since="0.1")
def metric_disagrees(gap: Gap, val_loss: Loss, metric: Shape, verdict: Verdict) -> Iterator[Finding]:
    """Validation loss and validation metric tell different stories.

    What it checks
        The validation metric (accuracy, mAP, F1, ...) since the step at which the validation loss was best.

    Why it matters
        A rising loss with a rising accuracy is over-confidence rather than overfitting: the model ranks as
        well as ever and is calibrated worse. The checkpoint to keep depends on which of the two matters.

    How it decides
        The verdict is `overfitting`, and the metric's end is above its level at the best step of the loss by
        more than 3 standard errors of its noise.

    Known false alarms
        Metrics computed on another split than the loss.

    References
        Guo et al. 2017, "On Calibration of Modern Neural Networks", section 3; keras issues 5359 and 3755.
    """
    if verdict.label != "overfitting":
        return
    then = metric.level_at(gap.best_step)
    gain = metric.end - then
    if gain <= DISAGREE_Z * metric.late_noise or gain <= 0:
        return
    yield finding(
        f"Since {val_loss.name} was best (step {gap.best_step:g}) the metric went on "
        f"improving, from {then:.4g} to {metric.end:.4g}.",
        severity="note",
        confidence=0.6,
        evidence={
            "metric_at_best_loss": then,
            "metric_end": metric.end,
            "noise": metric.late_noise,
            "threshold_standard_errors": DISAGREE_Z,
        },
        series=val_loss.name,
        first_step=gap.best_step,
    )
