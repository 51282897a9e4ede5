"""The first steps of a run: the spread of weights and gradients, and whether the loss moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.sagemaker.losses import points_of
from convergence_cli.features.sagemaker.reading import Reading
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.model import Missing
from convergence_cli.tensor_stats import QUANTILES

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# PoorWeightInitialization: how many training steps are looked at.
STEPS = 10


@dataclass(frozen=True, slots=True)
class VarianceRatio:
    """The layers whose weights vary most and least at one step, and the ratio of these variances."""

    highest: Reading
    lowest: Reading
    ratio: float


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What the first steps show; None where they do not.

    ``spread`` is the gradient with the smallest distance of its 5th and 95th percentile. ``waiting`` is the largest
    number of steps in a row without a new minimum of the training loss, up to the step ``waited_until``.
    """

    variances: VarianceRatio | None
    spread: Reading | None
    waiting: int | None
    waited_until: float | None


def initialization_of(evidence: Evidence) -> FirstSteps | Missing:
    """The first ``STEPS`` steps of the run, as far as they were logged or dumped."""
    stats = evidence.run.tensors
    variances = None if stats is None else _variances(stats)
    spread = None if stats is None else _spread(stats)
    waiting, until = _waiting(evidence)
    if variances is None and spread is None and waiting is None:
        return Missing(f"needs weights, gradients or a training loss of the first {STEPS} steps")
    return FirstSteps(variances, spread, waiting, until)


def _early(one: Series, values: FloatArray) -> list[Reading]:
    rows = np.flatnonzero((one.step < STEPS) & np.isfinite(values))
    return [Reading(one.title, one.layer, float(one.step[row]), float(values[row])) for row in rows.tolist()]


def _variances(stats: TensorStats) -> VarianceRatio | None:
    """Of matrices: the variance of a bias is 0 or that of one number."""
    found: VarianceRatio | None = None
    by_step: dict[float, list[Reading]] = {}
    for one in series_of(stats, "weight"):
        if one.is_matrix:
            for read in _early(one, np.square(one.number("std"))):
                by_step.setdefault(read.step, []).append(read)
    for readings in by_step.values():
        if len(readings) < 2:
            continue
        low, high = (pick(readings, key=lambda read: read.value) for pick in (min, max))
        ratio = high.value / max(low.value, 1e-300)
        if found is None or ratio > found.ratio:
            found = VarianceRatio(high, low, ratio)
    return found


def _spread(stats: TensorStats) -> Reading | None:
    p5, p95 = QUANTILES.index(0.05), QUANTILES.index(0.95)
    readings = [
        read for one in series_of(stats, "gradient") for read in _early(one, one.quantile(p95) - one.quantile(p5))
    ]
    return min(readings, key=lambda read: read.value, default=None)


def _waiting(evidence: Evidence) -> tuple[int | None, float | None]:
    step, value = points_of(evidence, "train_loss")
    early = step < STEPS
    step, value = step[early], value[early]
    if len(value) < 2:
        return None, None
    best = np.minimum.accumulate(value)
    last_best, longest, until = step[0], 0.0, float(step[0])
    for index in range(1, len(value)):
        if best[index] < best[index - 1]:
            last_best = step[index]
        elif step[index] - last_best > longest:
            longest, until = float(step[index] - last_best), float(step[index])
    return int(longest), until
