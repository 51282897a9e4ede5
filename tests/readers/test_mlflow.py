"""MLflow's file store: each metric a file of timestamp, value and step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SourceError
from convergence_cli.readers import best_reader, mlflow
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from convergence_cli.model import Run

T0 = 1_700_000_000_000
folder = Path()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder  # noqa: PLW0603
    folder = tmp_path_factory.mktemp("mlruns") / "0" / "f00d" / "metrics"


def source(data: bytes | str, name: str = "loss") -> Source:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return Source(path, str(path))


def read(*sources: Source) -> Run:
    (run,) = mlflow.read(sources, ReadOptions())
    return run


def test_the_files_of_a_run_are_its_series_named_by_their_path() -> None:
    loss = source("".join(f"{T0 + 500 * i} {1 / (i + 1)} {10 * i}\n" for i in range(5)))
    val = source(f"{T0} 0.5 0\n{T0 + 1000} nan 10\n{T0 + 2000} Infinity 20\n", "val/loss")
    run = read(loss, val)
    assert (run.format, run.name, run.path) == ("mlflow", "f00d", str(folder))
    first, second = run.curves
    assert (first.name, second.name) == ("loss", "val/loss")
    np.testing.assert_array_equal(first.step, [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(first.time, T0 / 1000 + 0.5 * np.arange(5))
    np.testing.assert_array_equal(second.value, [0.5, math.nan, math.inf])
    assert run.notes == ()


def test_steps_that_were_never_passed_give_the_order_of_time() -> None:
    run = read(source(f"{T0 + 2} 0.2 0\n{T0} 1.0 0\n{T0 + 1} 0.5 0\n"), source(f"{T0} 1.0\n{T0 + 1} 0.5\n", "acc"))
    np.testing.assert_array_equal(run.curves[0].step, [0, 1, 2])
    np.testing.assert_array_equal(run.curves[0].value, [1.0, 0.5, 0.2])
    np.testing.assert_array_equal(run.curves[1].step, [0, 1])
    assert run.notes == ("no steps were logged: points stand in the order of their timestamps",)


def test_a_data_set_behind_the_step_is_passed_over() -> None:
    (loss,) = read(source(f"{T0} 1.0 5 train abc123\n{T0} 0.5 6 train abc123\n")).curves
    np.testing.assert_array_equal(loss.step, [5, 6])


def test_torn_and_foreign_lines_are_dropped_with_a_note() -> None:
    run = read(source(f"{T0} 1.0 1\nhello world\n{T0} x 2\n{T0} 0.5 3\n" + "\n" * 3))
    np.testing.assert_array_equal(run.curves[0].step, [1, 3])
    assert run.notes == ("skipped 2 lines of something other than 'timestamp value step'",)
    torn = read(source(f"{T0} 1.0 11\n{T0} 0.5 12\n{T0} 0.25 1"))
    np.testing.assert_array_equal(torn.curves[0].step, [11, 12])
    assert torn.notes == ("dropped a last line that was cut off",)


def test_it_is_known_by_its_lines() -> None:
    assert best_reader(source(f"{T0} 0.5 0\n")) is mlflow
    assert mlflow.sniff(source("step loss\n1 0.5\n")) == 0
    assert mlflow.sniff(source(f"{T0} INFO starting\n")) == 0
    assert mlflow.sniff(source("1 0.5 3\n2 0.4 4\n")) == 0


def test_a_file_without_points_is_refused_in_a_sentence() -> None:
    with pytest.raises(SourceError, match="timestamp value step"):
        read(source("nothing here\n"))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80) | st.from_regex(rb"(\d{1,20} [\d.e+naif-]{1,9} -?\d{1,20}\r?\n){0,4}\d*", fullmatch=True))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert 0 <= mlflow.sniff(source(data)) <= 1
    try:
        run = read(source(data))
    except CtroubleshootError:
        return
    assert all(np.isfinite(curve.step).all() for curve in run.curves)
