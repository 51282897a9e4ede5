"""What a training is made of, before a fault changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lab import data as generated
from lab.models import Cnn, Network, Recurrent, Stack, Transformer

if TYPE_CHECKING:
    from lab.data import Data

ARCHITECTURES = ("mlp", "deep-mlp", "cnn", "gru", "transformer", "autoencoder", "regression-mlp")

# Optimizer and learning rate with which each architecture learns; the seed picks one.
OPTIMIZERS: dict[str, tuple[tuple[str, float], ...]] = {
    "mlp": (("SGD", 0.1), ("Adam", 3e-3), ("momentum", 0.03), ("AdamW", 3e-3)),
    "deep-mlp": (("Adam", 1e-3), ("momentum", 0.02), ("AdamW", 1e-3), ("SGD", 0.1)),
    "cnn": (("Adam", 1e-2), ("momentum", 0.05), ("AdamW", 1e-2)),
    "gru": (("Adam", 1e-2), ("AdamW", 1e-2), ("momentum", 0.1)),
    "transformer": (("AdamW", 1e-2), ("Adam", 5e-3)),
    "autoencoder": (("Adam", 1e-2), ("AdamW", 5e-3), ("momentum", 0.1)),
    "regression-mlp": (("Adam", 5e-3), ("SGD", 0.05), ("momentum", 0.02), ("AdamW", 5e-3)),
}
STEPS = {
    "mlp": 120,
    "deep-mlp": 120,
    "cnn": 70,
    "gru": 80,
    "transformer": 60,
    "autoencoder": 150,
    "regression-mlp": 150,
}


@dataclass(slots=True)
class Setup:
    """One training, ready to start. Faults and healthy variations change it in place.

    ``layers`` are the modules that the fault hits (empty: none in particular). ``before_step`` runs before each
    forward pass, ``after_step`` after each update; ``batch`` may change what the loader gives at a step; ``penalty``
    is added to the loss. ``frozen`` names layers that the optimizer was not given.
    """

    architecture: str
    seed: int
    model: Network
    data: Data
    optimizer: str
    learning_rate: float
    steps: int
    batch_size: int = 64
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float | None = None
    layers: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    schedule: Callable[[int], float] = field(default=lambda step: 1.0)
    before_step: list[Callable[[int], None]] = field(default_factory=list)
    after_step: list[Callable[[int], None]] = field(default_factory=list)
    batch: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]] = field(default=lambda step, x, y: (x, y))
    penalty: Callable[[], Tensor] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    record: tuple[str, ...] = ()
    updates: bool = False
    dumps: int = 8
    dump_type: str = "float32"
    replicas: int = 1
    in_sync: bool = True
    seconds_between_dumps: float = 0.0
    seconds_since_last: float = 0.0
    config: dict[str, object] = field(default_factory=dict)

    @property
    def generator(self) -> torch.Generator:
        """Random numbers for faults, apart from those of the model and the data."""
        return torch.Generator().manual_seed(1_000_003 + self.seed)

    def hidden(self, number: int) -> str:
        """A hidden weight layer, neither the first nor the last; ``number`` picks which."""
        inner = self.model.layers[1:-1]
        return inner[number % len(inner)]

    @property
    def every_layer(self) -> tuple[str, ...]:
        """All modules that have parameters of their own."""
        own = (name for name, module in self.model.named_modules() if name and list(module.parameters(recurse=False)))
        return tuple(own)

    def with_activation(self, layer: str) -> tuple[str, ...]:
        """``layer`` and the activation that follows it."""
        place = self.model.layers.index(layer)
        return (layer, *self.model.activations[place : place + 1])


def weight(module: nn.Module) -> Tensor:
    """The weight of a linear or convolutional layer or embedding, to change without a trace in the graph."""
    found = module.weight
    assert isinstance(found, Tensor)
    return found.data


def initialise(model: nn.Module, how: str) -> None:
    """Weights by ``how``: he, xavier, lecun, orthogonal or gpt (N(0, 0.02)); biases zero."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Embedding)):
            w = weight(module)
            fan_in = w[0].numel()
            if how == "he":
                nn.init.kaiming_normal_(w, nonlinearity="relu")
            elif how == "xavier":
                nn.init.xavier_uniform_(w)
            elif how == "lecun":
                nn.init.normal_(w, std=fan_in**-0.5)
            elif how == "orthogonal":
                nn.init.orthogonal_(w)
            else:
                nn.init.normal_(w, std=0.02)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)


def setup_of(
    architecture: str,
    seed: int,
    *,
    function: str = "",
    depth: int = 0,
    norm: str = "",
    residual: bool = False,
    dropout: float = 0.0,
    cell: str = "GRU",
    tokens: bool = False,
    tied: bool = False,
    shares: tuple[float, ...] | None = None,
    classes: int = 4,
) -> Setup:
    """A healthy training of ``architecture``; the options are what its architecture has of them.

    ``depth`` is that of a stack (layers) or of a CNN (convolutions).
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model: Network
    stacked = {"norm": norm, "residual": residual, "dropout": dropout}
    if architecture == "mlp":
        data = generated.blobs(generator, classes=classes, shares=shares)
        model = Stack((16, *(32,) * ((depth or 4 + seed % 2) - 1), classes), function or "relu", **stacked)
        if seed % 3 and not function:
            initialise(model, "he")
    elif architecture == "deep-mlp":
        data = generated.blobs(generator, classes=classes, shares=shares)
        model = Stack((16, *(24,) * ((depth or 10) - 1), classes), function or "tanh", **stacked)
        initialise(model, "he" if function == "relu" else "xavier")
    elif architecture == "cnn":
        data = generated.shapes(generator, classes=classes, shares=shares)
        channels = (8, 12, 16) if not depth else (8,) * depth
        model = Cnn(classes, function or "relu", channels=channels, norm=bool(norm))
        # Without it so short a training does not tell all shapes apart.
        initialise(model, "he")
    elif architecture == "gru":
        data = generated.marked(generator) if tokens else generated.sequences(generator, shares=shares)
        model = Recurrent(8 if tokens else 4, 3, cell, vocabulary=20 if tokens else 0)
    elif architecture == "transformer":
        data = generated.sentences(generator)
        model = Transformer(20, function=function or "gelu", dropout=dropout, tied=tied)
    elif architecture == "autoencoder":
        data = generated.low_rank(generator)
        names = ("enc1", "enc2", "bottleneck", "dec1", "dec2", "out")
        model = Stack((16, 24, 16, 5, 16, 24, 16), function or ("tanh", "elu")[seed % 2], names=names, **stacked)
        initialise(model, "xavier")
    elif architecture == "regression-mlp":
        data = generated.sines(generator)
        model = Stack((8, *(32,) * ((depth or 4) - 1), 1), function or ("relu", "tanh")[seed % 2], **stacked)
        if not function and not seed % 2:
            initialise(model, "he")
    else:
        raise ValueError(f"{architecture!r} is none of {', '.join(ARCHITECTURES)}")
    optimizer, learning_rate = OPTIMIZERS[architecture][seed % len(OPTIMIZERS[architecture])]
    record = model.layers if seed % 3 == 1 and architecture not in ("transformer", "gru") else ()
    return Setup(
        architecture,
        seed,
        model,
        data,
        optimizer,
        learning_rate,
        STEPS[architecture],
        batch_size=32 if architecture in ("transformer", "cnn") else 64,
        record=record,
        updates=seed % 5 == 2,
    )
