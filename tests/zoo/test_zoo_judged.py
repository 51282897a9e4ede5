"""Faulty trainings beside their healthy twins, with real trainings."""

from __future__ import annotations

import math

import pytest
from zoo.building import build
from zoo.catalogue import FAULTS, Specimen
from zoo.judged import Twin, retrained, twin_plan

SHORT = 120


def test_as_good_is_within_a_twentieth_of_the_way() -> None:
    twin = Twin(2.0, 1.0)
    assert twin.is_healthy
    assert twin.is_matched_by(1.05)
    assert not twin.is_matched_by(1.06)
    assert not twin.is_matched_by(math.inf)
    assert not Twin(2.0, 1.9).is_healthy


@pytest.mark.parametrize("kind", FAULTS)
def test_the_twin_is_the_same_draw_without_the_fault(kind: str) -> None:
    specimen = Specimen(kind, 2, 0)
    twin, faulty = twin_plan(specimen), specimen.plan()
    assert (twin.architecture, twin.dataset, twin.seed) == (faulty.architecture, faulty.dataset, faulty.seed)
    assert not twin.after_building


def _mended(kind: str, change: dict[str, object]) -> tuple[float, float]:
    """The end of a short faulty training, and of the same with ``change``."""
    specimen = next(
        one
        for one in (Specimen(kind, number, 5) for number in range(3, 60, 4))
        if one.plan().architecture in ("mlp", "residual", "linear")
    )
    base = {"max_steps": SHORT, "batch_size": 32, "optimizer": "Adam"}
    usual = {} if "learning_rate" in change else {"learning_rate": 0.003} if kind != "learning-rate-too-high" else {}
    return tuple(retrained(specimen, {**base, **usual, **more}, 1.0, None)[1] for more in ({}, change))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("learning-rate-too-high", {"learning_rate": 0.003}),
        ("missing-zero-grad", {"zero_grad": True}),
        ("flipped-gradient", {"loss": "cross_entropy"}),
        ("frozen-parameters", {"trainable": "all"}),
        ("dying-relu", {"activation": "leaky_relu", "weight_init": "he", "bias_init": "zeros"}),
    ],
)
def test_the_right_change_trains_better(kind: str, change: dict[str, object]) -> None:
    without, mended = _mended(kind, change)
    assert mended < without


def test_a_training_that_is_left_as_it_is_is_the_faulty_one() -> None:
    specimen = Specimen("learning-rate-too-low", 1, 0)
    log, end = retrained(specimen, {"max_steps": 60}, 1.0, None)
    assert build(specimen.plan()).learning_rate == pytest.approx(log.config["learning_rate"])
    assert math.isfinite(end)
