"""What is drawn of the tensors of a run for a rule: one measure of them by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from convergence_cli.tensor_stats import FloatArray, TensorStats

Column = Callable[[TensorStats], FloatArray]


@dataclass(frozen=True, slots=True)
class Measure:
    """A number for each row of ``kind`` (any, where empty). ``words`` stand on the picture.

    ``level`` is the name of the evidence that is a height of the measure. Where no finding names a tensor the one
    with the highest value at the end is drawn before the others, or the lowest one. Without ``column`` it is the
    update ratio of the report, by layer.
    """

    kind: str
    column: Column | None
    words: str
    level: str = ""
    lowest: bool = False


def _plain(name: str) -> Column:
    return lambda stats: stats.number(name)


def _nonfinite(stats: TensorStats) -> FloatArray:
    return (stats.number("nan") + stats.number("inf")) / stats.number("count")


def _largest(stats: TensorStats) -> FloatArray:
    return np.maximum(np.abs(stats.number("min")), np.abs(stats.number("max")))


def _rms(stats: TensorStats) -> FloatArray:
    return np.hypot(stats.number("mean"), stats.number("std"))


def _update(stats: TensorStats) -> FloatArray:
    return stats.number("change") / stats.number("change_steps") / stats.number("l2")


def _range(stats: TensorStats) -> FloatArray:
    return stats.number("max") - stats.number("min")


_DEAD = Measure("activation", _plain("dead"), "share of units that are zero for every sample", "threshold_dead_share")
_SATURATED = Measure("activation", _plain("saturated"), "share of saturated units", "threshold_saturated_share")
_NONFINITE = Measure("", _nonfinite, "share of values that are NaN or infinite")
_ZERO = Measure("", lambda stats: stats.number("zero") / stats.number("count"), "share of values that are zero")
_GRADIENT = Measure("gradient", _plain("l2"), "gradient norm")
_CHANGE = Measure("", None, "what one step changes, over the norm of the weights", "threshold_per_step")
_STILL = Measure("weight", _update, "what one step changes, over the norm of the weights", lowest=True)
_WEIGHTS = Measure("weight", _rms, "root mean square of the weights")
_CONSTANT = Measure("activation", _plain("constant"), "share of units with one value", "threshold_constant_share")
MEASURES: Mapping[str, Measure] = {
    "AC101": _DEAD,
    "AC102": _SATURATED,
    "AC103": Measure("activation", _plain("std"), "spread of the activations"),
    "AC104": Measure("activation", _largest, "largest attention logit", "threshold_logit"),
    "AC105": Measure("output", _largest, "largest output logit", "threshold_logit"),
    "WT101": _CHANGE,
    "WT102": _CHANGE,
    "WT103": _STILL,
    "WT104": Measure("weight", _plain("l2"), "norm of the weights"),
    "GR101": _GRADIENT,
    "GR102": _GRADIENT,
    "GR103": _GRADIENT,
    "IN101": Measure("weight", _plain("unit_variance"), "variance between units", "threshold_variance", lowest=True),
    "IN102": _WEIGHTS,
    "IN103": _WEIGHTS,
    "IN104": Measure("activation", _rms, "root mean square of the activations"),
    "TE101": _NONFINITE,
    "TE103": _ZERO,
    "TE104": _STILL,
    "TE105": _CONSTANT,
    "DA101": Measure("input", _rms, "root mean square of the inputs", "threshold_rms"),
    "SM101": Measure("gradient", _plain("abs_mean"), "mean size of the gradients", "threshold", lowest=True),
    "SM102": _NONFINITE,
    "SM103": Measure("activation", _plain("dead"), "share of units that are zero for every sample"),
    "SM104": Measure("activation", _plain("saturated"), "share of saturated units"),
    "SM105": Measure("gradient", _range, "range of the gradients"),
    "SM106": _STILL,
    "SM108": _ZERO,
    "SM109": Measure("activation", _plain("l2"), "norm of the activations"),
    "SM117": Measure("input", _plain("mean"), "mean of the inputs", "threshold"),
}
# One tensor, by worker.
BY_WORKER = {code: Measure("weight", _plain("l2"), "norm, by worker") for code in ("DI101", "SM115")}
