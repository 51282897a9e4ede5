"""LG1xx: whether the run still writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.rules._registry import finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.tensors.writer import Writer
    from convergence_cli.model import Finding

PAUSE_SECONDS = 1800.0
PAUSE_FACTOR = 10.0
FINISHED = 0.98


@rule("LG101", "stalled-writer", severity="warning", since="0.1")
def stalled_writer(writer: Writer) -> Iterator[Finding]:
    """The run paused for long between two dumps, or has stopped writing before its planned end.

    What it checks
        The times at which dumps were written, against the usual wait between them.

    Why it matters
        A hanging data loader, a lost worker or a dead node costs the whole machine while nothing is learned.

    How it decides
        A pause of at least half an hour and 10 times the usual wait: a warning. As long a silence since the
        last dump of a run that has not reached the steps its config plans: a note, since early stopping looks
        the same. Dumps copied at once have no pauses and stay silent.

    Known false alarms
        A job that was suspended on purpose, and resumed.

    References
        SageMaker Debugger, rule StalledTrainingRule (threshold 1800 s).
    """
    limit = max(PAUSE_SECONDS, PAUSE_FACTOR * writer.usual)
    evidence = {
        "usual_seconds": round(writer.usual, 1),
        "threshold_seconds": round(limit, 1),
        "threshold_factor": PAUSE_FACTOR,
    }
    if writer.pause >= limit:
        yield finding(
            f"No dump was written for {writer.pause:,.0f} seconds after step {writer.pause_step:g}; usual are "
            f"{writer.usual:,.0f}.",
            severity="warning",
            confidence=0.8,
            evidence={"side": "pause", "pause_seconds": round(writer.pause, 1), **evidence},
            first_step=writer.pause_step,
        )
    planned = writer.planned
    if planned is not None and writer.last_step < FINISHED * planned and writer.silence >= limit:
        yield finding(
            f"The last step is {writer.last_step:g} of {planned:g} planned, and nothing was dumped for "
            f"{writer.silence:,.0f} seconds since.",
            severity="note",
            confidence=0.6,
            evidence={
                "side": "stopped",
                "silence_seconds": round(writer.silence, 1),
                "last_step": writer.last_step,
                "planned_steps": planned,
                "threshold_share_of_plan": FINISHED,
                **evidence,
            },
            last_step=writer.last_step,
        )
