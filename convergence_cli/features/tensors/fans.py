"""Fan-in, fan-out and gain of a weight, whatever the framework's order of axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convergence_cli.tensor_stats import OUTPUT_LAST

if TYPE_CHECKING:
    from convergence_cli.features.tensors.series import Series


# A first gain below this is a birth at (almost) zero: the weights grow into their scale.
BORN_SMALL = 0.2


def fans_of(shape: tuple[int, ...], leaf: str) -> tuple[tuple[int, int], ...]:
    """The possible (fan-in, fan-out) of a weight: one pair where the name tells the order of axes, else two.

    PyTorch stores (out, in, *receptive field), Keras and JAX (*receptive field, in, out).
    """
    if len(shape) < 2:
        return ()
    field = math.prod(shape[2:])
    first = (shape[1] * field, shape[0] * field)
    field = math.prod(shape[:-2])
    last = (shape[-2] * field, shape[-1] * field)
    if leaf.startswith(OUTPUT_LAST):
        return (last,)
    if leaf.startswith("weight") or "weight" in leaf:
        return (first,)
    return (first, last)


def channels_of(shape: tuple[int, ...], leaf: str) -> tuple[tuple[int, int], ...]:
    """The possible (inputs, outputs) of a weight in channels, without the receptive field; see ``fans_of``."""
    if len(shape) < 2:
        return ()
    first, last = (shape[1], shape[0]), (shape[-2], shape[-1])
    if leaf.startswith(OUTPUT_LAST):
        return (last,)
    return (first,) if "weight" in leaf else (first, last)


def born_small(series: Series) -> bool:
    """Whether a weight starts at (almost) zero: its first steps, and any gradient, are large beside it."""
    return gain_of(series, 0) < BORN_SMALL


def gain_of(series: Series, dump: int) -> float:
    """The root mean square times the square root of the fan-in, NaN where it cannot be told.

    1 keeps the variance of a linear layer (LeCun et al. 1998), the square root of 2 that of a rectified one
    (He et al. 2015, equation 10). Of two possible fans the one whose gain is nearer to 1 counts.
    """
    if series.shape is None or not series.is_matrix:
        return float("nan")
    count, l2 = float(series.number("count")[dump]), float(series.number("l2")[dump])
    if not count > 0 or not math.isfinite(l2):
        return float("nan")
    rms = l2 / math.sqrt(count)
    gains = [rms * math.sqrt(fan_in) for fan_in, _ in fans_of(series.shape, series.leaf)]
    return min(gains, key=lambda gain: abs(math.log(gain)) if gain > 0 else math.inf, default=float("nan"))
