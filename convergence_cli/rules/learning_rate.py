"""LR1xx: the learning rate and its schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.printable import counted
from convergence_cli.rules._registry import finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from convergence_cli.features.evidence import Loss, Rate
    from convergence_cli.model import Finding, Verdict

# Rates outside of which hardly any published recipe of that optimizer lies; wide on purpose.
BANDS = {
    "adam": (1e-7, 1e-2),
    "adamw": (1e-7, 1e-2),
    "nadam": (1e-7, 1e-2),
    "radam": (1e-7, 2e-2),
    "adamax": (1e-7, 2e-2),
    "rmsprop": (1e-7, 1e-2),
    "lion": (1e-8, 1e-3),
    "adafactor": (1e-6, 5e-2),
    "sgd": (1e-5, 2.0),
    "adagrad": (1e-5, 0.5),
    "lamb": (1e-6, 5e-2),
}
# Beyond this it is no rate: settings files can hold infinities.
LARGEST = 1e15
ZERO_SHARE = 0.1
JUMP_FACTOR = 3.0
EARLY = 0.1
LATE_FLAT_Z = 2.0


@rule("LR101", "rate-outside-band", severity="warning", since="0.1")
def rate_outside_band(
    config: Mapping[str, Any], verdict: Verdict, learning_rate: Rate | None = None
) -> Iterator[Finding]:
    """The learning rate lies outside the band of its optimizer.

    What it checks
        The peak learning rate (logged, else from the config) against the band of the optimizer that the
        config names.

    Why it matters
        The learning rate is the setting that most often makes or breaks a run, and rates do not carry over
        between optimizers: 0.1 is usual for SGD and ruinous for Adam.

    How it decides
        Outside the band of the optimizer (Adam and AdamW 1e-7 to 0.01, SGD 1e-5 to 2, ...). A warning where
        the run fails, a note where it converges: then the rate was right whatever the band says.

    Known false alarms
        Parametrisations that scale the rate with width (muP), loss sums instead of means, learned optimizers.

    References
        UMLAUT (Schoop et al., CHI 2021), rule on learning rates, with bands per optimizer instead of one for
        all.
    """
    optimizer = str(config.get("optimizer", "")).lower()
    band = BANDS.get(optimizer)
    rate = learning_rate.schedule.peak if learning_rate is not None else config.get("learning_rate")
    if band is None or not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 < rate < LARGEST:
        return
    low, high = band
    if low <= rate <= high:
        return
    side = "high" if rate > high else "low"
    yield finding(
        f"The learning rate {rate:.3g} is {'above' if side == 'high' else 'below'} "
        f"the band of {optimizer}, {low:g} to {high:g}.",
        severity="warning" if verdict.label in {"diverging", "stuck"} else "note",
        confidence=0.7,
        evidence={"learning_rate": rate, "optimizer": optimizer, "band_low": low, "band_high": high, "side": side},
        series=None if learning_rate is None else learning_rate.name,
    )


@rule("LR102", "rate-decayed-to-zero", severity="warning", since="0.1")
def rate_decayed_to_zero(learning_rate: Rate, loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The learning rate is zero for a stretch of the run.

    What it checks
        Whether the logged rate is 0 (or below a millionth of its peak) to the end of the log, and for how
        long; or was 0 all along.

    Why it matters
        Steps at a rate of zero cost money and change nothing.

    How it decides
        Zero over at least the last tenth of the steps, or a peak of 0. A warning where the run is stuck or
        the zero lasts for a tenth of a run that does not converge, else a note.

    Known false alarms
        Rates printed with too few digits (0.0000) while they are only small.

    References
        pytorch/vision issue 2007; textual_inversion issue 98 (a rate scaled to 0).
    """
    schedule = learning_rate.schedule
    never = schedule.peak == 0
    if not never and schedule.zero_share < ZERO_SHARE:
        return
    since = float(loss.curve.step[0]) if never else schedule.zero_from
    share = 1.0 if never else schedule.zero_share
    yield finding(
        f"{learning_rate.name} is 0 "
        + ("throughout." if never else f"from step {since:g} on ({100 * share:.0f} % of the steps)."),
        severity="note" if verdict.label == "converging" else "warning",
        confidence=0.8,
        evidence={
            "zero_share": round(share, 3),
            "threshold_share": ZERO_SHARE,
            "peak": schedule.peak,
            "side": "never" if never else "late",
        },
        series=learning_rate.name,
        first_step=since,
    )


