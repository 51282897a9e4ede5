"""Plain statistics of every dtype against the naive oracle, on ordinary and on hostile values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensors.oracle import Array, bfloat16, expect_whole, from_bfloat16, stored

from convergence_cli.tensor_stats import TensorRow
from convergence_cli.tensors.statistics import measure
from convergence_cli.tensors.stored import StoredTensor

RNG = np.random.default_rng(5)
NORMAL = (RNG.standard_normal(200_003) * 0.02).astype(np.float32)


def _broken(values: Array, share: float) -> Array:
    values = values.copy()
    chosen = RNG.random(values.size) < share
    values[chosen] = RNG.choice([np.nan, np.inf, -np.inf], int(chosen.sum()))
    return values


HOSTILE = {
    "normal": NORMAL,
    "offset": NORMAL + np.float32(1000),
    "far offset": (NORMAL * 100 + np.float32(1e6)).astype(np.float32),
    "tiny": NORMAL * np.float32(1e-25),
    "huge": NORMAL * np.float32(1e25),
    "denormal": NORMAL * np.float32(1e-38) * np.float32(1e-2),
    "largest": np.where(NORMAL > 0, np.float32(3.4e38), np.float32(-3.4e38)),
    "scales side by side": NORMAL * np.float32(10.0) ** np.linspace(-30, 30, NORMAL.size, dtype=np.float32),
    "rising": np.arange(200_000, dtype=np.float32),
    "one NaN a block": np.where(np.arange(NORMAL.size) % 5_000, NORMAL, np.float32("nan")),
    "tenth broken": _broken(NORMAL, 0.1),
    "half broken": _broken(NORMAL, 0.5),
    "nearly all broken": _broken(NORMAL, 0.999),
    "all NaN": np.full(70_000, np.nan, dtype=np.float32),
    "all infinite": np.where(NORMAL > 0, np.float32("inf"), np.float32("-inf")),
    "constant": np.full(150_000, 0.1, dtype=np.float32),
    "one differs": np.append(np.full(150_000, 0.1, dtype=np.float32), np.float32(0.2)),
    "zeros": np.zeros(70_000, dtype=np.float32),
    "negative zeros": np.full(70_000, -0.0, dtype=np.float32),
    "half zero": np.maximum(NORMAL, 0),
    "negative": -np.abs(NORMAL) - np.float32(1e-3),
    "one value": np.array([3.5], dtype=np.float32),
    "two values": np.array([3.5, -1], dtype=np.float32),
    "float64 huge": np.array([1e300, -1e300, 5e299, 1.0]),
    "float64 largest": np.array([1.7e308, -1.7e308] * 50 + [1.7e308]),
    "float64 denormal": np.array([5e-324, 1e-320, -3e-323]),
    "float64 offset": RNG.standard_normal(100_000) + 1e9,
    "int64 limits": np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0, -1]),
    "uint64 limits": np.array([np.iinfo(np.uint64).max, 0, 1], dtype=np.uint64),
    "int8": RNG.integers(-128, 128, 100_000).astype(np.int8),
    "bool": RNG.random(100_000) < 0.3,
    "float16": NORMAL.astype(np.float16),
    "float16 small": NORMAL[:5_000].astype(np.float16),
    "float16 broken": _broken(NORMAL.astype(np.float16), 0.01),
    "float16 offset": (NORMAL + 1000).astype(np.float16),
    "float16 all NaN": np.full(70_000, np.nan, dtype=np.float16),
}


@pytest.mark.parametrize("kind", ["weight", "gradient"])
@pytest.mark.parametrize("name", HOSTILE)
def test_every_number_agrees_with_the_naive_oracle(name: str, kind: str) -> None:
    values = HOSTILE[name]
    found = measure(stored(values, cuts=(1, 17, 70_001)), kind)
    sampled = values.size > 65_536 and values.dtype != np.float16
    exact = values.dtype != np.float32
    expect_whole(found, values, exact=exact, quantiles=not sampled or values.size < 131_072)
    if kind == "gradient" and "min" in found:
        assert not math.isnan(found["abs_mean"])
    assert TensorRow(0, kind, "x", **found).count == values.size


@pytest.mark.parametrize("size", [1_000, 65_536, 65_537, 300_000])
def test_bfloat16_is_exact_quantiles_included(size: int) -> None:
    patterns = bfloat16(_broken(RNG.standard_normal(size), 0.01))
    found = measure(stored(patterns, "bfloat16", cuts=(3, 1)), "gradient")
    expect_whole(found, from_bfloat16(patterns), exact=True)


def test_every_pattern_of_each_narrow_float_has_the_value_that_torch_gives_it() -> None:
    torch = pytest.importorskip("torch")
    for name, bits in (("bfloat16", 16), ("float8_e4m3fn", 8), ("float8_e5m2", 8)):
        patterns = np.arange(1 << bits, dtype=np.uint16 if bits == 16 else np.uint8)
        values = torch.from_numpy(patterns.copy()).view(getattr(torch, name)).to(torch.float64).numpy()
        expect_whole(measure(stored(patterns, name), "gradient"), values, exact=True)
        for pattern, value in zip(patterns[::37], values[::37], strict=True):
            found = measure(stored(np.array([pattern]), name), "gradient")
            assert found.get("mean", value) == value or math.isnan(value)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_value_has_itself_for_everything(shape: tuple[int, ...]) -> None:
    found = measure(stored(np.full(shape, -2.5, dtype=np.float32)), "weight")
    row = TensorRow(0, "weight", "x", **found)
    assert (row.mean, row.std, row.min, row.max, row.abs_mean, row.l2) == (-2.5, 0, -2.5, -2.5, 2.5, 2.5)
    assert row.quantiles == (-2.5,) * 7


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "float16", "bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 0, 2)])
@pytest.mark.parametrize("kind", ["weight", "gradient", "activation", "input", "label"])
def test_an_empty_tensor_counts_nothing_and_tells_nothing(kind: str, shape: tuple[int, ...], dtype: str) -> None:
    for blocks in ((), (np.empty(0, dtype=np.float32),)):
        found = measure(StoredTensor("x", dtype, shape, lambda blocks=blocks: iter(blocks)), kind, unit_axis=-1)
        row = TensorRow(0, kind, "x", **found)
        assert row.count == 0
        assert all(math.isnan(value) for value in (row.mean, row.std, row.min, row.l2, row.dead, *row.quantiles))


def test_mean_and_spread_hold_where_the_quick_formula_fails() -> None:
    for factor, offset in ((1, 0), (1, 1000), (1e-25, 0), (1e25, 0)):
        values = (NORMAL * np.float32(factor) + np.float32(offset)).astype(np.float32)
        wide = values.astype(np.float64)
        found = measure(stored(values), "weight")
        assert found["std"] == pytest.approx(wide.std(), rel=1e-5)
        assert found["mean"] == pytest.approx(wide.mean(), rel=1e-5)


def test_sampled_quantiles_are_within_their_rank_error() -> None:
    values = RNG.standard_normal((1500, 1024)).astype(np.float32)
    values[:, 7] = 50
    found = measure(stored(values), "weight")
    ranks = np.searchsorted(np.sort(values, axis=None), found["quantiles"]) / values.size
    # Five standard deviations of a sample of 1/16.
    assert np.abs(ranks - [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]).max() < 5 * 0.5 / math.sqrt(values.size / 16)


def test_a_sample_favours_no_column() -> None:
    # With a stride that divides the row, one column would be all that is seen.
    values = np.tile(np.arange(1024, dtype=np.float32), (4096, 1))
    median = measure(stored(values), "weight")["quantiles"][3]
    assert median == pytest.approx(511.5, abs=2)


@given(
    values=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
    ),
    kind=st.sampled_from(["weight", "gradient", "update", "activation", "input", "label", "output"]),
    axis=st.none() | st.integers(-5, 5),
    function=st.sampled_from(["", "tanh", "sigmoid_input", "relu"]),
    cuts=st.lists(st.integers(1, 30), max_size=4),
    fortran=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_any_values_are_measured_without_a_warning(
    values: Array, kind: str, axis: int | None, function: str, cuts: list[int], fortran: bool
) -> None:
    found = measure(stored(values, cuts=cuts, fortran=fortran), kind, unit_axis=axis, function=function)
    row = TensorRow(0, kind, "x", **found)
    expect_whole(found, values, exact=values.dtype != np.float32)
    for share in (row.dead, row.saturated, row.saturated_values, row.constant, row.twin, row.sums_to_one):
        assert math.isnan(share) or 0 <= share <= 1
