"""Where a falling loss is heading: a power law with an asymptote, fitted to the smoothed curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

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
    fits = _fits(t ** -EXPONENTS[:, np.newaxis], y, positive=lowest > 0)
    at = int(np.argmin(fits.error))
    if not math.isfinite(fits.error[at]):
        return None
    error, floor, scale = (float(column[at]) for column in (fits.error, fits.floor, fits.scale))
    exponent = float(EXPONENTS[at])
    now = floor + scale * float(t[-1]) ** -exponent
    doubled = floor + scale * (2 * float(t[-1])) ** -exponent
    made = max(shape.start - now, 1e-300)
    level = _exponential_level(t, y)
    if level is not None and level[0] < error:
        # A loss that decays to its floor exponentially has less to gain than a power law promises.
        doubled = max(doubled, min(level[1], now))
    return PowerLaw(floor, scale, exponent, error, (now - doubled) / made, doubled)


class _Fits(NamedTuple):
    """Least squares of y = floor + scale * basis for each row of bases; an infinite error where none is of use."""

    error: FloatArray
    floor: FloatArray
    scale: FloatArray


def _fits(bases: FloatArray, y: FloatArray, *, positive: bool) -> _Fits:
    means = bases.mean(axis=1)
    centred = bases - means[:, np.newaxis]
    spread = np.einsum("ij,ij->i", centred, centred)
    useful = spread > 0
    scale = centred @ (y - y.mean()) / np.where(useful, spread, 1.0)
    floor = y.mean() - scale * means
    if positive:
        # A loss that has been positive so far is not extrapolated below zero.
        below = floor < 0
        through_zero = bases @ y / np.einsum("ij,ij->i", bases, bases)
        floor, scale = np.where(below, 0.0, floor), np.where(below, through_zero, scale)
    error = np.std(y - floor[:, np.newaxis] - scale[:, np.newaxis] * bases, axis=1)
    return _Fits(np.where(useful & (scale > 0), error, np.inf), floor, scale)


def _exponential_level(t: FloatArray, y: FloatArray) -> tuple[float, float] | None:
    """Residual of y = floor + scale exp(-t / tau) by least squares over tau, and its value at twice the length."""
    taus = np.geomspace(float(t[-1]) / 20, float(t[-1]) * 3, 25)
    fits = _fits(np.exp(-t / taus[:, np.newaxis]), y, positive=False)
    at = int(np.argmin(fits.error))
    if not math.isfinite(fits.error[at]):
        return None
    return float(fits.error[at]), float(fits.floor[at] + fits.scale[at] * np.exp(-2 * t[-1] / taus[at]))
