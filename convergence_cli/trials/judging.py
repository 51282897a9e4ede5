"""What came of a trial: the verdict, the findings behind the cause, and the loss at equal steps, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

from convergence_cli.as_of import as_of
from convergence_cli.axis import axis_of
from convergence_cli.outcome import Checks, FindingFate, Side, Trial
from convergence_cli.pipeline import diagnose
from convergence_cli.trials.deciding import Facts, decide, in_words
from convergence_cli.trials.reading import last_step, with_settings
from convergence_cli.trials.sides import SHORTENING, best_of, compared_role, is_no_worse, reached

if TYPE_CHECKING:
    from convergence_cli.model import Finding, Remedy, Run, RunReport
    from convergence_cli.outcome import Execution, Fate
    from convergence_cli.settings import Settings
    from convergence_cli.trials.reading import Reading

_SERIOUS = ("error", "warning")
_NOT_CANONICAL = frozenset({"x"})


@dataclass(frozen=True, slots=True)
class Before:
    """What a trial is compared with: the run, the report on all of it, and its settings as far as they are known.

    ``report`` is that on the user's run also where ``run`` is a control: remedies and causes are from there.
    """

    run: Run
    report: RunReport
    present: Mapping[str, Any]
    settings: Settings


def judge(
    before: Before,
    remedy: Remedy,
    reading: Reading,
    *,
    execution: Execution | None = None,
    may_take: bool | None = None,
    seed: int | None = None,
) -> Trial:
    """The trial of ``remedy`` that logged ``reading``; ``may_take``: whether its command has a place for the change."""
    ran = execution is None or execution.ended in ("finished", "time", "steps")
    if reading.run is None:
        way_out = " Have the command print its loss, or name its log with --log." if ran and execution else ""
        if execution is not None and execution.ended == "time":
            way_out = " Give it longer with --budget, or have it print its loss sooner."
        why = f"{in_words(execution)}Nothing was logged that can be judged: {reading.reason}.{way_out}"
        return Trial(remedy, "unreadable", why, Checks(ran, False), seed, execution, notes=reading.notes)
    own = reading.run
    seen, unseen = reached(before.run, own, remedy, before.present)
    stopped = execution is not None and execution.ended in ("time", "steps")
    known = {key: value for key, value in before.present.items() if key not in _NOT_CANONICAL}
    after = replace(with_settings(own, {**known, **remedy.change}), goes_on=stopped)
    whole = ran and not stopped and bool(SHORTENING & remedy.change.keys())
    if whole and "early_stopping" in remedy.change:
        after = _as_kept(after)
    left, right, best_role = _sides(before, after)
    codes = targets(before.report, remedy)
    fates = _fates(left.report, right.report, codes, before.report.findings)
    facts = Facts(
        before=left,
        after=right,
        fates=fates,
        execution=execution,
        axes=(axis_of(before.run), axis_of(after)),
        shown=whole or _shows(left.report, codes),
        unseen=unseen,
        may_take=may_take,
    )
    lower = best_role is None or (own.curve(best_role) or before.run.curves[0]).direction == "lower"
    checks = Checks(
        ran=ran,
        readable=True,
        reached=seen,
        not_failing=None if right.report.verdict.label == "undetermined" else not right.report.verdict.fails,
        findings_gone=_gone(fates),
        no_worse=is_no_worse(left.best, right.best, lower=lower),
    )
    outcome, why = decide(facts, checks, remedy)
    notes = reading.notes
    return Trial(remedy, outcome, why, checks, seed, execution, reading.path, left, right, fates, notes)


def _as_kept(run: Run) -> Run:
    """What early stopping keeps of ``run``: all up to its best validation; that it rose until it stopped is the way
    in which it works."""
    curve = run.curve("val_loss")
    best = None if curve is None else best_of(curve, inf)
    return run if best is None else as_of(run, max(best[1], 0.0))


def targets(report: RunReport, remedy: Remedy) -> frozenset[str]:
    """The codes of the findings on which the cause of ``remedy`` rests: errors and warnings, else notes."""
    support = {code for cause in report.causes if cause.name == remedy.addresses for code in cause.supported_by}
    found = [finding for finding in report.findings if finding.rule in support]
    serious = frozenset(finding.rule for finding in found if finding.severity in _SERIOUS)
    return serious or frozenset(finding.rule for finding in found)


def _sides(before: Before, after: Run) -> tuple[Side, Side, str | None]:
    """Both runs up to the same step; the report on the trial is on all of it."""
    ends = (last_step(before.run), last_step(after))
    known = [end for end in ends if end is not None]
    comparable = axis_of(before.run) == axis_of(after) and len(known) == 2
    step = min(known) if comparable else None
    settings = before.settings
    cut = step is not None and ends[0] is not None and ends[0] > step
    left = diagnose(before.run, replace(settings, as_of=step if cut else None))
    right = diagnose(after, replace(settings, as_of=None))
    role = compared_role(before.run, after)
    return (
        _side(left, before.run, role, step if comparable else ends[0]),
        _side(right, after, role, step if comparable else ends[1]),
        role,
    )


def _side(report: RunReport, run: Run, role: str | None, until: float | None) -> Side:
    curve = None if role is None else run.curve(role)
    best = None if curve is None or until is None else best_of(curve, until)
    value, step = (None, None) if best is None else best
    return Side(report, until, role, value, step)


def _shows(report: RunReport, codes: frozenset[str]) -> bool:
    """Whether what is wrong shows in ``report`` at all: with it the trial is compared."""
    return bool(codes & {finding.rule for finding in report.findings}) or report.verdict.fails


def _fates(
    before: RunReport, after: RunReport, codes: frozenset[str], whole: tuple[Finding, ...]
) -> tuple[FindingFate, ...]:
    """Errors and warnings of either side, and what the cause rests on; each rule once, the targeted first."""
    found = {finding.rule: finding for finding in reversed((*after.findings, *before.findings, *whole))}
    there = {finding.rule for finding in after.findings}
    earlier = {finding.rule for finding in (*before.findings, *whole)}
    fates = []
    for code, finding in found.items():
        if code not in codes and finding.severity not in _SERIOUS:
            continue
        fate: Fate = "gone" if code in after.passed else "unknown"
        if code in there:
            fate = "there" if code in earlier else "new"
        fates.append(FindingFate(code, finding.name, finding.severity, code in codes, fate))
    return tuple(sorted(fates, key=lambda one: (not one.targeted, one.severity != "error", one.rule)))


def _gone(fates: tuple[FindingFate, ...]) -> bool | None:
    """Whether all targeted findings are gone and no error is new; None where a rule could not look."""
    if any(one.fate == "there" for one in fates if one.targeted):
        return False
    if any(one.fate == "new" and one.severity == "error" for one in fates):
        return False
    return None if any(one.fate == "unknown" for one in fates if one.targeted) else True
