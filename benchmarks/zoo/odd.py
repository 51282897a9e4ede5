"""Healthy trainings that look unlike the textbook. Each changes a healthy plan."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from zoo.plan import Plan, steps_within

if TYPE_CHECKING:
    from zoo.building import Training


def warm_restarts(plan: Plan, dice: random.Random) -> None:
    plan.schedule = "warm-restarts"
    plan.rate_factor *= 2


def recovered_spike(plan: Plan, dice: random.Random) -> None:
    """A batch far out of range, early enough to recover from."""
    first, length, factor = int(dice.uniform(0.15, 0.5) * plan.steps), dice.choice((1, 2, 4)), dice.uniform(3, 15)
    plan.clip = dice.choice((None, 1.0))
    plan.schedule = dice.choice(("constant", "cosine"))

    def change(training: Training) -> None:
        if training.data.task == "tokens":
            training.batch = lambda step, x, y: (x, y.roll(1, 0)) if first <= step < first + 3 * length else (x, y)
        else:
            training.batch = lambda step, x, y: (x * factor, y) if first <= step < first + length else (x, y)

    plan.after_building.append(change)


def late_drop(plan: Plan, dice: random.Random) -> None:
    """Parity: flat for long, then learnt."""
    plan.architecture, plan.dataset, plan.function, plan.norm = "mlp", "parity", "relu", ""
    plan.optimizer, plan.width, plan.dropout, plan.schedule = dice.choice(("Adam", "SGD")), 64, 0.0, "constant"
    plan.batch_size, plan.steps, plan.logged = 32, 3000, dice.choice(("steps", "windows", "epochs"))
    plan.rate_factor = dice.uniform(0.5, 1.0) * (0.3 if plan.optimizer == "Adam" else 1.5)


def negative_loss(plan: Plan, dice: random.Random) -> None:
    """A log likelihood, which passes through zero."""
    plan.architecture = dice.choice(("mlp", "residual", "gru", "lstm"))
    plan.dataset = "adding" if plan.architecture in ("gru", "lstm") else "friedman"
    plan.loss, plan.clip = "gaussian", 1.0

    def change(training: Training) -> None:
        # In another unit: the whole curve lies lower.
        offset = dice.choice((0.0, 1.0, 3.0))
        training.shown = lambda loss: loss - offset

    plan.after_building.append(change)


def near_zero(plan: Plan, dice: random.Random) -> None:
    """Targets that can be learnt exactly: the loss falls over many powers of ten."""
    plan.architecture, plan.dataset, plan.norm, plan.dropout = dice.choice(("linear", "mlp")), "diabetes", "", 0.0
    plan.weight_decay, plan.schedule, plan.batch_size = 0.0, dice.choice(("cosine", "constant")), 64
    plan.steps = 3000

    def change(training: Training) -> None:
        data = training.data
        slope = data.x[:1].t() * 0 + 0.3
        data.y, data.y_val = data.x @ slope, data.x_val @ slope

    plan.after_building.append(change)


def tiny_unit(plan: Plan, dice: random.Random) -> None:
    """The loss is logged per pixel, or times a thousand."""
    factor = 10 ** dice.choice((-6, -4, -3, 3, 4))
    plan.after_building.append(lambda training: setattr(training, "shown", lambda loss: loss * factor))


def large_constant(plan: Plan, dice: random.Random) -> None:
    """A constant term in the loss: a prior, an entropy, a penalty that does not change."""
    offset = dice.choice((2.0, 5.0, 10.0))
    plan.after_building.append(lambda training: setattr(training, "shown", lambda loss: loss + offset))


def fine_tuning(plan: Plan, dice: random.Random) -> None:
    """Starts from a model that is good already."""
    plan.rehearsal = steps_within(plan.architecture, 500) // (1 if plan.batch_size < 32 else 3)
    plan.schedule = dice.choice(("warmup-linear", "cosine", "constant"))
    plan.rate_factor *= 0.5


def three_epochs(plan: Plan, dice: random.Random) -> None:
    """Few passes: three to eight, one row each."""
    plan.logged, plan.batch_size = "epochs", dice.choice((8, 16, 32))
    plan.evaluations = dice.randint(3, 8)
    plan.after_building.append(lambda training: _epochs(training, plan.evaluations))
    plan.rate_factor *= 1.5


def _epochs(training: Training, count: int) -> None:
    from zoo.building import schedule_of

    training.plan.steps = count * training.steps_per_epoch
    training.schedule = schedule_of(training.plan.schedule, training.plan.steps)


def batch_of_one(plan: Plan, dice: random.Random) -> None:
    """The noise of single rows."""
    plan.rate_factor *= (1 / max(plan.batch_size, 1)) ** 0.5 if plan.batch_size < 32 else 0.15
    plan.batch_size, plan.norm, plan.logged, plan.points = 1, "", dice.choice(("steps", "steps", "windows")), 3000
    plan.steps = min(steps_within(plan.architecture, 1500), 4000)


def early_stopped(plan: Plan, dice: random.Random) -> None:
    """Stopped by patience, long before the planned end."""
    plan.patience, plan.with_val, plan.rows = dice.choice((3, 5, 8)), True, dice.choice((0, 300, 500))
    plan.steps = int(plan.steps * 1.3)


def resumed(plan: Plan, dice: random.Random) -> None:
    """Killed, and resumed from an earlier checkpoint into the same log."""
    plan.resumed_at = dice.uniform(0.2, 0.8)


def label_smoothing(plan: Plan, dice: random.Random) -> None:
    """A loss that cannot fall below a floor."""
    plan.smoothing = dice.choice((0.1, 0.2, 0.3))
    if plan.dataset in ("diabetes", "friedman", "adding", "low_rank", "digit_pictures"):
        plan.architecture, plan.dataset = dice.choice((("mlp", "digits"), ("transformer", "markov"), ("gru", "waves")))


def heavy_dropout(plan: Plan, dice: random.Random) -> None:
    """Training loss above validation all along."""
    plan.architecture = dice.choice(("mlp", "residual", "transformer"))
    plan.dataset = "markov" if plan.architecture == "transformer" else dice.choice(("digits", "clusters", "moons"))
    plan.dropout, plan.with_val = 0.5, True


def late_overtraining(plan: Plan, dice: random.Random) -> None:
    """Enough data and trained for long: validation levels off, and does not rise."""
    plan.steps = min(steps_within(plan.architecture, 2400), 4000)
    plan.weight_decay, plan.schedule, plan.with_val = 1e-2, "cosine", True


def noisy_validation(plan: Plan, dice: random.Random) -> None:
    """Evaluated often, on a few rows that are drawn anew each time."""
    plan.val_redrawn = True
    plan.val_rows, plan.evaluations, plan.with_val = dice.choice((16, 32)), dice.choice((40, 100, 200)), True


ODD = {
    made.__name__.replace("_", "-"): made
    for made in (
        warm_restarts, recovered_spike, late_drop, negative_loss, near_zero, tiny_unit, large_constant, fine_tuning,
        three_epochs, batch_of_one, early_stopped, resumed, label_smoothing, heavy_dropout, late_overtraining,
        noisy_validation,
    )
}  # fmt: skip
