"""Gradient norm, loss scale, hidden NaN, swings, spikes: each on series whose answer is planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from curves import GENERATORS, evidence_of, falling, make

from convergence_cli.features.grad_norm import grad_norm_of
from convergence_cli.features.loss_scale import loss_scale_of
from convergence_cli.features.masked import masked_nan_of
from convergence_cli.features.oscillation import oscillation_of
from convergence_cli.features.shape import shape_of
from convergence_cli.features.spikes import spikes_of
from convergence_cli.model import Curve


def _curve(value: np.ndarray, name: str = "loss") -> Curve:
    return Curve(name, np.arange(len(value), dtype=np.float64), np.asarray(value, dtype=np.float64))


def test_the_levels_of_a_gradient_norm() -> None:
    norm = np.concatenate([np.full(50, 2.0), np.linspace(2, 0.5, 50), np.linspace(0.5, 8, 100)])
    norm[120] = 300.0
    found = grad_norm_of(_curve(norm))
    assert found is not None
    assert (found.points, found.peak) == (200, 300.0)
    assert found.early == 2.0
    assert found.typical == pytest.approx(np.median(norm))
    assert found.low == pytest.approx(0.5, abs=0.25)
    assert found.low_step == pytest.approx(100, abs=10)
    assert found.growth == pytest.approx(8 / 0.5, rel=0.4)
    assert found.growth_z > 10
    assert (found.p50, found.p90, found.p99) == pytest.approx(np.percentile(norm, [50, 90, 99]))
    assert found.zeros == 0.0
    assert found.outliers == pytest.approx(1 / 200)


def test_zeros_and_non_finite_points_of_a_gradient_norm() -> None:
    norm = np.ones(100)
    norm[40:80] = 0.0
    norm[90:] = math.nan
    found = grad_norm_of(_curve(norm))
    assert found is not None
    assert found.zeros == pytest.approx(40 / 90)
    assert (found.nonfinite.count, found.nonfinite.first_step, found.nonfinite.last_is_nonfinite) == (10, 90.0, True)


def test_two_gradient_norms_are_too_few() -> None:
    assert grad_norm_of(_curve(np.array([1.0, 2.0]))) is None


def test_a_loss_scale_counts_its_cuts() -> None:
    found = loss_scale_of(_curve(np.array([65536, 32768, 32768, 65536, 16384, math.nan, 8192.0])))
    assert found is not None
    assert (found.start, found.end, found.cuts, found.first_cut) == (65536.0, 8192.0, 3, 1.0)
    assert loss_scale_of(_curve(np.array([math.nan]))) is None


def test_zeros_beside_a_nan_norm_are_hidden_nan() -> None:
    loss, norm = falling(100, 3.0, 1.0), np.ones(100)
    loss[70:], norm[70:] = 0.0, math.nan
    found = masked_nan_of(_curve(loss), _curve(norm, "grad_norm"))
    assert found is not None
    assert (found.count, found.with_nan_norm, found.since_step, found.lasting) == (30, 30, 70.0, True)
    assert found.before == loss[69]


def test_a_passing_hidden_nan_does_not_last() -> None:
    loss, norm = falling(100, 3.0, 1.0), np.ones(100)
    loss[40:43], norm[40:43] = 0.0, math.inf
    found = masked_nan_of(_curve(loss), _curve(norm, "grad_norm"))
    assert found is not None
    assert (found.count, found.since_step, found.lasting) == (3, 40.0, False)


def test_an_abrupt_zero_is_hidden_nan_and_a_gradual_one_is_not() -> None:
    abrupt, gradual = falling(60, 3.0, 1.0), np.maximum(np.linspace(3, -1, 60), 0.0)
    abrupt[50:] = 0.0
    found = masked_nan_of(_curve(abrupt), None)
    assert found is not None
    assert (found.count, found.with_nan_norm, found.since_step) == (10, 0, 50.0)
    assert masked_nan_of(_curve(gradual), None) is None
    assert masked_nan_of(_curve(falling(60, 3.0, 1.0)), None) is None


@pytest.mark.parametrize("tail", [1, 2])
def test_one_or_two_zeros_at_the_end_are_too_few(tail: int) -> None:
    loss = falling(60, 3.0, 1.0)
    loss[-tail:] = 0.0
    assert masked_nan_of(_curve(loss), None) is None


@pytest.mark.parametrize("points", [40, 150, 170, 200])
def test_swings_have_the_amplitude_that_was_planted(points: int) -> None:
    t = np.arange(points)
    shape = shape_of(_curve(1.0 + 0.4 * (-1.0) ** t + np.where(t < 10, 1.0, 0.0)))
    assert shape is not None
    found = oscillation_of(shape)
    assert found is not None
    assert found.turns == 1.0
    assert found.amplitude == pytest.approx(0.8, abs=0.05)
    assert found.of_level == pytest.approx(0.8 / shape.end, rel=0.1)


def test_independent_noise_turns_at_two_thirds() -> None:
    noise = np.random.default_rng(0).standard_normal(200)
    shape = shape_of(_curve(5 + 0.1 * noise))
    assert shape is not None
    found = oscillation_of(shape)
    assert found is not None
    assert found.turns == pytest.approx(2 / 3, abs=0.12)


def test_a_smooth_descent_does_not_swing() -> None:
    shape = shape_of(_curve(falling(200, 3.0, 0.5)))
    assert shape is not None
    found = oscillation_of(shape)
    assert found is not None
    assert found.turns == 0.0
    assert found.amplitude < 0.01


def test_few_points_have_no_swings_and_no_spikes() -> None:
    curve = _curve(falling(19, 3.0, 0.5))
    shape = shape_of(curve)
    assert shape is not None
    assert oscillation_of(shape) is None
    assert spikes_of(curve, shape.view, shape.start) == ()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at", [60, 120, 170])
def test_a_planted_spike_is_found_where_it_is(seed: int, at: int) -> None:
    value = falling(200, 3.0, 0.6) * np.exp(0.03 * np.random.default_rng(seed).standard_normal(200))
    value[at] += 5.0
    curve = _curve(value)
    shape = shape_of(curve)
    assert shape is not None
    (spike,) = spikes_of(curve, shape.view, shape.start)
    assert (spike.step, spike.height) == (at, value[at])
    assert spike.before == pytest.approx(0.6 + 2.4 * math.exp(-6 * at / 200), rel=0.15)
    assert spike.z > 8
    assert spike.recovered_step is not None
    assert spike.recovered_step <= at + 5


def test_a_spike_that_stays_says_what_was_lost() -> None:
    value = falling(200, 3.0, 0.6)
    value[140:] += 1.2
    value[140] += 8
    curve = _curve(value)
    shape = shape_of(curve)
    assert shape is not None
    found = spikes_of(curve, shape.view, shape.start)
    assert [spike.step for spike in found] == [140.0]
    assert found[0].recovered_step is None
    assert found[0].lost == pytest.approx(1.2 / 2.4, abs=0.1)


def test_a_spike_within_a_group_of_points_is_dated_by_its_highest() -> None:
    value = falling(1000, 3.0, 0.6)
    value[401:404] += (2.0, 6.0, 3.0)
    curve = _curve(value)
    shape = shape_of(curve)
    assert shape is not None
    assert shape.view.size == 5
    assert [spike.step for spike in spikes_of(curve, shape.view, shape.start)] == [402.0]


def test_a_spike_in_a_long_log_is_seen_through_its_group() -> None:
    log = make("long_log", 0, points=100_000)
    log.series["loss"][1][61_234] = 400.0
    loss = evidence_of(log).loss
    assert loss is not None
    (spike,) = loss.spikes
    assert spike.height == 400.0
    assert spike.step == pytest.approx(61_234, abs=500)


@pytest.mark.parametrize("name", ["exponential", "power_law", "flat", "step_decay", "late_drop", "long_log"])
def test_ordinary_noise_is_no_spike(name: str) -> None:
    for seed in range(8 if name != "long_log" else 1):
        loss = evidence_of(GENERATORS[name].make(seed)).loss
        assert loss is not None
        assert loss.spikes == ()
