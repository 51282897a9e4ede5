"""Shares of units against a naive count, however the tensor is cut and stored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors.oracle import Array, bfloat16, stored

from convergence_cli.tensors.statistics import measure
from convergence_cli.tensors.units import LIMITS, SATURATED_SLOPE

RNG = np.random.default_rng(11)
FIELDS = ("units", "samples", "dead", "saturated", "saturated_values", "constant", "sums_to_one")


def naive(values: Array, axis: int, function: str) -> dict[str, Any]:
    """The shares of an activation, from the whole array."""
    units = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    found: dict[str, Any] = {"units": units.shape[0], "samples": units.shape[1]}
    found["dead"] = np.mean(np.mean(units == 0, axis=1) >= 0.99)
    found["constant"] = np.mean(units.max(axis=1) == units.min(axis=1)) if units.shape[1] > 1 else math.nan
    ones = (np.abs(units.sum(axis=0) - 1) <= 1e-3) & (units.min(axis=0) >= 0)
    found["sums_to_one"] = np.mean(ones) if units.shape[0] > 1 else math.nan
    found["saturated"] = found["saturated_values"] = math.nan
    if function in LIMITS:
        beyond = (units < LIMITS[function][0]) | (units > LIMITS[function][1])
        found["saturated"] = np.mean(np.mean(beyond, axis=1) >= 0.99)
        found["saturated_values"] = np.mean(beyond)
    return found


def expect(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in FIELDS:
        assert found.get(name, math.nan) == pytest.approx(wanted[name], abs=1e-12, nan_ok=True), name


def _layer(shape: tuple[int, ...], axis: int, dtype: type = np.float32) -> Array:
    """tanh of something; some units are dead, some constant, some saturated."""
    values = np.tanh(RNG.standard_normal(shape)).astype(dtype)
    by_unit = np.moveaxis(values, axis, 0)
    by_unit[0] = 0
    if len(by_unit) > 3:
        by_unit[1] = 0.25
        by_unit[2] = np.sign(by_unit[2]) * dtype(0.995)
    return values


SHAPES = [
    ((64, 10), 1), ((2000, 100), -1), ((3, 70_000), 1), ((8, 5, 12, 12), 1), ((2, 3, 300, 301), 1),
    ((4, 7, 33), 2), ((70_001, 2), 1), ((5, 1), 1), ((200_000,), 0), ((1, 6), 1), ((2, 4, 65_537), 1),
]  # fmt: skip


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_shares_of_an_activation_are_those_of_the_whole_array(shape: tuple[int, ...], axis: int, fortran: bool) -> None:
    values = _layer(shape, axis)
    tensor = stored(values, cuts=(5, 70_000, 1), fortran=fortran)
    told = naive(values, axis, "tanh")
    expect(measure(tensor, "activation", unit_axis=axis, function="tanh"), told)
    if values.min() < 0:
        expect(measure(tensor, "activation", unit_axis=axis), told)


@pytest.mark.parametrize("size", [2_000, 200_000])
def test_narrow_floats_have_the_same_shares(size: int) -> None:
    values = _layer((size // 20, 20), 1)
    half = values.astype(np.float16)
    expect(measure(stored(half, cuts=(7,)), "output", unit_axis=1), naive(half, 1, "tanh"))
    brain = bfloat16(values)
    wide = (brain.astype(np.uint32) << 16).view(np.float32)
    expect(measure(stored(brain, "bfloat16", cuts=(7,)), "output", unit_axis=1), naive(wide, 1, "tanh"))


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    axis=st.integers(0, 3),
    function=st.sampled_from(sorted(LIMITS)),
    levels=st.sampled_from([(0.0, 1.0), (0.0, 0.0, 0.5), (-7.0, 0.0, 7.0), (0.25,), (0.5, 0.5, 0.0)]),
    fortran=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=150)
def test_small_layers_of_few_levels_agree_with_the_naive_count(
    shape: list[int], axis: int, function: str, levels: tuple[float, ...], fortran: bool, seed: int
) -> None:
    axis %= len(shape)
    values = np.random.default_rng(seed).choice(np.array(levels, dtype=np.float32), tuple(shape))
    found = measure(stored(values, cuts=(1, 2), fortran=fortran), "activation", unit_axis=axis, function=function)
    expect(found, naive(values, axis, function))


def test_probabilities_add_up_to_one_however_a_sample_is_cut() -> None:
    for shape in ((300, 10), (3, 100_000), (2, 30, 4_000), (1, 3, 70_000)):
        logits = RNG.standard_normal(shape)
        values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        values[0] = 2 * values[0] if len(shape) == 2 else values[0]
        found = measure(stored(values.astype(np.float32), cuts=(11,)), "output", unit_axis=1)
        assert found["sums_to_one"] == pytest.approx(1 - 1 / shape[0] if len(shape) == 2 else 1)
        # A sure softmax is near 0 and 1, and no saturated sigmoid.
        assert "saturated" not in found


def test_limits_are_where_the_slope_is_the_share_named() -> None:
    for name, sign in (("tanh", 1), ("sigmoid", 1)):
        low, high = LIMITS[name]
        from_input = [math.tanh(x) if name == "tanh" else 1 / (1 + math.exp(-x)) for x in LIMITS[f"{name}_input"]]
        assert from_input == pytest.approx([low, high])
        for y in (low, high):
            slope = 1 - y * y if name == "tanh" else 4 * y * (1 - y)
            assert slope == pytest.approx(sign * SATURATED_SLOPE)


@pytest.mark.parametrize("function", ["tanh", "sigmoid"])
def test_input_and_output_of_one_layer_are_saturated_alike(function: str) -> None:
    before = (RNG.standard_normal((500, 40)) * 6).astype(np.float32)
    before[:, :5] = 30
    before[:, 5:9] = -30
    after = np.tanh(before) if function == "tanh" else 1 / (1 + np.exp(-before))
    inside = measure(stored(before), "activation", unit_axis=1, function=f"{function}_input")
    outside = measure(stored(after.astype(np.float32)), "activation", unit_axis=1)
    assert inside["saturated"] == outside["saturated"] == 9 / 40
    assert inside["saturated_values"] == pytest.approx(outside["saturated_values"], abs=1e-4)


def test_layers_without_bounds_cannot_saturate() -> None:
    relu = np.maximum(RNG.standard_normal((200, 30)), 0).astype(np.float32)
    for values in (relu, np.minimum(relu, 1), relu * 0.1, relu - 2, np.zeros_like(relu)):
        assert "saturated" not in measure(stored(values), "activation", unit_axis=1)
    assert "saturated" not in measure(stored(np.tanh(relu)), "activation", unit_axis=1, function="relu")


def test_without_an_axis_there_are_no_units() -> None:
    values = np.zeros((20, 5), dtype=np.float32)
    for kind, axis in (("activation", None), ("activation", 7), ("update", 0), ("label", 1)):
        assert not set(FIELDS) & measure(stored(values), kind, unit_axis=axis).keys()


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("shape", [(40, 30), (6, 80_000), (100_000, 3), (20, 3, 3, 5)])
@pytest.mark.parametrize("kind", ["weight", "gradient"])
def test_dead_rows_of_weights_and_gradients(kind: str, shape: tuple[int, ...], fortran: bool) -> None:
    values = RNG.standard_normal(shape).astype(np.float32)
    values[1], values[4] = 0, -0.0
    values[2].flat[1:] = 0
    found = measure(stored(values, cuts=(9,), fortran=fortran), kind)
    assert found["dead"] == 2 / shape[0]
    assert (found["units"], found["samples"]) == (shape[0], values.size // shape[0])
    assert "constant" not in found


@pytest.mark.parametrize("scale", [8.0, 20.0, 60.0])
def test_a_sigmoid_rounded_to_half_precision_is_no_clipped_relu(scale: float) -> None:
    inner = scale * RNG.standard_normal((256, 40))
    half = (1 / (1 + np.exp(-inner))).astype(np.float16)
    wide = half.astype(np.float32)
    if scale > 8:
        assert np.mean(half == 0) > 0.01
    found = measure(stored(half), "activation", unit_axis=1)
    assert found["saturated_values"] == pytest.approx(
        np.mean((wide < LIMITS["sigmoid"][0]) | (wide > LIMITS["sigmoid"][1]))
    )
    clipped = measure(stored(np.clip(inner / 6, 0, 1).astype(np.float16)), "activation", unit_axis=1)
    assert "saturated" not in clipped or math.isnan(clipped["saturated"])
