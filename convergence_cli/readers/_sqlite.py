"""The one door to SQLite files: opened so that nothing in them can write, run a function or reach outside.

Only real tables are read: a view or a virtual table runs what its schema says. Sources: https://sqlite.org/security.html,
https://sqlite.org/uri.html.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.readers._json_table import number

if TYPE_CHECKING:
    from typing import IO

    import numpy.typing as npt

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._guard import Source

MAGIC = b"SQLite format 3\x00"
MAX_CELL_BYTES = 8 << 20
MAX_TABLES = 1000
FETCHED_ROWS = 1 << 14
# What a writer that was stopped, or still writes, leaves beside the file and what belongs to it.
_BESIDE = ("-wal", "-journal")
# No row takes fewer bytes: a tree of pages that are used again and again has more.
_LEAST_ROW_BYTES = 4
_READING = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
_TABLES: WeakKeyDictionary[IO[bytes], dict[str, frozenset[str]]] = WeakKeyDictionary()


@dataclass(slots=True)
class Database:
    """An open database. Text comes as bytes, which may be no UTF-8: ``text_of`` reads it."""

    source: Source
    connection: sqlite3.Connection
    columns: dict[str, frozenset[str]] = field(default_factory=dict)

    def select(self, what: str, table: str, rest: str = "") -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a real table in blocks, at most as many as the bytes of the file can hold."""
        self.need(table)
        most = self.source.size // _LEAST_ROW_BYTES
        cursor = self.connection.execute(f'SELECT {what} FROM "{table}" {rest} LIMIT ?', (most,))
        while rows := cursor.fetchmany(FETCHED_ROWS):
            yield rows

    def rows(self, what: str, table: str, rest: str = "") -> Iterator[tuple[Any, ...]]:
        """The same, row by row."""
        for block in self.select(what, table, rest):
            yield from block

    def need(self, table: str, *columns: str) -> None:
        """Raise ``SourceError`` where ``table`` is not there, or lacks one of ``columns``."""
        found = self.columns.get(table)
        if found is None:
            raise self.source.error(f"has no table '{table}'.", "Check that the file was copied whole.")
        lacking = sorted(set(columns) - found)
        if lacking:
            raise self.source.error(
                f"has a table '{table}' without a column '{lacking[0]}'.", "Check which program wrote it."
            )


def tables(source: Source) -> dict[str, frozenset[str]]:
    """The columns of each real table in ``source``; none where it is no database, or a damaged one."""
    if not source.head.startswith(MAGIC):
        return {}
    known = None if source.stream is None else _TABLES.get(source.stream)
    if known is None:
        try:
            with opened(source) as database:
                known = database.columns
        except SourceError:
            known = {}
        if source.stream is not None:
            # A stream is copied to be opened: once is enough.
            _TABLES[source.stream] = known
    return known


@contextmanager
def opened(source: Source) -> Iterator[Database]:
    """The database, for reading only. What SQLite says of damage is a ``SourceError``."""
    try:
        with _place_of(source) as (path, owned), closing(_connected(path, owned=owned)) as connection:
            database = Database(source, connection)
            for table in _real_tables(connection):
                found = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
                # Columns that are computed are not listed.
                database.columns[table] = frozenset(text_of(row[1]) for row in found)
            connection.set_authorizer(_only_reading)
            yield database
    except (sqlite3.Error, UnicodeError, OverflowError, MemoryError) as error:
        # UnicodeError: SQLite's own message quotes a damaged name.
        reason = printable(str(error) or type(error).__name__, 200)
        raise source.error(
            f"is an SQLite database that cannot be read: {reason}.",
            "Copy it again while no program writes to it, or check it with 'sqlite3 FILE .recover'.",
        ) from error


def text_of(cell: object) -> str:
    """The text of a cell; empty where it holds none."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return cell if isinstance(cell, str) else ""


def numbers_of(cells: tuple[Any, ...]) -> tuple[FloatArray, npt.NDArray[np.bool_] | None]:
    """(n,) float64 and which cells hold a number (None: all). SQLite stores NaN as NULL: it holds none."""
    try:
        return np.fromiter(cells, np.float64, len(cells)), None
    except (TypeError, ValueError, OverflowError):
        found = [number(text_of(cell) if isinstance(cell, bytes) else cell) for cell in cells]
    has = np.array([cell is not None for cell in found], dtype=np.bool_)
    return np.array([np.nan if cell is None else cell for cell in found]), has


def _real_tables(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND rootpage > 0 LIMIT ?"
    found = ((text_of(name), text_of(sql)) for name, sql in connection.execute(query, (MAX_TABLES,)))
    return [
        name for name, sql in found if name.isascii() and name.isidentifier() and sql[:12].upper() == "CREATE TABLE"
    ]


def _connected(path: str, *, owned: bool) -> sqlite3.Connection:
    """``owned``: a copy of our own, to which SQLite may take what lies beside it. Else no lock is taken."""
    how = "mode=rw" if owned else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, isolation_level=None)
    connection.text_factory = bytes
    # Python 3.11 and later: before, a cell can be as large as the file.
    if hasattr(connection, "setlimit"):
        connection.setlimit(getattr(sqlite3, "SQLITE_LIMIT_LENGTH"), MAX_CELL_BYTES)  # noqa: B009
    pragmas = ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _only_reading(action: int, first: str | None, second: str | None, *_: object) -> int:
    del first, second
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


@contextmanager
def _place_of(source: Source) -> Iterator[tuple[str, bool]]:
    """Where SQLite finds the bytes of ``source``, and whether that is a copy.

    A stream is copied, and so is a file with a log of unfinished writes beside it: it is part of the data, and to
    read it SQLite may write.
    """
    with source.open_raw() as stream:
        beside = [] if source.stream is not None else _files_beside(source)
        if source.stream is None and not beside:
            yield os.path.abspath(source.path), False
            return
        with tempfile.TemporaryDirectory(prefix="ctroubleshoot-") as folder:
            copy = os.path.join(folder, "copy.sqlite")
            with open(copy, "wb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
            for suffix in beside:
                _copy_plain(f"{source.path}{suffix}", copy + suffix)
            yield copy, True


def _files_beside(source: Source) -> list[str]:
    found = []
    for suffix in _BESIDE:
        try:
            status = os.lstat(f"{source.path}{suffix}")
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode) and status.st_size:
            found.append(suffix)
    return found


def _copy_plain(path: str, target: str) -> None:
    """Copy a file that is no link; one that has gone meanwhile has been taken into the database."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return
    with os.fdopen(descriptor, "rb") as handle, open(target, "wb") as copy:
        shutil.copyfileobj(handle, copy, 1 << 20)
