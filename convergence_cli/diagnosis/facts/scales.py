"""Positive numbers beside a usual value, told in powers of ten and bounded."""

from __future__ import annotations

import math

_TINY = 1e-300


def log_ratio(value: float, usual: float, most: float) -> float:
    """``log10(value / usual)``, between minus and plus ``most``; 0 where it is no number."""
    if not math.isfinite(value) or math.isnan(usual):
        return most if value == math.inf else 0.0
    # The difference of logarithms, since the ratio itself may be too large or too small for a float.
    return max(-most, min(most, math.log10(max(value, _TINY)) - math.log10(max(usual, _TINY))))


def excess(value: float, usual: float, most: float) -> float:
    """By how many powers of ten ``value`` is above ``usual``, at most ``most``; 0 where it is not."""
    return max(log_ratio(value, usual, most), 0.0)


def shortfall(value: float, usual: float, most: float) -> float:
    """By how many powers of ten ``value`` is below ``usual``, at most ``most``; 0 where it is not."""
    return max(-log_ratio(value, usual, most), 0.0)
