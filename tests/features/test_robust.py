"""Each robust statistic against the definition, written out as loops."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.features.robust import (
    kendall_z,
    logistic,
    mad_std,
    median,
    noise_std,
    running_median,
    shift_z,
)

# Few distinct values, so that ties are common; and ordinary ones.
numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3)))
short = st.lists(numbers, min_size=1, max_size=25)
modest = settings(max_examples=60, deadline=None)


@modest
@given(short)
def test_median_is_the_middle_of_the_sorted_values(values: list[float]) -> None:
    assert median(np.array(values)) == statistics.median(values)


@modest
@given(short)
def test_mad_std_is_the_scaled_median_distance_from_the_median(values: list[float]) -> None:
    middle = statistics.median(values)
    expected = 1.4826 * statistics.median(abs(v - middle) for v in values) if len(values) > 1 else 0.0
    assert mad_std(np.array(values)) == pytest.approx(expected)


@modest
@given(short)
def test_noise_std_is_the_scaled_median_of_the_pseudo_residuals(values: list[float]) -> None:
    n = len(values)
    if n < 3:
        expected = 0.0
    elif n < 5:
        steps = [abs(b - a) for a, b in itertools.pairwise(values)]
        expected = 1.4826 * statistics.median(steps) / math.sqrt(2)
    else:
        residuals = [abs((values[i - 1] + values[i + 1]) / 2 - values[i]) for i in range(1, n - 1)]
        expected = 1.4826 * statistics.median(residuals) / math.sqrt(1.5)
    assert noise_std(np.array(values)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("slope", [0.0, -3.0])
@pytest.mark.parametrize("jump", [0.0, 500.0])
def test_noise_std_sees_neither_slope_nor_jump(slope: float, jump: float) -> None:
    t = np.arange(2000.0)
    noise = 0.7 * np.random.default_rng(1).standard_normal(2000)
    assert noise_std(slope * t + jump * (t > 700) + noise) == pytest.approx(0.7, rel=0.06)


@modest
@given(short, st.integers(1, 31))
def test_running_median_is_the_median_of_each_window(values: list[float], width: int) -> None:
    array = np.array(values)
    n = len(values)
    odd = min(width | 1, n if n % 2 else max(n - 1, 1))
    half = odd // 2
    expected = [statistics.median(values[max(i - half, 0) : i + half + 1]) for i in range(n)]
    assert running_median(array, width).tolist() == expected


@modest
@given(short)
def test_kendall_z_counts_pairs_with_the_variance_for_ties(values: list[float]) -> None:
    n = len(values)
    s = sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))
    groups = [values.count(v) for v in set(values)]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in groups)) / 18
    expected = 0.0 if n < 4 or not variance or not s else (s - math.copysign(1, s)) / math.sqrt(variance)
    assert kendall_z(np.array(values)) == pytest.approx(expected)


def test_kendall_z_keeps_its_level_on_noise() -> None:
    rng = np.random.default_rng(3)
    z = np.array([kendall_z(rng.standard_normal(60)) for _ in range(400)])
    assert abs(z.mean()) < 0.2
    assert z.std() == pytest.approx(1.0, abs=0.12)
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.05, abs=0.03)


def test_kendall_z_is_deaf_to_any_rising_map() -> None:
    values = np.random.default_rng(4).standard_normal(50)
    assert kendall_z(np.exp(values)) == kendall_z(values) == -kendall_z(-values)


@modest
@given(short, short)
def test_shift_z_is_the_mann_whitney_count_as_a_deviate(before: list[float], after: list[float]) -> None:
    n, m = len(before), len(after)
    u = sum(1.0 if b > a else 0.5 if b == a else 0.0 for a in before for b in after)
    expected = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    assert shift_z(np.array(before), np.array(after)) == pytest.approx(expected, abs=1e-12)


def test_shift_z_of_nothing_is_nothing() -> None:
    assert shift_z(np.array([]), np.array([1.0])) == shift_z(np.array([1.0]), np.array([])) == 0.0


@given(st.floats(allow_nan=False))
def test_logistic_never_overflows_and_is_symmetric(x: float) -> None:
    assert 0.0 <= logistic(x) <= 1.0
    assert logistic(x) + logistic(-x) == pytest.approx(1.0)


def test_logistic_is_the_textbook_one() -> None:
    for x in (-5.0, -0.3, 0.0, 2.0):
        assert logistic(x) == pytest.approx(1 / (1 + math.exp(-x)))
