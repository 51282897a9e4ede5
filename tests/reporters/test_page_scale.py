"""Scales, ticks and paths: any finite values, nothing lost, nothing outside."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.reporters.page.paths import envelope, line, spark, steps_of
from convergence_cli.reporters.page.scale import HEIGHT, WIDTH, scale_of
from convergence_cli.reporters.page.trace import Trace, thinned, traces_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)
LISTS = st.lists(FINITE, min_size=1, max_size=40)


@given(LISTS, st.lists(FINITE, max_size=3))
@settings(deadline=None)
def test_any_values_have_a_place_and_keep_their_order(values: list[float], lines: list[float]) -> None:
    scale = scale_of(values, lines)
    heights = [scale.y(value) for value in sorted(values)]
    assert heights == sorted(heights, reverse=True)
    assert all(0 <= height <= HEIGHT for height in heights)
    assert scale.cut or all(scale.inside(value) for value in values if scale.kind == "linear" or value >= scale.low)


@given(LISTS)
@settings(deadline=None)
def test_ticks_are_few_ascend_and_lie_on_the_scale(values: list[float]) -> None:
    scale = scale_of(values)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 9
    assert ticks == sorted(ticks)
    assert all(math.isfinite(tick) and scale.inside(tick) for tick in ticks)


@pytest.mark.parametrize(
    ("values", "kind", "cut"),
    [
        ([2.3 - 0.02 * n for n in range(100)], "linear", False),
        ([10 ** (2 - n / 20) for n in range(100)], "log", False),
        ([2.0] * 95 + [1e14, 3e14], "linear", True),
        ([-2.0 + 0.1 * n for n in range(50)] + [1e8], "linear", True),
        ([0.0, *(10 ** (n / 10) for n in range(50))], "log", False),
        ([3e-4 * (1 + math.cos(math.pi * n / 100)) / 2 + 1e-7 for n in range(100)], "linear", False),
        ([0.5], "linear", False),
        ([0.0, 0.0], "linear", False),
    ],
)
def test_a_logarithm_where_the_range_asks_for_it(values: list[float], kind: str, cut: bool) -> None:
    scale = scale_of(values)
    assert (scale.kind, scale.cut) == (kind, cut)


def test_a_spike_in_one_bucket_of_many_is_seen() -> None:
    mean = (1.0,) * 200
    high = (*mean[:100], 9.0, *mean[101:])
    steps = tuple(map(float, range(200)))
    trace = Trace("train_loss", "loss", steps, steps, mean, high, mean, buckets=True)
    scale = scale_of([*mean, *high])
    drawn = points(envelope(trace, steps_of([trace]), scale))
    assert min(y for _, y in drawn) == scale.y(9.0)
    small = thinned(trace, 25)
    assert len(small.mean) == 25
    assert max(value for value in small.high if value is not None) == 9.0
    assert small.step[-1] == 199.0


def test_a_path_breaks_where_nothing_is_finite_and_where_the_step_goes_back() -> None:
    mean = (1.0, 2.0, None, 3.0, 4.0, 5.0)
    steps = (0.0, 1.0, 2.0, 3.0, 1.0, 2.0)
    trace = Trace("train_loss", "loss", steps, steps, mean, mean, mean, restarts=((4, 3.0, 1.0),))
    path = line(trace, steps_of([trace]), scale_of([1.0, 5.0]))
    assert path.count("M") == 3
    assert envelope(trace, steps_of([trace]), scale_of([1.0, 5.0])) == ""


@given(st.lists(st.none() | FINITE, min_size=1, max_size=40))
@settings(deadline=None)
def test_paths_stay_within_the_plot(values: list[float | None]) -> None:
    steps = tuple(map(float, range(len(values))))
    trace = Trace("train_loss", "loss", steps, steps, tuple(values), tuple(values), tuple(values))
    finite = trace.finite or [0.0]
    for path in (line(trace, steps_of([trace]), scale_of(finite)), spark(values)):
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["step", "low", "high", "mean", "points", "nonfinite", "restarts"]), JSON))
@settings(deadline=None)
def test_whatever_a_saved_curve_holds_it_is_read_or_left_out(curve: dict[str, object]) -> None:
    run = type("Run", (), {"summary": {"curves": {"train_loss": curve}}})()
    for trace in traces_of(run).values():
        assert len({len(trace.x), len(trace.step), len(trace.low), len(trace.high), len(trace.mean)}) == 1


def points(path: str) -> list[tuple[int, int]]:
    """The places that ``path`` goes through."""
    found = []
    for strand in path.replace("z", "").split("M")[1:]:
        start, _, moves = strand.partition("l")
        x, y = map(int, start.split())
        found.append((x, y))
        steps = [int(one) for one in re.findall(r"-?\d+", moves)]
        for dx, dy in zip(steps[::2], steps[1::2], strict=True):
            x, y = x + dx, y + dy
            found.append((x, y))
    return found
