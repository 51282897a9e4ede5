"""What ``lr-find --demo`` searches a rate for: two spirals, told apart by a small network."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional


def spirals(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``count`` points on two noisy spirals, and which one each is on."""
    label = torch.arange(count) % 2
    turn = 1 + 9 * torch.rand(count)
    points = torch.stack([turn * torch.cos(turn), turn * torch.sin(turn)], 1) * (2 * label - 1).unsqueeze(1)
    return (points + 0.3 * torch.randn(count, 2)) / 6, label


def setup() -> dict[str, Any]:
    """The training: model, loss, batches and optimizer."""
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2)
    )
    data = torch.utils.data.TensorDataset(*spirals(2000))
    return {
        "model": model,
        "loss": functional.cross_entropy,
        "loader": torch.utils.data.DataLoader(data, batch_size=64, shuffle=True),
        "optimizer": torch.optim.Adam(model.parameters()),
    }
