"""Blocks of parsed columns become the series of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.printable import printable
from convergence_cli.readers._table_axes import Axes, choose_axes, table_format
from convergence_cli.readers._table_cells import Column

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray
    from convergence_cli.readers._collect import Collector

# So many cells are looked at before it is decided which column is the step.
DECIDING_CELLS = 1_000_000


@dataclass(slots=True)
class Tally:
    """What was met on the way that is no row of numbers."""

    long_rows: int = 0
    nul_rows: int = 0
    stray_rows: int = 0
    repeated_headers: int = 0
    other_headers: int = 0
    torn: int = 0
    text_cells: dict[str, int] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """One plain sentence for each thing met."""
        said = [
            (self.long_rows, "rows have more cells than the header; the extra cells were dropped"),
            (self.nul_rows, "lines with NUL bytes were dropped"),
            (self.stray_rows, "lines without any number were skipped"),
            (self.repeated_headers, "times the header is repeated inside the file"),
            (self.other_headers, "times a new header with other columns begins inside the file"),
        ]
        notes = [f"{count:,} {text}" for count, text in said if count]
        if self.torn:
            notes.append("the last line is cut off and was dropped")
        for name, count in list(self.text_cells.items())[:5]:
            notes.append(f"{count:,} cells of {printable(name)} are not numbers and were left out")
        return notes


class Assembly:
    """Takes columns block by block, decides once what the axes are, and passes the points on."""

    def __init__(self, names: tuple[str, ...], delimiter: str, collector: Collector, value_name: str) -> None:
        self._delimiter = delimiter
        self._collector = collector
        self._value_name = value_name
        self._rows = 0
        self.x = ""
        self.format = ""
        self.notes: list[str] = []
        self.tally = Tally()
        self._begin(names)

    def _begin(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._waiting: list[tuple[list[Column], FloatArray]] = []
        self._cells = 0
        self._axes: Axes | None = None
        self._last_step = np.nan

    def restart(self, names: tuple[str, ...]) -> None:
        """Another header: what follows has these columns."""
        self.finish()
        self._begin(names)

    def add(self, columns: list[Column], lines: FloatArray) -> None:
        """One block: a column for each name, and the line numbers of its rows (1-based)."""
        masks = [column.present for column in columns if column.present is not None]
        if len(masks) == len(columns):
            some = np.logical_or.reduce(masks)
            if not some.all():
                self.tally.stray_rows += len(some) - int(np.count_nonzero(some))
                columns, lines = [column.where(some) for column in columns], lines[some]
        if not len(lines):
            return
        if self._axes is not None:
            self._emit(self._axes, columns, lines)
            return
        self._waiting.append((columns, lines))
        self._cells += len(columns) * len(lines)
        if self._cells >= DECIDING_CELLS:
            self.finish()

    def finish(self) -> None:
        """Decide on the axes, if that was still open, and pass on what waited for it."""
        if self._axes is not None or not self._waiting:
            return
        joined = [_join([block[index] for block, _ in self._waiting]) for index in range(len(self.names))]
        self._axes = choose_axes(self.names, joined)
        self.x = self.x or self._axes.x
        self.format = self.format or table_format(
            self.names, self._delimiter, dict(zip(self.names, joined, strict=True))
        )
        if self._axes.note is not None and self._axes.note not in self.notes:
            self.notes.append(self._axes.note)
        for columns, lines in self._waiting:
            self._emit(self._axes, columns, lines)
        self._waiting = []

    def _emit(self, axes: Axes, columns: list[Column], lines: FloatArray) -> None:
        count = len(lines)
        if axes.step is None:
            step = np.arange(self._rows, self._rows + count, dtype=np.float64)
        else:
            step = self._steps(columns[axes.step])
        self._rows += count
        epoch = None if axes.epoch is None else _with_gaps(columns[axes.epoch])
        time = None if axes.time is None else _with_gaps(columns[axes.time])
        series = [i for i, column in enumerate(columns) if column.numeric and i not in axes.skipped]
        for index in series:
            column = columns[index]
            name = self._series_name(index, len(series))
            if column.text:
                self.tally.text_cells[name] = self.tally.text_cells.get(name, 0) + column.text
            at = column.present
            if at is None:
                self._collector.add(name, step, column.values, epoch=epoch, time=time, line=lines)
            else:
                self._collector.add(
                    name,
                    step[at],
                    column.values[at],
                    epoch=None if epoch is None else epoch[at],
                    time=None if time is None else time[at],
                    line=lines[at],
                )

    def _steps(self, column: Column) -> FloatArray:
        """The steps of a block; a row that logs none has that of the row before it."""
        values = column.values
        known = np.isfinite(values)
        if column.present is not None:
            known &= column.present
        if not known.all():
            at = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
            first = float(values[known][0]) if known.any() else 0.0
            before = first if np.isnan(self._last_step) else self._last_step
            values = np.where(at >= 0, values[at], before)
        self._last_step = float(values[-1])
        return values

    def _series_name(self, index: int, count: int) -> str:
        name = self.names[index]
        if name and (count > 1 or name.lower() != "value"):
            return name
        return self._value_name if count == 1 else f"column {index + 1}"


def _with_gaps(column: Column) -> FloatArray:
    return column.values if column.present is None else np.where(column.present, column.values, np.nan)


def _join(parts: list[Column]) -> Column:
    if len(parts) == 1:
        return parts[0]
    values = np.concatenate([part.values for part in parts])
    present = None
    if any(part.present is not None for part in parts):
        masks = [np.ones(len(part.values), np.bool_) if part.present is None else part.present for part in parts]
        present = np.concatenate(masks)
    return Column(values, present, sum(part.text for part in parts))
