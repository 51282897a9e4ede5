from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.features.tensors.activations import Activations, Chain, DeadUnits, FirstActivations
from convergence_cli.features.tensors.persistence import (
    beginning,
    early_level,
    highest_at_end,
    late_growth,
    late_level,
    lowest_at_end,
    tail_length,
)
from convergence_cli.model import Missing, Run
from convergence_cli.tensor_stats import TensorRow, TensorStats, stats_of

HIDDEN: dict[str, Any] = {"kind": "activation", "count": 64.0, "nan": 0.0, "inf": 0.0, "zero": 0.0, "units": 8.0}


def _evidence(stats: TensorStats, **config: object) -> Evidence:
    return Evidence(Run("r", "r", "tensors", (), config, tensors=stats))


def _rows(name: str, order: int = 0, steps: tuple[float, ...] = (0, 10, 20), **numbers: Any) -> list[TensorRow]:
    return [
        TensorRow(
            step=step,
            name=name,
            order=order,
            layer=name,
            **{key: one[place] if isinstance(one, list) else one for key, one in (HIDDEN | numbers).items()},
        )
        for place, step in enumerate(steps)
    ]


def _forms(*rows: list[TensorRow], **config: object) -> list[tuple[str, bool]]:
    found = _evidence(stats_of([row for one in rows for row in one]), **config).activations
    assert isinstance(found, Activations)
    return [(one.form, one.final) for one in found.layers]


@pytest.mark.parametrize(
    ("numbers", "form"),
    [
        ({"min": 0.0, "max": 3.0, "zero": 20.0}, "relu"),
        ({"min": [0.0, -0.1, 0.0], "max": 3.0, "zero": 20.0}, ""),
        ({"min": 0.0, "max": 3.0, "zero": 20.0, "function": "gelu"}, ""),
        ({"min": -2.0, "max": 3.0, "function": "relu_input"}, ""),
        ({"min": -2.0, "max": 3.0, "function": "tanh_input"}, "tanh"),
        ({"min": -0.99, "max": 0.99}, "tanh"),
        ({"min": -0.4, "max": 0.4}, ""),
        ({"min": 0.01, "max": 0.99}, "sigmoid"),
        ({"min": 0.01, "max": 0.99, "function": "hardsigmoid"}, ""),
        ({"min": 0.01, "max": 0.99, "sums_to_one": 1.0}, "probabilities"),
        ({"min": 0.0, "max": 1.0, "zero": 20.0, "quantiles": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0)}, ""),
        ({"min": math.nan, "max": math.nan}, ""),
    ],
)
def test_the_form_is_that_of_the_name_or_of_the_values(numbers: dict[str, Any], form: str) -> None:
    assert _forms(_rows("hidden", **numbers), _rows("last", 1))[0][0] == form


@pytest.mark.parametrize("name", ["attn.softmax", "block.attn_weights", "moe.gate", "causal_mask", "router.probs"])
def test_weights_that_mix_others_are_no_units(name: str) -> None:
    assert _forms(_rows(name, min=0.0, max=1.0, zero=20.0)) == [("probabilities", True)]


def test_attention_logits_are_known_by_their_name() -> None:
    assert _forms(_rows("h.0.attn.scores", min=-5.0, max=5.0), _rows("last", 1))[0] == ("scores", False)


def test_only_what_comes_last_and_fits_the_output_is_final() -> None:
    hidden, last = _rows("fc1"), _rows("fc2", 1, units=4.0)
    output = _rows("logits", 2, kind="output", units=4.0)
    assert _forms(hidden, last) == [("", False), ("", True)]
    assert _forms(hidden, last, output) == [("", False), ("", True)]
    assert _forms(hidden, output) == [("", False)]
    assert _forms(_rows("fc1", units=10.0), output, num_classes=10) == [("", True)]


def test_the_scale_is_the_root_mean_square_of_the_finite_values() -> None:
    by_moments = _rows("a", mean=3.0, std=4.0, l2=math.nan)
    by_norm = _rows("b", 1, count=100.0, inf=36.0, l2=16.0)
    found = _evidence(stats_of([*by_moments, *by_norm])).activations
    assert [one.rms.tolist() for one in found.layers] == [[5.0] * 3, [2.0] * 3]


