"""Losses at the steps at which SageMaker Debugger looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.segments import stitch
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import FloatArray

# LossNotDecreasing: the steps between two checks, and at least between the points that one compares.
NUM_STEPS = 10
# Overtraining: what a loss must fall by to count as improved.
DELTA = 0.01


@dataclass(frozen=True, slots=True)
class Fall:
    """A loss at ``step`` against the one at ``before_step``: ``percent`` is by how much it fell."""

    name: str
    role: str
    step: float
    value: float
    before_step: float
    before: float
    percent: float


@dataclass(frozen=True, slots=True)
class GapAt:
    """An evaluation: its loss, the mean training loss since the one before, and their distance over the latter."""

    name: str
    step: float
    val: float
    train: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Waits:
    """An evaluation: how many points of either loss have passed since each last fell by ``DELTA``."""

    name: str
    step: float
    train: int
    val: int


def points_of(evidence: Evidence, role: str) -> tuple[FloatArray, FloatArray]:
    """Step and value, each (n,), of the finite points of the loss in ``role``; empty where there is none."""
    curve = evidence.run.curve(role)
    if curve is None:
        return np.empty(0), np.empty(0)
    train = evidence.run.curve("train_loss")
    like = None if train is None or train is curve else stitch(train)
    joined = stitch(curve, like).curve
    known = np.isfinite(joined.value)
    return joined.step[known], joined.value[known]


def losses_of(evidence: Evidence) -> tuple[tuple[Fall, ...], ...] | Missing | None:
    """Each loss at its checks: one is due ``NUM_STEPS`` after that before, at the first step that was logged then."""
    found = []
    for role in ("train_loss", "val_loss"):
        curve = evidence.run.curve(role)
        if curve is not None:
            found.append(tuple(_falls(curve.name, role, *points_of(evidence, role))))
    if not found:
        return None
    checked = tuple(falls for falls in found if falls)
    return checked or Missing(f"needs a loss over more than {NUM_STEPS} steps")


def gaps_of(evidence: Evidence) -> tuple[GapAt, ...] | Missing | None:
    """Every evaluation against the training loss since the one before it; None where one of the losses is not logged.

    Left out are those without a training loss above 0, by which it could be divided.
    """
    (train_step, train), (val_step, val) = (points_of(evidence, role) for role in ("train_loss", "val_loss"))
    curve = evidence.run.curve("val_loss")
    if curve is None or not len(train) or not len(val):
        return None
    total = np.concatenate([[0.0], np.cumsum(train)])
    ends = np.searchsorted(train_step, val_step, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    gaps = []
    for step, value, start, end in zip(val_step, val, starts, ends, strict=True):
        # Two evaluations with no training loss between them share the last one.
        low = min(start, end - 1) if end else 0
        mean = float((total[end] - total[low]) / (end - low)) if end > low else 0.0
        if mean > 0:
            gaps.append(GapAt(curve.name, float(step), float(value), mean, (float(value) - mean) / mean))
    return tuple(gaps) or Missing("needs a training loss above 0 before an evaluation")


def waits_of(evidence: Evidence) -> tuple[Waits, ...] | None:
    """Every evaluation, with how long either loss has not improved; None where one of them is not logged."""
    (train_step, train), (val_step, val) = (points_of(evidence, role) for role in ("train_loss", "val_loss"))
    curve = evidence.run.curve("val_loss")
    if curve is None or not len(train) or not len(val):
        return None
    trained, validated = _since_improved(train), _since_improved(val)
    at = np.searchsorted(train_step, val_step, side="right") - 1
    return tuple(
        Waits(curve.name, float(step), trained[index] if index >= 0 else 0, validated[number])
        for number, (step, index) in enumerate(zip(val_step, at.tolist(), strict=True))
    )


def _falls(name: str, role: str, step: FloatArray, value: FloatArray) -> list[Fall]:
    falls: list[Fall] = []
    if not len(step):
        return falls
    # The first check is due when NUM_STEPS steps have been made, the first logged one among them.
    due = step[0] + NUM_STEPS - 1
    while (at := int(np.searchsorted(step, due))) < len(step):
        due = step[at] + NUM_STEPS
        before = int(np.searchsorted(step, step[at] - NUM_STEPS, side="right")) - 1
        if before < 0:
            continue
        old, new = float(value[before]), float(value[at])
        percent = 100 * (old - new) / max(abs(old), 1e-300)
        falls.append(Fall(name, role, float(step[at]), new, float(step[before]), old, percent))
    return falls


def _since_improved(value: FloatArray) -> list[int]:
    """(n,): points since the last that was lower than the best by ``DELTA``."""
    best, since, waits = float("inf"), 0, []
    for one in value.tolist():
        since += 1
        if one < best - DELTA:
            best, since = one, 0
        waits.append(since)
    return waits
