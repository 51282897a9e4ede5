"""The table of tensors as comma-separated values: all columns, every digit, nothing a spreadsheet would calculate."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from convergence_cli.printable import as_cell
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._tensor_cells import COLUMNS, exact_cells
from convergence_cli.reporters._wording import titles

if TYPE_CHECKING:
    from convergence_cli.model import Report


def render(report: Report, look: Look = PLAIN) -> str:
    """A header, then a line a row of each run; flags with spaces between."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(("run", *COLUMNS))
    for title, run in zip(titles(report.runs), report.runs, strict=True):
        if run.tensors is not None:
            named = as_cell(title)
            writer.writerows([named, *map(as_cell, exact_cells(line))] for line in run.tensors.rows)
    return sink.getvalue()
