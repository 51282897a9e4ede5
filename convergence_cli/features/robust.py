"""Robust statistics on short series (a few hundred values): noise, medians, trend."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray

# The median absolute deviation of a normal variable is 0.6745 of its standard deviation.
MAD_TO_STD = 1.4826


def median(values: FloatArray) -> float:
    """Median of at least one finite value. ``numpy.median`` imports ``numpy.ma``, which costs 30 ms."""
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    pair = np.partition(values, (middle - 1, middle))
    return float(pair[middle - 1] / 2 + pair[middle] / 2)


def mad_std(values: FloatArray) -> float:
    """Standard deviation by the median absolute deviation (Hampel 1974); 0 for fewer than 2 values."""
    if len(values) < 2:
        return 0.0
    return MAD_TO_STD * median(np.abs(values - median(values)))


def noise_std(values: FloatArray) -> float:
    """Noise about a smooth curve, from pseudo-residuals; same unit as ``values``.

    Gasser, Sroka and Jennen-Steinmetz (1986), equation 2.2 on an equal grid: the residual of each point
    from the line through its neighbours has variance 3/2 of the noise. Median-based, so that jumps do not
    count. Fewer than 5 values give the standard deviation of first differences over sqrt(2).
    """
    if len(values) < 3:
        return 0.0
    if len(values) < 5:
        return median(np.abs(np.diff(values))) * MAD_TO_STD / math.sqrt(2)
    residuals = (values[:-2] + values[2:]) / 2 - values[1:-1]
    return MAD_TO_STD * median(np.abs(residuals)) / math.sqrt(1.5)


def running_median(values: FloatArray, width: int) -> FloatArray:
    """Centred running median of odd ``width``; the ends use the points that there are."""
    width = min(width | 1, len(values) if len(values) % 2 else max(len(values) - 1, 1))
    if width < 3:
        return values
    half = width // 2
    inner = np.sort(np.lib.stride_tricks.sliding_window_view(values, width), axis=1)[:, half]
    head = [median(values[: i + half + 1]) for i in range(half)]
    tail = [median(values[len(values) - half - i - 1 :]) for i in range(half - 1, -1, -1)]
    return np.concatenate([head, inner, tail])


def running_levels(values: FloatArray, width: int) -> FloatArray:
    """The median of each ``width`` consecutive values, shape (n - width + 1,), by the first of them."""
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(values, width), axis=1)
    half = width // 2
    return ordered[:, half] if width % 2 else (ordered[:, half - 1] + ordered[:, half]) / 2


def kendall_z(values: FloatArray) -> float:
    """Mann-Kendall trend statistic (Mann 1945; variance with ties by Kendall 1975); negative: falling.

    Standard normal where there is no trend. O(n^2) on n values.
    """
    n = len(values)
    if n < 4:
        return 0.0
    s = float(np.einsum("ij,ij->", np.sign(values[np.newaxis, :] - values[:, np.newaxis]), _later(n)))
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance <= 0:
        return 0.0
    return (s - math.copysign(1, s)) / math.sqrt(variance) if s else 0.0


@lru_cache(maxsize=16)
def _later(n: int) -> FloatArray:
    """1 where the second of two of ``n`` comes after the first, else 0."""
    return np.triu(np.ones((n, n)), 1)


def kendall_reach(n: int) -> float:
    """The largest deviate of ``kendall_z`` that ``n`` values can reach: all in order, S = n (n - 1) / 2."""
    return math.sqrt(n * (n - 1) / 2 * 9 / (2 * n + 5)) if n > 1 else 1.0


def shift_z(before: FloatArray, after: FloatArray) -> float:
    """How surely ``after`` lies above ``before``: U as a normal deviate (Mann and Whitney 1947)."""
    n, m = len(before), len(after)
    if not n or not m:
        return 0.0
    u = float((np.sign(after[:, None] - before[None, :]) + 1).sum() / 2)
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)) without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-min(x, 700)))
    grown = math.exp(max(x, -700))
    return grown / (1 + grown)


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Spearman's rank correlation of two arrays of shape (n,), ties at their mean rank; NaN where it is undefined."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    _, member, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean_rank: FloatArray = last - (count - 1) / 2
    return mean_rank[member]
