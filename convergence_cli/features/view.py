"""A curve as at most a few hundred equal groups of points, the same for 500 points and for 10 million."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.buckets import merge, reduce_points

if TYPE_CHECKING:
    from convergence_cli.model import Buckets, Curve, FloatArray

VIEW_BUCKETS = 200


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Groups of consecutive points that hold at least one finite point; arrays of one length.

    ``step`` is the last step of each group, ``mean``, ``low``, ``high`` and ``spread`` are over its
    finite points, ``count`` is their number. ``size`` is the number of points in a full group.
    """

    step: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    spread: FloatArray
    count: FloatArray
    size: int

    def __len__(self) -> int:
        return len(self.mean)


def view_of(curve: Curve, most: int = VIEW_BUCKETS, *, keep_empty: bool = False) -> View:
    """``curve`` in at most ``most`` groups. Groups without a finite point are left out, unless ``keep_empty``."""
    buckets = _buckets(curve, most)
    keep = (buckets.count > 0) | keep_empty
    return View(
        buckets.last_step[keep],
        buckets.mean[keep],
        buckets.low[keep],
        buckets.high[keep],
        buckets.spread[keep],
        buckets.count[keep],
        int((buckets.count + buckets.nonfinite).max(initial=1)),
    )


def _buckets(curve: Curve, most: int) -> Buckets:
    total = len(curve.value)
    size = max(-(-total // most), 1)
    if curve.buckets is None:
        return reduce_points(curve.step, curve.value, size)
    return merge(curve.buckets, np.arange(0, total, size))


@dataclass(frozen=True, slots=True)
class NonFinite:
    """Where a curve is NaN or infinite. ``tail_share`` is over its last tenth (at least 3 points)."""

    count: int
    total: int
    first_step: float | None
    last_is_nonfinite: bool
    tail_share: float
    first_line: int | None = None


def nonfinite_of(curve: Curve) -> NonFinite:
    """The NaN and infinite points of ``curve``, exact also where it is kept as buckets."""
    total = curve.points
    if curve.buckets is not None:
        bad, good = curve.buckets.nonfinite, curve.buckets.count
        tail = max(len(bad) // 10, 1)
        steps = curve.buckets.first_nonfinite_step
        where = np.flatnonzero(np.isfinite(steps))
        return NonFinite(
            int(bad.sum()),
            total,
            float(steps[where[0]]) if len(where) else None,
            bool(bad[-1] > 0 and good[-1] == 0),
            float(bad[-tail:].sum() / max(bad[-tail:].sum() + good[-tail:].sum(), 1.0)),
        )
    broken = ~np.isfinite(curve.value)
    where = np.flatnonzero(broken)
    tail = max(total // 10, min(3, total))
    return NonFinite(
        int(broken.sum()),
        total,
        float(curve.step[where[0]]) if len(where) else None,
        bool(broken[-1]) if total else False,
        float(broken[-tail:].mean()) if total else 0.0,
        int(curve.line[where[0]]) if len(where) and curve.line is not None else None,
    )
