"""One training at rates that are chosen step by step: what an update does, and what is kept out of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, IterableDataset

from convergence_cli.errors import UsageError
from convergence_cli.lr_find.refused import Refused
from convergence_cli.lr_find.training import JUDGED_BATCHES, device_of, evaluating
from tests.lr_find.trainings import (
    Batch,
    classifier,
    cut,
    descending,
    drawn,
    exactly,
    learned,
    moons,
    network,
    regression,
    spoilt,
    surface,
    training_of,
    weights,
)


def numbered(count: int) -> list[Batch]:
    """Batches of two rows whose first input is their number."""
    return [
        (torch.tensor([[float(number), 1.0], [float(number), -1.0]]), torch.tensor([0, 1])) for number in range(count)
    ]


class Seen:
    """A loss that notes which of the ``numbered`` batches it was asked for while the model trains."""

    def __init__(self) -> None:
        self.trained: list[int] = []
        self.judged: list[int] = []

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        (self.trained if model.training else self.judged).append(int(batch[0][0, 0]))
        return functional.cross_entropy(model(batch[0] / 100), batch[1])


def seeing(count: int, **changes: Any) -> tuple[Any, Seen]:
    seen = Seen()
    return training_of(classifier(loss=None, step=seen, loader=numbered(count), **changes)), seen


def test_an_update_is_that_of_the_users_optimizer() -> None:
    training = training_of(descending(classifier()))
    other = copy.deepcopy(training.ready.model)
    held = len(training.held)
    for _ in range(3):
        training.step(0.2)
    learned(other, cut(moons(256))[held : held + 3], 0.2)
    for one, expected in zip(training.ready.model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, expected, atol=1e-6)
    assert training.steps == 3


def test_the_loss_told_is_that_before_the_update() -> None:
    training = training_of(descending(classifier(val_loader=cut(moons(32)))))
    batch = cut(moons(256))[0]
    with torch.no_grad():
        before = float(functional.cross_entropy(training.ready.model(batch[0]), batch[1]))
    assert training.step(1.0) == pytest.approx(before)
    with torch.no_grad():
        assert float(functional.cross_entropy(training.ready.model(batch[0]), batch[1])) < before


@pytest.mark.parametrize("count", [2, 5])
def test_accumulated_batches_are_one_update_on_all_their_rows(count: int) -> None:
    data, val = cut(moons(16 * count)), cut(moons(16, 1))
    apart = training_of(descending(classifier(loader=data, val_loader=val)), accumulate=count)
    whole = training_of(descending(classifier(loader=cut(moons(16 * count), 16 * count), val_loader=val)))
    for _ in range(2):
        assert apart.step(0.5) == pytest.approx(whole.step(0.5), rel=1e-5)
    for one, expected in zip(apart.ready.model.parameters(), whole.ready.model.parameters(), strict=True):
        assert torch.allclose(one, expected, atol=1e-6)
    assert apart.steps == whole.steps == 2
    assert apart.batches == 2 * count


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("", None)])
def test_the_precision_asked_for_is_that_of_the_model(precision: str, dtype: torch.dtype | None) -> None:
    found = []

    def step(model: nn.Module, batch: Batch) -> Tensor:
        output = model(batch[0])
        found.append(output.dtype)
        return functional.mse_loss(output.float(), batch[1])

    training = training_of(descending(regression(loss=None, step=step)), precision=precision)
    before = weights(training.ready.model)
    first = training.step(0.05)
    for _ in range(30):
        last = training.step(0.05)
    train, held = training.judged()
    assert set(found) == {dtype or torch.float32}
    assert {one.dtype for one in training.ready.model.parameters()} == {torch.float32}
    assert weights(training.ready.model) != before
    assert last < first
    assert all(map(math.isfinite, [*train, *held]))


def test_the_rates_of_groups_keep_their_ratios() -> None:
    model = network()
    weight, bias = model[2].parameters()
    groups = [{"params": model[0].parameters()}, {"params": weight, "lr": 0.5}, {"params": bias, "lr": 0}]
    optimizer = SGD(groups, lr=0.05)
    training = training_of(classifier(model=model, optimizer=optimizer))
    for rate in (1e-3, 2.0, 1e-7):
        training.step(rate)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate, 10 * rate, 0.0])
    assert training.ratios == pytest.approx([1.0, 10.0, 0.0])


def test_a_group_at_rest_is_not_moved() -> None:
    model = network()
    optimizer = SGD([{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}], lr=0.1)
    still, moving = weights(model[0]), weights(model[2])
    training = training_of(classifier(model=model, optimizer=optimizer))
    training.step(1.0)
    assert weights(model[0]) == still
    assert weights(model[2]) != moving


def test_a_rate_that_is_a_tensor_stays_the_same_tensor() -> None:
    model, rate = network(), torch.tensor(0.01)
    optimizer = Adam(model.parameters(), lr=rate)
    training = training_of(classifier(model=model, optimizer=optimizer))
    for value in (0.25, 0.5):
        training.step(value)
        assert optimizer.param_groups[0]["lr"] is rate
        assert float(rate) == value


@pytest.mark.parametrize(("count", "held"), [(1, 1), (2, 1), (9, 1), (10, 2), (20, 4), (40, 8), (100, 8)])
def test_a_fifth_is_held_out_and_not_trained_on_in_the_first_pass(count: int, held: int) -> None:
    training, seen = seeing(count)
    assert [int(batch[0][0, 0]) for batch in training.held] == list(range(held))
    for _ in range(count - held):
        training.step(0.01)
    assert seen.trained == list(range(held, count))
    training.step(0.01)
    assert seen.trained[-1] == 0


def test_the_users_own_batches_to_validate_on_are_used_and_all_others_trained_on() -> None:
    training, seen = seeing(5, val_loader=numbered(30)[20:])
    for _ in range(5):
        training.step(0.01)
    assert seen.trained == [0, 1, 2, 3, 4]
    training.judged()
    assert seen.judged == [0, 1, 2, 3, 4, *range(20, 20 + JUDGED_BATCHES)]


def test_no_batch_to_validate_on_leaves_those_trained_on() -> None:
    training, _ = seeing(5, val_loader=[])
    training.step(0.01)
    train, held = training.judged()
    assert (len(train), held) == (1, [])


class Stream(IterableDataset[Any]):
    """Rows that come one after the other, nobody knows how many."""

    def __iter__(self) -> Iterator[Any]:
        yield from zip(*moons(64), strict=True)


def test_a_stream_without_a_length_is_trained_on() -> None:
    training = training_of(classifier(loader=DataLoader(Stream(), batch_size=16)))
    assert len(training.held) == 1
    training.step(0.01)
    assert training.batches == 2


def test_a_loader_of_unknown_length_holds_one_batch_out() -> None:
    class Unknown:
        def __iter__(self) -> Iterator[Batch]:
            yield from numbered(30)

    training = training_of(classifier(loader=Unknown()))
    assert [int(batch[0][0, 0]) for batch in training.held] == [0]


def test_a_loader_that_gives_nothing_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        training_of(classifier(loader=[]))
    assert caught.value.refusal.reason == "no-data"


def test_looking_ahead_trains_on_nothing_and_sees_what_will_be_trained_on() -> None:
    ahead, seen = seeing(40)
    before = weights(ahead.ready.model)
    ahead.look_ahead()
    assert weights(ahead.ready.model) == before
    assert (ahead.steps, seen.trained) == (0, [])
    trained, _ = seeing(40)
    for _ in range(JUDGED_BATCHES + 4):
        trained.step(0.01)
    assert exactly(ahead.seen) == exactly(trained.seen)
    assert len(ahead.seen) == JUDGED_BATCHES


def with_normalization() -> nn.Sequential:
    """Layers that do in training what they do not in evaluation."""
    return drawn(
        lambda: nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
    )


def test_judging_changes_nothing_and_says_the_same_twice() -> None:
    training = training_of(classifier(model=with_normalization()))
    training.step(0.01)
    before = exactly(training.ready.model.state_dict())
    modes = [module.training for module in training.ready.model.modules()]
    first = training.judged()
    assert training.judged() == first
    assert exactly(training.ready.model.state_dict()) == before
    assert [module.training for module in training.ready.model.modules()] == modes


def test_after_evaluation_each_module_has_its_own_mode_again() -> None:
    model = with_normalization().train()
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [layer.training for layer in model] == [True, False, True, True, True]
    assert model.training


def test_a_failure_in_evaluation_does_not_leave_the_model_in_it() -> None:
    model = with_normalization().train()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_that_is_not_finite_moves_nothing(accumulate: int) -> None:
    good, bad = cut(surface(16))[0], spoilt(surface(16), 0, float("nan"))
    loader = [good] * (accumulate - 1) + [bad]
    training = training_of(regression(loader=loader, val_loader=[good]), accumulate=accumulate)
    before = weights(training.ready.model)
    assert math.isnan(training.step(0.1))
    assert math.isnan(training.step(0.1))
    assert weights(training.ready.model) == before
    assert training.steps == 2


WRONG_LOSSES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "one for each row": (lambda rows: rows, "of shape (16,)"),
    "a table": (lambda rows: rows.unsqueeze(1), "of shape (16, 1)"),
    "empty": (lambda rows: rows[:0], "of shape (0,)"),
    "a number": (lambda rows: rows.mean().item(), "a float"),
    "nothing": (lambda rows: None, "The loss is None"),
    "several": (lambda rows: (rows.mean(), rows), "a tuple"),
}


@pytest.mark.parametrize("name", WRONG_LOSSES)
def test_a_loss_of_a_wrong_shape_is_named(name: str) -> None:
    made, words = WRONG_LOSSES[name]
    training = training_of(
        classifier(loss=lambda output, target: made(functional.cross_entropy(output, target, reduction="none")))
    )
    with pytest.raises(UsageError) as caught:
        training.step(0.1)
    assert words in caught.value.message
    assert "mean" in caught.value.hint


def test_a_loss_of_one_value_in_any_shape_will_do() -> None:
    training = training_of(classifier(loss=lambda output, target: functional.cross_entropy(output, target).view(1, 1)))
    plain = training_of(classifier())
    assert training.step(0.1) == plain.step(0.1)
    assert weights(training.ready.model) == weights(plain.ready.model)


def test_a_loss_cut_off_from_the_weights_is_refused_at_the_first_step() -> None:
    training = training_of(classifier(loss=lambda output, target: functional.cross_entropy(output.detach(), target)))
    with pytest.raises(Refused) as caught:
        training.step(0.1)
    assert caught.value.refusal.reason == "no-gradient"


def test_a_model_trains_where_its_first_parameter_is() -> None:
    assert device_of(network().to("meta")) == torch.device("meta")
    assert device_of(nn.ReLU()) == torch.device("cpu")
