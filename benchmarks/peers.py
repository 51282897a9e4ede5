"""What the public peers ``runmedic`` and ``losslint`` say of the same curves, as one of our four labels.

    python benchmarks/peers.py CORPUS

Each peer gets the clean log that a user would hand it, through the calls of its own command line with its defaults. The
first of these that is among its findings, of whatever severity, is the label:

- "diverging": NaN or infinity in a loss, or divergence (runmedic ``non_finite``, ``divergence``; losslint ``nan_inf``,
  ``divergence``);
- "overfitting": runmedic ``overfitting``, losslint ``overfit_onset``;
- "stuck": runmedic ``no_learning``, losslint ``stagnation`` (it has no other check for it, and scores higher so);
- "converging": only spikes, remarks, a step that goes back, non-finite gradients or learning rates; or no finding.

Prints one figure a line. Runs without a loss are unread; the others are scored as ``corpus.py`` does. The peers never
say "undetermined", which is an F1 of 0 in ``macro_f1``; ``macro_f1_four_labels`` leaves that label out.
"""

from __future__ import annotations

import csv
import heapq
import math
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

from corpus import TWINS, macro_f1
from zoo.scores import matrix_lines

from convergence_cli.model import LABELS, Curve, Run
from convergence_cli.pipeline import read_paths
from convergence_cli.settings import Settings

Points = list[tuple[float, float]]
Said = tuple[str, str, str | None]  # The check, its severity, and the series it names where it does.
NON_FINITE = frozenset({"non_finite", "nan_inf"})
LOSSES = frozenset({"loss", "eval_loss", "train_loss", "val_loss"})
CHECKS = {  # The first that speaks is the label.
    "diverging": {"non_finite", "nan_inf", "divergence"},
    "overfitting": {"overfitting", "overfit_onset"},
    "stuck": {"no_learning", "stagnation"},
}


@dataclass
class Series:
    """One run. ``train_loss`` has one value for each of ``step`` or is empty; the others are (step, value) points."""

    step: list[float]
    train_loss: list[float]
    val: Points = field(default_factory=list)
    learning_rate: Points = field(default_factory=list)
    grad_norm: Points = field(default_factory=list)

    @property
    def train(self) -> Points:
        return list(zip(self.step, self.train_loss, strict=True)) if self.train_loss else []

    @property
    def all(self) -> tuple[Points, Points, Points, Points]:
        return self.train, self.val, self.learning_rate, self.grad_norm


def runmedic_says(series: Series) -> list[Said]:
    """As ``runmedic diagnose`` does with a table of the steps and these columns."""
    from runmedic import roles
    from runmedic.checks import run_checks
    from runmedic.model import Run as Log

    log = Log(name="run", source="jsonl", path="run.jsonl")
    for name, points in zip(("train_loss", "val_loss", "lr", "grad_norm"), series.all, strict=True):
        for step, value in points:
            log.get(name).add(step, value)
    log.finalize()
    return [(one.check, one.severity, one.metric) for one in run_checks(log, roles.detect(log))]


def losslint_says(series: Series) -> list[Said]:
    """As ``losslint check`` does with a Trainer's log, each value in a row of its own, in the order of the steps."""
    from losslint.checks import CheckOptions, run_all_checks
    from losslint.parsing import RunLog

    columns = dict(zip(("loss", "eval_loss", "learning_rate", "grad_norm"), series.all, strict=True))
    named = ([(step, name, value) for step, value in points] for name, points in columns.items())
    rows = list(heapq.merge(*named, key=lambda row: row[0]))
    if not rows:
        return []  # Its command line refuses a log without rows.
    steps = [int(step) if math.isfinite(step) else number for number, (step, _, _) in enumerate(rows)]
    filled = [name for name, points in columns.items() if points]
    log = RunLog(steps, {one: [v if name == one else None for _, name, v in rows] for one in filled}, Path("run.jsonl"))
    return [(one.check, one.severity, one.details.get("series")) for one in run_all_checks(log, CheckOptions())]


def label_of(says: Callable[[Series], list[Said]], series: Series) -> str:
    """The label that a peer's findings amount to, by the mapping at the top of this file."""
    said = {check for check, _, name in says(series) if check not in NON_FINITE or name in LOSSES}
    return next((label for label, checks in CHECKS.items() if said & checks), "converging")


