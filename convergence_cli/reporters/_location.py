"""Where files lie: from the folder that a reader of the output works in."""

from __future__ import annotations

from dataclasses import replace
from os.path import join, normpath
from typing import TYPE_CHECKING, Any, overload

from convergence_cli.row import RowedReports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.model import Finding, Report, RunReport


def relative(path: str, base: str) -> str:
    """``path`` from the absolute folder ``base`` where it lies below it, else as it is."""
    if not base:
        return path
    inside = normpath(join(base, path)).removeprefix(base.rstrip("/") + "/")
    return path if inside.startswith("/") else inside


def placed_from(report: Report, base: str) -> Report:
    """``report`` with the places of its findings in files as seen from ``base``."""
    if isinstance(report.runs, RowedReports):
        return replace(report, runs=_Placed(report.runs, base))
    return replace(report, runs=tuple(_run_placed(run, base) for run in report.runs))


class _Placed(RowedReports):
    """``runs`` with their places as seen from ``base``, each when it is asked for."""

    def __init__(self, runs: RowedReports, base: str) -> None:
        self._runs, self._base = runs, base
        self.rows = runs.rows

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> RunReport: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[RunReport]: ...

    def __getitem__(self, index: int | slice) -> RunReport | Sequence[RunReport]:
        if isinstance(index, slice):
            return [_run_placed(run, self._base) for run in self._runs[index]]
        return _run_placed(self._runs[index], self._base)

    def each_data(self) -> Iterator[dict[str, Any]]:
        """Each report as plain data."""
        for data in self._runs.each_data():
            for finding in data["findings"]:
                where = finding["where"]
                if where["file"] is not None:
                    where["file"] = relative(where["file"], self._base)
            yield data


def _run_placed(run: RunReport, base: str) -> RunReport:
    return replace(run, findings=tuple(_placed(finding, base) for finding in run.findings))


def _placed(finding: Finding, base: str) -> Finding:
    file = finding.where.file
    if file is None:
        return finding
    return replace(finding, where=replace(finding.where, file=relative(file, base)))
