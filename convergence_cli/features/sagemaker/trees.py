"""Boosted trees: their depth, and the importance of the features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

# FeatureImportanceOverweight: how many features are summed.
NFEATURES = 3


@dataclass(frozen=True, slots=True)
class Depth:
    """The largest depth of a tree, and the step at which it is first there."""

    step: float
    depth: float


@dataclass(frozen=True, slots=True)
class Importance:
    """The ``NFEATURES`` most important features at ``step`` and their share of all importance."""

    step: float
    features: tuple[str, ...]
    share: float
    total_features: int


def depth_of(evidence: Evidence) -> Depth | Missing | None:
    """The deepest tree of the run."""
    stats = evidence.run.tensors
    if stats is None:
        return None
    known = [one for one in stats.trees if math.isfinite(one.depth)]
    if not known:
        return Missing("needs trees of a boosted model")
    deepest = max(known, key=lambda one: one.depth)
    return Depth(deepest.step, deepest.depth)


def importance_of(evidence: Evidence) -> Importance | Missing | None:
    """The step at which the first few features hold most of the importance."""
    stats = evidence.run.tensors
    if stats is None:
        return None
    found = []
    for one in stats.trees:
        ranked = sorted(one.importance.items(), key=lambda item: -item[1])
        total = math.fsum(one.importance.values())
        if total > 0 and math.isfinite(total):
            top = ranked[:NFEATURES]
            share = math.fsum(value for _, value in top) / total
            found.append(Importance(one.step, tuple(name for name, _ in top), share, len(ranked)))
    return max(found, key=lambda one: one.share) if found else Missing("needs feature importances of a boosted model")
