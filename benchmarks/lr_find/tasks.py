"""The trainings on which learning-rate finders are compared: networks, optimizers and data of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from lab.models import Recurrent, Stack, Transformer
from torch import Tensor, nn
from torch.nn import functional
from zoo.building import Pictures
from zoo.data import DATASETS, LENGTH, Data

Build = Callable[[Data], nn.Module]
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=1e-2),
}


class Batches:
    """Shuffled batches of rows; the order comes from torch's global generator, as that of ``DataLoader`` does."""

    def __init__(self, x: Tensor, y: Tensor, size: int, *, shuffle: bool = True) -> None:
        self.x, self.y, self.size, self.shuffle = x, y, min(size, len(x)), shuffle

    def __len__(self) -> int:
        return len(self.x) // self.size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.x)) if self.shuffle else torch.arange(len(self.x))
        for number in range(len(self)):
            rows = order[number * self.size : (number + 1) * self.size]
            yield self.x[rows], self.y[rows]


@dataclass(frozen=True, slots=True)
class Task:
    """One training. ``x_scale`` and ``y_scale`` undo the standardization that the data came with."""

    name: str
    dataset: str
    network: Build
    optimizer: str
    batch: int = 64
    x_scale: float = 1.0
    y_scale: float = 1.0
    y_shift: float = 0.0
    spread: bool = False

    @property
    def data(self) -> Data:
        """The rows, the same for every seed."""
        return _data(self.dataset, self.x_scale, self.y_scale, self.y_shift, self.spread)

    def setup(self, seed: int, schedule: str = "constant") -> dict[str, Any]:
        """What a user's ``setup()`` returns; weights by ``seed``."""
        torch.manual_seed(seed)
        data = self.data
        model = self.network(data)
        return {
            "model": model,
            "loss": loss_of(data),
            "loader": Batches(data.x, data.y, self.batch),
            "val_loader": Batches(data.x_val, data.y_val, 200, shuffle=False),
            "optimizer": OPTIMIZERS[self.optimizer](model.parameters()),
            "schedule": schedule,
            "seed": seed,
        }


@cache
def _data(name: str, x_scale: float, y_scale: float, y_shift: float, spread: bool) -> Data:
    data = DATASETS[name](np.random.default_rng(0), 0)
    if spread:
        # Columns of very different size, as raw tables have them.
        size = 10.0 ** torch.linspace(-2, 2, data.width)
        data = replace(data, x=data.x * size, x_val=data.x_val * size)
    return replace(
        data,
        x=data.x * x_scale if x_scale != 1 else data.x,
        x_val=data.x_val * x_scale if x_scale != 1 else data.x_val,
        y=data.y * y_scale + y_shift if not data.classes else data.y,
        y_val=data.y_val * y_scale + y_shift if not data.classes else data.y_val,
    )


def loss_of(data: Data) -> Callable[[Tensor, Tensor], Tensor]:
    """The usual loss of the data's task."""
    if data.task == "tokens":
        return lambda output, y: functional.cross_entropy(output.flatten(0, 1), y.flatten())
    return functional.cross_entropy if data.classes else functional.mse_loss


def build_mlp(*hidden: int, function: str = "relu", **options: Any) -> Build:
    """Linear layers of these widths."""
    return lambda data: Stack((data.width, *hidden, _outputs(data)), function, **options)


def build_he(*hidden: int, function: str = "relu", **options: Any) -> Build:
    """The same with He's initialization, which deep ones need."""

    def build(data: Data) -> nn.Module:
        model = Stack((data.width, *hidden, _outputs(data)), function, **options)
        for name in model.layers:
            nn.init.kaiming_normal_(model.layer(name).weight, nonlinearity="relu")
        return model

    return build


def _outputs(data: Data) -> int:
    return data.classes or int(data.y.shape[-1])


def build_cnn(**options: Any) -> Build:
    """Two convolutions on square pictures."""
    return lambda data: Pictures(data.classes, data.image, "relu", channels=(8, 12), **options)