ADAPTERS = {"runmedic": runmedic_says, "losslint": losslint_says}
SAYS: dict[str, Callable[[Series], list[Said]]] = {name: says for name, says in ADAPTERS.items() if find_spec(name)}
PEERS: dict[str, Callable[[Series], str]] = {name: partial(label_of, says) for name, says in SAYS.items()}


def alarms(name: str, series: Series) -> bool:
    """Whether the peer says anything of severity warning or above: anything but an info, the lowest of both."""
    return any(severity != "info" for _, severity, _ in SAYS[name](series))


def simple_overfitting(series: Series) -> bool:
    """Overfitting by the simplest rule that is any good: that of runmedic 0.1.1, restated.

    The best evaluation has at least 3 others after it, the last 3 lie on average 5 % or more above it, and the smoothed
    training loss fell by 3 % or more since.
    """
    val, train = _finite(series.val), _finite(series.train)
    if min(len(val), len(train)) < 4:
        return False
    number, (best_step, best) = min(enumerate(val), key=lambda one: one[1][1])
    if number > len(val) - 4 or best == 0 or fmean(v for _, v in val[-3:]) - best < 0.05 * abs(best):
        return False
    weight = 2 / (max(2, min(50, len(train) // 10)) + 1)
    smooth = [train[0][1]]
    for _, value in train[1:]:
        smooth.append(weight * value + (1 - weight) * smooth[-1])
    then = smooth[max(bisect_right([step for step, _ in train], best_step) - 1, 0)]
    return then != 0 and then - smooth[-1] >= 0.03 * abs(then)


def _finite(points: Points) -> Points:
    return sorted((point for point in points if math.isfinite(point[1])), key=lambda point: point[0])


def series_of(run: Run) -> Series:
    """The series of a run as our readers give them: of long ones the means of their buckets (without its NaN)."""
    loss = run.curve("train_loss")
    step, value = ([], []) if loss is None else (loss.step.tolist(), loss.value.tolist())
    return Series(step, value, *(_points(run.curve(role)) for role in ("val_loss", "learning_rate", "grad_norm")))


def _points(curve: Curve | None) -> Points:
    return [] if curve is None else list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


def _size(run: Run) -> int:
    loss = run.curve("train_loss") or run.curve("val_loss")
    return max((one.points for one in ([loss] if loss else run.curves)), default=0)


def read_corpus(root: Path) -> list[tuple[dict[str, str], Series]]:
    """Each row of the corpus with the series of its main run."""
    found = []
    for row in csv.DictReader((root / "labels.csv").open(encoding="utf-8")):
        runs, _ = read_paths([str(root / "runs" / row["run"])], Settings(), dumps=False)
        found.append((row, series_of(max(runs, key=_size)) if runs else Series([], [])))
    return found


def score(name: str, label: Callable[[Series], str], rows: list[tuple[dict[str, str], Series]]) -> None:
    """Print the confusion matrix and the F1 scores of one peer."""
    pairs = []
    for row, series in rows:
        accepted = row["label"].split("|")
        if "unclear" not in accepted and row["run"] not in TWINS:
            predicted = label(series)
            pairs.append((predicted if predicted in accepted else accepted[0], predicted))
    print("\n".join(matrix_lines(pairs)))
    scores = macro_f1(pairs)
    for truth, value in scores.items():
        print(f"{name}_f1_{truth} {value:.3f}")
    four = [scores[one] for one in LABELS if one in scores]
    print(f"{name}_scored {len(pairs)}")
    print(f"{name}_macro_f1 {sum(scores.values()) / max(len(scores), 1):.3f}")
    print(f"{name}_macro_f1_four_labels {sum(four) / max(len(four), 1):.3f}")


def main(root: Path) -> None:
    rows = read_corpus(root)
    read = [(row, series) for row, series in rows if series.train_loss or series.val]
    print(f"runs {len(rows)}\nunread {len(rows) - len(read)}")
    healthy = [(row["run"], series) for row, series in read if row["label"] == "converging"]
    large = [one for one in healthy if one[0].startswith("algoperf-")]
    for name, label in PEERS.items():
        score(name, label, read)
        for kind, some in (("healthy", healthy), ("healthy_large", large)):
            share = sum(alarms(name, series) for _, series in some) / max(len(some), 1)
            print(f"{name}_alarms_share_{kind} {share:.3f}")
    print(f"healthy {len(healthy)}\nhealthy_large {len(large)}")
    score("simple_overfitting", lambda one: "overfitting" if simple_overfitting(one) else "converging", read)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
