"""The classifier of loss curves beside what else could give the verdict, on the same runs and the same splits.

    OMP_NUM_THREADS=1 python benchmarks/classifiers.py ZOO [--every 8] [--only hand,trees] [--by dataset] [--matrix]

``hand``: thresholds by hand (``memberships.py``). ``logistic``: multinomial logistic regression (scikit-learn) with the
features, scales and penalty of ``logistic_bounded``, the one that ships, but without bounds of the signs. ``trees``:
gradient-boosted trees of the same features. ``network``: a small convolutional network that sees the two losses only.
``runmedic`` and ``losslint`` as ``peers.py`` has them. ``simple_overfitting``: the rule there, for that label only.

Learners are fitted on all of five groups of architectures (of data sets) but one, on whole logs, prefixes and changed
logs (the network without the changed ones), and judge the whole runs of that one. All but peers and rule share what
takes no classifier (NaN, too few points), and the learners the probabilities that a verdict needs, without which
``macro_f1_likeliest`` is. One figure a line: split, classifier, figure, value. Times are of one verdict, features not
counted; peers and rule have none. ``parameters``: of ``hand`` the thresholds with a name, of ``trees`` the nodes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(1, str(Path(__file__).parents[1] / "tests"))

from peers import PEERS, Series, series_of, simple_overfitting
from zoo.examples import Example, axis_scale, changed_examples, examples_of, folders_of
from zoo.figures import Said, calibration_of, f1_of, macro_f1, matrix_lines
from zoo.fitting import EARLY, LEFT_OUT, STRENGTH, SURE, TRUSTED, is_fitted_on, model_of
from zoo.specimen import truth_of

from convergence_cli.as_of import as_of
from convergence_cli.features import memberships
from convergence_cli.features.classifier import OVERFITTING, Fitted, classify
from convergence_cli.model import LABELS, Run
from convergence_cli.pipeline import read_run

FOLDS, HAND_SURE, POINTS, EPOCHS, BATCH = 5, 0.55, 128, 15, 64
NEEDED = Fitted((), (), (), (), (), tuple(SURE[x] for x in LABELS), tuple((row[0], row[1:]) for row in EARLY)).needed
SIMPLE, SHIPPED = "simple_overfitting", "logistic_bounded"
Probable = Callable[["Case"], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Case:
    """An example, its features, the weight of each right label, its curves (of logs as they were), its series."""

    example: Example
    vector: Any
    right: np.ndarray
    curves: np.ndarray | None
    series: Series | None


def curves_of(run: Run) -> np.ndarray:
    """Training and validation loss over the same steps, shape (6, POINTS).

    Of each: the change since its start by its spread, the same by its start (asinh, in units of 2 %), and where it is.
    """
    found, grid = np.zeros((6, POINTS), np.float32), np.arange(POINTS)
    curves = [curve for role in ("train_loss", "val_loss") if (curve := run.curve(role)) is not None]
    steps = np.concatenate([[], *(one.step[np.isfinite(one.step)] for one in curves)])
    for curve in curves:
        kept = np.isfinite(curve.step) & (np.abs(curve.value) < 1e100)
        if not kept.any():
            continue
        value, share = curve.value[kept], (curve.step[kept] - steps.min()) / max(np.ptp(steps), 1e-9)
        place = np.minimum((share * POINTS).astype(int), POINTS - 1)
        count, total = np.bincount(place, minlength=POINTS), np.bincount(place, value, POINTS)
        at = np.flatnonzero(count)
        start = float(np.median(value[: max(1, min(3, len(value) // 10))]))
        change = np.interp(grid, at, total[at] / count[at]) - start
        spread = max(np.subtract(*np.quantile(value, (0.95, 0.05))), 1e-9 * abs(start), 1e-300)
        by_start = np.arcsinh(change / max(abs(start), 1e-300) / 0.02) / 2
        rows = (np.clip(change / spread, -6, 6), np.clip(by_start, -4, 4), np.ones(POINTS))
        first = 3 if curve.role == "val_loss" else 0
        found[first : first + 3] = np.where((grid < at[0]) | (grid > at[-1]), 0.0, rows)
    return found


def cases_of(folder: Path) -> Iterator[Case]:
    """The whole run and all that is learnt from it; nothing where its log holds nothing to judge."""
    truth = truth_of(folder)
    if truth.fixed_labels or not truth.seen.points + truth.seen.evaluations:
        return
    run = read_run(folder / "run")
    unit = truth.trace.planned * axis_scale(run, truth)
    for one in (*examples_of(folder), *changed_examples(run, truth)):
        if one.whole or is_fitted_on(one):
            right = np.array([label in one.labels for label in LABELS], float)
            curves = None if one.change else curves_of(run if one.share >= 1 else as_of(run, one.share * unit))
            yield Case(one, one.vector, right / max(right.sum(), 1), curves, series_of(run) if one.whole else None)


def folds_of(cases: list[Case], by: str) -> Iterator[tuple[list[Case], list[Case]]]:
    """What to fit on and what to judge: the architectures (data sets) in ``FOLDS`` groups of about one size."""
    counts = Counter(getattr(one.example.truth, by) for one in cases)
    groups: list[list[str]] = [[] for _ in range(FOLDS)]
    for key in sorted(counts, key=lambda one: (-counts[one], one)):
        min(groups, key=lambda group: sum(counts[one] for one in group)).append(key)
    for group in groups:
        learnt = [one for one in cases if getattr(one.example.truth, by) not in group and is_fitted_on(one.example)]
        yield learnt, [one for one in cases if getattr(one.example.truth, by) in group and one.example.whole]


def hand(_: list[Case]) -> tuple[Probable, int]:
    named = [one for name, one in vars(memberships).items() if name.isupper() and isinstance(one, int | float)]
    return lambda case: list(map(case.vector.hand.probabilities.get, LABELS)), len(named)


def bounded(cases: list[Case]) -> tuple[Probable, int]:
    model = model_of([one.example for one in cases])
    size = len(LABELS) * (len(model.names) + 1)
    return lambda case: classify(case.vector, case.example.done, model).probability, size


def of_features(cases: list[Case], boosted: bool) -> tuple[Probable, int]:
    """A classifier of scikit-learn on the features that ``zoo.fitting`` keeps, in its scales."""
    from sklearn import ensemble, linear_model

    names = cases[0].vector.names
    kept = [place for place, name in enumerate(names) if name not in LEFT_OUT]
    rows, right = np.array([one.vector.values for one in cases])[:, kept], np.array([one.right for one in cases])
    mean, scale = rows.mean(0), np.maximum(rows.std(0), 1e-2) / [TRUSTED.get(names[one], 1.0) for one in kept]
    model = linear_model.LogisticRegression(C=STRENGTH, max_iter=2000)
    if boosted:
        model = ensemble.HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0)
    place, label = np.nonzero(right)
    model.fit((rows[place] - mean) / scale, label, sample_weight=right[place, label])
    size = sum(len(x.nodes) for some in model._predictors for x in some) if boosted else rows.shape[1] * 4 + 4
    return lambda case: model.predict_proba((np.array(case.vector.values)[kept] - mean)[None] / scale)[0], size


def network(cases: list[Case]) -> tuple[Probable, int]:
    """Four convolutions with stride 2; AdamW with one cycle of the learning rate."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    seen = [one for one in cases if one.curves is not None]
    inputs, right = torch.tensor(np.array([x.curves for x in seen])), torch.tensor(np.array([x.right for x in seen]))
    layers: list[nn.Module] = []
    for before, after, kernel in ((6, 24, 7), (24, 32, 5), (32, 48, 5), (48, 48, 3)):
        layers += [nn.Conv1d(before, after, kernel, 2, kernel // 2), nn.BatchNorm1d(after), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * POINTS // 16, len(LABELS)))
    optimizer, full = torch.optim.AdamW(model.parameters(), weight_decay=1e-2), len(seen) // BATCH
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=EPOCHS * full)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(seen))[: full * BATCH].view(full, BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), right[batch].float()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
    model.eval()
    says = torch.inference_mode()(lambda case: model(torch.from_numpy(case.curves)[None]).softmax(1)[0].tolist())
    return says, sum(one.numel() for one in model.parameters())


