"""What ``ingest`` writes is judged as the log it came from, whatever the format."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.codec import to_data
from convergence_cli.model import Buckets, Curve, Run
from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.readers import best_reader
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.settings import Settings
from convergence_cli.tidy.parquet import write_parquet
from convergence_cli.tidy.sqlite import write_sqlite
from convergence_cli.tidy.text import write_csv, write_jsonl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convergence_cli.model import Report

ROOT = Path(__file__).parents[2]
with (ROOT / "fixtures" / "truth.csv").open(newline="") as stream:
    TRUTH = [row["path"] for row in csv.DictReader(stream)]
WRITERS: dict[str, Callable[[Sequence[Run], Any], None]] = {
    **{"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet, "sqlite": write_sqlite}
}
TEXT = ("csv", "jsonl")
COLUMNS = ("step", "value", "epoch", "time", "line")


@pytest.fixture(params=WRITERS)
def form(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return str(request.param)


def written(runs: Sequence[Run], form: str, folder: Path) -> Path:
    path = folder / f"rows.{form}"
    handle: IO[Any] = path.open("w", newline="", encoding="utf-8") if form in TEXT else path.open("wb")
    with handle:
        WRITERS[form](runs, handle)
    return path


def told(report: Report) -> list[dict[str, Any]]:
    """All that is said of the runs but what they are called: a fingerprint is made of the name, too."""
    runs: list[dict[str, Any]] = to_data(report)["runs"]
    for run in runs:
        del run["name"], run["path"]
        for finding in run["findings"]:
            del finding["fingerprint"]
    return runs


def read_again(runs: Sequence[Run], form: str, folder: Path) -> list[Run]:
    source = Source(written(runs, form, folder), "rows")
    reader = best_reader(source)
    assert reader is not None
    assert reader.FORMAT == "tidy"
    return reader.read([source], ReadOptions())


def same(one: Curve, other: Curve) -> None:
    assert (one.name, one.file, one.restarts) == (other.name, other.file, other.restarts)
    for name in COLUMNS:
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) == (right is None), name
        assert left is None or np.array_equal(left, right, equal_nan=True), name
    assert (one.buckets is None) == (other.buckets is None)
    if one.buckets is not None and other.buckets is not None:
        for name in Buckets.__slots__:
            assert np.array_equal(getattr(one.buckets, name), getattr(other.buckets, name), equal_nan=True), name


def test_every_fixture_gives_the_same_report(form: str, tmp_path: Path) -> None:
    different = []
    # Each fixture in one of the forms; the forms have tests of their own for what a series can hold.
    turn = list(WRITERS).index(form)
    for path in TRUTH[turn :: len(WRITERS)]:
        where = str(ROOT / "fixtures" / path)
        # Rows are of the log: tensors beside it stay where they are.
        expected = told(analyze_paths([where], Settings(), dumps=False))
        runs, _ = read_paths([where], Settings(), dumps=False)
        rows = written(runs, form, tmp_path)
        if told(analyze_paths([str(rows)], Settings())) != expected:
            different.append(path)
    assert different == []
    assert len(TRUTH) > 60


def test_a_long_series_keeps_extremes_breaks_and_restarts(form: str, tmp_path: Path) -> None:
    count = 150_000
    loss = 2.3 * np.exp(-np.arange(count) / 4e4) + 0.1
    loss[[70_001, 70_002, 149_999]] = [np.nan, np.inf, np.nan]
    loss[33] = 1e9
    step = np.arange(count, dtype=np.float64)
    step[90_001:] -= 5_000
    log = tmp_path / "log.csv"
    rows = zip(step.tolist(), loss.tolist(), strict=True)
    log.write_text("step,loss\n" + "".join(f"{int(at)},{value!r}\n" for at, value in rows))
    (run,), _ = read_paths([str(log)], Settings())
    (again,), _ = read_paths([str(written([run], form, tmp_path))], Settings())
    assert run.curves[0].buckets is not None
    assert len(run.curves[0].restarts) == 1
    assert (again.curves[0].points, again.curves[0].role) == (count, "train_loss")
    same(run.curves[0], again.curves[0])
    rows_file = str(tmp_path / f"rows.{form}")
    assert told(analyze_paths([rows_file], Settings())) == told(analyze_paths([str(log)], Settings()))


def test_components_of_a_loss_are_added_anew_and_noted_once(form: str, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,box_loss,cls_loss\n" + "".join(f"{at},{9 / (at + 1)},{5 / (at + 1)}\n" for at in range(40)))
    (run,), _ = read_paths([str(log)], Settings())
    (again,), _ = read_paths([str(written([run], form, tmp_path))], Settings())
    assert [curve.name for curve in again.curves] == ["box_loss", "cls_loss", "box_loss + cls_loss"]
    assert again.notes == run.notes
    assert len(run.notes) == 1


def test_a_role_that_was_named_stays(form: str, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss,wobble\n" + "".join(f"{at},{9 / (at + 1)},{at}\n" for at in range(40)))
    (run,), _ = read_paths([str(log)], Settings(metrics={"train_loss": "wobble"}))
    (again,), _ = read_paths([str(written([run], form, tmp_path))], Settings())
    assert [(curve.name, curve.role) for curve in again.curves] == [("loss", None), ("wobble", "train_loss")]


def test_runs_keep_their_settings_names_and_notes(form: str, tmp_path: Path) -> None:
    step = np.arange(3.0)
    loss = Curve("=loss,\"a\" 'b'", step, np.array([1.0, math.inf, -0.5]), file="a.log", role="train_loss")
    config = {"lr": 0.1, "x": "row", "deep.name": "text", "on": True, "many": 1 << 62, "odd": math.inf}
    runs = [
        Run("=first", "a", "keras", (loss,), config, ("one, two", 'a "note"'), goes_on=True),
        Run("second", "b", "text", (loss, Curve("x" * 300, step, step * 1e300, time=step + 1.7e9))),
    ]
    again = read_again(runs, form, tmp_path)
    assert [(run.name, run.format, run.notes, run.goes_on) for run in again] == [
        ("=first", "keras", ("one, two", 'a "note"'), True),
        ("second", "text", (), False),
    ]
    assert [run.config for run in again] == [config, {}]
    for before, after in zip(runs, again, strict=True):
        assert len(before.curves) == len(after.curves)
    same(loss, again[0].curves[0])
    assert again[1].curves[1].time is not None


def test_large_settings_fit_in_the_cells_of_a_spreadsheet(form: str, tmp_path: Path) -> None:
    step = np.arange(50.0)
    config = {f"group.key{index}": "v" * 150 for index in range(500)}
    run = Run("run", "a", "csv", (Curve("loss", step, step),), config, tuple(f"note {n}" for n in range(50)))
    (again,) = read_again([run], form, tmp_path)
    assert (again.config, again.notes) == (config, run.notes)
    if form == "csv":
        with (tmp_path / "rows.csv").open(newline="") as stream:
            assert max(len(cell) for row in csv.reader(stream) for cell in row) < 32_767


numbers = st.floats(width=64)
counts = st.floats(0, 1e6).map(math.floor).map(float)


@st.composite
def logged(draw: st.DrawFn) -> tuple[Run, ...]:
    """Runs as readers gather them, some of their series so long that they are buckets."""
    runs = []
    for name in draw(st.lists(st.sampled_from(["a", "b", "-1", "run/1"]), min_size=1, unique=True)):
        collector = Collector("a.log")
        collector._kept = 8
        for series in draw(st.lists(st.sampled_from(["loss", "val_loss", "ä/b", "=x"]), min_size=1, unique=True)):
            for _ in range(draw(st.integers(1, 3))):
                count = draw(st.integers(1, 30))
                column = st.lists(numbers, min_size=count, max_size=count).map(np.array)
                step = np.array(draw(st.lists(counts, min_size=count, max_size=count)))
                collector.add(series, np.sort(step), draw(column), epoch=np.floor(step / 7))
        config = draw(st.dictionaries(st.text(max_size=5), st.one_of(st.booleans(), numbers, st.text(max_size=9))))
        # Settings that are told as text are numbers where they can be.
        config = {key: value for key, value in config.items() if value not in ("nan", "inf", "-inf")}
        runs.append(Run(name, "a.log", "csv", collector.curves(), {"x": "step", **config}))
    return tuple(runs)


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=40, deadline=None)
@given(runs=logged())
def test_nothing_is_lost(form: str, runs: tuple[Run, ...], tmp_path_factory: pytest.TempPathFactory) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    again = read_again(runs, form, tmp_path_factory.getbasetemp())
    assert [run.name for run in again] == [run.name for run in runs]
    for before, after in zip(runs, again, strict=True):
        assert str(after.config) == str(before.config)
        for one, other in zip(before.curves, after.curves, strict=True):
            same(one, other)
