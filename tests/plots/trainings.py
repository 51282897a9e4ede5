"""Small real runs to draw: trained with PyTorch, dumped and recorded as a user would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from convergence_cli import Recorder

CLASSES = 3


def blobs(count: int = 60, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey pictures (count, 1, side, side) with a bright square at one of three places, and which place."""
    generator = torch.Generator().manual_seed(0)
    pictures = 0.2 * torch.rand(count, 1, side, side, generator=generator)
    labels = torch.arange(count) % CLASSES
    for number, label in enumerate(labels.tolist()):
        pictures[number, 0, 2 * label : 2 * label + 3, 2 * label : 2 * label + 3] += 1.0
    return pictures, labels


def dumped_with_inputs(folder: Path, *, flat: bool = False, steps: int = 30) -> Path:
    """A training that dumps activations, labels, inputs and the gradients at them every tenth step."""
    torch.manual_seed(0)
    x, y = blobs()
    if flat:
        x = x.flatten(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    (folder / "tensors").mkdir(parents=True)
    lines = ["step,train_loss"]
    for step in range(1, steps + 1):
        inputs = x.clone().requires_grad_()
        optimizer.zero_grad()
        hidden = model[:3](inputs)
        loss = nn.functional.cross_entropy(model[3](hidden), y)
        loss.backward()  # type: ignore[no-untyped-call]
        lines.append(f"{step},{loss.item():.5f}")
        if step % 10 == 0:
            arrays = {
                "activation/tanh": hidden,
                "label/class": y,
                "input/pixels": inputs,
                "gradient/pixels": inputs.grad,
            }
            arrays |= {f"weight/{name}": value for name, value in model.named_parameters()}
            arrays |= {f"gradient/{name}": value.grad for name, value in model.named_parameters()}
            values: dict[str, Any] = {
                name: value.detach().numpy() for name, value in arrays.items() if value is not None
            }
            np.savez(folder / "tensors" / f"step_{step:06d}.npz", **values)
        optimizer.step()
    (folder / "metrics.csv").write_text("\n".join([*lines, ""]))
    return folder


def recorded_raw(
    folder: Path, *, steps: int = 20, raw: Sequence[str] = ("activation/2", "label/*"), slopes: bool = False
) -> Path:
    """A training under the recorder, which saves the hidden layer and the labels as they are.

    ``slopes``: the input asks for its gradient.
    """
    torch.manual_seed(0)
    x, y = blobs()
    x.requires_grad_(slopes)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with Recorder(model, optimizer, out=folder, every=5, raw=raw) as recorder:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            recorder.step(loss=loss, labels=y)
    return folder
