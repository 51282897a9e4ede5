"""Trainings whose gradients vanish, explode, starve, or turn into NaN."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.catalogue import fault
from lab.setup import Setup, setup_of, weight


@fault("vanishing-gradient", "deep-mlp mlp cnn autoencoder", levels=3)
def vanishing_gradient(architecture: str, seed: int, level: int) -> Setup:
    """A deep stack of sigmoids, or one whose weights let little through."""
    depth = {"deep-mlp": 10, "mlp": 9, "cnn": 7, "autoencoder": 0}[architecture]
    if architecture == "autoencoder" or level == 0:
        setup = setup_of(architecture, seed, function="sigmoid", depth=depth)
    else:
        setup = setup_of(architecture, seed, function=("", "tanh", "relu")[level], depth=depth)
    if level or architecture == "autoencoder":
        for name in setup.model.layers[:-1]:
            weight(setup.model.layer(name)).mul_((0.5, 0.3, 0.2)[level])
    setup.optimizer, setup.learning_rate = "momentum", 0.02
    setup.layers = setup.model.layers[: len(setup.model.layers) // 2]
    return setup


@fault("exploding-gradient", "deep-mlp mlp gru cnn regression-mlp", levels=3)
def exploding_gradient(architecture: str, seed: int, level: int) -> Setup:
    """Gradients that grow from layer to layer, over time in a recurrent net, or from step to step; all stay finite."""
    if architecture == "gru":
        setup = setup_of(architecture, seed, cell="RNN")
        recurrent = setup.model.layer("rnn").weight_hh_l0.data
        recurrent.mul_((4.0, 6.0, 9.0)[level])
        setup.layers = setup.model.layers
        return setup
    setup = setup_of(
        architecture, seed, function="relu", depth={"deep-mlp": 8, "mlp": 8, "cnn": 6}.get(architecture, 6)
    )
    rate = {"deep-mlp": 0.02, "mlp": 0.02, "cnn": 0.02, "regression-mlp": 0.002}[architecture]
    setup.optimizer, setup.learning_rate = "SGD", rate
    generator = setup.generator
    start = setup.steps // 3

    def grow(step: int) -> None:
        if step >= start:
            for name in setup.model.layers:
                weight(setup.model.layer(name)).mul_((1.03, 1.04, 1.05)[level])

    del generator
    setup.after_step.append(grow)
    setup.layers = setup.model.layers
    return setup


@fault("exploding-tensor", "mlp cnn gru transformer regression-mlp", levels=3)
def exploding_tensor(architecture: str, seed: int, level: int) -> Setup:
    """NaN from the loader at one step, a weight that overflows, or an infinite loss."""
    setup = setup_of(architecture, seed)
    bad = setup.steps // 2

    def spoil(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if step == bad:
            x = x.clone()
            x[0] = (float("nan"), 3e38)[level % 2]
        return x, y

    if level == 2 or not setup.data.x.is_floating_point():

        def overflow(step: int) -> None:
            if step == bad:
                weight(setup.model.layer(setup.model.layers[-1])).mul_(1e38).mul_(1e38)

        setup.before_step.append(overflow)
    else:
        setup.batch = spoil
    return setup


@fault("gradient-starvation", "mlp cnn regression-mlp", levels=3)
def gradient_starvation(architecture: str, seed: int, level: int) -> Setup:
    """One outlier batch half-way makes so large an update that the ReLUs after it never fire again."""
    setup = setup_of(architecture, seed, function="relu")
    setup.optimizer, setup.learning_rate = "SGD", {"mlp": 0.1, "cnn": 0.1, "regression-mlp": 0.05}[architecture]
    bad = setup.steps // 2
    scale = (300.0, 1000.0, 3000.0)[level]

    def outlier(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x * scale, y) if step == bad else (x, y)

    setup.batch = outlier
    setup.layers = (*setup.model.layers, *setup.model.activations)
    return setup


def total_norm(setup: Setup) -> float:
    """The norm of all gradients together."""
    return float(torch.stack([p.grad.norm() for p in setup.model.parameters() if p.grad is not None]).norm())
