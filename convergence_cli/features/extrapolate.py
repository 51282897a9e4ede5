"""Where a falling loss is heading: a power law with an asymptote, fitted to the smoothed curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median

if TYPE_CHECKING:
    from convergence_cli.features.shape import Shape
    from convergence_cli.model import FloatArray

# Exponents tried; scaling-law exponents of loss against steps lie within (Hestness et al. 2017, Kaplan 2020).
EXPONENTS = np.geomspace(0.05, 3.0, 25)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """loss(t) = floor + scale * t ** -exponent, t in steps from the start of the log plus one grid step.

    ``residual`` is the standard deviation of the fit's residuals. ``gain_by_doubling`` is the fall that twice
    the steps would still bring, as a share of the present distance from the start; ``doubled`` is the loss then,
    by the exponential with a floor where that fits better and promises less.
    """

    floor: float
    scale: float
    exponent: float
    residual: float
    gain_by_doubling: float
    doubled: float


def power_law_of(shape: Shape) -> PowerLaw | None:
    """Least squares over ``EXPONENTS`` on the last nine tenths; None where fewer than 8 points or no descent."""
    y, step = shape.smooth, shape.view.step
    n = len(y)
    if n < 8:
        return None
    t = step - step[0]
    gap = median(np.diff(t))
    if gap <= 0:
        return None
    t = t + gap
    skip = n // 10
    lowest = float(y.min())
    t, y = t[skip:], y[skip:]
    best: tuple[float, float, float, float] | None = None
    for exponent in EXPONENTS:
        basis = t**-exponent
        centred = basis - basis.mean()
        denominator = float(centred @ centred)
        if denominator <= 0:
            continue
        scale = float(centred @ (y - y.mean())) / denominator
        floor = float(y.mean() - scale * basis.mean())
        if floor < 0 < lowest:
            # A loss that has been positive so far is not extrapolated below zero.
            floor, scale = 0.0, float(basis @ y) / float(basis @ basis)
        error = float(np.std(y - floor - scale * basis))
        if scale > 0 and (best is None or error < best[0]):
            best = (error, floor, scale, float(exponent))
    if best is None:
        return None
    error, floor, scale, exponent = best
    now = floor + scale * float(t[-1]) ** -exponent
    doubled = floor + scale * (2 * float(t[-1])) ** -exponent
    made = max(shape.start - now, 1e-300)
    level = _exponential_level(t, y)
    if level is not None and level[0] < error:
        # A loss that decays to its floor exponentially has less to gain than a power law promises.
        doubled = max(doubled, min(level[1], now))
    return PowerLaw(floor, scale, exponent, error, (now - doubled) / made, doubled)


def _exponential_level(t: FloatArray, y: FloatArray) -> tuple[float, float] | None:
    """Residual of y = floor + scale exp(-t / tau) by least squares over tau, and its value at twice the length."""
    best: tuple[float, float] | None = None
    for tau in np.geomspace(float(t[-1]) / 20, float(t[-1]) * 3, 25):
        basis = np.exp(-t / tau)
        centred = basis - basis.mean()
        scale = float(centred @ (y - y.mean())) / max(float(centred @ centred), 1e-300)
        floor = float(y.mean() - scale * basis.mean())
        error = float(np.std(y - floor - scale * basis))
        if scale > 0 and (best is None or error < best[0]):
            best = (error, floor + scale * float(np.exp(-2 * t[-1] / tau)))
    return best
