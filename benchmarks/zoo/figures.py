"""The figures of the zoo: agreement with the truth, calibration, how early, how steadily."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from convergence_cli.model import LABELS
from zoo import scores

BINS = 15
FAILING = ("diverging", "stuck", "overfitting")


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict beside the labels that are right: ``label`` as given, ``likeliest`` and its ``probability``."""

    right: tuple[str, ...]
    label: str
    likeliest: str = ""
    probability: float | None = None

    @property
    def truth(self) -> str:
        """The label to count it under: the one said, where that is right."""
        return self.label if self.label in self.right else self.right[0]


def f1_of(said: Sequence[Said]) -> dict[str, float]:
    """F1 of each of the four labels that occurs as truth or was said."""
    found = scores.f1_of(_pairs(said))
    return {label: found[label] for label in LABELS if label in found}


def _pairs(said: Sequence[Said]) -> list[scores.Pair]:
    return [(one.truth, one.label) for one in said]


def macro_f1(said: Sequence[Said]) -> float:
    """The mean of these."""
    found = f1_of(said)
    return sum(found.values()) / max(len(found), 1)


def calibration_of(said: Iterable[Said]) -> tuple[float, list[tuple[float, float, int]]]:
    """Expected calibration error (Guo et al. 2017, equation 3, 15 bins), and of each bin what it said, how often that

    was right, and how many there are. Verdicts without a probability of their own are left out.
    """
    given = [one for one in said if one.probability is not None]
    sure = np.array([one.probability for one in given])
    right = np.array([one.likeliest in one.right for one in given])
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    table = [
        (float(sure[bins == k].mean()), float(right[bins == k].mean()), int((bins == k).sum()))
        for k in range(BINS)
        if (bins == k).any()
    ]
    return sum(abs(a - b) * n for a, b, n in table) / max(len(given), 1), table


def matrix_lines(said: Sequence[Said]) -> list[str]:
    """The confusion matrix as lines of text."""
    return scores.matrix_lines(_pairs(said))


def detected_at(labels: Sequence[tuple[float, str]], truth: str) -> float | None:
    """The share of the run from which on ``truth`` is said at every later prefix; None where the last says else."""
    since = None
    for share, label in labels:
        if label != truth:
            since = None
        elif since is None:
            since = share
    return since
