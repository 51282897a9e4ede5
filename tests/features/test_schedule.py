"""What a logged learning rate is taken for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convergence_cli.features.schedule import Schedule, rate_at, schedule_of
from convergence_cli.model import Curve

STEPS = np.arange(0, 1000, 10, dtype=np.float64)
N = len(STEPS)
COSINE = 0.5 * (1 + np.cos(math.pi * np.linspace(0, 1, N)))


def _schedule(rate: np.ndarray, step: np.ndarray = STEPS) -> Schedule:
    found = schedule_of(Curve("lr", step, rate))
    assert found is not None
    return found


def test_a_constant_rate() -> None:
    found = _schedule(np.full(N, 3e-4))
    assert found.constant
    assert (found.first, found.peak, found.last) == (3e-4, 3e-4, 3e-4)
    assert (found.constant_since, found.decayed, found.warmup_end, found.jumps) == (0.0, False, None, ())
    assert (found.zero_from, found.zero_share) == (None, 0.0)


def test_a_rate_rounded_to_two_digits_is_still_constant() -> None:
    assert _schedule(np.where(np.arange(N) % 2, 0.00100, 0.00101)).constant


def test_a_warm_up_and_a_decay() -> None:
    rate = np.concatenate([np.linspace(0, 1e-3, 11), 1e-3 * COSINE[: N - 11] + 1e-5])
    found = _schedule(rate)
    assert found.warmup_end == pytest.approx(100, abs=20)
    assert found.decayed
    assert not found.constant
    assert found.jumps == ()


def test_a_warm_up_to_a_constant_rate_is_constant_from_its_end() -> None:
    rate = np.concatenate([np.linspace(1e-5, 1e-3, 20), np.full(N - 20, 1e-3)])
    found = _schedule(rate)
    assert not found.constant
    assert found.constant_since == pytest.approx(190, abs=10)
    assert found.warmup_end == pytest.approx(190, abs=10)


def test_steps_down_are_no_jumps() -> None:
    rate = np.repeat([0.1, 0.01, 0.001, 0.0001], N // 4)
    found = _schedule(rate)
    assert (found.jumps, found.decayed, found.constant_since) == ((), True, 750.0)


def test_a_jump_up_is_found_at_its_step() -> None:
    rate = 1e-3 * COSINE + 1e-6
    rate[75] = rate[76] = 1e-3
    assert _schedule(rate).jumps == (750.0,)


def test_warm_restarts_are_jumps() -> None:
    rate = np.tile(1e-2 * COSINE[:: N // 25][:25] + 1e-4, 4)
    found = _schedule(rate)
    assert found.restarts == 3
    assert found.jumps == (250.0, 500.0, 750.0)


def test_a_rate_that_ends_at_zero_says_since_when() -> None:
    rate = np.where(np.arange(N) < 70, 1e-3, 0.0)
    found = _schedule(rate)
    assert found.zero_from == 700.0
    assert found.zero_share == pytest.approx(290 / 990)


def test_one_zero_in_the_middle_is_no_end() -> None:
    rate = np.full(N, 1e-3)
    rate[50] = 0.0
    assert _schedule(rate).zero_from is None


def test_a_rate_of_zero_throughout_has_no_peak() -> None:
    found = _schedule(np.zeros(N))
    assert (found.peak, found.zero_from, found.constant) == (0.0, None, True)


@pytest.mark.parametrize("points", [0, 1])
def test_too_few_points_are_no_schedule(points: int) -> None:
    assert schedule_of(Curve("lr", STEPS[:points], np.full(points, 0.1))) is None


def test_non_finite_rates_are_passed_over() -> None:
    rate = np.full(N, 0.1)
    rate[::7] = math.nan
    assert _schedule(rate).constant


def test_the_rate_in_force_is_the_last_one_logged() -> None:
    curve = Curve("lr", np.array([10.0, 20.0, 30.0]), np.array([0.1, math.nan, 0.3]))
    assert [rate_at(curve, step) for step in (0, 10, 25, 30, 99)] == [0.1, 0.1, 0.1, 0.3, 0.3]
    assert rate_at(Curve("lr", np.array([]), np.array([])), 5) is None


@pytest.mark.parametrize("at", [25, 60])
def test_a_jump_up_to_a_new_peak_is_no_warm_up(at: int) -> None:
    found = _schedule(np.where(np.arange(N) < at, 0.01, 0.1))
    assert found.jumps == (10.0 * at,)
    assert found.warmup_end is None


def test_a_warm_up_in_steps_or_from_zero_is_no_jump() -> None:
    steps = np.concatenate([np.repeat([1e-4, 2e-4, 5e-4, 1e-3], 3), np.full(N - 12, 1e-3)])
    assert _schedule(steps).jumps == ()
    held_at_zero = np.where(np.arange(N) < 15, 0.0, 1e-3)
    assert _schedule(held_at_zero).jumps == ()
