"""LC0xx: losses that are no numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.evidence import Broken, Loss
    from convergence_cli.features.masked import MaskedNan
    from convergence_cli.model import Finding, Verdict

# Share of the last tenth from which non-finite points are not passing.
LASTING = 0.5


@rule("LC001", "non-finite-loss", severity="error", since="0.1")
def non_finite_loss(broken: tuple[Broken, ...], verdict: Verdict) -> Iterator[Finding]:
    """A loss is NaN or infinite.

    What it checks
        Training and validation loss for points that were logged as NaN or infinite. Points that were
        not logged at all do not count.

    Why it matters
        After one NaN in the weights every later step is NaN: the rest of the run is wasted.

    How it decides
        Error where the last point, or at least half of the last tenth of the points, is non-finite. A warning
        where that is so of validation alone: while the training loss is finite, the weights are. Otherwise a
        note: single non-finite points from which the run recovered (validation in the first epochs of
        detectors, skipped steps of mixed precision).

    Known false alarms
        A validation loss that is infinite by construction on some batches (CTC with short inputs).

    References
        SageMaker Debugger, rule LossNaN; AUTOTRAINER (Zhang et al., ICSE 2021), symptom "exploding gradient".
    """
    for one in broken:
        bad = one.points
        if not bad.count:
            continue
        first = bad.first_step if bad.first_step is not None else 0.0
        yield finding(
            f"{one.name} is NaN or infinite at {bad.count} of {bad.total} points, first at step {first:g}"
            + _ending(one, first),
            severity="note" if not one.lasting else "error" if verdict.state == "non-finite" else "warning",
            confidence=0.99 if one.lasting else 0.6,
            evidence={
                "nonfinite_points": bad.count,
                "points": bad.total,
                "first_step": first,
                "share_of_last_tenth": round(bad.tail_share, 3),
                "threshold_share": LASTING,
                "side": _side(one, verdict),
            },
            series=one.name,
            first_step=first,
            last_step=one.last_step,
            line=bad.first_line,
            file=one.file,
        )


def _ending(one: Broken, first: float) -> str:
    if not one.lasting:
        return "; finite values follow."
    return " and to the end." if one.since <= first else f", and from step {one.since:g} to the end."


def _side(one: Broken, verdict: Verdict) -> str:
    if one.role == "val_loss" and verdict.state != "non-finite":
        return "validation"
    return "from-start" if one.at_start else "later"


@rule("LC002", "masked-nan", severity="error", since="0.1")
def masked_nan(train_loss: Loss, verdict: Verdict, masked_nan: MaskedNan | None = None) -> Iterator[Finding]:
    """The loss reads 0 where it is NaN.

    What it checks
        Points at which the training loss is exactly 0 while the gradient norm is NaN or infinite; and a loss
        that falls to exactly 0 between two points and stays there.

    Why it matters
        The Hugging Face Trainer replaces NaN losses by 0 in its log (logging_nan_inf_filter, on by default):
        a dead run looks perfect.

    How it decides
        Exact zeros at the steps of a non-finite gradient norm; without one, at least 3 exact zeros to the
        end of the log, right after a loss above a quarter of its start and 8 times its noise. Warning where
        they do not reach the end.

    Known false alarms
        A hinge or margin loss can honestly reach exactly 0; it gets there gradually.

    References
        transformers, TrainingArguments.logging_nan_inf_filter; LLaMA-Factory issues 5660 and 3353.
    """
    if masked_nan is None:
        return
    yield finding(
        f"{train_loss.name} is exactly 0 at {masked_nan.count} points from step {masked_nan.since_step:g}"
        + (
            f", {masked_nan.with_nan_norm} of them with a NaN gradient norm."
            if masked_nan.with_nan_norm
            else f", right after {masked_nan.before:.4g}."
        ),
        severity="error" if verdict.state == "non-finite" else "warning",
        confidence=0.95 if masked_nan.with_nan_norm else 0.75,
        evidence={
            "zero_points": masked_nan.count,
            "with_nan_grad_norm": masked_nan.with_nan_norm,
            "loss_before": masked_nan.before,
            "first_step": masked_nan.since_step,
        },
        series=train_loss.name,
        first_step=masked_nan.since_step,
    )
