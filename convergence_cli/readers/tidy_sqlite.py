"""Tidy rows in an SQLite database: what ``ctroubleshoot ingest --format sqlite`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._sqlite import MAGIC, opened, text_of
from convergence_cli.readers._tidy_rows import FORMAT, NEEDED, NUMBERS, Key, TidyRuns, as_numbers

if TYPE_CHECKING:
    from convergence_cli.model import Run
    from convergence_cli.readers._guard import ReadOptions, Source

__all__ = ["APPLICATION_ID", "FORMAT", "POINT_COLUMNS", "read", "sniff"]

# In the header of the file, at byte 68: no other program writes it.
APPLICATION_ID = 0x63545244
POINT_COLUMNS = NUMBERS
_NEEDED = {
    "runs": frozenset(("id", "run", "about")),
    "series": frozenset(("id", "run", "name", "role", "file")),
    "points": NEEDED,
}


def sniff(source: Source) -> float:
    """Certain where the header carries our number."""
    head = source.head
    mine = head.startswith(MAGIC) and int.from_bytes(head[68:72], "big") == APPLICATION_ID
    return 0.95 if mine else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """The runs of each file, in the order in which they were written."""
    del options
    return [run for source in sources for run in _read(source)]


def _read(source: Source) -> list[Run]:
    runs = TidyRuns(source)
    with opened(source) as database:
        for table, columns in _NEEDED.items():
            database.need(table, *columns)
        names: dict[Any, str] = {}
        for number, name, about in database.rows("id, run, about", "runs"):
            names[number] = text_of(name)
            runs.about(names[number], text_of(about))
        codes: dict[Any, int] = {}
        keys: list[Key] = []
        for number, run, *texts in database.rows("id, run, name, role, file", "series"):
            if run in names and isinstance(texts[0], bytes):
                codes[number] = len(keys)
                keys.append(Key(names[run], *map(text_of, texts)))
        columns_there = [name for name in POINT_COLUMNS if name in database.columns["points"]]
        chosen = ", ".join(f'"{name}"' for name in columns_there)
        for rows in database.select(f"series, {chosen}", "points", "ORDER BY rowid"):
            whose, *cells = zip(*rows, strict=True)
            own = np.fromiter((codes.get(one, -1) for one in whose), np.int64, len(whose))
            numbers = {name: as_numbers(column) for name, column in zip(columns_there, cells, strict=True)}
            # A value that was logged as NaN is NULL: one that was not logged has no row.
            runs.add(keys, own, numbers, np.ones(len(own), dtype=bool))
    return runs.runs()
