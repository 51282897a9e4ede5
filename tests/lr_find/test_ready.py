"""What ``setup()`` returns: every wrong answer is named, and a right one is taken as it is."""

from __future__ import annotations

import random
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import LBFGS, SGD, Adam, AdamW
from torch.optim.lr_scheduler import StepLR

from convergence_cli.errors import UsageError
from convergence_cli.lr_find.ready import DEFAULT_RATE, is_finite, moved, ready_from, sow
from tests.lr_find.trainings import Batch, classifier, cut, moons, network, shuffled

WHERE = "train.py:setup"
AWAY = torch.device("meta")
Pair = namedtuple("Pair", ["inputs", "target"])


def once() -> Iterator[Batch]:
    yield from cut(moons(32))


def loss_of_step(model: nn.Module, batch: Any) -> Tensor:
    return functional.cross_entropy(model(batch["x"]), batch["y"])


WRONG: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "nothing": (lambda: None, ("returned None, not a dictionary",)),
    "a tuple": (lambda: (network(), []), ("a tuple, not a dictionary",)),
    "a module": (network, ("a Sequential, not a dictionary",)),
    "a misspelt key": (lambda: classifier(optimiser=1), ("unknown key 'optimiser'", "Did you mean optimizer?")),
    "a key that is no text": (lambda: {**classifier(), 3: 1}, ("unknown key '3'",)),
    "no model": (lambda: classifier(model=None), ("no 'model'",)),
    "no loader": (lambda: classifier(loader=None), ("no 'loader'",)),
    "a model that is None": (lambda: {**classifier(), "model": None}, ("no 'model'",)),
    "a model that is a class": (lambda: classifier(model=nn.Linear), ("a type as 'model'", "torch.nn.Module")),
    "a model that is a function": (lambda: classifier(model=network), ("a function as 'model'",)),
    "a model with no parameters": (lambda: classifier(model=nn.ReLU()), ("parameter",)),
    "an optimizer that is a class": (lambda: classifier(optimizer=Adam), ("a type as 'optimizer'",)),
    "an optimizer that is text": (lambda: classifier(optimizer="adam"), ("a str as 'optimizer'",)),
    "a scheduler for an optimizer": (
        lambda: classifier(optimizer=StepLR(SGD(network().parameters(), lr=0.1), 10)),
        ("a StepLR as 'optimizer'",),
    ),
    "an optimizer with a closure": (lambda: classifier(optimizer=LBFGS(network().parameters())), ("LBFGS", "closure")),
    "an unknown schedule": (lambda: classifier(schedule="linear"), ("'linear'", "constant or cosine")),
    "a schedule that is a number": (lambda: classifier(schedule=3), ("schedule '3'",)),
    "a seed that is a fraction": (lambda: classifier(seed=1.5), ("a float as 'seed'",)),
    "a seed that is text": (lambda: classifier(seed="1"), ("a str as 'seed'",)),
    "a seed that is a truth": (lambda: classifier(seed=True), ("a bool as 'seed'",)),
    "neither loss nor step": (lambda: classifier(loss=None), ("neither 'loss' nor 'step'",)),
    "both loss and step": (lambda: classifier(step=loss_of_step), ("both 'loss' and 'step'",)),
    "a loss that is no function": (lambda: classifier(loss="mse"), ("a str as 'loss'", "cannot be called")),
    "a step that is no function": (lambda: classifier(loss=None, step=0.5), ("a float as 'step'", "cannot be called")),
    "a loader that is a generator": (lambda: classifier(loader=once()), ("a generator as 'loader'", "once only")),
    "a loader that was begun": (
        lambda: classifier(loader=iter(cut(moons(32)))),
        ("a list_iterator as 'loader'", "once only"),
    ),
    "a loader that is a number": (lambda: classifier(loader=32), ("an int as 'loader'", "no batches")),
    "a val_loader that was begun": (lambda: classifier(val_loader=once()), ("a generator as 'val_loader'",)),
    "a val_loader that is a number": (lambda: classifier(val_loader=8), ("an int as 'val_loader'",)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_named_with_where_it_came_from(name: str) -> None:
    make, words = WRONG[name]
    with pytest.raises(UsageError) as caught:
        ready_from(make(), WHERE)
    assert WHERE in caught.value.message
    assert caught.value.hint
    for word in words:
        assert word in str(caught.value)


def test_nothing_that_moves_the_cursor_reaches_the_terminal() -> None:
    with pytest.raises(UsageError) as caught:
        ready_from({"\x1b[31mmodel": 1}, "train\x1b.py")
    assert "\x1b" not in str(caught.value)


def test_a_right_answer_is_taken_as_it_is() -> None:
    model = network()
    optimizer, loader, val_loader = SGD(model.parameters(), lr=0.3), shuffled(moons(64)), cut(moons(32))
    ready = ready_from(
        classifier(model=model, optimizer=optimizer, loader=loader, val_loader=val_loader, schedule="cosine", seed=5),
        WHERE,
    )
    assert ready.model is model
    assert ready.optimizer is optimizer
    assert ready.loader is loader
    assert ready.val_loader is val_loader
    assert (ready.schedule, ready.seed, ready.rate) == ("cosine", 5, 0.3)


def test_by_default_adamw_trains_what_is_trainable() -> None:
    model = network()
    model[0].requires_grad_(False)
    ready = ready_from(classifier(model=model), WHERE)
    assert type(ready.optimizer) is AdamW
    assert [group["params"] for group in ready.optimizer.param_groups] == [list(model[2].parameters())]
    assert ready.rate == DEFAULT_RATE
    assert (ready.schedule, ready.seed, ready.val_loader) == (None, None, None)


def test_what_can_only_be_indexed_is_a_loader() -> None:
    class Indexed:
        def __getitem__(self, place: int) -> Batch:
            return cut(moons(32))[place]

    loader = Indexed()
    assert ready_from(classifier(loader=loader), WHERE).loader is loader


@pytest.mark.parametrize("form", [tuple, list])
def test_a_pair_is_given_to_the_model_and_the_loss(form: type) -> None:
    answer = classifier()
    inputs, target = moons(16)
    loss = ready_from(answer, WHERE).step(answer["model"], form((inputs, target)))
    assert torch.equal(loss, functional.cross_entropy(answer["model"](inputs), target))


def test_a_step_of_the_users_is_called_with_the_whole_batch() -> None:
    answer = classifier(loss=None, step=loss_of_step)
    ready = ready_from(answer, WHERE)
    assert ready.step is loss_of_step
    inputs, target = moons(16)
    expected = functional.cross_entropy(answer["model"](inputs), target)
    assert torch.equal(ready.step(ready.model, {"x": inputs, "y": target}), expected)


@pytest.mark.parametrize(
    ("batch", "kind"),
    [({"x": 1}, "a dict"), (torch.zeros(2, 2), "a Tensor"), ((1, 2, 3), "a tuple"), ([1], "a list"), (None, "None")],
)
def test_a_batch_that_is_no_pair_asks_for_a_step(batch: Any, kind: str) -> None:
    answer = classifier()
    ready = ready_from(answer, WHERE)
    with pytest.raises(UsageError) as caught:
        ready.step(answer["model"], batch)
    assert f"of {WHERE} is {kind}, not a pair" in caught.value.message
    assert "step(model, batch)" in caught.value.hint


# The optimizer's own rate, those of two groups, the rate that is searched, and what those of the groups are of it.
RATES: dict[str, tuple[float, tuple[float | None, ...], float, list[float]]] = {
    "one for all": (0.1, (None, None), 0.1, [1, 1]),
    "the own one and ten of it": (0.01, (None, 0.1), 0.01, [1, 10]),
    "none is the own one": (0.5, (0.01, 0.1), 0.1, [0.1, 1]),
    "all zero, as a warm-up begins": (0.1, (0.0, 0.0), DEFAULT_RATE, [1, 1]),
    "one at rest": (0.1, (0.0, None), 0.1, [0, 1]),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("of_tensors", [False, True], ids=["numbers", "tensors"])
def test_the_rates_of_groups_are_told_by_their_ratios(name: str, of_tensors: bool) -> None:
    own, given, rate, ratios = RATES[name]
    model = network()
    groups = []
    for layer, one in zip((model[0], model[2]), given, strict=True):
        value = own if one is None else one
        groups.append({"params": layer.parameters(), "lr": torch.tensor(value) if of_tensors else value})
    optimizer = AdamW(groups, lr=torch.tensor(own) if of_tensors else own)
    ready = ready_from(classifier(model=model, optimizer=optimizer), WHERE)
    assert ready.rate == pytest.approx(rate)
    assert ready.ratios == pytest.approx(ratios)


def test_every_tensor_in_a_nest_is_moved() -> None:
    batch = {
        "ids": torch.zeros(2),
        "parts": [torch.ones(1), (torch.ones(2), "text", None, 3)],
        "pair": Pair(torch.zeros(3), {"deep": torch.zeros(4)}),
    }
    there = moved(batch, AWAY)
    assert list(there) == ["ids", "parts", "pair"]
    assert there["ids"].device == there["parts"][0].device == there["parts"][1][0].device == AWAY
    assert there["parts"][1][1:] == ("text", None, 3)
    assert isinstance(there["parts"], list)
    assert isinstance(there["parts"][1], tuple)
    assert isinstance(there["pair"], Pair)
    assert there["pair"].inputs.device == there["pair"].target["deep"].device == AWAY
    assert there["pair"].inputs.shape == (3,)
    assert batch["ids"].device.type == "cpu"


def test_mappings_keep_their_keys_and_what_knows_how_is_asked_to_move_itself() -> None:
    class Carrier:
        device = torch.device("cpu")

        def to(self, device: torch.device) -> Carrier:
            other = Carrier()
            other.device = device
            return other

    there = moved(OrderedDict(last=torch.zeros(1), first=Carrier()), AWAY)
    assert list(there) == ["last", "first"]
    assert there["last"].device == there["first"].device == AWAY


def test_what_holds_no_tensor_is_moved_nowhere() -> None:
    for value in (3, "to", None, np.zeros(2), 1.5):
        assert moved(value, AWAY) is value


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("batch", "finite"),
    [
        (torch.zeros(3), True),
        (torch.tensor([0.0, NAN]), False),
        (torch.tensor([0.0, -INF], dtype=torch.bfloat16), False),
        (torch.arange(3), True),
        (torch.tensor([True]), True),
        ({"a": torch.zeros(1), "b": [torch.zeros(1), torch.tensor([INF])]}, False),
        ({"a": torch.zeros(1), "b": [torch.zeros(1), torch.arange(2)]}, True),
        (Pair(torch.zeros(1), torch.tensor(NAN)), False),
        (Pair(torch.zeros(1), torch.tensor(1.0)), True),
        ((torch.zeros(1), NAN), False),
        ((torch.zeros(0), 1.5, "nan", None, 3), True),
    ],
)
def test_one_number_that_is_not_finite_is_found_at_any_depth(batch: Any, finite: bool) -> None:
    assert is_finite(batch) is finite


def test_one_seed_is_that_of_all_generators() -> None:
    found = []
    for seed in (3, 3, 4):
        sow(seed)
        found.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[1], found[2], strict=True))
