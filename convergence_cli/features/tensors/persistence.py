"""What holds over the dumps and not at one of them: levels at the start and at the end, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.tensor_stats import FloatArray

NAN = float("nan")
# Among many dumps one in five may differ from the others, in a lasting condition.
ODD_SHARE = 0.2


def tail_length(dumps: int) -> int:
    """How many dumps the last third has: at least two, where there are two."""
    return min(dumps, max(2, round(dumps / 3)))


def lowest_at_end(values: FloatArray) -> float:
    """The value that the last third of ``values`` (t,) does not fall below, but for one in five; NaN if one is NaN.

    A condition ``value > threshold`` lasts where this lies above the threshold.
    """
    if not len(values):
        return NAN
    tail = np.sort(values[-tail_length(len(values)) :])
    return float(tail[int(ODD_SHARE * len(tail))]) if np.isfinite(tail).all() else NAN


def early_level(values: FloatArray) -> float:
    """Median of the finite values of the first third."""
    return _level(values[: max(len(values) // 3, 1)])


def late_level(values: FloatArray) -> float:
    """Median of the finite values of the last third."""
    return _level(values[-tail_length(len(values)) :])


def late_growth(values: FloatArray) -> float:
    """The last value over that with which the last third begins; NaN below 4 values."""
    if len(values) < 4:
        return NAN
    first, last = float(values[-tail_length(len(values))]), float(values[-1])
    return last / first if first > 0 else NAN


def beginning(step: FloatArray, holds: npt.NDArray[np.bool_]) -> float:
    """The first step of the run of dumps, up to the last one, at which the condition holds; the last step if none."""
    broken = np.flatnonzero(~holds)
    after = int(broken[-1]) + 1 if len(broken) else 0
    return float(step[min(after, len(step) - 1)])


def _level(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return median(known) if len(known) else NAN
