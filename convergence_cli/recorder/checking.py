"""The rules inside of the training: on request, and now and then, to stop a run that has failed."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Literal

from convergence_cli.errors import CtroubleshootError, TrainingStopped
from convergence_cli.recorder.journal import Journal, RecorderWarning

if TYPE_CHECKING:
    from convergence_cli.model import Finding, RunReport

# Nothing is judged before: a loss that has hardly begun to fall looks like one that does not.
FIRST_STEPS = 50
# From check to check so many more steps of all.
GROWTH = 1.1
# The checks take at most one fiftieth of the time.
SHARE = 50.0


class Checking:
    """Runs the rules on what ``journal`` holds.

    With ``on_error`` they are run after 50 steps, and then each time the run is a tenth longer, as long as that takes
    no more than 2 % of the time. An error counts where two checks in a row find it: then ``warn`` warns once a rule,
    and ``stop`` raises ``TrainingStopped``.
    """

    def __init__(self, journal: Journal, on_error: Literal["warn", "stop"] | None) -> None:
        self._journal, self._on_error = journal, on_error
        self._next: float = journal.start_step + FIRST_STEPS
        self._free_at = 0.0
        self._before: set[str] = set()
        self._told: set[str] = set()

    def report(self) -> RunReport:
        """What ``analyze`` says of the record so far."""
        from convergence_cli.pipeline import diagnose, read_run

        self._journal.flush()
        return diagnose(read_run(str(self._journal.path)))

    def findings(self) -> tuple[Finding, ...]:
        """The findings, worst first; none where nothing is recorded yet."""
        try:
            return self.report().findings
        except CtroubleshootError:
            return ()

    def at(self, step: int) -> None:
        """Check after ``step``, if it is time to. Raises ``TrainingStopped``, and nothing else."""
        if self._on_error is None or step < self._next or time.perf_counter() < self._free_at:
            return
        start = time.perf_counter()
        try:
            report = self.report()
        except Exception as error:
            self._on_error = None
            message = f"The rules are not checked any more: {type(error).__name__}: {error}. The training goes on."
            warnings.warn(message, RecorderWarning, stacklevel=3)
            return
        now = time.perf_counter()
        self._free_at = now + SHARE * (now - start)
        self._next = self._journal.start_step + (step - self._journal.start_step) * GROWTH
        errors = {found.rule: found for found in report.findings if found.severity == "error"}
        lasting = [found for rule, found in errors.items() if rule in self._before]
        self._before = set(errors)
        if lasting and self._on_error == "stop":
            raise TrainingStopped(report, lasting[0], step)
        for found in lasting:
            if found.rule not in self._told:
                self._told.add(found.rule)
                warnings.warn(f"Step {step}: {found.rule} {found.name}: {found.message}", RecorderWarning, stacklevel=3)
