"""Trainings without an answer, each beside a twin that differs in one thing and has one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD
from torch.utils.data import DataLoader

from convergence_cli.lr_find.refusals import learned
from tests.lr_find.trainings import (
    Answer,
    Batch,
    classifier,
    cut,
    descending,
    drawn,
    moons,
    network,
    regression,
    searched,
    searched_live,
    spoilt,
    surface,
)

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate

NAN, INF = float("nan"), float("inf")
Setup = Callable[[], Answer]


def filled(answer: Answer, value: float, layer: int | None = None, name: str = "") -> Answer:
    """``answer`` with all parameters of its model, or one of a layer, at ``value``."""
    model = answer["model"]
    for one in model.parameters() if layer is None else [getattr(model[layer], name)]:
        nn.init.constant_(one, value)
    return answer


def squashed(bias: float, *, last: bool) -> Answer:
    """A regression through sigmoids, of which those of the hidden layer, or the ``last``, are that far out."""
    layers = [nn.Sigmoid()] if last else []
    model = drawn(lambda: nn.Sequential(nn.Linear(3, 16), nn.Sigmoid(), nn.Linear(16, 1), *layers))
    return filled(regression(model=model), bias, 2 if last else 0, "bias")


def without_gradient(model: nn.Module, batch: Batch) -> Tensor:
    with torch.no_grad():
        return functional.cross_entropy(model(batch[0]), batch[1])


def with_gradient(model: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def frozen(*layers: int) -> Answer:
    answer = classifier()
    for layer in layers:
        answer["model"][layer].requires_grad_(False)
    return answer


def of_optimizer(own: bool) -> Answer:
    model = network()
    return classifier(model=model, optimizer=SGD((model if own else network()).parameters(), lr=0.1))


def with_value(part: int, value: float, batch: int) -> Answer:
    loader = cut(surface(256))
    loader[batch] = spoilt(loader[batch], part, value)
    return regression(loader=loader)


def logarithm(shift: float) -> Answer:
    """Minus the log of a probability that is too small for a float, and a ``shift`` beside it."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        tiny = output.softmax(1)[:, 0] * 1e-30 * 1e-30
        return functional.cross_entropy(output, target) - (tiny + shift).log().mean()

    return classifier(loss=loss)


def root(shift: float) -> Answer:
    """A head of zero, and the root of its output: finite, but not its slope."""
    answer = filled(filled(regression(), 0.0, 2, "weight"), 0.0, 2, "bias")

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output, target) + 1e-3 * (output.square().sum() + shift).sqrt()

    return {**answer, "loss": loss}


def elsewhere() -> Tensor:
    """A loss that can be differentiated, by nothing that is trained."""
    return torch.ones(3, requires_grad=True).mean()


class Reversed(torch.autograd.Function):
    """Passes a value on, and the opposite of its gradient back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


def turned(count: int) -> Setup:
    """A gradient that is reversed so many times."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        for _ in range(count):
            output = Reversed.apply(output)
        return functional.mse_loss(output, target)

    return lambda: regression(loss=loss)


def normalized(count: int) -> Setup:
    """The same behind batch normalization, whose statistics are far from those of the inputs when training begins."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        for _ in range(count):
            output = Reversed.apply(output)
        return functional.cross_entropy(output, target)

    def setup() -> Answer:
        model = drawn(lambda: nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2)))
        inputs, target = moons(256)
        return classifier(model=model, loss=loss, loader=cut((10 * inputs, target)))

    return setup


class Growing(nn.Module):
    """A network whose output grows with every step that it is trained, until its loss overflows at any rate."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = network(3, 1), factor
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.scale.mul_(self.factor)
        return self.inner(x) * self.scale


@dataclass(frozen=True)
class Case:
    """A training that is refused for ``reason``, in ``words``; and one like it that is not."""

    reason: str
    setup: Setup
    twin: Setup
    words: str = ""


