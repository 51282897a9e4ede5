"""Everything that is told of a stored tensor, measured in one pass over its bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from convergence_cli.tensors.difference import difference
from convergence_cli.tensors.input_features import MOST_FEATURES, InputFeatures
from convergence_cli.tensors.moments import CHUNK, Moments
from convergence_cli.tensors.narrow import Patterns
from convergence_cli.tensors.pieces import Layout, cut, layout_of, placed
from convergence_cli.tensors.sample import EXACT_SIZE, Sample
from convergence_cli.tensors.stored import FLOATS, Block, StoredTensor
from convergence_cli.tensors.twins import Twins
from convergence_cli.tensors.unit_variance import UnitVariance
from convergence_cli.tensors.units import MOST_ROWS, MOST_UNITS, Activations, DeadRows
from convergence_cli.tensors.values import NARROW, as_floats

__all__ = ["difference", "measure"]


def measure(
    tensor: StoredTensor,
    kind: str,
    *,
    unit_axis: int | None = None,
    function: str = "",
    exact_size: int = EXACT_SIZE,
) -> dict[str, Any]:
    """The fields of ``TensorRow`` that the values tell, by name; what they do not tell is absent.

    ``kind`` is one of ``KINDS``. ``unit_axis`` is the dimension of the features or channels; those of a weight and its
    gradient lie along the first where it is None. ``function`` is the activation function where it is known,
    ``tanh_input`` or ``sigmoid_input`` where the values are what goes into one.
    No values make it raise; ``SourceError`` comes from ``tensor.blocks`` alone.

    Memory is a few megabytes at any size. Up to ``exact_size`` values, and for 16- and 8-bit floats at any size,
    quantiles are exact; else see ``Sample``.
    """
    if kind in ("weight", "gradient"):
        unit_axis = unit_axis or 0
    elif kind not in ("activation", "output", "input"):
        unit_axis = None
    if unit_axis is not None and not -len(tensor.shape) <= unit_axis < len(tensor.shape):
        unit_axis = None
    layout = layout_of(tensor, unit_axis)
    with np.errstate(all="ignore"):
        units = _Units(tensor, kind, layout, function) if unit_axis is not None and tensor.size else None
        if tensor.dtype in NARROW and (tensor.size > exact_size or NARROW[tensor.dtype] == 8):
            found = _by_pattern(tensor, layout, units)
        else:
            found = _by_block(tensor, kind, layout, units, exact_size)
        if units is not None and found["count"]:
            found |= units.numbers(found)
    return found


def _by_block(tensor: StoredTensor, kind: str, layout: Layout, units: _Units | None, exact_size: int) -> dict[str, Any]:
    total = Moments(min(tensor.size, CHUNK), absolute=kind in ("gradient", "update"))
    sample = Sample(tensor.size, tensor.shape, exact_size)
    narrow = tensor.dtype in NARROW
    start = 0
    for piece in cut(tensor.blocks(), layout):
        values = as_floats(piece, tensor.dtype)
        if narrow:
            values = values.astype(np.float64)
        total.add(values)
        sample.add(values)
        if units is not None:
            units.add(values, start, total.low, total.high, total.zeros)
        start += values.size
    return {**total.numbers(), "quantiles": sample.quantiles(finite=total.finite == total.count)}


def _by_pattern(tensor: StoredTensor, layout: Layout, units: _Units | None) -> dict[str, Any]:
    total = Patterns(tensor.dtype)
    if units is None or not units.watching:
        for block in tensor.blocks():
            total.add(block)
        return total.numbers()
    start = 0
    for piece in cut(tensor.blocks(), layout):
        total.add(piece)
        values = as_floats(piece, tensor.dtype)
        low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
        units.add(values, start, low, high, int(np.count_nonzero(values == 0)) if low <= 0 <= high else 0)
        start += values.size
    return total.numbers()


class _Units:
    """What is watched unit by unit in a tensor of one kind."""

    def __init__(self, tensor: StoredTensor, kind: str, layout: Layout, function: str) -> None:
        self._layout = layout
        floats = tensor.dtype in FLOATS
        matrix = len(tensor.shape) > 1
        self._rows = self._twins = self._variance = self._activations = self._features = None
        if kind in ("weight", "gradient"):
            if matrix and layout.units <= MOST_ROWS:
                self._rows = DeadRows(layout)
            if matrix and kind == "weight":
                stored_shape = tensor.shape[::-1] if tensor.fortran else tensor.shape
                self._twins, self._variance = Twins(stored_shape), UnitVariance(stored_shape)
        elif kind == "input":
            self._features = InputFeatures(layout) if floats and layout.units <= MOST_FEATURES else None
        elif floats and layout.units <= MOST_UNITS:
            self._activations = Activations(layout, function)

    @property
    def watching(self) -> bool:
        return any((self._rows, self._twins, self._activations, self._features))

    def add(self, values: Block, start: int, low: float, high: float, zeros: int) -> None:
        if self._twins is not None:
            self._twins.add(values, start)
        if self._variance is not None:
            self._variance.add(values, start)
        if self._rows is None and self._activations is None and self._features is None:
            return
        piece = placed(values, start, self._layout)
        if self._rows is not None:
            self._rows.add(piece, zeros)
        if self._activations is not None:
            self._activations.add(piece, low, high, zeros)
        if self._features is not None:
            self._features.add(piece)

    def numbers(self, total: dict[str, Any]) -> dict[str, Any]:
        samples = self._layout.before * self._layout.after
        found: dict[str, Any] = {"units": float(self._layout.units), "samples": float(samples)}
        if self._rows is not None:
            found["dead"] = self._rows.share()
        # Where values are not finite, the rows are alike for another reason.
        if self._twins is not None and self._variance is not None and not total["nan"] + total["inf"]:
            same = total["count"] > 1 and total["min"] == total["max"]
            found["twin"] = 1.0 if same else self._twins.share()
            found["unit_variance"] = self._variance.share()
        if self._activations is not None:
            found |= self._activations.numbers(total)
        if self._features is not None:
            found |= self._features.numbers()
        return found
