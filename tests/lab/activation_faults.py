"""Trainings whose units die, saturate, collapse or drift."""

from __future__ import annotations

from lab.catalogue import fault
from lab.setup import Setup, setup_of, weight


@fault("dead-relu", "mlp cnn regression-mlp", levels=3)
def dead_relu(architecture: str, seed: int, level: int) -> Setup:
    """A bias so negative that most units of one layer never fire: from the start, or after a bad step."""
    setup = setup_of(architecture, seed, function="relu")
    layer = setup.hidden(seed)
    share = (0.8, 1.0, 0.9)[level]
    when = (-1, -1, setup.steps // 3)[level]
    bias = setup.model.layer(layer).bias.data

    def shift(step: int) -> None:
        if step == when:
            bias[: int(share * len(bias))] = -30.0

    shift(-1)
    setup.after_step.append(shift)
    setup.layers = setup.with_activation(layer)
    return setup


@fault("saturated-activation", "deep-mlp autoencoder regression-mlp gru", levels=3)
def saturated_activation(architecture: str, seed: int, level: int) -> Setup:
    """Weights or inputs so large that a sigmoid or tanh sits at its ends."""
    if architecture == "gru":
        setup = setup_of(architecture, seed)
        weight(setup.model.layer("head")).mul_((150.0, 300.0, 600.0)[level])
        setup.layers = ("head", "tanh")
        return setup
    setup = setup_of(
        architecture, seed, function=("tanh", "sigmoid")[seed % 2], depth=5 if architecture == "deep-mlp" else 0
    )
    if level == 2:
        setup.data.x *= 1000.0
        layer = setup.model.layers[0]
    else:
        layer = setup.hidden(seed)
        weight(setup.model.layer(layer)).mul_((200.0, 1000.0)[level])
    setup.layers = setup.with_activation(layer)
    return setup


@fault("all-zero-tensor", "mlp cnn autoencoder regression-mlp", levels=3)
def all_zero_tensor(architecture: str, seed: int, level: int) -> Setup:
    """A pruning mask that removes a whole layer at each step, pictures that were never loaded, or dropout of all."""
    setup = setup_of(architecture, seed, function="relu", dropout=0.0)
    if level == 1:
        setup.data.x.zero_()
        # Nothing follows from such an input but zeros, up to the first bias.
        setup.layers = ("x", *setup.model.layers, *setup.model.activations)
        return setup
    layer = setup.hidden(seed)
    weights = weight(setup.model.layer(layer))

    def prune(step: int) -> None:
        weights.zero_()

    setup.before_step.append(prune)
    setup.layers = setup.with_activation(layer)
    return setup


@fault("tensor-variance", "mlp cnn gru regression-mlp", levels=3)
def tensor_variance(architecture: str, seed: int, level: int) -> Setup:
    """What every sample of the batch gives is the same: one sample repeated, or a layer that has only its bias."""
    setup = setup_of(architecture, seed)
    if level == 0 or architecture == "gru":
        setup.batch = lambda step, x, y: (setup.data.x[:1].expand_as(x).clone(), y)
        setup.layers = (*setup.model.layers, *setup.model.hooked(), "x", "logits", "prediction")
        return setup
    layer = setup.hidden(seed)
    weights = weight(setup.model.layer(layer))
    bias = setup.model.layer(layer).bias.data
    bias.copy_(bias.abs() + 0.1)

    def collapse(step: int) -> None:
        weights.mul_((0.0, 1e-9, 0.0)[level])

    setup.before_step.append(collapse)
    place = setup.model.layers.index(layer)
    setup.layers = (*setup.model.layers[place:], *setup.model.activations[place:], "logits", "prediction")
    return setup


@fault("activation-scale-drift", "mlp cnn transformer", levels=3)
def activation_scale_drift(architecture: str, seed: int, level: int) -> Setup:
    """A layer, or what the residual stream takes in, grows by some per cent at each step."""
    setup = setup_of(architecture, seed)
    growth = (15.0, 25.0, 40.0)[level] ** (1 / setup.steps)
    if architecture == "transformer":
        names = [f"blocks.{i}.{name}" for i in range(2) for name in ("fc2", "attention.out_proj")]
        setup.layers = ("blocks.0", "blocks.1")
    else:
        setup.optimizer, setup.learning_rate = "Adam", 1e-3
        names = [setup.hidden(seed)]
        place = setup.model.layers.index(names[0])
        setup.layers = (*setup.model.layers[place:], *setup.model.activations[place:], "logits")

    def grow(step: int) -> None:
        for name in names:
            weight(setup.model.layer(name)).mul_(growth)

    setup.after_step.append(grow)
    return setup


@fault("attention-logit-growth", "transformer", levels=3)
def attention_logit_growth(architecture: str, seed: int, level: int) -> Setup:
    """Queries and keys that grow until attention looks at one token alone."""
    setup = setup_of(architecture, seed)
    blocks = ((0,), (1,), (0, 1))[level]

    def grow(step: int) -> None:
        for block in blocks:
            for name in ("q_proj", "k_proj"):
                weight(setup.model.layer(f"blocks.{block}.attention.{name}")).mul_((1.05, 1.06, 1.04)[level])

    setup.after_step.append(grow)
    inner = ("attention.logits", "attention.softmax", "attention.q_proj", "attention.k_proj", "attention")
    setup.layers = tuple(f"blocks.{block}.{name}" for block in blocks for name in inner)
    return setup


@fault("output-logit-growth", "mlp cnn transformer gru", levels=2)
def output_logit_growth(architecture: str, seed: int, level: int) -> Setup:
    """Logits that drift away together, which the softmax does not see, or a temperature that runs away."""
    setup = setup_of(architecture, seed)
    setup.optimizer, setup.learning_rate = "Adam", 3e-3
    last = setup.model.layers[-1]
    module = setup.model.layer(last)

    def drift(step: int) -> None:
        if level == 0 and module.bias is not None:
            module.bias.data.add_(1.0)
        else:
            weight(module).mul_(300.0 ** (1 / setup.steps))

    setup.after_step.append(drift)
    setup.layers = (last, "logits")
    return setup
