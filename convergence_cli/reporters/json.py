"""The contract of ``report.schema.json``: ASCII, stable order, no bare NaN."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from convergence_cli.codec import to_data
from convergence_cli.reporters import PLAIN, Look

if TYPE_CHECKING:
    from convergence_cli.model import Report


def render(report: Report, look: Look = PLAIN) -> str:
    """The whole report as one JSON object."""
    return json.dumps(to_data(report), allow_nan=False, indent=2) + "\n"
