"""Which remedies are worth a trial, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from convergence_cli.errors import UsageError
from convergence_cli.outcome import NotTried
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from convergence_cli.model import Remedy, RunReport

NO_VALUE = "it has no value that a program could be given"


def shortlist(
    report: RunReport, most: int, refusal: Callable[[Remedy], str] = lambda remedy: ""
) -> tuple[list[Remedy], list[NotTried]]:
    """The first ``most`` remedies of ``report`` that have a value and that ``refusal`` says nothing against.

    And those passed over before them. Raises ``UsageError`` where there is none to try.
    """
    chosen: list[Remedy] = []
    passed: list[NotTried] = []
    for remedy in report.remedies:
        if len(chosen) == most:
            break
        reason = refusal(remedy) if remedy.change else NO_VALUE
        if reason:
            passed.append(NotTried(remedy, reason))
        else:
            chosen.append(remedy)
    if not chosen:
        raise _nothing_to_try(report, passed)
    return chosen, passed


def _nothing_to_try(report: RunReport, passed: list[NotTried]) -> UsageError:
    name = printable(report.name)
    hint = f"See what there is to know with: ctroubleshoot analyze {printable(report.path)}"
    if not passed:
        return UsageError(
            f"{name} is {report.verdict.label}, and no remedy is proposed: there is nothing to try.", hint
        )
    reasons = "; ".join(f"{printable(one.remedy.name)}: {printable(one.reason)}" for one in passed)
    return UsageError(f"None of the remedies for {name} can be tried ({reasons}).", hint)
