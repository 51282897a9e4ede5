"""``find_learning_rate`` from end to end, on trainings whose good rates are known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, AdamW

import convergence_cli
from convergence_cli.errors import UsageError
from convergence_cli.lr_find.answering import METHODS
from convergence_cli.lr_find.door import find_learning_rate
from convergence_cli.lr_find.probing import HELD_OUT_WEIGHT
from convergence_cli.lr_find.refusals import STEPS
from convergence_cli.lr_find.search import BOUNDS
from tests.lr_find.trainings import (
    Answer,
    Batch,
    classifier,
    cut,
    descending,
    exactly,
    moons,
    network,
    parabola,
    regression,
    searched,
    searched_live,
    shuffled,
    spoilt,
    surface,
    training_of,
)

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate

Setup = Callable[[], Answer]


def live(setup: Setup, **more: Any) -> LearningRate:
    """The search of the one model that ``setup`` makes."""
    return searched_live(setup(), **more)


def noisy() -> Answer:
    """Drawn weights, an order that chance gives, and dropout."""
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))
    loader = torch.utils.data.DataLoader(list(zip(*moons(256), strict=True)), batch_size=16, shuffle=True)
    return classifier(model=model, loader=loader)


TRAININGS: dict[str, Setup] = {
    "moons": classifier,
    "moons by descent": lambda: descending(classifier()),
    "surface": regression,
    "noisy": noisy,
    "parabola": lambda: parabola(1.0, 0.1),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_the_answer_is_whole_and_agrees_with_itself(name: str) -> None:
    answer = searched(TRAININGS[name])
    assert answer.refused is None
    assert answer.learning_rate is not None
    assert answer.window is not None
    assert answer.start_loss is not None
    assert BOUNDS[0] <= answer.window[0] <= answer.learning_rate <= answer.window[1] <= BOUNDS[1]
    assert answer.diverges_at is None or answer.learning_rate < answer.diverges_at
    assert 0 < answer.confidence < 1
    assert (answer.schedule, answer.method, answer.ratios, answer.diagnosis) == ("constant", METHODS[0], (1.0,), None)
    assert answer.why
    assert len(answer.range_rates) == len(answer.range_losses) >= 10
    assert list(answer.range_rates) == sorted(answer.range_rates)
    places = [(probe.rate, probe.steps) for probe in answer.probes]
    assert places == sorted(places)
    longest = max(probe.steps for probe in answer.probes)
    last = {probe.rate: probe.loss for probe in answer.probes if probe.steps == longest and probe.loss is not None}
    best = min(last, key=lambda rate: last[rate])
    assert last[best] < answer.start_loss
    assert answer.learning_rate <= best * 1.05
    # As a person would type it.
    assert float(f"{answer.learning_rate:.1e}") == answer.learning_rate


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("search", [searched, live], ids=["setup", "live"])
def test_the_same_call_has_the_same_answer(name: str, search: Callable[[Setup], Any]) -> None:
    torch.manual_seed(1)
    first = search(TRAININGS[name])
    torch.manual_seed(1)
    assert repr(search(TRAININGS[name])) == repr(first)


def test_one_live_model_can_be_searched_again() -> None:
    model, loader = network(), shuffled(moons(256))
    optimizer = Adam(model.parameters(), lr=0.01)
    first, second = (
        searched_live(classifier(model=model, loader=loader, optimizer=optimizer, step=None)) for _ in range(2)
    )
    assert first.learning_rate is not None
    assert repr(first) == repr(second)


@pytest.mark.parametrize("name", ["moons", "moons by descent", "surface", "parabola"])
def test_a_live_model_and_a_setup_have_the_same_answer(name: str) -> None:
    assert repr(searched_live(TRAININGS[name]())) == repr(searched(TRAININGS[name]))


@pytest.mark.parametrize("name", ["moons by descent", "surface", "noisy"])
def test_training_at_the_rate_does_better_than_far_below_and_above_it(name: str) -> None:
    answer = searched(TRAININGS[name], steps=300)
    assert answer.learning_rate is not None
    assert answer.start_loss is not None
    losses = []
    for factor in (0.01, 1.0, 100.0):
        torch.manual_seed(0)
        training = training_of(TRAININGS[name]())
        for _ in range(100):
            training.step(factor * answer.learning_rate)
        held = training.judged()[1]
        losses.append(math.fsum(held) / len(held))
    low, good, high = losses
    assert good < 0.6 * answer.start_loss
    assert good < low
    assert not good >= high


@pytest.mark.parametrize("curvature", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("search", [searched, live], ids=["setup", "live"])
def test_on_a_parabola_the_rate_is_below_the_limit_and_divergence_is_not(
    curvature: float, schedule: str, search: Any
) -> None:
    limit = 2 / curvature
    answer = search(lambda: parabola(curvature, curvature / 3, curvature / 10), schedule=schedule, steps=200)
    assert answer.learning_rate is not None
    assert answer.diverges_at is not None
    assert limit / 50 < answer.learning_rate < limit
    # The rates that are tried lie a quarter to half a decade apart; two digits are kept.
    assert 0.97 * limit <= answer.diverges_at <= limit * 10**0.55
    for probe in answer.probes:
        assert (probe.loss is not None and probe.loss < answer.start_loss) == (probe.rate < limit)


def test_the_limit_of_a_linear_model_is_that_of_its_inputs() -> None:
    inputs, target = surface(256)

    def setup() -> Answer:
        model = nn.Sequential(nn.Linear(3, 1, bias=False))
        nn.init.zeros_(model[0].weight)
        return descending(regression(model=model, loader=[(inputs, target)] * 8))

    limit = 2 / float(torch.linalg.eigvalsh(2 * inputs.T @ inputs / 256).max())
    answer = searched(setup, steps=200)
    assert answer.learning_rate is not None
    assert answer.diverges_at is not None
    assert limit / 50 < answer.learning_rate < limit
    assert 0.97 * limit <= answer.diverges_at <= limit * 10**0.55


def gaussian(shift: float) -> Setup:
    """A negative log-likelihood, ``shift`` away from where it would be."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        mean, spread = output[:, :1], output[:, 1:]
        return (spread + 0.5 * (target - mean).square() * (-2 * spread).exp()).mean() + shift

    return lambda: regression(model=network(3, 2), loss=loss)


