"""A data frame in a notebook as a run."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import diagnose
from convergence_cli.readers.frame import run_of_frame

FALLING = 2 * 0.9 ** np.arange(40) + 0.1


def _points(frame: pd.DataFrame, name: str) -> list[tuple[float, float]]:
    curve = next(curve for curve in run_of_frame(frame).curves if curve.name == name)
    return list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


@pytest.mark.parametrize("name", ["step", "Step", "global_step", "iteration", "epoch"])
def test_steps_come_from_the_column_that_counts_them(name: str) -> None:
    frame = pd.DataFrame({"loss": [3.0, 2.0, 1.0], name: [10, 20, 30]})
    assert _points(frame, "loss") == [(10, 3.0), (20, 2.0), (30, 1.0)]
    assert [curve.name for curve in run_of_frame(frame).curves] == ["loss"]
    assert run_of_frame(frame).config["x"] == ("epoch" if name == "epoch" else "step")


def test_a_step_column_beats_an_epoch_column() -> None:
    frame = pd.DataFrame({"epoch": [0, 0, 1], "step": [1, 2, 3], "loss": [3.0, 2.0, 1.0]})
    assert _points(frame, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_steps_come_from_a_numeric_index_else_from_the_rows() -> None:
    assert _points(pd.DataFrame({"loss": [3.0, 2.0]}, index=[100, 200]), "loss") == [(100, 3.0), (200, 2.0)]
    assert _points(pd.DataFrame({"loss": [3.0, 2.0]}, index=["a", "b"]), "loss") == [(0, 3.0), (1, 2.0)]


def test_an_empty_cell_is_not_logged() -> None:
    frame = pd.DataFrame({"loss": [3.0, 2.0, 1.0, 0.5], "val_loss": [math.nan, 2.5, math.nan, 1.5]})
    assert _points(frame, "val_loss") == [(1, 2.5), (3, 1.5)]


def test_nan_at_the_end_of_a_column_logged_on_every_row_was_logged() -> None:
    frame = pd.DataFrame({"loss": [3.0, 2.0, math.nan, math.nan], "val_loss": [math.nan, 2.0, math.nan, math.nan]})
    assert [math.isnan(v) for _, v in _points(frame, "loss")] == [False, False, True, True]
    assert _points(frame, "val_loss") == [(1, 2.0)]


def test_infinity_is_a_value() -> None:
    assert _points(pd.DataFrame({"loss": [3.0, math.inf, 1.0]}), "loss")[1] == (1, math.inf)


def test_columns_of_text_are_left_out() -> None:
    frame = pd.DataFrame({"loss": [3.0, 2.0], "note": ["a", "b"], 7: [1, 2], "flag": [True, False]})
    assert [curve.name for curve in run_of_frame(frame).curves] == ["loss", "7", "flag"]


def test_nullable_columns_are_read() -> None:
    frame = pd.DataFrame({"loss": pd.array([3.0, None, 1.0], dtype="Float64")})
    assert _points(frame, "loss") == [(0, 3.0), (2, 1.0)]


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"note": ["a"]}), pd.DataFrame({"loss": []})])
def test_a_frame_without_numbers(frame: pd.DataFrame) -> None:
    with pytest.raises(SourceError, match="no numeric column"):
        run_of_frame(frame)


def test_two_columns_of_one_name() -> None:
    frame = pd.DataFrame([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]], columns=["loss", "loss"])
    assert run_of_frame(frame).curves[0].points == 3


def test_the_frame_is_judged_and_left_unchanged() -> None:
    frame = pd.DataFrame({"epoch": range(40), "loss": FALLING, "val_loss": FALLING + 0.1})
    before = frame.copy()
    report = diagnose(frame)
    assert report.verdict.label == "converging"
    assert report.summary["series"] == {"train_loss": "loss", "val_loss": "val_loss"}
    assert report.summary["x"] == "epoch"
    pd.testing.assert_frame_equal(frame, before)


def test_a_frame_that_ends_in_nan_diverges() -> None:
    loss = FALLING.copy()
    loss[30:] = math.nan
    report = diagnose(pd.DataFrame({"loss": loss}))
    assert (report.verdict.label, report.verdict.since_step) == ("diverging", 30.0)
