"""How different the units of a weight are, against the formula on the whole array."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors.oracle import Array, bfloat16, from_bfloat16, stored

from convergence_cli.tensor_stats import TensorRow
from convergence_cli.tensors.statistics import measure

RNG = np.random.default_rng(11)


def found(values: Array, dtype: str = "", unit_axis: int | None = None, **how: object) -> float:
    numbers = measure(stored(values, dtype, **how), "weight", unit_axis=unit_axis)  # type: ignore[arg-type]
    return TensorRow(0, "weight", "x", **numbers).unit_variance


def naive(values: Array) -> float:
    """The smaller ratio of rows and columns: of the first 256, and of each the first 4096 values in their order."""
    ratios = []
    for units in (values.reshape(values.shape[0], -1), values.reshape(-1, values.shape[-1]).T):
        part = units[:256, :4096].astype(np.float64)
        if len(part) >= 4 and part.any():
            ratios.append(((part - part.mean(axis=0)) ** 2).sum() / (part**2).sum())
    return float(min(ratios, default=math.nan))


SHAPES = [(64, 64), (10, 30_000), (30_000, 10), (300, 500), (5, 75_000), (75_000, 5), (270, 4_200), (4_200, 270)]
CONVOLUTIONS = [(16, 8, 3, 3), (3, 3, 8, 16), (300, 5, 4), (4, 5, 300), (2, 4_100, 7), (7, 4_100, 2), (5, 3, 40_000)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", SHAPES + CONVOLUTIONS)
def test_independent_units_copies_and_an_offset_agree_with_the_formula(shape: tuple[int, ...], dtype: type) -> None:
    plain = RNG.standard_normal(shape)
    rows, columns = plain + 3 * plain[:1], plain + 3 * plain[..., :1]
    for values in (plain.astype(dtype), rows.astype(dtype), columns.astype(dtype), (plain + 5).astype(dtype)):
        for unit_axis in {0, -1, len(shape) - 2}:
            assert found(values, unit_axis=unit_axis, cuts=(3, 70_001)) == pytest.approx(naive(values), rel=1e-9)


@pytest.mark.parametrize("shape", [(64, 64), (300, 500), (90_000, 5), (5, 90_000)])
def test_the_order_in_memory_does_not_matter_to_a_matrix(shape: tuple[int, ...]) -> None:
    values = (RNG.standard_normal(shape) + RNG.standard_normal(shape[1])).astype(np.float32)
    assert found(values, fortran=True, cuts=(7,)) == pytest.approx(naive(values), rel=1e-9)


@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (3, 3, 8, 16), (300, 20, 5)])
def test_a_convolution_in_fortran_order_is_judged_by_the_same_units(shape: tuple[int, ...]) -> None:
    values = (RNG.standard_normal(shape) + RNG.standard_normal(shape[1:])).astype(np.float32)
    assert found(values, fortran=True) == pytest.approx(naive(values), rel=1e-9)


def test_patterns_of_bfloat16_are_judged_by_their_values() -> None:
    patterns = bfloat16(RNG.standard_normal((300, 400)) + RNG.standard_normal(400))
    assert found(patterns, "bfloat16") == pytest.approx(naive(from_bfloat16(patterns)), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(64, 32), (300, 400), (16, 8, 3, 3), (3, 3, 8, 16), (8, 40_000)])
def test_copies_give_nothing_and_near_copies_their_noise(shape: tuple[int, ...], dtype: type) -> None:
    for units, count in ((shape[1:], shape[0]), ((*shape[:-1], 1), shape[-1])):
        if count < 4:
            continue
        copies = np.broadcast_to(RNG.standard_normal(units), shape)
        assert found(copies.astype(dtype)) == 0
        noisy = copies * (1 + 0.01 * RNG.standard_normal(shape))
        assert 0.5e-4 < found(noisy.astype(dtype)) < 1.5e-4
    assert found(np.full(shape, 0.1, dtype=dtype)) == 0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_does_not_matter(scale: float) -> None:
    values = RNG.standard_normal((32, 32)).astype(np.float32)
    assert found(values * np.float32(scale)) == pytest.approx(naive(values), rel=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((8, 8)), np.full((8, 8), np.nan), np.where(np.eye(8) > 0, np.inf, 1), np.ones(30), np.ones((3, 3)),
        np.ones((3, 50, 2)),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_not(values: Array) -> None:
    assert math.isnan(found(values.astype(np.float32)))


def test_other_kinds_have_none() -> None:
    for kind in ("gradient", "update", "activation"):
        assert "unit_variance" not in measure(stored(RNG.standard_normal((8, 8))), kind)


def test_what_pytorch_initialises_has_units_of_their_own() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    layers = [
        nn.Linear(784, 256), nn.Linear(256, 10), nn.Linear(64, 64), nn.Linear(16, 512), nn.Embedding(1000, 64),
        nn.Conv2d(3, 64, 7), nn.Conv2d(64, 128, 3), nn.Conv2d(128, 256, 1), nn.Conv1d(32, 64, 5), nn.GRU(32, 64),
        nn.MultiheadAttention(64, 4), nn.TransformerEncoderLayer(64, 4), nn.LSTM(20, 40),
    ]  # fmt: skip
    judged = 0
    for layer in layers:
        for name, parameter in layer.named_parameters():
            values = parameter.detach().numpy()
            if values.ndim > 1 and not math.isnan(share := found(values)):
                judged += 1
                assert 0.6 <= share <= 1, (layer, name)
    assert judged >= 15


@given(
    shape=st.lists(st.integers(1, 7), min_size=2, max_size=4), seed=st.integers(0, 999), fortran=st.booleans(),
    levels=st.integers(1, 4), cuts=st.lists(st.integers(1, 20), max_size=3), axis=st.integers(0, 3),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_any_small_weight_agrees_with_the_formula(
    shape: list[int], seed: int, fortran: bool, levels: int, cuts: list[int], axis: int
) -> None:
    values = np.random.default_rng(seed).integers(0, levels, shape).astype(np.float32) - 1
    share = found(values, unit_axis=axis % len(shape), cuts=cuts, fortran=fortran)
    assert share == pytest.approx(naive(values), abs=1e-9, nan_ok=True)
