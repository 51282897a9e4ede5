"""Tidy rows as an SQLite database: tables ``runs``, ``series`` and ``points``, and a view ``rows`` that joins them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from convergence_cli.readers._tidy_about import about_data
from convergence_cli.readers.tidy_sqlite import APPLICATION_ID, POINT_COLUMNS
from convergence_cli.tidy.rows import blocks, utf8

if TYPE_CHECKING:
    from convergence_cli.model import Run

_SCHEMA = f"""\
PRAGMA application_id = {APPLICATION_ID};
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE runs (id INTEGER PRIMARY KEY, run TEXT NOT NULL, format TEXT, path TEXT, about TEXT);
CREATE TABLE series (id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, name TEXT NOT NULL, role TEXT,
 file TEXT);
CREATE TABLE points (series INTEGER NOT NULL REFERENCES series, step NUMERIC NOT NULL, epoch REAL, value REAL,
 line INTEGER, time REAL, restart INTEGER, "count" INTEGER, nonfinite INTEGER, low REAL, high REAL, spread REAL,
 first_step NUMERIC, first_nonfinite_step NUMERIC);
CREATE VIEW rows AS SELECT runs.run AS run, series.name AS series, series.role AS role,
 {", ".join(f'points."{name}" AS "{name}"' for name in POINT_COLUMNS)}, series.file AS file
 FROM points JOIN series ON series.id = points.series JOIN runs ON runs.id = series.run;
"""


def write_sqlite(runs: Sequence[Run], sink: IO[bytes]) -> None:
    """``runs`` as one database. A value that was logged as NaN is NULL, which SQLite makes of it."""
    # SQLite writes to a path, and back and forth: what it made is then copied to where it shall be.
    with tempfile.TemporaryDirectory(prefix="ctroubleshoot-") as folder:
        draft = Path(folder) / "rows.sqlite"
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            _fill(connection, runs)
            connection.execute("COMMIT")
        finally:
            connection.close()
        with draft.open("rb") as stream:
            shutil.copyfileobj(stream, sink, 1 << 20)


def _fill(connection: sqlite3.Connection, runs: Sequence[Run]) -> None:
    names = ", ".join(f'"{name}"' for name in POINT_COLUMNS)
    insert = f"INSERT INTO points (series, {names}) VALUES (?{', ?' * len(POINT_COLUMNS)})"
    series = 0
    for number, run in enumerate(runs, 1):
        row = (number, utf8(run.name), run.format, utf8(run.path), json.dumps(about_data(run)))
        connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", row)
        before = None
        for block in blocks(run):
            if block.series is not before:
                before, series = block.series, series + 1
                texts = (utf8(block.text(name)) or None for name in ("series", "role", "file"))
                connection.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?)", (series, number, *texts))
            cells = [block.cells(name) for name in POINT_COLUMNS]
            connection.executemany(insert, zip([series] * len(block), *cells, strict=True))
