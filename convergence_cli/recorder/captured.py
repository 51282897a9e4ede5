"""One tensor of one step on its way from its device to a row of the record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
# What a device has found over a whole tensor, in the order in which it comes; NaN where it has not looked.
TOTALS = ("sum", "l2", "min", "max", "nonzero", "dead", "bits")
# How many values of a large tensor its quantiles are told from.
SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class Label:
    """What is the same for all rows of a tensor: the ``declare`` line. ``unit_axis`` None: units are not told apart."""

    kind: str
    name: str
    layer: str
    shape: tuple[int, ...]
    dtype: str
    order: int = 0
    function: str = ""
    unit_axis: int | None = None

    @property
    def title(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Measured:
    """One tensor of one step on the host.

    ``values`` are all of it, or, with ``totals`` (as ``TOTALS``, over the whole tensor), a sample: flat, or of shape
    (samples, units, positions) where units are told apart. ``windows``: a part of a weight along its first axis and
    one along its last, each (units, values), by which copies are found. ``absent`` zeros of a sparse tensor, in
    ``absent_units`` units, are not among the values.
    """

    label: Label
    values: Array
    totals: Array | None = None
    windows: tuple[Array, Array] | None = None
    absent: int = 0
    absent_units: int = 0
    units: int = 0
