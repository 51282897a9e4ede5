from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.features.tensors.activations import Activations
from convergence_cli.features.tensors.depth import Chain, FirstActivations
from convergence_cli.features.tensors.idle import DeadUnits
from convergence_cli.features.tensors.persistence import (
    beginning,
    early_level,
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
        ({"min": 0.0, "max": 1.0, "zero": 20.0, "saturated": 0.5}, "sigmoid"),
        ({"min": 0.0, "max": 1.0, "zero": 20.0}, "relu"),
        ({"min": [0.01, 0.0, 0.0], "max": [0.99, 1.0, 1.0], "zero": 20.0, "saturated": 0.5}, "sigmoid"),
        ({"min": [0.01, 0.0, 0.0], "max": [0.99, 0.98, 1.0], "zero": 20.0, "saturated": 0.5}, ""),
        ({"min": 0.998, "max": 0.9999}, ""),
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


def test_a_layer_at_one_end_is_what_its_siblings_are() -> None:
    clear, end = {"min": 0.02, "max": 0.97}, {"min": 0.9991, "max": 0.9999, "saturated": 1.0}
    last = _rows("fc", 9)
    assert _forms(_rows("act1", **clear), _rows("act2", 1, **end), last)[1] == ("sigmoid", False)
    assert _forms(_rows("act1", **clear), _rows("other2", 1, **end), last)[1] == ("", False)
    assert _forms(_rows("act1", **clear), _rows("act2", 1, min=-3.0, max=0.9), last)[1] == ("", False)
    middle = {"min": 0.3, "max": 0.7, "saturated": 0.0}
    assert _forms(_rows("act1", **middle), _rows("act2", 1, **end), last)[1] == ("sigmoid", False)
    assert _forms(_rows("sigmoid_block", **end), last)[0] == ("sigmoid", False)
    assert _forms(_rows("hard_sigmoid_block", **end), last)[0] == ("", False)


@pytest.mark.parametrize(
    ("names", "final"),
    [
        (("relu1", "relu2", "relu3"), {"relu3"}),
        (("fc1", "fc2", "fc3", "relu1", "relu2"), {"fc3"}),
        (("conv1", "conv2", "fc"), {"fc"}),
        (("blocks.0.attn", "blocks.1.attn", "lm_head"), {"lm_head"}),
        (("classifier.0", "classifier.3", "features.7"), {"classifier.3"}),
        (("body",), {"body"}),
    ],
)
def test_without_an_order_names_tell_what_comes_last(names: tuple[str, ...], final: set[str]) -> None:
    rows = [row for place, name in enumerate(names) for row in _rows(name, place)]
    found = _evidence(replace(stats_of(rows), trusted_order=False)).activations
    assert {one.series.name for one in found.layers if one.final} == final


def test_what_cannot_be_looked_at_is_missing() -> None:
    only_output = _evidence(stats_of(_rows("fc")))
    for name in ("bounded_activations", "activation_scales", "first_activations"):
        assert "hidden layers" in getattr(only_output, name).reason
    plain = _evidence(stats_of([*_rows("conv1"), *_rows("fc", 1)]))
    assert "sigmoid or tanh" in plain.bounded_activations.reason
    assert "there are 3" in plain.activation_scales.reason
    assert "3 hidden layers" in plain.first_activations.reason
    assert "ReLU" in plain.dead_units.reason


def test_of_a_layer_and_its_activation_the_one_that_grew_more_is_kept() -> None:
    steps = (0, 1, 2, 3)
    rows = [
        *_rows("conv3", 0, steps, mean=0.0, std=[1.0, 1.0, 2.0, 4.0]),
        *_rows("relu3", 1, steps, mean=0.0, std=[1.0, 1.0, 4.0, 8.0]),
        *_rows("pool", 2, steps, mean=0.0, std=1.0),
        *_rows("fc", 3, steps),
    ]
    assert [one.series.name for one in _evidence(stats_of(rows)).activation_scales.layers] == ["relu3", "pool"]


def _gradients(ordered: bool, *tables: tuple[str, tuple[int, ...], float]) -> list[tuple[str, str, float]]:
    rows = [
        TensorRow(
            step=step, kind="gradient", name=name, layer=name.rpartition(".")[0], order=order, shape=shape,
            count=float(math.prod(shape)), zero=zero * math.prod(shape), dead=float(zero == 1), min=-1.0, max=1.0,
        )
        for step in (0.0, 1.0)
        for order, (name, shape, zero) in enumerate(tables)
    ]  # fmt: skip
    found = _evidence(replace(stats_of(rows), trusted_order=ordered)).dead_units
    return [(one.series.layer, one.reader, one.lasting) for one in found.layers if one.of == "reader"]


def test_weights_without_gradient_beside_a_bias_with_one_read_a_dead_layer() -> None:
    first = (("fc1.weight", (16, 8), 1.0), ("fc1.bias", (16,), 1.0))
    last = (("out.weight", (4, 12), 0.0), ("out.bias", (4,), 0.0))
    reader = (("fc2.weight", (12, 16), 1.0), ("fc2.bias", (12,), 0.0))
    assert _gradients(True, *first, *reader, *last) == [("fc1", "fc2", 1.0)]
    assert _gradients(False, *first, *reader, *last) == [("fc1", "fc2", 1.0)]
    # Two types of layers fit: the reader itself is named.
    other = ("conv1.weight", (4, 3, 3, 3), 1.0)
    assert _gradients(False, *first, other, *reader, *last) == [("fc2", "fc2", 1.0)]
    # Half of the units of the reader are off: of the others' weights all are without gradient.
    half = (("fc2.weight", (12, 16), 1.0), ("fc2.bias", (12,), 0.5))
    assert _gradients(True, *first, *half, *last) == [("fc1", "fc2", 1.0)]
    some = (("fc2.weight", (12, 16), 0.9375), ("fc2.bias", (12,), 0.5))
    assert _gradients(True, *first, *some, *last) == []
