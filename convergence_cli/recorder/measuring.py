"""The fields of a row from what was taken of a tensor, on the host: what the background thread computes.

The statistics are those of dumps (``convergence_cli.tensors.statistics``), so that a rule cannot tell the two apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from convergence_cli.recorder.captured import SAMPLE, Array, Label, Measured
from convergence_cli.tensor_stats import QUANTILES
from convergence_cli.tensors.sample import EXACT_SIZE, between
from convergence_cli.tensors.statistics import measure
from convergence_cli.tensors.stored import BLOCK_BYTES, StoredTensor
from convergence_cli.tensors.twins import Twins
from convergence_cli.tensors.unit_variance import UnitVariance

# Between these no square of a value, and no sum of squares, leaves the range of float32.
_SQUARABLE = (1e-15, 1e15)
# Below this share of the mean square a variance from sums in float32 is rounding.
_CANCELLED = 1e-3


def fields_of(one: Measured) -> dict[str, Any]:
    """The fields of ``TensorRow`` that what was taken of a tensor tells."""
    if one.totals is None and one.label.kind == "update" and one.values.size < one.label.size:
        return _in_proportion(one)
    if one.totals is None and one.values.ndim < 2 and one.label.kind in ("weight", "gradient", "update"):
        return _of_vector(one.values)
    # Of what passes through the model a sample is enough for quantiles: sorting is what costs most.
    passing = one.label.kind not in ("weight", "gradient", "update")
    if one.totals is None:
        exact_size = SAMPLE if passing else EXACT_SIZE
        found = _measured(one.values, one.label, one.label.unit_axis, exact_size)
        return _with_absent(found, one) if one.absent else found
    if one.label.unit_axis is not None and passing:
        found = _measured(one.values, one.label, 1, SAMPLE)
        return found | _whole(one, found)
    found = _whole(one, _of_sample(one.values))
    if one.label.unit_axis is not None:
        units = one.units - one.absent_units or one.label.shape[one.label.unit_axis]
        found["dead"] = float(one.totals[5]) / units
    if one.windows is not None and not found["nan"] + found["inf"]:
        found |= _copies(*one.windows)
    return _with_absent(found, one) if one.absent else found


def _measured(values: Array, label: Label, axis: int | None, exact_size: int = EXACT_SIZE) -> dict[str, Any]:
    tensor = stored(label.title, values)
    return measure(tensor, label.kind, unit_axis=axis, function=label.function, exact_size=exact_size)


def stored(title: str, values: Array) -> StoredTensor:
    """An array as a tensor of a dump."""
    return StoredTensor(title, values.dtype.name, values.shape, lambda: _blocks(values))


def _blocks(values: Array) -> Iterator[Array]:
    flat = np.ascontiguousarray(values).reshape(-1)
    length = BLOCK_BYTES // flat.itemsize
    for start in range(0, max(flat.size, 1), length):
        yield flat[start : start + length]


def _of_vector(values: Array) -> dict[str, Any]:
    """All of a bias or a scale: what ``measure`` says of it, without its blocks."""
    flat = values.reshape(-1).astype(np.float64)
    finite = np.isfinite(flat)
    found: dict[str, Any] = {"count": flat.size, "zero": flat.size - int(np.count_nonzero(flat))}
    if not finite.all():
        found["nan"] = int(np.isnan(flat).sum())
        found["inf"] = int((~finite).sum()) - found["nan"]
        found["negative_inf"] = int(np.isneginf(flat).sum())
    found |= _of_sample(flat)
    if "mean" in found:
        known = flat[finite]
        found |= {"min": float(known.min()), "max": float(known.max())}
        if found["min"] == found["max"]:
            found |= {"mean": found["min"], "std": 0.0}
    return found


def _in_proportion(one: Measured) -> dict[str, Any]:
    """An update of which nothing but a sample is known."""
    found = _of_vector(one.values)
    factor = one.label.size / one.values.size
    return found | {
        name: round(found[name] * factor) for name in ("count", "zero", "nan", "inf", "negative_inf") if name in found
    }


def _of_sample(values: Array) -> dict[str, Any]:
    """Moments and quantiles of a flat sample, in float64."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {}
    # Narrow numbers are sorted in half the time.
    finite.sort()
    known = finite.astype(np.float64)
    largest = max(abs(float(known[0])), abs(float(known[-1]))) or 1.0
    scaled = known / largest
    return {
        "mean": float(known.mean()),
        "std": float(scaled.std()) * largest,
        "l2": math.sqrt(float(scaled @ scaled)) * largest,
        "abs_mean": float(np.abs(known).mean()),
        "quantiles": tuple(between(known, q) for q in QUANTILES),
    }


