"""Units of a weight that are copies of one another: a layer born symmetric, or never told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from convergence_cli.tensors.moments import CHUNK

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block

Hashes = npt.NDArray[np.uint32]

# How many units are compared; copies come in layers, not in pairs.
JUDGED = 256
# And how many values of each row: rows that agree so far are copies.
JUDGED_VALUES = 4096
# Shorter rows coincide by chance, those of 16-bit floats often.
_FEWEST_VALUES = 4


class Twins:
    """Share of the first 256 rows, and of the first 256 columns, that equal another: the larger of the two.

    Rows lie along the first dimension as stored, columns along the last, since frameworks differ in which of them
    is the output. Of a row the first 4,096 values are looked at. Each is told by its first value and a 32-bit hash,
    linear over its values in place: of 256 different rows with one first value, two are taken for twins once in a
    hundred thousand tensors.
    """

    def __init__(self, stored_shape: Sequence[int]) -> None:
        size = 1
        for length in stored_shape:
            size *= length
        self._size = size
        self._row, self._line = size // stored_shape[0], stored_shape[-1]
        rows, columns = min(stored_shape[0], JUDGED), min(self._line, JUDGED)
        # A line longer than a piece is cut where it begins only if nothing but lines is there.
        lines_are_whole = self._line <= CHUNK or self._row == self._line
        self._rows = _Keys(rows) if self._row >= _FEWEST_VALUES and rows > 1 else None
        judged = size // self._line >= _FEWEST_VALUES and columns > 1 and lines_are_whole
        self._columns = _Keys(columns) if judged else None

    def add(self, values: Block, start: int) -> None:
        """Take in a piece of float32 or float64 that begins ``start`` values after the beginning of the tensor."""
        whole = values.size == self._size
        if self._rows is not None and start < self._rows.size * self._row:
            limit = self._rows.size * self._row - start
            if not (whole and self._rows.differ(values[: limit : self._row])):
                self._add_rows(self._rows, values[:limit], start)
        if self._columns is not None and not self._columns.told_apart:
            if whole and self._columns.differ(values[: self._columns.size]):
                return
            self._add_columns(self._columns, values, start)

    def _add_rows(self, keys: _Keys, values: Block, start: int) -> None:
        length = self._row
        while values.size:
            row, column = divmod(start, length)
            whole = 0 if column else values.size // length
            taken = whole * length or min(values.size, length - column)
            if column < JUDGED_VALUES:
                part = values[:taken].reshape(whole or 1, -1)[:, : JUDGED_VALUES - column]
                mixed = _mixed(part)
                if not column:
                    keys.first[row : row + len(mixed)] = mixed[:, 0]
                mixed *= _weights(column, mixed.shape[1])
                keys.hash[row : row + len(mixed)] += np.add.reduce(mixed, axis=1, dtype=np.uint32)
            start, values = start + taken, values[taken:]

    def _add_columns(self, keys: _Keys, values: Block, start: int) -> None:
        line, column = divmod(start, self._line)
        if column:
            return
        lines = values.size // self._line
        part = values.reshape(lines, self._line)[:, : keys.size] if lines else values[None, : keys.size]
        mixed = _mixed(part)
        if not line:
            keys.first[:] = mixed[0]
        mixed *= _weights(line, mixed.shape[0])[:, None]
        keys.hash += np.add.reduce(mixed, axis=0, dtype=np.uint32)
        keys.told_apart = keys.share() == 0

    def share(self) -> float:
        """The share, 0 to 1; NaN where rows and columns are too few or too short to be judged."""
        shares = [keys.share() for keys in (self._rows, self._columns) if keys is not None]
        return max(shares, default=float("nan"))


class _Keys:
    """What tells rows, or columns, apart. ``told_apart``: they are known to differ, whatever follows."""

    __slots__ = ("first", "hash", "size", "told_apart")

    def __init__(self, size: int) -> None:
        self.size = size
        self.first, self.hash = np.zeros(size, dtype=np.uint32), np.zeros(size, dtype=np.uint32)
        self.told_apart = False

    def differ(self, values: Block) -> bool:
        """Whether one value of each tells all apart."""
        ascending = np.sort(_mixed(values))
        self.told_apart = not np.count_nonzero(ascending[1:] == ascending[:-1])
        return self.told_apart

    def share(self) -> float:
        if self.told_apart:
            return 0.0
        keys = (self.first.astype(np.uint64) << np.uint64(32)) | self.hash
        counts = np.unique(keys, return_counts=True)[1]
        return float(counts[counts > 1].sum()) / self.size


def _mixed(values: Block) -> Hashes:
    """The bits of float32 or float64 as new uint32 whose low digits depend on the high ones; -0 as 0."""
    values = values + 0.0
    if values.dtype == np.float64:
        wide = values.view(np.uint64)
        return np.asarray(wide ^ (wide >> np.uint64(32)) ^ (wide >> np.uint64(47)), dtype=np.uint64).astype(np.uint32)
    bits: Hashes = values.view(np.uint32)
    bits ^= bits >> np.uint32(16)
    return bits


def _weights(start: int, size: int) -> Hashes:
    """An odd factor for each place from ``start`` on (the finalizer of Appleby's MurmurHash3)."""
    place: Hashes = np.arange(start, start + size, dtype=np.uint64).astype(np.uint32)
    place ^= place >> np.uint32(16)
    place *= np.uint32(0x85EBCA6B)
    place ^= place >> np.uint32(13)
    place *= np.uint32(0xC2B2AE35)
    place ^= place >> np.uint32(16)
    place |= np.uint32(1)
    return place
