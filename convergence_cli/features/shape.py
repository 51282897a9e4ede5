"""The shape of one loss curve in a few numbers: levels, drop, rise, noise, trends, spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import kendall_z, median, noise_std, running_median, shift_z
from convergence_cli.features.view import NonFinite, View, nonfinite_of, view_of

if TYPE_CHECKING:
    from convergence_cli.model import Curve, FloatArray

_TINY = 1e-300
# The end is looked at by itself only where enough stands before it, and not where it is on its way down.
TAIL_POINTS, TAIL_FALL = 16, 0.9
# Above the first point by this factor, and by these deviations of the noise: a first batch may be an easy one.
FIRST_RISE, FIRST_SURE = 1.25, 3.0
# A loss rests where this share of its points lies within this band, with noise below this share of its level.
REST_SHARE, REST_BAND, REST_NOISE = 0.6, 0.005, 0.002


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What the verdict looks at. Levels are in the unit of the curve, ``*_z`` are normal deviates.

    ``start``, ``best``, ``end``: robust levels of the first points, of the lowest smoothed stretch and of
    the last tenth. ``body``: the level after the first tenth. ``noise``: standard deviation of the grouped
    means about a smooth curve; ``late_noise`` the same over the second half. ``late_z`` is the Mann-Kendall
    deviate over the last third, ``last_z`` over the last sixth, ``body_z`` from the first tenth on,
    ``fall_z`` over the whole curve. ``drop_z`` and ``rise_z`` are the drop to the end and the rise from the
    best in standard errors.
    ``never_below``: all groups lie above the very first point (less 10 %), and the last third beyond twice
    it. ``resolution``: the smallest drop, as a share of the start, that the noise would let be seen.
    ``tail_jump``: how many of the last points lie beyond everything before by more than the drop;
    ``climbing``: how many of them climb without a break beyond the later half; ``tail_falls``: the last five
    have passed their highest. ``third_drop``: the drop from the first third to the last, as a share of the
    start; ``third_z``: the same in standard errors. ``early_share``: the share of the drop that was made by
    half-time. ``peak``: the highest point; ``variation``: the spread of single points over the level.
    ``resting``: from the first third on the loss lies on one value, with less noise than batches of data
    have.
    """

    view: View
    nonfinite: NonFinite
    points: int
    start: float
    body: float
    best: float
    end: float
    best_step: float
    noise: float
    late_noise: float
    late_z: float
    body_z: float
    drop_z: float
    rise_z: float
    fall_z: float
    never_below: bool
    resolution: float
    tail_jump: int
    climbing: int
    tail_falls: bool
    early_share: float
    resting: bool
    third_drop: float
    third_z: float
    last_z: float
    peak: float
    variation: float
    last: float
    late_change: float
    smooth: FloatArray
    best_index: int

    @property
    def first(self) -> float:
        """The very first point."""
        return float(self.view.mean[0])

    @property
    def drop(self) -> float:
        return self.start - self.best

    @property
    def rise(self) -> float:
        return self.end - self.best

    def level_at(self, step: float) -> float:
        """The smoothed level at ``step``, interpolated."""
        return float(np.interp(step, self.view.step, self.smooth))

    @property
    def scale(self) -> float:
        """The size of the loss itself, for 'percent of the loss'; never 0."""
        return max(abs(self.start), abs(self.best), _TINY)

    @property
    def relative_drop(self) -> float:
        """Drop from start to end as a share of the start's size."""
        return (self.start - self.end) / max(abs(self.start), _TINY)

    @property
    def body_drop(self) -> float:
        """Drop from the level after the first tenth to the end, as a share of that level's size."""
        return (self.body - self.end) / max(abs(self.body), _TINY)