CASES: dict[str, Case] = {
    "a detached output": Case(
        "no-gradient",
        lambda: classifier(loss=lambda output, target: functional.cross_entropy(output.detach(), target)),
        lambda: classifier(loss=lambda output, target: functional.cross_entropy(output * 1.0, target)),
        "detached",
    ),
    "a loss from torch.no_grad": Case(
        "no-gradient",
        lambda: classifier(loss=None, step=without_gradient),
        lambda: classifier(loss=None, step=with_gradient),
    ),
    "all parameters frozen": Case(
        "frozen-parameters", lambda: frozen(0, 2), lambda: frozen(0), "No parameter of the model is trainable"
    ),
    "an optimizer of another model": Case(
        "foreign-parameters", lambda: of_optimizer(False), lambda: of_optimizer(True), "The optimizer holds no"
    ),
    "units that are off for every input": Case(
        "dead-network",
        lambda: filled(classifier(), -100.0, 0, "bias"),
        lambda: filled(classifier(), -0.1, 0, "bias"),
        "0.weight, 2.weight",
    ),
    "weights and biases of zero": Case(
        "dead-network",
        lambda: filled(classifier(loader=cut(moons(255), 15)), 0.0),
        lambda: filled(classifier(loader=cut(moons(255), 15)), 0.0, 2, "weight"),
        "0.weight, 2.weight",
    ),
    "hidden sigmoids without a slope": Case(
        "dead-network", lambda: squashed(200.0, last=False), lambda: squashed(1.0, last=False), "0.weight"
    ),
    "a sigmoid at the end without a slope": Case(
        "zero-gradient", lambda: squashed(200.0, last=True), lambda: squashed(1.0, last=True), "exactly zero"
    ),
    "a loss that does not depend on the output": Case(
        "zero-gradient",
        lambda: regression(loss=lambda output, target: (output * 0).sum() + target.square().mean()),
        lambda: regression(loss=lambda output, target: (output * 0).sum() + (output - target).square().mean()),
    ),
    "a loss of something else": Case(
        "zero-gradient",
        lambda: regression(loss=lambda output, target: elsewhere()),
        lambda: regression(loss=lambda output, target: elsewhere() + functional.mse_loss(output, target)),
    ),
    "NaN in the input": Case(
        "non-finite-input", lambda: with_value(0, NAN, 3), lambda: with_value(0, 0.0, 3), "The input"
    ),
    "NaN in the target": Case(
        "non-finite-input", lambda: with_value(1, NAN, 3), lambda: with_value(1, 0.0, 3), "The target"
    ),
    "infinity in the target": Case(
        "non-finite-input", lambda: with_value(1, INF, 3), lambda: with_value(1, 3.0, 3), "The target"
    ),
    "NaN in a batch held out": Case(
        "non-finite-input", lambda: with_value(0, NAN, 0), lambda: with_value(0, 0.0, 0), "The input"
    ),
    "NaN in the validation": Case(
        "non-finite-input",
        lambda: regression(val_loader=[spoilt(surface(16), 1, NAN)]),
        lambda: regression(val_loader=[spoilt(surface(16), 1, 0.0)]),
        "The target",
    ),
    "NaN in a later batch": Case(
        "non-finite-input",
        lambda: with_value(0, NAN, 14),
        lambda: with_value(0, 0.0, 14),
        "The input holds values that are not finite, in one of the first 15 batches",
    ),
    "minus infinity in a later target": Case(
        "non-finite-input", lambda: with_value(1, -INF, 14), lambda: with_value(1, -3.0, 14), "The target"
    ),
    "a logarithm of zero": Case(
        "non-finite-loss", lambda: logarithm(0.0), lambda: logarithm(1e-6), "though the batch is finite"
    ),
    "a root of zero": Case("non-finite-gradient", lambda: root(0.0), lambda: root(1e-6), "though the loss is"),
    "a reversed gradient": Case("no-rate-learns", turned(1), turned(2), "No rate from"),
    "a reversed gradient behind batch normalization": Case("no-rate-learns", normalized(1), normalized(2)),
    "a loss that overflows at every rate": Case(
        "every-rate-diverges",
        lambda: regression(model=Growing(1e4)),
        lambda: regression(model=Growing(1.0)),
        "Training breaks at every rate",
    ),
    "a loader with nothing in it": Case(
        "no-data", lambda: classifier(loader=[]), lambda: classifier(loader=cut(moons(16))), "no batch"
    ),
    "a loader that drops its only batch": Case(
        "no-data",
        lambda: classifier(loader=DataLoader(list(zip(*moons(8), strict=True)), batch_size=9, drop_last=True)),
        lambda: classifier(loader=DataLoader(list(zip(*moons(8), strict=True)), batch_size=9)),
        "drop_last",
    ),
}  # fmt: skip


