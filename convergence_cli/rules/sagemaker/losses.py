"""SM110 to SM112: the loss, by SageMaker Debugger's conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules.sagemaker import CONFIDENCE, PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.sagemaker.losses import Fall, GapAt, Waits
    from convergence_cli.model import Finding

DIFF_PERCENT = 0.1
RATIO_THRESHOLD = 0.1
PATIENCE_TRAIN = 5
PATIENCE_VALIDATION = 10


@rule("SM110", "sagemaker-loss-not-decreasing", severity="warning", since="0.1", profile=PROFILE)
def loss_not_decreasing(sagemaker_losses: tuple[tuple[Fall, ...], ...]) -> Iterator[Finding]:
    """The loss did not fall by 0.1 % in ten steps (SageMaker Debugger: LossNotDecreasing).

    What it checks
        Every num_steps = 10 steps, each loss against its newest point at least so many steps back.

    Why it matters
        A loss that does not fall is time and money without learning.

    How it decides
        It did not fall by diff_percent = 0.1 % at one check. A rise counts as well
        (increase_threshold_percent = 5 does not matter then).

    Known false alarms
        Two points of a noisy loss are compared: it fires on almost every healthy run that logs each step, and
        on every run that has reached its floor. Use rising-loss (LC101), flat-from-start (LC103) and
        plateau-at-constant-rate (LC104), which weigh the trend against the noise.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: LossNotDecreasing.
    """
    for falls in sagemaker_losses:
        failed = [one for one in falls if one.percent < DIFF_PERCENT]
        if not failed:
            continue
        one = failed[0]
        yield finding(
            f"{one.name} is {one.value:.4g} at step {one.step:g}, from {one.before:.4g} at step {one.before_step:g}; "
            f"it did not fall by {DIFF_PERCENT:g} % at {len(failed)} of {len(falls)} checks.",
            severity="warning",
            confidence=CONFIDENCE,
            evidence={
                "loss": one.value,
                "before": one.before,
                "before_step": one.before_step,
                "fall_percent": one.percent,
                "threshold": DIFF_PERCENT,
                "failed_checks": len(failed),
                "checks": len(falls),
            },
            series=one.role,
            first_step=one.step,
            last_step=failed[-1].step,
        )


@rule("SM111", "sagemaker-overfit", severity="warning", since="0.1", profile=PROFILE)
def overfit(sagemaker_gaps: tuple[GapAt, ...]) -> Iterator[Finding]:
    """The validation loss is 10 % above the training loss (SageMaker Debugger: Overfit).

    What it checks
        Each evaluation against the mean training loss since the evaluation before.

    Why it matters
        A model that only knows its training data fails on other data.

    How it decides
        (validation - training) / training > ratio_threshold = 0.1 at patience = 1 evaluation, from start_step
        = 0 on.

    Known false alarms
        A gap is no overfitting while the validation loss falls: it fires on most good runs late in training,
        where the training loss is near zero, and at one noisy evaluation. Use overfitting (GN101), which asks
        for a validation loss that rises.

    References
        Amazon SageMaker developer guide, Debugger built-in rules: Overfit.
    """
    over = [one for one in sagemaker_gaps if one.ratio > RATIO_THRESHOLD]
    if not over:
        return
    first, worst = over[0], max(over, key=lambda one: one.ratio)
    yield finding(
        f"{first.name} is {100 * first.ratio:.3g} % above the training loss at step {first.step:g} "
        f"({first.val:.4g} against {first.train:.4g}), above {100 * RATIO_THRESHOLD:g} %.",
        severity="warning",
        confidence=CONFIDENCE,
        evidence={
            "ratio": first.ratio,
            "threshold": RATIO_THRESHOLD,
            "evaluations": len(over),
            "worst_ratio": worst.ratio,
            "worst_step": worst.step,
        },
        series="val_loss",
        first_step=first.step,
        last_step=over[-1].step,
    )


@rule("SM112", "sagemaker-overtraining", severity="warning", since="0.1", profile=PROFILE)
def overtraining(sagemaker_waits: tuple[Waits, ...]) -> Iterator[Finding]:
    """Neither loss has improved by 0.01 for some time (SageMaker Debugger: Overtraining).

    What it checks
        At each evaluation, how many points of either loss have passed since it last improved.

    Why it matters
        Training on after the last improvement costs time, and ends in overfitting.

    How it decides
        The training loss has not fallen by delta = 0.01 for patience_train = 5 points, and the validation loss
        not for patience_validation = 10. Whether both or one must hold is not documented; both are asked for
        here.

    Known false alarms
        delta is absolute: a loss below 0.01 counts as at rest while it still halves, and five points of a noisy
        training loss are nothing. Use overfitting (GN101) and plateau-at-constant-rate (LC104).

    References
        Amazon SageMaker developer guide, Debugger built-in rules: Overtraining.
    """
    both = [one for one in sagemaker_waits if one.train >= PATIENCE_TRAIN and one.val >= PATIENCE_VALIDATION]
    if not both:
        return
    one = both[0]
    yield finding(
        f"At step {one.step:g} the training loss has not improved for {one.train} points and {one.name} for {one.val}.",
        severity="warning",
        confidence=CONFIDENCE,
        evidence={
            "train_points": one.train,
            "validation_points": one.val,
            "threshold_train": PATIENCE_TRAIN,
            "threshold_validation": PATIENCE_VALIDATION,
        },
        series="val_loss",
        first_step=one.step,
    )
