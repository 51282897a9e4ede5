"""The dynamic loss scale of mixed-precision training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convergence_cli.model import Curve


@dataclass(frozen=True, slots=True)
class LossScale:
    """``start`` and ``end`` of the scale, how often it was cut, and the step of the first cut."""

    start: float
    end: float
    cuts: int
    first_cut: float | None


def loss_scale_of(curve: Curve) -> LossScale | None:
    """The course of a logged loss scale, or None where no finite point was logged."""
    keep = np.isfinite(curve.value)
    value, step = curve.value[keep], curve.step[keep]
    if not len(value):
        return None
    cuts = np.flatnonzero(value[1:] < 0.75 * value[:-1]) + 1
    first = float(step[cuts[0]]) if len(cuts) else None
    return LossScale(float(value[0]), float(value[-1]), len(cuts), first)
