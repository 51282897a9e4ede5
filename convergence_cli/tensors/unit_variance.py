"""How far the units of a weight are from being copies of one another, noise on the copies notwithstanding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.tensors.twins import JUDGED

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block

# How many values of a unit are looked at: enough for a ratio good to a few thousandths, and few to keep.
VALUES = 4096
_FEWEST_UNITS = 4
# Sums of squares in float64 cancel to this.
_ROUNDING = 1e-12


class UnitVariance:
    """``sum((w - mean over units)^2) / sum(w^2)`` with the rows as units and with the columns: the smaller of the two.

    Of the first 256 rows (along the first dimension as stored) or columns (along the last), and of each of them the
    first 4096 values. It is 0 where all are copies, about ``e^2 / (1 + e^2)`` for copies with relative noise ``e``,
    and for ``n`` independent ones of mean 0 about ``1 - 1 / n``.
    """

    def __init__(self, stored_shape: Sequence[int]) -> None:
        self._row, self._line = math.prod(stored_shape[1:]), stored_shape[-1]
        rows, columns = min(stored_shape[0], JUDGED), min(self._line, JUDGED)
        self._rows = _Sums(rows) if rows >= _FEWEST_UNITS else None
        self._columns = _Sums(columns) if columns >= _FEWEST_UNITS else None
        self._row_sums = np.zeros(min(self._row, VALUES) if self._rows else 0)

    def add(self, values: Block, start: int) -> None:
        """Take in a piece of float32 or float64 that begins ``start`` values after the beginning of the tensor."""
        if self._rows is not None and start < (end := self._rows.units * self._row):
            self._add_rows(self._rows, values[: end - start], start)
        if self._columns is not None and start < (end := VALUES * self._line):
            self._add_columns(self._columns, values[: end - start], start % self._line)

    def _add_rows(self, sums: _Sums, values: Block, start: int) -> None:
        while values.size:
            column = start % self._row
            rows = 1 if column or values.size < self._row else values.size // self._row
            part = values[: self._row - column if rows == 1 else rows * self._row]
            wide = part.reshape(rows, -1)[:, : max(VALUES - column, 0)].astype(np.float64)
            self._row_sums[column : column + wide.shape[1]] += np.dot(np.ones(wide.shape[0]), wide)
            sums.squares += float(np.vdot(wide, wide))
            start, values = start + part.size, values[part.size :]

    def _add_columns(self, sums: _Sums, values: Block, column: int) -> None:
        if column:
            values = values[self._line - column :]
        if values.size < sums.units:
            # The rest of a line longer than a piece, or one whose first values are cut in two: it is left out.
            return
        lines = values.size // self._line
        part = values[: lines * self._line].reshape(lines, -1) if lines else values[None]
        wide = part[:, : sums.units].astype(np.float64)
        line_sums = np.dot(wide, np.ones(wide.shape[1]))
        sums.of_sums += float(np.dot(line_sums, line_sums))
        sums.squares += float(np.vdot(wide, wide))

    def share(self) -> float:
        """The smaller ratio, 0 to 1; NaN where there are fewer than 4 rows and columns, or nothing but zeros."""
        if self._rows is not None:
            self._rows.of_sums = float(np.dot(self._row_sums, self._row_sums))
        shares = [sums.share() for sums in (self._rows, self._columns) if sums is not None]
        return min((share for share in shares if not math.isnan(share)), default=math.nan)


class _Sums:
    """Of ``units`` units: the sum of all squares, and that of the squares of the sums over units."""

    __slots__ = ("of_sums", "squares", "units")

    def __init__(self, units: int) -> None:
        self.units = units
        self.squares = self.of_sums = 0.0

    def share(self) -> float:
        if not 0 < self.squares < math.inf:
            return math.nan
        share = 1 - self.of_sums / self.units / self.squares
        return share if share > _ROUNDING else 0.0
