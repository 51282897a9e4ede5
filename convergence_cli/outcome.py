"""The frozen data of remedies that were tried: what ran, what it logged, and what came of it.

Nothing here computes, and nothing here imports numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from convergence_cli.model import Remedy, RunReport, Severity

# How a trial ended: by itself, with an error, stopped by us at its time or steps; or it could not be started.
Ended = Literal["finished", "crashed", "time", "steps", "not-started"]
# In the order of how good the news is.
Outcome = Literal["cured", "not-proven", "not-cured", "not-reached", "unreadable"]
# What became of a finding; ``unknown`` where its rule could not look at the trial.
Fate = Literal["gone", "there", "new", "unknown"]


@dataclass(frozen=True, slots=True)
class Execution:
    """One command as it ran. ``seconds`` is wall time; bytes are those of its output, kept and left out.

    ``exit_code`` is negative for a signal, as in ``subprocess``; ``last_lines`` are the end of the output,
    and ``output_error`` is why it could not all be written.
    ``variables`` are the environment variables that were set for it.
    """

    command: tuple[str, ...]
    variables: Mapping[str, str]
    folder: str
    output: str
    ended: Ended
    exit_code: int | None
    seconds: float
    output_bytes: int = 0
    left_out_bytes: int = 0
    output_error: str | None = None
    last_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """What is set side by side, of one run: its report, and its best ``series`` (a loss) up to ``last_step``."""

    report: RunReport
    last_step: float | None
    series: str | None = None
    best: float | None = None
    best_step: float | None = None


@dataclass(frozen=True, slots=True)
class FindingFate:
    """A finding before or after. ``targeted``: the cause that the remedy answers rests on it."""

    rule: str
    name: str
    severity: Severity
    targeted: bool
    fate: Fate


@dataclass(frozen=True, slots=True)
class Checks:
    """What a cure asks for, each True, False, or None where it cannot be told.

    ``ran``: it ended by itself without an error, or was stopped at its budget; ``readable``: it logged what can be
    judged; ``reached``: the change came to the training; ``not_failing``: its verdict is converging;
    ``findings_gone``: the findings behind the cause are gone, and no new error came;
    ``no_worse``: its best loss at equal steps is not worse than before.
    """

    ran: bool
    readable: bool
    reached: bool | None = None
    not_failing: bool | None = None
    findings_gone: bool | None = None
    no_worse: bool | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One remedy, tried once. ``before`` and ``after`` end at the same step; None where nothing could be read."""

    remedy: Remedy
    outcome: Outcome
    why: str
    checks: Checks
    seed: int | None = None
    execution: Execution | None = None
    read_from: str | None = None
    before: Side | None = None
    after: Side | None = None
    findings: tuple[FindingFate, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def cured(self) -> bool:
        """Whether this trial is free of what was wrong before."""
        return self.outcome == "cured"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One remedy with its trials, one a seed. ``cured``: more than half of the trials are."""

    remedy: Remedy
    trials: tuple[Trial, ...]
    cured: bool


@dataclass(frozen=True, slots=True)
class NotTried:
    """A remedy that was passed over, and why."""

    remedy: Remedy
    reason: str


@dataclass(frozen=True, slots=True)
class Trials:
    """The whole answer. ``before`` is the report on the run as it was, ``control`` how the unchanged command ended."""

    before: RunReport
    attempts: tuple[Attempt, ...]
    not_tried: tuple[NotTried, ...] = ()
    control: Execution | None = None
    notes: tuple[str, ...] = ()
    version: str = ""

    @property
    def cured(self) -> bool:
        """Whether one of the remedies cured it."""
        return any(attempt.cured for attempt in self.attempts)

    @property
    def remedy(self) -> Remedy | None:
        """The first remedy that cured it, if any."""
        return next((attempt.remedy for attempt in self.attempts if attempt.cured), None)

    @property
    def readable(self) -> bool:
        """Whether any trial logged what can be judged."""
        return any(trial.checks.readable for attempt in self.attempts for trial in attempt.trials)

    @property
    def change(self) -> Mapping[str, Any] | None:
        """What to change, by the first remedy that cured it."""
        return None if self.remedy is None else self.remedy.change

    def __str__(self) -> str:
        last = [attempt.trials[-1] for attempt in self.attempts]
        return "; ".join(f"{trial.remedy.name}: {trial.outcome}. {trial.why}" for trial in last) or "nothing was tried"
