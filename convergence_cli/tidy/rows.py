"""The points of a run as tidy rows, in blocks: memory stays flat however long the log is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._tidy_rows import BUCKET, COLUMNS

if TYPE_CHECKING:
    from convergence_cli.model import Curve, FloatArray, Run

BLOCK_ROWS = 1 << 13
# Written as whole numbers.
COUNTS = frozenset(("line", "restart", "count", "nonfinite"))
_STEPS = frozenset(("step", "first_step", "first_nonfinite_step"))


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive points of one series: ``numbers`` by column, NaN where the log does not say, all of one length.

    A NaN in ``value`` was logged so; in a row that stands for many points it says that none was finite.
    """

    series: Curve
    numbers: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.numbers["step"])

    def text(self, name: str) -> str:
        """What all rows have in the column ``name``: the series, its role or its file."""
        return {"series": self.series.name, "role": self.series.role, "file": self.series.file}[name] or ""

    def cells(self, name: str) -> list[Any]:
        """The numbers of the column ``name`` as Python has them; None where there is none."""
        column = self.numbers.get(name)
        if column is None:
            return [None] * len(self)
        if name == "value":
            return list(column.tolist())
        if name in COUNTS:
            return [None if math.isnan(item) else int(item) for item in column.tolist()]
        if name in _STEPS:
            return [None if math.isnan(item) else int(item) if item.is_integer() else item for item in column.tolist()]
        return [None if math.isnan(item) else item for item in column.tolist()]


def blocks(run: Run) -> Iterator[Block]:
    """The rows of ``run``, series by series."""
    for curve in run.curves:
        columns = _columns(curve)
        for start in range(0, len(curve.step), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            yield Block(curve, {name: column[rows] for name, column in columns.items()})


def used_columns(runs: Sequence[Run]) -> tuple[str, ...]:
    """The columns that have something to say on ``runs``, in their order; the first seven always do."""
    curves = [curve for run in runs for curve in run.curves]
    used = {*COLUMNS[:7]}
    used |= {"time"} if any(curve.time is not None for curve in curves) else set()
    used |= {"file"} if any(curve.file for curve in curves) else set()
    used |= {"restart"} if any(curve.restarts for curve in curves) else set()
    used |= {*BUCKET} if any(curve.buckets is not None for curve in curves) else set()
    return tuple(name for name in COLUMNS if name in used)


def _columns(curve: Curve) -> dict[str, FloatArray]:
    columns = {"step": curve.step, "value": curve.value}
    if curve.epoch is not None:
        columns["epoch"] = curve.epoch
    if curve.time is not None:
        columns["time"] = curve.time
    if curve.line is not None:
        # Line 0 stands for none.
        columns["line"] = np.where(curve.line > 0, curve.line.astype(np.float64), np.nan)
    if curve.restarts:
        columns["restart"] = np.full(len(curve.step), np.nan)
        columns["restart"][list(curve.restarts)] = 1.0
    if curve.buckets is not None:
        columns |= {name: getattr(curve.buckets, name) for name in BUCKET}
    return columns


def utf8(text: str) -> str:
    """``text`` with what UTF-8 cannot hold (halves of surrogate pairs) written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
