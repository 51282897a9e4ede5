"""Which rates are tried: the plan, the range test and how it is read, and the climb to the best rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.lr_find.search import (
    BELOW,
    BOUNDS,
    CLEAR_FALL,
    MOST_LONG,
    MOST_LONG_AFTER_PLATEAU,
    PER_DECADE,
    PLATEAU,
    Bounds,
    Plan,
    Reading,
    Try,
    below_the_broken,
    beside,
    broken,
    climb,
    finalists,
    geometric,
    lower,
    read,
    unharmed,
)

PLAN = Plan()
RATES = geometric(*BOUNDS, 100)
STEEP, FLOOR = 0.1, 0.5
# Four decades from the best rate a training has not fallen at all.
START = FLOOR + 16 * STEEP


class Bowl:
    """A training whose loss is a bowl over the log of the rate, and infinite above an edge; keeps what was asked."""

    def __init__(self, centre: float, *, edge: float = math.inf, noise: float = 0.0, seed: int = 0) -> None:
        self.centre, self.edge, self.noise = centre, edge, noise
        self.random = np.random.default_rng(seed)
        self.asked: list[tuple[float, int]] = []

    def __call__(self, rate: float, steps: int) -> float:
        self.asked.append((rate, steps))
        if rate > self.edge:
            return math.inf
        return FLOOR + STEEP * decades(rate, self.centre) ** 2 + self.noise * self.random.uniform(-1, 1)


def decades(rate: float, other: float) -> float:
    return math.log10(rate / other)


def guessing(rate: float, *, noise: float = 0.01 * STEEP, start: float = START, fell: bool = True) -> Reading:
    """A range test whose guess is ``rate``."""
    above = rate * 10**BELOW
    return Reading(start, noise, above, above, fell)


def best_of(tried: dict[float, float]) -> float:
    return finalists(tried, 1)[0]


def at_place(place: int) -> float:
    return float(10 ** (place / PER_DECADE))


def place_of(rate: float) -> int:
    return round(math.log10(rate) * PER_DECADE)


def u_curve(noise: float = 0.02, seed: int = 0) -> np.ndarray:
    """A range test over ``RATES``: flat, falling from 1e-4 on, lowest near 0.03, beyond its start near 1."""
    place = np.log10(RATES)
    clean = 2.3 - 1.5 / (1 + np.exp(-3 * (place + 3))) + 3 * np.maximum(place + 1.2, 0) ** 2
    return np.asarray(clean + noise * np.random.default_rng(seed).normal(size=len(RATES)))


# --- geometric and the plan


@given(st.floats(1e-9, 1e-3), st.floats(1.5, 1e9), st.integers(2, 200))
@settings(deadline=None, max_examples=60)
def test_rates_go_from_end_to_end_by_one_factor(low: float, span: float, count: int) -> None:
    rates = geometric(low, low * span, count)
    assert len(rates) == count
    assert [rates[0], rates[-1]] == pytest.approx([low, low * span])
    assert all(type(rate) is float for rate in rates)
    factor = span ** (1 / (count - 1))
    assert [after / before for before, after in pairwise(rates)] == pytest.approx([factor] * (count - 1))


def test_one_rate_is_the_lowest() -> None:
    assert geometric(1e-3, 1.0, 1) == [1e-3]


def test_six_hundred_steps_are_a_range_test_nine_short_trainings_and_three_long_ones() -> None:
    assert (PLAN.steps, PLAN.range_steps, PLAN.short, PLAN.long, PLAN.tries) == (600, 100, 30, 100, 9)
    assert PLAN.range_steps + PLAN.tries * PLAN.short + PLAN.kept * (PLAN.long - PLAN.short) <= 600


@given(st.integers(60, 100_000))
@settings(deadline=None, max_examples=150)
def test_no_plan_spends_more_steps_than_it_has(steps: int) -> None:
    plan = Plan(steps)
    before = plan.range_steps + plan.tries * plan.short
    assert before + plan.kept * (plan.long - plan.short) <= steps
    for plateau, most in ((False, MOST_LONG), (True, MOST_LONG_AFTER_PLATEAU)):
        longest = plan.longest(before, plan.kept, plateau=plateau)
        assert plan.short < plan.long <= longest <= most * steps
        assert before + plan.kept * (longest - plan.short) <= steps


@given(st.integers(60, 10_000), st.integers(0, 20_000), st.integers(0, 5), st.booleans())
@settings(deadline=None, max_examples=100)
def test_steps_left_over_lengthen_the_last_trainings_and_more_so_on_a_plateau(
    steps: int, spent: int, trainings: int, plateau: bool
) -> None:
    plan = Plan(steps)
    length = plan.longest(spent, trainings, plateau=plateau)
    assert plan.long <= length <= steps * (MOST_LONG_AFTER_PLATEAU if plateau else MOST_LONG)
    assert length >= plan.longest(spent + 1, trainings, plateau=plateau)
    assert length >= plan.longest(spent, trainings + 1, plateau=plateau)
    assert length >= plan.longest(spent, trainings)


def test_however_few_the_steps_three_rates_are_tried() -> None:
    assert [Plan(steps).tries for steps in (1, 30, 60)] == [3, 3, 5]
    assert (Plan(1).range_steps, Plan(1).short, Plan(1).long) == (20, 5, 10)


# --- broken


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("count", [0, 3, 50])
def test_a_loss_that_is_not_finite_ends_the_range_test_at_once(bad: float, count: int) -> None:
    assert broken([2.3] * count + [bad])
    assert not broken([2.3] * (count + 1))


def test_before_eight_points_only_a_loss_that_is_not_finite_is_broken() -> None:
    assert not broken([1.0] * 4 + [1e6] * 3)
    assert broken([1.0] * 5 + [1e6] * 3)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("start", [2.3, -2.3, 100.0])
def test_noise_is_not_broken_however_long(seed: int, start: float) -> None:
    losses = (start + 0.3 * np.random.default_rng(seed).normal(size=100)).tolist()
    assert not any(broken(losses[:count]) for count in range(1, 101))


@pytest.mark.parametrize("seed", range(5))
def test_a_test_that_falls_and_explodes_ends_after_the_lowest_point_and_before_the_last(seed: int) -> None:
    place = np.log10(RATES)
    explosion = 10.0 ** np.minimum(12 * np.maximum(place + 0.5, 0), 30) - 1
    losses = (u_curve(seed=seed) + explosion).tolist()
    ended = next(count for count in range(1, 101) if broken(losses[:count]))
    assert int(np.argmin(losses)) < ended < 100


@pytest.mark.parametrize("seed", range(5))
def test_a_negative_start_is_as_good_as_a_positive_one(seed: int) -> None:
    place = np.log10(RATES)
    rise = 10 ** np.minimum(12 * np.maximum(place + 0.5, 0), 30) - 1
    above = u_curve(noise=0.0) + 0.02 * np.random.default_rng(seed).normal(size=100) + rise
    below = above - 2 * float(np.median(above[:25]))
    ended = [
        next(count for count in range(1, 101) if broken(losses[:count])) for losses in (above.tolist(), below.tolist())
    ]
    # The median of the quiet part moves a little with its length, and with it the bound.
    assert abs(ended[0] - ended[1]) <= 1


@given(st.lists(st.integers(-2000, 2000), min_size=1, max_size=60), st.integers(-30, 30))
@settings(deadline=None, max_examples=80)
def test_broken_does_not_depend_on_the_unit_of_the_loss(values: list[int], power: int) -> None:
    losses = [value / 64 for value in values]
    assert broken(losses) == broken([loss * 2.0**power for loss in losses])


def test_a_rise_within_twice_the_start_four_falls_or_ten_noises_is_borne() -> None:
    assert not broken([1.0] * 20 + [2.9] * 3)
    assert broken([1.0] * 20 + [3.1] * 3)
    fell = [0.125] * 10 + [-3.875] * 30
    assert not broken([*fell, *[15.5] * 3])
    assert broken([*fell, *[17.0] * 3])
    noisy = [1.0, -1.0] * 12
    assert not broken([*noisy, *[9.0] * 3])
    assert broken([*noisy, *[13.0] * 3])


# --- read


@pytest.mark.parametrize("seed", range(20))
def test_a_fall_is_read_near_its_lowest_point_and_its_edge_above_it(seed: int) -> None:
    reading = read(RATES, u_curve(seed=seed).tolist())
    assert reading.fell
    assert reading.start == pytest.approx(2.3, abs=0.02)
    assert reading.noise == pytest.approx(0.02, rel=0.6)
    assert abs(decades(reading.lowest, 0.06)) < 0.6
    assert reading.lowest < reading.edge < 1.5
    assert reading.guess == pytest.approx(reading.lowest * 10**-BELOW)


@pytest.mark.parametrize("add", [-1000.0, -2.3, 0.25, 1000.0])
@pytest.mark.parametrize("times", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("seed", range(3))
def test_neither_the_zero_nor_the_unit_of_the_loss_changes_the_reading(add: float, times: float, seed: int) -> None:
    losses = u_curve(seed=seed)
    plain, moved = read(RATES, losses.tolist()), read(RATES, (times * losses + add).tolist())
    assert (moved.lowest, moved.edge, moved.fell, moved.guess) == (plain.lowest, plain.edge, True, plain.guess)
    assert moved.noise == pytest.approx(times * plain.noise)
    assert moved.start == pytest.approx(times * plain.start + add)


@pytest.mark.parametrize("times", [1e-3, 1.7, 1e3])
def test_the_reading_moves_with_the_rates(times: float) -> None:
    losses = u_curve().tolist()
    plain, moved = read(RATES, losses), read([times * rate for rate in RATES], losses)
    assert moved == replace(plain, lowest=times * plain.lowest, edge=times * plain.edge)
    assert moved.guess == pytest.approx(times * plain.guess)


@pytest.mark.parametrize("explosion", [1e3, 1e9, 1e15, 1e20, 1e38, 1e300])
def test_a_loss_that_explodes_at_the_end_hides_no_fall(explosion: float) -> None:
    losses = [*u_curve().tolist()[:70], explosion]
    assert broken(losses)
    calm, exploded = read(RATES, losses[:-1]), read(RATES, losses)
    assert (exploded.fell, exploded.lowest, exploded.guess) == (True, calm.lowest, calm.guess)
    assert exploded.edge == calm.edge


@pytest.mark.parametrize("start", [2.3, -2.3, 0.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_plateau_is_guessed_from_its_edge(start: float, seed: int) -> None:
    place = np.log10(RATES)
    losses = start + 0.01 * np.sin(np.arange(100) + seed) + 20 * np.maximum(place - 0.25, 0)
    reading = read(RATES, losses.tolist())
    assert not reading.fell
    assert abs(decades(reading.edge, 10**0.25)) < 0.3
    assert reading.guess == pytest.approx(reading.edge * 10**-BELOW)


@pytest.mark.parametrize("loss", [0.0, 1.5, 2.3026, -2.3026, 1e6])
def test_equal_losses_are_no_fall(loss: float) -> None:
    reading = read(RATES, [loss] * 100)
    assert reading.start == loss
    assert reading.noise == pytest.approx(0, abs=1e-9)
    assert not reading.fell


def test_a_loss_that_only_rises_has_its_edge_at_once() -> None:
    noise = 0.01 * (-1.0) ** np.arange(100)
    reading = read(RATES, (2.0 + noise + np.maximum(np.arange(100) - 30, 0)).tolist())
    assert not reading.fell
    assert RATES[28] <= reading.edge <= RATES[33]


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("place", [0, 1, 2, 40, 99])
def test_one_low_batch_is_no_fall_wherever_it_is(place: int, sign: int) -> None:
    losses = 2.3 + 0.1 * sign * np.resize([0.0, 1.0, -1.0], 100)
    # Less than three standard deviations below the others.
    losses[place] = 2.3 - 0.22
    assert not read(RATES, losses.tolist()).fell


def test_noise_alone_is_hardly_ever_a_fall() -> None:
    noises = [0.1 * np.random.default_rng(seed).normal(size=100) for seed in range(300)]
    falls = [read(RATES, (2.3 + noise).tolist()).fell for noise in noises]
    assert CLEAR_FALL == 2.0
    assert sum(falls) <= 0.02 * len(falls)


def test_points_that_are_not_finite_are_passed_over_and_rates_without_a_loss_ignored() -> None:
    losses = u_curve()
    ended = losses[:75].tolist()
    assert read(RATES, [*ended, math.nan]) == read(RATES, ended)
    assert read(RATES, [*ended, math.inf, math.nan]) == read(RATES, ended)
    holed = losses.copy()
    holed[[5, 50]] = math.nan
    assert read(RATES, holed.tolist()).fell
    assert abs(decades(read(RATES, holed.tolist()).lowest, read(RATES, losses.tolist()).lowest)) < 0.2


@pytest.mark.parametrize("losses", [[math.nan], [math.inf, math.nan], [math.inf] * 100])
def test_a_test_that_broke_at_once_has_its_edge_at_the_lowest_rate(losses: list[float]) -> None:
    reading = read(RATES, losses)
    assert (reading.lowest, reading.edge, reading.fell) == (RATES[0], RATES[0], False)
    assert math.isnan(reading.start)
    assert math.isnan(reading.noise)
    assert reading.guess < RATES[0]


def test_one_point_can_be_read() -> None:
    assert read(RATES, [2.0]) == Reading(2.0, 0.0, RATES[0], RATES[0], False)


# --- climb


@given(st.floats(1e-4, 1e-1), st.floats(-2, 2), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=100)
def test_the_best_rate_is_found_from_up_to_two_decades_away(centre: float, off: float, seed: int) -> None:
    bowl = Bowl(centre, noise=0.01 * STEEP, seed=seed)
    tried, moved = climb(bowl, guessing(centre * 10**off), PLAN, START)
    assert moved
    assert len(bowl.asked) <= PLAN.tries
    assert abs(decades(best_of(tried), centre)) <= 0.25


@pytest.mark.parametrize("off", [-2.0, 2.0])
@pytest.mark.parametrize("centre", [1e-4, 3e-3, 0.1])
@pytest.mark.parametrize("steps", [300, 600, 1000, 5000])
def test_it_is_found_two_decades_away_whatever_the_number_of_steps(off: float, centre: float, steps: int) -> None:
    plan = Plan(steps)
    bowl = Bowl(centre, noise=0.01 * STEEP)
    tried, _ = climb(bowl, guessing(centre * 10**off), plan, START)
    assert len(bowl.asked) <= plan.tries
    assert abs(decades(best_of(tried), centre)) <= 0.25


@given(st.floats(1e-4, 1e-1), st.floats(-2, 2), st.floats(0.001, 1), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=100)
def test_it_is_found_below_an_edge_above_which_everything_breaks(
    centre: float, off: float, beyond: float, seed: int
) -> None:
    bowl = Bowl(centre, edge=centre * 10**beyond, noise=0.01 * STEEP, seed=seed)
    tried, _ = climb(bowl, guessing(centre * 10**off), PLAN, START)
    assert len(bowl.asked) <= PLAN.tries
    assert abs(decades(best_of(tried), centre)) <= 0.25


@given(st.floats(1e-4, 1e-2), st.floats(1.25, 2.0), st.floats(0.001, 0.6))
@settings(deadline=None, max_examples=60)
def test_it_is_found_where_all_first_tries_break(centre: float, off: float, beyond: float) -> None:
    bowl = Bowl(centre, edge=centre * 10**beyond)
    tried, _ = climb(bowl, guessing(centre * 10**off), PLAN, START)
    assert all(math.isinf(tried[rate]) for rate, _ in bowl.asked[:3])
    assert len(bowl.asked) <= PLAN.tries
    assert abs(decades(best_of(tried), centre)) <= 0.25


@given(st.floats(1e-4, 1e-2), st.floats(1.2, 2.0))
@settings(deadline=None, max_examples=60)
def test_where_all_first_tries_did_harm_the_way_is_down(centre: float, off: float) -> None:
    start = FLOOR + STEEP * 0.3

    def attempt(rate: float, steps: int) -> float:
        # Rates that are too low do nothing, and those that are too high do harm.
        loss = bowl(rate, steps)
        return loss if rate > centre else min(loss, start)

    bowl = Bowl(centre)
    tried, moved = climb(attempt, guessing(centre * 10**off, start=start), PLAN, start)
    assert moved
    assert len(bowl.asked) <= PLAN.tries
    assert abs(decades(best_of(tried), centre)) <= 0.25


@pytest.mark.parametrize("bounds", [BOUNDS, (1e-4, 1.0), (1.3e-4, 0.7)])
@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("inward", [0.0, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("off", [-2.0, -1.0, -0.25, 0.0, 0.25, 1.0, 2.0])
def test_it_is_found_at_a_bound(bounds: Bounds, end: int, inward: float, off: float) -> None:
    centre = bounds[end] * 10 ** (-inward if end else inward)
    bowl = Bowl(centre)
    tried, _ = climb(bowl, guessing(centre * 10**off), PLAN, START, bounds)
    assert len(bowl.asked) <= PLAN.tries
    assert abs(decades(best_of(tried), centre)) <= 0.25


@pytest.mark.parametrize("bounds", [BOUNDS, (1e-4, 1.0)])
@pytest.mark.parametrize("off", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("inward", [0.0, 0.25])
def test_it_is_found_at_the_lowest_rates_where_all_first_tries_break(bounds: Bounds, off: float, inward: float) -> None:
    centre = at_place(math.ceil(math.log10(bounds[0]) * PER_DECADE)) * 10**inward
    bowl = Bowl(centre, edge=centre * 10**0.3)
    tried, _ = climb(bowl, guessing(centre * 10**off), PLAN, START, bounds)
    assert len(bowl.asked) <= PLAN.tries
    assert any(map(math.isfinite, tried.values())), f"{sorted(tried)} broke, and {centre:.2g} was never tried"
    assert abs(decades(best_of(tried), centre)) <= 0.25


@pytest.mark.parametrize(("bounds", "centre"), [((1e-3, 1.0), 1e-5), ((1e-6, 1e-3), 1e-1)])
def test_a_best_rate_outside_the_bounds_gives_the_bound(bounds: Bounds, centre: float) -> None:
    tried, _ = climb(Bowl(centre), guessing(centre), PLAN, START, bounds)
    assert best_of(tried) == pytest.approx(min(bounds, key=lambda bound: abs(decades(bound, centre))))


@pytest.mark.parametrize("bounds", [(1e-3, 2e-3), (1e-4, 1e-1), (1.1e-3, 2.9e-3), (1.1e-3, 1.2e-3)])
@pytest.mark.parametrize("off", [-3.0, 0.0, 3.0])
def test_within_bounds_of_any_width_some_rate_is_tried(bounds: Bounds, off: float) -> None:
    bowl = Bowl(bounds[0])
    climb(bowl, guessing(bounds[0] * 10**off), PLAN, START, bounds)
    assert bowl.asked
    assert all(bounds[0] * (1 - 1e-9) <= rate <= bounds[1] * (1 + 1e-9) for rate, _ in bowl.asked)


# Of which no share that tells a plateau is a whole 64th: nothing stands on the verge.
NOISES = st.just(0) | st.integers(0, 12).map(lambda drawn: 5 * drawn + 2)
# A byte for each quarter decade: every fifth breaks there.
LANDSCAPES = st.binary(min_size=35, max_size=35).map(
    lambda drawn: [float(byte - 100) if byte < 205 else math.inf for byte in drawn]
)


def landscape(losses: list[float]) -> Callable[[float, int], float]:
    """A training whose loss at each quarter decade is what was drawn; exact in binary."""
    lowest = math.ceil(math.log10(BOUNDS[0]) * PER_DECADE)
    return lambda rate, steps: losses[place_of(rate) - lowest] / 64


@given(LANDSCAPES, st.floats(-9, 4), NOISES, st.integers(-120, 120), st.booleans(), st.integers(60, 2000))
@settings(deadline=None, max_examples=150)
def test_whatever_the_losses_each_rate_is_tried_once_within_the_bounds_and_the_plan(
    losses: list[float], guess: float, noise: int, start: int, fell: bool, steps: int
) -> None:
    asked: list[tuple[float, int]] = []
    known = landscape(losses)

    def attempt(rate: float, steps: int) -> float:
        asked.append((rate, steps))
        return known(rate, steps)

    plan = Plan(steps)
    tried, moved = climb(attempt, guessing(10**guess, noise=noise / 64, fell=fell), plan, start / 64)
    rates = [rate for rate, _ in asked]
    assert 2 <= len(rates) <= plan.tries
    assert len(set(rates)) == len(rates)
    assert all(BOUNDS[0] <= rate <= BOUNDS[1] for rate in rates)
    assert {steps for _, steps in asked} == {plan.short}
    assert all(rate == at_place(place_of(rate)) for rate in rates)
    assert list(tried.items()) == list(below_the_broken({rate: known(rate, 0) for rate in sorted(rates)}).items())
    assert moved == (fell or min(tried.values()) <= start / 64 - PLATEAU * noise / 64)


@given(LANDSCAPES, st.floats(-6, 2), NOISES, st.integers(-120, 120), st.booleans(), st.integers(-999, 999))
@settings(deadline=None, max_examples=100)
def test_a_constant_added_to_every_loss_changes_no_rate(
    losses: list[float], guess: float, noise: int, start: int, fell: bool, add: int
) -> None:
    attempt, test = landscape(losses), guessing(10**guess, noise=noise / 64, fell=fell)
    tried, moved = climb(attempt, test, PLAN, start / 64)
    shifted, still = climb(lambda rate, steps: attempt(rate, steps) + add, test, PLAN, start / 64 + add)
    assert shifted == {rate: loss + add for rate, loss in tried.items()}
    assert still == moved


@given(LANDSCAPES, st.floats(-6, 2), NOISES, st.integers(-120, 120), st.booleans(), st.integers(-40, 40))
@settings(deadline=None, max_examples=100)
def test_the_unit_of_the_loss_changes_no_rate(
    losses: list[float], guess: float, noise: int, start: int, fell: bool, power: int
) -> None:
    attempt, unit = landscape(losses), 2.0**power
    tried, moved = climb(attempt, guessing(10**guess, noise=noise / 64, fell=fell), PLAN, start / 64)
    scaled, still = climb(
        lambda rate, steps: unit * attempt(rate, steps),
        guessing(10**guess, noise=unit * noise / 64, fell=fell),
        PLAN,
        unit * start / 64,
    )
    assert scaled == {rate: unit * loss for rate, loss in tried.items()}
    assert still == moved


@given(st.floats(1e-4, 1e-2), st.floats(-1.9, 1.9), st.integers(-8, 8))
@settings(deadline=None, max_examples=60)
def test_the_climb_moves_with_the_rates(centre: float, off: float, places: int) -> None:
    times = at_place(places)
    bounds = (1e-9, 1e5)
    found = [
        climb(Bowl(factor * centre), guessing(factor * centre * 10**off), PLAN, START, bounds)[0]
        for factor in (1.0, times)
    ]
    assert list(found[1]) == pytest.approx([times * rate for rate in found[0]])
    assert list(found[1].values()) == pytest.approx(list(found[0].values()))


def test_half_decades_come_first_and_quarters_beside_the_best() -> None:
    bowl = Bowl(1e-2)
    climb(bowl, guessing(1e-2), PLAN, START)
    assert [place_of(rate) + 8 for rate, _ in bowl.asked] == [0, -2, 2, -1, 1]


def test_on_a_plateau_no_more_short_trainings_are_made() -> None:
    bowl = Bowl(1e-2)
    tried, moved = climb(bowl, guessing(1e-2, noise=10.0, fell=False), PLAN, START)
    assert not moved
    assert [place_of(rate) for rate in tried] == [-10, -8, -6]
    fell, moved = climb(bowl, guessing(1e-2, noise=10.0, fell=True), PLAN, START)
    assert moved
    assert len(fell) > 3


def test_one_training_that_left_the_plateau_is_climbed_from() -> None:
    def attempt(rate: float, steps: int) -> float:
        return 2.3 if rate < 2e-2 else 2.3 - decades(rate, 2e-2) if rate < 1 else math.inf

    tried, moved = climb(attempt, guessing(1e-2, noise=0.05, start=2.3, fell=False), PLAN, 2.3)
    assert moved
    assert best_of(tried) == pytest.approx(at_place(-1))


def test_of_equal_losses_the_lower_rate_is_climbed_to() -> None:
    losses = {-10: 1.0, -8: 2.0, -6: 1.0}
    asked: list[int] = []

    def attempt(rate: float, steps: int) -> float:
        asked.append(place_of(rate))
        return losses.get(place_of(rate), 3.0)

    climb(attempt, guessing(1e-2), PLAN, START)
    assert asked[:4] == [-8, -10, -6, -12]


def test_where_every_rate_breaks_all_are_infinite_and_the_way_down_is_tried() -> None:
    def attempt(rate: float, steps: int) -> float:
        return math.inf

    tried, moved = climb(attempt, guessing(1.0, fell=False), PLAN, START)
    assert not moved
    assert all(map(math.isinf, tried.values()))
    assert min(tried) <= 1e-6
    assert finalists(tried, 3) == []


@pytest.mark.parametrize("guess", [1e-12, 1e12])
def test_a_guess_outside_the_bounds_begins_at_the_bound(guess: float) -> None:
    asked: list[float] = []
    attempt: Try = lambda rate, steps: asked.append(rate) or 1.0  # type: ignore[func-returns-value] # noqa: E731
    climb(attempt, guessing(guess), PLAN, START)
    assert abs(decades(asked[0], BOUNDS[0] if guess < 1 else BOUNDS[1])) <= 0.125


# --- which go on


LOSSES = st.integers(-50, 50).map(float) | st.just(math.inf)
TRIED = st.dictionaries(st.integers(-26, 8).map(at_place), LOSSES, max_size=12)


@given(TRIED, st.integers(1, 5))
@settings(deadline=None, max_examples=80)
def test_finalists_are_the_lowest_losses_best_first_and_never_broken(tried: dict[float, float], kept: int) -> None:
    found = finalists(tried, kept)
    finite = {rate: loss for rate, loss in tried.items() if loss < math.inf}
    assert len(found) == len(set(found)) == min(kept, len(finite))
    assert sorted(found, key=lambda rate: (finite[rate], rate)) == found
    left = set(finite) - set(found)
    assert all((finite[one], one) < (finite[other], other) for one in found for other in left)


@given(TRIED, st.integers(-20, 20), st.integers(0, 20), st.integers(1, 5))
@settings(deadline=None, max_examples=80)
def test_unharmed_are_the_highest_rates_that_did_no_harm(
    tried: dict[float, float], start: int, noise: int, kept: int
) -> None:
    found = unharmed(tried, start, noise, kept)
    harmless = [rate for rate in tried if tried[rate] - start <= 2 * noise]
    assert found == sorted(harmless)[::-1][:kept]


def test_a_training_that_broke_is_never_unharmed() -> None:
    assert unharmed({0.1: math.inf, 0.01: 2.3, 0.001: 2.31, 1e-4: 2.3}, 2.3, 0.1, 2) == [0.01, 0.001]


def test_beyond_the_lowest_or_highest_rate_known_comes_half_a_decade_further() -> None:
    known = [at_place(place) for place in (-10, -8, -6)]
    assert beside(at_place(-10), known) == [at_place(place) for place in (-12, -9, -11)]
    assert beside(at_place(-6), known) == [at_place(place) for place in (-4, -5, -7)]
    assert beside(at_place(-8), known) == [at_place(place) for place in (-7, -9)]


def test_no_rate_is_beside_one_whose_neighbours_are_known_or_outside() -> None:
    assert beside(at_place(-8), [at_place(place) for place in (-9, -8, -7)]) == []
    assert beside(at_place(-8), [at_place(-8)], (at_place(-8) * 0.99, at_place(-8) * 1.01)) == []


@given(st.sets(st.integers(-26, 8), min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=80)
def test_rates_beside_the_best_are_new_near_it_and_within_the_bounds(places: set[int], data: st.DataObject) -> None:
    known = [at_place(place) for place in sorted(places)]
    best = data.draw(st.sampled_from(known))
    found = beside(best, known)
    assert len(set(found)) == len(found)
    assert not set(found) & set(known)
    assert all(BOUNDS[0] <= rate <= BOUNDS[1] and 0.2 < abs(decades(rate, best)) < 0.6 for rate in found)


def test_what_survives_above_a_rate_that_broke_has_survived_by_chance() -> None:
    tried = {1e-3: 1.0, 1e-2: math.inf, 1e-1: 0.5}
    assert below_the_broken(tried) == {1e-3: 1.0, 1e-2: math.inf, 1e-1: math.inf}
    assert below_the_broken({1e-3: 1.0}) == {1e-3: 1.0}


def test_the_next_lower_rate_is_half_a_decade_down_and_within_the_bounds() -> None:
    assert lower(1e-2) == [pytest.approx(10**-2.5)]
    assert lower(1e-2, (5e-3, 1.0)) == []
