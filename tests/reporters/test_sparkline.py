"""A curve in one line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.reporters._sparkline import columns, on_log_scale, sparkline

LEVELS = "01234567"


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "01234567"),
        ([7.0, None, 0.0], "7x0"),
        ([1.0, 10.0, 100.0, 1000.0], "0257"),
        ([3.0, 3.0], "00"),
        ([None, None], "xx"),
        ([-1e308, 1e308], "07"),
        ([], ""),
    ],
)
def test_lowest_to_highest(values: list[float | None], drawn: str) -> None:
    assert sparkline(values, LEVELS, "x") == drawn


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=50))
@settings(deadline=None)
def test_one_glyph_a_value_whatever_the_values(values: list[float | None]) -> None:
    drawn = sparkline(values, LEVELS, "x")
    assert len(drawn) == len(values)
    assert [glyph == "x" for glyph in drawn] == [value is None for value in values]


def test_a_log_scale_needs_positive_values_far_apart() -> None:
    assert on_log_scale([1.0, 11.0])
    assert not on_log_scale([1.0, 9.0])
    assert not on_log_scale([0.0, 1000.0])


def test_no_spike_and_no_nan_is_lost_in_a_narrow_drawing() -> None:
    means = [1.0] * 100
    means[40] = 9.0
    drawn = columns({"mean": [*means, None]}, 10)
    assert len(drawn) == 10
    assert max(item for item in drawn if item is not None) == 9.0
    assert drawn[-1] is None
