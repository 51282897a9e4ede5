"""What a JSON document that holds a training history is made of: columns, records and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._json_steps import STEP_KEYS
from convergence_cli.readers._json_table import CONFIG_KEYS, number

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray

MAX_NESTING = 3
COLUMN_STEPS = frozenset((*STEP_KEYS, "epochs", "iterations", "iters"))
# Names that only wrap a history; any other name of an object says which set its series belong to.
_WRAPPERS = frozenset(
    ("history", "log_history", "logs", "log", "metrics", "stats", "results", "data", "records", "curves", "runs")
)  # fmt: skip
_EARLIEST_CLOCK = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One series: its points' ``index`` in the list as written (of ``size``), ``value``, and its own steps."""

    name: str
    size: int
    index: FloatArray
    value: FloatArray
    step: FloatArray | None = None
    time: FloatArray | None = None


@dataclass(slots=True)
class Document:
    """The parts of a document; ``records`` are lists of row objects, each with its series' prefix."""

    columns: list[Column] = field(default_factory=list)
    records: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    sacred: bool = False
    nested: bool = False


def document(data: object, name: str) -> Document:
    """The parts of ``data``; a bare list of numbers is a series called ``name``."""
    found = Document()
    if isinstance(data, dict):
        _object(data, "", 0, found)
    elif isinstance(data, list):
        _list(data, name, "", found)
    return found


def numbers(values: Sequence[object]) -> tuple[FloatArray, FloatArray] | None:
    """Index and value of the numbers in ``values``; nulls are left out; None if anything else is there."""
    if set(map(type, values)) <= {float, int}:
        try:
            return np.arange(len(values), dtype=np.float64), np.array(values, dtype=np.float64)
        except OverflowError:
            pass
    index, found = [], []
    for at, item in enumerate(values):
        single = item[0] if isinstance(item, list) and len(item) == 1 else item
        if single is None:
            continue
        value = number(single)
        if value is None:
            return None
        index.append(at)
        found.append(value)
    return np.array(index, dtype=np.float64), np.array(found, dtype=np.float64)


def _object(data: dict[str, Any], prefix: str, depth: int, found: Document) -> None:
    if _keyed_by_step(data, dict):
        rows = [
            value if any(name in value for name in STEP_KEYS) else {"step": number(key), **value}
            for key, value in data.items()
        ]
        found.records.append((prefix, rows))
        return
    steps = {len(item): item for key, item in data.items() if key in COLUMN_STEPS and isinstance(item, list)}
    for key, value in data.items():
        if isinstance(value, dict):
            _member(key, value, prefix, depth, found)
        elif isinstance(value, list):
            if key not in COLUMN_STEPS or len(data) == 1:
                _list(value, key, prefix, found, steps.get(len(value)))
        elif depth == 0:
            found.config[key] = value


def _member(key: str, value: dict[str, Any], prefix: str, depth: int, found: Document) -> None:
    if key in CONFIG_KEYS or key.endswith("config"):
        # One named plainly "config" is the run's own; "lora_config" keeps its name.
        found.config.update(value if key in CONFIG_KEYS else {key: value})
        return
    values, steps = value.get("values"), value.get("steps")
    if isinstance(values, list) and isinstance(steps, list) and len(values) == len(steps):
        before = len(found.columns)
        _list(values, key, prefix, found, steps, value.get("timestamps"))
        found.sacred |= len(found.columns) > before
    elif _keyed_by_step(value, (int, float, str, type(None))):
        _list(list(value.values()), key, prefix, found, list(value))
    elif depth < MAX_NESTING:
        inner = prefix if key in _WRAPPERS else f"{prefix}{key}-"
        found.nested |= inner != prefix
        _object(value, inner, depth + 1, found)


def _list(
    values: list[Any],
    name: str,
    prefix: str,
    found: Document,
    steps: list[Any] | None = None,
    times: object = None,
) -> None:
    if not values:
        return
    if all(isinstance(item, dict) for item in values):
        found.records.append((prefix if name in _WRAPPERS or not prefix + name else prefix + name + "/", values))
        return
    pairs = _pairs(values)
    if pairs is not None:
        steps, values = pairs
    read = numbers(values)
    if read is None or not len(read[0]):
        return
    index, value = read
    at = index.astype(np.intp)
    step = numbers(steps) if steps is not None else None
    step_of = step[1][at] if step is not None and len(step[1]) == len(values) else None
    if step_of is not None and not np.isfinite(step_of).all():
        step_of = None
    time = numbers(times) if isinstance(times, list) and len(times) == len(values) else None
    time_of = time[1][at] if time is not None and len(time[1]) == len(values) else None
    found.columns.append(Column(prefix + name, len(values), index, value, step_of, time_of))


def _pairs(values: list[Any]) -> tuple[list[Any], list[Any]] | None:
    """``[[step, value], ...]``, or TensorBoard's download ``[[clock, step, value], ...]``, as two lists."""
    if not all(isinstance(item, list) for item in values):
        return None
    widths = {len(item) for item in values}
    if widths == {2}:
        return [item[0] for item in values], [item[1] for item in values]
    clock = number(values[0][0]) if widths == {3} else None
    if clock is not None and clock > _EARLIEST_CLOCK:
        return [item[1] for item in values], [item[2] for item in values]
    return None


def _keyed_by_step(data: dict[str, Any], kind: Any) -> bool:
    """``{"0": ..., "1": ...}``, as pandas writes a column and people write epochs."""
    return bool(data) and all(key.isdecimal() and isinstance(item, kind) for key, item in data.items())
