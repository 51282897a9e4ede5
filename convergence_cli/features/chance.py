"""Distance to chance level: what a model that ignores its input would reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.shape import Shape

# Class counts of common data sets, tried where the run does not say its own.
COMMON_CLASSES = (2, 3, 4, 5, 10, 20, 100, 200, 365, 1000, 21841)
# Relative distance from ln(C) within which a flat loss counts as sitting on it.
NEAR = 0.01
MOST_DROP = 0.2
RESTING_SHARE = 0.6
SOLVED = 0.9


@dataclass(frozen=True, slots=True)
class Chance:
    """``classes`` whose ln matches the end level (None: no match), ``level`` = ln(classes) in nats.

    ``known`` says that the run itself names its classes. ``at_chance``: the loss ends on that level.
    ``accuracy_solved``: an accuracy is logged and has been high all along.
    """

    classes: int | None
    level: float | None
    known: bool
    at_chance: bool
    accuracy_solved: bool
    accuracy: float | None


def chance_of(shape: Shape, accuracy: Shape | None, config: Mapping[str, Any]) -> Chance:
    """Whether the loss sits where a uniform guess over C classes would put it: ln(C) (in nats)."""
    stated = config.get("num_classes")
    if not isinstance(stated, (int, float)) or isinstance(stated, bool) or stated < 2:
        stated = config.get("vocab_size")
    known = isinstance(stated, (int, float)) and not isinstance(stated, bool) and 2 <= stated < 1e9
    counts = (int(stated),) if known and isinstance(stated, (int, float)) else COMMON_CLASSES
    nearest = min(counts, key=lambda count: abs(shape.end - math.log(count)))
    level = math.log(nearest)
    near = abs(shape.end - level) <= NEAR * level
    half = shape.smooth[len(shape.smooth) // 2 :]
    resting = float((np.abs(half - level) <= 2 * NEAR * level).mean()) >= RESTING_SHARE
    flat = resting and shape.best >= (1 - NEAR) * level
    # A flat loss may rest on ln(C) by coincidence, once it has fallen far.
    at_once = abs(shape.body_drop) < 2 * NEAR and shape.relative_drop < 2 * MOST_DROP
    near_first = float(shape.view.mean[:3].min()) < (1 + MOST_DROP) * level
    little = known or at_once or near_first or shape.relative_drop < MOST_DROP
    last = None
    solved = False
    if accuracy is not None:
        last = accuracy.end
        full = 100.0 if float(accuracy.view.high.max()) > 1.5 else 1.0
        solved = min(accuracy.start, accuracy.end) >= SOLVED * full
    return Chance(nearest if near else None, level if near else None, known, near and flat and little, solved, last)
