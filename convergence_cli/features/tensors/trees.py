"""Trees of a boosted model: how deep they are for the samples there are, and which features carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.features.tensors.persistence import NAN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import TensorStats

# A leaf of a balanced tree should still hold about this many samples.
SAMPLES_A_LEAF = 10
_SAMPLES = ("num_samples", "n_samples", "num_rows", "train_rows", "num_data")
TOP = 3


@dataclass(frozen=True, slots=True)
class Trees:
    """The trees at the last dump.

    ``depth`` is the largest, NaN where unknown; ``samples`` how many there are to train on, NaN where neither the
    config nor the dumped labels tell. ``sensible_depth`` is log2(samples / 10), ``largest_depth`` log2(samples): there
    each leaf of a balanced tree holds one sample. ``top`` are the three most important features with their shares of
    the whole, by ``importance_type``; ``top_share`` is their sum, the lowest over the dumps that tell.
    """

    step: float
    depth: float
    samples: float
    sensible_depth: float
    largest_depth: float
    features: int
    top: tuple[tuple[str, float], ...]
    top_share: float
    importance_type: str


def trees_of(stats: TensorStats, evidence: Evidence) -> Trees | None:
    """The depth and the feature importances of a boosted model; None where the dump holds no trees."""
    if not stats.trees:
        return None
    last = stats.trees[-1]
    told = [one for one in stats.trees if _shares(one.importance)]
    ranked = sorted(_shares(told[-1].importance).items(), key=lambda item: -item[1]) if told else []
    top = tuple(ranked[:TOP])
    names = [name for name, _ in top]
    samples = _samples(stats, evidence)
    return Trees(
        step=last.step,
        depth=max((one.depth for one in stats.trees if math.isfinite(one.depth)), default=NAN),
        samples=samples,
        sensible_depth=math.log2(max(samples / SAMPLES_A_LEAF, 2)) if samples > 0 else NAN,
        largest_depth=math.log2(max(samples, 2)) if samples > 0 else NAN,
        features=len(told[-1].importance) if told else 0,
        top=top,
        top_share=min((sum(_shares(one.importance).get(name, 0.0) for name in names) for one in told), default=0.0),
        importance_type=told[-1].importance_type if told else "",
    )


def _shares(importance: Mapping[str, float]) -> dict[str, float]:
    known = {name: value for name, value in importance.items() if math.isfinite(value) and value > 0}
    total = sum(known.values())
    return {name: value / total for name, value in known.items()}


def _samples(stats: TensorStats, evidence: Evidence) -> float:
    """From the config, else the largest label tensor: boosting dumps all labels at once."""
    for key in _SAMPLES:
        value = evidence.run.config.get(key)
        if isinstance(value, (int, float)) and value > 0:
            return float(value)
    counts = [
        float(count)
        for count, kind in zip(stats.number("count"), stats.text("kind"), strict=True)
        if kind == "label" and count > 0
    ]
    counts += [float(sum(one.counts)) for one in stats.labels]
    return max(counts, default=NAN)
