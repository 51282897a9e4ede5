"""All facts of a run together: bounded whatever was logged or dumped, the same in any unit and at any steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from curves import GENERATORS, Log, evidence_of, falling, make
from fact_runs import Array, curve, dump_of, hostile, row, run_with
from test_fact_dumps import _drawn

from convergence_cli.diagnosis.facts import LARGEST, facts_of
from convergence_cli.diagnosis.facts.curves import curve_facts
from convergence_cli.diagnosis.facts.phrases import PHRASES, SAYS_NOTHING
from convergence_cli.diagnosis.facts.settings import leap_of
from convergence_cli.tensor_stats import TensorRow

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

# In the unit of the loss, since the natural logarithm of a number of classes is in nats and a usual loss is near 1.
IN_THE_UNIT = {"first_large", "first_small", "chance_known", "first_above_chance", "first_below_chance",
               "end_of_chance", "end_near_chance", "end_above_chance", "softmax_floor", "right_but_dear",
               "accuracy_below_chance"}  # fmt: skip
# One that needs knots, and one of 200 000 points.
QUICK = sorted(GENERATORS.keys() - {"drawn", "long_log"})
ROLES = ("train_loss", "val_loss", "grad_norm", "learning_rate", "train_accuracy", "val_accuracy", "loss_scale")
ODD_TENSORS: dict[str, Array] = {
    "zero": np.zeros((8, 8)),
    "nan": np.full((8, 8), math.nan),
    "inf": np.full((8, 8), math.inf),
    "one value": np.full((1, 1), 3.0),
    "no value": np.zeros((0, 8)),
    "huge": np.full((8, 8), 1e150),
    "tiny": np.full((8, 8), 1e-300),
}


def _odd_row(kind: str, name: str, values: Array, step: float, order: int, known: bool) -> TensorRow:
    if not values.size:
        return TensorRow(step, kind, name, "fc", order, shape=values.shape if known else None, count=0.0)
    found = row(kind, name, values, step, order)
    return found if known else replace(found, shape=None)


def _expect_bounded(evidence: Evidence, why: object = "") -> None:
    """Called where a numpy warning is an error."""
    for name, value in facts_of(evidence, (), {}).items():
        assert math.isfinite(value), (why, name, value)
        assert 0 < abs(value) <= LARGEST == 6, (why, name, value)
        assert name in PHRASES or name in SAYS_NOTHING, (why, name)


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in hostile(1e300)])
@pytest.mark.parametrize("role", ROLES)
def test_facts_of_a_hostile_curve_are_bounded(role: str, value: Array) -> None:
    beside = () if role == "train_loss" else (curve("train_loss", falling(60, 2, 1)),)
    config = {"num_classes": 10, "optimizer": "adam", "batch_size": 1}
    # Features overflow beyond 1e154 and are computed as the pipeline does it; the facts themselves must not warn.
    with np.errstate(all="ignore"):
        evidence = run_with(*beside, curve(role, value), config=config)
        facts_of(evidence, (), {})
    _expect_bounded(evidence)


@pytest.mark.parametrize("part", range(6))
def test_facts_of_a_hostile_dump_are_bounded(part: int) -> None:
    loss = curve("train_loss", falling(50, 2, 1))
    for seed in range(1000 + 20 * part, 1020 + 20 * part):
        _expect_bounded(run_with(*((loss,) if seed % 3 else ()), dump=_drawn(seed), config={"num_classes": 10}), seed)


@pytest.mark.parametrize("odd", ODD_TENSORS)
@pytest.mark.parametrize("known", [True, False])
def test_facts_of_one_odd_kind_beside_sound_ones_are_bounded(odd: str, known: bool) -> None:
    sound = np.random.default_rng(0).standard_normal((8, 8))
    kinds = ("weight", "gradient", "update", "activation", "input", "output", "label")
    for which in (*kinds, "all"):
        rows = [
            _odd_row(
                kind, f"fc{i}.weight", ODD_TENSORS[odd] if which in (kind, "all") else sound, 10.0 * step, i, known
            )
            for step in range(4)
            for kind in kinds
            for i in range(3)
        ]
        _expect_bounded(run_with(curve("train_loss", falling(50, 2, 1)), dump=dump_of(*rows)), which)


@pytest.mark.parametrize("name", QUICK)
def test_a_loss_in_another_unit_changes_only_what_is_in_its_unit(name: str) -> None:
    for seed in (0, 1):
        log = make(name, seed)
        usual = curve_facts(evidence_of(log))
        scaled = curve_facts(evidence_of(log.map(lambda key, step, y: (step, 7.3 * y if "loss" in key else y))))
        for key in (usual.keys() | scaled.keys()) - IN_THE_UNIT:
            assert scaled[key] == pytest.approx(usual[key], abs=1e-6), key


def test_what_lies_beside_chance_level_is_in_the_unit_of_the_loss() -> None:
    log = make("at_chance", 0, points=60)
    usual = curve_facts(evidence_of(log))
    scaled = curve_facts(evidence_of(log.map(lambda _, step, y: (step, 7.3 * y))))
    assert usual["end_near_chance"] > 0.9
    assert not scaled.get("end_near_chance")
    assert scaled["first_large"] == pytest.approx(math.log10(7.3 * log.series["loss"][1][0] / 10))


@pytest.mark.parametrize("name", QUICK)
def test_a_log_that_starts_later_tells_the_same(name: str) -> None:
    log = make(name, 0)
    moved: Log = log.map(lambda _, step, value: (step + 1000, value))
    assert curve_facts(evidence_of(moved)) == pytest.approx(curve_facts(evidence_of(log)), abs=1e-9)


@pytest.mark.parametrize("period", [20.0, 40.0])
def test_swings_last_for_a_slow_oscillation_and_not_for_noise(period: float) -> None:
    t, noise = np.arange(400.0), np.random.default_rng(0).standard_normal(400)
    slow = curve_facts(run_with(curve("train_loss", 2 + 0.3 * np.sin(2 * math.pi * t / period) + 0.01 * noise)))
    quick = curve_facts(run_with(curve("train_loss", 2 + 0.05 * noise)))
    assert slow["swings_last"] > 0.7
    assert quick["swings_last"] == pytest.approx(0.0, abs=0.12)


# Numbers that only a planted answer pins ---------------------------------------------------------------------


def _noise(points: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(points)


def test_outliers_at_two_places_are_few_and_not_once() -> None:
    value = 2.0 + 0.05 * _noise(250, 0)
    value[[80, 160]] += 3.0
    found = curve_facts(run_with(curve("train_loss", value)))
    assert (found["outliers_once"], found["outliers_few"]) == (0, 1)


@pytest.mark.parametrize(("size", "fall"), [(0.01, 1.0), (0.1, 1.0), (0.1, 10.0)])
def test_noise_is_told_beside_the_fall_and_not_beside_the_level(size: float, fall: float) -> None:
    value = 20.0 + falling(150, fall, 0.0) + size * _noise(150, 1)
    found = curve_facts(run_with(curve("train_loss", value)))
    assert found["noise_of_drop"] == pytest.approx(math.log10(size / fall / 0.1), abs=0.15)


@pytest.mark.parametrize("size", [0.003, 0.3])
def test_the_jitter_is_that_of_validation(size: float) -> None:
    val = 2.0 + size * _noise(150, 2)
    found = curve_facts(run_with(curve("train_loss", 2.0 + 0.03 * _noise(150, 3)), curve("val_loss", val)))
    assert found["val_jitter"] == pytest.approx(math.log10(size / 2.0 / 0.03), abs=0.15)


@pytest.mark.parametrize("off", [0.0, 0.004, 0.008])
def test_nearness_to_chance_is_a_share_of_its_level(off: float) -> None:
    value = np.full(100, math.log(10) * (1 + off)) + 1e-5 * _noise(100, 4)
    found = curve_facts(run_with(curve("train_loss", value), config={"num_classes": 10}))
    assert found["end_near_chance"] == pytest.approx(1 - 10 * off, abs=0.001)


def test_a_rate_that_climbs_by_stairs_of_two_points_has_not_held_its_level() -> None:
    assert leap_of(np.repeat(np.geomspace(1e-5, 1e-1, 5), 2)) == (0.0, 0)
    assert leap_of(np.repeat(np.geomspace(1e-5, 1e-1, 5), 3))[0] == pytest.approx(1.0)
