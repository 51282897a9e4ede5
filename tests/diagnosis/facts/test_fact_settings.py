"""Facts of settings: how far a rate is from the usual one, what its schedule did, and settings that are none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from curves import falling
from fact_runs import Array, curve, emitted, expect_sound, generated, hostile, run_with
from hypothesis import given
from hypothesis import strategies as st

from convergence_cli.diagnosis.facts.settings import (
    HELD,
    LEAP,
    STRONG_DECAY,
    USUAL_RATES,
    leap_of,
    setting_facts,
    usual_rate,
)

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

ODD: tuple[Any, ...] = (None, 0, -1, 1, 0.5, math.nan, math.inf, 1e300, 10**400, 1e-320, True, "abc", "0.1", [], {})
KEYS = ("learning_rate", "batch_size", "max_steps", "weight_decay", "dropout", "momentum", "optimizer", "x")


def _evidence(rate: Array | None = None, points: int = 60, step: Array | None = None, **config: Any) -> Evidence:
    curves = [curve("train_loss", falling(points, 2, 1), step)]
    if rate is not None:
        curves.append(curve("learning_rate", rate))
    return run_with(*curves, config=config)


def _facts(rate: Array | None = None, **config: Any) -> dict[str, float]:
    return setting_facts(_evidence(rate, **config))


# The rate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", USUAL_RATES)
@pytest.mark.parametrize("decades", [-3.0, -1.0, 0.0, 0.5, 2.0])
def test_a_rate_beside_the_usual_one_of_its_optimizer(optimizer: str, decades: float) -> None:
    found = _facts(optimizer=optimizer, learning_rate=USUAL_RATES[optimizer] * 10**decades)
    assert found["rate_high"] == pytest.approx(max(decades, 0.0), abs=1e-9)
    assert found["rate_low"] == pytest.approx(max(-decades, 0.0), abs=1e-9)
    assert found["rate_usual"] == pytest.approx(max(1 - abs(decades), 0.0), abs=1e-9)
    assert found["rate_high_for_batch"] == pytest.approx(max(decades - math.log10(3), 0.0), abs=1e-9)
    assert found["rate_low_for_batch"] == pytest.approx(max(-decades - math.log10(5), 0.0), abs=1e-9)


def test_a_small_batch_wants_a_smaller_rate_and_a_large_one_no_larger_one() -> None:
    high = [
        _facts(optimizer="sgd", learning_rate=0.5, batch_size=size)["rate_high_for_batch"] for size in (1, 8, 32, 512)
    ]
    assert high[0] > high[1] > high[2] == high[3]
    assert high[0] - high[2] == pytest.approx(0.6 * math.log10(32))


def test_momentum_has_a_usual_rate_of_its_own() -> None:
    plain, heavy = (usual_rate(_evidence(optimizer="SGD", momentum=m)) for m in (None, 0.9))
    assert plain == 0.1
    assert heavy is not None
    assert heavy < plain
    assert usual_rate(_evidence(optimizer="unheard-of")) is None


def test_the_logged_rate_counts_before_the_configured_one() -> None:
    assert _facts(np.full(60, 0.1), optimizer="adam", learning_rate=1e-3)["rate_high"] == pytest.approx(2.0)


def test_without_a_rate_or_an_optimizer_nothing_is_said_of_the_rate() -> None:
    for config in ({"learning_rate": 0.1}, {"optimizer": "adam"}):
        assert not [name for name in _facts(**config) if name.startswith("rate")]


# The schedule -----------------------------------------------------------------------------------------------


def _naive_dead(rate: Array) -> float:
    """The share of the points after the last one above a hundredth of the peak."""
    dead = 0
    for value in rate[::-1]:
        if value > 0.01 * rate.max():
            break
        dead += 1
    return dead / len(rate) if 0.1 < dead / len(rate) < 1 else 0.0


@given(st.lists(st.sampled_from([0.0, 1e-4, 5e-4, 0.01, 0.1]), min_size=4, max_size=40).filter(any))
def test_a_dead_schedule_is_what_a_loop_finds(values: list[float]) -> None:
    rate = np.array(values)
    assert _facts(rate)["schedule_dead"] == pytest.approx(_naive_dead(rate))


def _naive_leap(rate: Array) -> tuple[float, int]:
    best = (0.0, 0)
    for i in range(1 + HELD, len(rate)):
        top = max(rate[:i])
        if top > 0 and rate[i] > 0 and rate[i - 1] <= 1.001 * rate[i - 1 - HELD]:
            size = math.log10(rate[i] / top)
            if size > max(best[0], LEAP):
                best = (size, i)
    return best


@given(st.lists(st.sampled_from([0.0, 1e-5, 1e-3, 0.02, 0.1, 1.0]), min_size=4, max_size=30))
def test_a_leap_is_what_a_loop_finds(values: list[float]) -> None:
    rate = np.array(values)
    size, at = leap_of(rate)
    wanted, place = _naive_leap(rate)
    assert size == pytest.approx(wanted, abs=1e-9)
    # Of leaps of one size rounding may take either.
    assert bool(at) == bool(place)


@pytest.mark.parametrize(
    "rate",
    [
        np.linspace(1e-6, 0.1, 60),
        np.geomspace(1e-6, 0.1, 60),
        np.concatenate([np.zeros(10), np.linspace(0, 0.1, 50)]),
        np.full(60, 0.1),
        np.linspace(0.1, 0.0, 60),
        0.05 * (1 + np.cos(np.linspace(0, 12, 60))),
    ],
)
def test_warm_up_decay_and_restarts_are_no_leap(rate: Array) -> None:
    found = _facts(rate)
    assert (found["schedule_leap"], found["schedule_leap_late"]) == (0, 0)


@pytest.mark.parametrize(("factor", "at"), [(10.0, 20), (100.0, 45)])
def test_a_planted_leap_is_measured_and_placed(factor: float, at: int) -> None:
    rate = np.full(60, 1e-3)
    rate[at:] *= factor
    found = _facts(rate)
    assert found["schedule_leap"] == pytest.approx(math.log10(factor))
    assert found["schedule_leap_late"] == pytest.approx(at / 60)


def test_the_kinds_of_schedule() -> None:
    level, cosine = _facts(np.full(60, 0.1)), _facts(0.05 * (1 + np.cos(np.linspace(0, math.pi, 60))))
    warmed = _facts(np.concatenate([np.linspace(0.001, 0.1, 10), np.full(50, 0.1)]))
    assert (level["schedule_constant"], level["schedule_decayed"], level["schedule_warmed"]) == (1, 0, 0)
    assert cosine["schedule_constant"] == 0
    assert cosine["schedule_decayed"] > 1
    assert (warmed["schedule_warmed"], warmed["schedule_decayed"]) == (1, 0)


@pytest.mark.parametrize("unit", [2.0**-10, 2.0**10])
def test_the_shape_of_a_schedule_has_no_unit(unit: float) -> None:
    rate = np.concatenate([np.geomspace(1e-4, 0.1, 10), np.full(20, 0.1), np.full(20, 0.7), np.full(10, 1e-5)])
    changed, plain = (
        {name: value for name, value in _facts(one).items() if name.startswith("schedule_")}
        for one in (unit * rate, rate)
    )
    assert changed == pytest.approx(plain)


def test_of_an_unknown_optimizer_only_a_rate_beyond_all_of_them_tells_anything() -> None:
    assert _facts(learning_rate=30.0)["rate_high"] == pytest.approx(2.0)
    assert not any(name.startswith("rate_") for name in _facts(learning_rate=0.1))


# Batch, length, regularisation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "small", "large"), [(1, 1.0, 0.0), (8, 0.4, 0.0), (32, 0.0, 0.0), (256, 0.0, 0.0), (2560, 0.0, 1.0)]
)
def test_the_size_of_the_batch(size: int, small: float, large: float) -> None:
    found = _facts(batch_size=size)
    assert (found["batch_small"], found["batch_large"]) == pytest.approx((small, large))
    assert found["batch_one"] == (size == 1)


def test_few_steps_are_steps_and_not_epochs_or_rows() -> None:
    assert _facts(x="step")["steps_few"] == pytest.approx(math.log10(300 / 59))
    assert _facts(x="step")["steps_very_few"] == pytest.approx(math.log10(100 / 59))
    for axis in ("epoch", "row"):
        assert (_facts(x=axis)["steps_few"], _facts(x=axis)["steps_very_few"]) == (0, 0)
    assert _facts(x="epoch", max_steps=30)["steps_few"] == pytest.approx(1.0)


@pytest.mark.parametrize(("steps_an_epoch", "single"), [(1.0, 1.0), (20.0, 0.0)])
def test_one_step_a_pass_is_told_by_steps_alone(steps_an_epoch: float, single: float) -> None:
    step = np.arange(1, 101.0)
    loss = curve("train_loss", falling(100, 2, 1), step, epoch=step / steps_an_epoch)
    for axis, wanted in (("step", single), ("epoch", 0.0)):
        found = setting_facts(run_with(loss, config={"x": axis}))
        assert found["one_step_a_pass"] == wanted
        assert found["passes"] == pytest.approx(math.log10(10 / steps_an_epoch))


def test_what_regularises() -> None:
    mild, strong = (
        _facts(weight_decay=1e-4, dropout=0.1, optimizer="sgd"),
        _facts(weight_decay=1.0, dropout=0.8, optimizer="sgd"),
    )
    assert (mild["decay_strong"], mild["dropout_strong"], mild["adaptive"]) == (0, 0, 0)
    assert strong["decay_strong"] == pytest.approx(math.log10(1 / STRONG_DECAY["sgd"]))
    assert strong["dropout_strong"] == pytest.approx(0.5)
    assert _facts(optimizer="Adam")["adaptive"] == 1


# What nobody should set -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ODD)
def test_odd_settings_give_sound_facts(key: str, value: object) -> None:
    for optimizer in ("sgd", "AdamW", None):
        config: dict[str, Any] = {"optimizer": optimizer, "learning_rate": 0.1, "momentum": 0.9, key: value}
        expect_sound(_facts(**config), (key, value))


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in hostile()])
def test_no_rate_and_no_loss_give_an_unsound_fact(value: Array) -> None:
    expect_sound(_facts(value, optimizer="adam"))
    expect_sound(setting_facts(run_with(curve("train_loss", value, epoch=value))))
    expect_sound(setting_facts(run_with(curve("train_loss", falling(len(value), 2, 1), epoch=np.abs(value)))))


def test_generated_runs_give_sound_facts() -> None:
    for name, evidence in generated().items():
        expect_sound(setting_facts(evidence), name)
    assert {"schedule_dead", "schedule_leap", "rate_low"} <= {name for name, (_, high) in emitted().items() if high > 0}


def test_the_schedule_facts_are_those_of_a_run_that_logs_one() -> None:
    assert not [name for name in _facts() if name.startswith("schedule")]
