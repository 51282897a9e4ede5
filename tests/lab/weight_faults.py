"""Trainings whose weights move too little, too much, not at all, or apart."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.catalogue import fault
from lab.setup import Setup, setup_of, weight


@fault("update-ratio-too-small", "mlp cnn gru transformer", levels=3)
def update_ratio_too_small(architecture: str, seed: int, level: int) -> Setup:
    """A learning rate some powers of ten below what moves the weights."""
    setup = setup_of(architecture, seed)
    adaptive = setup.optimizer in ("Adam", "AdamW")
    setup.learning_rate = (1e-6, 3e-7, 1e-7)[level] * (1.0 if adaptive else 10.0)
    setup.layers = setup.every_layer
    return setup


@fault("update-ratio-too-large", "mlp cnn gru transformer", levels=2)
def update_ratio_too_large(architecture: str, seed: int, level: int) -> Setup:
    """A learning rate of AdamW a hundred times too high; nothing becomes NaN."""
    # Of functions that do not die of it: dead units move no more.
    function = {"mlp": "tanh", "cnn": "leaky_relu"}.get(architecture, "")
    setup = setup_of(architecture, seed, function=function)
    setup.optimizer, setup.learning_rate = "AdamW", (0.3, 1.0)[level]
    # With decay the weights stay small under such updates; without it they soon grow to the size of the rate.
    setup.weight_decay = (0.5, 0.0)[level]
    setup.updates, setup.dumps = level == 0, 12
    setup.layers = setup.every_layer
    return setup


@fault(
    "frozen-parameters", "mlp cnn gru regression-mlp transformer", levels=2, rules="frozen-parameters unchanged-tensor"
)
def frozen_parameters(architecture: str, seed: int, level: int) -> Setup:
    """A layer that the optimizer was not given although its gradient flows, or one whose gradient was switched off."""
    setup = setup_of(architecture, seed)
    layer = setup.hidden(seed)
    if level == 0:
        setup.frozen = (layer,)
    else:
        setup.model.layer(layer).requires_grad_(False)
    setup.layers = (layer,)
    return setup


@fault("unchanged-tensor", "mlp cnn gru regression-mlp", levels=2, rules="unchanged-tensor frozen-parameters")
def unchanged_tensor(architecture: str, seed: int, level: int) -> Setup:
    """A layer that stands still from some step on: it is restored after each update."""
    setup = setup_of(architecture, seed)
    layer = setup.hidden(seed)
    module = setup.model.layer(layer)
    since = (0, setup.steps // 3)[level]
    kept: dict[str, Tensor] = {}

    def restore(step: int) -> None:
        if step < since:
            return
        if not kept:
            kept.update({name: parameter.detach().clone() for name, parameter in module.named_parameters()})
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(kept[name])

    setup.after_step.append(restore)
    setup.layers = (layer,)
    return setup


@fault("weights-growing", "mlp cnn regression-mlp transformer", levels=3)
def weights_growing(architecture: str, seed: int, level: int) -> Setup:
    """Weight decay with the wrong sign: the weights grow without end."""
    setup = setup_of(architecture, seed)
    # A rate that the growing weights cannot turn into a divergence.
    setup.optimizer, setup.learning_rate = "Adam", 1e-3
    names = setup.model.layers if level else (setup.hidden(seed),)
    growth = (30.0, 10.0, 15.0)[level] ** (1 / setup.steps)

    def grow(step: int) -> None:
        for name in names:
            weight(setup.model.layer(name)).mul_(growth)

    setup.after_step.append(grow)
    setup.layers = names
    return setup


@fault("replicas-differ", "mlp cnn gru", levels=2)
def replicas_differ(architecture: str, seed: int, level: int) -> Setup:
    """Two workers that never average their gradients."""
    setup = setup_of(architecture, seed)
    setup.replicas, setup.in_sync = 2, False
    setup.layers = setup.every_layer
    return setup


@fault("stalled-writer", "mlp cnn gru", levels=3)
def stalled_writer(architecture: str, seed: int, level: int) -> Setup:
    """The run wrote a dump a minute, then none for hours, and is not at its planned end."""
    setup = setup_of(architecture, seed)
    setup.config["max_steps"] = setup.steps * 4
    setup.seconds_between_dumps = (60.0, 30.0, 300.0)[level]
    setup.seconds_since_last = (5 * 3600.0, 3600.0, 86400.0)[level]
    return setup
