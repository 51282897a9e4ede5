"""The rules of the public finders, for ``--method``: what each would read off the same range test.

All take rates (ascending, positive) and losses (finite) of one length, at least three points.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLAT_ENOUGH, WINDOW = 0.005, 15


def smoothed(losses: Floats, weight: float = 0.98) -> Floats:
    """Exponential moving average with bias correction, as fastai smooths (its ``beta`` is ``weight``)."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses.tolist(), 1):
        mean = weight * mean + (1 - weight) * loss
        found.append(mean / (1 - weight**count))
    return np.array(found)


def valley(rates: Floats, losses: Floats) -> float:
    """fastai's default: the middle of the longest strictly falling subsequence, as if it were contiguous."""
    lengths = _falling_lengths(losses)
    end = int(np.argmax(lengths))
    start = end - lengths[end]
    third = (end - start) / 3
    return float(rates[max(start + int(third) + int(third / 2), 0)])


def _falling_lengths(losses: Floats) -> list[int]:
    """For each point, the length of the longest strictly falling subsequence that ends there (patience sorting)."""
    tails: list[float] = []
    lengths = []
    for loss in losses.tolist():
        at = bisect_left(tails, -loss)
        tails[at : at + 1] = [-loss]
        lengths.append(at + 1)
    return lengths


def steepest(rates: Floats, losses: Floats) -> float:
    """fastai's ``steep``, torch-lr-finder, Lightning before 2.5.3: the steepest fall over the log of the rate."""
    return float(rates[int(np.argmin(np.diff(losses) / np.diff(np.log(rates))))])


def steepest_linear(rates: Floats, losses: Floats) -> float:
    """Lightning since 2.5.3: the steepest fall over the rate itself, which favours the smallest rates."""
    return float(rates[int(np.argmin(np.gradient(losses, rates)))])


def minimum(rates: Floats, losses: Floats) -> float:
    """fastai's ``minimum``: a tenth of the rate at the lowest loss."""
    return float(rates[int(np.argmin(losses))]) / 10


def slide(rates: Floats, losses: Floats) -> float:
    """fastai's ``slide``: a window moved down from the end while the slopes at its two ends differ."""
    slope = np.gradient(losses)
    right, left = len(losses) - 1, len(losses) - 1 - WINDOW
    found = max(left, 0)
    while left >= 0 and abs(slope[right] - slope[left]) > FLAT_ENOUGH:
        found = left
        right, left = right - 1, left - 1
    return float(rates[found])


RULES: dict[str, Callable[[Floats, Floats], float]] = {
    "valley": valley,
    "steepest": steepest,
    "steepest-linear": steepest_linear,
    "minimum": minimum,
    "slide": slide,
}
