"""Curves as SVG paths in units of the plot, with relative coordinates: some six bytes a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.reporters.page.scale import WIDTH, Scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convergence_cli.reporters.page.trace import Trace, Values


class Steps:
    """Where steps lie between ``first`` and ``last``."""

    def __init__(self, first: float, last: float) -> None:
        self.first, self.last = first, last
        self._span = last / 2 - first / 2

    def x(self, step: float) -> int:
        """The place of ``step`` in units of the plot."""
        return round(WIDTH * self.share(step))

    def share(self, step: float) -> float:
        """The place of ``step`` from 0 to 1."""
        if not self._span > 0:
            return 0.5
        return min(max((step / 2 - self.first / 2) / self._span, 0.0), 1.0)


def steps_of(traces: Iterable[Trace], first: float | None = None) -> Steps:
    """The steps that all ``traces`` share as their axis, from ``first`` on where that is before them."""
    ends = [end for trace in traces for end in (min(trace.x), max(trace.step))]
    if ends and first is not None and first < min(ends):
        ends.append(first)
    return Steps(min(ends), max(ends)) if ends else Steps(0.0, 1.0)


def line(trace: Trace, steps: Steps, scale: Scale) -> str:
    """The means as a path, broken where nothing finite is known and where the step goes back."""
    breaks = {bucket for bucket, _, _ in trace.restarts}
    return "".join(_strand(points) for points in _strands([steps.x(at) for at in trace.x], trace.mean, scale, breaks))


def envelope(trace: Trace, steps: Steps, scale: Scale) -> str:
    """The area from the lowest to the highest value of each bucket; nothing where every point is drawn."""
    if all(low == high for low, high in zip(trace.low, trace.high, strict=True)):
        return ""
    breaks = {bucket for bucket, _, _ in trace.restarts}
    xs = [steps.x(at) for at in trace.x]
    tops, feet = _strands(xs, trace.high, scale, breaks), _strands(xs, trace.low, scale, breaks)
    return "".join(_strand([*top, *reversed(foot)]) + "z" for top, foot in zip(tops, feet, strict=True))


def _strands(xs: Sequence[int], values: Values, scale: Scale, breaks: set[int]) -> list[list[tuple[int, int]]]:
    strands: list[list[tuple[int, int]]] = [[]]
    for index, (x, value) in enumerate(zip(xs, values, strict=True)):
        if value is None or index in breaks:
            strands.append([])
        if value is not None:
            strands[-1].append((x, scale.y(value)))
    return [strand for strand in strands if strand]


def _strand(points: Sequence[tuple[int, int]]) -> str:
    x, y = points[0]
    parts = [f"M{x} {y}l"]
    for next_x, next_y in points[1:]:
        dx, dy = next_x - x, next_y - y
        parts.append(f"{dx}{dy}" if dy < 0 else f"{dx} {dy}")
        parts.append(" ")
        x, y = next_x, next_y
    if len(points) == 1:
        # A point of its own is seen as the round cap of a line without length.
        parts.append("0 0")
    return "".join(parts).rstrip()


def spark(values: Sequence[float | None]) -> str:
    """``values`` at equal distances as a path over the whole plot."""
    from convergence_cli.reporters.page.scale import scale_of

    finite = [value for value in values if value is not None]
    if not finite:
        return ""
    scale = scale_of(finite)
    width = max(len(values) - 1, 1)
    strands = _strands([WIDTH * at // width for at in range(len(values))], tuple(values), scale, set())
    return "".join(map(_strand, strands))
