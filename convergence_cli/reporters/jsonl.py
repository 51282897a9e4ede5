"""One JSON object a line, each with its ``type``; the summary comes last, so that a cut stream shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from convergence_cli.codec import TOOL, plain, runs_data
from convergence_cli.model import SCHEMA_VERSION, SEVERITIES
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.row import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Report

_PARTS = {"findings": "finding", "causes": "cause", "remedies": "remedy", "skipped": "skip"}


def render(report: Report, look: Look = PLAIN) -> str:
    """Lines of type run, tensor, finding, cause, remedy, skip, error, fleet (of several runs) and, last, summary."""
    return "".join(json.dumps(item, allow_nan=False) + "\n" for item in _items(report))


def _items(report: Report) -> Iterator[dict[str, Any]]:
    for data in runs_data(report.runs):
        parts = {key: data.pop(key) for key in _PARTS}
        table = data.pop("tensors", None)
        yield {"type": "run", **data}
        for row in table["rows"] if table else ():
            yield {"type": "tensor", "run": data["path"], "run_name": data["name"], **row}
        for key, kind in _PARTS.items():
            for part in parts[key]:
                yield {"type": kind, "run": data["path"], "run_name": data["name"], **part}
    for error in report.errors:
        yield {"type": "error", **plain(error)}
    if report.fleet is not None:
        yield {"type": "fleet", **plain(report.fleet)}
    rows = rows_of(report.runs)
    yield {
        "type": "summary",
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": TOOL, "version": report.version},
        "runs": len(report.runs),
        "findings": {name: sum(row.found.get(name, 0) for row in rows) for name in SEVERITIES},
        "errors": len(report.errors),
    }
