"""Trainings that were born wrong."""

from __future__ import annotations

from torch import nn

from lab.catalogue import fault
from lab.setup import Setup, setup_of, weight


@fault("symmetric-initialization", "mlp cnn regression-mlp autoencoder", levels=4)
def symmetric_initialization(architecture: str, seed: int, level: int) -> Setup:
    """All units of a layer, or of all layers, begin with the same weights."""
    setup = setup_of(architecture, seed)
    names = (setup.hidden(seed),) if level < 2 else setup.model.layers
    for name in names:
        module = setup.model.layer(name)
        nn.init.constant_(weight(module), (0.05, 0.2, 0.05, 1.0)[level])
        nn.init.zeros_(module.bias)
    setup.layers = names
    return setup


@fault("initialization-too-small", "mlp cnn regression-mlp deep-mlp", levels=4)
def initialization_too_small(architecture: str, seed: int, level: int) -> Setup:
    """Weights of one layer or of all begin a hundredth of their usual size, or smaller."""
    setup = setup_of(architecture, seed, depth=5 if architecture == "deep-mlp" else 0)
    names = (setup.hidden(seed),) if level % 2 else setup.model.layers[:-1]
    for name in names:
        weights = weight(setup.model.layer(name))
        if level < 2:
            weights.mul_((0.02, 0.01)[level])
        else:
            nn.init.normal_(weights, std=(1e-4, 1e-3)[level - 2])
    setup.layers = names
    return setup


@fault("initialization-too-large", "mlp cnn regression-mlp deep-mlp", levels=3)
def initialization_too_large(architecture: str, seed: int, level: int) -> Setup:
    """Weights ten times their usual size, or N(0, 1) whatever the number of inputs."""
    setup = setup_of(architecture, seed, depth=5 if architecture == "deep-mlp" else 0)
    names = (setup.hidden(seed),) if level == 1 else setup.model.layers[1:]
    for name in names:
        weights = weight(setup.model.layer(name))
        if level == 2:
            nn.init.normal_(weights)
        else:
            weights.mul_(10.0)
    setup.layers = names
    return setup


@fault(
    "uneven-activation-scale",
    "mlp cnn regression-mlp",
    levels=3,
    rules="uneven-activation-scale initialization-too-large",
)
def uneven_activation_scale(architecture: str, seed: int, level: int) -> Setup:
    """One layer is scaled so that those after it work at another scale than those before."""
    setup = setup_of(architecture, seed, function="relu")
    layer = setup.hidden(seed)
    weight(setup.model.layer(layer)).mul_((50.0, 100.0, 30.0)[level])
    place = setup.model.layers.index(layer)
    setup.layers = (*setup.model.layers[place:], *setup.model.activations[place:])
    return setup
