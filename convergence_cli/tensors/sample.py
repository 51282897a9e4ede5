"""Quantiles of a stream of values: exact where they are few, else from a systematic sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.tensor_stats import QUANTILES

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block

EXACT_SIZE = 65_536
LARGEST_SAMPLE = 1 << 20
_SHARE = 16
_NONE = (float("nan"),) * len(QUANTILES)


def stride_of(size: int, shape: Sequence[int], exact_size: int = EXACT_SIZE) -> int:
    """Every how many values one is taken: a stride without a common factor with any dimension favours no column."""
    if size <= exact_size:
        return 1
    wanted = size // min(max(size // _SHARE, exact_size), LARGEST_SAMPLE)
    lengths = [length for length in shape if length > 1]
    for stride in range(wanted, wanted // 2, -1):
        if all(math.gcd(stride, length) == 1 for length in lengths):
            return stride
    stride = wanted + 1
    while any(math.gcd(stride, length) > 1 for length in lengths):
        stride += 1
    return stride


class Sample:
    """Every so-manieth value, counted from the middle of the first stride.

    Up to ``exact_size`` (65,536) values are all taken. Above, about a sixteenth of them are, but no fewer than that
    (up to the rounding of the stride) and no more than about a million. Of m sampled values the rank of a quantile q is
    off by sqrt(q (1 - q) / m) at one standard deviation where the values lie in no order: 0.002 at the median of
    65,536, 0.0005 of the largest sample. Values that rise or fall along the tensor give less.
    """

    __slots__ = ("_next", "_stride", "_taken")

    def __init__(self, size: int, shape: Sequence[int], exact_size: int = EXACT_SIZE) -> None:
        self._stride = stride_of(size, shape, exact_size)
        self._next = self._stride // 2
        self._taken: list[Block] = []

    def add(self, values: Block) -> None:
        """Take in the next block of float32 or float64."""
        if self._next < values.size:
            taken = values[self._next :: self._stride]
            # A copy, since a block is valid only until the next one is read.
            self._taken.append(taken.copy())
            self._next += taken.size * self._stride
        self._next -= values.size

    def quantiles(self, *, finite: bool) -> tuple[float, ...]:
        """Of the finite values at ``QUANTILES``, linear between two. ``finite``: all of them are known to be."""
        values = self._taken[0] if len(self._taken) == 1 else np.concatenate(self._taken) if self._taken else _EMPTY
        self._taken.clear()
        if not finite:
            values = values[np.isfinite(values)]
        if not values.size:
            return _NONE
        values.sort()
        return tuple(between(values, q) for q in QUANTILES)


_EMPTY = np.empty(0, dtype=np.float64)


def between(ascending: Block, q: float) -> float:
    """The quantile ``q`` of values that ascend, linear between the two next to it."""
    place = q * (ascending.size - 1)
    index = int(place)
    below = float(ascending[index])
    if index + 1 == ascending.size:
        return below
    share = place - index
    # Not below + share * (above - below), which can leave the range of float64.
    return below * (1 - share) + float(ascending[index + 1]) * share
