"""Recall and false alarms of the rules on dumped tensors, rule by rule, over real trainings with known faults.

Trains each fault of the lab (``tests/lab``) on each architecture that can have it, and as many healthy twins and
odd but healthy runs, with seeds that the tests do not use. A fault counts as found where its rule, or one that
truly coincides with it, names a layer that it hits. An alarm is a warning or an error of a tensor rule on a healthy
run. Usage: tensors.py [--seeds N] [--first SEED] [--only FAULT ...] [--verbose] [--recorded]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from lab.catalogue import FAULTS, HEALTHY
from lab.judging import alarms, is_found, said
from lab.runs import run_of
from lab.setup import ARCHITECTURES

Task = tuple[str | None, str, int]
# What the recorder does not record: several models side by side in one process, dumps of pauses and of other types.
NOT_RECORDED = ("replicas-differ", "stalled-writer")


def judged(task: Task, recorded: bool = False) -> tuple[bool, tuple[str, ...], str]:
    """Trains one run: whether its fault was found, the alarms, and all that was said."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        truth = run_of(*task, Path(folder) / "run", recorded=recorded)
        return is_found(truth), alarms(truth), said(truth)


def share(name: str, rule: str, part: int, whole: int) -> None:
    """One line of the result."""
    print(f"{name} {rule} {part / max(whole, 1):.2f} ({part} of {whole})")


def main(first: int, count: int, only: list[str], verbose: bool, recorded: bool) -> None:
    seeds = range(first, first + count)
    faulty: list[Task] = [
        (kind.name, architecture, seed)
        for kind in FAULTS.values()
        for architecture in kind.architectures
        for seed in seeds
        if (not only or kind.name in only) and not (recorded and kind.name in NOT_RECORDED)
    ]
    healthy: list[Task] = [(None, architecture, seed) for architecture in ARCHITECTURES for seed in seeds]
    healthy += [(kind.name, name, seed) for kind in HEALTHY.values() for name in kind.architectures for seed in seeds]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), get_context("spawn")) as pool:
        results = dict(
            zip(
                faulty + healthy,
                pool.map(partial(judged, recorded=recorded), faulty + healthy, chunksize=4),
                strict=True,
            )
        )
    found = Counter(task[0] for task in faulty if results[task][0])
    total = Counter(task[0] for task in faulty)
    alarmed = Counter(name for task in healthy for name in results[task][1])
    for task in faulty:
        if not results[task][0] or verbose:
            print(f"{'found' if results[task][0] else 'missed'} {' '.join(map(str, task))}: {results[task][2]}")
    for task in healthy:
        if results[task][1]:
            print(f"false-alarm {' '.join(map(str, task))}: {results[task][2]}")
    for rule in total:
        share("recall", str(rule), found[rule], total[rule])
    for rule in FAULTS:
        share("false_alarms", rule, alarmed[rule], len(healthy))
    share("recall", "total", sum(found.values()), len(faulty))
    share("runs_with_false_alarms", "total", sum(bool(results[task][1]) for task in healthy), len(healthy))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--first", type=int, default=100, metavar="SEED")
    parser.add_argument("--only", nargs="*", default=[], metavar="FAULT")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--recorded", action="store_true", help="by the recorder, in place of logs and dumps")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(chosen.first, chosen.seeds, chosen.only, chosen.verbose, chosen.recorded)
