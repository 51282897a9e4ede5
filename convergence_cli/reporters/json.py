"""The contract of ``report.schema.json``: ASCII, stable order, no bare NaN."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from convergence_cli.codec import runs_data, to_data
from convergence_cli.reporters import PLAIN, Look

if TYPE_CHECKING:
    from convergence_cli.model import Report

SHOWN_IN_FULL = 200


def render(report: Report, look: Look = PLAIN) -> str:
    """The whole report as one JSON object."""
    if len(report.runs) <= SHOWN_IN_FULL:
        return json.dumps(to_data(report), allow_nan=False, indent=2) + "\n"
    # Indenting takes ten times the time: of many runs each has a line.
    frame = to_data(replace(report, runs=()))
    head = json.dumps({key: frame.pop(key) for key in ("schema_version", "tool")}, allow_nan=False)
    runs = ",\n".join(json.dumps(run, allow_nan=False) for run in runs_data(report.runs))
    rest = json.dumps({key: item for key, item in frame.items() if key != "runs"}, allow_nan=False)
    return f'{head[:-1]},\n"runs": [\n{runs}\n],\n{rest[1:]}\n'
