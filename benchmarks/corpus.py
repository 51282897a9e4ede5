"""Reads every run of a labelled corpus and prints what was unread, the confusion matrix, macro-F1 and false alarms.

A corpus is a folder with ``labels.csv`` (columns ``run``, ``label``, ``kind``) and ``runs/<run>/``. A label may be a
``|``-separated list of which any counts as right; rows whose list includes ``unclear`` are not scored.
Usage: corpus.py CORPUS [--verbose]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from zoo.scores import f1_of, matrix_lines

from convergence_cli.model import LABELS, Report, RunReport
from convergence_cli.pipeline import analyze_paths
from convergence_cli.settings import Settings

# The same run in two formats, or a prefix of another, as the corpus' README lists them: counted once.
TWINS = frozenset({"real-201", "real-204", "real-229", "real-068"})


def macro_f1(pairs: list[tuple[str, str]]) -> dict[str, float]:
    """F1 of each label that occurs as truth, from (truth, predicted) pairs."""
    truths = {truth for truth, _ in pairs}
    return {label: score for label, score in f1_of(pairs).items() if label in truths}


def main_report(report: Report) -> RunReport | None:
    """The run to score where a file holds several: the one with the most points."""
    return max(report.runs, key=lambda run: run.summary["points"], default=None)


def main(root: Path, verbose: bool) -> None:
    rows = list(csv.DictReader((root / "labels.csv").open(encoding="utf-8")))
    pairs: list[tuple[str, str]] = []
    unread, healthy, alarmed, honest, short = [], 0, [], 0, 0
    for row in rows:
        report = analyze_paths([str(root / "runs" / row["run"])], Settings())
        best = main_report(report)
        accepted = row["label"].split("|")
        if best is None or best.verdict.state == "no-loss":
            unread.append(row["run"])
            print(f"unread {row['run']} {[error.message for error in report.errors]}")
            continue
        if row.get("kind") == "reward" or "undetermined" in accepted:
            short += 1
            honest += best.verdict.label == "undetermined" or best.verdict.label in accepted
        if "unclear" not in accepted and row["run"] not in TWINS:
            predicted = best.verdict.label
            pairs.append((predicted if predicted in accepted else accepted[0], predicted))
            if predicted not in accepted:
                got = f"{predicted}/{best.verdict.state}"
                print(f"miss {row['run']} truth={row['label']} got={got}: {best.verdict.reason}")
        if accepted == ["converging"]:
            healthy += 1
            alarms = [f.rule for run in report.runs for f in run.findings if f.severity != "note"]
            if alarms:
                alarmed.append(row["run"])
                print(f"false-alarm {row['run']} {' '.join(alarms)} ({best.verdict.label})")
        if verbose:
            rules = " ".join(f"{f.rule}:{f.severity[0]}" for f in best.findings)
            v = best.verdict
            print(
                f"{row['run']}\t{row['label']}\t{v.label}\t{v.confidence:.2f}\t{v.state}\t{best.format}\t{best.summary['series']}\t{rules}\t{len(report.runs)}"
            )
    print("\n".join(matrix_lines(pairs)))
    scores = macro_f1(pairs)
    for label, score in scores.items():
        print(f"f1_{label} {score:.3f}")
    four = [scores[label] for label in LABELS if label in scores]
    print(f"runs {len(rows)}")
    print(f"unread {len(unread)}")
    print(f"scored {len(pairs)}")
    print(f"accuracy {sum(t == p for t, p in pairs) / max(len(pairs), 1):.3f}")
    print(f"macro_f1 {sum(scores.values()) / max(len(scores), 1):.3f}")
    print(f"macro_f1_four_labels {sum(four) / max(len(four), 1):.3f}")
    print(f"no_loss_or_short_said_so {honest}/{short}")
    print(f"healthy {healthy}")
    print(f"false_alarm_rate {len(alarmed) / max(healthy, 1):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--verbose" in sys.argv)
