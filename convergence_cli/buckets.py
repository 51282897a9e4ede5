"""Long series as buckets that lose no extreme and no non-finite point (pure numpy)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.model import Buckets

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import FloatArray

    IndexArray = npt.NDArray[np.intp]


def reduce_points(step: FloatArray, value: FloatArray, size: int) -> Buckets:
    """Group consecutive points by ``size`` (the last bucket may hold fewer). O(n), no Python loop."""
    starts = np.arange(0, len(value), size)
    return reduce_at(step, value, starts)


def reduce_at(step: FloatArray, value: FloatArray, starts: IndexArray) -> Buckets:
    """Group consecutive points into buckets that begin at the indices ``starts`` (ascending, first 0)."""
    finite = np.isfinite(value)
    ends = np.append(starts[1:], len(value))
    if finite.all():
        count = (ends - starts).astype(np.float64)
        nonfinite = np.zeros(len(starts))
        low, high = np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)
        first_nonfinite = np.full(len(starts), np.nan)
        filled = value
    else:
        count = np.add.reduceat(finite, starts, dtype=np.float64)
        nonfinite = (ends - starts) - count
        low = np.minimum.reduceat(np.where(finite, value, np.inf), starts)
        high = np.maximum.reduceat(np.where(finite, value, -np.inf), starts)
        at = np.minimum.reduceat(np.where(finite, np.inf, np.arange(len(value))), starts)
        first_nonfinite = np.where(
            np.isfinite(at), step[np.where(np.isfinite(at), at, 0).astype(np.int64)], np.nan
        )
        filled = np.where(finite, value, 0.0)
    safe = np.maximum(count, 1.0)
    mean = np.add.reduceat(filled / np.repeat(safe, ends - starts), starts)
    # Deviations from the bucket's own mean: E[x^2] - mean^2 cancels on series with a large offset.
    deviation = np.where(finite, filled - np.repeat(mean, ends - starts), 0.0)
    scale = np.maximum(np.abs(high - mean), np.abs(low - mean))
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
    ratio = deviation / np.repeat(scale, ends - starts)
    spread = scale * np.sqrt(np.add.reduceat(ratio * ratio, starts) / safe)
    empty = count == 0
    low, high, mean, spread = (np.where(empty, np.nan, column) for column in (low, high, mean, spread))
    return Buckets(count, nonfinite, low, high, mean, spread, step[starts], step[ends - 1], first_nonfinite)


def merge(buckets: Buckets, starts: IndexArray) -> Buckets:
    """Join consecutive buckets into wider ones that begin at the indices ``starts``.

    Mean and spread combine by Chan, Golub and LeVeque (1983), equations 1.5a and 1.5b.
    """
    sizes = np.diff(np.append(starts, len(buckets.count)))
    count = np.add.reduceat(buckets.count, starts)
    safe = np.maximum(count, 1.0)
    weight = buckets.count / np.repeat(safe, sizes)
    mean_or_zero = np.where(buckets.count > 0, buckets.mean, 0.0)
    spread_or_zero = np.where(buckets.count > 0, buckets.spread, 0.0)
    mean = np.add.reduceat(weight * mean_or_zero, starts)
    shift = np.where(buckets.count > 0, mean_or_zero - np.repeat(mean, sizes), 0.0)
    spread = np.sqrt(np.add.reduceat(weight * (spread_or_zero**2 + shift**2), starts))
    with np.errstate(invalid="ignore"):
        low = np.fmin.reduceat(buckets.low, starts)
        high = np.fmax.reduceat(buckets.high, starts)
    # The earliest in order, not the smallest: after a restart steps go back.
    has = np.isfinite(buckets.first_nonfinite_step)
    at = np.minimum.reduceat(np.where(has, np.arange(len(has), dtype=np.float64), np.inf), starts)
    index = np.where(np.isfinite(at), at, 0).astype(np.int64)
    first_nonfinite = np.where(np.isfinite(at), buckets.first_nonfinite_step[index], np.nan)
    empty = count == 0
    return Buckets(
        count,
        np.add.reduceat(buckets.nonfinite, starts),
        np.where(empty, np.nan, low),
        np.where(empty, np.nan, high),
        np.where(empty, np.nan, mean),
        np.where(empty, np.nan, spread),
        buckets.first_step[starts],
        buckets.last_step[np.append(starts[1:], len(buckets.count)) - 1],
        first_nonfinite,
    )


def concatenate(parts: list[Buckets]) -> Buckets:
    """Buckets one after another."""
    names = Buckets.__slots__
    return Buckets(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
