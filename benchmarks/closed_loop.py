"""The closed loop: faulty runs of the zoo are diagnosed, changed by their first remedies, trained again and judged.

Repaired: the run fails no longer if it did, none of its warnings and errors is left, and its final validation metric is
within 5 % of the healthy twin's way from the start. Baselines: no change, a random remedy, and "halve the learning
rate", "switch to Adam", "add batch norm" in that order. One figure a line; results are kept, and an interrupted
benchmark goes on.
Usage: closed_loop.py ZOO [--size 0.1] [--jobs 2] [--remedies 3] [--seed 0] [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from zoo.catalogue import FAULTS, SEVERITIES
from zoo.examples import folders_of
from zoo.loop import Outcome, digest_of, outcome_of, run_of
from zoo.specimen import truth_of

from convergence_cli.pipeline import diagnose


def chosen(folders: Sequence[Path], size: float, seed: int) -> list[Path]:
    """``size`` of the faulty runs, at least one of each kind: each kind in turn by severity, from a random one on."""
    dice = random.Random(seed)
    by_kind: dict[str, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        kind, _, number = folder.name.rpartition("-")
        if kind in FAULTS:
            by_kind[kind][int(number) % SEVERITIES].append(folder)
    found: list[Path] = []
    for groups in by_kind.values():
        for members in groups.values():
            dice.shuffle(members)
        first, count = dice.randrange(SEVERITIES), sum(map(len, groups.values()))
        turn = [groups[(first + i) % SEVERITIES] for i in range(SEVERITIES)]
        mixed = [members[i] for i in range(count) for members in turn if i < len(members)]
        found += mixed[: max(round(size * count), 1)]
    dice.shuffle(found)
    return found


def has_remedy(folder: Path) -> bool | None:
    """Whether a healthy run is given a remedy that changes something; None for a run that is not healthy."""
    if not truth_of(folder).healthy:
        return None
    return any(one.change for one in diagnose(run_of(folder)).remedies)


def print_group(name: str, group: Sequence[Outcome]) -> None:
    """The figures of some runs, as shares of them."""
    shares: dict[str, Callable[[Outcome], bool]] = {
        "with_remedy": lambda one: bool(one.names),
        "first": lambda one: one.remedies[:1] == [True],
        "any_of_three": lambda one: any(one.remedies),
        "no_change": lambda one: one.no_change,
        "random": lambda one: one.random,
        "ladder_first": lambda one: one.ladder[:1] == [True],
        "ladder_any": lambda one: any(one.ladder),
    }
    print(f"{name}_runs {len(group)}")
    for what, is_so in shares.items():
        print(f"{name}_{what} {sum(map(is_so, group)) / max(len(group), 1):.3f}")


def print_kinds(outcomes: Sequence[Outcome], details: bool) -> None:
    """One line a kind of fault; ``details``: and one a run, with the remedies that were tried."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.kind].append(one)
    for kind, group in sorted(groups.items()):
        first = sum(one.remedies[:1] == [True] for one in group) / len(group)
        some = sum(any(one.remedies) for one in group) / len(group)
        print(f"kind {kind} n {len(group)} first {first:.2f} any {some:.2f}")
        for one in sorted(group, key=lambda one: one.name) if details else ():
            pairs = zip(one.names, one.remedies, strict=True)
            marks = ", ".join(f"{name}{'+' if ok else '-'}" for name, ok in pairs)
            twin = "" if one.twin_learns else " (the twin learns nothing)"
            print(f"  {one.name} metric {'ok' if one.metric_alone else '-'}{twin}: {marks}")


def main(args: argparse.Namespace) -> None:
    folders = folders_of(args.zoo)
    cache = args.cache or args.zoo / "closed-loop"
    work = partial(outcome_of, cache=cache, digests=digest_of(), remedies=args.remedies, seed=args.seed)
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        outcomes = []
        picked = chosen(folders, args.size, args.seed)
        for number, one in enumerate(pool.map(work, picked), 1):
            outcomes.append(one)
            if sys.stderr.isatty():
                print(f"\r{number} of {len(picked)}", end="", file=sys.stderr)
        others = [folder for folder in folders if folder.name.rpartition("-")[0] not in FAULTS]
        random.Random(args.seed).shuffle(others)
        healthy = [one for one in pool.map(has_remedy, others[: max(round(args.size * len(others)), 1)], chunksize=4)
                   if one is not None]  # fmt: skip
    learning = [one for one in outcomes if one.twin_learns]
    harmed = [one for one in learning if not one.no_change]
    # Where the twin itself learns nothing there is no way of which 5 % could be taken.
    for name, group in (
        ("repaired_all", outcomes),
        ("repaired", learning),
        ("repaired_harmed", harmed),
        ("repaired_worse_metric", [one for one in learning if not one.metric_alone]),
    ):
        print_group(name, group)
    print_kinds(learning, args.details)
    print(f"healthy_runs {len(healthy)}")
    print(f"healthy_with_remedy {sum(healthy)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--size", type=float, default=1.0, help="share of the faulty runs, and of the healthy ones")
    parser.add_argument("--remedies", type=int, default=3, help="how many are tried in turn")
    parser.add_argument("--seed", type=int, default=0, help="which runs are drawn, and which random remedies")
    parser.add_argument("--cache", type=Path, help="where results are kept (default: in the zoo)")
    parser.add_argument("--details", action="store_true", help="also a line a run")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(parser.parse_args())
