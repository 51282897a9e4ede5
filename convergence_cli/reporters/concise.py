"""One line a verdict and one a finding, for ``grep`` and editors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.printable import printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._tensor_cells import exact_cells
from convergence_cli.reporters._wording import sentence, verdict_line, worst_first

if TYPE_CHECKING:
    from convergence_cli.model import Finding, Report


def render(report: Report, look: Look = PLAIN) -> str:
    """``path: VERDICT label (97 %): state. reason`` and ``path:series@step: CODE severity name message``.

    Where tensors were asked for, no verdict but a line a row of their table: path and columns, with tabs between.
    """
    lines = []
    for run in report.runs:
        path = printable(run.path)
        if run.tensors is None:
            lines.append(f"{path}: VERDICT {verdict_line(run)}. {sentence(run.verdict.reason)}")
        else:
            lines.extend("\t".join([path, *exact_cells(line)]) for line in run.tensors.rows)
        lines.extend(
            f"{path}{_place(item)}: {printable(item.rule)} {item.severity} {printable(item.name)} "
            f"{sentence(item.message)}"
            for item in worst_first(run.findings)
        )
    lines.extend(
        f"{printable(item.path)}: ERROR {sentence(item.message)} {sentence(item.hint or '')}".rstrip()
        for item in report.errors
    )
    return "".join(f"{line}\n" for line in lines)


def _place(finding: Finding) -> str:
    where = finding.where
    named = where.series or where.layer
    step = "" if where.first_step is None else f"@{where.first_step:.12g}"
    return f":{printable(named, 80) if named else ''}{step}" if named or step else ""
