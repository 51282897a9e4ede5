"""Trainings whose inputs or labels are wrong."""

from __future__ import annotations

import torch

from lab.catalogue import fault
from lab.setup import Setup, setup_of


@fault("unnormalized-input", "mlp cnn gru regression-mlp", levels=3)
def unnormalized_input(architecture: str, seed: int, level: int) -> Setup:
    """Pictures of 0 to 255, one feature in other units, or a large offset."""
    setup = setup_of(architecture, seed)
    x = setup.data.x
    if architecture == "cnn":
        low, high = x.min(), x.max()
        x.sub_(low).mul_(255 / (high - low))
        if level == 1:
            x.round_()
        elif level == 2:
            x.mul_(257)
    elif level == 0:
        x[..., 0] = x[..., 0] * 1e4 + 2e4
    elif level == 1:
        x.add_(100.0)
    else:
        x.mul_(255.0).add_(128.0)
    setup.layers = ("x",)
    return setup


@fault("class-imbalance", "mlp cnn gru", levels=2)
def class_imbalance(architecture: str, seed: int, level: int) -> Setup:
    """Nearly all samples are of one class."""
    if architecture == "gru":
        shares: tuple[float, ...] = ((0.97, 0.02, 0.01), (0.95, 0.03, 0.02))[level]
        setup = setup_of(architecture, seed, shares=shares)
    else:
        setup = setup_of(architecture, seed, classes=2, shares=((0.97, 0.03), (0.95, 0.05))[level])
    setup.batch_size = 128
    return setup


@fault("class-misprediction", "mlp cnn gru", levels=2)
def class_misprediction(architecture: str, seed: int, level: int) -> Setup:
    """A class that counts nothing in the loss, by its weight, is never predicted."""
    setup = setup_of(architecture, seed)
    weights = torch.ones(setup.data.classes)
    weights[seed % setup.data.classes] = (0.0, 0.0003)[level]
    setup.loss = torch.nn.CrossEntropyLoss(weight=weights)
    setup.batch_size = 128
    return setup


@fault("class-confusion", "mlp cnn gru", levels=2, rules="class-confusion class-misprediction")
def class_confusion(architecture: str, seed: int, level: int) -> Setup:
    """Two classes whose labels were mixed up, for half of their samples."""
    setup = setup_of(architecture, seed)
    first, second = seed % setup.data.classes, (seed + 1) % setup.data.classes
    y = setup.data.y
    swapped = torch.rand(len(y), generator=setup.generator) < (0.5, 0.4)[level]
    is_first, is_second = (y == first) & swapped, (y == second) & swapped
    y[is_first], y[is_second] = second, first
    setup.batch_size = 128
    if architecture == "cnn":
        # Until the other classes are told apart, two that are not stand out by nothing.
        setup.steps = 140
    return setup


@fault("padded-sequences", "transformer gru", levels=3)
def padded_sequences(architecture: str, seed: int, level: int) -> Setup:
    """Most of each sequence is padding."""
    setup = setup_of(architecture, seed, tokens=True)
    x, y = setup.data.x, setup.data.y
    length = x.shape[1]
    used = torch.randint(2, int(length * (0.4, 0.3, 0.5)[level]) + 1, (len(x), 1), generator=setup.generator)
    if architecture == "gru":
        # Its padding comes first, so that the last state sees the tokens.
        x[torch.arange(length) < length - used.clamp(min=6)] = 0
    else:
        padding = torch.arange(length) >= used
        x[padding] = 0
        y[padding] = 0
    return setup
