"""What a training of the zoo is made of, drawn at random before a fault changes it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zoo.data import TABLES

if TYPE_CHECKING:
    from zoo.building import Training

# The data sets that each architecture is trained on.
FITTING: dict[str, tuple[str, ...]] = {
    "linear": ("digits", "wine", "cancer", "diabetes", "clusters"),
    "mlp": TABLES,
    "deep-mlp": TABLES,
    "residual": TABLES,
    "cnn": ("digits", "shapes"),
    "gru": ("waves", "adding"),
    "rnn": ("waves", "adding"),
    "lstm": ("waves", "adding"),
    "transformer": ("text", "markov"),
    "autoencoder": ("low_rank", "digit_pictures"),
}
ARCHITECTURES = tuple(FITTING)
OPTIMIZERS = ("SGD", "momentum", "Adam", "AdamW", "RMSprop")
SCHEDULES = ("constant", "cosine", "step", "warm-restarts", "one-cycle", "warmup-linear")
# Learning rates that train each architecture well at a batch of 32.
_PLAIN = {"SGD": 0.1, "momentum": 0.02, "Adam": 3e-3, "AdamW": 3e-3, "RMSprop": 1e-3}
RATES: dict[str, dict[str, float]] = {
    "linear": {"SGD": 0.05, "momentum": 0.01, "Adam": 1e-2, "AdamW": 1e-2, "RMSprop": 3e-3},
    "mlp": _PLAIN,
    "deep-mlp": {"SGD": 0.05, "momentum": 0.01, "Adam": 1e-3, "AdamW": 1e-3, "RMSprop": 3e-4},
    "residual": {"SGD": 0.03, "momentum": 0.005, "Adam": 1e-3, "AdamW": 1e-3, "RMSprop": 5e-4},
    "cnn": {"SGD": 0.1, "momentum": 0.02, "Adam": 3e-3, "AdamW": 3e-3, "RMSprop": 1e-3},
    "gru": {"SGD": 0.3, "momentum": 0.05, "Adam": 5e-3, "AdamW": 5e-3, "RMSprop": 2e-3},
    "rnn": {"SGD": 0.05, "momentum": 0.01, "Adam": 2e-3, "AdamW": 2e-3, "RMSprop": 1e-3},
    "lstm": {"SGD": 0.5, "momentum": 0.1, "Adam": 5e-3, "AdamW": 5e-3, "RMSprop": 3e-3},
    "transformer": {"SGD": 0.2, "momentum": 0.05, "Adam": 3e-3, "AdamW": 3e-3, "RMSprop": 1e-3},
    "autoencoder": {"SGD": 0.3, "momentum": 0.05, "Adam": 3e-3, "AdamW": 3e-3, "RMSprop": 1e-3},
}
# Milliseconds of one step, roughly, to bound how long a run takes.
COST = {"gru": 1.8, "rnn": 1.0, "lstm": 1.8, "transformer": 4.0, "cnn": 1.5, "deep-mlp": 1.2, "residual": 1.0}


@dataclass(slots=True)
class Plan:
    """One training before it is built. Faults and healthy oddities change it in place.

    ``rate_factor`` multiplies the learning rate that suits the architecture. ``rows`` of 0 are all that there are.
    ``after_building`` may change the built training. ``val_rows`` are those that the user evaluates on (0: all),
    ``val_redrawn``: others each time.
    """

    seed: int
    architecture: str
    dataset: str
    optimizer: str
    schedule: str
    rate_factor: float
    batch_size: int
    steps: int
    rows: int = 0
    depth: int = 0
    width: int = 0
    function: str = "relu"
    norm: str = ""
    dropout: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    smoothing: float = 0.0
    loss: str = "default"
    logged: str = "steps"
    points: int = 200
    evaluations: int = 40
    val_rows: int = 0
    val_redrawn: bool = False
    with_val: bool = True
    with_accuracy: bool = False
    with_classes: bool = True
    with_rate: bool = True
    with_norm: bool = False
    stops_at_nan: bool = True
    patience: int = 0
    resumed_at: float = 0.0
    rehearsal: int = 0
    after_building: list[Callable[[Training], None]] = field(default_factory=list)

    @property
    def learning_rate(self) -> float:
        """The peak learning rate."""
        return RATES[self.architecture][self.optimizer] * self.rate_factor


def steps_within(architecture: str, milliseconds: float) -> int:
    """Steps that take about so long."""
    return int(milliseconds / COST.get(architecture, 0.6))


def draw(dice: random.Random, seed: int, architecture: str = "", dataset: str = "") -> Plan:
    """A healthy training; ``architecture`` and ``dataset`` are drawn where they are empty."""
    if not architecture:
        fits = [name for name in ARCHITECTURES if not dataset or dataset in FITTING[name]]
        architecture = dice.choice(fits)
    if not dataset:
        dataset = dice.choice(FITTING[architecture])
    batch = dice.choice((1, 8, 16, 32, 32, 64, 64, 128, 100_000))
    optimizer = dice.choice(OPTIMIZERS)
    factor = 10 ** dice.uniform(-0.4, 0.3)
    if batch < 32:
        # The linear scaling rule, softened: noise of small batches wants smaller steps (Goyal et al. 2017).
        factor *= (batch / 32) ** 0.6
    longest = steps_within(architecture, 1200)
    steps = int(min(longest, max(250, math.exp(dice.uniform(math.log(250), math.log(3000))))))
    logged = dice.choice(("steps", "steps", "steps", "epochs", "epochs", "windows"))
    return Plan(
        seed=seed,
        architecture=architecture,
        dataset=dataset,
        optimizer=optimizer,
        schedule=dice.choice(SCHEDULES),
        rate_factor=factor,
        batch_size=batch,
        steps=steps,
        function=dice.choice(("relu", "relu", "gelu", "tanh", "silu")),
        norm=dice.choice(("", "", "batch", "layer")) if batch > 8 else "",
        dropout=dice.choice((0.0, 0.0, 0.0, 0.1, 0.3)),
        weight_decay=dice.choice((0.0, 0.0, 1e-4, 1e-2)),
        clip=dice.choice((None, None, 1.0)),
        logged=logged,
        points=int(math.exp(dice.uniform(math.log(25), math.log(3000)))),
        evaluations=int(math.exp(dice.uniform(math.log(5), math.log(120)))),
        val_rows=dice.choice((0, 0, 100, 250)),
        with_val=dice.random() < 0.85,
        with_accuracy=dice.random() < 0.4,
        with_classes=dice.random() < 0.5,
        with_rate=dice.random() < 0.5,
        with_norm=dice.random() < 0.3,
        stops_at_nan=dice.random() < 0.5,
    )
