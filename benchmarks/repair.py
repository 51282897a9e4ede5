"""The closed loop: faulty runs of the zoo are diagnosed, changed by their first remedies, trained again and judged.

Repaired: no symptom of the faulty run is left (its failing verdict, its findings of warning and error), and the final
validation loss is within 5 % of the healthy twin's way from the start. Baselines: no change, a random remedy, and
"halve the learning rate", "switch to Adam", "add batch norm" in that order. One figure a line.
Usage: repair.py ZOO [--size 0.3] [--jobs 2] [--seed 0] [--kinds] [--views log+tensors]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from zoo.catalogue import FAULTS, Specimen
from zoo.cause_examples import views_of
from zoo.examples import axis_scale, folders_of
from zoo.judged import retrained, twin_of
from zoo.specimen import truth_of
from zoo.writing import write

from convergence_cli.as_of import as_of
from convergence_cli.pipeline import diagnose

if TYPE_CHECKING:
    from convergence_cli.model import RunReport

FAILING = ("diverging", "stuck", "overfitting")
# What a user who knows nothing of the run might try.
RANDOM: tuple[dict[str, Any], ...] = (
    {"learning_rate": 1e-4}, {"learning_rate": 1e-2}, {"optimizer": "SGD"}, {"optimizer": "Adam"},
    {"batch_size": 16}, {"batch_size": 256}, {"lr_schedule": "cosine"}, {"warmup_steps": 100},
    {"gradient_clip_norm": 1.0}, {"activation": "relu", "weight_init": "he"}, {"activation": "leaky_relu"},
    {"normalization": "layer"}, {"dropout": 0.2}, {"weight_decay": 0.01}, {"early_stopping": 5},
    {"class_weight": "balanced"}, {"input_normalization": "standard"}, {"target_normalization": "standard"},
    {"output": "logits"}, {"loss": "cross_entropy"}, {"zero_grad": True}, {"labels": "repair"},
    {"precision": "bf16"}, {"trainable": "all"},
)  # fmt: skip
REMEDIES = 3


@dataclass(slots=True)
class Outcome:
    """What became of one faulty run: by remedy in order, and by baseline, whether it was repaired.

    ``no_change`` is that of the run as it is, and ``metric_alone`` the same without a look at symptoms.
    """

    name: str
    kind: str
    names: list[str] = field(default_factory=list)
    remedies: list[bool] = field(default_factory=list)
    twin_learns: bool = True
    no_change: bool = False
    metric_alone: bool = False
    random: bool = False
    ladder: list[bool] = field(default_factory=list)


def symptoms_of(report: RunReport) -> set[str]:
    """The failing verdict and the findings of warning and error."""
    found = {one.rule for one in report.findings if one.severity != "note"}
    return found | ({report.verdict.label} if report.verdict.label in FAILING else set())


def looked_at(folder: Path, view: str, until: float | None = None) -> RunReport:
    """The report on one view of a run, or on what it had logged ``until`` a step; its log where it has no other."""
    views = dict(views_of(folder))
    run = views.get(view, views["log"])
    return diagnose(run if until is None else as_of(run, until))


def tried(specimen: Specimen, change: Mapping[str, Any], unit: float, view: str) -> tuple[RunReport, float]:
    """The report on the run trained again with ``change``, and its final metric."""
    with tempfile.TemporaryDirectory() as folder:
        log, end = retrained(specimen, change, unit, Path(folder) / "recorded")
        write(log, Path(folder) / "run", "csv")
        # Early stopping keeps the best checkpoint: what came after it is not in the model.
        until = (
            min(log.val_loss, key=lambda point: point[2])[0] if "early_stopping" in change and log.val_loss else None
        )
        return looked_at(Path(folder), view, until), end


def outcome_of(folder: Path, view: str, baselines: bool) -> Outcome:
    """Everything that is done with one faulty run."""
    import torch

    torch.set_num_threads(1)
    kind, _, number = folder.name.rpartition("-")
    specimen = Specimen(kind, int(number), json.loads((folder.parent / "zoo.json").read_text())["seed"])
    truth = truth_of(folder)
    report = looked_at(folder, view)
    before, twin = symptoms_of(report), twin_of(specimen, folder)
    scale = axis_scale(next(iter(dict(views_of(folder)).values())), truth)
    unit = 1 / scale if scale > 0 else 1.0

    def repairs(change: Mapping[str, Any]) -> bool:
        after, end = tried(specimen, change, unit, view)
        fails = report.verdict.fails and after.verdict.fails
        return twin.is_matched_by(end) and not fails and not symptoms_of(after) & before

    found = Outcome(folder.name, kind)
    _, end = retrained(specimen, {}, unit, None)
    found.metric_alone, found.twin_learns = twin.is_matched_by(end), twin.is_healthy
    found.no_change = found.metric_alone and not before
    for remedy in report.remedies[:REMEDIES]:
        found.names.append(remedy.name)
        found.remedies.append(bool(remedy.change) and repairs(remedy.change))
        if found.remedies[-1]:
            break
    if baselines:
        found.random = repairs(random.Random(folder.name).choice(RANDOM))
        rate = specimen.plan().learning_rate
        halved, adam = {"learning_rate": rate / 2}, {"optimizer": "Adam", "learning_rate": 1e-3}
        for change in (halved, adam, {"normalization": "batch"}):
            found.ladder.append(repairs(change))
            if found.ladder[-1]:
                break
    return found


def print_group(name: str, group: Sequence[Outcome], baselines: bool) -> None:
    """The figures of some runs."""
    count = max(len(group), 1)
    print(f"{name}_runs {len(group)}")
    print(f"{name}_with_a_remedy {sum(bool(one.remedies) for one in group) / count:.3f}")
    print(f"{name}_repaired_by_first {sum(one.remedies[:1] == [True] for one in group) / count:.3f}")
    print(f"{name}_repaired_by_one_of_three {sum(any(one.remedies) for one in group) / count:.3f}")
    print(f"{name}_repaired_without_change {sum(one.no_change for one in group) / count:.3f}")
    if baselines:
        print(f"{name}_repaired_by_random {sum(one.random for one in group) / count:.3f}")
        print(f"{name}_repaired_by_ladder_first {sum(one.ladder[:1] == [True] for one in group) / count:.3f}")
        print(f"{name}_repaired_by_ladder_any {sum(any(one.ladder) for one in group) / count:.3f}")


def main(root: Path, size: float, jobs: int, seed: int, view: str, kinds: bool, baselines: bool) -> None:
    folders = [folder for folder in folders_of(root) if folder.name.rpartition("-")[0] in FAULTS]
    by_kind: dict[str, list[Path]] = defaultdict(list)
    for folder in folders:
        by_kind[folder.name.rpartition("-")[0]].append(folder)
    dice = random.Random(seed)
    # Of each kind its share: the first severities in turn, from a random place.
    chosen: list[Path] = []
    for members in by_kind.values():
        first = dice.randrange(len(members))
        turned = members[first:] + members[:first]
        chosen += turned[: max(round(size * len(members)), 1)]
    dice.shuffle(chosen)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        outcomes = list(pool.map(partial(outcome_of, view=view, baselines=baselines), chosen))
    print_group("repair_all", outcomes, baselines)
    # Where the twin itself learns nothing, there is no way of which 5 % could be taken.
    outcomes = [one for one in outcomes if one.twin_learns]
    print_group("repair", outcomes, baselines)
    print_group("repair_harmed", [one for one in outcomes if not one.metric_alone], baselines)
    print_group("repair_with_symptom_or_harmed", [one for one in outcomes if not one.no_change], baselines)
    if kinds:
        groups: dict[str, list[Outcome]] = defaultdict(list)
        for one in outcomes:
            groups[one.kind].append(one)
        for kind, group in sorted(groups.items()):
            first = sum(one.remedies[:1] == [True] for one in group) / len(group)
            any_ = sum(any(one.remedies) for one in group) / len(group)
            none = sum(one.no_change for one in group) / len(group)
            print(f"  {kind:<26} {len(group):>3} first {first:.2f} any {any_:.2f} no change {none:.2f}")
            for one in group:
                pairs = zip(one.names, one.remedies, strict=True)
                marks = ", ".join(f"{name}{'+' if ok else '-'}" for name, ok in pairs)
                print(f"      {one.name} {'m' if one.metric_alone else ' '} {marks}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--size", type=float, default=0.3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--view", default="record+validation", help="what is known of a run, see zoo.cause_examples")
    parser.add_argument("--kinds", action="store_true", help="also by fault, with the remedies that were tried")
    parser.add_argument("--no-baselines", action="store_true")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(chosen.zoo, chosen.size, chosen.jobs, chosen.seed, chosen.view, chosen.kinds, not chosen.no_baselines)
