"""Small real trainings for what no fixture and no lab has: an MLP on scikit-learn's digits, a second each.

Each writes what a user's training would: ``metrics.csv`` (one row a logged step) and ``hparams.yaml``.
"""

from __future__ import annotations

import atexit
import csv
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CLASSES, PIXEL, TRAINED_ROWS = 10, 16.0, 1200
# What Lightning's finder of 2.6 suggests where it stops at the first rates of its grid.
GRID_RATE = 7.585775750291836e-08


@dataclass(frozen=True, slots=True)
class Plan:
    """A training. ``rate`` is called with the step, ``batch`` gives the rows of a step, ``row`` what is logged of it.

    ``noise`` is the share of wrong labels among the ``rows`` that are trained on, ``spoilt`` that of a step's batch;
    ``decay`` is the weight decay by step, ``scale`` multiplies the pixels.
    ``half``: in 16 bits, with a scaler of the loss. ``every``: steps between two logged rows.
    ``held_out`` is what the validation is made on: nothing, ``rows`` held out, the training ``batch`` before or after
    the step. ``find``: an ``lr-find.json`` beside the log.
    """

    steps: int = 400
    rate: Callable[[int], float] = lambda step: 0.1
    momentum: float = 0.0
    rows: int = TRAINED_ROWS
    hidden: int = 32
    noise: float = 0.0
    spoilt: Callable[[int], float] = lambda step: 0.0
    decay: Callable[[int], float] = lambda step: 0.0
    scale: float = 1.0
    half: bool = False
    every: int = 4
    held_out: str = ""
    batch: Callable[[Tensor, int], Tensor] | None = None
    row: Callable[[dict[str, float]], dict[str, float] | None] = lambda row: row
    settings: Mapping[str, Any] = field(default_factory=dict)
    find: bool = False


def folder_of(name: str) -> Path:
    """The folder of the training ``name``, which is trained once a process."""
    return _made(name)


