"""The size of a step beside the size of the weights that it changes.

Karpathy's notes for CS231n put a healthy ratio near 1e-3 a step; TheDeepChecker (Ben Braiek and Khomh 2023)
bounds its logarithm to base 10 by -4 and -1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from convergence_cli.features.robust import median
from convergence_cli.features.tensors.fans import born_small
from convergence_cli.features.tensors.initialization import is_start
from convergence_cli.features.tensors.series import Series, matrices_of, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

Source = Literal["updates", "weights", "gradients"]
_PLAIN = ("sgd",)
# Dumps this many steps apart and more tell a level, closer ones single steps.
APART = 5


@dataclass(frozen=True, slots=True, eq=False)
class LayerUpdate:
    """The update of one weight, as a share of its norm.

    ``per_step`` is the median over the dumps of ``|dW| / |W|`` for one step, and ``source`` what it was taken
    from: dumped updates, the gradient times the rate (plain SGD), or the change between two dumps divided by
    the steps between (then it is a lower bound, since steps may undo one another). ``moved`` is the way the
    weight went in the whole run as a share of its norm: at most the sum of its changes.
    ``peak`` is the largest mean change of one step between two dumps at least 5 steps apart, at ``step`` (of
    closer dumps the second largest): a level that one odd step does not reach. ``from_nothing``: the weight was
    born (almost) zero, so that its first steps are large beside it. ``comparisons``: how many ratios there are.
    """

    series: Series
    per_step: float
    moved: float
    source: Source
    peak: float
    step: float
    from_nothing: bool
    comparisons: int


@dataclass(frozen=True, slots=True, eq=False)
class Updates:
    """The updates of the weights that mix features, in the order of the dump; ``steps`` spans them.

    ``from_start``: the first dump is one of the first steps.
    """

    layers: tuple[LayerUpdate, ...]
    steps: float
    learning_rate: float | None
    from_start: bool


def updates_of(stats: TensorStats, evidence: Evidence) -> Updates | Missing:
    """Update-to-weight ratios; weights that never change at all are left to the rules on standstill."""
    weights = [one for one in matrices_of(series_of(stats, "weight")) if not one.is_embedding]
    direct = {one.name: one for one in series_of(stats, "update")}
    if not weights:
        return Missing("needs weights in a tensor dump")
    gradients = {one.name: one for one in series_of(stats, "gradient")}
    layers = [
        found
        for one in weights
        if (found := _layer(one, direct.get(one.name), gradients.get(one.name), evidence)) is not None
    ]
    if not layers:
        return Missing("needs weights at two steps, or updates, in a tensor dump")
    steps = stats.steps
    rate = evidence.learning_rate
    configured = evidence.config.get("learning_rate")
    known = configured if isinstance(configured, (int, float)) else None
    if rate is not None:
        known = rate.at(float(steps[len(steps) // 2]))
    return Updates(
        tuple(layers), float(steps[-1] - steps[0]), None if known is None else float(known), is_start(stats, weights)
    )


def _layer(weight: Series, update: Series | None, gradient: Series | None, evidence: Evidence) -> LayerUpdate | None:
    norm = weight.number("l2")
    change, between = weight.number("change"), weight.number("change_steps")
    with np.errstate(all="ignore"):
        before = np.concatenate([[np.nan], norm[:-1]])
        way = np.where(before > 0, change / before, np.nan)
        between_dumps = np.where(between == 0, np.nan, way / np.maximum(between, 1))
    candidates: list[tuple[Source, FloatArray, FloatArray]] = [("weights", between_dumps, weight.step)]
    if update is not None:
        candidates.insert(0, ("updates", _over(update, weight, np.ones(len(update.step))), update.step))
    elif gradient is not None:
        rates = _plain_rates(gradient, evidence)
        if rates is not None:
            candidates.append(("gradients", _over(gradient, weight, rates), gradient.step))
    known = [
        (source, ratio[keep], step[keep])
        for source, ratio, step in candidates
        if (keep := np.isfinite(ratio) & (ratio >= 0)).any()
    ]
    if not known or not any(ratio.max() > 0 for _, ratio, _ in known):
        return None
    # The change between dumps bounds the step from below, the gradient tells it: of the two the larger is nearer.
    source, ratio, step = known[0] if known[0][0] == "updates" else max(known, key=lambda item: median(item[1]))
    moved = np.nansum(way) if np.isfinite(way).any() else median(ratio) * float(np.ptp(step))
    peak, at = _peak(between_dumps, np.nan_to_num(between), weight.step)
    return LayerUpdate(weight, median(ratio), float(moved), source, peak, at, born_small(weight), len(ratio))


def _peak(ratio: FloatArray, between: FloatArray, step: FloatArray) -> tuple[float, float]:
    known = np.flatnonzero(np.isfinite(ratio))
    apart = known[between[known] >= APART]
    order = apart[np.argsort(-ratio[apart])] if len(apart) else known[np.argsort(-ratio[known])][1:]
    return (float(ratio[order[0]]), float(step[order[0]])) if len(order) else (0.0, float(step[0]))


def _over(small: Series, weight: Series, factor: FloatArray) -> FloatArray:
    """The norm of ``small`` times ``factor`` over that of the weight, at the steps of ``small``."""
    at = dict(zip(weight.step.tolist(), weight.number("l2").tolist(), strict=True))
    norm = np.array([at.get(step, np.nan) for step in small.step.tolist()])
    with np.errstate(all="ignore"):
        ratio: FloatArray = np.where(norm > 0, small.number("l2") * factor / norm, np.nan)
    return ratio


def _plain_rates(gradient: Series, evidence: Evidence) -> FloatArray | None:
    """The learning rate at each dump, over (1 - momentum); None where the update is no multiple of the gradient."""
    config = evidence.config
    if str(config.get("optimizer", "")).lower() not in _PLAIN or "gradient_clip_norm" in config:
        return None
    momentum = config.get("momentum", 0.0)
    momentum = float(momentum) if isinstance(momentum, (int, float)) and 0 <= momentum < 1 else 0.0
    rate, configured = evidence.learning_rate, config.get("learning_rate")
    fallback = float(configured) if isinstance(configured, (int, float)) else None
    values = [(rate.at(step) if rate is not None else None) or fallback for step in gradient.step.tolist()]
    if any(value is None for value in values):
        return None
    return np.array(values, dtype=np.float64) / (1 - momentum)
