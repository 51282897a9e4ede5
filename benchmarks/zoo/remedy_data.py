"""Changes of data and loss: scales of inputs and targets, weights of classes, another loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from zoo import building
from zoo.mending import LOSSES

if TYPE_CHECKING:
    from zoo.building import Loss, Training
    from zoo.data import Data

# The exponent of generalized cross entropy (Zhang and Sabuncu 2018, section 3.2).
_Q = 0.7


def change_data(training: Training, change: Mapping[str, Any], x_val: Tensor) -> Tensor:
    """Applies the changes of ``change``; gives back ``x_val``, other validation rows, as the model wants them then."""
    data = training.data
    if change.get("input_normalization") == "standard" and data.task != "tokens":
        mean, std = _moments(data.x)
        x_val = (x_val - mean) / std
        data.x, data.x_val = (data.x - mean) / std, (data.x_val - mean) / std
    if change.get("target_normalization") == "standard" and data.task == "regression":
        mean, std = _moments(data.y)
        data.y, data.y_val = (data.y - mean) / std, (data.y_val - mean) / std
    change_loss(training, change)
    if change.get("class_weight") is not None and data.classes:
        _weigh(training, change["class_weight"])
    if change.get("sampling") == "balanced" and data.task == "classes":
        odds = (1 / _counts(data).clamp(min=1))[data.y]
        picked = torch.multinomial(odds, len(data.y), replacement=True, generator=training.generator)
        data.x, data.y = data.x[picked], data.y[picked]
    return x_val


def change_loss(training: Training, change: Mapping[str, Any]) -> None:
    """Applies ``loss`` where it fits the task; one that does not is not applied (PyTorch refuses most of them)."""
    name, task = change.get("loss"), training.data.task
    if name is None or name not in LOSSES[task]:
        return
    training.loss = building._loss(replace(training.plan, loss="default"), training.data)
    if name == "generalized_cross_entropy":
        training.loss = _robust
    elif name == "huber":
        training.loss = functional.smooth_l1_loss


def _robust(output: Tensor, y: Tensor) -> Tensor:
    output, y = (output.flatten(0, 1), y.flatten()) if output.dim() == 3 else (output, y)
    right = functional.softmax(output, -1).gather(-1, y[:, None]).clamp(min=1e-7)
    return ((1 - right**_Q) / _Q).mean()


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each feature; the spread of a constant one is 1.

    In double precision, and by the size of the mean: rounding gives a constant feature a spread of its own.
    """
    flat = values.double().flatten(0, -2)
    mean, std = flat.mean(0), flat.std(0)
    return mean.float(), torch.where(std > 1e-6 * (1 + mean.abs()), std, torch.ones_like(std)).float()


def _counts(data: Data) -> Tensor:
    return torch.bincount(data.y.flatten(), minlength=data.classes).float()


def _weigh(training: Training, how: str | Mapping[Any, float]) -> None:
    data, counts = training.data, _counts(training.data)
    if how == "balanced":
        weight = torch.where(counts > 0, counts.sum() / (data.classes * counts.clamp(min=1)), torch.ones(()))
    elif isinstance(how, str):
        raise ValueError(f"class_weight {how} is neither balanced nor a mapping of classes to weights")
    else:
        weight = torch.ones(data.classes)
        for name, value in how.items():
            weight[int(name)] = float(value)

    def weighed(output: Tensor, y: Tensor) -> Tensor:
        output, y = (output.flatten(0, 1), y.flatten()) if output.dim() == 3 else (output, y)
        return functional.cross_entropy(output, y, weight=weight)

    loss: Loss = weighed
    training.loss = loss
