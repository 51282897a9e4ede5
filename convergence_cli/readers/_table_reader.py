"""Reads a table block by block: the fast way where it is safe, cell by cell where it is not."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.readers._table import Layout, is_header, named
from convergence_cli.readers._table_assembly import Assembly
from convergence_cli.readers._table_axes import is_axis
from convergence_cli.readers._table_cells import Column, parse_column, parse_number
from convergence_cli.readers._table_rows import NUMBER_STARTS, split_columns, split_lines, split_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._collect import Collector

_FAST_REFUSALS = 3
_MAX_OTHER_HEADERS = 100


class TableReader:
    """Takes the blocks of one file and feeds its series to a ``Collector``. ``fast`` allows pandas."""

    def __init__(self, layout: Layout, collector: Collector, stem: str, *, fast: bool) -> None:
        self._layout = layout
        value_name = stem.rsplit("tag-", 1)[-1].strip("<>_ ") or "value"
        self._assembly = Assembly(layout.names, layout.delimiter, collector, value_name)
        self._refusals = 0 if fast else _FAST_REFUSALS
        self._skip = layout.begin
        self._line = 1
        self._carry = b""
        self._after_cr = False

    @property
    def x(self) -> str:
        """What a step means: ``step``, ``epoch`` or ``row``."""
        return self._assembly.x or "row"

    @property
    def format(self) -> str:
        """The program that wrote the table, or ``csv`` or ``tsv``."""
        return self._assembly.format or ("tsv" if self._layout.delimiter == "\t" else "csv")

    def notes(self) -> list[str]:
        """What a user should know of how the table was read."""
        empty = [] if self._assembly.x else ["the table has a header and no rows yet"]
        return [*empty, *self._assembly.notes, *self._assembly.tally.notes()]

    def feed(self, block: bytes) -> None:
        """The next block; all but the last end at a line end."""
        if self._after_cr and block.startswith(b"\n"):
            block = block[1:]
        self._after_cr = block.endswith(b"\r")
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        while self._skip and block:
            end = block.find(b"\n") + 1
            block = block[end:] if end else b""
            self._skip -= 1
            self._line += 1
        if self._carry:
            block, self._carry = self._carry + block, b""
        if not block.endswith(b"\n"):
            end = block.rfind(b"\n") + 1
            block, self._carry = block[:end], block[end:]
        if not block or self._feed_fast(block):
            return
        lines = split_lines(block.decode("utf-8", "replace"))
        consumed = self._feed_lines(lines, final=False)
        if consumed < len(lines):
            self._carry = "\n".join([*lines[consumed:], ""]).encode("utf-8", "replace") + self._carry

    def close(self) -> None:
        """The end of the file: a last line without a line end may be cut off."""
        if self._carry:
            self._feed_lines(split_lines(self._carry.decode("utf-8", "replace")), final=True)
        self._assembly.finish()

    def _feed_fast(self, block: bytes) -> bool:
        if self._refusals >= _FAST_REFUSALS:
            return False
        from convergence_cli.readers._table_pandas import parse_block

        layout = self._layout
        columns = parse_block(block, len(self._assembly.names), layout.delimiter, layout.decimal)
        if columns is None:
            self._refusals += 1
            return False
        self._refusals = 0
        self._assembly.add(columns, self._numbered(len(columns[0].values)))
        return True

    def _numbered(self, count: int) -> FloatArray:
        self._line += count
        return np.arange(self._line - count, self._line, dtype=np.float64)

    def _feed_lines(self, lines: list[str], *, final: bool) -> int:
        width = len(self._assembly.names)
        if not final and (plain := split_columns(lines, self._layout.delimiter, width)) is not None:
            self._assembly.add(
                [parse_column(column, self._layout.decimal) for column in plain], self._numbered(len(lines))
            )
            return len(lines)
        rows = split_rows(lines, self._layout.delimiter, final=final, width=width)
        self._assembly.tally.nul_rows += rows.nul
        cells, at = rows.cells, rows.at
        if final and self._carry and not self._carry.endswith(b"\n") and cells and self._is_torn(cells[-1]):
            self._assembly.tally.torn += 1
            cells, at = cells[:-1], at[:-1]
        begin = 0
        for index, row in enumerate(cells):
            if not row or row[0].lstrip()[:1] in NUMBER_STARTS:
                continue
            names = self._new_header(row)
            if names is None:
                continue
            if names == self._assembly.names:
                self._assembly.tally.repeated_headers += 1
                cells[index] = []
                continue
            self._feed_rows(cells[begin:index], at[begin:index])
            begin = index + 1
            self._assembly.tally.other_headers += 1
            self._assembly.restart(names)
        self._feed_rows(cells[begin:], at[begin:])
        self._line += rows.consumed
        return rows.consumed

    def _feed_rows(self, rows: list[list[str]], at: Sequence[int]) -> None:
        at = [line for line, row in zip(at, rows, strict=True) if row]
        rows = [row for row in rows if row]
        if not rows:
            return
        width = len(self._assembly.names)
        if max(map(len, rows)) > width:
            self._assembly.tally.long_rows += sum(
                len(row) > width and any(cell.strip() for cell in row[width:]) for row in rows
            )
            rows = [row[:width] for row in rows]
        columns = [parse_column(cells, self._layout.decimal) for cells in zip_longest(*rows, fillvalue="")]
        nothing = Column(np.full(len(rows), np.nan), np.zeros(len(rows), dtype=np.bool_))
        columns += [nothing] * (width - len(columns))
        self._assembly.add(columns, np.array(at, dtype=np.float64) + self._line)

    def _new_header(self, row: list[str]) -> tuple[str, ...] | None:
        """The names, where the row is a header: the same again, or that of another run appended."""
        if not is_header(row):
            return None
        cells = list(row)
        while len(cells) > 1 and not cells[-1].strip():
            cells.pop()
        names = named(cells)
        if names == self._assembly.names:
            return names
        if len(names) == 1 or self._assembly.tally.other_headers >= _MAX_OTHER_HEADERS:
            return None
        return names if any(name in self._assembly.names or is_axis(name) for name in names if name) else None

    def _is_torn(self, row: list[str]) -> bool:
        """Whether a last row without a line end has too few cells, or a last cell that is no number."""
        width = len(self._assembly.names)
        if len(row) < width:
            return True
        if width - 1 not in self._layout.numbers:
            return False
        try:
            parse_number(row[width - 1], self._layout.decimal)
        except ValueError:
            return True
        return False
