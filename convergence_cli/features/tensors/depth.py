"""The scale of hidden activations along the depth, before training has changed them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.tensors.activations import (
    HIDDEN_NEEDED,
    NEEDED,
    Activations,
    first_step_of,
    starts_early,
)
from convergence_cli.features.tensors.forms import pattern_of
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

MIN_CHAIN = 3
# A layer whose scale grows so much until the next dump was begun at (almost) zero on purpose.
BORN_ZERO = 10.0
_APART = re.compile(r"norm|pool|(^|[._])(bn|ln|gn)[._]?\d*($|[._])", re.IGNORECASE)
_NUMBERS_ONLY = re.compile(r"[\d.]+")


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Activations of one type along the depth at the first dump; ``std`` has shape (n,), above 0.

    ``ratio`` is the largest over the smallest. ``step_up`` is the largest factor by which one layer exceeds the one
    before it, at ``at``; 1 where the order, or the type of each layer, is not known.
    """

    series: tuple[Series, ...]
    std: FloatArray
    smallest: int
    largest: int
    ratio: float
    step_up: float
    at: int


@dataclass(frozen=True, slots=True, eq=False)
class FirstActivations:
    """The scale of hidden activations at ``step``, type by type."""

    step: float
    chains: tuple[Chain, ...]


def first_activations_of(stats: TensorStats, evidence: Evidence) -> FirstActivations | Missing:
    """The scales of the activations before training has changed them."""
    activations = evidence.activations
    if not isinstance(activations, Activations):
        return Missing(NEEDED)
    first = first_step_of(activations)
    if not starts_early(stats, first):
        return Missing(f"needs activations of the first steps; the first dump is of step {first:g}")
    hidden = [one for one in activations.layers if not one.final]
    if not hidden:
        return Missing(HIDDEN_NEEDED)
    scales = {one.layer for one in series_of(stats, "weight") if one.leaf == "weight" and not one.is_matrix}
    groups: dict[str, list[Series]] = {}
    # The last of a family of names is at the scale of the others, whether or not it is what the network gives out.
    for one in (one for one in activations.layers if one.form != "probabilities"):
        series = one.series
        if series.step[0] == first and series.layer not in scales and not _APART.search(series.name):
            groups.setdefault(pattern_of(series.name), []).append(series)
    chains = [chain for series in groups.values() if (chain := _chain(series, stats.trusted_order)) is not None]
    if not chains:
        return Missing(f"needs activations of {MIN_CHAIN} hidden layers of one type in a tensor dump")
    return FirstActivations(first, tuple(chains))


def _chain(series: list[Series], ordered: bool) -> Chain | None:
    std = np.array([one.number("std")[0] for one in series])
    next_std = np.array([one.number("std")[min(1, len(one.step) - 1)] for one in series])
    kept = np.flatnonzero(np.isfinite(std) & (std > 0) & ~(next_std >= BORN_ZERO * std))
    if len(kept) < MIN_CHAIN:
        return None
    std = std[kept]
    # In a sequence of numbers alone a normalisation may follow a convolution.
    alike = not _NUMBERS_ONLY.fullmatch(series[0].name)
    factors = std[1:] / std[:-1] if ordered and alike else np.ones(1)
    smallest, largest = int(np.argmin(std)), int(np.argmax(std))
    at = int(np.argmax(factors))
    return Chain(
        series=tuple(series[index] for index in kept.tolist()),
        std=std,
        smallest=smallest,
        largest=largest,
        ratio=float(std[largest] / std[smallest]),
        step_up=float(factors[at]),
        at=min(at + 1, len(std) - 1),
    )