@cache
def _made(name: str) -> Path:
    folder = _shelf() / name
    folder.mkdir()
    if name in IMAGES:
        return _dumped(IMAGES[name], folder)
    if name == LEARNED:
        return _learned(folder)
    plan = PLANS[name]
    rows = _train(plan)
    names = list(dict.fromkeys(key for row in rows for key in row))
    with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    settings = {"optimizer": "sgd", "learning_rate": plan.rate(0), "num_classes": CLASSES, **plan.settings}
    (folder / "hparams.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    if plan.find:
        (folder / "lr-find.json").write_text(_found(plan), encoding="utf-8")
    return folder


def _dumped(shift: float, folder: Path) -> Path:
    """512 of the digits as the inputs that a training would dump, moved by ``shift``."""
    pixels = load_digits().images[:512, None].astype(np.float32) / PIXEL + np.float32(shift)
    (folder / "tensors").mkdir()
    for step in range(8):
        batch = pixels[step * 64 :][:64]
        np.savez(folder / "tensors" / f"step_{step}.npz", **{"input/x": batch})
    return folder


def _learned(folder: Path) -> Path:
    """Labels and outputs of the held-out digits, dumped after training: each class is right in nine of ten."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pixels, labels = (torch.tensor(one) for one in load_digits(return_X_y=True))
    x, y = pixels.float() / PIXEL, labels.long()
    order = torch.randperm(len(x))
    trained, held = order[:TRAINED_ROWS], order[TRAINED_ROWS:]
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    rows = ["step,train_loss"]
    for step in range(1, 801):
        drawn = trained[torch.randint(len(trained), (32,))]
        loss = cross_entropy(model(x[drawn]), y[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rows.append(f"{step},{loss.item():.5f}")
    (folder / "metrics.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    (folder / "tensors").mkdir()
    with torch.no_grad():
        arrays = {"label/class": y[held].numpy(), "output/logits": model(x[held]).numpy()}
    np.savez(folder / "tensors" / "step_000800.npz", **arrays)
    return folder


@cache
def _shelf() -> Path:
    shelf = Path(tempfile.mkdtemp(prefix="ctroubleshoot-docs-"))
    atexit.register(shutil.rmtree, shelf, ignore_errors=True)
    return shelf


def _train(plan: Plan) -> list[dict[str, float]]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pixels, labels = (torch.tensor(one) for one in load_digits(return_X_y=True))
    x, y = pixels.float() / PIXEL * plan.scale, labels.long()
    order = torch.randperm(len(x))
    trained, held = order[: plan.rows], order[TRAINED_ROWS:]
    wrong = torch.rand(len(y)) < plan.noise
    wrong[held] = False
    y = torch.where(wrong, torch.randint(CLASSES, y.shape), y)
    model = nn.Sequential(nn.Linear(64, plan.hidden), nn.ReLU(), nn.Linear(plan.hidden, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=plan.rate(0), momentum=plan.momentum)
    scaler = torch.amp.GradScaler("cpu", enabled=plan.half)
    rows = []
    for step in range(1, plan.steps + 1):
        optimizer.param_groups[0] |= {"lr": plan.rate(step), "weight_decay": plan.decay(step)}
        drawn = torch.randint(len(trained), (32,)) if plan.batch is None else plan.batch(y[trained], step)
        taken = trained[drawn]
        spoilt = torch.rand(len(taken)) < plan.spoilt(step)
        target = torch.where(spoilt, torch.randint(CLASSES, taken.shape), y[taken])
        with torch.autocast("cpu", dtype=torch.float16, enabled=plan.half):
            loss = cross_entropy(model(x[taken]), target)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        scaler.step(optimizer)
        scaler.update()
        if step % plan.every == 0:
            row = {"step": step, "train_loss": loss.item(), "lr": plan.rate(step), "grad_norm": float(norm)}
            if plan.half:
                row["loss_scale"] = scaler.get_scale()
            if plan.held_out == "batch":
                row["val_loss"] = loss.item()
            elif plan.held_out:
                judged_by = held if plan.held_out == "rows" else taken
                with torch.no_grad():
                    output = model(x[judged_by])
                row["val_loss"] = cross_entropy(output, y[judged_by]).item()
                row["val_acc"] = (output.argmax(1) == y[judged_by]).float().mean().item()
            kept = plan.row(row)
            if kept is not None:
                rows.append(kept)
    return rows


def _found(plan: Plan) -> str:
    """What ``ctroubleshoot lr-find --format json`` says of the training."""
    from convergence_cli import find_learning_rate
    from convergence_cli.reporters.rate_json import render

    torch.manual_seed(0)
    pixels, labels = (torch.tensor(one) for one in load_digits(return_X_y=True))
    data = torch.utils.data.TensorDataset(pixels.float() / PIXEL, labels.long())
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    model = nn.Sequential(nn.Linear(64, plan.hidden), nn.ReLU(), nn.Linear(plan.hidden, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return render(find_learning_rate(model, cross_entropy, loader, optimizer))


def _rising(to: float) -> Callable[[int], float]:
    """A rate that rises from the middle on, as a schedule with a wrong sign makes it."""
    return lambda step: 0.1 * (to / 0.1) ** max(0.0, (step - 200) / 200)


def _sorted(share: float) -> Callable[[Tensor, int], Tensor]:
    """Batches of one pair of classes after another, eight steps each, as a sorted data set gives them.

    ``share`` is the weight of the other classes.
    """

    def batch(labels: Tensor, step: int) -> Tensor:
        weight = torch.where(labels // 2 == step // 8 % 5, 1.0, share)
        return torch.multinomial(weight, 32)

    return batch


def _without(first: int, last: int) -> Callable[[dict[str, float]], dict[str, float] | None]:
    return lambda row: None if first < row["step"] < last else row


def _flat_from(step: int, to: float) -> Callable[[int], float]:
    return lambda now: to if now > step else 0.0


LEARNED = "digits-learned"
IMAGES = {"digits-from-0-to-1": 0.0, "digits-nearly-centred": -0.2}
PLANS: dict[str, Plan] = {
    "weight-decay-turned-up": Plan(decay=_flat_from(200, 2.0)),
    "weight-decay-turned-up-a-little": Plan(decay=_flat_from(200, 0.2)),
    "sorted-by-class": Plan(batch=_sorted(0.0), steps=320),
    "sorted-but-mixed": Plan(batch=_sorted(0.2), steps=320),
    "rate-that-rises": Plan(rate=_rising(1.3)),
    "rate-that-rises-less": Plan(rate=_rising(1.1)),
    "half-precision-overflow": Plan(half=True, scale=1e6, every=1, steps=120, rate=lambda step: 1e-3),
    "half-precision": Plan(half=True, every=1, steps=120),
    "logger-off-for-a-while": Plan(row=_without(120, 280)),
    "logger-off-for-a-moment": Plan(row=_without(120, 200)),
    "validated-on-the-training-batch": Plan(held_out="batch"),
    "validated-on-the-training-batch-afterwards": Plan(held_out="batch-after"),
    "surer-and-more-often-right": Plan(
        rows=100, scale=4.0, hidden=256, held_out="rows", steps=1000, every=10, rate=lambda step: 0.3
    ),
    "wrong-labels-learnt-by-heart": Plan(
        rows=100, scale=4.0, hidden=256, noise=0.1, held_out="rows", steps=1000, every=10, rate=lambda step: 0.05
    ),
    "ended-after-three-points": Plan(steps=12),
    "ended-after-four-points": Plan(steps=16),
    "rate-of-a-finder": Plan(rate=lambda step: GRID_RATE),
    "rate-typed-by-hand": Plan(rate=lambda step: 7.5e-8),
    "outside-the-window": Plan(rate=lambda step: 1e-4, find=True),
    "inside-the-window": Plan(rate=lambda step: 0.3, find=True),
}
