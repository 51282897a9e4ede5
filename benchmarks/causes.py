"""How often the true cause is ranked first and among the first three, and how sure: one figure a line.

Every run is judged by weights fitted on runs of other architectures and other data sets only (the same script and
settings as ``make fit-causes``). Usage: causes.py ZOO [--jobs 2] [--by both] [--kinds]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from zoo.cause_examples import VIEWS, CauseExample, cause_examples
from zoo.cause_fitting import cause_folds, model_of
from zoo.examples import folders_of

from convergence_cli.diagnosis.fitted import NONE
from convergence_cli.diagnosis.rank import probabilities_of

BINS = 15
Fold = tuple[list[CauseExample], list[CauseExample]]


@dataclass(frozen=True, slots=True)
class Ranked:
    """One view of a run with all causes, likeliest first, and the probability of the first and of ``none``."""

    example: CauseExample
    causes: tuple[str, ...]
    probability: float
    healthy: float


def ranked(fold: Fold) -> list[Ranked]:
    """The test examples of a fold, judged by a fit on the others."""
    model = model_of(fold[0])
    found = []
    for one in fold[1]:
        likely = probabilities_of(one.facts, model)
        causes = sorted((name for name in likely if name != NONE), key=lambda name: -likely[name])
        found.append(Ranked(one, tuple(causes), likely[causes[0]], likely[NONE]))
    return found


def calibration_error(said: Sequence[Ranked]) -> float:
    """Expected calibration error of the first cause's probability (Guo et al. 2017, equation 3, 15 bins).

    Over faulty and healthy runs: of a healthy one no cause is right.
    """
    sure = np.array([one.probability for one in said])
    right = np.array([one.causes[0] == one.example.cause for one in said])
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return sum(
        abs(sure[bins == k].mean() - right[bins == k].mean()) * (bins == k).sum() for k in set(bins.tolist())
    ) / max(len(said), 1)


def share(said: Sequence[Ranked], first: int) -> float:
    """Of how many the true cause is among the ``first``."""
    return sum(one.example.cause in one.causes[:first] for one in said) / max(len(said), 1)


def print_view(view: str, said: Sequence[Ranked]) -> None:
    """The figures of one view."""
    name = view.replace("+", "_with_")
    faulty = [one for one in said if one.example.cause != NONE]
    for group, members in (("", faulty), ("_harmed", [one for one in faulty if one.example.harmed])):
        print(f"{name}{group}_runs {len(members)}")
        print(f"{name}{group}_true_cause_first {share(members, 1):.3f}")
        print(f"{name}{group}_true_cause_among_three {share(members, 3):.3f}")
        print(f"{name}{group}_called_faulty {sum(one.healthy < 0.5 for one in members) / max(len(members), 1):.3f}")
    print(f"{name}_expected_calibration_error {calibration_error(said):.3f}")
    print(f"{name}_expected_calibration_error_faulty_only {calibration_error(faulty):.3f}")


def print_kinds(said: Sequence[Ranked]) -> None:
    """Of each fault: runs, first, among three, and what it was mistaken for."""
    kinds: dict[str, list[Ranked]] = defaultdict(list)
    for one in said:
        if one.example.truth.fault:
            kinds[one.example.truth.fault].append(one)
    for kind, members in sorted(kinds.items()):
        wrong = [one.causes[0] for one in members if one.causes[0] != one.example.cause]
        often = sorted(set(wrong), key=lambda name: -wrong.count(name))[:3]
        taken = ", ".join(f"{name} {wrong.count(name)}" for name in often)
        print(f"  {kind:<26} {len(members):>4} {share(members, 1):.2f} {share(members, 3):.2f}  {taken}")


def main(root: Path, jobs: int, by: str, kinds: bool) -> None:
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        found = pool.map(cause_examples, folders_of(root), chunksize=8)
        examples = [one for some in found for one in some]
        said = [one for some in pool.map(ranked, list(cause_folds(examples, by))) for one in some]
    for view in VIEWS:
        here = [one for one in said if one.example.view == view]
        print_view(view, here)
        if kinds:
            print_kinds(here)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--by", choices=("both", "architecture", "dataset"), default="both")
    parser.add_argument("--kinds", action="store_true", help="also by fault")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(chosen.zoo, chosen.jobs, chosen.by, chosen.kinds)
