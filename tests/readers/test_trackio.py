"""Trackio's databases: files of the real writer in ``fixtures/``, and hostile twins made here."""

from __future__ import annotations

import io
import json
import math
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SourceError
from convergence_cli.readers import best_reader, trackio
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Curve, Run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "trackio"
HEALTHY = FIXTURES / "healthy-digits" / "healthy-digits.db"
EXPLODING = FIXTURES / "exploding-nan" / "exploding-nan.db"
NEW = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
    run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL);
CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,
    config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id));
"""
OLD = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL, run_name TEXT NOT NULL,
    step INTEGER NOT NULL, metrics TEXT NOT NULL);
CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_name TEXT NOT NULL, config TEXT NOT NULL,
    created_at TEXT NOT NULL, UNIQUE(run_name));
"""


def project(path: Path, rows: list[tuple[Any, ...]], script: str = "", *, schema: str = NEW) -> Source:
    """A project whose ``rows`` are (run, step, metrics)."""
    database = sqlite3.connect(path)
    database.executescript(schema)
    for number, (run, step, metrics) in enumerate(rows):
        moment = f"2026-01-01T00:00:{number % 60:02d}+00:00"
        cell = metrics if isinstance(metrics, (str, bytes)) else json.dumps(metrics)
        if schema is OLD:
            columns, values = "timestamp, run_name, step, metrics", (moment, run, step, cell)
        else:
            columns, values = "run_id, timestamp, run_name, step, metrics", (f"id-{run}", moment, run, step, cell)
        database.execute(f"INSERT INTO metrics ({columns}) VALUES ({', '.join('?' * len(values))})", values)
    database.executescript(script)
    database.commit()
    database.close()
    return Source(path, path.name)


@contextmanager
def streamed(data: bytes) -> Iterator[Source]:
    source = Source.from_stream(io.BytesIO(data))
    assert source.stream is not None
    with source.stream:
        yield source


def read(source: Source) -> list[Run]:
    return trackio.read([source], ReadOptions())


def series(run: Run, name: str = "loss") -> Curve:
    return next(curve for curve in run.curves if curve.name == name)


def test_projects_of_the_real_writer() -> None:
    (run,) = read(Source(HEALTHY, "healthy.db"))
    assert (run.name, run.format) == ("healthy-digits", "trackio")
    assert [(curve.name, curve.points) for curve in run.curves] == [
        ("train/loss", 12), ("val/loss", 12), ("grad_norm", 12), ("learning_rate", 12)
    ]  # fmt: skip
    assert {"learning_rate": 0.05, "optimizer": "sgd", "batch_size": 20}.items() <= run.config.items()
    assert not any(key.startswith("_") for key in run.config)
    (run,) = read(Source(EXPLODING, "exploding.db"))
    value = series(run, "train/loss").value
    assert value[6] == math.inf
    assert np.isnan(value[7:]).all()
    assert series(run, "train/loss").time is not None


@pytest.mark.parametrize("schema", [NEW, OLD])
def test_runs_are_told_apart_and_stand_in_their_order(tmp_path: Path, schema: str) -> None:
    rows: list[tuple[Any, ...]] = []
    for step in range(5):
        rows.append(("b", step * 10, {"loss": 1 / (step + 1), "epoch": step // 2, "train": {"acc": step}}))
        rows.append(("a", step, {"loss": "NaN" if step == 3 else step, "text": "hi", "ok": True}))
    script = (
        "INSERT INTO configs (run_name, config, created_at) VALUES ('a', '{\"lr\": 0.1, \"_Group\": null}', '')"
        if schema is OLD
        else "INSERT INTO configs (run_id, run_name, config, created_at) VALUES ('id-a', 'a', '{\"lr\": 0.1}', '')"
    )
    b, a = read(project(tmp_path / "p.db", rows, script, schema=schema))
    assert (b.name, a.name) == ("b", "a")
    assert series(b).step.tolist() == [0, 10, 20, 30, 40]
    assert series(b).epoch is not None
    assert series(b).epoch.tolist() == [0, 0, 1, 1, 2]
    assert series(b, "train/acc").value.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(series(a).value, [0, 1, 2, math.nan, 4])
    assert [curve.name for curve in a.curves] == ["loss"]
    assert a.config["learning_rate"] == 0.1
    assert a.notes == ("run a",)


def test_media_are_no_series(tmp_path: Path) -> None:
    rows = [("r", step, {"loss": 1.0, "image": {"_type": "trackio.image", "width": 3}}) for step in range(12)]
    (run,) = read(project(tmp_path / "p.db", rows))
    assert [curve.name for curve in run.curves] == ["loss"]


def test_cells_of_other_kinds_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [
        ("r", 0, {"loss": 3}), ("r", 1, "[1, 2]"), ("r", 2, "{"), ("r", 3, b"\xff\xfe"), ("r", "x", {"loss": 2}),
        ("r", 5, "null"), ("r", 6, '{"loss":\n1.5}'), ("r", 7, '{"loss": 1}\n{"loss": 0}'), ("r", 8, "[" * 5000),
        ("r", 9, '{"loss": NaN}'), ("r", 10, '{"loss": 1e999, "big": ' + "9" * 5000 + "}"),
    ]  # fmt: skip
    (run,) = read(project(tmp_path / "p.db", rows, "UPDATE metrics SET timestamp = 'never' WHERE step = 6"))
    np.testing.assert_array_equal(series(run).step, [0, 6, 9, 10])
    np.testing.assert_array_equal(series(run).value, [3, 1.5, math.nan, math.inf])
    time = series(run).time
    assert time is not None
    assert np.isnan(time).tolist() == [False, True, False, False]
    assert "skipped 7 rows without a JSON object or a step" in run.notes


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("DELETE FROM metrics", "no logged metrics"),
        ("ALTER TABLE metrics RENAME TO other; CREATE VIEW metrics AS SELECT * FROM other", "no table 'metrics'"),
        ("ALTER TABLE metrics RENAME COLUMN step TO at", "without a column 'step'"),
    ],
)
def test_what_holds_no_metrics_is_refused(tmp_path: Path, script: str, said: str) -> None:
    source = project(tmp_path / "p.db", [("r", 0, {"loss": 1})], script)
    with pytest.raises(SourceError, match=said):
        read(source)


def test_configs_may_be_missing_or_wrong(tmp_path: Path) -> None:
    rows = [("r", 0, {"loss": 1})]
    (run,) = read(project(tmp_path / "p.db", rows, "DROP TABLE configs"))
    assert run.config == {"run_name": "r"}
    script = "INSERT INTO configs (run_id, run_name, config, created_at) VALUES ('id-r', 'r', '[1]', '')"
    (run,) = read(project(tmp_path / "q.db", rows, script))
    assert run.config == {"run_name": "r"}


def test_it_is_known_by_its_tables_also_in_a_stream() -> None:
    assert best_reader(Source(HEALTHY, "healthy.db")) is trackio
    with streamed(HEALTHY.read_bytes()) as source:
        assert best_reader(source) is trackio
        assert len(read(source)) == 1


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 39_000), st.integers(0, 39_000))
def test_no_bytes_break_the_reader(junk: bytes, at: int, to: int) -> None:
    data = bytearray(HEALTHY.read_bytes())
    for part in (junk, data[to : to + 512]):
        data[at : at + len(part)] = part
        try:
            with streamed(bytes(data)) as source:
                runs = read(source)
        except CtroubleshootError:
            continue
        assert all(np.isfinite(curve.step).all() for run in runs for curve in run.curves)