def trains(answer: LearningRate) -> None:
    """Fails where ``answer`` is not one."""
    assert answer.refused is None, answer.refused
    assert answer.learning_rate is not None
    assert answer.learning_rate > 0
    assert math.isfinite(answer.learning_rate)


@pytest.mark.parametrize("name", CASES)
def test_a_training_without_an_answer_is_refused(name: str) -> None:
    case = CASES[name]
    answer = searched(case.setup)
    assert answer.refused is not None, answer.learning_rate
    assert answer.refused.reason == case.reason
    assert case.words in f"{answer.refused.message} {answer.refused.hint}"
    assert answer.refused.hint
    assert (answer.learning_rate, answer.window, answer.confidence) == (None, None, 0.0)


@pytest.mark.parametrize("name", CASES)
def test_its_twin_has_an_answer(name: str) -> None:
    trains(searched(CASES[name].twin))


LIVE = (
    "a detached output",
    "all parameters frozen",
    "an optimizer of another model",
    "units that are off for every input",
    "NaN in a later batch",
    "a reversed gradient",
    "a reversed gradient behind batch normalization",
    "a loss that overflows at every rate",
    "a loader with nothing in it",
)


@pytest.mark.parametrize("name", LIVE)
def test_a_live_model_is_refused_for_the_same_reason(name: str) -> None:
    case = CASES[name]
    answer = searched_live(case.setup())
    assert answer.refused is not None, answer.learning_rate
    assert answer.refused.reason == case.reason


@pytest.mark.parametrize("name", ["a logarithm of zero", "a root of zero"])
def test_a_loss_that_breaks_before_any_weight_moves_is_not_put_down_to_how_they_move(name: str) -> None:
    refusal = searched(CASES[name].setup).refused
    assert refusal is not None
    assert refusal.cause == "numerical-overflow"


