"""Report to and from plain JSON data. NaN and infinities become strings: bare, they are not JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from convergence_cli.errors import SourceError
from convergence_cli.model import (
    SCHEMA_VERSION,
    Cause,
    Finding,
    Remedy,
    Report,
    RunError,
    RunReport,
    Skipped,
    Verdict,
    Where,
)

TOOL = "ctroubleshoot"


def to_data(report: Report) -> dict[str, Any]:
    """``report`` as dictionaries, lists, strings and finite numbers; see ``report.schema.json``."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": TOOL, "version": report.version},
        "runs": [plain(run) for run in report.runs],
        "errors": [plain(error) for error in report.errors],
    }


def plain(value: Any) -> Any:
    """``value`` with dataclasses as dictionaries and non-finite numbers as "nan", "inf" and "-inf"."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {item.name.rstrip("_"): getattr(value, item.name) for item in fields(value)}
    elif hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def from_data(data: Any, path: str) -> Report:
    """The report that ``to_data`` wrote; a ``SourceError`` naming ``path`` for anything else."""
    hint = "Write one with: ctroubleshoot analyze RUN --format json --output report.json"
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise SourceError(path, f"{path} is not a ctroubleshoot report of schema version {SCHEMA_VERSION}.", hint)
    try:
        return Report(
            runs=tuple(_run(run) for run in data["runs"]),
            errors=tuple(RunError(**error) for error in data["errors"]),
            version=str(data["tool"]["version"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(path, f"{path} is not a complete ctroubleshoot report ({error!r}).", hint) from error


def _run(data: Mapping[str, Any]) -> RunReport:
    rest = dict(data)
    return RunReport(
        name=rest["name"],
        path=rest["path"],
        format=rest["format"],
        summary=rest["summary"],
        verdict=Verdict(**rest["verdict"]),
        findings=tuple(Finding(**{**item, "where": Where(**item["where"])}) for item in rest["findings"]),
        causes=tuple(_cause(item) for item in rest["causes"]),
        remedies=tuple(_remedy(item) for item in rest["remedies"]),
        skipped=tuple(Skipped(**item) for item in rest["skipped"]),
        notes=tuple(rest["notes"]),
    )


def _cause(data: Mapping[str, Any]) -> Cause:
    lists = {key: tuple(data.get(key, ())) for key in ("supported_by", "contradicted_by", "would_confirm")}
    return Cause(**{**data, **lists})


def _remedy(data: Mapping[str, Any]) -> Remedy:
    rest = dict(data)
    origin = rest.pop("from", {})
    return Remedy(**{**rest, "from_": origin, "references": tuple(rest.get("references", ()))})
