"""Buckets against a naive oracle: no extreme, no non-finite point and no digit is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.buckets import concatenate, halve, merge, reduce_at, reduce_points
from convergence_cli.model import Buckets

VALUES = st.lists(
    st.one_of(
        st.floats(-1e6, 1e6),
        st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e-300, 1e200, -1e200, 1e9 + 0.25]),
    ),
    min_size=1,
    max_size=80,
)


def naive(step: np.ndarray, value: np.ndarray, starts: list[int]) -> Buckets:
    """One bucket at a time, with exact sums."""
    rows = []
    for begin, end in zip(starts, [*starts[1:], len(value)], strict=True):
        points, steps = value[begin:end], step[begin:end]
        good = [float(v) for v in points if math.isfinite(v)]
        bad = [float(s) for s, v in zip(steps, points, strict=True) if not math.isfinite(v)]
        mean = math.fsum(v / len(good) for v in good) if good else math.nan
        away = max((abs(v - mean) for v in good), default=0.0) or 1.0
        spread = away * math.sqrt(math.fsum(((v - mean) / away) ** 2 for v in good) / len(good)) if good else math.nan
        low, high = (min(good), max(good)) if good else (math.nan, math.nan)
        first_bad = bad[0] if bad else math.nan
        rows.append((len(good), len(bad), low, high, mean, spread, steps[0], steps[-1], first_bad))
    return Buckets(*(np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)))


def assert_same(got: Buckets, want: Buckets) -> None:
    for name in ("count", "nonfinite", "low", "high", "first_step", "last_step", "first_nonfinite_step"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)
    size = np.nan_to_num(np.maximum(np.abs(want.low), np.abs(want.high)))
    for name in ("mean", "spread"):
        a, b = getattr(got, name), getattr(want, name)
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
        here = ~np.isnan(a)
        # Below the smallest normal number there is no relative precision left.
        allowed = 1e-12 * size[here] + 1e-9 * np.abs(b)[here] + np.finfo(np.float64).tiny
        assert np.all(np.abs(a - b)[here] <= allowed), name


@given(VALUES, st.integers(1, 90))
@settings(deadline=None, max_examples=200)
def test_groups_of_points_are_what_a_plain_loop_gives(values: list[float], size: int) -> None:
    value, step = np.array(values), np.arange(len(values)) * 3.0
    starts = list(range(0, len(values), size))
    want = naive(step, value, starts)
    assert_same(reduce_points(step, value, size), want)
    assert_same(reduce_at(step, value, np.array(starts)), want)


@given(VALUES, st.integers(1, 5), st.integers(1, 9))
@settings(deadline=None, max_examples=200)
def test_merged_buckets_are_the_buckets_of_all_their_points(values: list[float], size: int, width: int) -> None:
    value, step = np.array(values), np.arange(len(values)) * 3.0
    fine = reduce_points(step, value, size)
    at = np.arange(0, len(fine.count), width)
    assert_same(merge(fine, at), naive(step, value, (at * size).tolist()))
    assert_same(halve(fine), naive(step, value, list(range(0, len(values), 2 * size))))


def test_the_spread_survives_a_large_offset() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1e-3, 4096)
    buckets = reduce_points(np.arange(4096.0), 1e6 + noise, 64)
    np.testing.assert_allclose(buckets.spread, noise.reshape(-1, 64).std(axis=1), rtol=1e-4)
    joined = halve(halve(buckets))
    np.testing.assert_allclose(joined.spread, noise.reshape(-1, 256).std(axis=1), rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-305, 1e-200, 1e-160, 1.0, 1e160, 1e300])
def test_the_spread_survives_tiny_and_huge_values(scale: float) -> None:
    shape = np.tile([1.0, 2.0, 3.0, 4.0], 32)
    buckets = reduce_points(np.arange(128.0), shape * scale, 4)
    np.testing.assert_allclose(buckets.spread / scale, np.sqrt(1.25), rtol=1e-9)
    np.testing.assert_allclose(halve(buckets).spread / scale, np.sqrt(1.25), rtol=1e-9)
    np.testing.assert_allclose(merge(buckets, np.arange(0, 32, 8)).spread / scale, np.sqrt(1.25), rtol=1e-9)


def test_a_constant_series_has_no_spread() -> None:
    buckets = reduce_points(np.arange(1000.0), np.full(1000, 0.1), 100)
    assert set(buckets.mean) == {0.1}
    assert set(buckets.spread) == {0.0}


def test_the_first_non_finite_step_is_the_first_in_the_log_also_after_a_restart() -> None:
    step = np.array([10.0, 20.0, 5.0, 6.0])
    fine = reduce_points(step, np.array([1.0, np.nan, np.nan, 1.0]), 2)
    assert list(fine.first_nonfinite_step) == [20.0, 5.0]
    assert list(merge(fine, np.array([0])).first_nonfinite_step) == [20.0]
    assert list(halve(fine).first_nonfinite_step) == [20.0]


def test_no_points_give_no_buckets() -> None:
    empty = np.zeros(0)
    assert len(reduce_points(empty, empty, 4).count) == 0


def test_concatenated_buckets_keep_their_order() -> None:
    parts = [reduce_points(np.arange(4.0) + at, np.arange(4.0) + at, 2) for at in (0, 4)]
    assert list(concatenate(parts).last_step) == [1.0, 3.0, 5.0, 7.0]
