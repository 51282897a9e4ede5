"""Distance to chance level: what a model that ignores its input would reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.features.robust import median

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.shape import Shape

# Class counts of common data sets, tried where the run does not say its own.
COMMON_CLASSES = (2, 3, 4, 5, 10, 20, 100, 200, 365, 1000, 21841)
# Relative distance from ln(C) within which a flat loss counts as sitting on it.
NEAR = 0.01
# Without known classes a loss on ln(C) is not further from it than this share, or these standard errors of its own.
EXACT, SURELY_OFF = 0.0025, 4.0
MOST_DROP = 0.1
RESTING_SHARE = 0.6
MIN_POINTS = 4
SOLVED = 0.9


@dataclass(frozen=True, slots=True)
class Chance:
    """``classes`` on whose ln the loss rests (None: on none), ``level`` = ln(classes) in nats.

    ``known`` says that the run itself names its classes. ``at_chance``: the loss rests on that level,
    or (``on_validation``) validation alone does.
    ``accuracy_solved``: an accuracy is logged and has been high all along.
    """

    classes: int | None
    level: float | None
    known: bool
    at_chance: bool
    on_validation: bool
    accuracy_solved: bool
    accuracy: float | None


def chance_of(shape: Shape, val: Shape | None, accuracy: Shape | None, config: Mapping[str, Any]) -> Chance:
    """Whether the loss sits where a uniform guess over C classes would put it: ln(C) (in nats).

    Validation that sits there counts as well while training has moved little: it is what shuffled labels do.
    """
    stated = stated_classes(config)
    counts = COMMON_CLASSES if stated is None else (stated,)
    last, solved = None, False
    if accuracy is not None:
        last = accuracy.end
        full = 100.0 if float(accuracy.view.high.max()) > 1.5 else 1.0
        solved = min(median(accuracy.view.mean[:3]), accuracy.end) >= SOLVED * full
    for one in (shape, val):
        if one is None or len(one.view) < MIN_POINTS:
            continue
        classes = min(counts, key=lambda count: abs(one.end - math.log(count)))
        little = one is shape or max(shape.relative_drop, one.relative_drop) < MOST_DROP
        if little and _rests(one, math.log(classes), stated is not None):
            return Chance(classes, math.log(classes), stated is not None, True, one is not shape, solved, last)
    return Chance(None, None, stated is not None, False, False, solved, last)


def stated_classes(config: Mapping[str, Any]) -> int | None:
    """How many classes (or tokens) the run says that it has; None where it does not say."""
    for key in ("num_classes", "vocab_size"):
        value = config.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 2 <= value < 1e9:
            return int(value)
    return None


def _rests(shape: Shape, level: float, known: bool) -> bool:
    """Whether the loss ends on ``level`` and has stayed there over its later half, never below."""
    half = shape.smooth[len(shape.smooth) // 2 :]
    band = 2 * NEAR if known else 1.5 * NEAR
    resting = float((np.abs(half - level) <= band * level).mean()) >= RESTING_SHARE
    if not resting or abs(shape.end - level) > NEAR * level or shape.best < (1 - NEAR) * level:
        return False
    if known:
        return True
    error = shape.late_noise * math.sqrt(1.57 / max(len(shape.view) // 10, 3))
    if abs(shape.end - level) > max(SURELY_OFF * error, EXACT * level):
        # Within the percent, but surely beside it: there are many numbers of classes.
        return False
    # A loss may come to rest on some ln(C) by coincidence: it must have been there early, after a small fall.
    y = shape.view.mean
    early = abs(median(y[len(y) // 4 : max(len(y) // 2, len(y) // 4 + 1)]) - level) <= 1.5 * NEAR * level
    return early and shape.relative_drop < MOST_DROP
