"""The lines ``declare`` and ``tensor`` of a record as rows; what is not as ``docs/recorder.md`` has it is no row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convergence_cli.readers._record_lines import number, step_of, whole
from convergence_cli.tensor_stats import KINDS, QUANTILES, UNKNOWN, TensorRow

MAX_AXES = 64
# Fields of ``TensorRow`` by their names in a row.
_COUNTS = {"nan": "nan", "inf": "inf", "neg": "negative_inf", "zero": "zero"}
_SIGNED = {"mean": "mean", "min": "min", "max": "max"}
_SIZES = {
    **{"std": "std", "abs": "abs_mean", "samples": "samples", "var": "unit_variance"},
    **{"offset": "feature_offset", "spread": "feature_spread", "change": "change"},
}
_SHARES = {
    **{"dead": "dead", "sat": "saturated", "satv": "saturated_values", "const": "constant", "twin": "twin"},
    **{"sum1": "sums_to_one", "constf": "constant_features", "changed": "changed"},
}
# The names in a row, and between which two numbers each must lie.
_NUMBERS = {
    **{short: (name, -math.inf, math.inf) for short, name in _SIGNED.items()},
    **{short: (name, 0.0, math.inf) for short, name in _SIZES.items()},
    **{short: (name, 0.0, 1.0) for short, name in _SHARES.items()},
}


@dataclass(frozen=True, slots=True)
class Declared:
    """What is the same for all rows of a tensor; ``units`` is NaN where they are not told apart."""

    kind: str
    name: str
    layer: str
    shape: tuple[int, ...]
    dtype: str
    order: int
    function: str
    units: float
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row was met: the ``file`` of a ``worker``, and ``time``, when its step was written (since 1970)."""

    worker: str
    file: str
    time: float


def declared_by(record: Mapping[str, Any]) -> Declared | None:
    """The tensor that ``record`` declares; None where a field is missing or not what it must be."""
    title, layer, dtype, order = (record.get(key) for key in ("declare", "layer", "dtype", "order"))
    function, shape, units = record.get("function", ""), _shape(record.get("shape")), UNKNOWN
    if not (isinstance(title, str) and isinstance(layer, str) and isinstance(dtype, str) and isinstance(function, str)):
        return None
    kind, _, name = title.partition("/")
    size = None if shape is None else whole(math.prod(shape))
    place = whole(order)
    if "units" in record:
        told = whole(record["units"])
        if told is None:
            return None
        units = float(told)
    if kind not in KINDS or not name or shape is None or size is None or place is None:
        return None
    return Declared(kind, name, layer, shape, dtype, place, function, units, size)


def row_of(record: Mapping[str, Any], declared: Declared, place: Place) -> TensorRow | None:
    """The row that ``record`` holds of the tensor ``declared``; None where a field is not what it must be."""
    step, count = step_of(record.get("step")), whole(record.get("n", declared.size))
    quantiles = _quantiles(record.get("q"))
    if step is None or count is None or quantiles is None:
        return None
    numbers: dict[str, float] = {}
    for short, name in _COUNTS.items():
        found = whole(record.get(short, 0))
        if found is None or found > count:
            return None
        numbers[name] = float(found)
    for short in _NUMBERS.keys() & record.keys():
        name, low, high = _NUMBERS[short]
        value = number(record[short])
        if value is None or value < low or value > high:
            return None
        numbers[name] = value if math.isfinite(value) else UNKNOWN
    if "since" in record:
        since = step_of(record["since"])
        if since is None or since >= step:
            return None
        numbers["change_steps"] = step - since
    if declared.units > 0 and declared.kind in ("weight", "gradient"):
        numbers.setdefault("samples", count // declared.units)
    finite = max(count - numbers["nan"] - numbers["inf"], 0.0)
    l2 = math.hypot(numbers.get("mean", UNKNOWN), numbers.get("std", UNKNOWN)) * math.sqrt(finite)
    return TensorRow(
        step,
        declared.kind,
        declared.name,
        declared.layer,
        declared.order,
        declared.dtype,
        declared.shape,
        place.worker,
        "",
        declared.function,
        place.file,
        place.time,
        float(count),
        l2=l2 if math.isfinite(l2) else UNKNOWN,
        quantiles=quantiles,
        units=declared.units,
        **numbers,
    )


def _shape(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list) or len(value) > MAX_AXES:
        return None
    axes = [whole(axis) for axis in value]
    known = tuple(axis for axis in axes if axis is not None)
    return known if len(known) == len(axes) else None


def _quantiles(value: object) -> tuple[float, ...] | None:
    """Those of a row, NaN where it has none; None where they are no numbers, or not as many as there must be."""
    if value is None:
        return (UNKNOWN,) * len(QUANTILES)
    if not isinstance(value, list) or len(value) != len(QUANTILES):
        return None
    found = [number(one) for one in value]
    known = tuple(one if math.isfinite(one) else UNKNOWN for one in found if one is not None)
    return known if len(known) == len(QUANTILES) else None