@pytest.mark.parametrize("shift", [-3.0, -20.0, -100.0, 20.0])
def test_a_constant_in_the_loss_changes_nothing(shift: float) -> None:
    plain, shifted = (searched(gaussian(one)) for one in (0.0, shift))
    assert plain.learning_rate is not None
    assert plain.start_loss is not None
    assert shifted.learning_rate == plain.learning_rate
    assert shifted.diverges_at == plain.diverges_at
    assert shifted.start_loss == pytest.approx(plain.start_loss + shift, abs=1e-4)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_rate_that_will_fall_may_begin_higher(name: str) -> None:
    constant, cosine = (searched(TRAININGS[name], schedule=one) for one in ("constant", "cosine"))
    assert constant.learning_rate is not None
    assert cosine.learning_rate is not None
    assert constant.learning_rate < cosine.learning_rate
    assert (constant.schedule, cosine.schedule) == ("constant", "cosine")


def test_the_schedule_of_a_setup_counts_unless_another_is_asked_for() -> None:
    def setup() -> Answer:
        return classifier(schedule="cosine")

    assert repr(searched(setup)) == repr(searched(classifier, schedule="cosine"))
    assert repr(searched(setup, schedule="constant")) == repr(searched(classifier))


def test_the_seed_of_a_setup_counts_unless_another_is_asked_for() -> None:
    def seeded() -> Answer:
        return {**noisy(), "seed": 4}

    of_setup, asked, other = searched(seeded), searched(noisy, seed=4), searched(seeded, seed=5)
    assert repr(of_setup) == repr(asked)
    assert other.range_losses != of_setup.range_losses
    assert repr(other) == repr(searched(noisy, seed=5))


def test_what_a_setup_draws_besides_does_not_change_the_batches() -> None:
    def drawing() -> Answer:
        answer = noisy()
        torch.rand(3)
        random.random()
        return answer

    assert repr(searched(drawing)) == repr(searched(noisy))


