"""Swings of a loss: large alternation about its trend, beyond what noise of independent points would do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import running_median

if TYPE_CHECKING:
    from convergence_cli.features.shape import Shape

MIN_POINTS = 20


@dataclass(frozen=True, slots=True)
class Oscillation:
    """Swings over the last half. ``amplitude`` is the interquartile range about the trend, in the unit of the
    loss; ``of_drop`` is that as a share of the drop, ``of_level`` as a share of the level. ``turns`` is the
    share of points at which the direction changes, ``turns_z`` its deviate from that of independent noise: mean
    2/3, variance (16 n - 29) / 90 of their number (Bienayme 1874).
    """

    amplitude: float
    of_drop: float
    of_level: float
    turns: float
    turns_z: float


def oscillation_of(shape: Shape) -> Oscillation | None:
    """Swings of the last half of the curve, or None where it has fewer than 20 points."""
    n = len(shape.view)
    if n < MIN_POINTS:
        return None
    y = shape.view.mean[n // 2 :]
    # Of neighbours' means: the median of a strict alternation is one of its sides, not its middle.
    residual = y[1:] - running_median((y[1:] + y[:-1]) / 2, max(7, n // 10))
    low, high = np.percentile(residual, [25, 75])
    signs = np.sign(np.diff(y))
    turns = float((signs[1:] * signs[:-1] < 0).mean())
    amplitude = float(high - low)
    m = len(y)
    usual = math.sqrt((16 * m - 29) / 90) / (m - 2)
    return Oscillation(
        amplitude,
        amplitude / max(shape.drop, 1e-300),
        amplitude / max(abs(shape.end), 1e-300),
        turns,
        (turns - 2 / 3) / usual,
    )
