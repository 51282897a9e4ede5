"""Rows and columns that are copies of another are found, and nothing else is taken for one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors.oracle import Array, bfloat16, stored

from convergence_cli.tensors.statistics import measure

RNG = np.random.default_rng(3)


def twin(values: Array, dtype: str = "", **how: object) -> float:
    return float(measure(stored(values, dtype, **how), "weight").get("twin", math.nan))  # type: ignore[arg-type]


def naive(values: Array) -> float:
    """The share of rows, or of columns, among the first 256 that equal another."""
    shares = []
    for rows in (values.reshape(values.shape[0], -1), values.reshape(-1, values.shape[-1]).T):
        if rows.shape[1] >= 4 and rows.shape[0] > 1:
            counts = Counter((row + 0.0).tobytes() for row in rows[:256])
            shares.append(sum(count for count in counts.values() if count > 1) / min(len(rows), 256))
    same = values.size > 1 and values.min() == values.max()
    return 1.0 if same else float(max(shares, default=math.nan))


SHAPES = [(64, 64), (10, 30_000), (30_000, 10), (300, 500), (5, 90_000), (90_000, 5), (16, 8, 3, 3), (3, 3, 8, 16)]


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", SHAPES)
def test_copied_rows_and_columns_are_found(shape: tuple[int, ...], dtype: type, fortran: bool) -> None:
    plain = RNG.standard_normal(shape).astype(dtype)
    rows, columns = plain.copy(), plain.copy()
    rows[2] = rows[0]
    columns[..., 1] = columns[..., 2] = columns[..., 0]
    for values in (plain, rows, columns):
        assert twin(values, cuts=(3, 70_001), fortran=fortran) == pytest.approx(naive(values), abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(64, 64), (70_000, 2), (1, 8), (8, 1)])
def test_a_constant_weight_is_nothing_but_twins(shape: tuple[int, ...], value: float) -> None:
    assert twin(np.full(shape, value, dtype=np.float32)) == 1


def test_rows_that_differ_in_one_place_are_no_twins() -> None:
    assert twin(np.eye(256, dtype=np.float32)) == 0
    sparse = np.zeros((200, 5_000), dtype=np.float32)
    sparse[np.arange(200), RNG.permutation(5_000)[:200]] = 1
    for values in (sparse[:, 1_000:], sparse[:, 1_000:].T.copy()):
        assert twin(values) == naive(values) > 0
    ones = np.ones((4, 70_000), dtype=np.float32)
    ones[[0, 1, 2, 3], [5, 65_535, 65_536, 69_999]] = 2
    assert measure(stored(ones[:, :-1].copy(), fortran=False), "weight")["twin"] == naive(ones[:, :-1])


def test_rows_too_short_to_tell_are_not_judged() -> None:
    assert math.isnan(twin(bfloat16(RNG.standard_normal((256, 1))), "bfloat16"))
    assert math.isnan(twin(RNG.standard_normal((3, 3)).astype(np.float32)))
    assert math.isnan(twin(np.ones(30, dtype=np.float32)))


def test_values_that_are_not_finite_make_no_twins() -> None:
    assert math.isnan(twin(np.full((32, 32), np.nan, dtype=np.float32)))


@given(
    rows=st.integers(1, 9), columns=st.integers(1, 9), levels=st.integers(1, 3), seed=st.integers(0, 999),
    cuts=st.lists(st.integers(1, 20), max_size=3), fortran=st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_few_levels_agree_with_the_naive_share(
    rows: int, columns: int, levels: int, seed: int, cuts: list[int], fortran: bool
) -> None:
    values = np.random.default_rng(seed).integers(0, levels, (rows, columns)).astype(np.float32) - 1
    assert twin(values, cuts=cuts, fortran=fortran) == pytest.approx(naive(values), abs=1e-12, nan_ok=True)