class Residual(nn.Module):
    """A branch beside the straight way, whose last layer is zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch, self.head = nn.Linear(2, 16), network(16, 16), nn.Linear(16, 2)
        nn.init.zeros_(self.branch[2].weight)
        nn.init.zeros_(self.branch[2].bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.head(x + self.branch(x))


class Attention(nn.Module):
    """One head of attention, the mask added to what is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(4, 8) for _ in range(3))
        self.out = nn.Linear(8, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        likeness = self.query(x) @ self.key(x).transpose(1, 2) / 8**0.5 + mask
        return self.out(likeness.softmax(-1) @ self.value(x)).mean(1)


def masked() -> Answer:
    """Sequences of five, of which attention sees three: the others are at minus infinity."""
    chance = torch.Generator().manual_seed(0)
    loader = []
    for _ in range(10):
        x = torch.randn(8, 5, 4, generator=chance)
        mask = torch.zeros(8, 1, 5).index_fill_(2, torch.tensor([3, 4]), -INF)
        loader.append({"x": x, "mask": mask, "y": x[:, :3, :1].sum(1)})

    def step(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return functional.mse_loss(model(batch["x"], batch["mask"]), batch["y"])

    return {"model": drawn(Attention), "loader": loader, "step": step}


def gaussian(output: Tensor, target: Tensor) -> Tensor:
    """The negative log-likelihood, far below zero, of a target whose mean and spread are the output."""
    mean, spread = output[:, :1], output[:, 1:]
    return (spread + 0.5 * (target - mean).square() * (-2 * spread).exp()).mean() - 20


def of_chance(seed: int) -> Setup:
    """Labels that say nothing of the inputs: they can be learnt by heart."""
    chance = torch.Generator().manual_seed(seed)
    data = torch.randn(64, 8, generator=chance), torch.randint(0, 2, (64,), generator=chance)
    return lambda: classifier(model=network(8, 2, 64, seed), loader=cut(data))


class Looked(nn.Module):
    """Words looked up in a table whose gradient is sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(20, 8, sparse=True), nn.Linear(8, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.table(words))


def looked_up() -> Answer:
    words = torch.arange(256) * 7 % 20
    return descending(classifier(model=drawn(Looked), loader=cut((words, words % 2))))


class Tempered(nn.Module):
    """A network that is done, and a scale of its output that is still to be learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = network(), nn.Parameter(torch.full((2,), 20.0))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            output = self.inner(x)
        return output * self.scale


def calibration() -> Answer:
    model = drawn(Tempered)
    return classifier(model=model, optimizer=SGD([model.scale], lr=0.1))


def far_targets() -> Answer:
    inputs, target = surface(256)
    return regression(loader=cut((inputs, 30 * target)))


def one_unused() -> Answer:
    """A layer that takes no part, as in a model of which one head is trained."""
    heads = nn.ModuleDict({"used": network(), "unused": nn.Linear(3, 3)})

    def step(model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(model["used"](batch[0]), batch[1])

    return classifier(model=heads, loss=None, step=step)


HEALTHY: dict[str, tuple[Setup, dict[str, Any]]] = {
    "a head of zero": (lambda: filled(regression(), 0.0, 2, "weight"), {}),
    "a head of zero, bias and all": (lambda: root(1.0), {}),
    "a residual branch of zero": (lambda: classifier(model=drawn(Residual)), {}),
    "a mask of minus infinity": (masked, {}),
    "a mask of minus infinity and a descent that breaks at high rates": (lambda: descending(masked(), 0.01), {}),
    "a negative loss": (lambda: regression(model=network(3, 2), loss=gaussian), {}),
    "random labels": (of_chance(0), {}),
    "other random labels": (of_chance(1), {"steps": 300}),
    "a single batch": (lambda: classifier(loader=cut(moons(64), 64)), {}),
    "batches of one": (lambda: classifier(loader=cut(moons(64), 1)), {}),
    "a single batch of one": (lambda: regression(loader=cut(surface(1), 1)), {}),
    "a linear model of zero": (lambda: filled(regression(model=nn.Sequential(nn.Linear(3, 1))), 0.0), {}),
    "a layer that takes no part": (one_unused, {}),
    "a sparse gradient": (looked_up, {}),
    "a scale learnt on top of a model that is done": (calibration, {}),
    "half precision": (regression, {"amp": "fp16"}),
    "half precision whose first steps overflow until the scaler has adapted": (far_targets, {"amp": "fp16"}),
    "the same targets in full precision": (far_targets, {}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_what_can_train_is_not_refused(name: str) -> None:
    setup, options = HEALTHY[name]
    trains(searched(setup, **options))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([1.0, 2.0, 3.0], [0.9, 1.9, 2.9], True),
        ([1.0, 2.0, 3.0], [1.1, 2.1, 3.1], False),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], False),
        # A fall on the average, which is one of three batches.
        ([1.0, 2.0, 3.0], [0.1, 2.1, 3.1], False),
        ([-5.0, -6.0, -7.0], [-5.1, -6.1, -7.1], True),
        ([0.0, 0.0, 0.0], [-0.1, -0.1, -0.1], True),
        ([1.0], [0.9], True),
        ([1.0], [0.9999], False),
    ],
)
def test_a_fall_is_one_beyond_chance(before: list[float], after: list[float], told: bool) -> None:
    assert learned(before, after) is told


def test_a_collapse_to_one_output_from_afar_is_no_fall() -> None:
    """Inputs far from zero: high rates kill every unit, and the loss of a constant is far below the start."""

    def setup() -> Answer:
        chance = torch.Generator().manual_seed(0)
        x = 200 * torch.randn(640, 20, generator=chance) + 1000
        y = (x[:, 0] > x[:, 1]).long()
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
        return {
            "model": model,
            "loss": functional.cross_entropy,
            "loader": cut((x, y)),
            "optimizer": SGD(model.parameters(), lr=0.1, momentum=0.9),
        }

    answer = searched(setup, steps=300)
    # At 0.03 the network is dead within 30 steps.
    assert answer.learning_rate is None or answer.learning_rate < 1e-3
