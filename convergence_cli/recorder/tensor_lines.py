"""The lines of the tensors of one sampled step: declarations of what is new, and rows."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convergence_cli.recorder.captured import Array, Label, Measured
from convergence_cli.recorder.lines import histogram, line, row
from convergence_cli.recorder.measuring import fields_of
from convergence_cli.recorder.vectors import measured_together
from convergence_cli.tensor_stats import OUTPUT_LAST

_ROWS_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Known:
    """What a session has written so far: the sizes of declared tensors, and of weights the step and values then."""

    sizes: dict[str, int] = field(default_factory=dict)
    before: dict[str, tuple[float, Array]] = field(default_factory=dict)


def lines_of(known: Known, step: float, when: float, found: Sequence[Measured]) -> Iterator[bytes]:
    """The lines of one sampled step, ``when`` seconds after the beginning. ``known`` takes what is new."""
    yield line({"sampled": step, "time": when})
    with np.errstate(all="ignore"):
        together = measured_together(found)
        for place, one in enumerate(found):
            label = one.label
            if label.title not in known.sizes:
                known.sizes[label.title] = label.size
                yield _declaration(one)
            if place in together:
                fields, hist = together[place]
            else:
                fields = fields_of(one)
                hist = histogram(one.values, fields.get("min", math.nan), fields.get("max", math.nan))
            bits = None
            if label.kind == "weight":
                bits = int(one.totals[6]) if one.totals is not None else checksum(one.values)
                fields |= _change(known, step, one)
            yield row(label.title, step, fields, size=known.sizes[label.title], hist=hist, bits=bits)
            if not place % _ROWS_AT_A_TIME:
                # Else a training that waits for the interpreter would wait for many rows each time.
                time.sleep(0)


def lines_of_arrays(
    known: Known,
    step: float,
    when: float,
    found: Sequence[tuple[str, str, Any, Mapping[str, Any]]],
) -> Iterator[bytes]:
    """The same for whole numpy arrays: kind, name, array, and ``function`` and ``layer`` where they are known."""
    measured = []
    for order, (kind, name, array, options) in enumerate(found):
        values = np.asarray(array)
        layer, _, leaf = name.rpartition("." if "." in name else "/")
        axis = None
        if values.ndim > 1 and kind in ("weight", "gradient"):
            axis = values.ndim - 1 if leaf.lower().startswith(OUTPUT_LAST) else 0
        elif values.ndim > 1:
            axis = values.ndim - 1
        label = Label(
            kind,
            name,
            options.get("layer", layer or name),
            values.shape,
            values.dtype.name,
            order,
            options.get("function", ""),
            axis,
        )
        measured.append(Measured(label, values))
    return lines_of(known, step, when, measured)


def _change(known: Known, step: float, one: Measured) -> dict[str, Any]:
    """How far a weight is from where it was when it was last recorded; of a large one by its sample."""
    before = known.before.get(one.label.title)
    known.before[one.label.title] = (step, one.values)
    if before is None or before[1].shape != one.values.shape or before[0] >= step or not one.values.size:
        return {}
    apart = one.values.astype(np.float64) - before[1]
    finite = apart[np.isfinite(apart)]
    if not finite.size:
        return {}
    largest = float(np.abs(finite).max()) or 1.0
    scaled = finite.reshape(-1) / largest
    norm = math.sqrt(float(scaled @ scaled) * one.label.size / one.values.size) * largest
    return {"change": norm, "change_from": before[0], "changed": float(np.count_nonzero(apart)) / apart.size}


def checksum(values: Array) -> int:
    """The sum of the bits of all values as 32-bit integers, modulo 2^32; equal tensors have equal sums."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.itemsize % 4:
        flat = flat.astype(np.float32)
    return int(flat.view(np.int32).sum(dtype=np.int64)) & 0xFFFFFFFF


def _declaration(one: Measured) -> bytes:
    label = one.label
    found: dict[str, Any] = {"declare": label.title, "layer": label.layer, "shape": label.shape, "dtype": label.dtype}
    found["order"] = label.order
    if label.function:
        found["function"] = label.function
    if label.unit_axis is not None:
        found["units"] = label.shape[label.unit_axis]
    return line(found)
