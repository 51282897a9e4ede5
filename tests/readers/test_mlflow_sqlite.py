"""MLflow's SQLite store: files of the real writer in ``fixtures/``, and hostile twins made here."""

from __future__ import annotations

import io
import math
import os
import shutil
import sqlite3
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SourceError
from convergence_cli.readers import aim, best_reader, mlflow, mlflow_sqlite, trackio
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.readers._mlflow_meta import is_deleted, meta_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Curve, Run

FIXTURES = Path(__file__).parents[2] / "fixtures"
HEALTHY = FIXTURES / "mlflow-db" / "healthy-digits" / "mlflow.db"
EXPLODING = FIXTURES / "mlflow-db" / "exploding-nan" / "mlflow.db"
T0 = 1_700_000_000_000
SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), status VARCHAR(9),
    lifecycle_stage VARCHAR(20), experiment_id INTEGER);
CREATE TABLE metrics (key VARCHAR(250) NOT NULL, value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32) NOT NULL,
    step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL);
CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, step BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL);
CREATE TABLE params (key VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL, run_uuid VARCHAR(32) NOT NULL);
CREATE TABLE tags (key VARCHAR(250) NOT NULL, value VARCHAR(8000), run_uuid VARCHAR(32) NOT NULL);
INSERT INTO experiments VALUES (0, 'Default'), (1, 'digits');
INSERT INTO runs VALUES ('r1', 'first', 'FINISHED', 'active', 1);
"""


def store(path: Path, script: str = "", rows: tuple[tuple[Any, ...], ...] = ()) -> Source:
    """A store with one run, ``r1``; ``rows`` are of metrics."""
    database = sqlite3.connect(path)
    database.executescript(SCHEMA)
    database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.executescript(script)
    database.commit()
    database.close()
    return Source(path, path.name)


def loss(*values: float | None, run: str = "r1") -> tuple[tuple[Any, ...], ...]:
    return tuple(("loss", value, T0 + 1000 * step, run, step, 0) for step, value in enumerate(values))


def read(source: Source) -> list[Run]:
    return mlflow_sqlite.read([source], ReadOptions())


def series(run: Run, name: str = "loss") -> Curve:
    return next(curve for curve in run.curves if curve.name == name)


def test_a_store_of_the_real_writer() -> None:
    (run,) = read(Source(HEALTHY, "mlflow.db"))
    assert (run.name, run.format) == ("healthy", "mlflow")
    assert [(curve.name, curve.points) for curve in run.curves] == [
        ("train_loss", 12), ("val_loss", 12), ("grad_norm", 12), ("learning_rate", 12)
    ]  # fmt: skip
    assert {
        "learning_rate": 0.05,
        "optimizer": "sgd",
        "batch_size": 20,
        "run_name": "healthy",
    }.items() <= run.config.items()
    assert run.notes == ("run healthy of experiment fixtures",)
    loss = series(run, "train_loss")
    np.testing.assert_array_equal(loss.step, range(12))
    assert loss.time is not None
    assert 1.7e9 < loss.time[0] <= loss.time[-1]


def test_nan_and_infinite_values_are_told_from_zero_and_the_largest_double() -> None:
    (run,) = read(Source(EXPLODING, "mlflow.db"))
    value = series(run, "train_loss").value
    assert value[6] == math.inf
    assert np.isnan(value[7:]).all()
    assert np.isfinite(value[:6]).all()


def test_deleted_runs_are_left_out_and_the_others_stand_in_their_order(tmp_path: Path) -> None:
    script = """
        INSERT INTO runs VALUES ('r2', '', 'FAILED', 'active', 0), ('r3', 'gone', 'FINISHED', 'deleted', 1),
            ('r4', NULL, 'RUNNING', NULL, 7), ('r5', 'silent', 'KILLED', 'active', 1);
        INSERT INTO tags VALUES ('mlflow.runName', 'second', 'r2');
        INSERT INTO params VALUES ('lr', '0.5', 'r2'), ('lr', '9', 'r3');
    """
    rows = [
        row
        for pair in zip(*(loss(3, 2, 1, run=run) for run in ("r4", "r1", "r3", "r2", "lost")), strict=True)
        for row in pair
    ]
    first, second, fourth = read(store(tmp_path / "m.db", script, tuple(rows)))
    assert [run.name for run in (first, second, fourth)] == ["first", "second", "r4"]
    assert second.config["learning_rate"] == 0.5
    assert first.notes == ("run first of experiment digits", "1 run of the file logged no metrics and is left out")
    assert second.notes == ("run second of experiment Default", "MLflow says that the run has failed")
    assert "running" in fourth.notes[1]
    for run in (first, second, fourth):
        assert series(run).value.tolist() == [3, 2, 1]


def test_steps_that_were_never_passed_give_the_order_of_time(tmp_path: Path) -> None:
    rows = tuple(("loss", value, T0 + at, "r1", 0, 0) for at, value in ((2, 0.5), (0, 2.0), (1, 1.0)))
    (run,) = read(store(tmp_path / "m.db", "INSERT INTO latest_metrics VALUES ('loss', 0, 'r1')", rows))
    assert series(run).step.tolist() == [0, 1, 2]
    assert series(run).value.tolist() == [2.0, 1.0, 0.5]
    assert run.notes[1:] == ("no steps were logged: points stand in the order of their timestamps",)


def test_a_store_from_before_steps_and_nan(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    database = sqlite3.connect(path)
    database.executescript("""
        CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256));
        CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, name VARCHAR(250));
        CREATE TABLE metrics (key VARCHAR(250), value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32));
        INSERT INTO runs VALUES ('r1', 'old');
        INSERT INTO metrics VALUES ('loss', 2.0, 10, 'r1'), ('loss', 1.0, 20, 'r1');
    """)
    database.close()
    (run,) = read(Source(path, "m.db"))
    assert (run.name, series(run).step.tolist(), series(run).value.tolist()) == ("old", [0, 1], [2.0, 1.0])


def test_cells_of_other_types_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = (
        *loss(1.0, None, 0.5),
        ("loss", "nonsense", T0, "r1", 3, 0), ("loss", b"\xff\x00", T0, "r1", 4, 0), ("loss", 0.25, T0, "r1", "x", 0),
        ("loss", None, T0, "r1", 5, 1), (7, 0.1, T0, "r1", 6, 0), ("loss", 0.1, T0, 3.5, 7, 0),
        ("loss", 0.125, None, "r1", 8, 0),
    )  # fmt: skip
    (run,) = read(store(tmp_path / "m.db", "", rows))
    assert series(run).step.tolist() == [0, 2, 5, 8]
    np.testing.assert_array_equal(series(run).value, [1.0, 0.5, math.nan, 0.125])
    assert "skipped 4 points whose value or step is no number" in run.notes
    assert [curve.name for curve in run.curves] == ["loss", "7"]


def test_long_texts_are_left_out(tmp_path: Path) -> None:
    script = f"INSERT INTO params VALUES ('long', '{'x' * 9000}', 'r1'), ('lr', '0.1', 'r1')"
    rows = (*loss(1.0, 0.5), ("k" * 5000, 1.0, T0, "r1", 0, 0))
    (run,) = read(store(tmp_path / "m.db", script, rows))
    assert "long" not in run.config
    assert [curve.name for curve in run.curves] == ["loss"]
    if sys.version_info >= (3, 11):
        rows = (*loss(1.0, 0.5), ("k" * (9 << 20), 1.0, T0, "r1", 0, 0))
        with pytest.raises(SourceError, match="cannot be read"):
            read(store(tmp_path / "huge.db", "", rows))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("ALTER TABLE metrics RENAME TO other; CREATE VIEW metrics AS SELECT * FROM other", "no table 'metrics'"),
        ("DROP TABLE runs", "no table"),
        ("ALTER TABLE metrics RENAME COLUMN value TO other", "without a column 'value'"),
        ("DELETE FROM metrics", "no logged metrics"),
        ("UPDATE runs SET lifecycle_stage = 'deleted'", r"no logged metrics of any run \(1 run deleted\)"),
        (
            "DROP TABLE metrics; CREATE TABLE metrics (key PRIMARY KEY, value, timestamp, run_uuid) WITHOUT ROWID",
            "no such column",
        ),
        (
            "DROP TABLE metrics; CREATE TABLE metrics (key, timestamp, run_uuid, value AS (abs(timestamp)))",
            "without a column 'value'",
        ),
    ],
)  # fmt: skip
def test_what_only_pretends_to_be_a_store_is_refused(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(store(tmp_path / "m.db", script, loss(1.0, 0.5)))


def test_triggers_views_and_indices_run_nothing(tmp_path: Path) -> None:
    script = """
        CREATE TRIGGER t AFTER INSERT ON metrics BEGIN DELETE FROM runs; END;
        CREATE VIEW v AS SELECT load_extension('/nowhere') FROM metrics;
        CREATE INDEX i ON metrics (abs(value)) WHERE value > 0;
    """
    source = store(tmp_path / "m.db", script, loss(1.0, 0.5))
    before = (tmp_path / "m.db").read_bytes()
    (run,) = read(source)
    assert series(run).points == 2
    assert (tmp_path / "m.db").read_bytes() == before
    assert os.listdir(tmp_path) == ["m.db"]


def test_it_is_told_from_the_databases_of_others(tmp_path: Path) -> None:
    assert best_reader(Source(HEALTHY, "mlflow.db")) is mlflow_sqlite
    foreign = tmp_path / "app.db"
    database = sqlite3.connect(foreign)
    database.executescript("CREATE TABLE metrics (name TEXT, value REAL); CREATE TABLE runs (id INTEGER)")
    database.close()
    for module in (mlflow_sqlite, trackio, aim):
        assert module.sniff(Source(foreign, "app.db")) == 0
        assert module.sniff(Source(FIXTURES / "truth.csv", "truth.csv")) == 0


def test_an_aim_repository_is_named_and_says_how_to_export(tmp_path: Path) -> None:
    path = tmp_path / "run_metadata.sqlite"
    database = sqlite3.connect(path)
    # The tables of aim/storage/structured/sql_engine/models.py.
    for table in ("run", "experiment", "tag", "run_tag", "note", "run_info"):
        database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
    database.close()
    source = Source(path, path.name)
    assert best_reader(source) is aim
    with pytest.raises(SourceError, match=r"query_metrics\(\)"):
        aim.read([source], ReadOptions())


@contextmanager
def streamed(data: bytes) -> Iterator[Source]:
    source = Source.from_stream(io.BytesIO(data))
    assert source.stream is not None
    with source.stream:
        yield source


def test_a_stream_is_read_like_a_file() -> None:
    with streamed(HEALTHY.read_bytes()) as source:
        assert best_reader(source) is mlflow_sqlite
        (run,) = read(source)
    assert run.path == "<stdin>"
    assert series(run, "train_loss").points == 12


def test_what_is_not_yet_in_the_file_is_read_from_the_log_beside_it(tmp_path: Path) -> None:
    source = store(tmp_path / "m.db", "PRAGMA journal_mode = WAL", loss(1.0, 0.5))
    writer = sqlite3.connect(tmp_path / "m.db")
    writer.execute("INSERT INTO metrics VALUES ('loss', 0.25, 0, 'r1', 2, 0)")
    writer.commit()
    assert (tmp_path / "m.db-wal").stat().st_size
    names = sorted(os.listdir(tmp_path))
    (run,) = read(source)
    assert series(run).value.tolist() == [1.0, 0.5, 0.25]
    assert sorted(os.listdir(tmp_path)) == names
    # The writer was not held up, and a link is not followed.
    writer.execute("INSERT INTO metrics VALUES ('loss', 0.125, 0, 'r1', 3, 0)")
    writer.commit()
    shutil.copy(tmp_path / "m.db", tmp_path / "n.db")
    (tmp_path / "n.db-wal").symlink_to(tmp_path / "m.db-wal")
    (run,) = read(Source(tmp_path / "n.db", "n.db"))
    assert series(run).value.tolist() == [1.0, 0.5]
    writer.close()


def test_damage_is_a_sentence() -> None:
    data = HEALTHY.read_bytes()
    with streamed(data[:100]) as source:
        assert mlflow_sqlite.sniff(source) == 0
    outcomes = set()
    for cut in range(1000, len(data), 1777):
        outcomes.add(outcome(data[:cut]))
    for at in range(0, len(data), 997):
        outcomes.add(outcome(data[:at] + bytes(len(data[at : at + 600])) + data[at + 600 :]))
    assert outcomes <= {"read", "refused"}
    assert "refused" in outcomes


def outcome(data: bytes) -> str:
    try:
        with streamed(data) as source:
            runs = read(source)
    except CtroubleshootError:
        return "refused"
    assert all(np.isfinite(curve.step).all() for run in runs for curve in run.curves)
    return "read"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 44_000), st.integers(0, 44_000))
def test_no_bytes_break_the_reader(junk: bytes, at: int, to: int) -> None:
    data = bytearray(HEALTHY.read_bytes())
    data[at : at + len(junk)] = junk
    outcome(bytes(data))
    data[to : to + 512] = data[at : at + 512]
    outcome(bytes(data))


def test_the_name_and_end_of_a_run_in_files(tmp_path: Path) -> None:
    run = tmp_path / "mlruns" / "1" / "f00d"
    (run / "metrics").mkdir(parents=True)
    (run / "metrics" / "loss").write_text(f"{T0} 1.0 0\n{T0} 0.5 1\n")
    meta = "artifact_uri: x\nlifecycle_stage: {}\nrun_name: 'a: b'\nstatus: 4\n"
    (run / "meta.yaml").write_text(meta.format("active"))
    (found,) = mlflow.read([Source(run / "metrics" / "loss", "loss")], ReadOptions())
    assert (found.name, found.config) == ("a: b", {"run_name": "a: b"})
    assert found.notes == ("run a: b", "MLflow says that the run has failed")
    assert not is_deleted(run)
    (run / "meta.yaml").write_text(meta.format("deleted"))
    assert is_deleted(run)
    for damaged in ("[1, 2", "- 1", "run_name: [1]\nstatus: true", "\0", "a: &x [*x]"):
        (run / "meta.yaml").write_text(damaged)
        assert meta_of(run).name == ""
        assert meta_of(run).notes == ()
        assert not is_deleted(run)
