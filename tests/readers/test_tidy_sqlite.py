"""Tidy rows in SQLite: nothing in a database runs, and a damaged one is an error in words."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.model import Curve, Run
from convergence_cli.readers import best_reader, tidy_sqlite
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.tidy.sqlite import write_sqlite

STEP = np.arange(300.0)
VALUE = np.where(STEP == 7, np.nan, 1 / (STEP + 1))


def whole() -> bytes:
    sink = io.BytesIO()
    curves = (Curve("loss", STEP, VALUE, epoch=STEP / 10, file="a.log"), Curve("acc", STEP, -VALUE))
    write_sqlite([Run("a", "a.log", "csv", curves, {"learning_rate": 0.1})], sink)
    return sink.getvalue()


WHOLE = whole()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sqlite")


def source_of(data: bytes, folder: Path) -> Source:
    path = folder / "rows with ?#%20.sqlite"
    path.write_bytes(data)
    return Source(path, path.name)


def runs(data: bytes, folder: Path) -> list[Run]:
    return tidy_sqlite.read([source_of(data, folder)], ReadOptions())


def changed(folder: Path, *statements: str) -> bytes:
    path = folder / "changed.sqlite"
    path.write_bytes(WHOLE)
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()
    return path.read_bytes()


def test_the_database_answers_questions_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    path.write_bytes(WHOLE)
    database = sqlite3.connect(path)
    found = database.execute('SELECT run, series, step, value FROM rows WHERE series = "loss" AND step < 2').fetchall()
    assert found == [("a", "loss", 0, 1.0), ("a", "loss", 1, 0.5)]
    assert database.execute("SELECT count(*), count(value) FROM points").fetchone() == (600, 598)
    database.close()


def test_it_is_read_from_a_file_and_from_a_pipe(tmp_path: Path) -> None:
    source = source_of(WHOLE, tmp_path)
    assert best_reader(source) is tidy_sqlite
    piped = Source.from_stream(io.BytesIO(WHOLE))
    assert best_reader(piped) is tidy_sqlite
    for one in (source, piped):
        (run,) = tidy_sqlite.read([one], ReadOptions())
        assert str(run.curves[0].value.tolist()) == str(VALUE.tolist())
        assert run.config == {"learning_rate": 0.1}
    assert piped.stream is not None
    piped.stream.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.path.name]


def test_databases_of_others_are_not_claimed(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "other.db")
    database.execute("CREATE TABLE metrics (key TEXT, value REAL)")
    database.commit()
    database.close()
    assert not tidy_sqlite.sniff(source_of((tmp_path / "other.db").read_bytes(), tmp_path))


@pytest.mark.parametrize(
    "statements",
    [
        (
            "DROP VIEW rows",
            "DROP TABLE runs",
            "CREATE VIEW runs AS SELECT 1 AS id, 'a' AS run, zeroblob(9) AS about",
        ),
        ("DROP VIEW rows", "DROP TABLE points", "CREATE TABLE points (series, step, value AS (zeroblob(999999999)))"),
        ("DROP VIEW rows", "DROP TABLE points", "CREATE VIRTUAL TABLE points USING fts5(series, step, value)"),
        ("DROP VIEW rows", "DROP TABLE series"),
        ("DELETE FROM points",),
        ("UPDATE series SET run = 9",),
        ("UPDATE points SET step = 'x'",),
        ("UPDATE points SET series = x'00'",),
    ],
)
def test_views_and_computed_columns_are_no_tables(statements: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        runs(changed(tmp_path, *statements), tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET about = x'ff00'",
        "UPDATE runs SET about = zeroblob(3000000)",
        "UPDATE series SET role = 5, file = x'ff'",
        "UPDATE points SET line = 'many', epoch = x'00', restart = 'nan' WHERE step < 9",
        "UPDATE points SET count = -1 WHERE step < 9",
        "UPDATE points SET count = 9e99 WHERE step < 9",
        "UPDATE points SET count = 0, nonfinite = 0 WHERE step < 9",
        "UPDATE points SET step = 9e999 WHERE step < 9",
        "CREATE TRIGGER t AFTER INSERT ON points BEGIN DELETE FROM points; END",
    ],
)
def test_wrong_values_cost_no_more_than_their_rows(statement: str, tmp_path: Path) -> None:
    (run,) = runs(changed(tmp_path, statement), tmp_path)
    assert all(curve.points >= 291 for curve in run.curves)


@pytest.mark.parametrize("cut", [100, 4096, len(WHOLE) // 2, len(WHOLE) - 4096])
def test_a_file_that_is_cut_off(cut: int, place: Path) -> None:
    with pytest.raises(SourceError):
        runs(WHOLE[:cut], place)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(72, len(WHOLE) - 1), bits=st.integers(1, 255), more=st.binary(max_size=8))
def test_nothing_but_our_errors_escapes(place: Path, at: int, bits: int, more: bytes) -> None:
    data = bytearray(WHOLE)
    data[at] ^= bits
    data[at + 1 : at + 1 + len(more)] = more
    try:
        found = runs(bytes(data), place)
    except SourceError:
        return
    assert all(curve.points for run in found for curve in run.curves)


def test_nothing_is_written_beside_the_database(tmp_path: Path) -> None:
    source = source_of(WHOLE, tmp_path)
    before = source.path.stat().st_mtime_ns
    tidy_sqlite.read([source], ReadOptions())
    assert [path.name for path in tmp_path.iterdir()] == [source.path.name]
    assert source.path.stat().st_mtime_ns == before
