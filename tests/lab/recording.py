"""Trains a ``Setup`` with the recorder on, and with nothing else that writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from convergence_cli import Recorder
from lab.training import LOGGED_POINTS, loss_of, optimizer_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab.setup import Setup


def record(setup: Setup, folder: Path) -> None:
    """Trains into ``folder``; tensors are recorded about as often as ``setup.dumps`` says."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _record(setup, folder)
    finally:
        torch.set_num_threads(threads)


def _record(setup: Setup, folder: Path) -> None:
    torch.manual_seed(setup.seed)
    model = setup.model
    optimizer = optimizer_of(setup, model)
    (x_train, y_train), (x_held, y_held) = setup.data.split()
    order = torch.Generator().manual_seed(setup.seed + 1)
    config = {"max_steps": setup.steps, "seed": setup.seed, "batch_size": setup.batch_size, **setup.config}
    if setup.clip is not None:
        config["gradient_clip_norm"] = setup.clip
    every = max(setup.steps // max(setup.dumps, 1), 1)
    with Recorder(model, optimizer, out=folder, every=every, config=config) as recorder:
        for step in range(setup.steps):
            for change in setup.before_step:
                change(step)
            picked = torch.randint(0, len(x_train), (setup.batch_size,), generator=order)
            x, y = setup.batch(step, x_train[picked], y_train[picked])
            model.train()
            output = model(x)
            loss = setup.loss(output, y) if setup.loss else loss_of(setup.data, output, y)
            objective = loss + setup.penalty() if setup.penalty else loss
            optimizer.zero_grad()
            objective.backward()
            if setup.clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), setup.clip)
            for group in optimizer.param_groups:
                group["lr"] = setup.learning_rate * setup.schedule(step)
            optimizer.step()
            held = None
            if not step % max(setup.steps // LOGGED_POINTS, 1):
                model.eval()
                with torch.no_grad():
                    found = model(x_held)
                    held = setup.loss(found, y_held) if setup.loss else loss_of(setup.data, found, y_held)
            recorder.step(loss=loss, val_loss=held)
            for change in setup.after_step:
                change(step)
