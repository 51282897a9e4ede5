"""How right, how sure, how early and how steady the verdict is on the zoo: one figure a line.

Every run is judged by a classifier fitted on runs of other architectures and other data sets only (the same script and
settings as ``make fit-classifier``), so that each figure is of architectures and data sets that the fit has not seen.
Usage: zoo_bench.py ZOO [--jobs 2] [--misses]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from zoo.examples import Example, changed_examples, examples_of, folders_of
from zoo.figures import FAILING, Said, calibration_of, detected_at, f1_of, macro_f1, matrix_lines
from zoo.fitting import folds, model_of
from zoo.metamorphic import KEEPING, flips
from zoo.specimen import Truth, truth_of

from convergence_cli.features import classifier
from convergence_cli.features.classifier import Fitted, classify
from convergence_cli.features.vector import Vector
from convergence_cli.model import LABELS
from convergence_cli.pipeline import analyze_paths, read_run
from convergence_cli.settings import Settings

SHARES = tuple(share / 100 for share in range(5, 100, 5))
# The first steps of a run tell nothing: false verdicts are counted from here on.
COUNTED_FROM = 0.05
Look = tuple[Vector | None, str | None, float | None]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is asked about one run: itself and prefixes to fit on, a grid of prefixes, and changed logs."""

    folder: Path
    truth: Truth
    fitted_on: list[Example]
    prefixes: list[Example]
    changed: list[Example]


def seen_of(folder: Path) -> Seen | None:
    """The features of one run; None where its log holds nothing to judge."""
    truth = truth_of(folder)
    if truth.fixed_labels or not truth.seen.points + truth.seen.evaluations:
        return None
    changed = list(changed_examples(read_run(folder / "run"), truth))
    prefixes = [one for one in examples_of(folder, SHARES) if not one.whole]
    return Seen(folder, truth, [*examples_of(folder), *changed], prefixes, changed)


def said_of(look: Look, model: Fitted) -> tuple[str, str, float | None]:
    """The label that is given, the likeliest one, and its probability (None where no classifier was asked)."""
    vector, certain, done = look
    if vector is None:
        return str(certain), str(certain), None
    found = classify(vector, done, model)
    likeliest = LABELS[found.best]
    return likeliest if found.is_sure else "undetermined", likeliest, found.probability[found.best]


def look_at(example: Example) -> Look:
    """The part of an example that a classifier is asked about."""
    return example.vector, example.certain, example.done


def alarms_of(folder: Path, model: Fitted) -> tuple[str, ...]:
    """Findings of severity warning or error on the log of a run, and on what our recorder made of it."""
    classifier.fitted = lambda: model  # type: ignore[assignment]
    found = []
    for part in ("run", "recorded"):
        if not (folder / part).exists():
            continue
        report = analyze_paths([str(folder / part)], Settings())
        found += [f"{part}:{one.rule}:{run.verdict.label}" for run in report.runs for one in run.findings
                  if one.severity != "note"]  # fmt: skip
    return tuple(found)


def models_of(everything: list[Seen], by: str) -> Iterator[tuple[list[Seen], Fitted]]:
    """Runs, and a model that was fitted on others, by ``folds``."""
    examples = [one for seen in everything for one in seen.fitted_on]
    place = {seen.truth.name: seen for seen in everything}
    for fold in folds(examples, by):
        names = dict.fromkeys(one.truth.name for one in fold.test)
        yield [place[name] for name in names], model_of(fold.train)


def print_agreement(name: str, said: list[Said], matrix: bool = False) -> None:
    """Macro-F1, F1 of each label, calibration."""
    print(f"{name}_macro_f1 {macro_f1(said):.3f}")
    for label, score in f1_of(said).items():
        print(f"{name}_f1_{label} {score:.3f}")
    print(f"{name}_accuracy {sum(one.label in one.right for one in said) / max(len(said), 1):.3f}")
    print(f"{name}_expected_calibration_error {calibration_of(said)[0]:.3f}")
    if matrix:
        print("\n".join(matrix_lines(said)))


def whole(seen: Seen) -> Example:
    """The run as it ended."""
    return next(one for one in seen.fitted_on if one.whole)


def agreement(everything: list[Seen], by: str, misses: bool) -> list[Said]:
    """Verdicts on whole runs by models that have not seen their architecture, their data set, or both."""
    found = []
    for runs, model in models_of(everything, by):
        for seen in runs:
            label, likeliest, sure = said_of(look_at(whole(seen)), model)
            said = Said(seen.truth.labels, label, likeliest, sure)
            found.append(said)
            if misses and label not in seen.truth.labels:
                print(
                    f"miss {seen.truth.name} {seen.truth.architecture} {seen.truth.dataset} {seen.truth.labels} {label}"
                )
    return found


def onset_of(truth: Truth) -> float:
    """The share of the plan from which on the label is right at every later one, by the noise-free losses."""
    labels = [(share, truth.labels[0]) for share in (*SHARES, 1.0)]
    told = [(share, label if label in truth.labels_at(share * truth.trace.planned) else "") for share, label in labels]
    return detected_at(told, truth.labels[0]) or 1.0


