"""Trainings whose gradients vanish, explode, starve, or turn into NaN."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.catalogue import fault
from lab.dumping import dumped_steps
from lab.setup import Setup, initialise, setup_of, weight
from lab.training import LOGGED_POINTS


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
            module = setup.model.layer(name)
            weight(module).mul_((0.4, 0.15, 0.15)[level])
            # Zero biases would let all layers shrink alike, which is a too small initialization and no more.
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    setup.optimizer, setup.learning_rate = "momentum", 0.02
    setup.layers = setup.model.layers[: len(setup.model.layers) // 2]
    return setup


@fault("exploding-gradient", "deep-mlp mlp gru cnn regression-mlp autoencoder", levels=3)
def exploding_gradient(architecture: str, seed: int, level: int) -> Setup:
    """Gradients that grow towards the first layers, back in time, or from step to step; all stay finite."""
    if architecture == "gru":
        setup = setup_of(architecture, seed, cell="RNN")
        weight_of_time = setup.model.layer("rnn").weight_hh_l0
        weight_of_time.data.mul_((12.0, 15.0, 20.0)[level])
        setup.optimizer, setup.learning_rate = "Adam", 1e-3
        setup.layers = ("rnn",)
        return setup
    if architecture == "deep-mlp":
        setup = setup_of(architecture, seed)
        for name in setup.model.layers[:-1]:
            weight(setup.model.layer(name)).mul_((8.0, 10.0, 12.0)[level])
        setup.optimizer, setup.learning_rate = "Adam", 1e-3
        setup.layers = setup.model.layers[:5]
        return setup
    if architecture == "autoencoder":
        return _diverging(seed, level)
    setup = setup_of(architecture, seed, function="relu", depth=6)
    initialise(setup.model, "he")
    setup.optimizer, setup.learning_rate = "Adam", 1e-3
    if setup.data.task == "classes":
        wrong = torch.rand(len(setup.data.y), generator=setup.generator) < 0.2
        setup.data.y[wrong] = (setup.data.y[wrong] + 1) % setup.data.classes
    growth, start = (60.0, 100.0, 150.0)[level] ** (1.5 / setup.steps), setup.steps // 3

    def grow(step: int) -> None:
        if step >= start:
            for name in setup.model.layers:
                weight(setup.model.layer(name)).mul_(growth)

    setup.after_step.append(grow)
    setup.layers = setup.model.layers
    return setup


def _diverging(seed: int, level: int) -> Setup:
    """The schedule jumps to a rate at which the squared error diverges; the run ends before it overflows."""
    setup = setup_of("autoencoder", seed, function="tanh")
    setup.optimizer, setup.learning_rate = "SGD", 0.5
    setup.steps, setup.dumps = 60, 20
    jump = (40, 42, 44)[level]
    setup.schedule = lambda step: 1.0 if step < jump else 7.0
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
            x[0] = (float("nan"), float("inf"))[level % 2]
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
    """The loss spikes on one outlier batch, and its update leaves ReLUs that hardly ever fire again."""
    setup = setup_of(architecture, seed, function="relu", depth=4)
    initialise(setup.model, "he")
    setup.optimizer, setup.learning_rate = "Adam", {"mlp": 1e-3, "cnn": 3e-3, "regression-mlp": 1e-3}[architecture]
    bad = sorted(dumped_steps(setup.steps, LOGGED_POINTS))[LOGGED_POINTS // 2]
    share = (1.0, 0.95, 0.97)[level]

    def outlier(step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (-100.0 * x, y) if step == bad else (x, y)

    def die(step: int) -> None:
        if step == bad:
            for name in setup.model.layers[:-1]:
                bias = setup.model.layer(name).bias.data
                bias[: round(share * len(bias))] = -30.0

    setup.batch = outlier
    setup.after_step.append(die)
    setup.layers = (*setup.model.layers[:-1], *setup.model.activations)
    return setup
