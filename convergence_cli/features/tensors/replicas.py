"""The same weight on several workers: replicas of one model must agree to the last bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import TensorStats

_COMPARED = ("mean", "std", "min", "max", "l2")


@dataclass(frozen=True, slots=True)
class Apart:
    """One weight that differs between two workers.

    ``difference`` is the largest difference of its statistics at the last dump, over its root mean square;
    ``from_start``: it differs at the first dump already.
    """

    name: str
    layer: str
    workers: tuple[str, str]
    first_step: float
    difference: float
    from_start: bool


@dataclass(frozen=True, slots=True)
class Replicas:
    """``compared`` tensors of ``workers`` workers, and those that differ, the farthest apart first."""

    workers: int
    compared: int
    apart: tuple[Apart, ...]
    dumps: int


def replicas_of(stats: TensorStats, evidence: Evidence) -> Replicas | Missing:
    """Weights of equal name, shape and step, compared between workers; running statistics are no replicas."""
    workers = stats.text("worker")
    rows = (stats.text("kind") == "weight") & (stats.text("function") != "buffer")
    names = sorted(set(workers[rows].tolist()))
    if len(names) < 2:
        return Missing("needs dumps of several workers")
    values = np.stack([stats.number(column) for column in _COMPARED], axis=1)
    rms = stats.number("l2") / np.sqrt(np.maximum(stats.number("count"), 1))
    step = stats.number("step")
    at = {
        (stats.text("name")[row], float(step[row]), workers[row], stats.shape[row]): row
        for row in np.flatnonzero(rows).tolist()
    }
    found: dict[str, list[tuple[float, float, str]]] = {}
    compared: set[str] = set()
    for (name, when, worker, shape), row in at.items():
        first = next((other for one in names if (other := at.get((name, when, one, shape))) is not None), row)
        if first == row:
            continue
        compared.add(name)
        with np.errstate(all="ignore"):
            far = np.nanmax(np.abs(values[row] - values[first])) / max(rms[first], 1e-300)
        found.setdefault(name, []).append((when, float(far) if np.isfinite(far) else 0.0, worker))
    if not compared:
        return Missing("needs a weight that several workers have dumped at one step")
    layer = dict(zip(stats.text("name").tolist(), stats.text("layer").tolist(), strict=True))
    apart = [
        Apart(
            name=name,
            layer=layer[name] or name,
            workers=(names[0], max(pairs, key=lambda pair: pair[1])[2]),
            first_step=min(when for when, far, _ in pairs if far > 0),
            difference=max(far for when, far, _ in pairs if when == max(p[0] for p in pairs)),
            from_start=any(far > 0 for when, far, _ in pairs if when == min(p[0] for p in pairs)),
        )
        for name, pairs in found.items()
        if any(far > 0 for _, far, _ in pairs)
    ]
    apart.sort(key=lambda one: -one.difference)
    return Replicas(len(names), len(compared), tuple(apart), len(stats.steps))
