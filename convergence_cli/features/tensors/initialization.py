"""Weights as they were born: their scale for their fan, and units that are copies of one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.tensors.fans import channels_of, fans_of, gain_of
from convergence_cli.features.tensors.series import Series, matrices_of, series_of
from convergence_cli.features.tensors.weights import apart
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import TensorStats

# A dump counts as one of the start up to this step, or this share of the run.
FIRST_STEPS = 10
FIRST_SHARE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Born:
    """One weight at the first dump.

    ``gain`` is its root mean square times the square root of its fan-in (see ``fans.gain_of``). ``twin`` is
    the share of its units that are copies of another, ``twin_end`` that at the last dump; ``variance`` and
    ``variance_end`` are the variance between units over the mean square, which noise on copies leaves small;
    ``pruned`` the share of units that are zero. ``feeds``: another weight takes as many inputs as it has
    outputs; ``is_last``: none does, or it is the last of the dump.
    """

    series: Series
    step: float
    rms: float
    std: float
    gain: float
    fan_in: int
    fan_out: int
    twin: float
    twin_end: float
    variance: float
    variance_end: float
    pruned: float
    is_zero: bool
    feeds: bool
    is_last: bool


@dataclass(frozen=True, slots=True, eq=False)
class Initialization:
    """The weights that mix features, embeddings left out. ``dumps``: how many dumps with a step between follow."""

    layers: tuple[Born, ...]
    dumps: int


def is_start(stats: TensorStats, weights: list[Series]) -> bool:
    """Whether the first dump of ``weights`` is one of the first steps."""
    return first_step_of(weights) <= max(FIRST_STEPS, FIRST_SHARE * float(stats.steps[-1]))


def first_step_of(weights: list[Series]) -> float:
    """The first step at which any of ``weights`` was dumped."""
    return min(float(one.step[0]) for one in weights)


def initialization_of(stats: TensorStats, evidence: Evidence) -> Initialization | Missing:
    """The weights of the first dump, if that is one of the start."""
    found = [one for one in matrices_of(series_of(stats, "weight")) if not one.is_embedding]
    if not found:
        return Missing("needs weights of the first steps in a tensor dump")
    first = first_step_of(found)
    if not is_start(stats, found):
        return Missing(f"needs weights of the first steps: the first dump is of step {first:g}")
    layers = [_born(one, found) for one in found if float(one.step[0]) == first]
    return Initialization(tuple(layers), max(int(np.count_nonzero(apart(one))) for one in found))


def _born(series: Series, found: list[Series]) -> Born:
    count = float(series.number("count")[0])
    fans = fans_of(series.shape, series.leaf) if series.shape is not None else ()
    twin = series.number("twin")
    with np.errstate(all="ignore"):
        rms = series.number("l2") / np.sqrt(series.number("count"))
    feeds = series.shape is None or any(_takes(other, series) for other in found if other is not series)
    return Born(
        series=series,
        step=float(series.step[0]),
        rms=float(rms[0]),
        std=float(series.number("std")[0]),
        gain=gain_of(series, 0),
        fan_in=fans[0][0] if fans else 0,
        fan_out=fans[0][1] if fans else 0,
        twin=float(twin[0]),
        twin_end=float(twin[-1]),
        variance=float(series.number("unit_variance")[0]),
        variance_end=float(series.number("unit_variance")[-1]),
        pruned=float(series.number("dead")[0]),
        is_zero=bool(series.number("zero")[0] == count),
        feeds=feeds,
        is_last=series is found[-1] or not feeds,
    )


def _takes(other: Series, series: Series) -> bool:
    """Whether ``other`` may take what ``series`` gives out, be it a flattened picture."""
    if other.shape is None or series.shape is None:
        return True
    pairs = [
        (out, into)
        for _, out in channels_of(series.shape, series.leaf)
        for into, _ in channels_of(other.shape, other.leaf)
    ]
    picture = len(series.shape) > 2
    return any(into == out or (picture and into % out == 0) for out, into in pairs)
