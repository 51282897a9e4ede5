"""The way from paths to a report: discover, read logs and dumps, roles, features, rules, causes, remedies."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli import __version__
from convergence_cli.axis import axis_of, in_words_of
from convergence_cli.diagnosis import explain
from convergence_cli.errors import SourceError
from convergence_cli.features.evidence import Evidence
from convergence_cli.features.unjudged import holds_only_the_machine
from convergence_cli.model import Report, Run, RunError, RunReport, Verdict
from convergence_cli.printable import printable
from convergence_cli.reading.runs import runs_at
from convergence_cli.roles import assign_roles
from convergence_cli.rules import all_rules, apply_rules
from convergence_cli.selection import select_rules
from convergence_cli.settings import Settings
from convergence_cli.summary import DRAWN, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from convergence_cli.model import Finding, Skipped
    from convergence_cli.rules import Rule

# Verdict states in which there was nothing to judge: no verdict, exit code 2.
# No sentence of a report is longer.
MAX_SENTENCE = 2000
NOTHING_TO_JUDGE = frozenset({"no-loss", "reward-only", "adversarial"})
# The series that such a state, or a verdict, is about.
_JUDGED = ("train_loss", "val_loss", "reward", "adversarial_loss")


def analyze_paths(
    paths: Sequence[str], settings: Settings, *, progress: Callable[[str], None] | None = None, dumps: bool = True
) -> Report:
    """The report on every run at ``paths``. What cannot be read is an error in it, never an exception.

    Without ``dumps`` only logs are read: a verdict needs no tensors, and they may be large.
    """
    runs: list[RunReport] = []
    errors: list[RunError] = []
    for item in runs_at(paths, settings, dumps=dumps):
        if isinstance(item, RunError):
            errors.append(item)
            continue
        if progress is not None:
            progress(item.name)
        report, error = judged(item, settings)
        runs.append(report)
        if error is not None:
            errors.append(error)
    return Report(tuple(runs), tuple(errors), __version__)


def read_paths(paths: Sequence[str], settings: Settings, *, dumps: bool = True) -> tuple[list[Run], list[RunError]]:
    """Every run at ``paths`` with its roles (and its tensors, with ``dumps``), and what could not be read."""
    items = list(runs_at(paths, settings, dumps=dumps))
    return [i for i in items if isinstance(i, Run)], [i for i in items if isinstance(i, RunError)]


def read_run(path: str | PathLike[str], settings: Settings | None = None) -> Run:
    """The one run at ``path``; a ``SourceError`` where there is none, or more than one.

    ``settings.metrics`` names series for roles, ``settings.pattern`` a regex for text logs.
    """
    runs, errors = read_paths([str(path)], settings or Settings())
    if len(runs) == 1:
        return runs[0]
    if errors and not runs:
        raise SourceError(str(path), errors[0].message, errors[0].hint or "")
    names = ", ".join(printable(run.name) for run in runs[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    raise SourceError(str(path), f"{printable(path)} holds {len(runs)} runs: {names}{more}.", "Name one of them.")


def diagnose(run: Any, settings: Settings | None = None) -> RunReport:
    """The report on one run: a ``Run``, a path, or a data frame with one column a series.

    With ``settings.as_of`` on the run as its log was then. Raises ``UsageError`` where that is no step.
    """
    settings = settings or Settings()
    return _diagnosed(as_run(run, settings), settings, DRAWN)


def _diagnosed(run: Run, settings: Settings, buckets: int) -> RunReport:
    rules = _rules(settings.profile, settings.select, settings.ignore, settings.extend_select)
    # A loss that explodes reaches numbers whose differences overflow: to inf, as it should be.
    with np.errstate(all="ignore"):
        evidence = Evidence(run) if settings.as_of is None else _evidence_as_of(run, settings.as_of)
        return _judged(evidence, rules, buckets)


@lru_cache(maxsize=8)
def _rules(
    profile: str, select: tuple[str, ...], ignore: tuple[str, ...], extend_select: tuple[str, ...]
) -> tuple[Rule, ...]:
    return select_rules(all_rules(), profile=profile, select=select, ignore=ignore, extend_select=extend_select)


def judged(run: Run, settings: Settings, buckets: int = DRAWN) -> tuple[RunReport, RunError | None]:
    """The report on ``run`` with at most ``buckets`` of each curve, and the error where it holds nothing to judge."""
    report = _diagnosed(run, settings, buckets)
    if report.verdict.state in NOTHING_TO_JUDGE and run.tensors is None:
        return report, _nothing_to_judge(report, run)
    return report, None


def as_run(run: Any, settings: Settings) -> Run:
    """``run`` where it is one; else the run at that path, or in that data frame."""
    if isinstance(run, Run):
        return run
    return _run_of_frame(run, settings) if hasattr(run, "columns") else read_run(run, settings)


def _evidence_as_of(whole: Run, step: float) -> Evidence:
    """What ``whole`` showed when it first passed ``step``."""
    from convergence_cli.as_of import as_of

    run = as_of(whole, step)
    evidence = Evidence(run)
    begun = [curve for role in _JUDGED if (curve := whole.curve(role)) is not None]
    if begun and not any(run.curve(role) for role in _JUDGED):
        # It has a loss, only not yet: to name one with --metric would not help.
        reason = f"{begun[0].name} has no point up to step {step:.12g}."
        evidence.verdict = Verdict("undetermined", 0.0, "too-few-points", reason)
    return evidence


def _judged(evidence: Evidence, rules: Sequence[Rule], buckets: int) -> RunReport:
    run = evidence.run
    axis = axis_of(run)
    findings, skipped = apply_rules(evidence, rules)
    causes, remedies = explain(findings, evidence)

    def said(sentence: str) -> str:
        # Names in it are the log's: whoever prints a report must not act on them.
        return printable(in_words_of(axis, sentence), MAX_SENTENCE)

    return RunReport(
        name=run.name,
        path=run.path,
        format=run.format,
        summary=summarise(evidence, axis, findings, buckets),
        verdict=replace(evidence.verdict, reason=said(evidence.verdict.reason)),
        findings=tuple(replace(one, message=said(one.message)) for one in findings),
        causes=causes,
        remedies=tuple(replace(one, why=said(one.why)) for one in remedies),
        skipped=skipped,
        notes=run.notes,
        passed=_passed(rules, findings, skipped),
    )


def _passed(rules: Sequence[Rule], findings: Sequence[Finding], skipped: Sequence[Skipped]) -> tuple[str, ...]:
    spoken = {found.rule for found in findings} | {skip.rule for skip in skipped}
    return tuple(rule.code for rule in rules if rule.code not in spoken)


def _run_of_frame(frame: Any, settings: Settings) -> Run:
    from convergence_cli.readers.frame import run_of_frame

    return assign_roles(run_of_frame(frame), settings.metrics)


def _nothing_to_judge(report: RunReport, run: Run) -> RunError:
    total = report.summary.get("series_total", 0)
    hint = "Name the loss with --metric train_loss=NAME, if one of the series is it."
    if report.verdict.state == "reward-only":
        hint = "Rewards alone are not judged: log a loss, too, or name one of the series with --metric train_loss=NAME."
    elif holds_only_the_machine(run):
        hint = "Give the file to which the training loop writes its loss."
    return RunError(
        report.path, f"{printable(report.path)}: {printable(report.verdict.reason, 400)} ({total} series read.)", hint
    )
