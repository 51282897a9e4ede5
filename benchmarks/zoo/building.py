"""From a plan to a training that is ready to start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from lab.models import Cnn, Network, Recurrent, Stack, Transformer
from torch import Tensor
from torch.nn import functional

from zoo.data import DATASETS, LENGTH, Data

if TYPE_CHECKING:
    from zoo.plan import Plan

CELLS = {"gru": "GRU", "rnn": "RNN", "lstm": "LSTM"}
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(slots=True)
class Training:
    """One training. ``batch`` may change what the loader gives at a step, ``before_step`` runs before the forward

    pass, ``after_backward`` between the gradients and the update, ``after_step`` after it. ``frozen`` are parameters
    that the optimizer was not given; ``zero_every`` is the number of steps after which gradients are cleared.
    """

    plan: Plan
    data: Data
    model: Network
    loss: Loss
    schedule: Callable[[int], float]
    learning_rate: float
    frozen: set[str] = field(default_factory=set)
    zero_every: int = 1
    batch: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]] = field(default=lambda step, x, y: (x, y))
    before_step: list[Callable[[int], None]] = field(default_factory=list)
    after_backward: list[Callable[[int], None]] = field(default_factory=list)
    after_step: list[Callable[[int], None]] = field(default_factory=list)
    shown: Callable[[float], float] = field(default=lambda loss: loss)

    @property
    def batch_size(self) -> int:
        """Rows of a batch; at most all."""
        return min(self.plan.batch_size, len(self.data.x))

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one pass over the data."""
        return max(len(self.data.x) // self.batch_size, 1)

    @property
    def generator(self) -> torch.Generator:
        """Random numbers for faults, apart from those of the model and the data."""
        return torch.Generator().manual_seed(1_000_003 + self.plan.seed)


def build(plan: Plan) -> Training:
    """The model, the data, the loss and the schedule of ``plan``."""
    torch.manual_seed(plan.seed)
    data = DATASETS[plan.dataset](np.random.default_rng(plan.seed), plan.rows)
    model = _model(plan, data)
    training = Training(
        plan, data, model, _loss(plan, data), schedule_of(plan.schedule, plan.steps), plan.learning_rate
    )
    for change in plan.after_building:
        change(training)
    return training


def _model(plan: Plan, data: Data) -> Network:
    outputs = 2 if plan.loss == "gaussian" else data.classes or int(data.y.shape[-1])
    kind, width, depth = plan.architecture, plan.width or 32, plan.depth
    if kind in CELLS:
        return Recurrent(data.width, outputs, CELLS[kind], width=plan.width or 24)
    if kind == "cnn":
        return Pictures(outputs, data.image, plan.function, channels=(8,) * (depth or 3), norm=bool(plan.norm))
    if kind == "transformer":
        options = {"function": plan.function, "dropout": plan.dropout}
        return Transformer(data.classes, length=LENGTH, width=plan.width or 24, **options)
    if kind == "deep-mlp":
        hidden = (plan.width or 24,) * (depth or 8)
        return _scaled(Stack((data.width, *hidden, outputs), plan.function, norm=plan.norm, dropout=plan.dropout))
    hidden = {"linear": (), "autoencoder": (32, 16, 6, 16, 32), "residual": (width,) * (depth or 5)}
    norm = {"mlp": plan.norm, "residual": plan.norm or "layer"}.get(kind, "")
    dropout = {"linear": 0.0, "autoencoder": plan.dropout / 3}.get(kind, plan.dropout)
    widths = (data.width, *hidden.get(kind, (width,) * (depth or 2)), outputs)
    return Stack(widths, plan.function, norm=norm, dropout=dropout, residual=kind == "residual")


class Pictures(Cnn):
    """The CNN on rows of features that are square pictures."""

    def __init__(self, classes: int, size: int, function: str, **options: object) -> None:
        super().__init__(classes, function, **options)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(len(x), 1, self.size, self.size))


def _scaled(model: Stack) -> Stack:
    """He's initialization: a deep stack does not learn with PyTorch's own."""
    for name in model.layers:
        torch.nn.init.kaiming_normal_(model.layer(name).weight, nonlinearity="relu")
    return model


def _loss(plan: Plan, data: Data) -> Loss:
    if plan.loss == "gaussian":
        return gaussian
    if data.task == "tokens":
        return lambda output, y: functional.cross_entropy(
            output.flatten(0, 1), y.flatten(), label_smoothing=plan.smoothing
        )
    if data.task == "classes":
        return lambda output, y: functional.cross_entropy(output, y, label_smoothing=plan.smoothing)
    return functional.mse_loss


def gaussian(output: Tensor, y: Tensor) -> Tensor:
    """Negative log likelihood of a normal distribution whose mean and log deviation are predicted."""
    mean, deviation = output[:, :1], output[:, 1:].clamp(-6, 6)
    return (deviation + 0.5 * ((y - mean) * torch.exp(-deviation)) ** 2).mean()


def schedule_of(name: str, steps: int) -> Callable[[int], float]:
    """The factor on the learning rate at a step."""
    warm = max(steps // 20, 1)

    def factor(step: int) -> float:
        done = step / steps
        if name == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        if name == "step":
            return float(0.3 ** int(3 * done))
        if name == "warm-restarts":
            return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (4 * done % 1)))
        if name == "one-cycle":
            return 0.04 + 0.96 * done / 0.3 if done < 0.3 else 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))
        if name == "warmup-linear":
            return (step + 1) / warm if step < warm else (steps - step) / (steps - warm)
        return 1.0

    return factor
