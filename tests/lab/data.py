"""Generated data sets that the small networks can learn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ROWS, HELD_OUT = 1024, 64


@dataclass(slots=True)
class Data:
    """Inputs ``x`` and targets ``y``, row by row. ``task``: classes, tokens, binary, regression or reconstruction."""

    x: Tensor
    y: Tensor
    task: str
    classes: int = 0

    def split(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The rows to train on, and those held out."""
        return (self.x[:-HELD_OUT], self.y[:-HELD_OUT]), (self.x[-HELD_OUT:], self.y[-HELD_OUT:])


def _labels(classes: int, generator: torch.Generator, shares: tuple[float, ...] | None = None) -> Tensor:
    weights = torch.tensor(shares or (1.0,) * classes)
    return torch.multinomial(weights, ROWS, replacement=True, generator=generator)


def blobs(
    generator: torch.Generator, *, features: int = 16, classes: int = 4, shares: tuple[float, ...] | None = None
) -> Data:
    """Two clouds a class, standardised, a little overlapping."""
    y = _labels(classes, generator, shares)
    centres = torch.randn(2 * classes, features, generator=generator)
    half = torch.randint(0, 2, (ROWS,), generator=generator)
    x = centres[2 * y + half] + 0.6 * torch.randn(ROWS, features, generator=generator)
    return Data((x - x.mean(0)) / x.std(0), y, "classes", classes)


def sines(generator: torch.Generator, *, features: int = 8) -> Data:
    """A smooth function of a few standardised features; the target has mean 0 and deviation 1."""
    x = torch.randn(ROWS, features, generator=generator)
    directions = torch.randn(features, 3, generator=generator) / features**0.5
    y = torch.sin(2 * x @ directions).sum(1, keepdim=True) + x[:, :1] + 0.1 * torch.randn(ROWS, 1, generator=generator)
    return Data(x, (y - y.mean()) / y.std(), "regression")


def shapes(
    generator: torch.Generator, *, classes: int = 4, shares: tuple[float, ...] | None = None, size: int = 12
) -> Data:
    """Pictures of a bar, a column, a square or a cross at random places, standardised."""
    y = _labels(classes, generator, shares)
    x = 0.2 * torch.randn(ROWS, 1, size, size, generator=generator)
    rows, columns = torch.randint(0, size - 5, (2, ROWS), generator=generator).tolist()
    for number, (kind, row, column) in enumerate(zip(y.tolist(), rows, columns, strict=True)):
        patch = x[number, 0, row : row + 5, column : column + 5]
        if kind in (0, 3):
            patch[2] += 1
        if kind in (1, 3):
            patch[:, 2] += 1
        if kind == 2:
            patch += 0.6
    return Data((x - x.mean()) / x.std(), y, "classes", classes)


def sequences(
    generator: torch.Generator, *, features: int = 4, length: int = 12, shares: tuple[float, ...] | None = None
) -> Data:
    """Noisy waves: the class is which of three frequencies they have."""
    y = _labels(3, generator, shares)
    time = torch.arange(length).view(1, -1, 1)
    phase = torch.rand(ROWS, 1, features, generator=generator) * 0.5
    x = torch.sin((0.4 + 0.5 * y.view(-1, 1, 1)) * time + phase)
    x = x + 0.3 * torch.randn(ROWS, length, features, generator=generator)
    return Data((x - x.mean()) / x.std(), y, "classes", 3)


def sentences(generator: torch.Generator, *, vocabulary: int = 20, length: int = 16) -> Data:
    """Tokens of which each mostly decides the next. Token 0 is never used: it stands for padding."""
    follower = torch.randperm(vocabulary - 1, generator=generator) + 1
    tokens = torch.randint(1, vocabulary, (ROWS, length + 1), generator=generator)
    random = torch.rand(ROWS, length, generator=generator) < 0.1
    for place in range(length):
        tokens[:, place + 1] = torch.where(random[:, place], tokens[:, place + 1], follower[tokens[:, place] - 1])
    return Data(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), "tokens", vocabulary)


def marked(generator: torch.Generator, *, vocabulary: int = 20, length: int = 20) -> Data:
    """Sentences in which one of three marker tokens tells the class."""
    y = _labels(3, generator)
    x = torch.randint(4, vocabulary, (ROWS, length), generator=generator)
    places = torch.randint(0, 3, (2, ROWS), generator=generator) + length - 6
    for place in places:
        x[torch.arange(ROWS), place] = y + 1
    return Data(x, y, "classes", 3)


def low_rank(generator: torch.Generator, *, features: int = 16, rank: int = 4) -> Data:
    """Features that are mixtures of a few hidden ones; the target is the input."""
    hidden = torch.randn(ROWS, rank, generator=generator)
    x = hidden @ torch.randn(rank, features, generator=generator) + 0.1 * torch.randn(
        ROWS, features, generator=generator
    )
    x = (x - x.mean(0)) / x.std(0)
    return Data(x, x, "reconstruction")
