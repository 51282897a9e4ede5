"""GR0xx: the global gradient norm and the loss scale, as logged scalars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.evidence import Loss
    from convergence_cli.features.grad_norm import GradNorm
    from convergence_cli.features.loss_scale import LossScale
    from convergence_cli.model import Finding, Severity, Verdict

EXPLODED = 10.0
VANISHED = 1e-3
GROWTH = 3.0
GROWTH_Z = 4.0
ZERO_SHARE = 0.5
NAN_SHARE = 0.05
HALVINGS = 3
SCALE_FLOOR = 1.0


@rule("GR001", "exploding-gradient-norm", severity="error", since="0.1")
def exploding_gradient_norm(grad_norm: GradNorm, verdict: Verdict) -> Iterator[Finding]:
    """The gradient norm has grown far beyond its usual level, and stays there.

    What it checks
        The level of the last tenth of the logged gradient norm against its median.

    Why it matters
        An exploding gradient throws the weights to where the loss cannot be followed back; clipping or a
        lower rate keeps them.

    How it decides
        Error in a diverging run where the end level is at least 10 times the median. Single outliers never
        count: they occur in 26 % of good runs. In other runs a lasting rise is left to
        drifting-gradient-norm.

    Known false alarms
        A loss that changes its unit (sum instead of mean) in mid-run.

    References
        Pascanu, Mikolov and Bengio 2013, section 3; SageMaker Debugger, rule ExplodingTensor.
    """
    high = max(grad_norm.end / max(grad_norm.typical, 1e-300), grad_norm.end / max(grad_norm.early, 1e-300))
    if verdict.label != "diverging" or high < EXPLODED:
        return
    usual = f"median, {grad_norm.typical:.3g}"
    if grad_norm.early < grad_norm.typical:
        usual = f"level at the start, {grad_norm.early:.3g}"
    yield finding(
        f"The gradient norm ends at {grad_norm.end:.3g}, {high:.3g} times its {usual}.",
        severity="error",
        confidence=0.85,
        evidence={
            "end": grad_norm.end,
            "median": grad_norm.typical,
            "start": grad_norm.early,
            "ratio": round(high, 1),
            "threshold": EXPLODED,
            "p90": grad_norm.p90,
        },
        series="grad_norm",
        first_step=grad_norm.low_step,
    )


@rule("GR002", "vanishing-gradient-norm", severity="error", since="0.1")
def vanishing_gradient_norm(grad_norm: GradNorm, verdict: Verdict) -> Iterator[Finding]:
    """The gradient norm is (almost) zero while the loss is stuck.

    What it checks
        The end level of the logged gradient norm against its start, and the share of exact zeros.

    Why it matters
        Without a gradient nothing moves: dead units, saturated activations, frozen parameters, a detached
        loss.

    How it decides
        Error in a run that is stuck or has collapsed: end below a thousandth of the start, or at least half
        of the points exactly 0. Silent in a converging run, where a gradient that fades is a solved task.

    Known false alarms
        None known in a stuck run; a norm logged after clipping to 0.

    References
        Hochreiter 1991; AUTOTRAINER (Zhang et al., ICSE 2021), symptom "vanishing gradient" (ratio 1e-3).
    """
    if verdict.label != "stuck" and verdict.state != "collapsed-to-chance":
        return
    share = grad_norm.end / max(grad_norm.early, 1e-300)
    if share >= VANISHED and grad_norm.zeros < ZERO_SHARE and grad_norm.early > 0:
        return
    yield finding(
        f"The gradient norm ends at {grad_norm.end:.3g}, from {grad_norm.early:.3g}; "
        f"{100 * grad_norm.zeros:.0f} % of its points are exactly 0.",
        severity="error",
        confidence=0.9,
        evidence={
            "end": grad_norm.end,
            "start": grad_norm.early,
            "ratio": share,
            "threshold": VANISHED,
            "zero_share": round(grad_norm.zeros, 3),
            "threshold_zero_share": ZERO_SHARE,
            "side": "zero" if grad_norm.early == 0 else "faded",
        },
        series="grad_norm",
    )


@rule("GR003", "drifting-gradient-norm", severity="warning", since="0.1")
def drifting_gradient_norm(grad_norm: GradNorm, loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The gradient norm creeps up while the loss no longer falls.

    What it checks
        The trend of the gradient norm since its lowest level, together with the trend of the loss.

    Why it matters
        A norm that climbs ahead of the loss is the earliest scalar sign of a coming divergence.

    How it decides
        At least 3 times its lowest smoothed level, rising since then by more than 4 standard errors
        (Mann-Kendall), while the loss rises over its last third by more than 2 standard errors. A warning; a
        note in a run whose loss still falls is not given.

    Known false alarms
        Norms grow slowly in many healthy runs as the loss flattens: that is why the loss must rise as well.

    References
        Zhang et al. 2022 (OPT), section 2.4; Wortsman et al. 2023, "Small-scale proxies for large-scale
        instabilities".
    """
    if verdict.label == "diverging" or loss.shape.late_z < 2.0 or grad_norm.points < 30:
        return
    risen = loss.shape.rise > 0.05 * max(loss.shape.drop, 1e-300) and loss.shape.rise_z > 4
    if not risen or grad_norm.growth < GROWTH or grad_norm.growth_z < GROWTH_Z:
        return
    yield finding(
        f"The gradient norm has grown {grad_norm.growth:.1f}-fold since step {grad_norm.low_step:g} "
        f"(to {grad_norm.end:.3g}) and {loss.name} rises with it.",
        severity="warning",
        confidence=0.6,
        evidence={
            "low": grad_norm.low,
            "end": grad_norm.end,
            "growth": round(grad_norm.growth, 2),
            "threshold_growth": GROWTH,
            "trend_in_standard_errors": round(grad_norm.growth_z, 1),
            "loss_trend_in_standard_errors": round(loss.shape.late_z, 1),
            "p90": grad_norm.p90,
        },
        series="grad_norm",
        first_step=grad_norm.low_step,
    )