def print_early(everything: list[Seen], judged: dict[str, Fitted]) -> None:
    """When failing runs are found, and how often healthy ones are called failing as of some step."""
    times: dict[str, list[float]] = defaultdict(list)
    delays: dict[str, list[float]] = defaultdict(list)
    false: Counter[float] = Counter()
    asked: Counter[float] = Counter()
    ever = 0
    healthy = 0
    for seen in everything:
        model, truth = judged[seen.truth.name], seen.truth
        ended = truth.trace.step[-1] / truth.trace.planned
        labels = [(one.share, said_of(look_at(one), model)[0]) for one in seen.prefixes]
        if truth.healthy:
            wrong = [share for share, label in labels if share >= COUNTED_FROM and label in FAILING]
            asked.update(share for share, _ in labels if share >= COUNTED_FROM)
            false.update(wrong)
            healthy += 1
            ever += bool(wrong)
        elif truth.labels[0] in FAILING and len(set(truth.labels) - {"undetermined"}) == 1:
            labels.append((min(ended, 1.0), said_of(look_at(whole(seen)), model)[0]))
            since = detected_at(labels, truth.labels[0])
            times[truth.labels[0]].append(1.0 if since is None else since)
            delays[truth.labels[0]].append(max(times[truth.labels[0]][-1] - onset_of(truth), 0.0))
    for label in FAILING:
        if times[label]:
            print(f"early_median_share_of_run_{label} {median(times[label]):.2f}")
            print(f"early_median_delay_after_it_began_{label} {median(delays[label]):.2f}")
            print(f"early_found_by_15_percent_{label} {sum(t <= 0.15 for t in times[label]) / len(times[label]):.2f}")
    worst = max(asked, key=lambda share: false[share] / asked[share])
    print(f"early_healthy_called_failing_worst_prefix {false[worst] / asked[worst]:.4f} (at {worst:.0%} of the run)")
    print(f"early_healthy_ever_called_failing {ever / max(healthy, 1):.4f} ({ever} of {healthy})")


def print_flips(everything: list[Seen], judged: dict[str, Fitted]) -> None:
    """Verdicts that a change of the log turns into another one though nothing that they rest on changed."""
    total, turned = Counter[str](), Counter[str]()
    runs_turned, runs_keeping = set(), set()
    for seen in everything:
        model = judged[seen.truth.name]
        before = said_of(look_at(whole(seen)), model)[0]
        for one in seen.changed:
            name = one.change
            total[name] += 1
            if flips(before, said_of(look_at(one), model)[0], name):
                turned[name] += 1
                runs_turned.add(seen.truth.name)
                if name in KEEPING:
                    runs_keeping.add(seen.truth.name)
    for name in total:
        print(f"metamorphic_{name} {turned[name] / total[name]:.4f} ({turned[name]} of {total[name]})")
    print(f"metamorphic_all {sum(turned.values()) / max(sum(total.values()), 1):.4f}")
    print(f"metamorphic_runs_turned_by_unit_offset_or_restart {len(runs_keeping) / len(everything):.4f}")
    print(f"metamorphic_runs_ever_turned {len(runs_turned) / len(everything):.4f}")


def print_alarms(
    everything: list[Path], judged: dict[str, Fitted], pool: Callable[..., Iterator[tuple[str, ...]]]
) -> None:
    """Warnings and errors on healthy runs."""
    healthy = [folder for folder in everything if truth_of(folder).healthy]
    some = next(iter(judged.values()))
    alarmed = 0
    for folder, found in zip(
        healthy, pool(alarms_of, healthy, [judged.get(folder.name, some) for folder in healthy]), strict=True
    ):
        if found:
            alarmed += 1
            truth = truth_of(folder)
            print(f"false-alarm {truth.name} {truth.architecture} {truth.dataset}: {' '.join(found)}")
    print(f"healthy_runs {len(healthy)}")
    print(f"healthy_with_warning_or_error {alarmed / max(len(healthy), 1):.4f}")


def milliseconds() -> float:
    """Median time of a verdict on two curves of 10,000 points in this process."""
    import numpy as np

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Curve, Run

    step = np.arange(10_000.0)
    noise = np.random.default_rng(0).normal(size=10_000)
    train = Curve("loss", step, 2.3 * np.exp(-step / 3000) + 0.1 * noise, "train_loss")
    val = Curve("val_loss", step, 2.3 * np.exp(-step / 3000) + 0.2, "val_loss")
    times = []
    for _ in range(50):
        started = time.perf_counter()
        assert Evidence(Run("run", "run", "csv", (train, val))).verdict.label
        times.append(time.perf_counter() - started)
    return 1000 * median(times)


def main(root: Path, jobs: int, misses: bool) -> None:
    folders = folders_of(root)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        everything = [seen for seen in pool.map(seen_of, folders, chunksize=8) if seen is not None]
        print(f"runs {len(folders)}")
        print(f"runs_judged {len(everything)}")
        counts = Counter("|".join(seen.truth.labels) for seen in everything)
        for labels, count in counts.most_common():
            print(f"truth {labels} {count}")
        for by in ("both", "architecture", "dataset"):
            name = f"unseen_{by}" if by != "both" else "unseen_architecture_and_dataset"
            print_agreement(name, agreement(everything, by, misses and by == "both"), by == "both")
        judged = {seen.truth.name: model for runs, model in models_of(everything, "both") for seen in runs}
        print_early(everything, judged)
        print_flips(everything, judged)
        print_alarms(folders, judged, partial(pool.map, chunksize=4))
    print(f"verdict_on_10000_points_ms {milliseconds():.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--misses", action="store_true", help="name the runs whose verdict is wrong")
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(chosen.zoo, chosen.jobs, chosen.misses)
