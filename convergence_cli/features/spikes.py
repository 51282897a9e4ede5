"""Isolated jumps of a loss above its trend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import mad_std, median, running_median

if TYPE_CHECKING:
    from convergence_cli.features.view import View
    from convergence_cli.model import Curve

# Robust deviates above the trend, and share of the trend's own range (runmedic: z > 8 and > 1.5 x trend).
SPIKE_Z = 8.0
SPIKE_OF_LEVEL = 0.5
# A spike is also large beside the progress made, or a multiple of the level.
SPIKE_OF_DROP = 0.1
SPIKE_FACTOR = 4.0
MIN_POINTS = 20
# Share of the log at the start where a steep fall passes for spikes.
SETTLING = 0.03


@dataclass(frozen=True, slots=True)
class Spike:
    """One spike: where, how high, the level before it and the level that followed until the end.

    ``z`` is the height over the robust spread of the residuals. ``lost`` is (after - before) as a share of
    the drop that the loss had made up to the spike; ``recovered_step`` is where the loss was back within
    the noise of its earlier level, None where it never was. ``groups_after``: how many groups of points follow.
    """

    step: float
    height: float
    before: float
    after: float
    z: float
    lost: float
    recovered_step: float | None
    groups_after: int


def spikes_of(curve: Curve, view: View, start: float) -> tuple[Spike, ...]:
    """Spikes of a loss in order of step; two in neighbouring groups count as one."""
    n = len(view)
    if n < MIN_POINTS:
        return ()
    width = max(7, n // 15)
    trend = running_median(view.mean, width)
    residual = view.high - trend
    # A group's maximum lies above its mean by more, the more points it holds: centre that away.
    residual = residual - running_median(residual, max(15, n // 5))
    spread = max(mad_std(residual), 1e-9 * max(abs(start), 1e-300))
    settled = max(int(n * SETTLING), 2)
    level = np.maximum(np.abs(trend), 1e-300)
    height = view.high - trend
    big = (height > SPIKE_OF_DROP * abs(start - float(trend.min()))) | (height > (SPIKE_FACTOR - 1) * level)
    high_enough = (height > SPIKE_OF_LEVEL * level) & big
    where = np.flatnonzero((residual > SPIKE_Z * spread) & high_enough)
    where = where[where >= settled]
    found: list[Spike] = []
    previous = -10
    for index in where:
        if index - previous <= 2:
            previous = int(index)
            continue
        previous = int(index)
        step = _peak_step(curve, view, int(index))
        spike = _spike(view, step, int(index), start, float(residual[index] / spread), spread)
        # On a steep fall a point may lie above the trend and yet below all that came before it.
        if spike.height > spike.before:
            found.append(spike)
    return tuple(found)


def _peak_step(curve: Curve, view: View, index: int) -> float:
    """The step of the highest point in a group, not the group's last."""
    if curve.buckets is not None:
        return float(view.step[index])
    since = view.step[index - 1] if index else -np.inf
    inside = np.flatnonzero((curve.step > since) & (curve.step <= view.step[index]) & np.isfinite(curve.value))
    return float(curve.step[inside[np.argmax(curve.value[inside])]]) if len(inside) else float(view.step[index])


def _spike(view: View, step: float, index: int, start: float, z: float, spread: float) -> Spike:
    before = median(view.mean[max(index - 8, 0) : index])
    later = view.mean[index + 1 :]
    after = median(later[-max(len(later) // 3, 1) :]) if len(later) else float(view.mean[index])
    back = np.flatnonzero(later <= before + 3 * spread)
    drop = max(start - before, 0.05 * abs(before), 1e-300)
    return Spike(
        step=step,
        height=float(view.high[index]),
        before=before,
        after=after,
        z=min(z, 1e6),
        lost=(after - before) / drop,
        groups_after=len(later),
        recovered_step=float(view.step[index + 1 + back[0]]) if len(back) else None,
    )
