"""Our own searches on the benchmark's tasks; cached by the sources that make them."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from convergence_cli import find_learning_rate, lr_find
from convergence_cli.reporters.rate_json import to_data
from lr_find.held_out import EVERY
from lr_find.sweeps import SCHEDULES

METHODS = ("restarts", "range")


def search(job: tuple[str, int, str, str]) -> dict[str, Any]:
    """One search, as the command line would make it, and the answer's JSON."""
    name, seed, schedule, method = job
    torch.set_num_threads(1)
    task = EVERY[name]
    answer = find_learning_rate(lambda: task.setup(seed, schedule), seed=seed, schedule=schedule, method=method)
    return to_data(answer)


def answers(folder: Path, names: list[str], seeds: tuple[int, ...], workers: int = 2) -> dict[str, dict[str, Any]]:
    """Answers by ``method|schedule|task|seed``."""
    made = "".join(one.read_text() for one in sorted(Path(lr_find.__path__[0]).glob("*.py")))
    made += Path(__file__).with_name("tasks.py").read_text()
    path = folder / f"ours-{hashlib.sha256(made.encode()).hexdigest()[:12]}.json"
    done: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    jobs = [
        (name, seed, schedule, method)
        for method in METHODS
        for schedule in SCHEDULES
        for name in names
        for seed in seeds
        if f"{method}|{schedule}|{name}|{seed}" not in done
    ]
    if jobs:
        with ProcessPoolExecutor(workers) as pool:
            for job, answer in zip(jobs, pool.map(search, jobs), strict=True):
                name, seed, schedule, method = job
                done[f"{method}|{schedule}|{name}|{seed}"] = answer
        path.write_text(json.dumps(done))
    return done