def shape_of(curve: Curve) -> Shape | None:
    """The shape of ``curve``, or None where it has no finite point."""
    view = view_of(curve)
    y = view.mean
    n = len(y)
    if n == 0:
        return None
    few = _few(n)
    tail = max(n // 10, min(3, max(n // 3, 1)))
    third = max(n // 3, min(n, 3))
    width = max(3, n // 20)
    smooth = running_median(y, width) if n >= 5 else y
    noise, late_noise = noise_std(y), noise_std(y[n // 2 :])
    start = median(y[:few]) if n >= 20 else float(y[0])
    if y[0] > 0 and start > FIRST_RISE * y[0] and start - y[0] > FIRST_SURE * noise:
        # It blew up at once: where it came from is the first point.
        start = float(y[0])
    best_index = int(np.argmin(smooth))
    end = median(y[-tail:])
    skip = n // 10
    body = median(y[skip : skip + max(few, n // 10)])
    best = min(float(smooth[best_index]), end)
    near = y[max(best_index - tail, 0) : best_index + tail + 1]
    # Few points estimate their own noise badly, and mostly too low.
    sigma = max(late_noise, 0.5 * noise, 1e-12 * abs(best), _TINY) * (1 + 5 / n)
    return Shape(
        view=view,
        nonfinite=nonfinite_of(curve),
        points=curve.points,
        start=start,
        body=body,
        best=best,
        end=end,
        best_step=float(view.step[best_index]),
        noise=noise,
        late_noise=late_noise,
        late_z=kendall_z(y[-third:]),
        body_z=kendall_z(y[skip:]),
        drop_z=_drop_z(y, third, max(noise, _TINY)),
        fall_z=kendall_z(y),
        never_below=_never_below(y, third),
        resolution=3 * noise * math.sqrt(1.57 * 2 / third) / max(abs(start), _TINY),
        rise_z=min((end - median(near)) / (sigma * math.sqrt(1.57 * (1 / tail + 1 / len(near)))), 1e6),
        tail_jump=_tail_jump(curve, view, start, best),
        climbing=_climbing(curve, view, start),
        tail_falls=_tail_falls(curve, view),
        resting=_resting(y, end, late_noise),
        third_z=_third_z(y, third, max(noise, _TINY)),
        third_drop=(median(y[:third]) - median(y[-third:])) / max(abs(start), _TINY),
        last_z=kendall_z(y[-max(third // 2, 1) :]),
        peak=float(view.high.max()),
        variation=(noise if view.size == 1 else median(view.spread)) / max(abs(end), _TINY),
        early_share=(start - float(smooth[n // 2])) / max(start - end, _TINY),
        last=float(y[-1]) if curve.buckets is not None else float(curve.value[np.isfinite(curve.value)][-1]),
        late_change=(median(smooth[-third:][: max(third // 4, 1)]) - end),
        smooth=smooth,
        best_index=best_index,
    )


def _few(n: int) -> int:
    return max(1, min(3, n // 10))


def _third_z(y: FloatArray, third: int, noise: float) -> float:
    fall = median(y[:third]) - median(y[-third:])
    return min(fall / (noise * math.sqrt(1.57 * 2 / third)), 1e6)


def _drop_z(y: FloatArray, third: int, noise: float) -> float:
    """The surer of two views of 'the last third lies below the first': by rank and by size over noise."""
    first, last = y[:third], y[-third:]
    ranked = -shift_z(first, last)
    sized = float(median(first) - median(last)) / (noise * math.sqrt(1.57 * 2 / third))
    # A loss that falls within its first points and then rests: the first point alone against the end.
    at_once = float(y[0] - median(last)) / (noise * math.sqrt(1 + 1.57 / third))
    by_thirds = min(max(ranked, 0.0) * 1.5, max(sized, 0.0)) if third >= 3 else max(sized, 0.0)
    return min(max(by_thirds, at_once, 0.0), 1e6)


def _never_below(y: FloatArray, third: int) -> bool:
    if len(y) < 6 or y[0] <= 0:
        return False
    return bool(y[1:].min() > 0.9 * y[0] and median(y[-third:]) > 2 * y[0])


def _resting(y: FloatArray, end: float, late_noise: float) -> bool:
    later = y[len(y) // 3 :]
    near = float((np.abs(later - end) <= REST_BAND * abs(end)).mean())
    return len(y) >= 20 and near >= REST_SHARE and late_noise <= REST_NOISE * abs(end)


def _tail_falls(curve: Curve, view: View) -> bool:
    last = curve.value[-5:] if curve.buckets is None else view.mean[-5:]
    last = last[np.isfinite(last)]
    return bool(len(last) and last[-1] < TAIL_FALL * last.max())


def _climbing(curve: Curve, view: View, start: float) -> int:
    """How many of the last points climb, each beyond all of the later half, to end above the start."""
    n = len(view)
    last = curve.value[-5:] if curve.buckets is None else view.mean[-5:]
    if n < TAIL_POINTS or not last[-1] > start:
        return 0
    ceiling = float(view.high[n // 2 : n - 5].max()) if n - 5 > n // 2 else float(view.high[n // 2])
    margin = ceiling - float(view.low[n // 2 :].min())
    count = 0
    for value, before in zip(last[::-1], last[-2::-1], strict=False):
        if not (value > ceiling + margin and value > before):
            break
        count += 1
    return count


def _tail_jump(curve: Curve, view: View, start: float, best: float) -> int:
    """How many of the last points lie above the start and far above all since the first quarter.

    The last five points themselves are looked at, not their groups: an explosion may end the log within
    a few rows.
    """
    n = len(view)
    last = curve.value[-5:] if curve.buckets is None else view.mean[-5:]
    if n < TAIL_POINTS:
        return 0
    before = view.high[n // 4 : max(n - 5, n // 4 + 1)]
    ceiling = max(float(before.max()), start)
    bar = ceiling + 0.5 * max(ceiling - best, abs(start - best))
    count = 0
    for value in last[::-1]:
        if not value > bar:
            break
        count += 1
    return count
