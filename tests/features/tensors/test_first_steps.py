"""Weights dumped before training, and all else from step 1 on: as the recorder does it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.features.sagemaker.tensors import UpdateRatios
from convergence_cli.features.sagemaker.tensors import updates_of as sagemaker_updates
from convergence_cli.features.tensors.activations import BoundedActivations
from convergence_cli.features.tensors.depth import FirstActivations
from convergence_cli.features.tensors.initialization import Initialization
from convergence_cli.features.tensors.updates import Updates
from convergence_cli.features.tensors.weights import Weights
from convergence_cli.features.tensors.writer import Writer
from convergence_cli.model import Missing, Run
from convergence_cli.tensor_stats import TensorRow, stats_of

COUNTS: dict[str, Any] = {"count": 64.0, "nan": 0.0, "inf": 0.0, "zero": 0.0}
SHAPE = (8, 8)


def _weights(name: str, order: int, steps: tuple[float, ...], *, still: bool = False) -> list[TensorRow]:
    """No step lies between the weights of the first and of the second dump."""
    rows = []
    for place, step in enumerate(steps):
        changed = math.nan if not place else 0.0 if place == 1 or still else 1.0
        between = math.nan if not place else step - steps[place - 1] - (place == 1)
        change = math.nan if not place else 0.0 if place == 1 or still else 0.34
        moments = {"mean": 0.0, "std": 0.3, "min": -1.0, "max": 1.0, "l2": 2.4 + (0 if still else max(place - 1, 0))}
        rows.append(
            TensorRow(
                *(step, "weight", f"{name}.weight", name, order),
                shape=SHAPE,
                time=100.0 + step,
                change=change,
                changed=changed,
                change_steps=between,
                **COUNTS | moments,
            )
        )
    return rows


def _others(kind: str, steps: tuple[float, ...], **numbers: Any) -> list[TensorRow]:
    names = ("a", "b", "c")
    leaf = "" if kind == "activation" else ".weight"
    moments = {"mean": 0.0, "std": 1.0, "min": -1.0, "max": 1.0, "l2": 0.024, "units": 8.0, "samples": 32.0}
    return [
        TensorRow(
            *(step, kind, f"act{place}" if kind == "activation" else f"{name}{leaf}", name, 10 + place),
            shape=SHAPE,
            time=100.0 + step,
            **COUNTS | moments | numbers,
        )
        for step in steps
        for place, name in enumerate(names)
    ]


def _evidence(*steps: float, still: str = "") -> Evidence:
    rows = [row for place, name in enumerate("abc") for row in _weights(name, place, steps, still=name == still)]
    rows += _others("gradient", steps[1:]) + _others("update", steps[1:])
    rows += _others("activation", steps[1:], function="tanh", saturated=0.0) + _others("activation", ())
    rows.append(TensorRow(steps[1], "output", "out", "out", 99, units=3.0, **COUNTS))
    return Evidence(Run("r", "r", "recorder", (), {}, tensors=stats_of(rows)))


def test_first_activations_are_those_of_the_first_step_that_has_any() -> None:
    evidence = _evidence(0, 1, 50, 100)
    first, bounded = evidence.first_activations, evidence.bounded_activations
    assert isinstance(first, FirstActivations)
    assert first.step == 1
    assert len(first.chains[0].std) == 3
    assert isinstance(bounded, BoundedActivations)
    assert bounded.from_start


def test_weights_of_the_first_step_do_not_make_late_activations_early() -> None:
    evidence = _evidence(0, 500, 600)
    first = evidence.first_activations
    assert isinstance(first, Missing)
    assert "step 500" in first.reason
    assert not evidence.bounded_activations.from_start


def test_weights_before_training_and_those_of_the_first_step_are_no_comparison() -> None:
    both, long = (_evidence(*steps, still="b").weights for steps in ((0, 1), (0, 1, 50, 100)))
    assert isinstance(both, Weights)
    assert (both.still, both.comparisons) == ((), 0)
    assert isinstance(long, Weights)
    assert [one.series.name for one in long.still] == ["b.weight"]
    assert long.comparisons == 2


@pytest.mark.parametrize(("steps", "lasting"), [((0, 1, 50), []), ((0, 1, 50, 100, 150), ["b.weight"])])
def test_three_dumps_after_the_first_step_show_what_stands_still(steps: tuple[float, ...], lasting: list[str]) -> None:
    assert [one.series.name for one in _evidence(*steps, still="b").tensors.unchanged] == lasting


def test_initial_weights_are_those_of_the_first_step_with_weights() -> None:
    evidence = _evidence(0, 1, 50)
    found = evidence.initialization
    assert isinstance(found, Initialization)
    assert [(one.series.name, one.step) for one in found.layers] == [(f"{name}.weight", 0) for name in "abc"]
    assert found.dumps == 1
    alone = _evidence(0, 1).initialization
    assert isinstance(alone, Initialization)
    assert alone.dumps == 0
    resumed = _evidence(500, 501, 550).initialization
    assert isinstance(resumed, Missing)
    assert "step 500" in resumed.reason


def test_weights_that_come_after_the_other_tensors_are_judged_by_their_own_first_step() -> None:
    rows = _others("gradient", (0, 50, 100)) + [row for row in _weights("a", 0, (40, 80)) if row.step]
    found = Evidence(Run("r", "r", "recorder", (), {}, tensors=stats_of(rows))).initialization
    assert isinstance(found, Missing)
    assert "step 40" in found.reason


def test_updates_are_related_to_the_weights_before_them() -> None:
    found = _evidence(0, 1, 50, 100).updates
    assert isinstance(found, Updates)
    assert (found.from_start, found.steps) == (True, 100)
    assert [(one.source, one.comparisons) for one in found.layers] == [("updates", 3)] * 3
    np.testing.assert_allclose(found.layers[0].per_step, 0.024 / 3.4)
    weights = [row for row in _evidence(0, 1, 50, 100).run.tensors.rows() if row.kind == "weight"]
    alone = Evidence(Run("r", "r", "recorder", (), {}, tensors=stats_of(weights))).updates
    assert isinstance(alone, Updates)
    assert [(one.source, one.comparisons) for one in alone.layers] == [("weights", 2)] * 3
    ratios = (0.34 / 2.4 / 49, 0.34 / 3.4 / 50)
    np.testing.assert_allclose([one.per_step for one in alone.layers], [sum(ratios) / 2] * 3)


def test_the_smallest_update_is_not_that_before_the_first_step() -> None:
    found = sagemaker_updates(_evidence(0, 1, 50, 100))
    assert isinstance(found, UpdateRatios)
    assert min(one.value for one in found.smallest) == pytest.approx(0.34 / 3.4)


def test_the_writer_is_judged_by_all_steps() -> None:
    found = _evidence(0, 1, 50, 100).writer
    assert isinstance(found, Writer)
    assert (found.dumps, found.usual, found.pause, found.pause_step) == (4, 49, 50, 50)
