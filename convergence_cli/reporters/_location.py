"""Where files lie: from the folder that a reader of the output works in."""

from __future__ import annotations

from dataclasses import replace
from os.path import join, normpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convergence_cli.model import Finding, Report


def relative(path: str, base: str) -> str:
    """``path`` from the absolute folder ``base`` where it lies below it, else as it is."""
    if not base:
        return path
    inside = normpath(join(base, path)).removeprefix(base.rstrip("/") + "/")
    return path if inside.startswith("/") else inside


def placed_from(report: Report, base: str) -> Report:
    """``report`` with the places of its findings in files as seen from ``base``."""
    runs = tuple(
        replace(run, findings=tuple(_placed(finding, base) for finding in run.findings)) for run in report.runs
    )
    return replace(report, runs=runs)


def _placed(finding: Finding, base: str) -> Finding:
    file = finding.where.file
    if file is None:
        return finding
    return replace(finding, where=replace(finding.where, file=relative(file, base)))
