"""The collector: however the points arrive and however many they are, the same curve comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.readers._collect import KEPT_POINTS, MAX_SERIES, MOST_POINTS, Collector

if TYPE_CHECKING:
    from convergence_cli.model import Curve


def one(collector: Collector) -> Curve:
    (curve,) = collector.curves()
    return curve


def added(step: np.ndarray, value: np.ndarray, block: int, **extras: np.ndarray) -> Curve:
    collector = Collector("log")
    for at in range(0, len(step), block):
        part = slice(at, at + block)
        collector.add("loss", step[part], value[part], **{key: column[part] for key, column in extras.items()})
    return one(collector)


POINTS = st.lists(
    st.tuples(st.integers(0, 50), st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=60
)


@given(POINTS, st.integers(1, 20))
@settings(deadline=None, max_examples=100)
def test_rows_and_blocks_give_the_same_curve(points: list[tuple[int, float]], block: int) -> None:
    step, value = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    line = np.arange(1.0, len(step) + 1)
    blocks = added(step, value, block, epoch=step // 10, line=line)
    rows = Collector("log")
    for at, (one_step, one_value) in enumerate(points):
        rows.add_row({"loss": one_value}, one_step, epoch=one_step // 10, line=at + 1)
    single = one(rows)
    for curve in (blocks, single):
        np.testing.assert_array_equal(curve.step, step)
        np.testing.assert_array_equal(curve.value, value)
        np.testing.assert_array_equal(curve.epoch, step // 10)
        np.testing.assert_array_equal(curve.line, line)
        assert curve.time is None
        assert curve.restarts == tuple(np.flatnonzero(np.diff(step) < 0) + 1)
        assert curve.buckets is None


def test_what_only_later_points_have_is_absent_before() -> None:
    collector = Collector()
    collector.add("loss", np.array([1.0]), np.array([0.5]))
    collector.add("loss", np.array([2.0]), np.array([0.4]), epoch=np.array([7.0]))
    collector.add("loss", np.array([3.0]), np.array([0.3]))
    np.testing.assert_array_equal(one(collector).epoch, [np.nan, 7.0, np.nan])


def test_rows_and_blocks_of_one_series_may_alternate() -> None:
    collector = Collector()
    collector.add_row({"loss": 3.0}, 1)
    collector.add("loss", np.array([2.0]), np.array([2.0]))
    collector.add_row({"loss": 1.0}, 3)
    assert list(one(collector).value) == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("block", [1000, KEPT_POINTS, 90_000, 400_000])
@pytest.mark.parametrize("count", [KEPT_POINTS + 1, 300_001])
def test_a_long_series_loses_no_extreme_and_no_non_finite_point(count: int, block: int) -> None:
    rng = np.random.default_rng(count)
    step, value = np.arange(count) * 2.0, rng.normal(1e5, 1.0, count)
    value[12_345], value[count - 7] = 1e30, -3.0
    value[[40_000, 40_001, count - 1]] = np.nan, np.inf, np.nan
    curve = added(step, value, block, epoch=step, line=step)
    buckets = curve.buckets
    assert buckets is not None
    assert len(buckets.count) <= KEPT_POINTS
    assert curve.points == count
    assert buckets.nonfinite.sum() == 3
    assert (np.nanmax(buckets.high), np.nanmin(buckets.low)) == (1e30, -3.0)
    assert np.nanmin(buckets.first_nonfinite_step) == 80_000
    assert (buckets.first_step[0], buckets.last_step[-1]) == (0.0, step[-1])
    np.testing.assert_array_equal(curve.step, buckets.last_step)
    good = value[np.isfinite(value)]
    assert np.nansum(buckets.mean * buckets.count) / len(good) == pytest.approx(good.mean(), rel=1e-9)


@pytest.mark.parametrize("block", [997, 70_000, 200_000])
def test_restarts_are_found_again_among_the_buckets(block: int) -> None:
    count = 200_000
    step = np.arange(count, dtype=np.float64)
    for at in (50_000, 150_000):
        step[at:] -= 40_000
    curve = added(step, np.ones(count), block)
    assert curve.buckets is not None
    ends = np.cumsum(curve.buckets.count)
    assert [int(np.searchsorted(ends, at, side="right")) for at in (50_000, 150_000)] == list(curve.restarts)


def test_a_step_that_always_goes_back_does_not_fill_the_memory() -> None:
    curve = added(np.arange(20_000.0)[::-1].copy(), np.ones(20_000), 500)
    assert len(curve.restarts) == 1000


def test_series_beyond_the_limit_are_named() -> None:
    collector = Collector()
    collector.add_row({f"m{index}": 1.0 for index in range(MAX_SERIES + 2)}, 1)
    assert collector.dropped == {f"m{MAX_SERIES}", f"m{MAX_SERIES + 1}"}
    assert len(collector.curves()) == MAX_SERIES
    collector.add_row({"val_loss": 1.0}, 1)
    assert len(collector.curves()) == MAX_SERIES + 1


def test_many_long_series_share_the_points_that_are_kept() -> None:
    collector = Collector()
    count, block, series = 40_000, 10_000, 200
    step, value = np.arange(count, dtype=np.float64), np.linspace(5.0, 1.0, count)
    value[12_345] = np.nan
    for at in range(0, count, block):
        for number in range(series):
            collector.add(f"m{number}", step[at : at + block], value[at : at + block])
    curves = collector.curves()
    assert sum(len(curve.value) for curve in curves) <= MOST_POINTS
    for curve in curves:
        assert curve.points == count
        assert curve.buckets is not None
        assert curve.buckets.nonfinite.sum() == 1
        assert (np.nanmax(curve.buckets.high), np.nanmin(curve.buckets.low)) == (5.0, 1.0)
        assert curve.step[-1] == count - 1
