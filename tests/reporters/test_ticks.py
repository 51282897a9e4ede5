"""Round values on an axis of text."""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.reporters._ticks import LABEL, Scale, labels

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("scale", "shown"),
    [
        (Scale(0.0, 59.0), ["0", "20", "40"]),
        (Scale(1.0, 1000.0), ["200", "400", "600", "800", "1,000"]),
        (Scale(1.6, 3.9), ["2", "2.5", "3", "3.5"]),
        (Scale(-3.0, 1.0), ["-3", "-2", "-1", "0", "1"]),
        (Scale(0.00012, 0.00058), ["0.0002", "0.0003", "0.0004", "0.0005"]),
        (Scale(2e-7, 9e-7), ["2e-7", "4e-7", "6e-7", "8e-7"]),
        (Scale(0.0, 4e6), ["0", "1e6", "2e6", "3e6", "4e6"]),
        (Scale(-1e308, 1e308), ["-1e308", "-5e307", "0", "5e307", "1e308"]),
        (Scale(0.07, 2.4, log=True), ["0.1", "0.2", "0.5", "1", "2"]),
        (Scale(0.0014, 496.0, log=True), ["0.01", "0.1", "1", "10", "100"]),
        (Scale(1.0, 1e300, log=True), ["1", "1e61", "1e122", "1e183", "1e244"]),
        (Scale(2.345, 2.345), ["2.345"]),
        (Scale(0.0, 0.0), ["0"]),
        (Scale(0.0, 5e-324), ["0", "4.9e-324"]),
    ],
)
def test_few_round_values(scale: Scale, shown: list[str]) -> None:
    assert labels(scale.ticks(5)) == shown


@given(FINITE, FINITE, st.integers(2, 9), st.booleans())
@settings(deadline=None)
def test_ticks_rise_within_the_axis_and_their_labels_fit(one: float, other: float, most: int, log: bool) -> None:
    if log:
        one, other = abs(one) or 1.0, abs(other) or 1.0
    scale = Scale(min(one, other), max(one, other), log)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most + 2
    assert all(scale.low <= tick <= scale.high for tick in ticks)
    assert all(before < after for before, after in pairwise(ticks))
    shares = [scale.share(tick) for tick in ticks]
    assert all(0 <= share <= 1 for share in shares)
    assert shares == sorted(shares)
    for tick, label in zip(ticks, labels(ticks), strict=True):
        assert len(label) <= LABEL
        assert label.isascii()
        shown = min(max(float(label.replace(",", "")), -sys.float_info.max), sys.float_info.max)
        # Eight columns leave one digit to the longest.
        assert math.isclose(shown, tick, rel_tol=0.34, abs_tol=(scale.high / 2 - scale.low / 2) / 5)


def test_what_lies_outside_is_at_the_edge() -> None:
    assert [Scale(1.0, 3.0).share(value) for value in (0.0, 2.0, 9.0)] == [0.0, 0.5, 1.0]
    assert [Scale(1.0, 100.0, log=True).share(value) for value in (-1.0, 10.0, 1e9)] == [0.0, 0.5, 1.0]
    assert Scale(2.0, 2.0).share(7.0) == 0.5
