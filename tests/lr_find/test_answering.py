"""From probes, or a range test, to the whole answer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.learning_rate import LearningRate, Probe
from convergence_cli.lr_find.answering import METHODS, RANGE, RANGE_CONFIDENCE, by_range_test, suggested
from convergence_cli.lr_find.known_rules import RULES, smoothed
from convergence_cli.lr_find.refused import Refused
from convergence_cli.lr_find.search import geometric
from convergence_cli.lr_find.suggestion import DOUBTS, two_digits

START = 2.0
RATES = geometric(1e-7, 10.0, 100)
LOSSES: dict[float, float | None] = {1e-3: 1.9, 3e-3: 1.2, 1e-2: 1.0, 3e-2: 1.4, 1e-1: None}


def probed(losses: dict[float, float | None] = LOSSES, *longer: Probe, **more: object) -> LearningRate:
    probes = (*(Probe(rate, loss, 30) for rate, loss in losses.items()), *longer)
    return replace(LearningRate(None, start_loss=START, probes=probes, steps=600, source="train.py:setup"), **more)  # type: ignore[arg-type]


def descent(seed: int = 0, noise: float = 0.01) -> list[float]:
    """A range test over ``RATES``: flat, a fall that is steepest at 1e-2, lowest near 0.3, above its start at 3."""
    place = np.log10(RATES)
    clean = 2.3 - 1.5 / (1 + np.exp(-4 * (place + 2))) + 8 * np.maximum(place + 0.3, 0) ** 2
    return (clean + noise * np.random.default_rng(seed).normal(size=100)).tolist()  # type: ignore[no-any-return]


def ranged(losses: list[float], method: str = RANGE, rates: list[float] = RATES, **more: str) -> LearningRate:
    given = LearningRate(None, method=method, range_rates=tuple(rates[: len(losses)]), range_losses=tuple(losses))
    return by_range_test(replace(given, **more))  # type: ignore[arg-type]


def given_rate(answer: LearningRate) -> float:
    assert answer.learning_rate is not None
    return answer.learning_rate


def reason(losses: list[float], method: str = RANGE) -> str:
    with pytest.raises(Refused) as caught:
        ranged(losses, method)
    assert caught.value.refusal.hint
    return caught.value.refusal.reason


# --- from probes


def test_the_answer_has_all_that_the_probes_say_and_keeps_the_rest() -> None:
    before = probed()
    answer = suggested(before, None)
    assert given_rate(answer) == pytest.approx(1e-2 * 10**-0.25, rel=0.05)
    assert answer.window == (answer.learning_rate, 0.011)
    assert answer.diverges_at == 0.1
    assert 0.5 < answer.confidence < 1
    assert answer.why.startswith("Of 5 rates, 0.01 came to the lowest loss after 30 steps (1).")
    assert replace(answer, learning_rate=None, window=None, diverges_at=None, confidence=0.0, why="") == before


def test_for_a_decaying_schedule_and_for_whole_trainings_the_best_rate_itself_is_given() -> None:
    assert suggested(probed(schedule="cosine"), None).learning_rate == pytest.approx(0.01, rel=0.03)
    assert suggested(probed(), None, lower=False).learning_rate == 0.01
    assert "below it" not in suggested(probed(), None, lower=False).why


@pytest.mark.parametrize("place", [-9, -8, -7, -6])
def test_no_rate_is_said_to_stay_on_a_schedule_that_decays(place: int) -> None:
    best = 10 ** (place / 4)
    losses: dict[float, float | None] = {best / 10: 1.9, best: 1.0, best * 10: 1.5}
    assert "stays cosine" not in suggested(probed(losses, schedule="cosine"), None).why


def test_the_range_test_tells_the_edge_where_no_training_broke() -> None:
    calm = probed({rate: loss for rate, loss in LOSSES.items() if loss is not None})
    assert suggested(calm, 1.234).diverges_at == 1.2
    assert suggested(calm, None).diverges_at is None
    assert suggested(probed(), 1.234).diverges_at == 0.1


def test_a_rate_that_trained_nearly_as_well_as_the_best_is_not_where_it_diverges() -> None:
    # The range test broke at 0.02, after all that came before; a training at 0.03 from the start is as good as any.
    good = probed({1e-3: 1.9, 1e-2: 1.0, 3e-2: 1.01, 1e-1: 1.5})
    for edge in (None, 0.02, 0.5):
        answer = suggested(good, edge)
        assert answer.window is not None
        assert answer.window[1] >= 0.03
        assert answer.diverges_at is None or answer.diverges_at > answer.window[1]


@pytest.mark.parametrize("bounds", [(1e-2, 1.0), (1.1e-2, 1.0), (1e-6, 4e-3)])
def test_the_rate_is_never_outside_the_bounds_that_were_asked_for(bounds: tuple[float, float]) -> None:
    free, bound = suggested(probed(), None), suggested(probed(), None, bounds=bounds)
    rate = given_rate(bound)
    assert rate == min(max(given_rate(free), bounds[0]), bounds[1])
    assert bound.window is not None
    assert bound.window[0] <= rate <= bound.window[1]


PROBES = (
    st.dictionaries(st.integers(-24, 8), st.none() | st.integers(-640, 640), min_size=1, max_size=10)
    .map(lambda drawn: list(drawn.items()))
    .filter(lambda drawn: any(loss is not None for _, loss in drawn))
)


def of_drawn(drawn: list[tuple[int, int | None]], schedule: str = "constant") -> LearningRate:
    losses = {10 ** (place / 4): None if loss is None else loss / 64 for place, loss in drawn}
    best = min(loss for loss in losses.values() if loss is not None)
    return probed(losses, schedule=schedule, start_loss=best + 4.0)


@given(PROBES, st.sampled_from(["constant", "cosine"]), st.booleans())
@settings(deadline=None, max_examples=100)
def test_the_rate_lies_in_its_window_and_the_window_below_where_it_diverges(
    drawn: list[tuple[int, int | None]], schedule: str, lower: bool
) -> None:
    answer = suggested(of_drawn(drawn, schedule), None, lower=lower)
    rate = given_rate(answer)
    assert answer.window is not None
    low, high = answer.window
    assert 0 < low <= rate <= high
    assert [two_digits(value) for value in (low, rate, high)] == [low, rate, high]
    assert answer.diverges_at is None or high <= answer.diverges_at
    assert 0 < answer.confidence < 1
    assert answer.refused is None


@given(PROBES, st.integers(-1000, 1000), st.sampled_from([0.25, 1.0, 64.0]))
@settings(deadline=None, max_examples=60)
def test_neither_the_zero_nor_the_unit_of_the_loss_changes_the_answer(
    drawn: list[tuple[int, int | None]], add: int, times: float
) -> None:
    plain = of_drawn(drawn)
    assert plain.start_loss is not None
    probes = tuple(replace(one, loss=None if one.loss is None else times * one.loss + add) for one in plain.probes)
    moved = suggested(replace(plain, probes=probes, start_loss=times * plain.start_loss + add), None)
    found = suggested(plain, None)
    assert (moved.learning_rate, moved.window, moved.diverges_at, moved.confidence) == (
        found.learning_rate,
        found.window,
        found.diverges_at,
        found.confidence,
    )


@given(PROBES, st.integers(-4, 4))
@settings(deadline=None, max_examples=60)
def test_the_answer_moves_with_the_rates(drawn: list[tuple[int, int | None]], decades: int) -> None:
    plain = suggested(of_drawn(drawn), None)
    moved = suggested(of_drawn([(place + 4 * decades, loss) for place, loss in drawn]), None)
    times = 10.0**decades
    # What is on the verge of rounding may go to the other side: one of the two digits.
    assert moved.learning_rate == pytest.approx(times * given_rate(plain), rel=0.11)
    assert plain.window is not None
    assert moved.window == pytest.approx(tuple(times * end for end in plain.window), rel=0.11)
    assert (moved.diverges_at is None) == (plain.diverges_at is None)
    # A window can be on the verge of being narrow, too.
    assert moved.confidence == pytest.approx(plain.confidence, abs=DOUBTS["narrow"] + 1e-9)


# --- from a range test, by the own rule


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("schedule", "share", "said"), [("constant", 10, "a tenth"), ("cosine", 10**0.5, "a third")])
def test_of_a_range_test_a_share_of_the_rate_at_its_lowest_point_is_given(
    seed: int, schedule: str, share: float, said: str
) -> None:
    answer = ranged(descent(seed), schedule=schedule)
    rate = given_rate(answer)
    assert 0.1 < rate * share < 1.0
    assert answer.window is not None
    assert answer.window[0] <= rate <= answer.window[1]
    assert answer.window[1] < 0.4 < rate * share * 1.5
    assert answer.diverges_at is not None
    assert answer.window[1] < answer.diverges_at < 3
    assert answer.confidence == RANGE_CONFIDENCE
    assert answer.start_loss == pytest.approx(2.3, abs=0.02)
    assert f"{said} of it" in answer.why


def test_both_schedules_have_one_window_from_the_lower_rate_to_the_higher() -> None:
    constant, cosine = (ranged(descent(), schedule=schedule) for schedule in ("constant", "cosine"))
    assert constant.window == cosine.window
    assert cosine.window is not None
    assert cosine.window[1] == cosine.learning_rate
    assert cosine.window[0] == pytest.approx(given_rate(constant) * 10**-0.5, rel=0.06)
    assert given_rate(constant) < given_rate(cosine)


def test_a_range_test_that_never_broke_has_no_edge() -> None:
    assert ranged(descent()[:85]).diverges_at is None


@pytest.mark.parametrize("tail", [[math.nan], [math.nan] * 12, [math.inf, math.nan]])
def test_a_range_test_that_ends_in_losses_that_are_not_finite_diverges_there(tail: list[float]) -> None:
    calm = descent()[:85]
    answer = ranged(calm + tail)
    assert answer.learning_rate == ranged(calm).learning_rate
    assert answer.diverges_at is not None
    assert RATES[82] < answer.diverges_at < RATES[88]


@pytest.mark.parametrize("hole", [0, 5, 50])
def test_a_hole_in_a_range_test_is_not_where_it_diverges(hole: int) -> None:
    losses = descent()[:78]
    calm = ranged(losses)
    assert calm.diverges_at is None
    losses[hole] = math.nan
    answer = ranged(losses)
    assert answer.window is not None
    assert answer.diverges_at is None or answer.diverges_at > answer.window[1]


@pytest.mark.parametrize("loss", [2.3026, 0.0, -1.5])
def test_where_the_loss_never_changes_no_rate_learns(loss: float) -> None:
    assert reason([loss] * 100) == "no-rate-learns"


@pytest.mark.parametrize("seed", range(5))
def test_where_the_loss_only_rises_or_is_noise_no_rate_learns(seed: int) -> None:
    noise = 0.05 * np.random.default_rng(seed).uniform(-1, 1, size=100)
    assert reason((2.3 + noise).tolist()) == "no-rate-learns"
    assert reason((2.3 + noise + np.maximum(np.arange(100) - 40, 0)).tolist()) == "no-rate-learns"


def test_where_the_lowest_point_is_near_the_first_rate_the_rate_still_lies_in_its_window() -> None:
    # A range test over little more than a decade, with its lowest point in the first half of that.
    losses = [2.0, 2.01, 1.99] * 5 + [1.6, 1.3, 1.1, *[1.0] * 5, 1.2, 1.5, 1.8] + [2.5, 3.0, 3.5, 4.0, 4.5] * 7
    rates = geometric(1e-2, 0.16, len(losses))
    answer = ranged(losses, rates=rates)
    rate = given_rate(answer)
    assert answer.window is not None
    assert rates[0] <= rate
    assert answer.window[0] <= rate <= answer.window[1]


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_points_are_refused_by_every_method(method: str, count: int) -> None:
    assert reason(descent()[:count], method) == "too-few-points"
    assert reason([math.nan] * 50 + descent()[:count], method) == "too-few-points"


# --- from a range test, by a known rule


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("count", [16, 50, 99, 100])
def test_a_known_rule_reads_the_smoothed_curve_without_a_tenth_at_first_and_five_at_last(
    method: str, count: int
) -> None:
    losses, rates = descent()[-count:], RATES[-count:]
    first, last = count // 10, count - 5
    kept_rates, kept_losses = np.array(rates)[first:last], smoothed(np.array(losses), 0.98)[first:last]
    answer = ranged(losses, method, rates)
    assert answer.learning_rate == two_digits(RULES[method](kept_rates, kept_losses))
    assert (answer.window, answer.diverges_at, answer.confidence) == (None, None, 0.0)
    assert f"'{method}'" in answer.why


@pytest.mark.parametrize("method", RULES)
def test_a_known_rule_needs_ten_points_after_that(method: str) -> None:
    assert reason(descent()[:15], method) == "too-few-points"
    with pytest.raises(Refused, match="Only 9 points"):
        ranged(descent()[:15], method)
    assert ranged(descent()[:16], method).refused is None


@pytest.mark.parametrize("method", RULES)
def test_a_known_rule_passes_over_losses_that_are_not_finite(method: str) -> None:
    # As many at first are dropped as a tenth of all that were tested.
    plain, ended = ranged(descent()[:90], method), ranged(descent()[:90] + [math.nan] * 9, method)
    assert ended.learning_rate == plain.learning_rate


# --- what must not change it


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("add", [-1000.0, -2.3, 512.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_constant_added_to_a_range_test_changes_nothing(method: str, add: float, seed: int) -> None:
    losses = descent(seed)
    plain, moved = ranged(losses, method), ranged([loss + add for loss in losses], method)
    assert (moved.learning_rate, moved.window, moved.diverges_at) == (
        plain.learning_rate,
        plain.window,
        plain.diverges_at,
    )


@pytest.mark.parametrize("method", [method for method in METHODS[1:] if method != "slide"])
@pytest.mark.parametrize("times", [1e-3, 0.7, 1e4])
@pytest.mark.parametrize("seed", range(3))
def test_the_unit_of_a_range_test_changes_nothing(method: str, times: float, seed: int) -> None:
    losses = descent(seed)
    plain, moved = ranged(losses, method), ranged([loss * times for loss in losses], method)
    assert (moved.learning_rate, moved.window, moved.diverges_at) == (
        plain.learning_rate,
        plain.window,
        plain.diverges_at,
    )


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("times", [1e-3, 4.2, 1e2])
@pytest.mark.parametrize("seed", range(3))
def test_the_rate_of_a_range_test_moves_with_its_rates(method: str, times: float, seed: int) -> None:
    losses = descent(seed)
    plain, moved = ranged(losses, method), ranged(losses, method, [times * rate for rate in RATES])
    assert moved.learning_rate == pytest.approx(times * given_rate(plain), rel=0.11)
    assert (moved.window is None) == (plain.window is None)
    if plain.window is not None:
        assert moved.window == pytest.approx(tuple(times * end for end in plain.window), rel=0.11)
