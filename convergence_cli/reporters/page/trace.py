"""A curve of a summary as checked numbers, whoever wrote the summary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convergence_cli.model import RunReport

Values = tuple["float | None", ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """One curve to draw: arrays of one length, None where nothing finite is known.

    ``x`` is the middle of each bucket and ``step`` its last step. ``nonfinite`` are spans (first step, last step,
    number of points); ``restarts`` are (bucket, step before, step after).
    """

    role: str
    name: str
    x: tuple[float, ...]
    step: tuple[float, ...]
    low: Values
    high: Values
    mean: Values
    nonfinite: tuple[tuple[float, float, int], ...] = ()
    restarts: tuple[tuple[int, float, float], ...] = ()
    buckets: bool = False

    @property
    def finite(self) -> list[float]:
        """The means that are finite."""
        return [value for value in self.mean if value is not None]


def traces_of(run: RunReport) -> dict[str, Trace]:
    """The curves of ``run`` by role, those without a point left out."""
    curves, series = run.summary.get("curves"), run.summary.get("series")
    names = series if isinstance(series, Mapping) else {}
    found = {}
    for role, curve in (curves if isinstance(curves, Mapping) else {}).items():
        if isinstance(curve, Mapping) and (one := _trace(str(role), str(names.get(role, role)), curve)) is not None:
            found[one.role] = one
    return found


def thinned(trace: Trace, most: int) -> Trace:
    """``trace`` with neighbours joined until there are at most ``most``; lowest and highest are kept."""
    size = -(-len(trace.mean) // most)
    if size <= 1:
        return trace
    cuts = [slice(at, at + size) for at in range(0, len(trace.mean), size)]

    def joined(values: Values, how: Any) -> Values:
        groups = ([value for value in values[cut] if value is not None] for cut in cuts)
        return tuple(how(group) if group else None for group in groups)

    step = tuple(trace.step[cut][-1] for cut in cuts)
    x = tuple((trace.x[cut][0] + trace.x[cut][-1]) / 2 for cut in cuts)
    restarts = tuple((bucket // size, before, after) for bucket, before, after in trace.restarts)
    # Each is divided first: the sum of finite numbers may be infinite.
    mean = joined(trace.mean, lambda group: math.fsum(value / len(group) for value in group))
    low, high = joined(trace.low, min), joined(trace.high, max)
    return Trace(trace.role, trace.name, x, step, low, high, mean, trace.nonfinite, restarts, buckets=True)


def _trace(role: str, name: str, curve: Mapping[str, Any]) -> Trace | None:
    mean = numbers(curve.get("mean"))
    if not mean:
        return None
    low, high = (numbers(curve.get(key)) for key in ("low", "high"))
    low, high = (side if len(side) == len(mean) else mean for side in (low, high))
    logged = numbers(curve.get("step"))
    step = tuple(float(at) if at is not None else float(index) for index, at in enumerate(logged))
    if len(step) != len(mean):
        step = tuple(map(float, range(len(mean))))
    points = number(curve.get("points"))
    buckets = points is not None and points > len(mean)
    restarts = tuple(_restarts(curve.get("restarts"), len(mean)))
    x = _middles(step, {bucket for bucket, _, _ in restarts}) if buckets else step
    spans = tuple(_spans(curve.get("nonfinite"))) or tuple(_gaps(step, mean))
    return Trace(role, name, x, step, low, high, mean, spans, restarts, buckets)


def _middles(step: tuple[float, ...], restarts: set[int]) -> tuple[float, ...]:
    first = step[0] - (step[1] - step[0] if len(step) > 1 and 1 not in restarts else 0.0)
    before = (first, *step[:-1])
    return tuple(
        at if number in restarts or was > at else was + (at - was) / 2
        for number, (was, at) in enumerate(zip(before, step, strict=True))
    )


def _spans(found: Any) -> list[tuple[float, float, int]]:
    spans = []
    for one in found if isinstance(found, Sequence) and not isinstance(found, str) else ():
        parts = numbers(one)
        if len(parts) == 3 and None not in parts:
            first, last, count = (part for part in parts if part is not None)
            spans.append((first, max(first, last), int(count)))
    return spans


def _gaps(step: tuple[float, ...], mean: Values) -> list[tuple[float, float, int]]:
    """Where nothing finite is known, of a report that does not tell the spans."""
    spans: list[tuple[float, float, int]] = []
    for index, value in enumerate(mean):
        if value is None and index and mean[index - 1] is None and spans:
            spans[-1] = (spans[-1][0], step[index], spans[-1][2] + 1)
        elif value is None:
            spans.append((step[index], step[index], 1))
    return spans


def _restarts(found: Any, length: int) -> list[tuple[int, float, float]]:
    restarts = []
    for one in found if isinstance(found, Sequence) and not isinstance(found, str) else ():
        parts = [number(one.get(key)) for key in ("bucket", "from", "to")] if isinstance(one, Mapping) else [None]
        if None not in parts:
            bucket, before, after = (part for part in parts if part is not None)
            if 0 <= bucket < length:
                restarts.append((int(bucket), before, after))
    return restarts


def numbers(found: Any) -> Values:
    """``found`` as finite numbers, None in the place of anything else; empty where it is no list."""
    if isinstance(found, str) or not isinstance(found, Sequence):
        return ()
    return tuple(map(number, found))


def number(item: Any) -> float | None:
    """``item`` where it is a finite number."""
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return None
    try:
        found = float(item)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
