"""Tidy rows in an SQLite database: what ``ctroubleshoot ingest --format sqlite`` writes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from convergence_cli.printable import printable
from convergence_cli.readers._tidy_rows import FORMAT, NEEDED, NUMBERS, Key, TidyRuns, as_numbers

if TYPE_CHECKING:
    from convergence_cli.model import Run
    from convergence_cli.readers._guard import ReadOptions, Source

__all__ = ["APPLICATION_ID", "FORMAT", "POINT_COLUMNS", "read", "sniff"]

MAGIC = b"SQLite format 3\x00"
# In the header of the file, at byte 68: no other program writes it.
APPLICATION_ID = 0x63545244
POINT_COLUMNS = NUMBERS
MAX_ROWS = 200_000_000
MAX_SERIES = 1_000_000
MAX_CELL_BYTES = 32 << 20
_NEEDED = {
    "runs": frozenset(("id", "run", "about")),
    "series": frozenset(("id", "run", "name", "role", "file")),
    "points": NEEDED,
}
# sqlite3.SQLITE_LIMIT_LENGTH, which Python names from 3.11 on.
_LIMIT_LENGTH = 0
_FETCHED_ROWS = 1 << 13


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
    with _failing_in_words(source), _path_of(source) as path, closing(_connected(path)) as database:
        present = {table: _columns_of(source, database, table) for table in _NEEDED}
        database.set_authorizer(_only_reading)
        names: dict[Any, str] = {}
        for number, name, about in database.execute("SELECT id, run, about FROM runs LIMIT ?", (MAX_SERIES,)):
            names[number] = _text(name)
            runs.about(names[number], about)
        codes: dict[Any, int] = {}
        keys: list[Key] = []
        series = database.execute("SELECT id, run, name, role, file FROM series LIMIT ?", (MAX_SERIES,))
        for number, run, *texts in series:
            if run in names and isinstance(texts[0], str):
                codes[number] = len(keys)
                keys.append(Key(names[run], *map(_text, texts)))
        columns = [name for name in POINT_COLUMNS if name in present["points"]]
        chosen = ", ".join(f'"{name}"' for name in columns)
        points = database.execute(f"SELECT series, {chosen} FROM points ORDER BY rowid LIMIT ?", (MAX_ROWS,))
        while rows := points.fetchmany(_FETCHED_ROWS):
            whose, *cells = zip(*rows, strict=True)
            own = np.fromiter((codes.get(one, -1) for one in whose), np.int64, len(whose))
            numbers = {name: as_numbers(column) for name, column in zip(columns, cells, strict=True)}
            # A value that was logged as NaN is NULL: one that was not logged has no row.
            runs.add(keys, own, numbers, np.ones(len(own), dtype=bool))
    return runs.runs()


def _columns_of(source: Source, database: sqlite3.Connection, table: str) -> set[str]:
    """The columns that ``table`` stores. Raises ``SourceError`` where it lacks one, or only pretends to be a table."""
    query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"
    statement = next(iter(database.execute(query, (table,))), (None,))[0]
    if isinstance(statement, str) and statement[:12].upper() == "CREATE TABLE":
        # Columns that are computed are not listed.
        found = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        if found >= _NEEDED[table]:
            return found
    raise source.error(f"has no table {table} as 'ctroubleshoot ingest' writes it.", "Write it again with 'ingest'.")


def _connected(path: str) -> sqlite3.Connection:
    """The database at ``path``, for reading only: nothing in its schema can run a function or write."""
    database = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True, isolation_level=None)
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        database.execute(f"PRAGMA {pragma}")
    if hasattr(database, "setlimit"):
        database.setlimit(_LIMIT_LENGTH, MAX_CELL_BYTES)
    return database


def _only_reading(action: int, first: str | None, *_: object) -> int:
    reads = action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_READ and first in _NEEDED)
    return sqlite3.SQLITE_OK if reads else sqlite3.SQLITE_DENY


@contextmanager
def _path_of(source: Source) -> Iterator[str]:
    """Where SQLite finds the bytes of ``source``: a stream is copied to a file."""
    with source.open_raw() as stream:
        if source.stream is None:
            yield os.path.abspath(source.path)
            return
        with tempfile.NamedTemporaryFile(prefix="ctroubleshoot-", suffix=".sqlite") as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
            copy.flush()
            yield copy.name


@contextmanager
def _failing_in_words(source: Source) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OverflowError, MemoryError, UnicodeError) as error:
        reason = printable(str(error) or type(error).__name__)
        raise source.error(f"is no readable SQLite database: {reason}.", "Write it again with 'ingest'.") from error


def _text(item: object) -> str:
    return item if isinstance(item, str) else ""
