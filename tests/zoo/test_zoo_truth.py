"""The labels of the zoo, on traces made by hand: each label, each zone between two, and what the log hides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo.examples import expected
from zoo.specimen import SHIFTED, Truth
from zoo.training import PROBES, Trace
from zoo.truth import FEW, Seen, hidden_by, labels_of

from convergence_cli.model import LABELS

SEEN = Seen(chance=True, evaluations=20, points=100)
COUNT = PROBES + 1


def through(*levels: float, count: int = COUNT) -> list[float]:
    """A trace from level to level, at rest at the last one for its last fifth."""
    places = np.linspace(0, 0.8 * (count - 1), len(levels)) if len(levels) > 1 else [0.0]
    return np.interp(np.arange(count), places, levels).tolist()


FALLING = through(2.3, 1.0, 0.5, 0.3)

# Losses of training; then the labels without validation and without the loss of a constant answer.
TRAINING = {
    "falls": (FALLING, ("converging",)),
    "falls below zero": (through(1.0, -3.0), ("converging",)),
    "falls all below zero": (through(-1.0, -3.0), ("converging",)),
    "falls over many powers of ten": (np.geomspace(1.0, 1e-12, COUNT).tolist(), ("converging",)),
    "flat": (through(2.3), ("stuck",)),
    "falls by 0.9 %": (through(1.0, 0.991), ("stuck",)),
    "falls by 1.1 %": (through(1.0, 0.989), ("converging", "stuck")),
    "falls by 3.9 %": (through(1.0, 0.961), ("converging", "stuck")),
    "falls by 4.1 %": (through(1.0, 0.959), ("converging",)),
    "gives 20 % of a large drop back": (through(2.0, 1.0, 1.2), ("converging",)),
    "gives 20 % back and ends at 1.8 times its best": (through(2.0, 0.4, 0.72), ("diverging", "converging")),
    "gives 30 % back": (through(2.0, 1.0, 1.3), ("diverging", "converging")),
    "gives 55 % back": (through(2.0, 1.0, 1.55), ("diverging", "converging")),
    "gives 65 % back": (through(2.0, 1.0, 1.65), ("diverging",)),
    "gives all back": (through(2.0, 0.1, 2.0), ("diverging",)),
    "gives 80 % back below zero": (through(1.0, -3.0, 0.2), ("diverging",)),
    "gives all of a little drop back": (through(2.0, 1.86, 2.0), ("stuck", "diverging")),
    "gives a little drop back and more": (through(2.0, 1.86, 2.5), ("diverging",)),
    "rises by 3 %": (through(2.0, 2.06), ("stuck",)),
    "rises by 10 %": (through(2.0, 2.2), ("stuck", "diverging")),
    "rises by 20 %": (through(2.0, 2.4), ("diverging",)),
    "rises a thousandfold": (through(2.0, 2000.0), ("diverging",)),
    "blows up, and comes back to a little above where it was": (
        through(2.0, 9.0, 2.5),
        ("diverging", "stuck", "converging"),
    ),
    "blows up, and comes back to twice where it was": (through(2.0, 20.0, 4.0), ("diverging",)),
    "blows up, and comes back to where it was": (through(2.0, 9.0, 2.0), ("stuck", "diverging", "converging")),
    "blows up, and falls": (through(2.0, 9.0, 1.0), ("converging",)),
}


@pytest.mark.parametrize("name", TRAINING)
def test_training_alone(name: str) -> None:
    train, labels = TRAINING[name]
    assert labels_of(train, [], None, False, replace(SEEN, evaluations=0)) == labels
    # Validation that nobody looked at changes nothing.
    assert labels_of(train, through(1.0, 0.5, 9.0), None, False, replace(SEEN, evaluations=0)) == labels


def test_one_bad_moment_of_many_changes_nothing() -> None:
    train = list(FALLING)
    train[60] = 9.0
    assert labels_of(train, [], None, False, replace(SEEN, evaluations=0)) == ("converging",)


# Training and the loss of a constant answer.
SKILL = {
    "comes down to chance": (through(2.5, 2.302), 2.3, ("stuck",), ("stuck", "converging")),
    "comes down a long way to chance": (through(3.5, 2.302), 2.3, ("stuck", "converging"), ("stuck", "converging")),
    "learns 0.9 %": (through(2.5, 0.991 * 2.3), 2.3, ("stuck",), ("stuck", "converging")),
    "learns 1.1 %": (through(2.5, 0.989 * 2.3), 2.3, ("converging", "stuck"), ("converging", "stuck")),
    "learns 3.9 %": (through(2.5, 0.961 * 2.3), 2.3, ("converging", "stuck"), ("converging", "stuck")),
    "learns 4.1 %": (through(2.5, 0.959 * 2.3), 2.3, ("converging",), ("converging",)),
    "begins good and stays": (through(0.5), 2.3, ("converging", "stuck"), ("converging", "stuck")),
    "begins good and falls": (through(0.5, 0.3), 2.3, ("converging",), ("converging",)),
    "begins better than chance and stays": (through(2.0), 2.3, ("stuck",), ("stuck",)),
}


@pytest.mark.parametrize("name", SKILL)
def test_what_a_constant_answer_costs(name: str) -> None:
    train, constant, known, unknown = SKILL[name]
    assert labels_of(train, [], constant, False, Seen(True, 0, 100)) == known
    # A log that does not tell its classes does not show what chance is.
    assert labels_of(train, [], constant, False, Seen(False, 0, 100)) == unknown


OVER = through(2.3, 1.0, 1.3)
# Training, validation, evaluations.
VALIDATED = {
    "falls beside it": (FALLING, through(2.3, 1.0, 0.6, 0.5), 20, ("converging",)),
    "rises by 30 %": (FALLING, OVER, 20, ("overfitting",)),
    "rises by 30 %, evaluated eight times": (FALLING, OVER, 8, ("overfitting",)),
    "rises by 30 %, evaluated seven times": (FALLING, OVER, 7, ("overfitting", "converging")),
    "rises by 11 %": (FALLING, through(2.3, 1.0, 1.11), 20, ("overfitting",)),
    "rises by 9 %": (FALLING, through(2.3, 1.0, 1.09), 20, ("overfitting", "converging")),
    "rises by 3 %": (FALLING, through(2.3, 1.0, 1.03), 20, ("overfitting", "converging")),
    "rises by 2 %": (FALLING, through(2.3, 1.0, 1.02), 20, ("converging",)),
    "rises by half, which is 3 % of its drop": (FALLING, through(5.1, 0.3, 0.45), 20, ("overfitting", "converging")),
    "rises by half, which is 0.3 % of its drop": (
        FALLING,
        np.interp(range(COUNT), [0, 10, 40, 64], [40.1, 40.1, 0.2, 0.3]).tolist(),
        20,
        ("converging",),
    ),
    "rises while training stays": (through(2.3, 1.0, 0.99), OVER, 20, ("overfitting", "converging")),
    "rises while training rises a little": (through(2.3, 1.0, 1.02), OVER, 20, ("converging", "overfitting")),
    "rises a little while training rises a little": (through(2.3, 1.0, 1.02), through(2.3, 1.0, 1.05), 20,
                                                     ("converging",)),
    "rises while training diverges": (through(2.3, 1.0, 2.3), OVER, 20, ("diverging",)),
    "rises while training is stuck": (through(2.3), OVER, 20, ("overfitting", "converging", "stuck")),
    "was best before anybody looked": (
        FALLING,
        np.interp(range(COUNT), [0, 2, 9, 80], [2.3, 0.5, 1.0, 1.0]).tolist(),
        8,
        ("converging",),
    ),
    "was best when somebody looked": (
        FALLING,
        np.interp(range(COUNT), [0, 2, 9, 80], [2.3, 0.5, 1.0, 1.0]).tolist(),
        80,
        ("overfitting",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VALIDATED)
def test_validation(name: str) -> None:
    train, val, evaluations, labels = VALIDATED[name]
    assert set(labels_of(train, val, None, False, replace(SEEN, evaluations=evaluations))) == set(labels)
    assert labels_of(train, val, None, False, replace(SEEN, evaluations=evaluations))[0] == labels[0]


def test_beside_a_constant_a_rise_of_validation_looks_small() -> None:
    assert labels_of(FALLING, OVER, None, False, SEEN) == ("overfitting",)
    assert labels_of(FALLING, OVER, None, False, replace(SEEN, shifted=True)) == ("overfitting", "converging")
    assert labels_of(FALLING, through(2.3, 1.0), None, False, replace(SEEN, shifted=True)) == ("converging",)
    assert {"large-constant"} == SHIFTED


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e31])
def test_what_is_not_finite_has_diverged(bad: float) -> None:
    assert labels_of(FALLING, FALLING, 2.3, True, SEEN) == ("diverging",)
    for place in (0, 40, -1):
        train = list(FALLING)
        train[place] = bad
        assert labels_of(train, FALLING, 2.3, False, SEEN) == ("diverging",)
    assert labels_of([], [], 2.3, False, SEEN) == ("diverging",)


def test_few_points_may_also_be_called_too_few() -> None:
    for train, labels in ((FALLING, ("converging",)), (through(2.3), ("stuck",)), (through(2, 9), ("diverging",))):
        for points in range(FEW):
            seen = Seen(True, 0, points)
            assert labels_of(train, [], None, False, seen) == (*labels, "undetermined")
        assert labels_of(train, [], None, False, Seen(True, 0, FEW)) == labels


@pytest.mark.parametrize(
    ("train", "labels", "may_hide"),
    [
        (through(1.0), ("stuck",), True),
        (through(1.0, 0.98), ("converging", "stuck"), True),
        (through(1.0, 0.93), ("converging",), True),
        (through(1.0, 0.91), ("converging",), False),
        (through(1.0, 1.1), ("stuck", "diverging"), False),
        (through(1.0, 9.0), ("diverging",), False),
    ],
)
def test_noise_may_hide_a_small_change(train: list[float], labels: tuple[str, ...], may_hide: bool) -> None:
    assert labels_of(train, [], None, False, Seen(True, 0, 100, hides=0.039)) == labels
    hidden = labels_of(train, [], None, False, Seen(True, 0, 100, hides=0.041))
    assert hidden == ((*labels, "undetermined") if may_hide else labels)


def test_what_noise_hides_is_two_standard_errors_of_thirds() -> None:
    dice = np.random.default_rng(0)
    for level, noise, count in ((1.0, 0.1, 3000), (50.0, 20.0, 3000), (-4.0, 0.1, 3000), (1.0, 0.1, 300)):
        values = level + noise * dice.normal(size=count)
        third = count // 3
        exact = 2 * noise * math.sqrt(1 / third + 1 / third) / abs(level)
        assert hidden_by(values.tolist()) == pytest.approx(exact, rel=0.25)
        # Neither a trend nor a few points far off are noise, and NaN is no number.
        other = values + level * np.linspace(0, 0.3, count)
        other[[5, 60]] = 1e6, math.nan
        assert hidden_by(other.tolist()) == pytest.approx(exact, rel=0.35)
    assert hidden_by([1.0] * 50) == 0.0
    assert hidden_by([1.0, 2.0, 3.0]) == 1.0
    assert hidden_by([math.nan] * 9 + [1.0, 2.0, 3.0]) == 1.0


LEVEL = st.floats(0.01, 100.0)


@settings(max_examples=200, deadline=None)
@given(
    levels=st.lists(LEVEL, min_size=1, max_size=6),
    val=st.lists(LEVEL, min_size=1, max_size=6),
    constant=st.none() | LEVEL,
    power=st.integers(-20, 20),
    chance=st.booleans(),
    evaluations=st.integers(0, 100),
)
def test_the_unit_of_the_loss_changes_no_label(
    levels: list[float], val: list[float], constant: float | None, power: int, chance: bool, evaluations: int
) -> None:
    seen = Seen(chance, evaluations, 100)
    labels = labels_of(through(*levels), through(*val), constant, False, seen)
    assert labels
    assert len(set(labels)) == len(labels)
    assert set(labels) <= set(LABELS)
    assert ("overfitting" in labels) <= bool(evaluations)
    # Powers of two, which multiply exactly.
    train, other = ([math.ldexp(one, power) for one in through(*of)] for of in (levels, val))
    unit = None if constant is None else math.ldexp(constant, power)
    assert labels_of(train, other, unit, False, seen) == labels


def truth_from(
    train: list[float], val: list[float] | None = None, fault: str | None = "some", broken: int | None = None
) -> Truth:
    """The truth of a run whose last probe is its last planned step, ten steps a probe."""
    trace = Trace([10 * i for i in range(len(train))], train, val or train, None, 10 * (len(train) - 1), broken)
    labels = labels_of(trace.train, trace.val, None, broken is not None, SEEN)
    return Truth("one", "some", fault, None, 0, "mlp", "moons", "Adam", "csv", labels, trace, SEEN)


def test_labels_of_a_prefix_are_those_of_what_was_trained_by_then() -> None:
    truth = truth_from(through(2.0, 1.0, 2.5))
    assert truth.labels == truth.labels_at(800) == ("diverging",)
    assert truth.labels_at(300) == ("converging",)
    assert truth.labels_at(0) == truth.labels_at(9) == ("stuck",)
    # What comes later has no say.
    other = truth_from([*truth.trace.train[:31], *through(9.0, 0.1, count=COUNT - 31)])
    assert other.labels == ("converging",)
    for step in range(0, 310, 5):
        assert other.labels_at(step) == truth.labels_at(step)


def test_a_prefix_has_as_many_evaluations_as_there_were_by_then() -> None:
    # Six of the twenty evaluations are too few to be clear.
    val = np.interp(range(COUNT), [0, 10, 20, 80], [2.3, 1.0, 1.5, 1.5]).tolist()
    truth = truth_from(np.geomspace(2.3, 0.01, COUNT).tolist(), val)
    assert truth.labels_at(240) == ("overfitting", "converging")
    assert truth.labels_at(400) == truth.labels == ("overfitting",)


def test_a_prefix_before_the_first_nan_is_not_broken() -> None:
    truth = truth_from(FALLING, broken=405)
    assert truth.labels == ("diverging",)
    assert truth.labels_at(404) == ("converging",)
    assert truth.labels_at(405) == truth.labels_at(800) == ("diverging",)


def test_a_healthy_run_converges_and_has_no_fault() -> None:
    assert truth_from(FALLING, fault=None).healthy
    assert not truth_from(FALLING).healthy
    assert not truth_from(through(2.3), fault=None).healthy
    assert not truth_from(through(1.0, 0.98), fault=None).healthy


def test_what_is_expected_of_a_prefix() -> None:
    # A healthy run is not failing before it has begun to learn; a failing one was not before it failed.
    late = truth_from(through(2.0, 2.0, 2.0, 0.5))
    assert late.labels_at(200) == ("stuck",)
    assert expected(late, 200) == ("converging",)
    lost = truth_from(through(2.0, 1.0, 2.5))
    assert expected(lost, 300) == ("converging",)
    assert expected(lost, 800) == ("diverging",)
    # Of several, those that the end agrees with.
    slow = truth_from(through(2.0, 1.9, 3.0))
    assert expected(slow, 800) == ("diverging",)
    little = truth_from(through(1.0, 0.98))
    assert little.labels == ("converging", "stuck")
    assert expected(little, 200) == ("stuck",)