LEARNERS: dict[str, Callable[[list[Case]], tuple[Probable, int]]] = {
    "hand": hand, "logistic": lambda cases: of_features(cases, False), SHIPPED: bounded,
    "trees": lambda cases: of_features(cases, True), "network": network,
}  # fmt: skip
OF_SERIES = PEERS | {SIMPLE: lambda series: "overfitting" if simple_overfitting(series) else "converging"}


def said_of(case: Case, name: str, says: Probable | None) -> Said:
    """The verdict on a whole run, without overfitting where there is no validation to tell it by."""
    one, right = case.example, case.example.truth.labels
    if name in OF_SERIES and case.series is not None:
        return Said(right, OF_SERIES[name](case.series))
    if says is None or one.vector is None:
        return Said(right, str(one.certain), str(one.certain))
    found = np.array(says(case))
    if not one.validated and name != "hand":
        found[OVERFITTING] = 0.0
        found /= found.sum()
    best = int(found.argmax())
    sure = found[best] >= (HAND_SURE if name == "hand" else NEEDED(one.done)[best])
    return Said(right, LABELS[best] if sure else "undetermined", LABELS[best], float(found[best]))


def overfitting_of(said: Sequence[Said]) -> list[float]:
    """Precision, recall and F1 of overfitting, yes or no: a miss is where no other label is right. 1 where all is."""
    hit = sum(one.label == "overfitting" and "overfitting" in one.right for one in said)
    wrong = sum(one.label == "overfitting" for one in said) - hit
    missed = sum(one.label != "overfitting" and one.right == ("overfitting",) for one in said)
    parts = ((hit, hit + wrong), (hit, hit + missed), (2 * hit, 2 * hit + wrong + missed))
    return [part / of if of else 1.0 for part, of in parts]


