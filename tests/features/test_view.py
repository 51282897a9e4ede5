"""A curve as groups: nothing lost, and the same for a curve kept whole and one kept as buckets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from curves import GENERATORS, Log, evidence_of, make
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.features.evidence import Evidence
from convergence_cli.features.view import VIEW_BUCKETS, nonfinite_of, view_of
from convergence_cli.model import Curve, Run
from convergence_cli.readers._collect import KEPT_POINTS, Collector

LONG = 3 * KEPT_POINTS + 12_345
values = st.lists(st.one_of(st.floats(-100, 100), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=60)


def _collected(step: np.ndarray, value: np.ndarray) -> Curve:
    collector = Collector()
    collector.add("loss", step.copy(), value.copy())
    return collector.curves()[0]


@settings(max_examples=80, deadline=None)
@given(values, st.integers(1, 25))
def test_groups_hold_what_a_loop_finds_in_them(points: list[float], most: int) -> None:
    value = np.array(points, dtype=np.float64)
    view = view_of(Curve("loss", np.arange(len(value), dtype=np.float64), value), most)
    size = max(math.ceil(len(points) / most), 1)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    finite = [[v for v in group if math.isfinite(v)] for group in groups]
    last = [min(i * size + size, len(points)) - 1 for i in range(len(groups))]
    kept = [(group, end) for group, end in zip(finite, last, strict=True) if group]
    assert view.low.tolist() == [min(group) for group, _ in kept]
    assert view.high.tolist() == [max(group) for group, _ in kept]
    assert view.count.tolist() == [len(group) for group, _ in kept]
    assert view.step.tolist() == [end for _, end in kept]
    assert view.mean == pytest.approx([sum(group) / len(group) for group, _ in kept], abs=1e-9)
    assert view.spread == pytest.approx([np.std(group) for group, _ in kept], abs=1e-6)
    assert len(view) <= most


@settings(max_examples=60, deadline=None)
@given(values)
def test_non_finite_points_are_counted_one_by_one(points: list[float]) -> None:
    bad = [not math.isfinite(v) for v in points]
    found = nonfinite_of(Curve("loss", np.arange(len(points)) * 10.0, np.array(points, dtype=np.float64)))
    assert (found.count, found.total) == (sum(bad), len(points))
    assert found.first_step == (10.0 * bad.index(True) if any(bad) else None)
    assert found.last_is_nonfinite == (bad[-1] if bad else False)
    tail = max(len(bad) // 10, min(3, len(bad)))
    assert found.tail_share == pytest.approx(sum(bad[-tail:]) / tail if bad else 0.0)


def test_the_line_of_the_first_broken_point_is_kept() -> None:
    value = np.array([1.0, math.nan, math.inf])
    curve = Curve("loss", np.arange(3.0), value, line=np.array([2, 5, 9]))
    assert nonfinite_of(curve).first_line == 5


@pytest.fixture(scope="module")
def long_pair() -> tuple[Curve, Curve]:
    rng = np.random.default_rng(5)
    step = np.arange(LONG, dtype=np.float64)
    value = 2.0 + 8.0 * (1 + step / 500) ** -0.5 + 0.3 * rng.standard_normal(LONG)
    value[100_000] = 1e6
    value[150_001:150_004] = math.nan
    value[150_007] = -math.inf
    return Curve("loss", step, value), _collected(step, value)


def test_a_long_curve_loses_no_extreme_and_no_non_finite_point(long_pair: tuple[Curve, Curve]) -> None:
    whole, kept = long_pair
    assert kept.buckets is not None
    assert len(kept.value) <= KEPT_POINTS
    assert whole.points == kept.points == LONG
    exact, grouped = view_of(whole), view_of(kept)
    assert len(grouped) <= VIEW_BUCKETS
    assert grouped.high.max() == exact.high.max() == 1e6
    assert grouped.low.min() == exact.low.min()
    assert grouped.count.sum() == exact.count.sum() == LONG - 4
    means = [(v.mean * v.count).sum() / v.count.sum() for v in (exact, grouped)]
    assert means[0] == pytest.approx(means[1])
    found, expected = nonfinite_of(kept), nonfinite_of(whole)
    assert (found.count, found.first_step) == (expected.count, expected.first_step) == (4, 150_001.0)
    assert not found.last_is_nonfinite


@pytest.mark.parametrize("name", ["power_law", "rise_after_half", "flat", "nan_tail", "collapse_to_start"])
def test_the_verdict_on_buckets_is_the_verdict_on_the_points(name: str) -> None:
    log: Log = make(name, 1, points=LONG)
    (series, (step, value)), *_ = log.series.items()
    whole = Evidence(Run("w", "w", "made", (Curve(series, step, value, role="train_loss"),), log.config)).verdict
    kept = evidence_of(log)
    assert kept.loss is not None
    assert kept.loss.logged.buckets is not None
    assert kept.verdict.label == whole.label == GENERATORS[name].label
    assert kept.verdict.state == whole.state
    if whole.since_step is not None and kept.verdict.since_step is not None:
        assert kept.verdict.since_step == pytest.approx(whole.since_step, abs=0.02 * LONG)
