from __future__ import annotations

import math
from typing import Any

import pytest

from convergence_cli.features.evidence import Evidence
from convergence_cli.features.tensors.inputs import Inputs
from convergence_cli.model import Missing, Run
from convergence_cli.tensor_stats import Collection, TensorRow, TensorStats, TokenCounts, stats_of


def _inputs(stats: TensorStats) -> Inputs | Missing:
    found: Inputs | Missing = Evidence(Run("r", "r", "tensors", (), tensors=stats)).inputs
    return found


def _rows(kind: str, name: str, **numbers: Any) -> list[TensorRow]:
    numbers = {"shape": (64, 8), "dtype": "float32", "samples": 64.0, **numbers}
    return [
        TensorRow(
            step=float(step),
            kind=kind,
            name=name,
            layer=name,
            **{key: one[step] if isinstance(one, list) else one for key, one in numbers.items()},
        )
        for step in range(3)
    ]


def _one(*rows: list[TensorRow]) -> Any:
    found = _inputs(stats_of([row for one in rows for row in one]))
    assert isinstance(found, Inputs)
    return found.inputs[0]


def test_a_scale_counts_as_far_as_every_dump_has_it() -> None:
    quantiles = (-40.0, -20.0, -5.0, 0.0, 5.0, 20.0, 30.0)
    one = _one(
        _rows("input", "x", mean=0.0, std=[30.0, 20.0, 40.0], feature_offset=[1.0, 3.0, 2.0], quantiles=quantiles)
    )
    assert (one.rms, one.bulk, one.offset, one.std, one.dumps) == (20.0, 40.0, 1.0, 30.0, 3)


def test_few_samples_tell_nothing_of_features() -> None:
    one = _one(_rows("input", "x", mean=0.0, std=1.0, feature_offset=9.0, feature_spread=900.0, samples=8.0))
    assert math.isnan(one.offset)
    assert math.isnan(one.spread)


@pytest.mark.parametrize(("shape", "columns"), [((64, 8), True), ((64,), True), ((64, 3, 8, 8), False), (None, False)])
def test_only_tables_have_columns(shape: tuple[int, ...] | None, columns: bool) -> None:
    assert _one(_rows("input", "x", mean=0.0, std=1.0, shape=shape)).features is columns


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("x", "uint8"),
        ("tokens", "int64"),
        ("attention_mask", "float32"),
        ("input_ids", "float32"),
        ("position", "float32"),
    ],
)
def test_what_is_no_data_is_left_out(name: str, dtype: str) -> None:
    found = _inputs(stats_of(_rows("input", name, dtype=dtype, mean=100.0, std=90.0)))
    assert isinstance(found, Inputs)
    assert not found.inputs


def test_tokens_are_no_data_whatever_their_type() -> None:
    collection = Collection(_rows("input", "x", mean=100.0, std=90.0))
    collection.tokens.append(TokenCounts(0, "x", 512, 90, None, 0.0, {3: 0.1}))
    found = _inputs(collection.stats())
    assert isinstance(found, Inputs)
    assert not found.inputs


@pytest.mark.parametrize(
    ("name", "numbers", "scaled"),
    [
        ("fc1", {"mean": 0.0, "std": 60.0, "min": -200.0, "max": 200.0}, False),
        ("stem", {"mean": 0.0, "std": 1.0, "min": -4.0, "max": 4.0}, True),
        ("bn1", {"mean": 0.0, "std": 60.0, "min": -200.0, "max": 200.0}, True),
        ("tanh1", {"mean": 0.0, "std": 1.0, "min": -1.0, "max": 1.0}, False),
    ],
)
def test_a_first_layer_can_bring_the_input_to_scale(name: str, numbers: dict[str, float], scaled: bool) -> None:
    rows = _rows("input", "x", mean=0.0, std=100.0)
    assert _one(rows, _rows("activation", name, **numbers)).scaled_inside is scaled


def test_a_dump_without_inputs_says_what_is_needed() -> None:
    assert _inputs(stats_of(_rows("activation", "fc1"))) == Missing("needs inputs in a tensor dump")


def _scaled(*others: TensorRow) -> bool:
    inputs = _rows("input", "x", mean=0.0, std=100.0, shape=(64, 8))
    found = _inputs(stats_of([*inputs, *others]))
    assert isinstance(found, Inputs)
    return found.inputs[0].scaled_inside


def test_a_first_layer_scales_by_what_it_gives_out_at_the_first_dump() -> None:
    small = {"mean": 0.0, "min": -9.0, "max": 9.0}
    assert _scaled(*_rows("activation", "conv", std=[1.0, 90.0, 90.0], **small))
    assert not _scaled(*_rows("activation", "conv", std=[90.0, 1.0, 0.1], **small))
    assert not _scaled(*_rows("activation", "conv", mean=0.5, std=0.1, min=0.0, max=1.0))


@pytest.mark.parametrize(("shape", "scaled"), [((8,), True), ((9,), False), ((8, 8), False)])
def test_a_first_weight_with_one_value_a_feature_scales(shape: tuple[int, ...], scaled: bool) -> None:
    assert _scaled(*_rows("weight", "0.weight", shape=shape)) is scaled
