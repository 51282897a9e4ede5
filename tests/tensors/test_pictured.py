"""What is drawn of tensors against a plain loop over the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.features.tensors.pictured import (
    MAX_LAYERS,
    MAX_STEPS,
    MAX_TENSORS,
    layers_pictured,
    spreads_pictured,
)
from convergence_cli.tensor_stats import TensorRow, TensorStats, stats_of


def dump(layers: int, steps: int, **extra: float) -> TensorStats:
    rows = []
    for step in range(steps):
        for layer in range(layers):
            name, place = f"l{layer}.weight", {"layer": f"l{layer}", "order": layer, "step": float(step)}
            quantiles = tuple(float(step + number) for number in range(7))
            rows.append(
                TensorRow(
                    kind="weight", name=name, l2=10.0 + step, change=2.0 * layer, change_steps=1.0, quantiles=quantiles,
                    **place,
                )
            )  # fmt: skip
            rows.append(TensorRow(kind="gradient", name=name, l2=3.0 * (layer + 1), **place, **extra))
            rows.append(TensorRow(kind="gradient", name=f"l{layer}.bias", l2=4.0 * (layer + 1), **place))
    return stats_of(rows)


def test_the_norm_of_a_layer_is_over_all_its_parameters_and_the_ratio_over_the_weight_before() -> None:
    found = layers_pictured(dump(3, 4))
    assert found["names"] == ["l0", "l1", "l2"]
    assert (found["layers"], found["steps"], found["nonfinite"]) == (3, [0.0, 1.0, 2.0, 3.0], [])
    assert found["gradient_norm"] == [[5.0 * (layer + 1)] * 4 for layer in range(3)]
    assert found["update_ratio"][2][0] is None
    assert found["update_ratio"][2][1:] == pytest.approx([0.4, 4 / 11, 4 / 12], rel=1e-3)
    assert "dead" not in found


def test_dumped_updates_are_taken_at_their_word() -> None:
    rows = [
        TensorRow(1.0, kind, "fc.weight", "fc", order, l2=l2)
        for order, (kind, l2) in enumerate((("weight", 8.0), ("update", 0.02)))
    ]
    assert layers_pictured(stats_of(rows))["update_ratio"] == [[0.0025]]


def test_values_that_are_not_finite_are_placed() -> None:
    found = layers_pictured(dump(2, 2, nan=3.0))
    assert found["nonfinite"] == [[0, 0], [0, 1], [1, 0], [1, 1]]


@given(st.integers(1, 90), st.integers(1, 100))
@settings(deadline=None, max_examples=15)
def test_large_dumps_stay_small_and_keep_their_ends(layers: int, steps: int) -> None:
    stats = dump(layers, steps)
    wanted = {f"l{layers // 2}"}
    found = layers_pictured(stats, wanted)
    assert len(found["names"]) == min(layers, MAX_LAYERS)
    assert found["layers"] == layers
    assert {"l0", f"l{layers - 1}", *wanted} <= set(found["names"])
    assert [int(name[1:]) for name in found["names"]] == sorted(int(name[1:]) for name in found["names"])
    assert len(found["steps"]) <= MAX_STEPS
    assert found["steps"][-1] == steps - 1
    size = math.ceil(steps / MAX_STEPS)
    for name, row in zip(found["names"], found["update_ratio"], strict=True) if steps > 1 else ():
        layer = int(name[1:])
        ratios = [math.nan, *(2.0 * layer / (10.0 + step - 1) for step in range(1, steps))]
        groups = [ratios[at : at + size] for at in range(0, steps, size)]
        expected = [np.nanmax(group) if not np.isnan(group).all() else None for group in groups]
        assert [value is None for value in row] == [value is None for value in expected]
        assert [v for v in row if v is not None] == pytest.approx([v for v in expected if v is not None], rel=1e-3)
    spreads = spreads_pictured(stats, wanted)
    assert len(spreads) == min(layers, MAX_TENSORS)
    assert all(len(one["steps"]) == len(one["quantiles"]) <= MAX_STEPS for one in spreads)
    assert wanted <= {one["layer"] for one in spreads}
    assert spreads[0]["quantiles"][-1] == [float(steps - 1 + number) for number in range(7)]


def test_names_in_any_order_are_sorted_where_the_dump_does_not_tell_the_order() -> None:
    from dataclasses import replace

    rows = [TensorRow(0.0, "gradient", f"{name}.weight", name, order, l2=1.0) for order, name in enumerate("cab")]
    assert layers_pictured(stats_of(rows))["names"] == ["c", "a", "b"]
    assert layers_pictured(replace(stats_of(rows), trusted_order=False))["names"] == ["a", "b", "c"]
