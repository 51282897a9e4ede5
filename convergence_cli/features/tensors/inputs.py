"""Inputs: the scale in which the network is given its features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median
from convergence_cli.features.tensors.activations import rms_of
from convergence_cli.features.tensors.persistence import NAN
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# Below this many samples the mean and the spread of a feature are chance.
MIN_SAMPLES = 16
# A first layer that gives out less than this share of what it takes in scales its input itself.
SCALED_INSIDE = 0.05
# Inputs beside the data: which positions count, where and when they are.
_BESIDE = re.compile(r"mask|(^|[._])ids?($|[._])|index|length|position|time_?step|weight", re.IGNORECASE)
_NORMS = re.compile(r"norm|(^|[._])(bn|ln)\d*($|[._])|scal|standard", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One floating-point input, by what every dump shows at least.

    ``rms``, ``bulk`` (the magnitude that 99 % of the values on either side of zero stay below), ``offset`` (median over
    the features of their absolute mean over their standard deviation) and ``spread`` (of the features' standard
    deviations, largest over smallest) are the lowest over all dumps, NaN where unknown; ``features`` says whether
    each column is one (no picture, no sequence). ``mean`` and ``std`` are medians over the dumps.
    ``scaled_inside``: the network's first layer brings it to scale.
    """

    series: Series
    rms: float
    bulk: float
    offset: float
    spread: float
    features: bool
    mean: float
    std: float
    scaled_inside: bool

    @property
    def dumps(self) -> int:
        return len(self.series.step)


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Every floating-point input with data in it."""

    inputs: tuple[Input, ...]


def inputs_of(stats: TensorStats, evidence: Evidence) -> Inputs | Missing:
    """The scale of each floating-point input; integers are pictures or tokens, scaled or embedded inside."""
    found = series_of(stats, "input")
    if not found:
        return Missing("needs inputs in a tensor dump")
    tokens = {one.name for one in stats.tokens}
    dtypes = stats.text("dtype")
    kept = [
        one
        for one in found
        if not dtypes[one.rows[-1]].startswith(("int", "uint", "bool"))
        and one.name not in tokens
        and not _BESIDE.search(one.name)
    ]
    if not stats.trusted_order:
        return Inputs(tuple(_input(one, None, None) for one in kept))
    first = next(iter(series_of(stats, "activation")), None)
    weight = next(iter(series_of(stats, "weight") or series_of(stats, "gradient")), None)
    return Inputs(tuple(_input(one, first, weight) for one in kept))


def _input(series: Series, first: Series | None, weight: Series | None) -> Input:
    rms = rms_of(series)
    samples = series.number("samples")
    # Unknown numbers of samples are taken for few.
    enough = bool((samples >= MIN_SAMPLES).all())
    lowest = _lowest(rms)
    return Input(
        series=series,
        rms=lowest,
        bulk=_lowest(np.maximum(np.abs(series.quantile(0)), np.abs(series.quantile(-1)))),
        offset=_lowest(series.number("feature_offset")) if enough else NAN,
        spread=_lowest(series.number("feature_spread")) if enough else NAN,
        features=series.shape is not None and len(series.shape) <= 2,
        mean=_middle(series.number("mean")),
        std=_middle(series.number("std")),
        scaled_inside=_scaled_by(weight, series.shape) or (first is not None and _scales(first, float(rms[0]))),
    )


def _scales(first: Series, rms: float) -> bool:
    """Whether ``first`` normalises, or gives out far less than it takes in, and not because its function has bounds.

    At the first dump: a layer that its input has killed gives out little too, later.
    """
    if _NORMS.search(first.name):
        return True
    bounded = bool(np.fmax(np.abs(first.number("min")), np.abs(first.number("max")))[0] <= 1)
    return not bounded and bool(rms_of(first)[0] < SCALED_INSIDE * rms)


def _scaled_by(weight: Series | None, shape: tuple[int, ...] | None) -> bool:
    """Whether the first weight is a vector with one value for each feature: that of a normalisation."""
    if weight is None or weight.shape is None or shape is None or "bias" in weight.leaf:
        return False
    return len(weight.shape) == 1 and weight.shape[0] in shape[1:]


def _lowest(values: FloatArray) -> float:
    return float(values.min()) if len(values) and np.isfinite(values).all() else NAN


def _middle(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return median(known) if len(known) else NAN