def build_recurrent(cell: str) -> Build:
    """A recurrent layer, by the name of its cell."""
    return lambda data: Recurrent(data.width, _outputs(data), cell)


def build_transformer(**options: Any) -> Build:
    """A causal language model of two blocks."""
    return lambda data: Transformer(data.classes, length=LENGTH, width=24, **options)


LINEAR = build_mlp()
AUTOENCODER = build_mlp(32, 8, 32)
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("digits-mlp-sgd", "digits", build_mlp(64, 64), "sgd"),
        Task("digits-mlp-momentum", "digits", build_mlp(64, 64), "momentum"),
        Task("digits-mlp-adam", "digits", build_mlp(64, 64), "adam"),
        Task("digits-batchnorm-sgd", "digits", build_mlp(64, 64, norm="batch"), "sgd"),
        Task("digits-batchnorm-adam", "digits", build_mlp(64, 64, norm="batch"), "adam"),
        Task("digits-deep-tanh-momentum", "digits", build_mlp(*(48,) * 6, function="tanh"), "momentum"),
        Task("digits-deep-relu-adamw", "digits", build_he(*(48,) * 7), "adamw"),
        Task("pictures-autoencoder-adam", "digit_pictures", AUTOENCODER, "adam"),
        Task("mixtures-autoencoder-rmsprop", "low_rank", AUTOENCODER, "rmsprop"),
        Task("shapes-cnn-adamw", "shapes", build_cnn(), "adamw", 32),
        Task("digits-cnn-momentum", "digits", build_cnn(), "momentum", 32),
        Task("shapes-cnn-batchnorm-adam", "shapes", build_cnn(norm=True), "adam", 32),
        Task("digits-cnn-batchnorm-momentum", "digits", build_cnn(norm=True), "momentum", 32),
        Task("waves-gru-adam", "waves", build_recurrent("GRU"), "adam", 32),
        Task("waves-lstm-momentum", "waves", build_recurrent("LSTM"), "momentum", 32),
        Task("adding-gru-rmsprop", "adding", build_recurrent("GRU"), "rmsprop"),
        Task("text-transformer-adamw", "text", build_transformer(), "adamw", 16),
        Task("tokens-transformer-adam", "markov", build_transformer(), "adam", 16),
        Task("diabetes-linear-sgd", "diabetes", LINEAR, "sgd", 32),
        Task("cancer-logistic-momentum", "cancer", LINEAR, "momentum", 32),
        Task("wine-logistic-adagrad", "wine", LINEAR, "adagrad", 32),
        Task("wine-mlp-rmsprop", "wine", build_mlp(32, 32), "rmsprop", 32),
        Task("cancer-mlp-adamw", "cancer", build_mlp(32, 32), "adamw", 32),
        Task("diabetes-mlp-adam", "diabetes", build_mlp(32, 32), "adam", 32),
        Task("moons-mlp-sgd", "moons", build_mlp(32, 32), "sgd", 32),
        Task("friedman-mlp-adamw", "friedman", build_mlp(64, 64), "adamw"),
        Task("friedman-residual-sgd", "friedman", build_mlp(*(32,) * 5, norm="layer", residual=True), "sgd"),
        Task("clusters-mlp-adagrad", "clusters", build_mlp(64, 64), "adagrad"),
        Task("digits-times-255-adam", "digits", build_mlp(64, 64), "adam", x_scale=255.0),
        Task("cancer-raw-momentum", "cancer", build_mlp(32, 32), "momentum", 32, spread=True),
        Task("diabetes-raw-target-linear-adam", "diabetes", LINEAR, "adam", 32, y_scale=77.0, y_shift=152.0),
        Task("diabetes-raw-target-mlp-sgd", "diabetes", build_mlp(32, 32), "sgd", 32, y_scale=77.0, y_shift=152.0),
    )
}
