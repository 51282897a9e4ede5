"""The logged global gradient norm: level, outliers, drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import kendall_z, median, running_median
from convergence_cli.features.view import NonFinite, nonfinite_of, view_of

if TYPE_CHECKING:
    from convergence_cli.model import Curve


@dataclass(frozen=True, slots=True)
class GradNorm:
    """Levels of the gradient norm, in its own unit.

    ``early``: median of the first tenth after the first points; ``typical``: median of the middle; ``end``:
    median of the last tenth; ``low``: lowest smoothed level and ``low_step`` its step. ``p50`` .. ``p99``:
    percentiles of the points (of the group maxima where the curve is kept as buckets). ``growth`` is end /
    low, ``growth_z`` the Mann-Kendall deviate since the lowest level. ``zeros`` is the share of points that
    are exactly 0; ``outliers`` the share above 10 times the median.
    """

    points: int
    nonfinite: NonFinite
    early: float
    typical: float
    end: float
    low: float
    low_step: float
    peak: float
    growth: float
    growth_z: float
    p50: float
    p90: float
    p99: float
    zeros: float
    outliers: float


def grad_norm_of(curve: Curve) -> GradNorm | None:
    """The features of a logged gradient norm, or None where it has fewer than 3 finite points."""
    view = view_of(curve)
    y = view.mean
    n = len(y)
    if n < 3:
        return None
    values = curve.value[np.isfinite(curve.value)] if curve.buckets is None else view.high
    p50, p90, p99 = (float(q) for q in np.percentile(values, [50, 90, 99]))
    smooth = running_median(y, max(3, n // 10))
    low_index = int(np.argmin(smooth))
    end = median(y[-max(n // 10, 1) :])
    peak_index = int(np.argmax(view.high))
    return GradNorm(
        points=curve.points,
        nonfinite=nonfinite_of(curve),
        early=median(y[: max(n // 10, 1)]),
        typical=median(y),
        end=end,
        low=float(smooth[low_index]),
        low_step=float(view.step[low_index]),
        peak=float(view.high[peak_index]),
        growth=end / max(float(smooth[low_index]), 1e-300),
        growth_z=kendall_z(y[low_index:]),
        p50=p50,
        p90=p90,
        p99=p99,
        zeros=float((values == 0).mean()),
        outliers=float((values > 10 * max(p50, 1e-300)).mean()),
    )
