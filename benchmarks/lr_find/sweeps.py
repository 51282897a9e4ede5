"""Dense sweeps: what each learning rate of a grid comes to, with a constant and with a cosine schedule; cached."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lr_find import tasks
from lr_find.held_out import EVERY

if TYPE_CHECKING:
    from lr_find.tasks import Batches, Task

GRID = np.round(10.0 ** np.arange(-6, 2.01, 0.25), 12)
STEPS = 400
SEEDS = (101, 102, 103, 104, 105)
SCHEDULES = ("constant", "cosine")
# Steps after which the losses are noted on the way, to judge how early probes tell the end.
NOTED = (10, 20, 30, 40, 50, 65, 80, 100, 150, 200, 300, STEPS)


def endless(loader: Batches) -> Any:
    """Batches, pass after pass."""
    while True:
        yield from loader


@torch.no_grad()
def mean_loss(model: torch.nn.Module, loss: Any, x: Tensor, y: Tensor) -> float:
    """The loss over all rows in evaluation mode."""
    was = model.training
    model.eval()
    value = float(loss(model(x), y))
    model.train(was)
    return value if math.isfinite(value) else math.inf


def train(task: Task, rate: float, seed: int, schedule: str) -> list[tuple[float, float]]:
    """(training loss, validation loss) at each step of ``NOTED``; infinite from the step on which it broke."""
    ready = task.setup(seed, schedule)
    model, loss, optimizer, data = ready["model"], ready["loss"], ready["optimizer"], task.data
    model.train()
    noted: list[tuple[float, float]] = []
    for step, (x, y) in zip(range(STEPS), endless(ready["loader"]), strict=False):
        factor = 0.5 * (1 + math.cos(math.pi * step / STEPS)) if schedule == "cosine" else 1.0
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        optimizer.zero_grad()
        value = loss(model(x), y)
        if not math.isfinite(value.item()):
            break
        value.backward()
        optimizer.step()
        if step + 1 in NOTED:
            noted.append((mean_loss(model, loss, data.x, data.y), mean_loss(model, loss, data.x_val, data.y_val)))
    return noted + [(math.inf, math.inf)] * (len(NOTED) - len(noted))


def start(task: Task, seed: int) -> tuple[float, float]:
    """(training loss, validation loss) at initialization."""
    ready = task.setup(seed)
    data = task.data
    return (
        mean_loss(ready["model"], ready["loss"], data.x, data.y),
        mean_loss(ready["model"], ready["loss"], data.x_val, data.y_val),
    )


def sweep(name: str, schedule: str) -> dict[str, Any]:
    """All rates of the grid and all seeds: ``losses`` (rate, seed, noted step, training and validation)."""
    torch.set_num_threads(1)
    task = EVERY[name]
    losses = [[train(task, float(rate), seed, schedule) for seed in SEEDS] for rate in GRID]
    return {"task": name, "schedule": schedule, "losses": losses, "start": [start(task, seed) for seed in SEEDS]}


def _cached(folder: Path, name: str, schedule: str) -> Path:
    """A change of a task, or of how is trained, is another file."""
    made = "".join(map(inspect.getsource, (tasks, train, mean_loss)))
    digest = hashlib.sha256(f"{made}{STEPS}{SEEDS}{GRID.tolist()}{NOTED}".encode()).hexdigest()[:12]
    return folder / f"{name}-{schedule}-{digest}.json"


def sweeps(folder: Path, names: list[str], workers: int = 2) -> dict[tuple[str, str], dict[str, Any]]:
    """The sweeps of ``names``, from ``folder`` where they are there; the others are made and kept."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {(name, schedule): _cached(folder, name, schedule) for name in names for schedule in SCHEDULES}
    missing = [key for key, path in wanted.items() if not path.exists()]
    with ProcessPoolExecutor(workers) as pool:
        jobs = {pool.submit(sweep, *key): key for key in missing}
        for job in as_completed(jobs):
            path = wanted[jobs[job]]
            partial = path.with_suffix(".part")
            partial.write_text(json.dumps(job.result()))
            partial.replace(path)
            print(f"swept {path.stem}", flush=True)
    return {key: json.loads(path.read_text()) for key, path in wanted.items()}
