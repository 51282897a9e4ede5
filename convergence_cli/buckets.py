"""Long series as buckets that lose no extreme and no non-finite point (pure numpy)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.model import Buckets

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import FloatArray

    IndexArray = npt.NDArray[np.intp]


# Below this, squared deviations begin to underflow.
_TINY = 1e-140


def reduce_points(step: FloatArray, value: FloatArray, size: int) -> Buckets:
    """Group consecutive points by ``size`` (the last bucket may hold fewer). O(n), no Python loop."""
    whole = len(value) // size
    if whole and (whole * size == len(value)):
        fast = _reduce_whole(step, value.reshape(whole, size))
        if fast is not None:
            return fast
    elif whole and (fast := _reduce_whole(step, value[: whole * size].reshape(whole, size))) is not None:
        rest = slice(whole * size, None)
        return concatenate([fast, reduce_at(step[rest], value[rest], np.zeros(1, dtype=np.intp))])
    return reduce_at(step, value, np.arange(0, len(value), size))


def _reduce_whole(step: FloatArray, rows: FloatArray) -> Buckets | None:
    """Buckets of equal size, one a row, or None where the short way loses digits or meets a non-finite."""
    groups, size = rows.shape
    count, nonfinite, first = np.full(groups, float(size)), np.zeros(groups), np.full(groups, np.nan)
    first_step, last_step = step[: groups * size : size].copy(), step[size - 1 : groups * size : size].copy()
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = _fold(np.minimum, rows), _fold(np.maximum, rows)
        mean = np.clip(_fold(np.add, rows) / size, low, high)
        if size == 1:
            spread = np.zeros(groups)
        else:
            away = rows - mean[:, np.newaxis]
            spread = np.sqrt(np.einsum("ij,ij->i", away, away) / size)
        width = high - low
        # inf and NaN reach the width from any point of the row; so does what overflows when squared.
        exact = np.isfinite(width + spread + mean).all() and not ((width > 0) & (width < _TINY)).any()
    if not exact:
        return None
    return Buckets(count, nonfinite, low, high, mean, spread, first_step, last_step, first)


def _fold(ufunc: np.ufunc, rows: FloatArray) -> FloatArray:
    """``ufunc.reduce`` along the rows; by halves where they are short, since numpy reduces row by row."""
    while rows.shape[1] > 1 and rows.shape[1] % 2 == 0 and rows.shape[1] <= 32:
        rows = ufunc(rows[:, ::2], rows[:, 1::2])
    return rows[:, 0].copy() if rows.shape[1] == 1 else np.asarray(ufunc.reduce(rows, axis=1), dtype=np.float64)


def reduce_at(step: FloatArray, value: FloatArray, starts: IndexArray) -> Buckets:
    """Group consecutive points into buckets that begin at the indices ``starts`` (ascending, first 0)."""
    finite = np.isfinite(value)
    ends = np.append(starts[1:], len(value))[: len(starts)]
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
        first_nonfinite = np.where(np.isfinite(at), step[np.where(np.isfinite(at), at, 0).astype(np.int64)], np.nan)
        filled = np.where(finite, value, 0.0)
    safe = np.maximum(count, 1.0)
    mean = np.add.reduceat(filled / np.repeat(safe, ends - starts), starts)
    # Deviations from the bucket's own mean: E[x^2] - mean^2 cancels on series with a large offset.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
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
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        shift = np.where(buckets.count > 0, mean_or_zero - np.repeat(mean, sizes), 0.0)
        largest = np.maximum.reduceat(np.maximum(spread_or_zero, np.abs(shift)), starts)
        scale = np.where(np.isfinite(largest) & (largest > 0), largest, 1.0)
        parts = np.repeat(scale, sizes)
        squares = weight * ((spread_or_zero / parts) ** 2 + (shift / parts) ** 2)
        spread = scale * np.sqrt(np.add.reduceat(squares, starts))
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
        buckets.last_step[starts + sizes - 1],
        first_nonfinite,
    )


def halve(buckets: Buckets) -> Buckets:
    """Join each two consecutive buckets; ``merge`` for pairs, without its indices."""
    odd = len(buckets.count) % 2
    names = Buckets.__slots__
    left, right = ({n: getattr(buckets, n)[at : len(buckets.count) - odd : 2] for n in names} for at in (0, 1))
    count = left["count"] + right["count"]
    share = np.divide(right["count"], count, out=np.zeros_like(count), where=count > 0)
    one, two = (np.where(side["count"] > 0, side["mean"], 0.0) for side in (left, right))
    mean = one * (1 - share) + two * share
    with np.errstate(over="ignore", under="ignore"):
        inner = np.hypot(
            np.sqrt(1 - share) * np.where(left["count"] > 0, left["spread"], 0.0),
            np.sqrt(share) * np.where(right["count"] > 0, right["spread"], 0.0),
        )
        spread = np.hypot(inner, np.sqrt(share * (1 - share)) * np.abs(two - one))
    empty = count == 0
    joined = Buckets(
        count,
        left["nonfinite"] + right["nonfinite"],
        np.fmin(left["low"], right["low"]),
        np.fmax(left["high"], right["high"]),
        np.where(empty, np.nan, mean),
        np.where(empty, np.nan, spread),
        left["first_step"].copy(),
        right["last_step"].copy(),
        np.where(
            np.isfinite(left["first_nonfinite_step"]), left["first_nonfinite_step"], right["first_nonfinite_step"]
        ),
    )
    if not odd:
        return joined
    return concatenate([joined, Buckets(*(getattr(buckets, name)[-1:] for name in names))])


def concatenate(parts: list[Buckets]) -> Buckets:
    """Buckets one after another."""
    names = Buckets.__slots__
    return Buckets(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
