"""The rules of the public finders, each against a plain restatement of it, and what must not change their answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convergence_cli.lr_find.known_rules import (
    FLAT_ENOUGH,
    RULES,
    WINDOW,
    Floats,
    minimum,
    slide,
    smoothed,
    steepest,
    steepest_linear,
    valley,
)

# In 64ths, so that sums and differences are exact.
LOSSES = st.lists(st.integers(-640, 640), min_size=3, max_size=45).map(lambda values: np.array(values) / 64)


def rates_for(losses: Floats) -> Floats:
    return np.geomspace(1e-7, 10.0, len(losses))


def uneven_rates(losses: Floats, seed: int) -> Floats:
    return np.asarray(np.exp(np.cumsum(np.random.default_rng(seed).uniform(0.01, 1.0, len(losses))) - 16))


def descent(seed: int = 0, noise: float = 0.01) -> Floats:
    """A smooth range test of 100 points: flat, a fall that is steepest at 1e-2, a rise from 1 on."""
    place = np.linspace(-7, 1, 100)
    clean = 2.3 - 1.5 / (1 + np.exp(-4 * (place + 2))) + 4 * np.maximum(place, 0) ** 2
    return np.asarray(clean + noise * np.random.default_rng(seed).normal(size=100))


# --- the rules restated


def naive_smoothed(losses: list[Fraction], weight: Fraction) -> list[float]:
    found = []
    for count in range(1, len(losses) + 1):
        weights = [weight ** (count - 1 - place) for place in range(count)]
        total = sum((one * loss for one, loss in zip(weights, losses[:count], strict=True)), Fraction(0))
        found.append(float(total / sum(weights)))
    return found


def fastai_valley(rates: list[float], losses: list[float]) -> float:
    """As fastai.callback.schedule has it; an index below 0, which Python would take from the end, is the first."""
    count = len(losses)
    max_start, max_end = 0, 0
    lengths = [1] * count
    for i in range(1, count):
        for j in range(i):
            if losses[i] < losses[j] and lengths[i] < lengths[j] + 1:
                lengths[i] = lengths[j] + 1
            if lengths[max_end] < lengths[i]:
                max_end = i
                max_start = max_end - lengths[max_end]
    sections = (max_end - max_start) / 3
    return rates[max(max_start + int(sections) + int(sections / 2), 0)]


def slope_over_log(rates: list[float], losses: list[float], place: int) -> float:
    return (losses[place + 1] - losses[place]) / math.log(rates[place + 1] / rates[place])


def slope_over_rate(rates: list[float], losses: list[float], place: int) -> Fraction:
    """Of the parabola through a point and its neighbours; of the line to the only one at an end. Exact."""
    x, y = [Fraction(one) for one in rates], [Fraction(one) for one in losses]
    if place in (0, len(x) - 1):
        near = 1 if place == 0 else len(x) - 2
        return (y[near] - y[place]) / (x[near] - x[place])
    left, right = x[place] - x[place - 1], x[place + 1] - x[place]
    below, above = (y[place] - y[place - 1]) / left, (y[place + 1] - y[place]) / right
    return (below * right + above * left) / (left + right)


def fastai_slide(rates: list[float], losses: list[float]) -> float:
    """As fastai has it, with indices from the end; the first rate where there are too few for its window."""
    count = len(losses)

    def slope(place: int) -> float:
        if place in (0, count - 1):
            near = 1 if place == 0 else count - 1
            return losses[near] - losses[near - 1]
        return (losses[place + 1] - losses[place - 1]) / 2

    right, left = -1, -1 - WINDOW
    found = rates[max(count + left, 0)]
    while left >= -count and abs(slope(count + right) - slope(count + left)) > FLAT_ENOUGH:
        found = rates[count + left]
        right -= 1
        left -= 1
    return found


# --- each rule is what its restatement is


@given(st.lists(st.integers(-640, 640), min_size=1, max_size=30), st.integers(0, 63))
@settings(deadline=None, max_examples=60)
def test_smoothing_is_the_mean_with_weights_that_fall_by_one_factor(values: list[int], weight: int) -> None:
    expected = naive_smoothed([Fraction(value, 64) for value in values], Fraction(weight, 64))
    assert smoothed(np.array(values) / 64, weight / 64).tolist() == pytest.approx(expected, abs=1e-9)


@given(LOSSES, st.sampled_from([0.0, 0.5, 0.7, 0.98]))
@settings(deadline=None, max_examples=60)
def test_a_smooth_curve_begins_as_it_is_and_stays_between_lowest_and_highest(losses: Floats, weight: float) -> None:
    smooth = smoothed(losses, weight)
    assert smooth[0] == pytest.approx(losses[0])
    assert len(smooth) == len(losses)
    assert losses.min() - 1e-9 <= smooth.min() <= smooth.max() <= losses.max() + 1e-9


def test_without_weight_smoothing_changes_nothing_and_nothing_stays_nothing() -> None:
    assert smoothed(np.array([3.0, 1.0, 2.0]), 0.0).tolist() == [3.0, 1.0, 2.0]
    assert smoothed(np.array([])).tolist() == []


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=40))
@settings(deadline=None, max_examples=200)
@example([2, 1, 5])
@example([3, 2, 1])
@example([1, 1, 1, 1])
@example([1, 2, 3])
def test_valley_is_what_the_quadratic_programme_of_fastai_finds(values: list[int]) -> None:
    losses = np.array(values, dtype=float)
    rates = rates_for(losses)
    assert valley(rates, losses) == fastai_valley(rates.tolist(), losses.tolist())


@pytest.mark.parametrize("seed", range(20))
def test_valley_is_that_of_fastai_on_long_curves_too(seed: int) -> None:
    losses = descent(seed, noise=0.2)
    rates = rates_for(losses)
    assert valley(rates, losses) == fastai_valley(rates.tolist(), losses.tolist())


def test_valley_is_halfway_down_the_longest_fall() -> None:
    losses = np.array([9.0] * 10 + [8.0, 7, 6, 5, 4, 3, 2, 1] + [5.0] * 3)
    # Nine values fall, the last of them at 17: from 8 on a third of that, and half a third.
    assert valley(np.arange(1.0, 22.0), losses) == np.arange(1.0, 22.0)[8 + 3 + 1]


def test_where_nothing_falls_the_valley_is_the_first_rate() -> None:
    assert valley(np.array([1e-3, 1e-2, 1e-1]), np.array([1.0, 1.0, 2.0])) == 1e-3


@given(LOSSES, st.integers(0, 9))
@settings(deadline=None, max_examples=100)
def test_steepest_is_the_beginning_of_the_steepest_fall_over_the_log(losses: Floats, seed: int) -> None:
    rates = uneven_rates(losses, seed)
    slopes = [slope_over_log(rates.tolist(), losses.tolist(), place) for place in range(len(losses) - 1)]
    chosen = rates.tolist().index(steepest(rates, losses))
    assert slopes[chosen] == pytest.approx(min(slopes), rel=1e-9, abs=1e-9)
    assert not any(slope < slopes[chosen] - 1e-6 for slope in slopes)


@given(LOSSES, st.integers(0, 9))
@settings(deadline=None, max_examples=100)
def test_steepest_linear_is_the_steepest_fall_over_the_rate(losses: Floats, seed: int) -> None:
    rates = uneven_rates(losses, seed)
    slopes = [float(slope_over_rate(rates.tolist(), losses.tolist(), place)) for place in range(len(losses))]
    chosen = rates.tolist().index(steepest_linear(rates, losses))
    assert slopes[chosen] <= min(slopes) + 1e-9 * max(map(abs, slopes))


def test_over_the_rate_the_smallest_rates_win_and_over_its_log_they_do_not() -> None:
    losses = descent(noise=0.0)
    losses[3] -= 1e-4
    rates = np.geomspace(1e-7, 10.0, 100)
    assert steepest_linear(rates, losses) < 1e-6
    assert abs(math.log10(steepest(rates, losses) / 1e-2)) < 0.1


@given(LOSSES)
@settings(deadline=None, max_examples=60)
def test_minimum_is_a_tenth_of_the_first_rate_at_the_lowest_loss(losses: Floats) -> None:
    rates = rates_for(losses)
    values = losses.tolist()
    assert minimum(rates, losses) == rates.tolist()[values.index(min(values))] / 10


@given(LOSSES)
@settings(deadline=None, max_examples=150)
def test_slide_is_what_fastai_finds_with_indices_from_the_end(losses: Floats) -> None:
    rates = rates_for(losses)
    assert slide(rates, losses) == fastai_slide(rates.tolist(), losses.tolist())


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("noise", [0.0, 0.002, 0.1])
def test_slide_is_that_of_fastai_on_long_curves_too(seed: int, noise: float) -> None:
    losses = descent(seed, noise=noise)
    rates = rates_for(losses)
    assert slide(rates, losses) == fastai_slide(rates.tolist(), losses.tolist())


def test_slide_stays_at_the_end_of_a_flat_curve_and_goes_to_the_beginning_of_one_that_never_is() -> None:
    rates = np.geomspace(1e-7, 10.0, 40)
    assert slide(rates, np.ones(40)) == rates[40 - 1 - WINDOW]
    assert slide(rates, np.arange(40.0) ** 2) == rates[0]
    assert slide(rates[:5], np.ones(5)) == rates[0]


# --- what holds for all of them


@pytest.mark.parametrize("name", RULES)
@given(losses=LOSSES)
@settings(deadline=None, max_examples=30)
def test_every_rule_names_one_of_the_rates(name: str, losses: Floats) -> None:
    rates = rates_for(losses)
    found = RULES[name](rates, losses)
    assert type(found) is float
    assert found * (10 if name == "minimum" else 1) in [pytest.approx(rate) for rate in rates.tolist()]


@pytest.mark.parametrize("name", ["valley", "steepest", "minimum", "slide"])
@given(losses=LOSSES, add=st.integers(-1000, 1000))
@settings(deadline=None, max_examples=30)
def test_a_constant_added_to_the_losses_changes_nothing(name: str, losses: Floats, add: int) -> None:
    rates = rates_for(losses)
    assert RULES[name](rates, losses + add) == RULES[name](rates, losses)


@pytest.mark.parametrize("name", ["valley", "steepest", "steepest-linear", "minimum"])
@given(losses=LOSSES, power=st.integers(-30, 30))
@settings(deadline=None, max_examples=30)
def test_the_unit_of_the_losses_changes_nothing(name: str, losses: Floats, power: int) -> None:
    rates = rates_for(losses)
    assert RULES[name](rates, losses * 2.0**power) == RULES[name](rates, losses)


@pytest.mark.parametrize("name", ["valley", "minimum", "slide"])
@given(losses=LOSSES, times=st.floats(1e-6, 1e6))
@settings(deadline=None, max_examples=30)
def test_the_answer_is_multiplied_with_the_rates(name: str, losses: Floats, times: float) -> None:
    rates = rates_for(losses)
    assert RULES[name](rates * times, losses) == pytest.approx(times * RULES[name](rates, losses), rel=1e-12)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "change",
    [
        lambda rates, losses: (rates, losses - 1000.0, 1.0),
        lambda rates, losses: (rates, losses + 2.5, 1.0),
        lambda rates, losses: (rates * 1e-3, losses, 1e-3),
        lambda rates, losses: (rates * 7.0, losses, 7.0),
    ],
    ids=["negative", "higher", "lower rates", "higher rates"],
)
@pytest.mark.parametrize("seed", range(3))
def test_on_a_usual_curve_every_rule_moves_as_it_should(
    name: str, change: Callable[[Floats, Floats], tuple[Floats, Floats, float]], seed: int
) -> None:
    losses = smoothed(descent(seed), 0.5)
    rates = np.geomspace(1e-7, 10.0, 100)
    moved_rates, moved_losses, times = change(rates, losses)
    assert RULES[name](moved_rates, moved_losses) == pytest.approx(times * RULES[name](rates, losses))


@pytest.mark.parametrize(("name", "low", "high"), [("valley", 1e-4, 5e-2), ("steepest", 5e-3, 2e-2)])
@pytest.mark.parametrize("seed", range(3))
def test_on_a_usual_curve_the_rate_lies_on_the_fall(name: str, low: float, high: float, seed: int) -> None:
    assert low < RULES[name](np.geomspace(1e-7, 10.0, 100), descent(seed, noise=0.002)) < high
