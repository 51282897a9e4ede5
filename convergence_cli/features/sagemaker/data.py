"""Labels, predictions, images and tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.sagemaker.reading import Reading
from convergence_cli.features.tensors.series import series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import Confusion

# ClassImbalance: how many labels must have been seen. CheckInputImages: how many images.
SAMPLES = 500
THRESHOLD_SAMPLES = 500
# NLPSequenceRatio: the one token value whose share is taken.
TOKEN = 0


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """The labels up to ``step``: the most and the least frequent class, and the ratio of their counts."""

    name: str
    step: float
    samples: int
    most: int
    least: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Judged:
    """The worst entries of a confusion matrix, as shares of the samples of their class (its row).

    ``right`` is that of the class ``class_``, which is recognised least; ``wrong`` is the largest share of a class
    (``from_class``) that is taken for one other class (``to_class``).
    """

    name: str
    step: float
    samples: int
    class_: int
    right: float
    from_class: int
    to_class: int
    wrong: float


@dataclass(frozen=True, slots=True)
class Predictions:
    """``steps`` judge each dump alone, ``total`` all samples up to it, from ``SAMPLES`` on."""

    steps: tuple[Judged, ...]
    total: tuple[Judged, ...]


def labels_of(evidence: Evidence) -> tuple[ClassCounts, ...] | Missing | None:
    """The counts of the classes after each dump, from ``SAMPLES`` labels on."""
    stats = evidence.run.tensors
    if stats is None:
        return None
    seen: dict[tuple[str, str], dict[float, int]] = {}
    found, most_seen = [], 0
    for one in stats.labels:
        if one.sequence:
            continue
        counts = seen.setdefault((one.name, one.mode), {})
        for value, count in zip(one.values, one.counts, strict=True):
            counts[value] = counts.get(value, 0) + count
        total = sum(counts.values())
        most_seen = max(most_seen, total)
        if total >= SAMPLES:
            most, least = max(counts.values()), min(count for count in counts.values() if count > 0)
            found.append(ClassCounts(one.name, one.step, total, most, least, most / least))
    if found:
        return tuple(found)
    return Missing(f"needs {SAMPLES} class labels" + (f", has {most_seen}" if most_seen else " in a tensor dump"))


def predictions_of(evidence: Evidence) -> Predictions | Missing | None:
    """The confusion of classes at each dump, and summed up."""
    stats = evidence.run.tensors
    if stats is None:
        return None
    steps, total = [], []
    sums: dict[tuple[str, str], npt.NDArray[np.int64]] = {}
    for one in stats.confusions:
        if one.sequence or not one.matrix.any():
            continue
        steps.append(_judged(one, one.matrix))
        before = sums.get((one.name, one.mode))
        size = max(len(one.matrix), 0 if before is None else len(before))
        both = [matrix for matrix in (before, one.matrix) if matrix is not None]
        added = sum(np.pad(matrix, (0, size - len(matrix))) for matrix in both)
        sums[one.name, one.mode] = np.asarray(added)
        if int(sums[one.name, one.mode].sum()) >= SAMPLES:
            total.append(_judged(one, sums[one.name, one.mode]))
    if not steps:
        return Missing("needs class labels and outputs of the same steps in a tensor dump")
    return Predictions(tuple(steps), tuple(total))


def images_of(evidence: Evidence) -> tuple[Reading, ...] | Missing | None:
    """The mean over all values of each input of images (batch, ..., ..., ...), at its last dump."""
    stats = evidence.run.tensors
    if stats is None:
        return None
    found, most = [], 0
    for one in series_of(stats, "input"):
        if one.shape is None or len(one.shape) != 4:
            continue
        known = np.isfinite(one.number("mean")) & (one.number("count") > 0)
        count, mean = one.number("count")[known], one.number("mean")[known]
        images = round(float(count.sum()) / max(math.prod(one.shape[1:]), 1))
        most = max(most, images)
        if images >= THRESHOLD_SAMPLES:
            value = float(np.sum(mean * (count / count.sum())))
            found.append(Reading(one.title, one.layer, float(one.step[-1]), value))
    if found:
        return tuple(sorted(found, key=lambda read: -abs(read.value)))
    return Missing(f"needs {THRESHOLD_SAMPLES} input images" + (f", has {most}" if most else " in a tensor dump"))


def tokens_of(evidence: Evidence) -> tuple[Reading, ...] | None:
    """The share of the token ``TOKEN`` in each input of sequences, in percent, where it is largest."""
    stats = evidence.run.tensors
    if stats is None or not stats.tokens:
        return None
    worst: dict[str, Reading] = {}
    for one in stats.tokens:
        read = Reading(f"input/{one.name}", one.name, one.step, 100 * one.shares.get(TOKEN, 0.0))
        if one.name not in worst or read.value > worst[one.name].value:
            worst[one.name] = read
    return tuple(sorted(worst.values(), key=lambda read: -read.value))


def _judged(one: Confusion, matrix: npt.NDArray[np.int64]) -> Judged:
    """Classes without a sample are left out."""
    of_class = matrix.sum(axis=1)
    present = np.flatnonzero(of_class > 0)
    shares = matrix[present] / of_class[present, None]
    right = shares[np.arange(len(present)), present]
    wrong = shares.copy()
    wrong[np.arange(len(present)), present] = 0
    worst = int(np.argmin(right))
    row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return Judged(
        name=one.name,
        step=one.step,
        samples=int(of_class.sum()),
        class_=int(present[worst]),
        right=float(right[worst]),
        from_class=int(present[row]),
        to_class=int(column),
        wrong=float(wrong[row, column]),
    )
