"""Logits, of attention and of the output: how far they reach over the dumps, and whether they drift together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median
from convergence_cli.features.tensors.forms import is_attention_scores, is_probabilities
from convergence_cli.features.tensors.persistence import (
    beginning,
    early_level,
    late_growth,
    late_level,
    lowest_at_end,
)
from convergence_cli.features.tensors.series import Series, series_of

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# A fill for what must not be attended to or chosen lies far below any logit.
FILL = -1e3
# Growth is told from this on: softmax answers to differences of one nat.
ONE_NAT = 1.0
_LOGIT = re.compile(r"logit", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """Logits of one layer. ``reach`` (t,) is the largest magnitude that matters to a softmax, in nats.

    ``early``, ``late`` and ``lasting`` are its median in the first and in the last third of the dumps, and what the
    last third does not fall below; ``growth`` is late over early, where early counts as at least one nat.
    """

    series: Series
    reach: FloatArray
    early: float
    late: float
    lasting: float
    late_growth: float

    @property
    def dumps(self) -> int:
        return len(self.reach)

    @property
    def growth(self) -> float:
        return self.late / max(self.early, ONE_NAT)

    def since(self, threshold: float) -> float:
        """From which step on the reach lies above ``threshold``."""
        return beginning(self.series.step, self.reach > threshold)


@dataclass(frozen=True, slots=True, eq=False)
class OutputReach:
    """Output logits by their reach, and by how far all of them lie from 0 together.

    ``offset`` (t,) is the size of their mean, and ``relative_offset`` the least ratio of it to their standard
    deviation in the last third of the dumps.
    """

    size: Reach
    offset: Reach
    relative_offset: float


@dataclass(frozen=True, slots=True, eq=False)
class AttentionLogits:
    """Every layer whose attention logits are dumped, in the order of the dump."""

    layers: tuple[Reach, ...]


@dataclass(frozen=True, slots=True, eq=False)
class OutputLogits:
    """Every output that holds logits of classes."""

    outputs: tuple[OutputReach, ...]


def attention_logits_of(stats: TensorStats, evidence: Evidence) -> AttentionLogits | None:
    """Activations that are called scores or logits of attention, before the softmax."""
    found = [one for one in series_of(stats, "activation") if is_attention_scores(one) and not _in_unit(one)]
    layers = [_reach(one, one.number("max")) for one in found]
    return AttentionLogits(tuple(layers)) if layers else None


def output_logits_of(stats: TensorStats, evidence: Evidence) -> OutputLogits | None:
    """Outputs that hold logits: by name, or because labels of the same dump are classes, and by their values."""
    of_classes = {one.name for one in stats.confusions}
    found = [
        one
        for one in series_of(stats, "output")
        if (one.name in of_classes or _LOGIT.search(one.name)) and not is_probabilities(one) and not _in_unit(one)
    ]
    outputs = []
    for one in found:
        mean, std = np.abs(one.number("mean")), one.number("std")
        with np.errstate(all="ignore"):
            relative = mean / std
        outputs.append(OutputReach(_reach(one, _size(one)), _reach(one, mean), lowest_at_end(relative)))
    return OutputLogits(tuple(outputs)) if outputs else None


def _in_unit(series: Series) -> bool:
    """All values lie in [0, 1]: probabilities, whatever their name."""
    low, high = series.number("min"), series.number("max")
    known = np.isfinite(low) & np.isfinite(high)
    return bool(known.any() and (low[known] >= 0).all() and (high[known] <= 1).all())


def _size(series: Series) -> FloatArray:
    """The largest magnitude; below 0 only as far as no fill reaches."""
    low, first_percentile = series.number("min"), series.quantile(0)
    filled = np.isfinite(low) & (low < FILL) & ~(first_percentile < FILL)
    below = np.where(filled, first_percentile, low)
    size: FloatArray = np.fmax(np.abs(series.number("max")), np.where(below > FILL, -below, np.nan))
    return size


def _reach(series: Series, values: FloatArray) -> Reach:
    known = values[np.isfinite(values)]
    early = early_level(values)
    return Reach(
        series=series,
        reach=values,
        early=early if np.isfinite(early) or not len(known) else median(known),
        late=late_level(values),
        lasting=lowest_at_end(values),
        late_growth=late_growth(values),
    )
