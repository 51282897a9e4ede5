"""Which trainings there are: faults, healthy kinds, and how many of each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from zoo import faults, more_faults
from zoo.odd import ODD
from zoo.plan import ARCHITECTURES, FITTING, Plan, draw
from zoo.players import PLAYERS

Change = Callable[[Plan, int, random.Random], None]
CLASSES = ("digits", "wine", "cancer", "moons", "clusters", "shapes", "waves")
TOKENS = ("text", "markov")
REALS = ("diabetes", "friedman", "adding")
DEEP = ("deep-mlp", "mlp")
HIDDEN = tuple(name for name in ARCHITECTURES if name != "linear")
FEED_FORWARD = ("mlp", "deep-mlp", "cnn", "autoencoder")
SEVERITIES = 4
HEALTHY = "healthy"
# What is met so much more seldom than the other oddities that equal shares would mislead.
RARE = {"late-drop": 3}


@dataclass(frozen=True, slots=True)
class Fault:
    """``cause``: the name that the product's causes have for it. ``architectures`` and ``datasets`` can have it."""

    name: str
    cause: str
    change: Change
    architectures: tuple[str, ...] = ARCHITECTURES
    datasets: tuple[str, ...] = ()
    weight: int = 1


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("learning-rate-too-high", "learning-rate-too-high", faults.learning_rate_too_high, weight=5),
        Fault("learning-rate-too-low", "learning-rate-too-low", faults.learning_rate_too_low, weight=3),
        Fault("missing-warmup", "missing-warmup", faults.missing_warmup, HIDDEN),
        Fault("missing-decay", "missing-decay", faults.missing_decay),
        Fault("early-decay", "learning-rate-too-low", faults.early_decay),
        Fault("rising-rate", "learning-rate-too-high", faults.rising_rate, weight=3),
        Fault("batch-too-small", "batch-too-small", faults.batch_too_small),
        Fault("batch-too-large", "batch-too-large", faults.batch_too_large),
        Fault("stale-gradients", "stale-gradients", faults.stale_gradients),
        Fault("missing-zero-grad", "missing-zero-grad", faults.missing_zero_grad),
        Fault("exploding-gradient", "exploding-gradient", faults.exploding_gradient, ("deep-mlp", "rnn", "residual")),
        Fault("vanishing-gradient", "vanishing-gradient", faults.vanishing_gradient, DEEP),
        Fault("frozen-parameters", "frozen-parameters", faults.frozen_parameters),
        Fault("numerical-overflow", "numerical-overflow", faults.numerical_overflow, weight=2),
        Fault("flipped-gradient", "wrong-loss", faults.flipped_gradient, weight=2),
        Fault("bad-batch", "bad-batch", faults.bad_batch, weight=2),
        Fault("saturated-activation", "saturated-activation", more_faults.saturated_activation, FEED_FORWARD),
        Fault("dying-relu", "dying-relu", more_faults.dying_relu, FEED_FORWARD),
        Fault("symmetric-initialization", "symmetric-initialization", more_faults.symmetric_initialization, HIDDEN),
        Fault("initialization-too-small", "initialization-too-small", more_faults.initialization_too_small, HIDDEN),
        Fault("initialization-too-large", "initialization-too-large", more_faults.initialization_too_large),
        Fault("unnormalized-input", "unnormalized-input", more_faults.unnormalized_input, datasets=(*CLASSES, *REALS)),
        Fault("unscaled-target", "unscaled-target", more_faults.unscaled_target, datasets=REALS),
        Fault("class-imbalance", "class-imbalance", more_faults.class_imbalance, datasets=CLASSES),
        Fault("label-noise", "label-noise", more_faults.label_noise, datasets=(*CLASSES, *REALS, *TOKENS)),
        Fault("overfitting", "overfitting", more_faults.overfitting, HIDDEN, weight=8),
        Fault("underfitting", "underfitting", more_faults.underfitting, ("mlp", "gru", "lstm", "rnn")),
        Fault("insufficient-training", "insufficient-training", more_faults.insufficient_training),
        Fault("redundant-softmax", "redundant-softmax", more_faults.redundant_softmax, datasets=(*CLASSES, *TOKENS)),
        Fault("wrong-loss", "wrong-loss", more_faults.wrong_loss, datasets=CLASSES),
        Fault("data-leakage", "data-leakage", more_faults.data_leakage, datasets=(*CLASSES, *REALS)),
        Fault("excessive-weight-decay", "underfitting", more_faults.excessive_weight_decay),
        Fault("excessive-dropout", "underfitting", more_faults.excessive_dropout, ("mlp", "deep-mlp", "transformer")),
        Fault("disconnected-input", "underfitting", more_faults.disconnected_input,
              datasets=(*CLASSES, *REALS, *TOKENS)),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Specimen:
    """One run of the zoo: ``fault`` is None for a healthy one, whose ``kind`` is ``healthy`` or a name of ``ODD``.

    Those of ``PLAYERS`` are healthy, too, and have no plan.
    """

    kind: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        """The folder of the run."""
        return f"{self.kind}-{self.number:03d}"

    @property
    def fault(self) -> Fault | None:
        return FAULTS.get(self.kind)

    @property
    def severity(self) -> int | None:
        """0 (barely visible) to 3, None for a healthy run."""
        return self.number % SEVERITIES if self.fault else None

    @property
    def has_plan(self) -> bool:
        return self.kind not in PLAYERS

    def drawn(self) -> tuple[int, random.Random]:
        """The seed of the training and the dice for all else, the same for the same specimen."""
        dice = random.Random(f"{self.seed}/{self.kind}/{self.number}")
        return dice.randrange(1 << 30), dice

    def plan(self) -> Plan:
        """The plan of the training, the same for the same seed."""
        if not self.has_plan:
            raise ValueError(f"{self.name} has no plan")
        seed, dice = self.drawn()
        fault = self.fault
        if fault is None:
            plan = draw(dice, seed)
            if self.kind != HEALTHY:
                ODD[self.kind](plan, dice)
            return plan
        names = [
            (name, data)
            for name in fault.architectures
            for data in FITTING[name]
            if not fault.datasets or data in fault.datasets
        ]
        # By architecture first: those with many data sets must not crowd out the others.
        name = dice.choice(sorted({one for one, _ in names}))
        plan = draw(dice, seed, name, dice.choice([data for one, data in names if one == name]))
        fault.change(plan, self.number % SEVERITIES, dice)
        return plan


def specimens(seed: int, size: float) -> list[Specimen]:
    """The zoo: ``size`` 1 is the full one. Faulty and healthy runs in turn, so that any prefix of it is balanced.

    The few of ``PLAYERS``, which are healthy, come last.
    """
    each, odd, plain = max(round(16 * size), 1), max(round(24 * size), 1), max(round(560 * size), 4)
    faulty = [Specimen(name, number, seed) for name, fault in FAULTS.items() for number in range(each * fault.weight)]
    healthy = [Specimen(HEALTHY, number, seed) for number in range(plain)]
    healthy += [Specimen(name, number, seed) for name in ODD for number in range(-(-odd // RARE.get(name, 1)))]
    mixed = faulty + healthy
    random.Random(seed).shuffle(mixed)
    few = max(round(12 * size), 1)
    return mixed + [Specimen(name, number, seed) for name in PLAYERS for number in range(few)]
