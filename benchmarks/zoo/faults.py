"""The faults of optimisation: learning rate, schedule, batches, gradients. Each has four severities, 0 the mildest."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from zoo.plan import Plan, steps_within

if TYPE_CHECKING:
    from zoo.building import Training


def learning_rate_too_high(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.rate_factor *= (4, 15, 60, 400)[severity] * dice.uniform(0.7, 1.5)
    plan.clip = None
    plan.schedule = dice.choice(("constant", "constant", "cosine", "step"))


def learning_rate_too_low(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.rate_factor /= (30, 300, 3000, 1e6)[severity] * dice.uniform(0.7, 1.5)


def missing_warmup(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.optimizer = dice.choice(("Adam", "RMSprop", "momentum"))
    plan.schedule = "constant"
    plan.rate_factor *= (3, 6, 12, 25)[severity]
    plan.clip = None


def missing_decay(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.schedule = "constant"
    plan.batch_size = min(plan.batch_size, 32)
    plan.rate_factor *= (1.5, 2, 3, 4)[severity]


def early_decay(plan: Plan, severity: int, dice: random.Random) -> None:
    """The schedule reaches zero long before the training ends."""
    share = (0.2, 0.05, 0.01, 0.002)[severity]

    def change(training: Training) -> None:
        training.schedule = lambda step: max(1 - step / max(share * plan.steps, 1), 0.0)

    plan.after_building.append(change)


def rising_rate(plan: Plan, severity: int, dice: random.Random) -> None:
    """A schedule that multiplies where it should divide, from some point on."""
    start, factor = dice.uniform(0.05, 0.7), (5, 20, 60, 300)[severity]
    plan.clip = None

    def change(training: Training) -> None:
        training.schedule = lambda step: factor if step > start * plan.steps else 1.0

    plan.after_building.append(change)


def batch_too_small(plan: Plan, severity: int, dice: random.Random) -> None:
    # What was taken off for a small batch is given back: the rate of a batch of 32, or a multiple of it.
    plan.rate_factor *= (1, 2, 4, 8)[severity] * max(32 / plan.batch_size, 1.0) ** 0.6
    plan.batch_size = (4, 2, 1, 1)[severity]
    plan.norm = ""
    plan.steps = min(steps_within(plan.architecture, 1200), 3000)


def batch_too_large(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.batch_size = 100_000
    plan.steps = max((120, 60, 30, 15)[severity], 12)
    plan.points = plan.steps
    plan.rate_factor = 0.3


def stale_gradients(plan: Plan, severity: int, dice: random.Random) -> None:
    delay = (4, 10, 25, 60)[severity]

    def change(training: Training) -> None:
        old: list[list[torch.Tensor | None]] = []

        def swap(step: int) -> None:
            parameters = list(training.model.parameters())
            old.append([None if p.grad is None else p.grad.clone() for p in parameters])
            used = old.pop(0) if len(old) > delay else old[0]
            for parameter, grad in zip(parameters, used, strict=True):
                parameter.grad = None if grad is None else grad.clone()

        training.after_backward.append(swap)

    plan.after_building.append(change)


def missing_zero_grad(plan: Plan, severity: int, dice: random.Random) -> None:
    every = (5, 20, 100, 1_000_000)[severity]
    plan.clip = None

    def change(training: Training) -> None:
        training.zero_every = every

    plan.after_building.append(change)


def exploding_gradient(plan: Plan, severity: int, dice: random.Random) -> None:
    gain = (1.3, 1.6, 2.0, 3.0)[severity]
    plan.norm, plan.clip, plan.function = "", None, dice.choice(("relu", "gelu"))

    def change(training: Training) -> None:
        for name, parameter in training.model.named_parameters():
            if parameter.dim() > 1 and "embedding" not in name:
                parameter.data.mul_(gain)

    plan.after_building.append(change)


def vanishing_gradient(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.function, plan.norm, plan.depth = "sigmoid", "", (4, 6, 9, 14)[severity]


def frozen_parameters(plan: Plan, severity: int, dice: random.Random) -> None:
    """The optimizer was not given some layers: the last, all but the first, all but one bias, or any."""

    def change(training: Training) -> None:
        names = [name for name, _ in training.model.named_parameters()]
        kept = (names[: len(names) // 2], names[:2], names[1:2], [names[-1]])[severity]
        if severity == 3:
            training.after_backward.append(lambda step: training.model.zero_grad())
        training.frozen = set(names) - set(kept)

    plan.after_building.append(change)


def numerical_overflow(plan: Plan, severity: int, dice: random.Random) -> None:
    """A value overflows: the loss, or some gradients, become infinite or NaN from some step on."""
    place = max(int(dice.uniform(0.02, 0.9) * plan.steps), 1)
    share, bad = (0.02, 0.1, 0.4, 1.0)[severity], dice.choice((float("nan"), float("inf")))

    def change(training: Training) -> None:
        luck = random.Random(plan.seed)

        def spoil(step: int) -> None:
            if step >= place and luck.random() < share:
                for parameter in training.model.parameters():
                    if parameter.grad is not None:
                        parameter.grad[(0,) * parameter.grad.dim()] = bad
                        return

        training.after_backward.append(spoil)

    plan.clip = None
    plan.after_building.append(change)


def flipped_gradient(plan: Plan, severity: int, dice: random.Random) -> None:
    """The objective is maximised: a sign is wrong."""
    rate = (0.02, 0.1, 0.5, 1.0)[severity]

    def change(training: Training) -> None:
        def flip(step: int) -> None:
            for parameter in training.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.neg_()

        training.learning_rate *= rate
        training.after_backward.append(flip)

    plan.after_building.append(change)


def bad_batch(plan: Plan, severity: int, dice: random.Random) -> None:
    """One batch, or a stretch of them, with inputs far out of range; no clipping."""
    place, factor, length = dice.uniform(0.1, 0.8), (5, 30, 200, 3000)[severity], dice.choice((1, 3, 10))
    plan.clip = None

    def change(training: Training) -> None:
        if training.data.task == "tokens":
            pick = training.generator
            first = int(place * plan.steps)
            boost = factor / 5

            def jump(step: int) -> None:
                if first <= step < first + length:
                    for parameter in training.model.parameters():
                        noise = torch.randn(parameter.shape, generator=pick)
                        parameter.data.add_(noise * parameter.data.std(unbiased=False) * boost)

            training.after_step.append(jump)
            return
        first = int(place * plan.steps)
        training.batch = lambda step, x, y: (x * factor, y) if first <= step < first + length else (x, y)

    plan.after_building.append(change)
