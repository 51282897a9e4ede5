"""Report to and from plain JSON data. NaN and infinities become strings: bare, they are not JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from convergence_cli.errors import SourceError
from convergence_cli.model import (
    LABELS,
    SCHEMA_VERSION,
    SEVERITIES,
    Cause,
    Finding,
    Fleet,
    Group,
    Remedy,
    Report,
    RunError,
    RunReport,
    Skipped,
    TensorLine,
    TensorTable,
    Trait,
    Verdict,
    Where,
)
from convergence_cli.printable import printable
from convergence_cli.row import RowedReports

TOOL = "ctroubleshoot"
Built = TypeVar("Built")
# The whole numbers beyond it are no floats.
_LARGEST = 1 << 1023


def to_data(report: Report) -> dict[str, Any]:
    """``report`` as dictionaries, lists, strings and finite numbers; see ``report.schema.json``."""
    data = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": TOOL, "version": report.version},
        "runs": list(runs_data(report.runs)),
        "errors": [plain(error) for error in report.errors],
    }
    return data if report.fleet is None else data | {"fleet": plain(report.fleet)}


def runs_data(runs: Sequence[RunReport]) -> Iterator[dict[str, Any]]:
    """Each of ``runs`` as ``run_data`` gives it."""
    return runs.each_data() if isinstance(runs, RowedReports) else map(run_data, runs)


def run_data(run: RunReport) -> dict[str, Any]:
    """``run`` as ``to_data`` gives it; the table of tensors only where there is one."""
    data: dict[str, Any] = plain(run)
    if run.tensors is None:
        del data["tensors"]
    return data


def plain(value: Any) -> Any:
    """``value`` with dataclasses as dictionaries and non-finite numbers as "nan", "inf" and "-inf"."""
    kind = type(value)
    # The commonest first: a report holds thousands of them.
    if kind is float:
        found: Any = value if math.isfinite(value) else str(value)
    elif kind is str or kind is int or value is None or kind is bool:
        found = value
    elif isinstance(value, (list, tuple)):
        found = [plain(item) for item in value]
    elif is_dataclass(value) and not isinstance(value, type):
        found = {item.name.rstrip("_"): plain(getattr(value, item.name)) for item in fields(value)}
    elif isinstance(value, Mapping):
        found = {str(key): plain(item) for key, item in value.items()}
    elif hasattr(value, "item"):
        found = plain(value.item())
    else:
        found = value if isinstance(value, (int, str)) else str(value)
    return found


def from_data(data: Any, path: str) -> Report:
    """The report that ``to_data`` wrote; a ``SourceError`` naming ``path`` for anything else."""
    hint = "Write one with: ctroubleshoot analyze RUN --format json --output report.json"
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise SourceError(path, f"{path} is not a ctroubleshoot report of schema version {SCHEMA_VERSION}.", hint)
    try:
        return Report(
            runs=tuple(run_from(run) for run in data["runs"]),
            errors=tuple(_built(RunError, error) for error in data["errors"]),
            version=_checked("str", data["tool"]["version"], "version"),
            fleet=_fleet(data.get("fleet")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            path, f"{path} is not a complete ctroubleshoot report ({printable(repr(error))}).", hint
        ) from error


def run_from(data: Any) -> RunReport:
    """The report on one run that ``run_data`` wrote; raises KeyError, TypeError or ValueError for anything else."""
    run = _built(
        RunReport,
        data,
        verdict=_built(Verdict, data["verdict"]),
        findings=tuple(_built(Finding, item, where=_built(Where, item["where"])) for item in data["findings"]),
        causes=tuple(_built(Cause, item) for item in data["causes"]),
        remedies=tuple(_built(Remedy, item) for item in data["remedies"]),
        skipped=tuple(_built(Skipped, item) for item in data["skipped"]),
        tensors=_table(data.get("tensors")),
    )
    for key, kind in _SUMMARY.items():
        if run.summary.get(key) is not None:
            _checked(kind, run.summary[key], key)
    for curve in run.summary.get("curves", {}).values():
        _checked("list", _checked("Mapping[str, Any]", curve, "curves")["mean"], "mean")
        for key in _LISTS_OF_CURVES & curve.keys():
            _checked("list", curve[key], key)
    for key in _LISTS_OF_LAYERS & (run.summary.get("layers") or {}).keys():
        _checked("list", run.summary["layers"][key], key)
    for spread in run.summary.get("spreads") or ():
        for key in ("steps", "at", "quantiles"):
            _checked("list", _checked("Mapping[str, Any]", spread, "spreads")[key], key)
    for key in ("value", "step"):
        _checked("float | None", (run.summary.get("best") or {}).get(key), key)
    for key, value in (run.summary.get("tensors") or {}).items():
        _checked("Mapping[str, float] | None" if key == "kinds" else "float | None", value, key)
    return run


def _table(data: Any) -> TensorTable | None:
    if data is None:
        return None
    return _built(TensorTable, data, rows=tuple(_built(TensorLine, row) for row in data["rows"]))


def _fleet(data: Any) -> Fleet | None:
    if data is None:
        return None
    return _built(
        Fleet,
        data,
        traits=tuple(_built(Trait, item) for item in data["traits"]),
        groups=tuple(_built(Group, item) for item in data["groups"]),
    )


def _built(cls: type[Built], data: Any, **nested: Any) -> Built:
    """``data`` as ``cls``: unknown keys are left out (later versions may add some), the others checked."""
    values = {}
    for item in fields(cls):  # type: ignore[arg-type]
        key = item.name.rstrip("_")
        if key in nested:
            values[item.name] = nested[key]
        elif key in data:
            values[item.name] = _checked(str(item.type), data[key], key)
    return cls(**values)


def _checked(kind: str, value: Any, key: str) -> Any:
    if not _CHECKS[kind](value):
        raise TypeError(f"{key}: {value!r} is not {kind}")
    if kind == "Measure" and isinstance(value, str):
        return float(value)
    return tuple(value) if isinstance(value, list) and kind != "list" else value


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < _LARGEST
    return isinstance(value, float) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "str | None": lambda value: value is None or _is_text(value),
    "float": _is_number,
    "float | None": lambda value: value is None or _is_number(value),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "Measure": lambda value: value is None or value in ("inf", "-inf") or _is_number(value),
    "int | None": lambda value: value is None or isinstance(value, int),
    "Severity": lambda value: value in SEVERITIES,
    "Label": lambda value: value in (*LABELS, "undetermined"),
    "tuple[str, ...]": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "tuple[int, ...] | None": lambda value: (
        value is None or (isinstance(value, list) and all(isinstance(item, int) for item in value))
    ),
    "list": lambda value: isinstance(value, list),
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
    "bool": lambda value: isinstance(value, bool),
    "Mapping[str, int]": lambda value: isinstance(value, dict) and all(isinstance(n, int) for n in value.values()),
    "Mapping[str, float] | None": lambda value: (
        value is None or (isinstance(value, dict) and all(map(_is_number, value.values())))
    ),
}
_SUMMARY = {
    "points": "float",
    "first_step": "float",
    "last_step": "float",
    "x": "str",
    "series": "Mapping[str, Any]",
    "series_total": "float",
    "series_read": "float",
    "unread": "list",
    "config": "Mapping[str, Any]",
    "tensors": "Mapping[str, Any]",
    "curves": "Mapping[str, Any]",
    "best": "Mapping[str, Any]",
    "layers": "Mapping[str, Any]",
    "spreads": "list",
}
_LISTS_OF_CURVES = {"step", "low", "high", "nonfinite", "restarts"}
_LISTS_OF_LAYERS = {"names", "steps", "gradient_norm", "update_ratio", "dead", "saturated", "nonfinite"}
