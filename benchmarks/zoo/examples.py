"""Runs of the zoo as the classifier meets them: features of whole logs and of prefixes, with the truth beside."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.as_of import as_of
from convergence_cli.features.evidence import Evidence
from convergence_cli.features.verdict import certain_of
from convergence_cli.model import LABELS
from convergence_cli.pipeline import read_run
from zoo.metamorphic import KEEPING, TAKING
from zoo.specimen import Truth, truth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.features.vector import Vector
    from convergence_cli.model import Run

PREFIXES = 3


@dataclass(frozen=True, slots=True)
class Example:
    """A run as of ``share`` of its planned steps.

    ``certain``: the verdict that is given before any classifier is asked (NaN, too few points, ...), None where it is
    asked; ``vector`` is None where it is not. ``change`` names one of ``zoo.metamorphic`` that was made.
    """

    truth: Truth
    share: float
    labels: tuple[str, ...]
    vector: Vector | None
    certain: str | None
    done: float | None = None
    change: str = ""

    @property
    def validated(self) -> bool:
        """Whether there are evaluations enough to tell overfitting."""
        return self.vector is not None and self.vector.validated

    @property
    def whole(self) -> bool:
        """Whether this is the run as it ended, as it was logged."""
        return self.share >= 1 and not self.change


def folders_of(root: Path) -> list[Path]:
    """The finished runs of a zoo, by name."""
    return sorted(folder for folder in root.iterdir() if (folder / "truth.json").exists())


def changed_examples(run: Run, truth: Truth) -> Iterator[Example]:
    """The run after each change of its log that leaves what its label rests on."""
    for name, change in (KEEPING | TAKING).items():
        other = change(run)
        if other is not None:
            yield Example(truth, 1.0, truth.labels, *looked_at(other), change=name)


def axis_scale(run: Run, truth: Truth) -> float:
    """Units of the log's own axis in one step: 1, or less where it counts epochs."""
    losses = [curve for role in ("train_loss", "val_loss") if (curve := run.curve(role)) is not None]
    last = max((float(curve.step[-1]) for curve in losses), default=0.0)
    ended = truth.trace.step[-1]
    return last / ended if last < 0.5 * ended else 1.0


def example_of(run: Run, truth: Truth, share: float = 1.0) -> Example:
    """``run`` as of ``share`` of its planned steps."""
    step = share * truth.trace.planned
    seen = run if share >= 1 else as_of(run, step * axis_scale(run, truth))
    labels = truth.labels if share >= 1 else expected(truth, step)
    return Example(truth, share, labels, *looked_at(seen))


def looked_at(run: Run) -> tuple[Vector | None, str | None, float | None]:
    """Features, the label that needs none, and how much of the plan is done."""
    with np.errstate(all="ignore"):
        evidence = Evidence(run)
        certain = certain_of(evidence)
        if certain is not None:
            return None, certain.label, None
        return evidence.vector, None, evidence.done


def expected(truth: Truth, step: float) -> tuple[str, ...]:
    """The right labels as of ``step``. A healthy run is not failing at any time, however it looks so far."""
    if truth.labels == ("converging",):
        return truth.labels
    now = tuple(label for label in truth.labels_at(step) if label != "undetermined")
    both = tuple(label for label in now if label in truth.labels)
    return both or now


def examples_of(folder: Path, shares: tuple[float, ...] = ()) -> Iterator[Example]:
    """The whole run and prefixes of it: at ``shares``, or at random ones that the name of the run decides."""
    truth = truth_of(folder)
    run = read_run(folder / "run")
    if truth.fixed_labels:
        return
    dice = random.Random(truth.name)
    ended = truth.trace.step[-1] / truth.trace.planned
    for share in (1.0, *(shares or sorted(dice.uniform(0.03, ended) for _ in range(PREFIXES)))):
        if share >= 1 or share <= ended:
            yield example_of(run, truth, share)


def matrix_of(examples: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    """Features, shape (n, features), and which labels are right, shape (n, labels), of examples with a vector."""
    rows = np.array([one.vector.values for one in examples if one.vector is not None])
    right = np.array([[label in one.labels for label in LABELS] for one in examples if one.vector is not None])
    return rows, right
