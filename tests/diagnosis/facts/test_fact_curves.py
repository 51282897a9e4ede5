"""Facts of curves: planted answers, the same in any unit and at any steps, sound whatever was logged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from curves import GENERATORS, Log, evidence_of, falling, make
from fact_runs import Array, curve, emitted, expect_sound, generated, hostile, run_with

from convergence_cli.diagnosis import facts_and_opinions
from convergence_cli.diagnosis.facts import LARGEST
from convergence_cli.diagnosis.facts.curves import WINDOW, curve_facts

# What is told in the unit of the loss, on purpose: a first loss of 500 is odd for most losses there are.
IN_THE_UNIT = {"first_large", "first_small"}
OTHER_ROLES = ("val_loss", "grad_norm", "train_accuracy", "val_accuracy", "loss_scale")
PLAIN = ("exponential", "power_law", "recovered_spike", "rising", "explosion_at_end", "flat", "nan_tail", "inf_tail",
         "spikes_over_flat", "rising_validation", "both_fall", "swinging", "negative_loss", "late_drop")  # fmt: skip


def _facts(value: Array, step: Array | None = None) -> dict[str, float]:
    return curve_facts(run_with(curve("train_loss", np.asarray(value, dtype=np.float64), step)))


def _norm(value: Array, step: Array | None = None) -> dict[str, float]:
    return curve_facts(run_with(curve("train_loss", falling(len(value), 2, 1)), curve("grad_norm", value, step)))


def _noise(points: int, size: float = 1.0, seed: int = 0) -> Array:
    return size * np.random.default_rng(seed).standard_normal(points)


# The unit, the steps, and what nobody should log -------------------------------------------------------------


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("scale", [2.0**-20, 2.0**15])
def test_the_unit_of_the_loss_matters_only_where_it_is_meant_to(name: str, scale: float) -> None:
    log = make(name, 2)
    usual = curve_facts(evidence_of(log))
    scaled = curve_facts(evidence_of(log.map(lambda _, step, value: (step, scale * value))))
    assert usual.keys() == scaled.keys()
    for key in usual.keys() - IN_THE_UNIT:
        assert scaled[key] == pytest.approx(usual[key], abs=1e-6), key
    assert scaled["first_large"] + scaled["first_small"] > 0


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("factor", "shift"), [(1.0, 5000.0), (64.0, 0.0), (0.5, 128.0)])
def test_shifted_and_stretched_steps_tell_the_same(name: str, factor: float, shift: float) -> None:
    log = make(name, 1)
    usual = curve_facts(evidence_of(log))
    moved = curve_facts(evidence_of(log.map(lambda _, step, value: (factor * step + shift, value))))
    assert moved == pytest.approx(usual, abs=1e-9)


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in hostile()])
def test_no_curve_gives_an_unsound_fact(value: Array) -> None:
    n = len(value)
    place = np.arange(n, dtype=np.float64)
    steps: list[Array] = [place, np.zeros(n), place[::-1], np.minimum(place, 1)]
    for step in steps:
        for role in ("train_loss", "val_loss"):
            expect_sound(curve_facts(run_with(curve(role, value, step))), role)
        for role in OTHER_ROLES:
            beside = curve("train_loss", falling(50, 2, 1))
            evidence = run_with(beside, curve(role, value, step), config={"num_classes": 10})
            expect_sound(curve_facts(evidence), role)
    expect_sound(curve_facts(run_with(*(curve(role, value) for role in ("train_loss", *OTHER_ROLES)))))


def test_the_largest_floats_give_sound_facts_as_the_pipeline_asks_for_them() -> None:
    with np.errstate(all="ignore"):
        for name, value in hostile(1e308):
            for role in ("val_loss", "grad_norm"):
                evidence = run_with(curve("train_loss", value), curve(role, value))
                facts, _ = facts_and_opinions((), evidence)
                assert all(0 < abs(one) <= LARGEST for one in facts.values()), name


def test_generated_runs_give_sound_facts() -> None:
    for name, evidence in generated().items():
        expect_sound(curve_facts(evidence), name)
    assert {"break_size", "spike_height", "outlier_size", "broke", "softmax_floor", "norm_slope"} <= set(emitted())


def test_a_curve_kept_as_buckets_gives_sound_facts() -> None:
    for name in ("exponential", "nan_tail"):
        log = make(name, 0, points=70_000)
        evidence = evidence_of(Log({**log.series, "grad_norm": log.series["loss"]}))
        loss = evidence.loss
        assert loss is not None
        assert loss.logged.buckets is not None
        expect_sound(curve_facts(evidence), name)


def test_without_curves_there_are_no_facts() -> None:
    assert curve_facts(run_with()) == {}


# One loss ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "large", "small"), [(1000.0, 2.0, 0.0), (1.0, 0.0, 0.0), (0.003, 0.0, 2.0)])
def test_the_first_loss_is_told_in_its_own_unit(first: float, large: float, small: float) -> None:
    found = _facts(falling(60, first, first / 2))
    assert (found["first_large"], found["first_small"]) == pytest.approx((large, small))


@pytest.mark.parametrize(("start", "end"), [(2.0, 0.5), (0.5, 2.0)])
def test_the_fall_of_a_loss_is_that_of_its_negative_upside_down(start: float, end: float) -> None:
    fall = _facts(np.linspace(start, end, 60))["log_fall"]
    assert fall == pytest.approx(math.log(start / end) / 3, abs=0.05)
    # From -0.5 to -2 a loss falls just as from 2 to 0.5.
    assert _facts(-np.linspace(end, start, 60))["log_fall"] == pytest.approx(fall, abs=0.05)


def test_a_loss_through_zero_falls() -> None:
    assert _facts(np.linspace(0.5, -4, 60))["log_fall"] > 0
    assert _facts(np.linspace(-4, 0.5, 60))["log_fall"] < 0


@pytest.mark.parametrize("rate", [1.0, 3.0, 10.0, 40.0])
def test_a_fast_fall_is_over_early(rate: float) -> None:
    value = falling(100, 3.0, 0.5, rate)
    # The naive way, without smoothing.
    aim = value[0] - 0.9 * (value[0] - value.min())
    place = next(i for i, one in enumerate(value) if one <= aim) / 100
    found = _facts(value)
    assert found["fast_fall"] == pytest.approx(place, abs=0.03)
    half = (value[0] - value[50]) / (value[0] - value[-1])
    assert found["half_time"] == pytest.approx(half, abs=0.08)


def test_the_late_slope_is_a_share_of_the_fall() -> None:
    assert _facts(np.linspace(2, 1, 200))["late_slope"] == pytest.approx(0.2, abs=0.02)
    assert _facts(falling(200, 2, 1, 40.0))["late_slope"] == pytest.approx(0.0, abs=0.01)
    assert _facts(np.concatenate([falling(150, 3, 1), np.linspace(1, 2, 50)]))["late_slope"] < -0.3


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("factor", [1.5, 4.0, 1e4])
def test_a_planted_step_up_is_found(at: float, factor: float) -> None:
    value = 2.0 * np.exp(_noise(200, 0.01))
    value[int(200 * at) :] *= factor
    found = _facts(value)
    assert found["break_size"] == pytest.approx(min(math.log(factor), 6.0) / 2, abs=0.03)
    assert found["break_place"] == pytest.approx(at * min(math.log(factor), 1.0), abs=0.03)
    assert found["break_kept"] == pytest.approx(min(math.log(factor), 1.0), abs=0.05)
    assert found["break_sharp"] > 0.5
    assert found["break_early"] == 0


def test_a_step_that_is_made_up_for_is_not_kept() -> None:
    value = 2.0 * np.exp(_noise(200, 0.01))
    value[60:120] *= 4
    assert _facts(value)["break_kept"] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("value", [falling(200, 3, 1), falling(200, -1, -50), falling(200, 0.5, -4), np.full(200, 2.0)])
def test_a_fall_is_no_step_up(value: Array) -> None:
    assert not [name for name in _facts(value) if name.startswith("break")]


@pytest.mark.parametrize(
    ("places", "once", "few"), [((100,), 1, 0), ((60, 100, 160), 0, 1), ((40, 70, 100, 130, 160, 190), 0, 0)]
)
def test_outliers_are_counted_by_place(places: tuple[int, ...], once: float, few: float) -> None:
    value = 2.0 + _noise(250, 0.05)
    for place in places:
        value[place : place + 2] += 3.0
    found = _facts(value)
    assert (found["outliers_once"], found["outliers_few"]) == (once, few)
    assert found["outliers_often"] == pytest.approx(math.log1p(len(places)) / 3)
    assert found["outliers_wide"] == pytest.approx(math.log10(2))
    assert found["outlier_size"] == pytest.approx(math.log10(3.0 / 0.05 / 8), abs=0.15)


def test_noise_without_outliers_has_none() -> None:
    assert not [name for name in _facts(2 + _noise(400, 0.1)) if name.startswith("outlier")]


@pytest.mark.parametrize("memory", [-0.7, 0.0, 0.7])
def test_how_long_swings_last_is_the_correlation_of_neighbours(memory: float) -> None:
    value, drawn = np.zeros(2000), _noise(2000, 0.1)
    for i in range(1, 2000):
        value[i] = memory * value[i - 1] + drawn[i]
    # The running median takes a little of the swings away.
    assert _facts(5 + value)["swings_last"] == pytest.approx(memory, abs=0.15)


@pytest.mark.parametrize("points", [5, 2 * WINDOW, 300])
def test_a_loss_that_never_moves_is_constant(points: int) -> None:
    assert _facts(np.full(points, 2.3))["exactly_constant"] == 1
    assert _facts(2.3 + _noise(points, 0.1)).get("exactly_constant", 0.0) == 0


def test_the_highest_spike_is_placed() -> None:
    value = 2.0 + _noise(150, 0.02)
    value[120] += 20.0
    found = _facts(value)
    assert (found["spike_alone"], found["spike_two"]) == (1, 0)
    assert found["spike_place"] == pytest.approx(120 / 149)
    assert found["spike_height"] == pytest.approx(1.0, abs=0.05)
    assert found["spike_left"] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_levels_beside_chance(classes: int) -> None:
    level = math.log(classes)
    flat = level * (1 + _noise(100, 0.001))
    found = curve_facts(run_with(curve("train_loss", flat), config={"num_classes": classes}))
    assert found["chance_known"] == 1
    assert found["end_near_chance"] > 0.95
    assert found["end_of_chance"] == pytest.approx(0.0, abs=0.001)
    assert found["first_above_chance"] == found["first_below_chance"] == found["end_above_chance"] == 0


# Not finite -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [math.nan, math.inf])
@pytest.mark.parametrize("at", [20, 70])
def test_a_loss_that_breaks_is_placed(at: int, odd: float) -> None:
    value = falling(100, 2, 1)
    value[at:] = odd
    found = _facts(value)
    assert (found["broke"], found["broke_for_good"], found["broke_at_once"]) == (1, 1, 0)
    assert found["broke_place"] == pytest.approx(at / 99)
    assert (found["risen_before_it_broke"], found["broke_out_of_the_blue"]) == (0, 1)


def test_a_loss_that_rises_before_it_breaks_does_not_break_out_of_the_blue() -> None:
    value = falling(100, 2, 1)
    value[67:70] = 10.0, 100.0, 1000.0
    value[70:] = math.nan
    found = _facts(value)
    assert found["risen_before_it_broke"] == pytest.approx(math.log10(1000 / 1.5 / value[:35].mean()), abs=0.1)
    assert found["broke_out_of_the_blue"] == 0


def test_a_loss_that_recovers_does_not_break_for_good() -> None:
    value = falling(100, 2, 1)
    value[40] = math.nan
    assert _facts(value)["broke_for_good"] == 0
    assert "broke" not in _facts(falling(100, 2, 1))


def test_a_loss_that_is_never_finite_breaks_at_once() -> None:
    found = _facts(np.full(50, math.nan))
    assert (found["broke"], found["broke_for_good"], found["broke_at_once"]) == (1, 1, 1)


# Validation, accuracy, gradient norm ------------------------------------------------------------------------


def _both(train: Array, val: Array) -> dict[str, float]:
    return curve_facts(run_with(curve("train_loss", train), curve("val_loss", val)))


def test_validation_beside_training() -> None:
    same = _both(falling(60, 2, 0.5), falling(60, 2, 0.5))
    assert (same["gap_end"], same["gap_start"], same["val_as_train"], same["val_rise"]) == (0, 0, 1, 0)
    value = np.concatenate([falling(20, 2, 1, 12.0), np.linspace(1, 2, 40)])
    risen = _both(falling(60, 2, 0.02), value)
    assert risen["val_best_early"] == pytest.approx(1 - int(np.argmin(value)) / 59)
    assert risen["val_rise"] == pytest.approx(math.log10(value[-4] / 1.02), abs=0.02)
    assert risen["gap_end"] > 0.9
    below = _both(falling(60, 2, 1.0), falling(60, 2, 0.5))
    assert below["val_below_train"] == pytest.approx(math.log10(2 / 1.05), abs=0.02)
    assert below["gap_end"] == pytest.approx(-0.5, abs=0.02)


@pytest.mark.parametrize("full", [1.0, 100.0])
def test_accuracy_in_percent_is_accuracy_as_a_share(full: float) -> None:
    value = full * np.linspace(0.3, 0.8, 100)
    parts = curve("train_loss", falling(100, 2, 1)), curve("train_accuracy", value), curve("val_accuracy", 0.75 * value)
    found = curve_facts(run_with(*parts))
    assert found["accuracy_end"] == pytest.approx(0.6, abs=0.02)
    assert found["accuracy_gain"] == pytest.approx(0.375, abs=0.02)
    assert found["accuracy_gap"] == pytest.approx(0.2)


def test_right_answers_at_a_high_price_and_wrong_ones() -> None:
    def beside(accuracy: float) -> dict[str, float]:
        curves = (
            curve("train_loss", math.log(10) * (1 + _noise(60, 0.001))),
            curve("val_accuracy", np.full(60, accuracy)),
        )
        return curve_facts(run_with(*curves, config={"num_classes": 10}))

    assert beside(0.9)["right_but_dear"] == pytest.approx(0.4 * math.log10(1 / 0.3), abs=0.01)
    assert beside(0.9)["accuracy_below_chance"] == 0
    assert beside(0.02)["accuracy_below_chance"] == pytest.approx(0.8)


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.5])
def test_the_slope_of_a_gradient_norm_is_its_exponent(power: float) -> None:
    t = np.arange(300.0)
    found = _norm(np.where(t > 0, np.maximum(t, 1) ** power, 1.0))
    assert found["norm_slope"] == pytest.approx(power, abs=0.01)
    assert math.copysign(1, found["norm_growth"]) == math.copysign(1, power) or not power
    assert found["norm_climbs"] == (pytest.approx(0.9, abs=0.01) if power > 0 else 0)


def test_levels_of_a_gradient_norm() -> None:
    small, large = _norm(np.full(60, 1e-4)), _norm(np.full(60, 1e4))
    assert (small["norm_small"], small["norm_large"]) == pytest.approx((3.0, 0.0))
    assert (large["norm_small"], large["norm_large"]) == pytest.approx((0.0, 3.0))
    value = np.ones(60)
    value[10:25], value[40], value[50:56] = 0.0, 1e4, math.nan
    found = _norm(value)
    assert found["norm_zero"] == pytest.approx(15 / 54)
    assert found["norm_broken"] == pytest.approx(0.1)
    assert found["norm_peak"] == pytest.approx(3.0)


def test_changes_of_a_gradient_norm_by_turns_have_no_memory() -> None:
    assert _norm(np.exp(_noise(500, 0.3)))["norm_remembers"] == pytest.approx(-0.5, abs=0.1)
    assert _norm(np.exp(np.cumsum(_noise(500, 0.05))))["norm_remembers"] == pytest.approx(0.0, abs=0.1)
    assert _norm(np.exp(np.sin(np.linspace(0, 20, 500))))["norm_remembers"] > 0.9


def test_every_generator_is_told_from_no_run_at_all() -> None:
    assert all(curve_facts(generated()[name]) for name in GENERATORS if name in PLAIN)
