"""Ratios in powers of ten: as the naive formula where that is a number, bounded everywhere."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cli.diagnosis.facts.scales import excess, log_ratio, shortfall

sizes = st.floats(1e-100, 1e100)
ODD = (0.0, -1.0, 1e-320, 1e300, 1e-300, math.inf, -math.inf, math.nan)


@given(sizes, sizes, st.floats(0.1, 10))
def test_a_ratio_is_the_logarithm_within_its_bounds(value: float, usual: float, most: float) -> None:
    naive = math.log10(value / usual)
    assert log_ratio(value, usual, most) == pytest.approx(max(-most, min(most, naive)), abs=1e-9)


@given(sizes, sizes)
def test_excess_and_shortfall_are_the_two_sides_of_a_ratio(value: float, usual: float) -> None:
    above, below = excess(value, usual, 5.0), shortfall(value, usual, 5.0)
    assert above - below == log_ratio(value, usual, 5.0)
    assert min(above, below) == 0
    assert shortfall(usual, value, 5.0) == pytest.approx(above, abs=1e-9)


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("usual", ODD)
def test_odd_numbers_give_bounded_ones(value: float, usual: float) -> None:
    for ratio in (log_ratio, excess, shortfall):
        found = ratio(value, usual, 4.0)
        assert math.isfinite(found)
        assert abs(found) <= 4


def test_what_is_no_number_tells_nothing_and_infinity_is_the_most() -> None:
    assert log_ratio(math.nan, 1.0, 4.0) == log_ratio(1.0, math.nan, 4.0) == 0
    assert log_ratio(math.inf, 1.0, 4.0) == excess(math.inf, 1.0, 4.0) == 4
    assert shortfall(math.inf, 1.0, 4.0) == 0
    assert log_ratio(0.0, 1.0, 4.0) == -4
