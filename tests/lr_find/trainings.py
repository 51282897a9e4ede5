"""Trainings small enough to be searched in tests: two moons, a regression and a parabola, made with torch only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from convergence_cli.lr_find.door import find_learning_rate
from convergence_cli.lr_find.ready import ready_from
from convergence_cli.lr_find.training import Engine, Training

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate

Batch = tuple[Tensor, Tensor]
Answer = dict[str, Any]
Module = TypeVar("Module", bound=nn.Module)


def moons(count: int, seed: int = 0) -> Batch:
    """``count`` points on two half circles that reach into each other, and which one each is on."""
    chance = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % 2
    angle = math.pi * torch.rand(count, generator=chance)
    side = 1.0 - 2.0 * label
    points = torch.stack([side * angle.cos() + label, side * angle.sin() + 0.5 * label], 1)
    return points + 0.1 * torch.randn(count, 2, generator=chance), label


def surface(count: int, seed: int = 0) -> Batch:
    """Inputs of three features and a smooth target of one, for a regression."""
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=chance)
    return x, (x[:, :1] - 0.5 * x[:, 1:2] * x[:, 2:]).tanh() + 0.05 * torch.randn(count, 1, generator=chance)


def cut(data: Batch, size: int = 16) -> list[Batch]:
    """The rows of ``data`` in batches, in order."""
    return list(zip(data[0].split(size), data[1].split(size), strict=True))


def shuffled(data: Batch, seed: int = 7) -> DataLoader[Any]:
    """The rows of ``data`` in an order that a generator of the loader's own draws."""
    return DataLoader(TensorDataset(*data), batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(seed))


def drawn(make: Callable[[], Module], seed: int = 0) -> Module:
    """What ``make`` makes, with weights drawn from ``seed``; the random state outside stays as it is."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def network(inputs: int = 2, outputs: int = 2, width: int = 16, seed: int = 0) -> nn.Sequential:
    """A network of one hidden layer."""
    return drawn(lambda: nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs)), seed)


def classifier(**changes: Any) -> Answer:
    """Two moons told apart, as ``setup()`` returns it; ``changes`` replace parts, and None takes one away."""
    return _changed({"model": network(), "loss": functional.cross_entropy, "loader": cut(moons(256))}, changes)


def regression(**changes: Any) -> Answer:
    """A smooth function fitted, in the same form."""
    return _changed({"model": network(3, 1), "loss": functional.mse_loss, "loader": cut(surface(256))}, changes)


def descending(answer: Answer, rate: float = 0.1) -> Answer:
    """``answer`` with plain gradient descent, which diverges in earnest."""
    return {**answer, "optimizer": SGD(answer["model"].parameters(), lr=rate)}


class Point(nn.Module):
    """A place on a parabola."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.ones(size))


def parabola(*curvatures: float) -> Answer:
    """Gradient descent on a parabola: it converges at rates below 2 over the largest curvature, and at none above."""
    curvature = torch.tensor(curvatures)

    def step(model: nn.Module, batch: Any) -> Tensor:
        return 0.5 * (curvature * model.at**2).sum()

    return descending({"model": Point(len(curvatures)), "step": step, "loader": [0] * 10}, 0.01)


def spoilt(data: Batch, part: int, value: float, row: int = 0) -> Batch:
    """``data`` with one ``value`` written into its inputs (``part`` 0) or targets (1)."""
    parts = [data[0].clone(), data[1].clone()]
    parts[part][row, 0] = value
    return parts[0], parts[1]


def training_of(answer: Answer, **engine: Any) -> Training:
    """A training of what ``setup()`` returned, at its beginning; where there is a GPU too, on the CPU."""
    return Training(ready_from(answer, "train.py:setup"), Engine(device=torch.device("cpu"), **engine))


def searched(setup: Callable[[], Answer], steps: int = 120, **more: Any) -> LearningRate:
    """The answer of a short search of ``setup``, called afresh for each training, on the CPU."""
    return find_learning_rate(setup, steps=steps, device="cpu", **more)


def searched_live(answer: Answer, steps: int = 120, **more: Any) -> LearningRate:
    """The answer of a short search of the one model that ``answer`` holds."""
    given = {key: value for key, value in answer.items() if key != "model"}
    return find_learning_rate(answer["model"], steps=steps, **given, **more)


def exactly(value: Any) -> Any:
    """``value`` with every tensor in it as its type, shape and bytes: equal only where all bits are."""
    if isinstance(value, Tensor):
        bits = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return str(value.dtype), tuple(value.shape), bits
    if isinstance(value, dict):
        return {key: exactly(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [exactly(one) for one in value]
    return value


def weights(model: nn.Module) -> list[Any]:
    """The parameters of ``model``, bit by bit."""
    return exactly(list(model.parameters()))  # type: ignore[no-any-return]


def learned(model: nn.Module, batches: Sequence[Batch], rate: float) -> None:
    """One pass of plain gradient descent, written out: what a training is compared with."""
    for inputs, target in batches:
        model.zero_grad()
        functional.cross_entropy(model(inputs), target).backward()
        with torch.no_grad():
            for one in model.parameters():
                one.sub_(rate * one.grad)


def _changed(answer: Answer, changes: Answer) -> Answer:
    return {key: value for key, value in {**answer, **changes}.items() if value is not None}