@rule("GR004", "non-finite-gradient-norm", severity="error", since="0.1")
def non_finite_gradient_norm(grad_norm: GradNorm, verdict: Verdict) -> Iterator[Finding]:
    """The gradient norm is NaN or infinite at some steps.

    What it checks
        Points of the gradient norm that were logged as NaN or infinite.

    Why it matters
        Mixed precision skips single overflowing steps by design; many of them, or the last ones, mean that
        the run no longer trains.

    How it decides
        Error where the run ends so (verdict state non-finite); warning above 5 % of the points in a run that
        does not converge; else a note.

    Known false alarms
        Overflows of the loss-scale search in the first steps of a float16 run (a note).

    References
        Micikevicius et al. 2018, "Mixed Precision Training", section 3.2.
    """
    bad = grad_norm.nonfinite
    if not bad.count:
        return
    share = bad.count / max(bad.total, 1)
    ends = verdict.state == "non-finite" and bad.last_is_nonfinite
    severity: Severity = (
        "error" if ends else "warning" if share > NAN_SHARE and verdict.label != "converging" else "note"
    )
    yield finding(
        f"The gradient norm is NaN or infinite at {bad.count} of {bad.total} "
        f"points, first at step {bad.first_step or 0:g}.",
        severity=severity,
        confidence=0.95 if ends else 0.5,
        evidence={
            "nonfinite_points": bad.count,
            "points": bad.total,
            "share": round(share, 4),
            "threshold_share": NAN_SHARE,
        },
        series="grad_norm",
        first_step=bad.first_step,
        line=bad.first_line,
    )


@rule("GR005", "loss-scale-overflow", severity="warning", since="0.1")
def loss_scale_overflow(loss_scale: LossScale, verdict: Verdict) -> Iterator[Finding]:
    """The loss scale of mixed precision has been halved down to nothing.

    What it checks
        The logged loss scale: how often it was cut, and where it ends.

    Why it matters
        A scaler that ends at 1 or below finds no scale at which the gradients fit into float16: they overflow
        in the model itself, and every step is skipped.

    How it decides
        The scale ends at 1 or below after at least 3 cuts. A warning where the run does not converge, else a
        note.

    Known false alarms
        The usual search for a scale at the start: it ends far above 1.

    References
        Micikevicius et al. 2018, section 3.2; bigscience-workshop/Megatron-DeepSpeed issues 396 and 347.
    """
    if loss_scale.end > SCALE_FLOOR or loss_scale.cuts < HALVINGS:
        return
    yield finding(
        f"The loss scale was cut {loss_scale.cuts} times, from {loss_scale.start:g} to {loss_scale.end:g}.",
        severity="note" if verdict.label == "converging" else "warning",
        confidence=0.8,
        evidence={
            "start": loss_scale.start,
            "end": loss_scale.end,
            "cuts": loss_scale.cuts,
            "threshold_end": SCALE_FLOOR,
            "threshold_cuts": HALVINGS,
        },
        series="loss_scale",
        first_step=loss_scale.first_cut,
    )
