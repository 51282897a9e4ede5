"""Records to columns: which series each record gives a point to, as index and value arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import FloatArray

    Points = tuple[npt.NDArray[np.intp], FloatArray]
    Table = dict[str, Points]
    _Lists = dict[str, tuple[list[int], list[float]]]

MAX_DEPTH = 5
CONFIG_KEYS = frozenset(("config", "args", "hparams", "params", "hyperparameters", "hyper_parameters", "training_args"))
# What says which data a record is of, and what it says.
_MODE_KEYS = ("mode", "split", "phase", "stage", "subset", "type", "event")
_MODES = frozenset(("train", "training", "val", "valid", "validation", "eval", "evaluation", "dev", "test"))
_PREFIXES = {write(mode): f"{mode}/" for mode in _MODES for write in (str.lower, str.capitalize, str.upper)}
_AXES = frozenset(("global_step", "step", "steps", "iter", "iteration", "epoch", "batch", "timestamp", "wall_time"))
_NAME_KEYS = ("name", "metric", "tag", "key")
_FEW = 8
_MAX_NUMBER_TEXT = 64
_NUMBER_STARTS = "0123456789+-.nNiI "


def number(value: object) -> float | None:
    """``value`` as a float, numeric strings included; None where it is no number. A bool is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and (value[:1] not in _NUMBER_STARTS or len(value) > _MAX_NUMBER_TEXT or "_" in value):
        return None
    if not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return float("inf") if isinstance(value, int) and value > 0 else float("-inf")


def tabulate(records: Sequence[Mapping[str, Any]]) -> Table:
    """Each series of ``records``: the indices of the records that log it (ascending), and its values.

    Nested objects are joined with ``/`` down to five levels, as deep as rllib nests its losses; lists are
    no series. A null is *not logged*.
    """
    if not records:
        return {}
    first = records[0]
    if set(map(len, records)) == {len(first)} and len(records) >= _FEW:
        # As many keys in each: where the first one's are in all, they have the same.
        try:
            return _tabulate(records, {tuple(first): range(len(records))})
        except KeyError:
            pass
    shapes: dict[tuple[str, ...], list[int]] = {}
    for index, record in enumerate(records):
        shapes.setdefault(tuple(record), []).append(index)
    return _tabulate(records, shapes)


def _tabulate(records: Sequence[Mapping[str, Any]], shapes: Mapping[tuple[str, ...], Sequence[int]]) -> Table:
    """``tabulate``, from the indices of the records by their keys; KeyError where one lacks a key."""
    parts: dict[str, list[Points]] = {}
    singles: _Lists = {}
    for keys, members in shapes.items():
        if _is_summary(keys):
            continue
        for prefix, indices in _split(records, keys, members):
            rows = records if len(indices) == len(records) else [records[index] for index in indices]
            if len(indices) < _FEW or "value" in keys:
                for row, index in zip(rows, indices, strict=True):
                    _walk_record(row, prefix, index, singles)
            else:
                _columns(rows, keys, np.array(indices, dtype=np.intp), prefix, parts, singles)
    for name, (at, values) in singles.items():
        parts.setdefault(name, []).append((np.array(at, dtype=np.intp), np.array(values, dtype=np.float64)))
    return _with_common_axes({name: _joined(points) for name, points in parts.items()})


def _with_common_axes(table: Table) -> Table:
    """``table`` with one step where the records of each mode have their own; mmcv alone counts them apart."""
    if "train/iter" in table and "train/epoch" in table:
        return table
    own: dict[str, list[str]] = {}
    for name in table:
        mode, _, inner = name.partition("/")
        if mode in _MODES and inner.rpartition("/")[2] in _AXES and inner not in table:
            own.setdefault(inner, []).append(name)
    for axis, names in own.items():
        table[axis] = _joined([table.pop(name) for name in names])
    return table


