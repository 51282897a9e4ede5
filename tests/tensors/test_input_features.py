"""Offset and spread of an input's features, also where their squares cancel."""

from __future__ import annotations

import numpy as np
import pytest
from tensors.oracle import Array, stored

from convergence_cli.tensors.statistics import measure

RNG = np.random.default_rng(7)


def expect(values: Array, axis: int, **how: object) -> dict[str, float]:
    found = measure(stored(values, **how), "input", unit_axis=axis)  # type: ignore[arg-type]
    features = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    features = np.where(np.isfinite(features), features, np.nan)
    mean, std = np.nanmean(features, axis=1), np.nanstd(features, axis=1)
    std[np.nanmax(features, axis=1) == np.nanmin(features, axis=1)] = 0
    varied = std > 0
    assert found["constant_features"] == np.mean(~varied)
    if varied.any():
        assert found["feature_offset"] == pytest.approx(np.median(np.abs(mean[varied]) / std[varied]), rel=1e-6)
        assert found["feature_spread"] == pytest.approx(std[varied].max() / std[varied].min(), rel=1e-6)
    return found


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((500, 8), 1), ((30, 3, 40, 41), 1), ((9, 70_000), -1), ((6, 5, 4), 0)])
def test_features_agree_with_the_whole_array(shape: tuple[int, ...], axis: int, fortran: bool) -> None:
    values = RNG.standard_normal(shape).astype(np.float32)
    by_feature = np.moveaxis(values, axis, 0)
    by_feature[0] = 0.1
    by_feature[1] *= 1e4
    by_feature[2] += 100
    expect(values, axis, cuts=(3, 66_000), fortran=fortran)


def test_a_small_spread_about_a_million_is_seen() -> None:
    values = RNG.standard_normal((100_000, 4)).astype(np.float32)
    values += np.float32(1e6)
    found = expect(values, 1)
    assert found["feature_offset"] == pytest.approx(1e6, rel=0.02)


def test_what_is_not_finite_is_left_out() -> None:
    values = RNG.standard_normal((60_000, 3)).astype(np.float32)
    values[:40_000, 0] = np.nan
    values[::7, 1] = np.inf
    expect(values, 1)
    values[:, 2] = np.nan
    found = measure(stored(values), "input", unit_axis=1)
    assert found["constant_features"] == 0
    assert "feature_offset" not in measure(stored(np.full((5, 2), np.nan)), "input", unit_axis=1)


def test_constant_features_have_neither_offset_nor_spread() -> None:
    found = expect(np.full((100, 3), 0.1, dtype=np.float32), 1)
    assert found["constant_features"] == 1
    assert "feature_offset" not in found
    assert "constant_features" not in measure(stored(np.ones((9, 3), dtype=np.int64)), "input", unit_axis=1)