def _whole(one: Measured, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Moments and counts of the whole tensor, from what its device summed up; where that broke, from ``sample``."""
    assert one.totals is not None
    total, l2, low, high, nonzero = (float(value) for value in one.totals[:5])
    count = one.label.size - one.absent
    known = np.isfinite(one.values)
    # What the sample tells of all.
    share = count / max(one.values.size, 1)
    if math.isnan(nonzero):
        nonzero = 0 if low == high == 0 else count - round(float((one.values == 0).sum()) * share)
    found: dict[str, Any] = {"count": count, "nan": 0, "inf": 0, "negative_inf": 0, "zero": count - int(nonzero)}
    if math.isfinite(low) and math.isfinite(high):
        largest = max(-low, high)
        squarable = largest == 0 or _SQUARABLE[0] <= largest <= _SQUARABLE[1]
        mean, square = total / count, l2 * l2 / count
        if not math.isfinite(mean):
            mean = sample.get("mean", math.nan)
        variance = square - mean * mean
        if not math.isfinite(variance) or not squarable or variance < _CANCELLED * square:
            std = sample.get("std", math.nan)
        else:
            std = math.sqrt(max(variance, 0.0))
        found |= {"mean": min(max(mean, low), high), "std": 0.0 if low == high else std, "min": low, "max": high}
        if one.label.kind in ("gradient", "update"):
            found["abs_mean"] = sample.get("abs_mean", math.nan)
    else:
        # A minimum of NaN says that there is one, not how many: the sample tells the share.
        broken = round(float((~known).sum()) * share)
        infinite = round(float(np.isinf(one.values).sum()) * share)
        found["nan"] = max(broken - infinite, int(math.isnan(low)))
        found["inf"] = max(infinite, int(not math.isnan(low)))
        found["negative_inf"] = round(float(np.isneginf(one.values).sum()) * share)
        finite = one.values[known]
        if finite.size:
            found |= {name: sample[name] for name in ("mean", "std") if name in sample}
            found |= {"min": float(finite.min()), "max": float(finite.max())}
    quantiles = sample.get("quantiles", ())
    if "min" in found and len(quantiles):
        found["quantiles"] = tuple(min(max(value, found["min"]), found["max"]) for value in quantiles)
    return found


def _copies(rows: Array, columns: Array) -> dict[str, float]:
    """``dead``, ``twin`` and ``unit_variance`` of a weight, from a part of its first units along either axis."""
    found = {"dead": float(np.count_nonzero(~rows.any(axis=1))) / len(rows)}
    for part in (rows, columns):
        flat = np.ascontiguousarray(part, dtype=np.float32).reshape(-1)
        for name, one, pick in (("twin", Twins(part.shape), max), ("unit_variance", UnitVariance(part.shape), min)):
            one.add(flat, 0)
            share = one.share()
            if not math.isnan(share):
                found[name] = pick(found.get(name, share), share)
    return found


def _with_absent(found: dict[str, Any], one: Measured) -> dict[str, Any]:
    """The moments with the zeros that a sparse tensor does not hold, by the sums of both parts."""
    count, absent = found["count"], one.absent
    total = count + absent
    found = {**found, "count": total, "zero": found.get("zero", 0) + absent}
    if one.units:
        found["dead"] = (found.get("dead", 0.0) * (one.units - one.absent_units) + one.absent_units) / one.units
        found["samples"] = total // one.units
    if "mean" not in found:
        return found
    share = count / total
    mean, std = found["mean"], found["std"]
    found["mean"] = mean * share
    found["std"] = math.sqrt(share * std * std + share * (1 - share) * mean * mean)
    found["min"], found["max"] = min(found["min"], 0.0), max(found["max"], 0.0)
    if "abs_mean" in found:
        found["abs_mean"] *= share
    known = np.sort(one.values[np.isfinite(one.values)].astype(np.float64).reshape(-1))
    below = float((known < 0).mean()) * share if known.size else 0.0
    above = float((known > 0).mean()) * share if known.size else 0.0
    found["quantiles"] = tuple(_quantile(known, q, share, below, above) for q in QUANTILES)
    return found


def _quantile(ascending: Array, q: float, share: float, below: float, above: float) -> float:
    """The quantile ``q`` where ``ascending`` are only ``share`` of the values, and the others are zeros."""
    if below <= q <= 1 - above or not ascending.size:
        return 0.0
    return between(ascending, q / share if q < below else 1 - (1 - q) / share)