def in_words() -> Answer:
    """Batches that are dictionaries, and a model that takes two inputs."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, *, first: Tensor, second: Tensor) -> Tensor:
            return self.inner(torch.stack([first, second], 1))

    def step(model: nn.Module, batch: dict[str, Any]) -> Tensor:
        return functional.cross_entropy(model(first=batch["first"], second=batch["second"]), batch["labels"])

    loader = [
        {"first": points[:, 0], "second": points[:, 1], "labels": labels, "names": ["a"] * len(labels)}
        for points, labels in cut(moons(256))
    ]
    return {"model": Two(), "step": step, "loader": loader}


def test_a_step_on_batches_of_any_form_has_the_answer_of_a_loss_on_pairs() -> None:
    expected = searched(classifier).learning_rate
    assert expected is not None
    assert searched(in_words).learning_rate == expected
    assert searched_live(in_words()).learning_rate == expected


def test_groups_keep_their_ratios_all_the_way() -> None:
    seen: list[tuple[float, ...]] = []

    def setup() -> Answer:
        model = network()
        optimizer = AdamW([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 1e-2}], lr=1e-3)
        optimizer.register_step_pre_hook(
            lambda optimizer, *given: seen.append(tuple(group["lr"] for group in optimizer.param_groups))
        )
        return classifier(model=model, optimizer=optimizer)

    answer = searched(setup)
    assert answer.learning_rate is not None
    assert answer.ratios == pytest.approx((1.0, 10.0))
    assert len(seen) == answer.steps
    assert all(second == pytest.approx(10 * first) for first, second in seen)
    assert len({first for first, _ in seen}) > 10


def test_the_rate_the_optimizer_came_with_makes_no_difference() -> None:
    answers = [searched(lambda rate=rate: descending(classifier(), rate)) for rate in (1e-6, 0.1, 30.0)]
    assert answers[0].learning_rate is not None
    assert repr(answers[0]) == repr(answers[1]) == repr(answers[2])


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("name", ["moons", "surface", "moons by descent"])
def test_known_rules_read_a_rate_off_the_range_test(method: str, name: str) -> None:
    answer = searched(TRAININGS[name], method=method)
    assert answer.refused is None
    assert answer.learning_rate is not None
    assert answer.range_rates[0] / 20 <= answer.learning_rate <= answer.range_rates[-1]
    assert answer.probes == ()
    assert answer.method == method
    assert answer.why
    assert answer.steps == len(answer.range_rates) + STEPS
    restarts = searched(TRAININGS[name])
    assert answer.range_losses == restarts.range_losses


def counted(setup: Setup, made: list[int]) -> Setup:
    """``setup`` whose optimizer notes every update in ``made``."""

    def with_count() -> Answer:
        answer = setup()
        answer.setdefault("optimizer", AdamW(answer["model"].parameters()))
        answer["optimizer"].register_step_post_hook(lambda *given: made.append(1))
        return answer

    return with_count


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("steps", [60, 99, 300])
def test_no_more_updates_are_made_than_asked_for_and_a_few_to_look(name: str, steps: int) -> None:
    made: list[int] = []
    answer = searched(counted(TRAININGS[name], made), steps=steps)
    assert answer.refused is None
    assert len(made) <= answer.steps <= steps + STEPS
    assert answer.steps >= steps / 2


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        (
            lambda: regression(loader=[*cut(surface(256))[:14], spoilt(surface(16), 0, math.nan)]),
            "non-finite-input",
        ),
        (lambda: descending(classifier(loss=lambda output, target: 0 * output.sum())), "zero-gradient"),
    ],
    ids=["in the range test", "at the start"],
)
def test_the_updates_of_a_search_that_refuses_are_counted_too(setup: Setup, reason: str) -> None:
    made: list[int] = []
    answer = searched(counted(setup, made))
    assert answer.refused is not None
    assert answer.refused.reason == reason
    assert len(made) > 0
    assert answer.steps >= len(made)


def test_an_update_of_several_batches_counts_once() -> None:
    made: list[int] = []
    answer = searched(counted(classifier, made), accumulate=4)
    assert answer.learning_rate is not None
    assert len(made) <= answer.steps <= 120 + STEPS


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_lower_precision_makes_little_difference(precision: str) -> None:
    full, low = searched(classifier), searched(classifier, amp=precision)
    assert full.learning_rate is not None
    assert low.learning_rate is not None
    assert abs(math.log10(low.learning_rate / full.learning_rate)) <= 0.5


def test_the_loss_that_training_starts_from_is_mostly_that_of_the_validation() -> None:
    answer = classifier(val_loader=cut(moons(64, 9)))
    with torch.no_grad():
        train, held = (
            [float(functional.cross_entropy(answer["model"](inputs), target)) for inputs, target in batches[:8]]
            for batches in (answer["loader"], answer["val_loader"])
        )
    expected = HELD_OUT_WEIGHT * np.mean(held) + (1 - HELD_OUT_WEIGHT) * np.mean(train)
    found = searched(lambda: classifier(val_loader=cut(moons(64, 9)))).start_loss
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert found == searched_live(answer).start_loss


@pytest.mark.parametrize("bounds", [(1e-2, 1e-1), (1e-6, 1e-3), (1e-3, 1.2e-3), (2e-3, 3e-3)])
def test_what_is_tried_and_what_is_suggested_lies_within_the_bounds(bounds: tuple[float, float]) -> None:
    answer = searched(lambda: descending(classifier()), bounds=bounds, steps=200)
    tried = [probe.rate for probe in answer.probes] + list(answer.range_rates)
    assert all(bounds[0] * 0.999 <= rate <= bounds[1] * 1.001 for rate in tried)
    assert answer.learning_rate is not None
    assert bounds[0] <= answer.learning_rate <= bounds[1]


def test_it_says_what_it_does() -> None:
    said: list[str] = []
    searched(classifier, show=said.append)
    assert any("range test" in text for text in said)
    assert len(said) > 5


def test_a_setup_leaves_the_random_state_as_it_was() -> None:
    def state() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tobytes(), exactly(torch.get_rng_state())

    before = state()
    searched(noisy)
    assert state() == before
    with pytest.raises(ZeroDivisionError):
        searched(lambda: {**noisy(), "x": 1 / 0})
    assert state() == before


def test_what_the_training_raises_goes_through() -> None:
    def step(model: nn.Module, batch: Batch) -> Tensor:
        raise LookupError("the label is missing")

    with pytest.raises(LookupError, match="the label is missing"):
        searched(lambda: classifier(loss=None, step=step))
    with pytest.raises(RuntimeError, match="shape"):
        searched(lambda: classifier(model=network(inputs=5)))


def test_a_setup_that_returns_one_model_again_and_again_does_not_mislead() -> None:
    model = network()
    before = exactly(model.state_dict())
    expected = searched(classifier)
    try:
        found = searched(lambda: classifier(model=model))
    except UsageError as error:
        assert "model" in error.message  # noqa: PT017
    else:
        assert found.learning_rate == expected.learning_rate
        assert exactly(model.state_dict()) == before


def test_the_package_offers_it() -> None:
    assert convergence_cli.find_learning_rate is find_learning_rate


def given(**more: Any) -> Callable[[], Any]:
    """A search of a setup with arguments that cannot be."""
    return lambda: find_learning_rate(classifier, **{"steps": 120, **more})


def given_live(**more: Any) -> Callable[[], Any]:
    """The same of a live model."""
    return lambda: find_learning_rate(network(), **{"loss": nn.CrossEntropyLoss(), "loader": [], "steps": 120, **more})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (given(steps=59), "59 steps"),
        (given(steps=0), "0 steps"),
        (given(bounds=(1e-2, 1e-3)), "between 0.01 and 0.001"),
        (given(bounds=(1e-3, 1e-3)), "between 0.001 and 0.001"),
        (given(bounds=(0.0, 1.0)), "between 0 and 1"),
        (given(bounds=(-1.0, 1.0)), "between -1 and 1"),
        (given(bounds=(math.nan, 1.0)), "between nan and 1"),
        (given(bounds=(1e-3, math.inf)), "between 0.001 and inf"),
        (given(method="vally"), "'vally' is no method"),
        (given(accumulate=0), "0 batches"),
        (given(amp="fp8"), "'fp8' is no precision"),
        (given(schedule="linear"), "'linear' is no schedule"),
        (given(device="somewhere"), "'somewhere' is no device"),
        (given(seed="one"), "seed"),
        (given_live(device="cpu"), "the device that it is on"),
        (given_live(seed="one"), "a str as 'seed'"),
        (given_live(loss=None), "neither 'loss' nor 'step'"),
        (given_live(step=len), "both 'loss' and 'step'"),
        (given_live(loader=None), "no 'loader'"),
        (given_live(loader=iter([])), "as 'loader'"),
        (given_live(optimizer=SGD), "as 'optimizer'"),
        (given_live(schedule="linear"), "'linear' is no schedule"),
        (lambda: find_learning_rate(3), "The model is"),  # type: ignore[arg-type]
        (lambda: find_learning_rate(network), "a Sequential, not a dictionary"),
        (lambda: find_learning_rate(network, nn.CrossEntropyLoss(), []), "has a loss of its own"),
        (lambda: find_learning_rate(lambda: classifier(lodaer=[])), "unknown key 'lodaer'"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_arguments_that_cannot_be_are_named(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert words in caught.value.message
    assert caught.value.hint
