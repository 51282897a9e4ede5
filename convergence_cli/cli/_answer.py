"""From runs to an exit code: what ``analyze``, ``classify``, ``demo`` and ``report`` have in common."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from convergence_cli.cli._output import (
    carries_unicode,
    complain,
    wants_color,
    width,
    working_directory,
    write,
)
from convergence_cli.errors import EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_NO_VERDICT, EXIT_OK
from convergence_cli.model import SEVERITIES
from convergence_cli.printable import printable
from convergence_cli.reporters import Look, render
from convergence_cli.reporters._braille import braille
from convergence_cli.row import rows_of
from convergence_cli.selection import select_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Report
    from convergence_cli.reporters import RulePage
    from convergence_cli.settings import Settings

_WITH_RULE_PAGES = ("sarif", "junit", "html")


def analyze_many(
    runs: Sequence[str],
    settings: Settings,
    *,
    quiet: bool,
    group_by: Sequence[str] = (),
    jobs: str | None = None,
    engine: str | None = None,
    cached: bool = True,
    dumps: bool = True,
    worst_comes_first: bool = True,
) -> Report:
    """The report on ``runs``, judged together; a bar is shown meanwhile, where it takes long.

    Without ``dumps`` only logs are read: a verdict needs no tensors, and they may be large.
    """
    one_blas_thread()
    from convergence_cli.cli._bar import fleet_progress
    from convergence_cli.cli._workers import executor_for
    from convergence_cli.fleet.running import analyze_fleet

    executor = executor_for(engine, jobs)
    keys = [key.strip() for item in group_by for key in item.split(",") if key.strip()]
    with fleet_progress(quiet) as show:
        return analyze_fleet(
            runs,
            settings,
            executor=executor,
            group_by=keys,
            cached=cached,
            dumps=dumps,
            worst_comes_first=worst_comes_first,
            progress=show,
        )


def one_blas_thread() -> None:
    """Spare numpy the start of threads that no statistic here is large enough to use."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def answer(
    report: Report, settings: Settings, *, quiet: bool = False, verbose: bool = False, curves: bool = False
) -> int:
    """Write ``report`` as ``settings`` ask, say on stderr what could not be read, and give the exit code."""
    write_report(render(report, settings.format, _look(settings, quiet, verbose, curves)), report, settings.output)
    if not (settings.format == "text" and settings.output is None and sys.stdout.isatty()):
        # On a terminal the report has just said it.
        complain_of(report)
    return exit_code(report, settings)


def write_report(text: str, report: Report, path: str | None) -> None:
    """``text`` to ``path`` or standard output; a file is left as it is where no run was read."""
    if path is None or report.runs:
        write(text, path)
    else:
        kept = "left as it was" if os.path.lexists(path) else "not written"
        complain(f"{printable(path)} is {kept}: nothing was judged.")


def complain_of(report: Report) -> None:
    """One sentence on stderr for each input that gave no verdict."""
    for error in report.errors:
        complain(error.message, error.hint)


def exit_code(report: Report, settings: Settings) -> int:
    """2 where any input gave no verdict, else 1 where any finding is as severe as ``fail_on``, else 0.

    130 where the work was interrupted, whatever was found until then.
    """
    if report.fleet is not None and report.fleet.interrupted:
        return EXIT_INTERRUPTED
    if report.errors or not report.runs:
        return EXIT_NO_VERDICT
    failing = failing_severities(settings.fail_on)
    failed = any(row.found.get(name) for row in rows_of(report.runs) for name in failing)
    return EXIT_FINDINGS if failed and not settings.exit_zero else EXIT_OK


def failing_severities(fail_on: str) -> frozenset[str]:
    """The severities at or above ``fail_on``; none for ``never``."""
    if fail_on == "never":
        return frozenset()
    names: tuple[str, ...] = SEVERITIES
    return frozenset(names[: names.index(fail_on) + 1])


def _look(settings: Settings, quiet: bool, verbose: bool, curves: bool) -> Look:
    stream = None if settings.output else sys.stdout
    rules: tuple[RulePage, ...] = ()
    if settings.format in _WITH_RULE_PAGES:
        from convergence_cli.rules import all_rules

        rules = select_rules(
            all_rules(),
            profile=settings.profile,
            select=settings.select,
            ignore=settings.ignore,
            extend_select=settings.extend_select,
        )
    return Look(
        width=width(stream),
        color=settings.format == "text" and _color(settings),
        unicode=bool(settings.output) or carries_unicode(stream, braille(0) if curves else ""),
        detail=int(verbose) - int(quiet),
        rules=rules,
        failing=failing_severities(settings.fail_on),
        base=working_directory(),
        curves=curves,
    )


def _color(settings: Settings) -> bool:
    if settings.output:
        return settings.color == "always"
    return wants_color(settings.color, sys.stdout, os.environ)
