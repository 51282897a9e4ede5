"""Tidy rows, one a point: what ``ctroubleshoot ingest`` writes, as CSV or as JSON lines."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._json_lines import parse_line
from convergence_cli.readers._json_table import number
from convergence_cli.readers._tidy_rows import ABOUT, COUNT, FORMAT, NEEDED, NUMBERS, TEXTS, Key, TidyRuns, as_numbers

if TYPE_CHECKING:
    from convergence_cli.model import Run
    from convergence_cli.readers._guard import ReadOptions, Source

__all__ = ["FORMAT", "read", "sniff"]

_FORMULA = ("'=", "'+", "'-", "'@", "'\t", "'\r")
_BLOCK_BYTES = 1 << 20
_Columns = Mapping[str, Sequence[Any]]


def sniff(source: Source) -> float:
    """Certain where the header, or the first object, names a series, a step and a value."""
    first = _first_line(source.head)
    return 0.95 if _is_object(first) or _header_of(first) is not None else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """The runs of each file, in the order in which they first appear."""
    del options
    return [run for source in sources for run in _read(source)]


@dataclass(slots=True)
class _Rows:
    """The rows of one file, as they become columns. ``header`` is None for JSON lines."""

    runs: TidyRuns
    header: list[str] | None
    codes: dict[tuple[str, ...], int] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)

    def take(self, lines: Sequence[str]) -> None:
        """Add ``lines``, none of them blank."""
        columns = self._of_objects(lines) if self.header is None else self._of_cells(lines, self.header)
        if columns is None:
            return
        texts = [columns.get(name, ()) for name in TEXTS]
        count = len(columns["series"])
        filled = [text or [""] * count for text in texts]
        codes = np.fromiter((self._code(row) for row in zip(*filled, strict=True)), np.int64, count)
        for name, told in zip(filled[0], columns.get(ABOUT, ()), strict=False):
            if told:
                self.runs.about(str(name), told)
        numbers = {name: as_numbers(columns[name]) for name in NUMBERS if name in columns}
        valued = ~np.isnan(numbers["value"])
        for index in np.flatnonzero(~valued).tolist():
            valued[index] = number(columns["value"][index]) is not None
        if COUNT in numbers and np.isnan(numbers[COUNT]).all():
            del numbers[COUNT]
        self.runs.add(self.keys, codes, numbers, valued)

    def _code(self, row: tuple[Any, ...]) -> int:
        found = self.codes.get(row)
        if found is None:
            if not isinstance(row[1], str):
                return -1
            found = self.codes[row] = len(self.keys)
            self.keys.append(Key(*(text if isinstance(text, str) else str(text or "") for text in row)))
        return found

    def _of_cells(self, lines: Sequence[str], header: list[str]) -> _Columns | None:
        width = len(header)
        if all(line.count(",") == width - 1 and '"' not in line for line in lines):
            cells = ",".join(lines).split(",")
            return {name: cells[at::width] for at, name in enumerate(header)}
        rows = [_split(line) for line in lines]
        good = [row for row in rows if len(row) == len(header)]
        self.runs.skip(len(rows) - len(good))
        return dict(zip(header, zip(*good, strict=True), strict=True)) if good else None

    def _of_objects(self, lines: Sequence[str]) -> _Columns | None:
        rows = [_object(line) for line in lines]
        names = (*TEXTS, *NUMBERS, ABOUT)
        present = {name for name in names if any(name in row for row in rows)} | NEEDED
        return {name: [_cell(row.get(name), name == ABOUT) for row in rows] for name in present}


def _read(source: Source) -> list[Run]:
    header = None if _is_object(first := _first_line(source.head)) else _header_of(first) or []
    rows = _Rows(TidyRuns(source) if header is None else TidyRuns(source, _unescaped), header)
    begun = torn = False
    for block in source.line_blocks(_BLOCK_BYTES):
        lines = block.decode("utf-8", "replace").splitlines()
        if not begun and header is not None:
            del lines[:1]
        begun = True
        if lines and not block.endswith((b"\n", b"\r")) and not (header is None and lines[-1].endswith("}")):
            # The value may be cut short, and a CSV row does not tell.
            del lines[-1]
            torn = True
        lines = [line for line in lines if line and not line.isspace()]
        if lines and (header is None or NEEDED.issubset(header)):
            rows.take(lines)
    return rows.runs.runs(torn=torn)


def _first_line(head: bytes) -> str:
    return next(iter(head.decode("utf-8", "replace").splitlines()), "")


def _is_object(line: str) -> bool:
    return line.lstrip().startswith("{") and _object(line).keys() >= NEEDED


def _header_of(line: str) -> list[str] | None:
    """The names of the columns; None where they are of no tidy table."""
    if line.lstrip().startswith("{"):
        return None
    header = [cell.strip().lower() for cell in _split(line)]
    return header if set(header) >= NEEDED and len(set(header)) == len(header) else None


def _object(line: str) -> dict[str, Any]:
    try:
        found = parse_line(line.encode("utf-8", "replace"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _cell(item: Any, told: bool) -> Any:
    """``item`` where a row may hold it: an object only where something is ``told`` of the run."""
    return item if isinstance(item, (str, int, float)) or (told and isinstance(item, dict)) else None


def _split(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(iter(csv.reader([line])), [])
    except csv.Error:
        return []


def _unescaped(name: str) -> str:
    """``name`` without the quote that keeps a spreadsheet from taking it for a formula."""
    return name[1:] if name.startswith(_FORMULA) else name
