"""From what was tried to one rate: the best, excesses, the window, the edge, and how sure it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.learning_rate import Probe
from convergence_cli.lr_find.suggestion import (
    AS_GOOD,
    MOST_BELOW,
    SHADES,
    WITHIN,
    best_of,
    confidence,
    diverges_at,
    excesses,
    shaded,
    two_digits,
    why,
    window,
)

START = 2.0
# Half a decade apart: the best fell by 1, its neighbours by 0.8 and 0.6, the lowest hardly, the highest broke.
LOSSES: dict[float, float | None] = {1e-3: 1.9, 3e-3: 1.2, 1e-2: 1.0, 3e-2: 1.4, 1e-1: None}


def probes_of(losses: dict[float, float | None], steps: int = 30) -> list[Probe]:
    return [Probe(rate, loss, steps) for rate, loss in losses.items()]


PROBES = probes_of(LOSSES)
RATES = st.integers(-24, 8).map(lambda place: float(10 ** (place / 4)))


def without_those_that_had_broken(probes: list[Probe]) -> list[Probe]:
    """What broke in a short training does not train on."""
    broke = {probe.rate for probe in probes if probe.loss is None and probe.steps == 30}
    return [probe for probe in probes if probe.steps == 30 or probe.rate not in broke]


DRAWN = st.lists(
    st.builds(Probe, RATES, st.none() | st.integers(-640, 640).map(lambda loss: loss / 64), st.sampled_from([30, 100])),
    min_size=1,
    max_size=10,
    unique_by=lambda probe: (probe.rate, probe.steps),
).map(without_those_that_had_broken)


def best(probes: list[Probe]) -> Probe:
    found = best_of(probes)
    assert found is not None
    return found


# --- the best


def test_the_best_has_the_lowest_loss() -> None:
    assert best_of(PROBES) == Probe(1e-2, 1.0, 30)


def test_only_the_longest_trainings_are_compared() -> None:
    assert best_of([*PROBES, Probe(3e-3, 1.1, 100), Probe(3e-2, 1.3, 100)]) == Probe(3e-3, 1.1, 100)


def test_a_longer_training_that_broke_does_not_count() -> None:
    assert best_of([*PROBES, Probe(3e-2, None, 100)]) == Probe(1e-2, 1.0, 30)


def test_of_equals_the_lower_rate_is_the_best() -> None:
    assert best_of(probes_of({1e-1: 1.0, 1e-2: 1.0, 1e-3: 1.5})) == Probe(1e-2, 1.0, 30)


def test_where_all_broke_or_nothing_was_tried_there_is_no_best() -> None:
    assert best_of([]) is None
    assert best_of(probes_of({1e-2: None, 1e-1: None})) is None


@given(DRAWN)
@settings(deadline=None, max_examples=80)
def test_no_training_as_long_ended_below_the_best(probes: list[Probe]) -> None:
    found = best_of(probes)
    ended = [probe for probe in probes if probe.loss is not None]
    if found is None:
        assert not ended
        return
    assert found.steps == max(probe.steps for probe in ended)
    assert all((found.loss, found.rate) <= (one.loss, one.rate) for one in ended if one.steps == found.steps)
    assert best_of(probes[::-1]) == found


# --- excesses


def test_the_excess_is_the_share_of_the_best_fall_that_is_lacking() -> None:
    assert excesses(PROBES, START, best(PROBES)) == {
        1e-3: pytest.approx(0.9),
        3e-3: pytest.approx(0.2),
        1e-2: 0.0,
        3e-2: pytest.approx(0.4),
        1e-1: 1.0,
    }


def test_the_excess_is_that_of_the_longest_training_of_a_rate() -> None:
    longer = [Probe(1e-2, 0.5, 100), Probe(3e-2, 0.8, 100)]
    found = excesses([*PROBES, *longer], START, longer[0])
    assert found[3e-2] == pytest.approx(0.3 / 1.5)
    assert found[3e-3] == pytest.approx(0.2)


def test_one_that_broke_late_has_the_whole_excess() -> None:
    longer = [Probe(3e-3, 0.5, 100), Probe(1e-2, None, 100)]
    assert excesses([*PROBES, *longer], START, longer[0])[1e-2] == 1.0


def test_above_the_start_an_excess_is_one_and_below_the_best_it_is_none() -> None:
    found = excesses(probes_of({1e-3: 5.0, 1e-2: 1.0, 1e-1: 0.5}), START, Probe(1e-2, 1.0, 30))
    assert found == {1e-3: 1.0, 1e-2: 0.0, 1e-1: 0.0}


def test_a_rate_that_was_never_trained_as_long_as_the_best_has_no_excess() -> None:
    assert excesses([Probe(1e-2, 1.0, 30), Probe(1e-3, 1.0, 7)], START, Probe(1e-2, 1.0, 30)) == {1e-2: 0.0}


@given(DRAWN, st.integers(-640, 640))
@settings(deadline=None, max_examples=100)
def test_excesses_are_between_none_and_one_by_ascending_rate(probes: list[Probe], start: int) -> None:
    found = best_of(probes)
    if found is None:
        return
    assert found.loss is not None
    above = max(start / 64, found.loss + 1 / 64)
    excess = excesses(probes, above, found)
    assert list(excess) == sorted(excess)
    assert all(0 <= value <= 1 for value in excess.values())
    assert excesses(probes[::-1], above, found) == excess
    broke = {probe.rate for probe in probes if probe.loss is None}
    assert {excess[rate] for rate in broke} <= {1.0}
    assert found.rate in broke or excess[found.rate] == 0


@given(DRAWN, st.integers(1, 640), st.integers(-1000, 1000), st.sampled_from([0.25, 1.0, 64.0]))
@settings(deadline=None, max_examples=80)
def test_neither_the_zero_nor_the_unit_of_the_loss_changes_best_excess_or_confidence(
    probes: list[Probe], fall: int, add: int, times: float
) -> None:
    found = best_of(probes)
    if found is None:
        return
    assert found.loss is not None
    start = found.loss + fall / 64
    moved = [replace(one, loss=None if one.loss is None else times * one.loss + add) for one in probes]
    moved_best = best(moved)
    assert (moved_best.rate, moved_best.steps) == (found.rate, found.steps)
    excess, moved_excess = excesses(probes, start, found), excesses(moved, times * start + add, moved_best)
    assert moved_excess == excess
    assert confidence(moved, moved_excess, moved_best) == confidence(probes, excess, found)
    assert diverges_at(moved, times * start + add, found.rate, None) == diverges_at(probes, start, found.rate, None)


# --- the window


def test_the_window_ends_where_the_excess_passes_five_percent_between_two_rates() -> None:
    low, high = window({1e-3: 0.1, 1e-2: 0.0, 1e-1: 0.5}, 1e-2)
    assert WITHIN == 0.05
    assert low == pytest.approx(10**-2.5)
    assert high == pytest.approx(10**-1.9)


def test_the_window_goes_over_rates_that_are_as_good() -> None:
    low, high = window({1e-5: 1.0, 1e-4: 0.05, 1e-3: 0.01, 1e-2: 0.0, 1e-1: 0.03, 1.0: 0.07}, 1e-2)
    assert low == pytest.approx(1e-4)
    assert high == pytest.approx(10**-0.5)


def test_the_window_ends_at_the_last_rate_tried() -> None:
    assert window({1e-3: 0.01, 1e-2: 0.0}, 1e-2) == pytest.approx((1e-3, 1e-2))
    assert window({1e-2: 0.0}, 1e-2) == pytest.approx((1e-2, 1e-2))


def test_beyond_a_rate_that_is_worse_a_better_one_is_not_in_the_window() -> None:
    low, _ = window({1e-4: 0.0, 1e-3: 1.0, 1e-2: 0.0, 1e-1: 1.0}, 1e-2)
    assert 1e-3 < low < 1e-2


@given(st.dictionaries(RATES, st.floats(0, 1), min_size=1, max_size=10), st.data())
@settings(deadline=None, max_examples=100)
def test_the_window_is_around_the_best_and_every_rate_in_it_is_within_five_percent(
    drawn: dict[float, float], data: st.DataObject
) -> None:
    at = data.draw(st.sampled_from(sorted(drawn)))
    excess = {rate: 0.0 if rate == at else drawn[rate] for rate in sorted(drawn)}
    low, high = window(excess, at)
    slack = 1 + 1e-9
    assert min(excess) / slack <= low <= at * slack
    assert at / slack <= high <= max(excess) * slack
    assert all(excess[rate] <= WITHIN for rate in excess if low * slack < rate < high / slack)
    beyond = [rate for rate in excess if rate > high * slack]
    assert not beyond or excess[beyond[0]] > WITHIN


@given(st.dictionaries(RATES, st.floats(0, 1), min_size=1, max_size=8), st.floats(1e-4, 1e4), st.data())
@settings(deadline=None, max_examples=60)
def test_the_window_moves_with_the_rates(drawn: dict[float, float], times: float, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from(sorted(drawn)))
    excess = {rate: 0.0 if rate == at else drawn[rate] for rate in sorted(drawn)}
    low, high = window(excess, at)
    moved = window({times * rate: value for rate, value in excess.items()}, times * at)
    assert moved == pytest.approx((times * low, times * high))


# --- the rate


@pytest.mark.parametrize(
    ("rate", "shown"), [(0.0123456, 0.012), (0.0999, 0.1), (1.0, 1.0), (3.16227766e-7, 3.2e-7), (56.2, 56.0)]
)
def test_a_rate_has_two_digits(rate: float, shown: float) -> None:
    assert two_digits(rate) == shown


@given(st.floats(1e-9, 1e3), st.floats(1e-9, 1e3))
@settings(deadline=None, max_examples=60)
def test_rounding_keeps_the_order_and_is_done_once(one: float, other: float) -> None:
    assert two_digits(two_digits(one)) == two_digits(one) == pytest.approx(one, rel=0.051)
    assert (two_digits(one) <= two_digits(other)) or one > other


@pytest.mark.parametrize("schedule", SHADES)
def test_the_rate_is_below_the_best_by_what_the_schedule_asks(schedule: str) -> None:
    steep = {1e-4: 1.0, 1e-3: 0.9, 1e-2: 0.0, 1e-1: 0.5}
    assert shaded(steep, 1e-2, schedule) == pytest.approx(1e-2 * 10 ** SHADES[schedule], rel=0.06)
    assert shaded({1e-2: 0.0}, 1e-2, schedule) == two_digits(1e-2 * 10 ** SHADES[schedule])
    assert SHADES["constant"] < SHADES["cosine"] <= 0


@pytest.mark.parametrize("schedule", SHADES)
def test_of_rates_that_are_as_good_as_the_best_the_lowest_counts_but_no_more_than_a_decade_down(schedule: str) -> None:
    places = range(-16, -3)
    times = 10 ** SHADES[schedule]
    equals = {10 ** (place / 4): 0.001 if -10 <= place <= -7 else 1.0 for place in places} | {1e-2: 0.0}
    assert shaded(equals, 1e-2, schedule) == pytest.approx(10**-2.5 * times, rel=0.06)
    all_equal = {10 ** (place / 4): 0.0 for place in places}
    assert MOST_BELOW == 1
    assert shaded(all_equal, 1e-2, schedule) == pytest.approx(10**-3 * times, rel=0.06)


@given(st.dictionaries(RATES, st.floats(0, 1), min_size=1, max_size=10), st.sampled_from(sorted(SHADES)), st.data())
@settings(deadline=None, max_examples=60)
def test_the_rate_is_never_above_the_best_and_changes_with_nothing_above_it(
    drawn: dict[float, float], schedule: str, data: st.DataObject
) -> None:
    at = data.draw(st.sampled_from(sorted(drawn)))
    excess = {rate: 0.0 if rate == at else drawn[rate] for rate in sorted(drawn)}
    rate = shaded(excess, at, schedule)
    times = 10 ** SHADES[schedule]
    assert two_digits(at * times * 10**-MOST_BELOW) <= rate <= two_digits(at * times)
    assert shaded({one: value for one, value in excess.items() if one <= at}, at, schedule) == rate
    worse = [one for one in excess if one < at and excess[one] > AS_GOOD]
    assert not worse or rate >= two_digits(max(worse) * times)


# --- where it breaks


def test_it_diverges_at_the_lowest_rate_above_the_best_that_broke_or_ended_above_the_start() -> None:
    assert diverges_at(PROBES, START, 1e-2, None) == 0.1
    assert diverges_at([*PROBES, Probe(0.0314, 2.1, 30)], START, 1e-2, 1.0) == 0.031
    assert diverges_at([*PROBES, Probe(0.02, 2.0, 30)], START, 1e-2, None) == 0.1


def test_a_rate_below_the_best_that_broke_is_no_edge() -> None:
    assert diverges_at(probes_of({1e-3: None, 1e-2: 1.0, 1e-1: 1.5}), START, 1e-2, None) is None


def test_where_no_training_broke_the_range_test_tells_the_edge() -> None:
    calm = probes_of({1e-3: 1.5, 1e-2: 1.0, 1e-1: 1.5})
    assert diverges_at(calm, START, 1e-2, 0.3456) == 0.35
    assert diverges_at(calm, START, 1e-2, 1e-2) is None
    assert diverges_at(calm, START, 1e-2, 1e-3) is None
    assert diverges_at(calm, START, 1e-2, None) is None


def test_a_rate_that_fell_when_it_trained_on_does_not_diverge() -> None:
    # On a plateau the short trainings end at their start, give or take the noise.
    short = probes_of({1e-3: 1.99, 1e-2: 2.01})
    assert diverges_at([*short, Probe(1e-3, 1.0, 100), Probe(1e-2, 1.01, 100)], START, 1e-3, None) is None
    assert diverges_at([*short, Probe(1e-3, 1.0, 100), Probe(1e-2, 2.5, 100)], START, 1e-3, None) == 0.01


@given(DRAWN, st.floats(1e-6, 100.0) | st.none())
@settings(deadline=None, max_examples=80)
def test_where_it_diverges_is_never_below_the_best(probes: list[Probe], edge: float | None) -> None:
    found = best_of(probes)
    if found is None:
        return
    told = diverges_at(probes, START, found.rate, edge)
    assert told is None or told >= two_digits(found.rate)
    broke = [one.rate for one in probes if one.rate > found.rate and one.loss is None]
    if broke:
        assert told is not None
        assert told <= two_digits(min(broke))


# --- how sure it is


def sure(losses: dict[float, float | None], *longer: Probe) -> float:
    probes = [*probes_of(losses), *longer]
    found = best(probes)
    return confidence(probes, excesses(probes, START, found), found)


# Broad: within five percent of the best over more than half a decade, and worse on both sides.
BROAD: dict[float, float | None] = {1e-4: 1.9, 1e-3: 1.5, 3e-3: 1.02, 1e-2: 1.0, 3e-2: 1.02, 1e-1: 1.5, 1.0: None}


def test_a_best_in_a_broad_window_with_rates_on_both_sides_is_surest() -> None:
    assert 0.9 < sure(BROAD) < 1


@pytest.mark.parametrize(
    "side",
    [
        {rate: loss for rate, loss in BROAD.items() if rate <= 1e-2},
        {rate: loss for rate, loss in BROAD.items() if rate >= 1e-2},
    ],
    ids=["nothing above", "nothing below"],
)
def test_it_is_less_sure_where_a_side_of_the_best_was_not_tried(side: dict[float, float | None]) -> None:
    assert sure(side) < sure(BROAD)


def test_it_is_less_sure_where_only_one_rate_trains() -> None:
    alone = {rate: loss if rate == 1e-2 else 1.9 for rate, loss in BROAD.items()}
    assert sure(alone) < sure(BROAD)
    assert sure({1e-2: 1.0}) < sure(alone)
    assert sure(alone) < sure(alone | {3e-3: 1.02})


def test_it_is_less_sure_where_the_window_is_narrow() -> None:
    narrow = {rate: loss if rate == 1e-2 or loss is None else max(loss, 1.2) for rate, loss in BROAD.items()}
    assert sure(narrow) < sure(BROAD)


def test_it_is_less_sure_where_short_and_long_trainings_name_different_rates() -> None:
    same = sure(BROAD, Probe(3e-3, 0.52, 100), Probe(1e-2, 0.5, 100), Probe(3e-2, 0.52, 100))
    other = sure(BROAD, Probe(1e-3, 0.52, 100), Probe(3e-3, 0.52, 100), Probe(1e-2, 0.52, 100), Probe(1e-4, 0.5, 100))
    assert same == sure(BROAD)
    assert other < same


@given(DRAWN)
@settings(deadline=None, max_examples=80)
def test_confidence_is_a_probability_whatever_the_probes(probes: list[Probe]) -> None:
    found = best_of(probes)
    if found is None:
        return
    assert 0 < confidence(probes, excesses(probes, 11.0, found), found) < 1


# --- what is said


def test_what_is_said_names_the_best_of_how_many_and_why_the_rate_is_lower() -> None:
    excess = excesses(PROBES, START, best(PROBES))
    text = why(excess, best(PROBES), 0.0056, "constant")
    assert text.startswith("Of 5 rates, 0.01 came to the lowest loss after 30 steps (1).")
    assert text.endswith("A rate that stays constant has to suit the whole training: a little below it.")


def test_what_is_said_of_a_decaying_schedule_is_that_it_begins_there() -> None:
    excess = excesses(PROBES, START, best(PROBES))
    for rate in (0.01, shaded(excess, 0.01, "cosine")):
        assert why(excess, best(PROBES), rate, "cosine").endswith("With a cosine schedule that is where to begin.")
    assert why(excess, best(PROBES), 0.01, "constant").endswith("(1).")
