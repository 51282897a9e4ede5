"""Trains a ``Setup`` and leaves a run folder behind, as a user's script would."""

from __future__ import annotations

import copy
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from lab.dumping import Recorder, dumped_steps, weights_of, write_dump

if TYPE_CHECKING:
    from lab.data import Data
    from lab.models import Network
    from lab.setup import Setup

LOGGED_POINTS = 30
OUTPUT_NAMES = {"regression": "prediction", "reconstruction": "reconstruction"}


def loss_of(data: Data, output: Tensor, y: Tensor) -> Tensor:
    """The loss that a user would take for the task. Token 0 is padding, which does not count."""
    if data.task == "classes":
        return functional.cross_entropy(output, y)
    if data.task == "tokens":
        return functional.cross_entropy(output.flatten(0, 1), y.flatten(), ignore_index=0)
    if data.task == "binary":
        return functional.binary_cross_entropy(output, y)
    return functional.mse_loss(output, y)


def optimizer_of(setup: Setup, model: Network) -> torch.optim.Optimizer:
    """The optimizer over all parameters but those of the frozen layers."""
    parameters = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and name.rpartition(".")[0] not in setup.frozen
    ]
    rate, decay = setup.learning_rate, setup.weight_decay
    if setup.optimizer in ("Adam", "AdamW"):
        return getattr(torch.optim, setup.optimizer)(parameters, lr=rate, weight_decay=decay)
    momentum = setup.momentum if setup.optimizer == "momentum" else 0.0
    return torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=decay)


def _average_gradients(models: list[Network]) -> None:
    for parameters in zip(*(model.parameters() for model in models), strict=True):
        mean = torch.stack([parameter.grad for parameter in parameters if parameter.grad is not None]).mean(0)
        for parameter in parameters:
            parameter.grad = mean.clone()


def train(setup: Setup, folder: Path) -> list[tuple[int, float, float, float]]:
    """Trains and writes the run into ``folder``; gives the logged rows (step, training loss, held-out loss, rate)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(setup, folder)
    finally:
        torch.set_num_threads(threads)


def _train(setup: Setup, folder: Path) -> list[tuple[int, float, float, float]]:
    torch.manual_seed(setup.seed)
    (folder / "tensors").mkdir(parents=True)
    # The setup's own hooks know its model, so that one is the first replica.
    models = [setup.model, *(copy.deepcopy(setup.model) for _ in range(setup.replicas - 1))]
    optimizers = [optimizer_of(setup, model) for model in models]
    names = tuple(dict.fromkeys((*setup.record, *setup.model.hooked())))
    recorders = [Recorder(model, names) for model in models]
    (x_train, y_train), (x_held, y_held) = setup.data.split()
    order = torch.Generator().manual_seed(setup.seed + 1)
    dumped = dumped_steps(setup.steps, setup.dumps)
    logged = dumped_steps(setup.steps, LOGGED_POINTS)
    rows: list[tuple[int, float, float, float]] = []
    before: dict[str, Tensor] | None = None
    for step in range(setup.steps):
        for change in setup.before_step:
            change(step)
        losses = []
        for rank, (model, recorder) in enumerate(zip(models, recorders, strict=True)):
            picked = torch.randint(0, len(x_train), (setup.batch_size,), generator=order)
            x, y = setup.batch(step, x_train[picked], y_train[picked])
            recorder.armed = step in dumped
            model.train()
            output = model(x)
            recorder.armed = False
            loss = setup.loss(output, y) if setup.loss else loss_of(setup.data, output, y)
            objective = loss + setup.penalty() if setup.penalty else loss
            optimizers[rank].zero_grad()
            objective.backward()
            losses.append(loss.item())
            if step in dumped:
                suffix = f"_rank{rank}" if setup.replicas > 1 else ""
                others = {"input/x": x}
                if setup.data.task != "reconstruction":
                    others["label/y"] = y
                others[f"output/{OUTPUT_NAMES.get(setup.data.task, 'logits')}"] = output
                path = folder / "tensors" / f"step_{step:06d}{suffix}.npz"
                write_dump(path, model, recorder, others, before, setup.dump_type)
        rate = setup.learning_rate * setup.schedule(step)
        if step in logged:
            rows.append((step, losses[0], _held_out_loss(setup, x_held, y_held), rate))
        before = weights_of(setup.model) if setup.updates and step + 1 in dumped else None
        if setup.replicas > 1 and setup.in_sync:
            _average_gradients(models)
        for model, optimizer in zip(models, optimizers, strict=True):
            if setup.clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), setup.clip)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        for change in setup.after_step:
            change(step)
    for recorder in recorders:
        recorder.__exit__(None, None, None)
    _write_log(setup, folder, rows)
    return rows


def _held_out_loss(setup: Setup, x: Tensor, y: Tensor) -> float:
    setup.model.eval()
    with torch.no_grad():
        output = setup.model(x)
        return (setup.loss(output, y) if setup.loss else loss_of(setup.data, output, y)).item()


def _write_log(setup: Setup, folder: Path, rows: list[tuple[int, float, float, float]]) -> None:
    lines = [f"{step},{train:.6g},{held:.6g},{rate:.6g}" for step, train, held, rate in rows]
    (folder / "metrics.csv").write_text("\n".join(["step,train_loss,val_loss,lr", *lines, ""]))
    config = {
        "model": setup.architecture,
        "learning_rate": setup.learning_rate,
        "optimizer": "SGD" if setup.optimizer == "momentum" else setup.optimizer,
        "momentum": setup.momentum if setup.optimizer == "momentum" else 0.0,
        "weight_decay": setup.weight_decay,
        "batch_size": setup.batch_size,
        "max_steps": setup.steps,
        "seed": setup.seed,
        **({"num_classes": setup.data.classes} if setup.data.classes else {}),
        **({"gradient_clip_norm": setup.clip} if setup.clip is not None else {}),
        **setup.config,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    if setup.seconds_between_dumps:
        _age(setup, folder)


def _age(setup: Setup, folder: Path) -> None:
    """Sets the times of the files to those of a slower run that last wrote ``seconds_since_last`` ago."""
    dumps = sorted((folder / "tensors").iterdir())
    last = time.time() - setup.seconds_since_last
    for place, path in enumerate(reversed(dumps)):
        written = last - place * setup.seconds_between_dumps
        os.utime(path, (written, written))
    os.utime(folder / "metrics.csv", (last, last))
    started = last - len(dumps) * setup.seconds_between_dumps
    os.utime(folder / "config.json", (started, started))