def configs(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first object that a record holds under each name that means configuration."""
    found: dict[str, Any] = {}
    for record in records:
        for key in CONFIG_KEYS.intersection(record):
            if isinstance(record[key], dict) and record[key]:
                found.setdefault(key, record[key])
        if found:
            break
    return found


def _is_summary(keys: tuple[str, ...]) -> bool:
    # The Trainer's last row: train_loss is the mean over the run, not a point of it.
    return "train_runtime" in keys and "loss" not in keys


def _split(
    records: Sequence[Mapping[str, Any]], keys: tuple[str, ...], members: Sequence[int]
) -> Sequence[tuple[str, Sequence[int]]]:
    """The records of one shape by what their series are prefixed with: the mode they name, or nothing."""
    named = [key for key in _MODE_KEYS if key in keys]
    if not named:
        return [("", members)]
    groups: dict[str, list[int]] = {}
    for index in members:
        prefix = ""
        for key in named:
            value = records[index][key]
            if isinstance(value, str) and value in _PREFIXES:
                prefix = _PREFIXES[value]
                break
        groups.setdefault(prefix, []).append(index)
    return list(groups.items())


def _columns(
    rows: Sequence[Mapping[str, Any]],
    keys: tuple[str, ...],
    indices: npt.NDArray[np.intp],
    prefix: str,
    parts: dict[str, list[Points]],
    singles: _Lists,
    depth: int = 1,
) -> None:
    """Records of one shape: a series a key, read at once where every value is a number."""
    for key in keys:
        values = list(map(itemgetter(key), rows))
        kinds = set(map(type, values))
        column = _column(values, kinds)
        if column is not None:
            parts.setdefault(prefix + key, []).append((indices, column))
            continue
        if kinds.isdisjoint((int, float, str, dict)) or (depth == 1 and dict in kinds and key in CONFIG_KEYS):
            continue
        inner = {tuple(value) for value in values} if kinds == {dict} and depth < MAX_DEPTH else set()
        if len(inner) == 1:
            _columns(values, inner.pop(), indices, f"{prefix}{key}/", parts, singles, depth + 1)
            continue
        for value, index in zip(values, indices.tolist(), strict=True):
            _walk(value, prefix + key, index, depth, singles)


def _column(values: list[Any], kinds: set[type]) -> FloatArray | None:
    """``values`` at once where every one is a number (or the text of one), else None."""
    if not kinds <= {int, float, str}:
        return None
    try:
        return np.fromiter(values, np.float64, len(values))
    except (ValueError, OverflowError):
        return None


def _walk_record(record: Mapping[str, Any], prefix: str, index: int, out: _Lists) -> None:
    long_name = _long_name(record)
    for key, value in record.items():
        if isinstance(value, dict) and key in CONFIG_KEYS:
            continue
        name = long_name if key == "value" and long_name is not None else key
        _walk(value, prefix + name, index, 1, out)


def _long_name(record: Mapping[str, Any]) -> str | None:
    """The series of a record in long form, ``{"step": 1, "name": "loss", "value": 0.5}``."""
    if "value" not in record or number(record["value"]) is None:
        return None
    return next((record[key] for key in _NAME_KEYS if isinstance(record.get(key), str)), None)


def _walk(value: object, name: str, index: int, depth: int, out: _Lists) -> None:
    if isinstance(value, dict):
        if depth < MAX_DEPTH:
            for key, item in value.items():
                _walk(item, f"{name}/{key}", index, depth + 1, out)
        return
    point = number(value)
    if point is not None:
        at, values = out.setdefault(name, ([], []))
        # Two spellings of one path ({"a/b": 1, "a": {"b": 2}}) are still one point a record.
        if not at or at[-1] != index:
            at.append(index)
            values.append(point)


def _joined(points: list[Points]) -> Points:
    if len(points) == 1 and (len(points[0][0]) < 2 or bool(np.all(np.diff(points[0][0]) > 0))):
        return points[0]
    index = np.concatenate([at for at, _ in points])
    value = np.concatenate([values for _, values in points])
    order = np.argsort(index, kind="stable")
    index, value = index[order], value[order]
    keep = np.append(True, np.diff(index) > 0)
    return index[keep], value[keep]
