"""The faults of data, model and initialization. Each has four severities, 0 the mildest."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from zoo.building import Training
    from zoo.plan import Plan


def _weights(training: Training) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in training.model.named_parameters() if p.dim() > 1]


def saturated_activation(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.function, plan.norm = dice.choice(("tanh", "sigmoid")), ""
    factor = (3, 8, 25, 100)[severity]

    def change(training: Training) -> None:
        for _, parameter in _weights(training)[:-1]:
            parameter.data.mul_(factor)

    plan.after_building.append(change)


def dying_relu(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.function, plan.norm = "relu", ""
    shift = (0.5, 1.5, 4.0, 20.0)[severity]

    def change(training: Training) -> None:
        for name, parameter in list(training.model.named_parameters())[:-2]:
            if name.endswith("bias") and parameter.dim() == 1:
                parameter.data.sub_(shift)

    plan.after_building.append(change)


def symmetric_initialization(plan: Plan, severity: int, dice: random.Random) -> None:
    value, jitter = dice.choice((0.0, 0.01, 0.1)), (1e-2, 1e-3, 1e-5, 0.0)[severity]

    def change(training: Training) -> None:
        pick = training.generator
        for _, parameter in training.model.named_parameters():
            noise = torch.randn(parameter.shape, generator=pick) * jitter
            parameter.data.copy_(noise + (value if parameter.dim() > 1 else 0.0))

    plan.after_building.append(change)


def initialization_too_small(plan: Plan, severity: int, dice: random.Random) -> None:
    factor = (0.3, 0.1, 0.03, 1e-3)[severity]

    def change(training: Training) -> None:
        for _, parameter in _weights(training):
            parameter.data.mul_(factor)

    plan.norm = ""
    plan.after_building.append(change)


def initialization_too_large(plan: Plan, severity: int, dice: random.Random) -> None:
    factor = (2, 5, 15, 60)[severity]

    def change(training: Training) -> None:
        for name, parameter in _weights(training):
            if "embedding" not in name:
                parameter.data.mul_(factor)

    plan.norm = ""
    plan.after_building.append(change)


def unnormalized_input(plan: Plan, severity: int, dice: random.Random) -> None:
    factor, offset = (5, 20, 80, 300)[severity], dice.choice((0.0, 3.0, 10.0))

    def change(training: Training) -> None:
        data = training.data
        for x in (data.x, data.x_val):
            x.mul_(factor).add_(offset * factor)

    plan.norm = ""
    plan.after_building.append(change)


def unscaled_target(plan: Plan, severity: int, dice: random.Random) -> None:
    factor, offset = (10, 50, 300, 3000)[severity], dice.choice((0.0, 2.0))

    def change(training: Training) -> None:
        data = training.data
        for y in (data.y, data.y_val):
            y.mul_(factor).add_(offset * factor)

    plan.after_building.append(change)


def class_imbalance(plan: Plan, severity: int, dice: random.Random) -> None:
    rare = (0.1, 0.04, 0.015, 0.005)[severity]

    def change(training: Training) -> None:
        data = training.data
        for part in ("", "_val"):
            x, y = getattr(data, f"x{part}"), getattr(data, f"y{part}")
            keep = (y == 0) | (torch.rand(len(y), generator=training.generator) < rare)
            setattr(data, f"x{part}", x[keep])
            setattr(data, f"y{part}", y[keep])

    plan.after_building.append(change)


def label_noise(plan: Plan, severity: int, dice: random.Random) -> None:
    """A share of the training labels is shuffled; at the worst all of them."""
    share = (0.2, 0.4, 0.7, 1.0)[severity]

    def change(training: Training) -> None:
        y = training.data.y
        hit = torch.rand(len(y), generator=training.generator) < share
        places = hit.nonzero().flatten()
        y[places] = y[places[torch.randperm(len(places), generator=training.generator)]]

    plan.with_val = True
    plan.after_building.append(change)


def overfitting(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.rows = (160, 100, 60, 35)[severity]
    plan.width = (48, 64, 96, 128)[severity] if plan.architecture not in ("transformer", "autoencoder") else 48
    plan.batch_size = min(plan.batch_size, 16)
    plan.norm, plan.dropout, plan.weight_decay = "", 0.0, 0.0
    plan.with_val = True
    if not plan.seed % 4:
        plan.val_rows, plan.val_redrawn = 64, True
    plan.rate_factor = 10 ** dice.uniform(-0.2, 0.4)
    plan.schedule = dice.choice(("constant", "constant", "cosine", "step"))
    plan.steps = max(plan.steps, 600 if plan.architecture == "transformer" else 1200)


def underfitting(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.width, plan.depth = (4, 2, 1, 1)[severity], 1
    plan.dropout = (0.0, 0.2, 0.5, 0.7)[severity]


def insufficient_training(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.steps = max(int(plan.steps * (0.2, 0.1, 0.05, 0.03)[severity]), 12)
    plan.schedule = "constant"
    plan.points = 100
    plan.evaluations = min(plan.evaluations, 10)
    plan.logged = "steps"
    plan.rate_factor *= 0.5


def redundant_softmax(plan: Plan, severity: int, dice: random.Random) -> None:
    """Probabilities where the loss expects logits; milder: with a temperature."""
    sharpness = (12, 5, 2, 1)[severity]

    def change(training: Training) -> None:
        tokens = training.data.task == "tokens"

        def loss(output: Tensor, y: Tensor) -> Tensor:
            shares = sharpness * functional.softmax(output, -1)
            return functional.cross_entropy(*((shares.flatten(0, 1), y.flatten()) if tokens else (shares, y)))

        training.loss = loss

    plan.after_building.append(change)


def wrong_loss(plan: Plan, severity: int, dice: random.Random) -> None:
    """A loss that does not fit: squared error on probabilities, on logits, a constant one, none at all."""

    def change(training: Training) -> None:
        classes = training.data.classes

        def loss(output: Tensor, y: Tensor) -> Tensor:
            output, y = (output.flatten(0, 1), y.flatten()) if output.dim() == 3 else (output, y)
            target = functional.one_hot(y, classes).float()
            if severity == 0:
                return functional.mse_loss(functional.softmax(output, -1), target)
            if severity == 1:
                return functional.mse_loss(output, y[:, None].float().expand_as(output))
            if severity == 2:
                return functional.cross_entropy(output, y.roll(1))
            return functional.mse_loss(functional.softmax(output, -1).sum(-1), torch.full((len(y),), 2.0))

        training.loss = loss

    plan.loss = "wrong"
    plan.after_building.append(change)


def data_leakage(plan: Plan, severity: int, dice: random.Random) -> None:
    """Rows of validation are also trained on."""
    share = (0.1, 0.3, 0.6, 1.0)[severity]

    def change(training: Training) -> None:
        data = training.data
        count = min(int(share * len(data.x_val)), len(data.x))
        data.x_val[:count], data.y_val[:count] = data.x[:count], data.y[:count]

    plan.with_val = True
    plan.after_building.append(change)


def excessive_weight_decay(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.optimizer = dice.choice(("SGD", "AdamW", "Adam"))
    plan.weight_decay = (0.03, 0.1, 0.5, 2.0)[severity] * (10 if plan.optimizer == "AdamW" else 1)


def excessive_dropout(plan: Plan, severity: int, dice: random.Random) -> None:
    plan.dropout = (0.5, 0.7, 0.85, 0.95)[severity]


def disconnected_input(plan: Plan, severity: int, dice: random.Random) -> None:
    """The inputs are lost: most features, all but noise, or all."""
    share = (0.5, 0.7, 0.95, 1.0)[severity]
    # Batches of one value only have no spread to divide by.
    plan.norm = ""

    def change(training: Training) -> None:
        data = training.data
        if data.task == "tokens":
            pick = training.generator
            for x in (data.x, data.x_val):
                lost = torch.rand(x.shape, generator=pick) < share
                x[lost] = torch.randint(0, data.classes, x.shape, generator=pick)[lost]
            return
        lost = torch.rand(data.width, generator=training.generator) < share
        for x in (data.x, data.x_val):
            x[..., lost] = 0.0

    plan.after_building.append(change)
