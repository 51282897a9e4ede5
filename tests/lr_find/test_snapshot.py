"""A live model that was searched is afterwards as it was, bit by bit: whatever came of the search."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional
from torch.optim import SGD, Adam, NAdam, Optimizer
from torch.utils.data import DataLoader

from convergence_cli.lr_find.door import find_learning_rate
from convergence_cli.lr_find.probing import FactorySource, LiveSource, Prober, Source
from convergence_cli.lr_find.ready import ready_from, sow
from convergence_cli.lr_find.snapshot import Randomness, Snapshot, kept_randomness
from convergence_cli.lr_find.training import Engine
from tests.lr_find.trainings import Batch, classifier, cut, drawn, exactly, moons, network, searched_live, shuffled

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate

CPU = torch.device("cpu")
Step = Callable[[nn.Module, Any], Any]


class Everything(nn.Module):
    """What a model can hold that training changes: and one part frozen, one in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Dropout(0.2)
        self.still, self.head = nn.Linear(16, 16), nn.Linear(16, 2)
        self.spare = nn.Parameter(torch.ones(3))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long), persistent=False)
        self.register_buffer("mean", torch.zeros(2))
        self.still.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += len(x)
            self.mean.lerp_(x.mean(0), 0.1)
        return self.head(self.still(self.drop(self.norm(self.first(x - self.mean)).relu())))


@dataclass
class Live:
    """A training that has begun: a few steps were made, and gradients are left from the last."""

    model: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    loader: DataLoader[Any]
    val_loader: DataLoader[Any]

    def train(self, steps: int = 3) -> None:
        """Go on with it, as any loop does."""
        while steps:
            for batch in self.loader:
                self.optimizer.zero_grad()
                self.scaler.scale(chance_step(self.model, batch)).backward()
                self.scaler.step(self.optimizer)
                self.scaler.update()
                steps -= 1
                if not steps:
                    break

    def search(self, step: Step | None = None, **more: Any) -> LearningRate:
        return find_learning_rate(
            self.model,
            loader=self.loader,
            optimizer=self.optimizer,
            step=step or chance_step,
            val_loader=self.val_loader,
            scaler=self.scaler,
            **{"steps": 120, **more},
        )

    def state(self) -> dict[str, Any]:
        """All of it, bit by bit, with the identity of what has to stay the same object."""
        parameters = dict(self.model.named_parameters())
        return {
            "parameters": exactly(parameters),
            "buffers": exactly(dict(self.model.named_buffers())),
            "state": exactly(dict(self.model.state_dict())),
            "gradients": exactly({name: one.grad for name, one in parameters.items()}),
            "same parameters and gradients": {name: (id(one), id(one.grad)) for name, one in parameters.items()},
            "trainable": {name: one.requires_grad for name, one in parameters.items()},
            "modes": {name: module.training for name, module in self.model.named_modules()},
            "hooks": [
                (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks))
                for module in self.model.modules()
            ],
            "optimizer": exactly(self.optimizer.state_dict()),
            "held": [[id(one) for one in group["params"]] for group in self.optimizer.param_groups],
            "rates": [group["lr"] for group in self.optimizer.param_groups],
            "attributes": sorted(vars(self.optimizer)),
            "scaler": exactly(self.scaler.state_dict()),
            "generators": exactly([one.generator.get_state() for one in (self.loader, self.val_loader)]),
            "chance": chance(),
        }


def chance() -> list[Any]:
    """The states of all generators."""
    name, keys, *rest = np.random.get_state()
    return [random.getstate(), (name, keys.tobytes(), *rest), exactly(torch.get_rng_state())]


def chance_step(model: nn.Module, batch: Batch) -> Tensor:
    """A loss that draws from every generator."""
    jitter = 0.01 * (random.random() + np.random.rand()) + 0.01 * torch.randn_like(batch[0])
    return functional.cross_entropy(model(batch[0] + jitter), batch[1])


