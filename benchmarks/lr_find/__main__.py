"""The table: ours and the public finders against dense sweeps, under both schedules; one figure a line, then the table.

The sweeps and the public finders' suggestions are cached in ``--cache``; without the packages of the public finders
(see ``peers``) their suggestions are read from there, and left out where there are none.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lr_find.held_out import HELD_OUT
from lr_find.ours import METHODS, answers
from lr_find.scores import scores_of, summary
from lr_find.sweeps import SCHEDULES, sweeps
from lr_find.tasks import TASKS

SEEDS = (11, 12, 13, 14, 15)
PEERS = "peers.json"
WITHIN = 0.05
CONFIDENCES = (0.0, 0.5, 0.75, 0.85, 0.92, 1.0)


def main() -> None:
    """Sweep what is missing, search, score and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cache", type=Path, default=Path(".bench/lr_find"))
    options.add_argument("--tasks", nargs="*", default=list(TASKS), metavar="TASK")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--held-out", action="store_true", help="on the tasks by which nothing was chosen")
    given = options.parse_args()
    if given.held_out:
        given.tasks = list(HELD_OUT)
    swept = sweeps(given.cache, given.tasks, given.workers)
    ours = answers(given.cache, given.tasks, SEEDS, given.workers)
    public: dict[str, dict[str, Any]] = {"suggestions": {}, "steps": {}}
    if (given.cache / PEERS).exists():
        public = json.loads((given.cache / PEERS).read_text())
    rows: list[tuple[str, str, float, dict[str, float]]] = []
    for schedule in SCHEDULES:
        for method in METHODS:
            found = {
                key.split("|", 2)[2]: answer
                for key, answer in ours.items()
                if key.startswith(f"{method}|{schedule}|") and key.split("|")[2] in given.tasks
            }
            rates = {key: answer["learning_rate"] for key, answer in found.items()}
            steps = sum(answer["steps"] for answer in found.values()) / len(found)
            name = "ctroubleshoot" if method == METHODS[0] else f"ctroubleshoot --method {method}"
            rows.append((schedule, name, steps, summary(list(scores_of(rates, swept, schedule).values()))))
            if method == METHODS[0]:
                print(f"most steps, {schedule}: {max(answer['steps'] for answer in found.values())}")
                _by_task(schedule, scores_of(rates, swept, schedule))
                _calibration(schedule, found, scores_of(rates, swept, schedule))
        for name, suggested in public["suggestions"].items():
            mine = {key: rate for key, rate in suggested.items() if key.split("|")[0] in given.tasks}
            taken = [steps for key, steps in public["steps"][name].items() if key in mine]
            row = summary(list(scores_of(mine, swept, schedule).values()))
            rows.append((schedule, name, sum(taken) / max(len(taken), 1), row))
    for schedule, name, _, columns in rows:
        for column, value in columns.items():
            print(f"{schedule}, {name}, {column}: {value:.3f}")
    _table(rows)


def _by_task(schedule: str, scores: dict[str, Any]) -> None:
    for task in dict.fromkeys(key.split("|")[0] for key in scores):
        row = summary([score for key, score in scores.items() if key.split("|")[0] == task])
        shown = ", ".join(f"{column} {value:.3f}" for column, value in row.items())
        print(f"task {task}, {schedule}: {shown}")


def _calibration(schedule: str, found: dict[str, Any], scores: dict[str, Any]) -> None:
    """How sure it was, and how often it was right: within 5 % of the best rate's fall."""
    said = np.array([answer["confidence"] for answer in found.values()])
    right = np.array([scores[key].train_regret <= WITHIN for key in found])
    error = 0.0
    for low, high in pairwise(CONFIDENCES):
        chosen = (said > low) & (said <= high)
        if chosen.any():
            error += float(abs(said[chosen].mean() - right[chosen].mean()) * chosen.mean())
            print(f"confidence {low:.2f} to {high:.2f}, {schedule}: {right[chosen].mean():.3f} of {chosen.sum()} right")
    print(f"calibration error of the confidence, {schedule}: {error:.3f}")


def _table(rows: list[tuple[str, str, float, dict[str, float]]]) -> None:
    columns = list(rows[0][3])
    for schedule in SCHEDULES:
        print(f"\n| {schedule} | steps | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
        for kind, name, steps, row in sorted(rows, key=lambda item: item[3]["train regret"]):
            if kind == schedule:
                print(f"| {name} | {steps:.0f} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")


if __name__ == "__main__":
    main()
