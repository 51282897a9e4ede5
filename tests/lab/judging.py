"""What the whole program says of a run of the lab, and whether that is right."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from convergence_cli.pipeline import analyze_paths
from convergence_cli.settings import Settings
from lab.catalogue import FAULTS

if TYPE_CHECKING:
    from convergence_cli.model import Finding
    from lab.runs import Truth


@functools.cache
def findings_of(truth: Truth) -> tuple[Finding, ...]:
    """All findings on the run, those of its log included."""
    report = analyze_paths([str(truth.folder)], Settings())
    assert len(report.runs) == 1, report.errors
    return report.runs[0].findings


def is_found(truth: Truth) -> bool:
    """Whether a rule that should fire on this fault does, on a layer that it hits."""
    return any(
        finding.name in truth.rules and (not truth.layers or finding.where.layer in truth.layers)
        for finding in findings_of(truth)
    )


def alarms(truth: Truth) -> tuple[str, ...]:
    """The names of the tensor rules that raise a warning or an error, each once."""
    names = (one.name for one in findings_of(truth) if one.severity != "note" and one.name in FAULTS)
    return tuple(dict.fromkeys(names))


def said(truth: Truth) -> str:
    """The findings in one line, for the message of a failure."""
    found = (f"{one.name}({one.where.layer}, {one.severity})" for one in findings_of(truth))
    return ", ".join(found) or "nothing"