def test_growth_compares_the_thirds() -> None:
    values = [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    rows = _rows("a", steps=tuple(range(9)), mean=0.0, std=values)
    one = _evidence(stats_of([*rows, *_rows("z", 1)])).activations.layers[0]
    assert (one.early, one.late, one.growth, one.late_growth) == (1.0, 32.0, 32.0, 4.0)


def test_dead_units_need_samples() -> None:
    few = _rows("relu", min=0.0, max=1.5, zero=9.0, samples=8.0, dead=0.9)
    assert _evidence(stats_of(few)).dead_units == Missing("needs activations of at least 16 samples")
    enough = _rows("relu", min=0.0, max=1.5, zero=9.0, samples=16.0, dead=[0.1, 0.6, 0.9])
    found = _evidence(stats_of(enough)).dead_units
    assert isinstance(found, DeadUnits)
    one = found.layers[0]
    assert (one.lasting, one.first, one.last, one.since(0.5)) == (0.6, 0.1, 0.9, 10.0)


def test_without_activations_rows_of_gradients_show_idle_units() -> None:
    names = ("embedding.weight", "fc1.weight", "moe.experts.weight", "fc2.weight", "fc3.weight")
    rows = [
        TensorRow(step=step, kind="gradient", name=name, order=order, shape=(8, 8), dead=1.0 if name[2] == "2" else 0.7)
        for step in (0.0, 1.0)
        for order, name in enumerate(names)
    ]
    found = _evidence(stats_of(rows)).dead_units
    assert [(one.series.name, one.of, one.lasting) for one in found.layers] == [("fc1.weight", "gradient", 0.7)]
    assert isinstance(_evidence(stats_of(_rows("x", kind="input"))).dead_units, Missing)


def _chains(*stds: tuple[str, float], steps: tuple[float, ...] = (0, 10)) -> tuple[Chain, ...] | str:
    rows = [row for place, (name, std) in enumerate(stds) for row in _rows(name, place, steps, std=std)]
    rows += _rows("logits", len(stds), steps, kind="output", units=3.0)
    found = _evidence(stats_of(rows)).first_activations
    return found.chains if isinstance(found, FirstActivations) else found.reason


def test_layers_of_one_type_are_a_chain() -> None:
    chains = _chains(("relu1", 1.0), ("ln.1", 9.0), ("relu2", 20.0), ("ln.2", 9.0), ("relu3", 10.0), ("relu4", 0.0))
    assert not isinstance(chains, str)
    (chain,) = chains
    assert [one.name for one in chain.series] == ["relu1", "relu2", "relu3"]
    assert (chain.ratio, chain.step_up, chain.at, chain.smallest, chain.largest) == (20.0, 20.0, 1, 0, 1)


def test_the_first_dump_must_be_of_the_first_steps() -> None:
    layers = (("relu1", 1.0), ("relu2", 1.0), ("relu3", 1.0))
    assert "step 500" in str(_chains(*layers, steps=(500, 600)))
    assert not isinstance(_chains(*layers, steps=(500, 10_000)), str)
    assert not isinstance(_chains(*layers, steps=(10,)), str)


def test_what_lasts_is_what_the_last_third_does_not_fall_below() -> None:
    assert [tail_length(n) for n in (1, 2, 3, 6, 9, 30)] == [1, 2, 2, 2, 3, 10]
    assert lowest_at_end(np.array([9.0, 9.0, 9.0, 9.0, 1.0, 9.0])) == 1.0
    # Two of ten may differ.
    assert lowest_at_end(np.array([0.0] * 20 + [9.0, 1.0, 9.0, 9.0, 1.0, *[9.0] * 5])) == 9.0
    assert highest_at_end(np.array([0.0, 5.0, 3.0])) == 5.0
    assert math.isnan(lowest_at_end(np.array([1.0, 1.0, math.nan])))
    assert math.isnan(lowest_at_end(np.array([])))


def test_levels_leave_out_what_is_not_finite() -> None:
    values = np.array([math.nan, 2.0, 4.0, 5.0, 6.0, math.inf])
    assert (early_level(values), late_level(values)) == (2.0, 6.0)
    assert math.isnan(early_level(np.array([math.nan] * 3)))
    assert math.isnan(late_growth(np.array([1.0, 2.0, 3.0])))
    assert math.isnan(late_growth(np.array([1.0, 1.0, 0.0, 3.0])))


def test_a_condition_begins_where_it_holds_to_the_end() -> None:
    step = np.array([0.0, 10.0, 20.0, 30.0])
    assert beginning(step, np.array([True, False, True, True])) == 20.0
    assert beginning(step, np.array([True] * 4)) == 0.0
    assert beginning(step, np.array([False] * 4)) == 30.0
