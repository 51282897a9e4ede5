"""GitLab code quality: an array of issues."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._location import relative
from convergence_cli.reporters._wording import sentence, worst_first

if TYPE_CHECKING:
    from convergence_cli.model import Report

_SEVERITY = {"error": "critical", "warning": "major", "note": "info"}


def render(report: Report, look: Look = PLAIN) -> str:
    """One issue a finding and unreadable input."""
    issues = [
        _issue(
            f"{item.rule} {item.name}",
            item.message,
            _SEVERITY[item.severity],
            relative(item.where.file or run.path, look.base),
            item.where.line or 1,
            f"{run.path} {run.name} {item.rule} {item.fingerprint} {item.where.series} {item.where.layer}",
        )
        for run in report.runs
        for item in worst_first(run.findings)
    ]
    issues += [
        _issue(
            "not-read",
            f"{item.message} {item.hint or ''}",
            "blocker",
            relative(item.path, look.base),
            1,
            f"{item.path} not-read",
        )
        for item in report.errors
    ]
    return json.dumps(issues, allow_nan=False, indent=2) + "\n"


def _issue(check: str, text: str, severity: str, path: str, line: int, identity: str) -> dict[str, Any]:
    return {
        "check_name": printable(check),
        "description": sentence(text),
        "severity": severity,
        "fingerprint": hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest(),
        "location": {"path": printable(path), "lines": {"begin": line}},
    }
