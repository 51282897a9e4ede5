"""Weights as they were born: their scale for their fan, and units that are copies of one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.tensors.fans import fans_of, gain_of
from convergence_cli.features.tensors.series import Series, series_of
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

    ``gain`` is its root mean square times the square root of its fan-in (see ``fans.gain_of``). ``twin`` is the
    share of its units that are copies of another, ``twin_end`` that at the last dump; ``pruned`` the share of
    units that are zero. ``is_last``: no other weight follows it in the dump. ``silences``: it is all zero, and most
    other weights have a gradient of exactly zero with it, as where signals have no way around it.
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
    pruned: float
    is_zero: bool
    is_last: bool
    silences: bool


@dataclass(frozen=True, slots=True, eq=False)
class Initialization:
    """The weights that mix features, embeddings left out. ``dumps``: how many dumps follow the first."""

    layers: tuple[Born, ...]
    dumps: int


def is_start(stats: TensorStats) -> bool:
    """Whether the first dump is one of the first steps."""
    steps = stats.steps
    return bool(len(steps)) and float(steps[0]) <= max(FIRST_STEPS, FIRST_SHARE * float(steps[-1]))


def initialization_of(stats: TensorStats, evidence: Evidence) -> Initialization | Missing:
    """The weights of the first dump, if that is one of the start."""
    found = [one for one in series_of(stats, "weight") if one.is_matrix and not one.is_embedding]
    if not found:
        return Missing("needs weights of the first steps in a tensor dump")
    if not is_start(stats):
        return Missing(f"needs weights of the first steps: the first dump is of step {float(stats.steps[0]):g}")
    first = float(stats.steps[0])
    silent = {
        one.name: bool(one.number("zero")[0] == one.number("count")[0])
        for one in series_of(stats, "gradient")
        if one.is_matrix and float(one.step[0]) == first
    }
    layers = [_born(one, one is found[-1], silent) for one in found if float(one.step[0]) == first]
    return Initialization(tuple(layers), len(stats.steps) - 1)


def _born(series: Series, is_last: bool, silent: dict[str, bool]) -> Born:
    count, l2 = float(series.number("count")[0]), float(series.number("l2")[0])
    fans = fans_of(series.shape, series.leaf) if series.shape is not None else ()
    is_zero = bool(series.number("zero")[0] == count)
    others = [zero for name, zero in silent.items() if name != series.name]
    twin = series.number("twin")
    known = twin[np.isfinite(twin)]
    return Born(
        series=series,
        step=float(series.step[0]),
        rms=l2 / np.sqrt(count) if count else float("nan"),
        std=float(series.number("std")[0]),
        gain=gain_of(series, 0),
        fan_in=fans[0][0] if fans else 0,
        fan_out=fans[0][1] if fans else 0,
        twin=float(twin[0]),
        twin_end=float(known[-1]) if len(known) else float("nan"),
        pruned=float(series.number("dead")[0]),
        is_zero=is_zero,
        is_last=is_last,
        silences=is_zero and len(others) > 0 and 2 * sum(others) > len(others),
    )
