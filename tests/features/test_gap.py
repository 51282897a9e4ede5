"""Training against validation, chance level, and where a power law heads: planted, then found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from curves import Log, every, evidence_of, falling, make

from convergence_cli.features.extrapolate import EXPONENTS, power_law_of
from convergence_cli.features.gap import Gap, gap_of
from convergence_cli.features.shape import Shape, shape_of
from convergence_cli.model import Curve


def _shape(value: np.ndarray, step: np.ndarray | None = None) -> Shape:
    step = np.arange(len(value), dtype=np.float64) if step is None else step
    found = shape_of(Curve("loss", step, np.asarray(value, dtype=np.float64)))
    assert found is not None
    return found


def _gap(name: str, seed: int = 0, **parameters: float) -> Gap:
    found = evidence_of(make(name, seed, **parameters)).gap
    assert found is not None
    return found


def test_the_best_and_the_rise_since_are_the_planted_ones() -> None:
    t = np.arange(41.0)
    val = 1.0 + 0.02 * np.abs(t - 15)
    found = gap_of(_shape(falling(41, 1.3, 0.1)), _shape(val))
    assert found.evals == 41
    assert found.best_step == pytest.approx(15, abs=1)
    assert found.evals_since == 40 - found.best_step
    assert found.best == pytest.approx(1.0, abs=0.03)
    assert found.end == pytest.approx(1.5, abs=0.05)
    assert found.rise_share == pytest.approx(0.5, abs=0.08)
    assert found.trend_z > 5
    assert found.above_share > 0.9
    assert found.train_fall is not None
    assert found.train_fall > 0.5
    assert found.gap_end == pytest.approx(1.5 - 0.1, abs=0.1)


def test_validation_that_ends_at_its_best_has_not_risen() -> None:
    found = _gap("both_fall")
    assert found.rise_share < 0.05
    assert found.above_share <= 0.5


def test_one_bad_evaluation_is_not_the_end_level() -> None:
    usual, odd = _gap("both_fall", points=40), _gap("one_bad_evaluation", height=20.0)
    assert odd.end == pytest.approx(usual.end, rel=0.1)
    assert odd.best_step == usual.best_step


def test_without_training_there_is_no_fall_and_no_gap() -> None:
    found = gap_of(None, _shape(falling(20, 2.0, 1.0)))
    assert (found.train_fall, found.gap_start, found.gap_end) == (None, None, None)


def test_training_that_ended_before_the_best_says_nothing_of_the_time_since() -> None:
    steps = np.arange(0, 2000, 50, dtype=np.float64)
    val = 1.0 + 0.001 * np.abs(steps - 1000)
    assert gap_of(_shape(falling(100, 2.0, 1.0)), _shape(val, steps)).train_fall is None


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_shares_do_not_change_with_the_unit(scale: float) -> None:
    log = make("rising_validation", 3)
    usual = evidence_of(log).gap
    scaled = evidence_of(log.map(lambda _, step, value: (step, value * scale))).gap
    assert usual is not None
    assert scaled is not None
    for key in ("rise_share", "rise_of_drop", "rise_z", "trend_z", "above_share", "train_fall"):
        assert getattr(scaled, key) == pytest.approx(getattr(usual, key)), key
    assert scaled.best_step == usual.best_step


@pytest.mark.parametrize("exponent", [EXPONENTS[6], EXPONENTS[12], EXPONENTS[16]])
@pytest.mark.parametrize("floor", [0.0, 2.0])
def test_a_planted_power_law_is_recovered(exponent: float, floor: float) -> None:
    t = np.arange(1.0, 181.0)
    shape = _shape(floor + 5.0 * t**-exponent, 100 * (t - 1))
    law = power_law_of(shape)
    assert law is not None
    assert law.exponent == pytest.approx(exponent)
    assert law.floor == pytest.approx(floor, abs=0.02)
    assert law.doubled == pytest.approx(floor + 5.0 * 360.0**-exponent, abs=0.02)
    now = floor + 5.0 * 180.0**-exponent
    assert law.gain_by_doubling == pytest.approx((now - law.doubled) / (shape.start - now), rel=0.05)


def test_a_noisy_power_law_is_extrapolated_within_its_noise() -> None:
    for seed in range(5):
        law = evidence_of(make("power_law", seed, points=1000, noise=0.03)).power_law
        assert law is not None
        assert law.doubled == pytest.approx(2.0 + 8.8 * 2000**-0.4, rel=0.05)


def test_no_positive_loss_is_promised_below_zero() -> None:
    law = power_law_of(_shape(np.linspace(1.0, 0.05, 100)))
    assert law is not None
    assert law.doubled >= 0


def test_a_rising_or_a_short_curve_has_no_power_law() -> None:
    assert power_law_of(_shape(np.linspace(1, 2, 50))) is None
    assert power_law_of(_shape(falling(7, 2.0, 1.0))) is None


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_a_loss_on_ln_of_the_classes_is_at_chance(classes: int) -> None:
    chance = evidence_of(make("at_chance", 0, classes=classes, start=0.1)).chance
    assert chance is not None
    assert chance.at_chance
    assert (chance.classes, chance.known) == (classes, True)
    assert chance.level == pytest.approx(math.log(classes))


def test_chance_is_recognised_without_a_stated_number_of_classes() -> None:
    log = make("at_chance", 1, classes=1000, start=0.05)
    chance = evidence_of(Log(log.series)).chance
    assert chance is not None
    assert (chance.at_chance, chance.classes, chance.known) == (True, 1000, False)


@pytest.mark.parametrize("name", ["exponential", "power_law", "tiny_loss", "negative_loss", "rising"])
def test_a_loss_elsewhere_is_not_at_chance(name: str) -> None:
    chance = evidence_of(make(name, 0)).chance
    assert chance is not None
    assert not chance.at_chance


def test_a_loss_that_passes_through_chance_level_is_not_at_chance() -> None:
    # Falls through ln(10) = 2.303 on its way from 4 to 1.
    log = make("exponential", 0, start=4.0, floor=1.0)
    chance = evidence_of(Log(log.series, {"num_classes": 10})).chance
    assert chance is not None
    assert not chance.at_chance


@pytest.mark.parametrize(("scale", "solved"), [(1.0, True), (100.0, True), (0.6, False), (60.0, False)])
def test_an_accuracy_that_is_high_all_along_is_a_solved_task(scale: float, solved: bool) -> None:
    log = make("fine_tuning", 0)
    step, accuracy = log.series["train_accuracy"]
    chance = evidence_of(Log({**log.series, "train_accuracy": (step, scale * accuracy)})).chance
    assert chance is not None
    assert chance.accuracy_solved is solved


def test_validation_is_judged_where_training_has_too_few_points() -> None:
    log = Log(
        {"train_loss": (every(2, 100), np.array([2.0, 1.0])), "val_loss": (every(40, 100), falling(40, 2.0, 0.5))}
    )
    loss = evidence_of(log).loss
    assert loss is not None
    assert loss.name == "val_loss"
