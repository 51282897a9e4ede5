"""Rates that only a finder would write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cli.features.finder_grid import FASTAI, LIGHTNING, finder_of


@pytest.mark.parametrize("place", range(1, 100))
def test_every_rate_that_the_finders_test_is_known(place: int) -> None:
    lightning = 1e-8 * (1.0 / 1e-8) ** (place / 100)
    fastai = 1e-7 * (10 / 1e-7) ** (place / 100)
    for rate, finder in ((lightning, LIGHTNING), (fastai, FASTAI)):
        # Powers of ten are on the grid, too, and anybody types them.
        expected = None if np.isclose(rate, float(f"{rate:.3e}"), rtol=1e-7, atol=0) else finder
        assert finder_of(rate) == expected
        if expected is not None:
            assert finder_of(float(np.float32(rate))) == finder


@given(st.integers(1, 9999), st.integers(-12, 3))
def test_what_a_person_types_is_of_no_finder(digits: int, power: int) -> None:
    assert finder_of(float(f"{digits}e{power}")) is None


@given(st.floats())
def test_any_number_will_do(rate: float) -> None:
    assert finder_of(rate) in (None, LIGHTNING, FASTAI)
