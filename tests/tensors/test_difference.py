"""What changed between two dumps of a tensor, against the whole arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensors.oracle import Array, bfloat16, near, stored

from convergence_cli.tensors.statistics import difference

RNG = np.random.default_rng(2)


def expect(now: Array, before: Array) -> None:
    found = difference(stored(now, cuts=(3, 70_001)), stored(before, cuts=(1, 1, 50_000), block=99_991))
    new, old = now.astype(np.float64).reshape(-1), before.astype(np.float64).reshape(-1)
    with np.errstate(all="ignore"):
        finite = np.isfinite(new) & np.isfinite(old)
        apart = new[finite] - old[finite]
        largest = np.abs(apart).max(initial=0)
        unit = apart / largest if largest else apart
        norm = math.sqrt(math.fsum(unit * unit)) * float(largest or 1) if np.isfinite(largest) else math.inf
        assert ("change" in found) == bool(finite.any() or not finite.size)
        if "change" in found:
            near(found["change"], norm, 1e-5 * norm)
        same = (now == before) | (np.isnan(now) & np.isnan(before))
        assert found["changed"] == pytest.approx(np.mean(~same) if same.size else 0, abs=1e-12)
        assert found["close"] == float(np.allclose(new, old, rtol=1e-5, atol=1e-8, equal_nan=False))


NORMAL = RNG.standard_normal(150_000).astype(np.float32)
PAIRS = {
    "step": (NORMAL, NORMAL + np.float32(1e-3) * NORMAL[::-1]),
    "same": (NORMAL, NORMAL.copy()),
    "tiny step": (NORMAL, NORMAL * np.float32(1 + 2e-7)),
    "tiny values": (NORMAL * np.float32(1e-30), NORMAL * np.float32(2e-30)),
    "huge values": (NORMAL * np.float32(1e30), -NORMAL * np.float32(1e30)),
    "beyond float32": (np.full(9, 3e38, dtype=np.float32), np.full(9, -3e38, dtype=np.float32)),
    "float64 huge": (np.full(9, 1e300), np.full(9, -1e300)),
    "float64 beyond": (np.full(9, 1.7e308), np.full(9, -1.7e308)),
    "became NaN": (np.where(NORMAL > 1, np.float32("nan"), NORMAL), NORMAL),
    "stayed NaN": (np.where(NORMAL > 1, np.float32("nan"), NORMAL), np.where(NORMAL > 1, np.float32("nan"), NORMAL)),
    "all became NaN": (np.full(9, np.nan), np.ones(9)),
    "all stayed NaN": (np.full(9, np.nan), np.full(9, np.nan)),
    "all stayed infinite": (np.full(9, np.inf), np.full(9, np.inf)),
    "NaN in float16": (np.array([np.nan, 1], np.float16), np.array([np.nan, 1], np.float16)),
    "infinite": (np.array([np.inf, np.inf, -np.inf, 1.0]), np.array([np.inf, -np.inf, 1.0, np.inf])),
    "signed zeros": (np.zeros(5), -np.zeros(5)),
    "int64": (np.array([2**62 + 1, 5]), np.array([2**62, 5])),
    "bool": (np.array([True, False]), np.array([True, True])),
    "float16": (NORMAL.astype(np.float16), (NORMAL * 1.01).astype(np.float16)),
    "other precision": (NORMAL.astype(np.float16), NORMAL),
    "empty": (np.empty((0, 3)), np.empty((0, 3))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_differences_agree_with_the_whole_arrays(name: str) -> None:
    expect(*PAIRS[name])


def test_bfloat16_is_compared_by_value() -> None:
    now, before = bfloat16(NORMAL), bfloat16(NORMAL)
    before[7] ^= 1
    now[8], before[8] = 0x8000, 0
    found = difference(stored(now, "bfloat16"), stored(before, "bfloat16"))
    assert found["changed"] == pytest.approx(1 / NORMAL.size)
    assert 0 < found["change"] < 0.1


def test_other_shapes_or_orders_are_not_compared() -> None:
    square = np.ones((4, 4), dtype=np.float32)
    assert difference(stored(square), stored(square.reshape(2, 8))) == {}
    assert difference(stored(square), stored(square, fortran=True)) == {}
    line = np.ones(4, dtype=np.float32)
    assert difference(stored(line), stored(line, fortran=True)) == {"change": 0, "changed": 0, "close": 1}


@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64, np.int32, np.uint8, np.float16]))
@settings(deadline=None, max_examples=100)
def test_any_two_tensors_of_one_shape_are_compared(data: st.DataObject, dtype: type) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
    expect(data.draw(hnp.arrays(dtype, shape)), data.draw(hnp.arrays(dtype, shape)))
