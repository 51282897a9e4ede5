"""LG0xx: faults of the log itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.printable import counted
from convergence_cli.rules._registry import finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.evidence import LogFacts, Loss
    from convergence_cli.model import Finding

GAP_SHARE = 0.25
FEW_POINTS = 4


@rule("LG001", "step-goes-back", severity="note", since="0.1")
def step_goes_back(log: LogFacts, loss: Loss) -> Iterator[Finding]:
    """The step counter goes back.

    What it checks
        Places where the step of the loss is lower than the one before it.

    Why it matters
        A resume, a second run in the same file, or several writers: each part must be judged for what it is.

    How it decides
        Any step back. It says what each was taken for: a resume (the overwritten points are dropped), a
        resume that lost its counter (the steps are shifted), a fresh run (judged alone), or an unordered log
        (rows are counted).

    Known false alarms
        None: it is a fact that is reported, not a fault.

    References
        TensorBoard, "purge_orphaned_data".
    """
    if not log.restarts:
        return
    last = log.restarts[-1]
    yield finding(
        f"The step goes back {counted(len(log.restarts), 'time')}, last from {last.from_step:g} "
        f"to {last.to_step:g}: taken as {last.kind}.",
        severity="note",
        confidence=0.9,
        evidence={
            "restarts": len(log.restarts),
            "from_step": last.from_step,
            "to_step": last.to_step,
            "taken_as": last.kind,
        },
        series=loss.name,
        first_step=log.restarts[0].to_step,
    )


@rule("LG002", "gap-in-log", severity="note", since="0.1")
def gap_in_log(log: LogFacts, loss: Loss) -> Iterator[Finding]:
    """A long stretch of steps is missing from the log.

    What it checks
        The widest hole between neighbouring steps of the loss.

    Why it matters
        What happened there cannot be seen: a divergence and its recovery may hide in it.

    How it decides
        A hole of at least a quarter of all steps, in a log of at least 10 points.

    Known false alarms
        Logs that thin out on purpose (logarithmic logging).

    References
        None needed: it is a fact about the file.
    """
    if log.widest_gap is None or log.widest_gap[2] < GAP_SHARE:
        return
    first, last, share = log.widest_gap
    yield finding(
        f"{loss.name} has no point between steps {first:g} and {last:g}, {100 * share:.0f} % of the log.",
        severity="note",
        confidence=0.8,
        evidence={"from_step": first, "to_step": last, "share": round(share, 3), "threshold_share": GAP_SHARE},
        series=loss.name,
        first_step=first,
        last_step=last,
    )


@rule("LG003", "duplicate-series", severity="note", since="0.1")
def duplicate_series(log: LogFacts, loss: Loss) -> Iterator[Finding]:
    """Two series that should differ are the same, value by value.

    What it checks
        The series read as losses against the other series that have a role.

    Why it matters
        A validation loss that equals the training loss everywhere was computed on the training data:
        overfitting cannot be seen.

    How it decides
        Equal at every point, at least 4 points.

    Known false alarms
        One metric logged under two names.

    References
        None needed: it is a fact about the file.
    """
    for first, second in log.duplicates:
        yield finding(
            f"{first} and {second} are equal at all {loss.logged.points} points.",
            severity="note",
            confidence=0.9,
            evidence={"first": first, "second": second, "points": loss.logged.points},
            series=first,
        )


@rule("LG004", "too-few-points", severity="note", since="0.1")
def too_few_points(log: LogFacts) -> Iterator[Finding]:
    """The log is too short to judge.

    What it checks
        The number of points of the loss (or of the longest series where there is no loss).

    Why it matters
        A verdict from one or two points would be a guess; it is not given.

    How it decides
        Fewer than 4 points.

    Known false alarms
        None: it says what is missing.

    References
        None needed: it is a fact about the file.
    """
    # Dumps alone are no log.
    if not 0 < log.points < FEW_POINTS:
        return
    yield finding(
        f"The log holds {counted(log.points, 'point')} of its loss; a verdict needs at least {FEW_POINTS}.",
        severity="note",
        confidence=1.0,
        evidence={"points": log.points, "threshold": FEW_POINTS},
    )