@rule("LR103", "rate-jumps", severity="warning", since="0.1")
def rate_jumps(learning_rate: Rate, loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The learning rate jumps up in mid-run.

    What it checks
        Rises of the logged rate by more than three times between neighbouring points after the warm-up.

    Why it matters
        A resume that loses its schedule, or a schedule defined in the wrong unit, shows up as such a jump;
        the loss often follows.

    How it decides
        A note; a warning where the run diverges after the jump.

    Known false alarms
        Warm restarts and cyclic schedules jump on purpose (hence a note).

    References
        Loshchilov and Hutter 2017 (SGDR) for the harmless kind.
    """
    schedule = learning_rate.schedule
    if not schedule.jumps:
        return
    since = verdict.since_step
    guilty = verdict.label == "diverging" and since is not None and schedule.jumps[0] <= since
    yield finding(
        f"{learning_rate.name} rises more than {JUMP_FACTOR:g}-fold at {counted(len(schedule.jumps), 'point')}, "
        f"first at step {schedule.jumps[0]:g}.",
        severity="warning" if guilty else "note",
        confidence=0.7 if guilty else 0.4,
        evidence={
            "jumps": len(schedule.jumps),
            "threshold_factor": JUMP_FACTOR,
            "first_step": schedule.jumps[0],
            "side": "guilty" if guilty else "harmless",
        },
        series=learning_rate.name,
        first_step=schedule.jumps[0],
        last_step=schedule.jumps[-1],
    )


@rule("LR104", "missing-warmup", severity="warning", since="0.1")
def missing_warmup(learning_rate: Rate, loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The run starts at its full learning rate, and its first steps are unstable.

    What it checks
        Whether the rate starts at its peak, and whether the loss blew up within the first tenth of the log.

    Why it matters
        Adaptive optimizers have no estimate of the gradient's size in the first steps; full steps then can
        throw the weights far off.

    How it decides
        No warm-up in the logged rate, and the run diverges within its first tenth. Silent on every run that
        does not diverge.

    Known false alarms
        A rate that is too high throughout diverges early as well: both causes are named.

    References
        Gilmer et al. 2022, "A Loss Curvature Perspective on Training Instabilities"; Google tuning playbook.
    """
    schedule = learning_rate.schedule
    steps = loss.curve.step
    since = verdict.since_step
    if (
        schedule.warmup_end is not None
        or verdict.label != "diverging"
        or since is None
        or schedule.first < 0.5 * schedule.peak
    ):
        return
    share = (since - float(steps[0])) / max(float(steps[-1] - steps[0]), 1e-300)
    if share > EARLY:
        return
    yield finding(
        f"The rate starts at its peak {schedule.first:.3g}, and {loss.name} leaves its course "
        f"at step {since:g}, {100 * share:.0f} % into the log.",
        severity="warning",
        confidence=0.5,
        evidence={
            "first_rate": schedule.first,
            "peak_rate": schedule.peak,
            "unstable_from": since,
            "share_of_log": round(share, 3),
            "threshold_share": EARLY,
        },
        series=learning_rate.name,
        first_step=since,
    )


@rule("LR105", "missing-decay", severity="note", since="0.1")
def missing_decay(learning_rate: Rate, loss: Loss, verdict: Verdict) -> Iterator[Finding]:
    """The learning rate never decays, and the loss no longer falls.

    What it checks
        A rate that is constant from the warm-up to the end, in a run whose loss has levelled off or swings.

    Why it matters
        The last decay of a schedule usually brings a good part of the final quality.

    How it decides
        Constant rate, converging run, no falling trend over the last third (Mann-Kendall above -2 standard
        errors). A note.

    Known false alarms
        Schedule-free and weight-averaging methods keep the rate constant on purpose.

    References
        Defazio et al. 2024 ("The Road Less Scheduled") for the exception; Goodfellow et al. 2016, section
        8.3.1.
    """
    schedule, shape = learning_rate.schedule, loss.shape
    if not schedule.constant or schedule.peak <= 0 or verdict.label != "converging" or shape.late_z < -LATE_FLAT_Z:
        return
    if len(shape.view) < 30:
        return
    yield finding(
        f"{learning_rate.name} stays at {schedule.peak:.3g} to the end while "
        f"{loss.name} no longer falls ({shape.end:.4g}).",
        severity="note",
        confidence=0.5,
        evidence={
            "learning_rate": schedule.peak,
            "trend_in_standard_errors": round(shape.late_z, 2),
            "threshold": -LATE_FLAT_Z,
        },
        series=learning_rate.name,
        last_step=float(loss.curve.step[-1]),
    )
