"""What the single units of a layer do: which are dead, saturated or constant, and whether they share one whole."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convergence_cli.tensors.moments import CHUNK

if TYPE_CHECKING:
    from convergence_cli.tensors.pieces import Layout, Piece

# A unit is dead, or saturated, when it is so in this share of the samples.
PERSISTENT = 0.99
# An activation function is saturated where its slope is less than this share of its steepest.
SATURATED_SLOPE = 0.02
# tanh' = 1 - y^2, and the sigmoid is (1 + tanh(x / 2)) / 2: one edge gives all limits.
_EDGE = math.sqrt(1 - SATURATED_SLOPE)
LIMITS = {
    "tanh": (-_EDGE, _EDGE),
    "sigmoid": ((1 - _EDGE) / 2, (1 + _EDGE) / 2),
    "tanh_input": (-math.atanh(_EDGE), math.atanh(_EDGE)),
    "sigmoid_input": (-2 * math.atanh(_EDGE), 2 * math.atanh(_EDGE)),
}
_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
# A sigmoid is exactly 0 only below -103; a layer with more zeros than this is none (a clipped ReLU, say), unless it
# is rounded to 16 bits: then it is exactly 1 too, and much of it lies just above 0, where a ReLU has next to nothing.
_ZEROS_OF_A_SIGMOID = 0.01
_NEAR_ZERO = 0.1
# How far the units of a sample may add up beside 1.
_SUM_TOLERANCE = 1e-3
# Memory of 17 bytes a unit, of 4 where only zeros are counted.
MOST_UNITS = 1 << 20
MOST_ROWS = 1 << 22


@lru_cache(maxsize=1)
def _ones() -> npt.NDArray[np.float32]:
    """To sum with by BLAS."""
    return np.ones(CHUNK, dtype=np.float32)


def per_unit(mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """How many of each unit are set, of a mask of shape (samples, units, positions); below 2^24 of each."""
    samples, units, positions = mask.shape
    values = mask.astype(np.float32)
    if positions > 1:
        values = (values.reshape(-1, positions) @ _ones()[:positions]).reshape(samples, units)
    else:
        values = values.reshape(samples, units)
    return values[0] if samples == 1 else _ones()[:samples] @ values


def _counters(layout: Layout) -> npt.NDArray[Any]:
    """One counter a unit; float32 counts exactly to 2^24."""
    return np.zeros(layout.units, dtype="f" if layout.before * layout.after < 1 << 24 else "d")


class DeadRows:
    """Units whose values are all exactly zero: of a weight they give nothing, of a gradient they learn nothing."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._zeros: npt.NDArray[Any] | None = None

    def add(self, piece: Piece, zeros: int) -> None:
        """Take in a piece, of which ``zeros`` values are 0."""
        samples, units, positions = piece.values.shape
        # Fewer zeros than a unit has values here: no unit is all zero.
        if not zeros or zeros < samples * positions:
            return
        if self._zeros is None:
            self._zeros = _counters(self._layout)
        self._zeros[piece.unit : piece.unit + units] += per_unit(piece.values == 0)

    def share(self) -> float:
        """The share of the units, 0 to 1."""
        if self._zeros is None:
            return 0.0
        whole = self._layout.before * self._layout.after
        return float(np.count_nonzero(self._zeros == whole)) / self._layout.units


