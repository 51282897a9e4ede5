"""Counts, extremes, mean and spread of a stream of values, in one pass of blocks that stay in the cache.

Each block is centred by its own mean, and blocks are combined by Chan, Golub and LeVeque, "Algorithms for computing
the sample variance" (The American Statistician 37, 1983), equation 2.1; in root-mean-square form, so that no square
leaves the range of float64. The plain ``E[x^2] - mean^2`` in float32 loses the spread of values far from zero,
and the squares of values below 1e-19 or above 1e19 altogether.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block

# How many values are worked on at once: with its scratch a float32 block stays in a second-level cache.
CHUNK = 65_536
# Between these largest magnitudes no square of a value, and none of a difference of two that count, leaves the range
# of the type: differences are as small as the largest value times the type's epsilon, sums as large as CHUNK squares.
_SQUARABLE = {"f": (1e-10, 1e15), "d": (1e-120, 1e140)}
_LARGEST_EXPONENT = {"f": 126, "d": 1022}
# Above this share of non-finite values gathering the finite ones is quicker than filling the gaps.
_SPARSE = 0.25
_NAN = float("nan")


class Moments:
    """Count, NaN, infinities, zeros, and of the finite values mean, spread and extremes of blocks of one float type.

    ``longest`` is the size of the largest block that comes. ``add`` expects numpy's floating-point errors to be
    ignored. After it ``low``, ``high`` and ``zeros`` tell of the last block (NaN where nothing in it is finite).
    """

    __slots__ = (*("_abs_mean", "_clean", "_longest", "_mask", "_work", "absolute", "count", "finite", "high"),
                 *("inf", "low", "max", "mean", "min", "nan", "negative_inf", "std", "zero", "zeros"))  # fmt: skip

    def __init__(self, longest: int, *, absolute: bool) -> None:
        self.absolute = absolute
        self.count = self.finite = self.nan = self.inf = self.negative_inf = self.zero = self.zeros = 0
        self.mean = self.std = self._abs_mean = 0.0
        self.min, self.max = math.inf, -math.inf
        self.low = self.high = _NAN
        self._longest = longest
        self._mask: npt.NDArray[np.bool_] | None = None
        self._work: Block | None = None
        self._clean: Block | None = None

    def add(self, values: Block) -> None:
        """Take in a block of float32 or float64."""
        size = values.size
        self.zeros = 0
        if not size:
            return
        self.count += size
        low, high = float(np.minimum.reduce(values)), float(np.maximum.reduce(values))
        if not math.isfinite(low - low + high - high):
            values = self._finite(values)
            size = values.size
            if not size:
                self.low = self.high = _NAN
                return
            low, high = float(np.minimum.reduce(values)), float(np.maximum.reduce(values))
        self.low, self.high = low, high
        self.min, self.max = min(self.min, low), max(self.max, high)
        if low <= 0 <= high:
            if self._mask is None:
                self._mask = np.empty(self._longest, dtype=bool)
            self.zeros = int(np.count_nonzero(np.equal(values, 0, out=self._mask[:size])))
            self.zero += self.zeros
        if low == high:
            self._combine(size, low, 0.0, abs(low))
        else:
            self._combine(size, *self._block(values, low, high))

    def _finite(self, values: Block) -> Block:
        """Count what is not finite; the finite values, in any order."""
        size = values.size
        finite = np.isfinite(values)
        broken = np.logical_not(finite)
        gaps = np.flatnonzero(broken)
        rest = size - gaps.size
        odd = values[gaps] if gaps.size < size * _SPARSE else values
        nan = int(np.count_nonzero(np.isnan(odd)))
        self.nan += nan
        if gaps.size > nan:
            self.inf += gaps.size - nan
            self.negative_inf += int(np.count_nonzero(odd == -np.inf))
        if odd is values:
            return values[np.flatnonzero(finite)]
        if self._clean is None:
            self._clean = np.empty(self._longest, dtype=values.dtype)
        clean = self._clean[:size]
        np.copyto(clean, values)
        # What follows asks for no order: the gaps are filled from the end.
        clean[gaps[gaps < rest]] = values[rest + np.flatnonzero(finite[rest:])]
        return clean[:rest]

    def _block(self, values: Block, low: float, high: float) -> tuple[float, float, float]:
        """Mean, standard deviation and mean magnitude of finite values that are not all the same."""
        size, kind = values.size, values.dtype.char
        if self._work is None:
            self._work = np.empty(self._longest, dtype=values.dtype)
        work = self._work[:size]
        largest, scale = max(-low, high), 1.0
        smallest_safe, largest_safe = _SQUARABLE[kind]
        if not smallest_safe <= largest <= largest_safe:
            # By a power of two, which changes no digit.
            limit = _LARGEST_EXPONENT[kind]
            scale = math.ldexp(1.0, min(max(-math.frexp(largest)[1], -limit), limit))
            values = np.multiply(values, values.dtype.type(scale))
        total = float(np.add.reduce(values))
        squares = float(np.dot(values, values))
        mean = total / size
        spread = squares - total * mean
        for _ in range(3):
            if spread >= 0.5 * squares:
                break
            # The mean is as large as the spread, and their squares cancel: begin again from the mean.
            centre = float(values.dtype.type(mean))
            np.subtract(values, values.dtype.type(mean), out=work)
            total = float(np.add.reduce(work))
            squares = float(np.dot(work, work))
            mean = centre + total / size
            spread = squares - total * (total / size)
        magnitude = _NAN
        if low >= 0 or high <= 0:
            magnitude = abs(mean)
        elif self.absolute:
            magnitude = float(np.add.reduce(np.abs(values, out=work))) / size
        return mean / scale, math.sqrt(max(spread, 0.0) / size) / scale, magnitude / scale

    def _combine(self, size: int, mean: float, std: float, magnitude: float) -> None:
        before, self.finite = self.finite, self.finite + size
        if not before:
            self.mean, self.std, self._abs_mean = mean, std, magnitude
            return
        ours, theirs = before / self.finite, size / self.finite
        # Halved in the factor, since the difference of two float64 may not be one.
        apart = math.sqrt(ours * theirs)
        self.std = math.hypot(math.sqrt(ours) * self.std, math.sqrt(theirs) * std, mean * apart - self.mean * apart)
        self.mean = self.mean * ours + mean * theirs
        self._abs_mean = self._abs_mean * ours + magnitude * theirs

    def numbers(self) -> dict[str, float]:
        """The fields of ``TensorRow`` that this knows."""
        found: dict[str, float] = {"count": float(self.count), "nan": float(self.nan), "inf": float(self.inf)}
        found |= {"negative_inf": float(self.negative_inf), "zero": float(self.zero)}
        if self.finite:
            same = self.min == self.max
            mean, std = (self.min, 0.0) if same else (min(max(self.mean, self.min), self.max), self.std)
            found |= {"mean": mean, "std": std, "min": self.min, "max": self.max}
            found["abs_mean"] = abs(mean) if self.min >= 0 or self.max <= 0 else self._abs_mean
            found["l2"] = math.hypot(mean, std) * math.sqrt(self.finite)
        return found