def figures_of(name: str, said: list[Said]) -> Iterator[tuple[str, float]]:
    yield from zip(("overfitting_precision", "overfitting_recall", "overfitting_f1"), overfitting_of(said), strict=True)
    if name != SIMPLE:
        yield "macro_f1", macro_f1(said)
        yield from ((f"f1_{label}", score) for label, score in f1_of(said).items())
    if name in LEARNERS:
        yield "macro_f1_likeliest", macro_f1([Said(one.right, one.likeliest) for one in said])
        yield "expected_calibration_error", calibration_of(said)[0]


def judge(cases: list[Case], by: str, name: str, matrix: bool) -> dict[str, list[Said]]:
    """Prints all figures of one classifier on one split, and gives what it said by architecture or data set."""
    times: list[float] = []
    found: dict[str, list[Said]] = defaultdict(list)
    for learnt, whole in folds_of(cases, by):
        says, size = LEARNERS[name](learnt) if name in LEARNERS else (None, 0)
        for case in whole:
            started = time.perf_counter()
            found[getattr(case.example.truth, by)].append(said_of(case, name, says))
            times.append(time.perf_counter() - started)
    said = [one for some in found.values() for one in some]
    lines = [f"{figure} {value:.3f}" for figure, value in figures_of(name, said)]
    lines += [f"parameters {size}"] * (size > 0) + [f"microseconds {1e6 * median(times):.1f}"]
    if matrix and name == SHIPPED:
        lines += [f"said {sure:.3f} right {right:.3f} count {n}" for sure, right, n in calibration_of(said)[1]]
    print("\n".join([*(f"{by} {name} {line}" for line in lines), *(matrix_lines(said) if matrix else ())]), flush=True)
    return found


def main(root: Path, every: int, only: list[str], splits: list[str], matrix: bool) -> None:
    cases = [case for folder in folders_of(root)[::every] for case in cases_of(folder)]
    learnt = sum(is_fitted_on(one.example) for one in cases)
    print(f"runs {sum(one.example.whole for one in cases)}\nlearnt_from {learnt}", flush=True)
    for by in splits:
        found = {name: judge(cases, by, name, matrix) for name in only}
        if {SHIPPED, SIMPLE} <= set(found):
            pairs = {key: [overfitting_of(found[one][key])[2] for one in (SHIPPED, SIMPLE)] for key in found[SIMPLE]}
            lost = {key: pair for key, pair in pairs.items() if pair[0] < pair[1]}
            print(f"{by} {SHIPPED} as_good_as_{SIMPLE} {len(pairs) - len(lost)} of {len(pairs)}")
            for key, (ours, simple) in lost.items():
                print(f"{by} {SHIPPED} worse_than_{SIMPLE} {key} {ours:.3f} against {simple:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take each so many-th run")
    parser.add_argument("--only", default=",".join([*LEARNERS, *OF_SERIES]), help="names, with commas between")
    parser.add_argument("--by", default="architecture,dataset", help="one of these, or both")
    parser.add_argument("--matrix", action="store_true", help="print confusion matrices and the reliability table")
    chosen = parser.parse_args()
    main(chosen.zoo, chosen.every, chosen.only.split(","), chosen.by.split(","), chosen.matrix)
