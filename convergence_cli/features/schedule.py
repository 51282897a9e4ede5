"""What the learning rate did: constant, warmed up, decayed, jumped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convergence_cli.model import Curve, FloatArray

# Relative spread within which a rate counts as constant; logs round to a few digits.
_CONSTANT = 0.02


@dataclass(frozen=True, slots=True)
class Schedule:
    """A logged learning rate. ``zero_from`` is the step from which it is 0 (or below a millionth of its peak)
    to the end, None where it is not; ``zero_share`` the share of the log after that. ``jumps`` are steps at
    which it rose more than threefold between neighbouring points after the warm-up. ``warmup_end`` is the
    step of the first peak if the rate rose to it from below half, else None. ``constant_since`` is the step
    from which it no longer changed.
    """

    points: int
    first: float
    peak: float
    last: float
    constant: bool
    constant_since: float
    decayed: bool
    warmup_end: float | None
    zero_from: float | None
    zero_share: float
    jumps: tuple[float, ...]
    restarts: int


def schedule_of(curve: Curve) -> Schedule | None:
    """The schedule of a logged learning rate, or None where fewer than 2 finite points were logged."""
    keep = np.isfinite(curve.value)
    rate, step = curve.value[keep], curve.step[keep]
    if len(rate) < 2:
        return None
    peak = float(rate.max())
    constant = peak - float(rate.min()) <= _CONSTANT * abs(peak)
    at_peak = int(np.argmax(rate >= peak * (1 - _CONSTANT)))
    jumps = _jumps(rate, peak, at_peak)
    warmed = at_peak > 0 and rate[0] < 0.5 * peak and at_peak < 0.5 * len(rate) and at_peak not in jumps
    dead = rate <= 1e-6 * peak
    alive = np.flatnonzero(~dead)
    zero_index = int(alive[-1]) + 1 if len(alive) else 0
    is_zero = zero_index < len(rate) and peak > 0
    span = max(float(step[-1] - step[0]), 1e-300)
    zero_step = float(step[zero_index]) if is_zero else None
    moved = np.flatnonzero(np.abs(rate - rate[-1]) > _CONSTANT * max(abs(float(rate[-1])), 1e-300))
    still = int(moved[-1]) + 1 if len(moved) else 0
    return Schedule(
        points=len(rate),
        first=float(rate[0]),
        peak=peak,
        last=float(rate[-1]),
        constant=constant,
        constant_since=float(step[min(still, len(step) - 1)]),
        decayed=float(rate[-1]) < 0.5 * peak and not constant,
        warmup_end=float(step[at_peak]) if warmed else None,
        zero_from=zero_step,
        zero_share=0.0 if zero_step is None else (float(step[-1]) - zero_step) / span,
        jumps=tuple(float(step[i]) for i in jumps[:100]),
        restarts=len(jumps),
    )


def _jumps(rate: FloatArray, peak: float, at_peak: int) -> list[int]:
    """Where the rate rises threefold at once: after its peak, or up to it from a level that it had held."""
    up = np.flatnonzero((rate[1:] > 3 * np.maximum(rate[:-1], 1e-300)) & (rate[1:] > 1e-3 * peak)) + 1
    held = max(3, len(rate) // 10)
    return [int(i) for i in up if i > at_peak or (i >= held and rate[i - 1] > 0 and _is_level(rate[i - held : i]))]


def _is_level(rate: FloatArray) -> bool:
    return float(np.ptp(rate)) <= _CONSTANT * float(rate[-1])


def rate_at(curve: Curve, step: float) -> float | None:
    """The learning rate in force at ``step``: the last one logged up to it (else the first)."""
    keep = np.isfinite(curve.value)
    steps, rates = curve.step[keep], curve.value[keep]
    if not len(steps):
        return None
    return float(rates[max(int(np.searchsorted(steps, step, side="right")) - 1, 0)])
