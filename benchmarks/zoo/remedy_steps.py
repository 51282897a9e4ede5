"""Changes of what happens in a step: updates that are skipped, inputs that are disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zoo.building import Training

# The noise that stands for augmentation, as a share of the spread of each feature.
NOISE = 0.1


def change_steps(training: Training, change: Mapping[str, Any]) -> None:
    """Applies ``skip_nonfinite`` and ``data_augmentation``."""
    if change.get("skip_nonfinite") is True:
        skip_nonfinite(training)
    if change.get("data_augmentation") and training.data.task != "tokens":
        _augment(training)


def skip_nonfinite(training: Training, after: int = 0) -> None:
    """Leaves out updates whose gradient is not finite, from the step after ``after`` on."""

    def skip(step: int) -> None:
        parameters = list(training.model.parameters())
        finite = all(bool(torch.isfinite(p.grad).all()) for p in parameters if p.grad is not None)
        if step > after and not finite:
            for parameter in parameters:
                # Without a gradient an optimizer passes a parameter by, decay included.
                parameter.grad = None

    training.after_backward.append(skip)


def _augment(training: Training) -> None:
    inner, pick = training.batch, torch.Generator().manual_seed(2_000_003 + training.plan.seed)
    spread = training.data.x.std(tuple(range(training.data.x.dim() - 1)))

    def noisy(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = inner(step, x, y)
        # Below 0 is a look at the training loss, which must not depend on chance.
        return (x, y) if step < 0 else (x + NOISE * spread * torch.randn(x.shape, generator=pick), y)

    training.batch = noisy