def live(make: Callable[[Any], Optimizer] | None = None) -> Live:
    """The training that has begun, every time the same."""
    sow(5)
    model = drawn(Everything)
    groups = [
        {"params": [model.spare, *model.first.parameters(), *model.norm.parameters()], "lr": 3e-3},
        {"params": [*model.head.parameters()]},
    ]
    optimizer = make(groups) if make else Adam(groups, lr=1e-2, amsgrad=True)
    found = Live(
        model,
        optimizer,
        torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2),
        shuffled(moons(256), 11),
        shuffled(moons(128, 5), 12),
    )
    found.train()
    model.drop.eval()
    random.random()
    np.random.rand(3)
    return found


def test_the_live_training_has_all_that_a_search_could_change() -> None:
    one = live()
    state = one.state()
    assert {"norm.running_mean", "norm.num_batches_tracked", "seen", "mean"} <= set(state["buffers"])
    assert "seen" not in state["state"]
    assert one.model.spare.grad is None
    assert one.model.head.weight.grad is not None
    assert set(state["trainable"].values()) == {True, False}
    assert set(state["modes"].values()) == {True, False}
    assert one.optimizer.state[one.model.head.weight]["step"] == 3
    assert one.scaler.state_dict()["scale"] == 128.0
    assert one.scaler.state_dict()["_growth_tracker"] == 1
    other = live()
    one.train(1)
    moved = one.state()
    for part in ("parameters", "buffers", "gradients", "optimizer", "scaler", "generators", "chance"):
        assert moved[part] != state[part]
    assert exactly(other.model.state_dict()) == state["state"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schedule": "cosine", "seed": 3},
        {"method": "valley"},
        {"accumulate": 2},
        {"amp": "bf16"},
        {"amp": "fp16"},
        {"bounds": (1e-2, 1e6)},
    ],
    ids=str,
)
def test_after_a_search_all_is_as_before(options: dict[str, Any]) -> None:
    one = live()
    before = one.state()
    answer = one.search(**options)
    assert answer.learning_rate is not None
    assert answer.steps > 20
    assert one.state() == before


def test_training_goes_on_as_if_there_had_been_no_search() -> None:
    with kept_randomness():
        one = live()
        one.train(5)
        expected = one.state()
    other = live()
    other.search()
    other.train(5)
    found = other.state()
    same = ("parameters", "buffers", "gradients", "optimizer", "scaler", "generators")
    assert {part: found[part] for part in same} == {part: expected[part] for part in same}


def detached(model: nn.Module, batch: Batch) -> Tensor:
    return chance_step(model, batch).detach()


def independent(model: nn.Module, batch: Batch) -> Tensor:
    return 0 * chance_step(model, batch) + 1


def infinite(model: nn.Module, batch: Batch) -> Tensor:
    return chance_step(model, batch) + float("inf")


def reversed_step(model: nn.Module, batch: Batch) -> Tensor:
    loss = chance_step(model, batch)
    return 2 * loss.detach() - loss


def steep(model: nn.Module, batch: Batch) -> Tensor:
    return chance_step(model, batch) + (model.head.weight[0, 0] * 0).sqrt()