class Activations:
    """Dead, saturated and constant units of an activation or output, and samples whose units add up to 1.

    ``function`` names the activation function where it is known; empty, the range of the values tells it.
    """

    def __init__(self, layout: Layout, function: str) -> None:
        self._layout = layout
        self._samples = layout.before * layout.after
        self._zeros: npt.NDArray[Any] | None = None
        self._told = bool(function)
        names = (function,) if function in LIMITS else () if function else tuple(_RANGES)
        self._saturation = {name: _Saturation(layout, *LIMITS[name]) for name in names}
        self._constant = _Constant(layout.units)
        self._sums = _Sums(layout) if layout.units > 1 and layout.after <= MOST_UNITS else None

    def add(self, piece: Piece, low: float, high: float, zeros: int) -> None:
        """Take in a piece whose finite values lie from ``low`` to ``high``; ``zeros`` of them are 0."""
        units = slice(piece.unit, piece.unit + piece.values.shape[1])
        if zeros:
            if self._zeros is None:
                self._zeros = _counters(self._layout)
            self._zeros[units] += per_unit(piece.values == 0)
        for name, saturation in tuple(self._saturation.items()):
            if not self._told and (low < _RANGES[name][0] or high > _RANGES[name][1]):
                del self._saturation[name]
            else:
                saturation.add(piece, units)
        self._constant.add(piece, units)
        if self._sums is not None:
            self._sums.add(piece)

    def numbers(self, total: dict[str, Any]) -> dict[str, float]:
        """The fields of ``TensorRow`` that this knows; ``total`` has those of the whole tensor."""
        enough = PERSISTENT * self._samples
        found = {"dead": 0.0}
        if self._zeros is not None:
            found["dead"] = float(np.count_nonzero(self._zeros >= enough)) / self._layout.units
        if self._samples > 1:
            found["constant"] = self._constant.share()
        if self._sums is not None:
            found["sums_to_one"] = self._sums.complete / self._samples
        function = self._function(total, found.get("sums_to_one", 0.0))
        if function is not None:
            found["saturated"] = self._saturation[function].share(enough)
            found["saturated_values"] = self._saturation[function].values / total["count"]
        return found

    def _function(self, total: dict[str, Any], sums_to_one: float) -> str | None:
        """Whose limits apply: what was told, else by range. A softmax is bounded too, and near its bounds when sure."""
        left = tuple(self._saturation)
        if self._told or not left:
            return left[0] if left else None
        if total["inf"] or "min" not in total or sums_to_one > 0.5:
            return None
        if total["min"] < 0:
            return "tanh"
        if total["zero"] <= _ZEROS_OF_A_SIGMOID * total["count"]:
            return "sigmoid"
        found = self._saturation["sigmoid"]
        near, between = found.below - total["zero"], total["count"] - found.values
        return "sigmoid" if total["max"] == 1 and near > 0 and near >= _NEAR_ZERO * between else None


class _Saturation:
    def __init__(self, layout: Layout, lower: float, upper: float) -> None:
        self._layout, self._lower, self._upper = layout, lower, upper
        self._beyond: npt.NDArray[Any] | None = None
        self.values = self.below = 0

    def add(self, piece: Piece, units: slice) -> None:
        beyond = piece.values < self._lower
        self.below += int(np.count_nonzero(beyond))
        beyond |= piece.values > self._upper
        if not (count := int(np.count_nonzero(beyond))):
            return
        self.values += count
        if self._beyond is None:
            self._beyond = _counters(self._layout)
        self._beyond[units] += per_unit(beyond)

    def share(self, enough: float) -> float:
        return 0.0 if self._beyond is None else float(np.count_nonzero(self._beyond >= enough)) / self._layout.units


class _Constant:
    """Units that still have their first value; the others are not looked at again."""

    def __init__(self, units: int) -> None:
        self._same = np.ones(units, dtype=bool)
        self._first: npt.NDArray[Any] | None = None

    def add(self, piece: Piece, units: slice) -> None:
        if self._first is None:
            self._first = np.empty(self._same.size, dtype=piece.values.dtype)
        first, same = self._first[units], self._same[units]
        if not piece.sample and not piece.position:
            first[:] = piece.values[0, :, 0]
        same &= piece.values[-1, :, -1] == first
        left = np.flatnonzero(same)
        if left.size:
            values = piece.values if left.size == same.size else piece.values[:, left]
            same[left] = (values == first[left, None]).all(axis=(0, 2))

    def share(self) -> float:
        return float(np.count_nonzero(self._same)) / self._same.size


class _Sums:
    """Samples whose units are probabilities. One may be spread over many pieces."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sum: npt.NDArray[np.float64] | None = None
        self._lowest: npt.NDArray[np.float64] | None = None
        self.complete = 0

    def add(self, piece: Piece) -> None:
        values = piece.values
        samples, units, positions = values.shape
        if units == self._layout.units and positions == self._layout.after:
            if positions == 1:
                sums = values.reshape(samples, units) @ np.ones(units, dtype=values.dtype)
            else:
                sums = np.add.reduce(values, axis=1)
            near = np.abs(sums - 1) <= _SUM_TOLERANCE
            if near.any():
                near &= np.minimum.reduce(values, axis=1).reshape(near.shape) >= 0
                self.complete += int(np.count_nonzero(near))
            return
        if self._sum is None or self._lowest is None or not (piece.unit or piece.position):
            self._sum = np.zeros(self._layout.after)
            self._lowest = np.zeros(self._layout.after)
        here = slice(piece.position, piece.position + positions)
        self._sum[here] += np.add.reduce(values[0], axis=0, dtype=np.float64)
        self._lowest[here] = np.minimum(self._lowest[here], np.minimum.reduce(values[0], axis=0))
        if piece.unit + units == self._layout.units and here.stop == self._layout.after:
            near = (np.abs(self._sum - 1) <= _SUM_TOLERANCE) & (self._lowest >= 0)
            self.complete += int(np.count_nonzero(near))