REFUSED: dict[str, Step] = {
    "no-gradient": detached,
    "zero-gradient": independent,
    "non-finite-loss": infinite,
    "non-finite-gradient": steep,
    "no-rate-learns": reversed_step,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_after_a_refusal_all_is_as_before(reason: str) -> None:
    one = live()
    one.train(40)
    before = one.state()
    answer = one.search(REFUSED[reason])
    assert answer.refused is not None
    assert answer.refused.reason == reason
    assert one.state() == before


def test_after_a_refusal_for_the_data_all_is_as_before() -> None:
    one = live()
    points, labels = moons(256)
    points[200, 1] = float("nan")
    one.loader = shuffled((points, labels), 11)
    before = one.state()
    answer = one.search()
    assert answer.refused is not None
    assert answer.refused.reason == "non-finite-input"
    assert one.state() == before


class Failing:
    """A step that fails when it is called for the ``last`` time, in training or when a training is judged."""

    def __init__(self, last: int, error: type[BaseException], judged: bool) -> None:
        self.left, self.error, self.judged = last, error, judged

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        loss = chance_step(model, batch)
        if model.training is not self.judged:
            self.left -= 1
            if not self.left:
                raise self.error("in the middle")
        return loss


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize(("last", "judged"), [(1, False), (3, False), (15, False), (60, False), (1, True), (40, True)])
def test_after_a_failure_in_the_middle_all_is_as_before(last: int, judged: bool, error: type[BaseException]) -> None:
    one = live()
    before = one.state()
    with pytest.raises(error, match="in the middle"):
        one.search(Failing(last, error, judged))
    assert one.state() == before


def test_after_a_loader_that_fails_all_is_as_before() -> None:
    class Broken(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 256

        def __getitem__(self, place: int) -> Any:
            if place == 200:
                raise OSError("the disk is full")
            return torch.randn(2), place % 2

    one = live()
    one.loader = DataLoader(Broken(), batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(1))
    before = one.state()
    with pytest.raises(OSError, match="the disk is full"):
        one.search()
    assert one.state() == before


OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "momentum": lambda groups: SGD(groups, lr=1e-2, momentum=0.9, nesterov=True),
    "AdamW": lambda groups: optim.AdamW(groups, lr=1e-2),
    "Adam with rates that are tensors": lambda groups: Adam(
        [{**group, "lr": torch.tensor(0.01)} for group in groups], lr=torch.tensor(0.01)
    ),
    "Adagrad": lambda groups: optim.Adagrad(groups, lr=1e-2),
    "Adadelta": lambda groups: optim.Adadelta(groups, lr=1e-2),
    "Adafactor": lambda groups: optim.Adafactor(groups, lr=1e-2),
    "Adamax": lambda groups: optim.Adamax(groups, lr=1e-2),
    "ASGD": lambda groups: optim.ASGD(groups, lr=1e-2),
    "NAdam": lambda groups: NAdam(groups, lr=1e-2),
    "RAdam": lambda groups: optim.RAdam(groups, lr=1e-2),
    "RMSprop": lambda groups: optim.RMSprop(groups, lr=1e-2, centered=True, momentum=0.9),
    "Rprop": lambda groups: optim.Rprop(groups, lr=1e-2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_memory_of_every_optimizer_is_put_back(name: str) -> None:
    one = live(OPTIMIZERS[name])
    before = one.state()
    assert one.search(steps=60).steps >= 20
    assert one.state() == before


def test_an_optimizer_that_has_no_memory_yet_has_none_after_it() -> None:
    model = network()
    optimizer = Adam(model.parameters(), lr=0.01)
    answer = searched_live(classifier(model=model, optimizer=optimizer))
    assert answer.learning_rate is not None
    assert not optimizer.state
    assert [one.grad for one in model.parameters()] == [None] * 4


def test_a_rate_that_is_a_tensor_of_the_users_stays_that_of_the_optimizer() -> None:
    model, rate = network(), torch.tensor(0.01)
    optimizer = Adam(model.parameters(), lr=rate)
    searched_live(classifier(model=model, optimizer=optimizer))
    assert float(rate) == pytest.approx(0.01)
    rate.mul_(0.5)
    assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(0.005)


def test_the_memory_of_an_optimizer_keeps_its_precision_where_the_model_has_less() -> None:
    model = network().bfloat16()
    optimizer = NAdam(model.parameters(), lr=0.01)
    loader = [(points.bfloat16(), labels) for points, labels in cut(moons(256))]
    for points, labels in loader[:3]:
        optimizer.zero_grad()
        functional.cross_entropy(model(points), labels).backward()
        optimizer.step()
    before = exactly(optimizer.state_dict())
    searched_live(classifier(model=model, optimizer=optimizer, loader=loader))
    assert exactly(optimizer.state_dict()) == before


class Replacing(nn.Module):
    """A running mean, written as most people write it: a new tensor takes the place of the buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return self.inner(x - self.mean)


def test_a_buffer_that_the_model_replaces_is_put_back() -> None:
    model = Replacing()
    answer = searched_live(classifier(model=model))
    assert answer.steps > 20
    assert model.mean.tolist() == [0.0, 0.0]


def test_a_buffer_of_one_row_shown_many_times_is_no_obstacle() -> None:
    class Shown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()
            self.register_buffer("offset", torch.arange(2.0).expand(16, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x - self.offset[: len(x)])

    model = Shown()
    assert searched_live(classifier(model=model)).learning_rate is not None
    assert torch.equal(model.offset, torch.arange(2.0).expand(16, 2))


class Scaled(nn.Module):
    """A loss that has a weight of its own to learn, as in metric learning."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output * self.scale, target)


def test_what_the_optimizer_holds_outside_the_model_is_put_back() -> None:
    model, loss = network(), Scaled()
    optimizer = SGD([*model.parameters(), *loss.parameters()], lr=0.1)
    answer = searched_live(classifier(model=model, loss=loss, optimizer=optimizer))
    assert loss.scale.tolist() == 1.0
    assert loss.scale.grad is None
    assert answer.refused is None


def test_a_snapshot_goes_back_into_the_same_tensors_however_often() -> None:
    one = live()
    snapshot, randomness = Snapshot(one.model, one.optimizer, one.scaler, [one.loader, one.val_loader]), Randomness()
    before = one.state()
    for _ in range(2):
        # Into the gradients that were found, before training makes others.
        one.optimizer.zero_grad(set_to_none=False)
        one.train(4)
        one.model.eval()
        assert one.state()["parameters"] != before["parameters"]
        snapshot.restore()
        randomness.restore()
        assert one.state() == before


def test_a_snapshot_needs_no_more_than_a_model() -> None:
    model = network()
    before = exactly(model.state_dict())
    snapshot = Snapshot(model)
    with torch.no_grad():
        for one in model.parameters():
            one.fill_(float("nan"))
    snapshot.restore()
    assert exactly(model.state_dict()) == before


def test_generators_are_found_wherever_a_loader_has_them() -> None:
    found = [torch.Generator().manual_seed(seed) for seed in range(3)]
    data = list(zip(*moons(64), strict=True))
    sampler = torch.utils.data.RandomSampler(data, generator=found[1])
    loaders = [
        DataLoader(data, batch_size=8, shuffle=True, generator=found[0]),
        DataLoader(data, batch_sampler=torch.utils.data.BatchSampler(sampler, 8, False)),
        DataLoader(data, sampler=torch.utils.data.RandomSampler(data, generator=found[2])),
        [1, 2],
    ]
    before = exactly([one.get_state() for one in found])
    snapshot = Snapshot(network(), loaders=loaders)
    for one in found:
        torch.rand(3, generator=one)
    assert exactly([one.get_state() for one in found]) != before
    snapshot.restore()
    assert exactly([one.get_state() for one in found]) == before


def draw_and_fail() -> None:
    random.random()
    np.random.rand()
    torch.rand(1)
    raise ZeroDivisionError


def test_randomness_is_kept_also_where_something_fails() -> None:
    before = chance()
    with pytest.raises(ZeroDivisionError), kept_randomness():
        draw_and_fail()
    assert chance() == before


def training_step(model: nn.Module, batch: Batch) -> Tensor:
    """A loss that draws from every generator while the model trains."""
    return chance_step(model, batch) if model.training else functional.cross_entropy(model(batch[0]), batch[1])


def setup() -> dict[str, Any]:
    one = live()
    return {"model": one.model, "step": training_step, "loader": one.loader, "optimizer": one.optimizer}


def from_live() -> Source:
    return LiveSource(ready_from(setup(), "here"), Engine(device=CPU), 0)


def from_factory() -> Source:
    return FactorySource(setup, "here", Engine(device=CPU))


@pytest.mark.parametrize("make", [from_live, from_factory])
def test_a_training_that_was_set_aside_goes_on_as_if_it_had_not_been(make: Callable[[], Source]) -> None:
    with kept_randomness():
        prober = Prober(make())
        for rate, steps in ((0.01, 10), (0.1, 20), (0.03, 7)):
            prober.attempt(rate, steps)
        apart = [prober.attempt(rate, 30) for rate in (0.1, 0.01)]
        assert prober.steps == 67
        prober.source.close()
        straight = Prober(make())
        assert [straight.attempt(rate, 30) for rate in (0.1, 0.01)] == apart
        assert straight.attempt(0.03, 30) not in apart
        straight.source.close()
