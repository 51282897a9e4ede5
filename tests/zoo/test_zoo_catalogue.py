"""Which trainings the zoo has: every cause, enough variety, as many healthy as faulty, and the same for a seed."""

from __future__ import annotations

import random
from dataclasses import fields
from itertools import accumulate

import pytest
from zoo.building import schedule_of
from zoo.catalogue import FAULTS, HEALTHY, SEVERITIES, Specimen, specimens
from zoo.data import DATASETS
from zoo.odd import ODD
from zoo.plan import ARCHITECTURES, COST, FITTING, OPTIMIZERS, RATES, SCHEDULES, Plan, draw
from zoo.players import PLAYERS

# Section 5 of the design.
CAUSES = {
    "learning-rate-too-high", "learning-rate-too-low", "vanishing-gradient", "exploding-gradient",
    "saturated-activation", "dying-relu", "symmetric-initialization", "initialization-too-small",
    "initialization-too-large", "unnormalized-input", "unscaled-target", "class-imbalance", "label-noise",
    "overfitting", "underfitting", "insufficient-training", "redundant-softmax", "wrong-loss", "missing-zero-grad",
    "frozen-parameters", "batch-too-small", "batch-too-large", "stale-gradients", "numerical-overflow",
    "missing-warmup", "missing-decay", "data-leakage", "bad-batch",
}  # fmt: skip
ZOO = specimens(0, 1.0)
PLANS = {one: one.plan() for one in ZOO if one.has_plan}


def facts(plan: Plan) -> dict[str, object]:
    """All of a plan that can be compared: of the changes of the built training, how many there are."""
    found = {field.name: getattr(plan, field.name) for field in fields(Plan)}
    return {**found, "after_building": len(plan.after_building)}


def test_every_cause_of_the_design_is_injected() -> None:
    assert len(CAUSES) == 28
    covered = {fault.cause for fault in FAULTS.values()}
    assert CAUSES - covered == set(), "no fault has these causes"
    assert covered - CAUSES == set(), "the design has no such causes"
    assert {one.fault.cause for one in ZOO if one.fault} == CAUSES


def test_there_are_enough_kinds_of_each() -> None:
    assert len(FAULTS) >= 25
    assert all(name == fault.name for name, fault in FAULTS.items())
    assert {one.kind for one in ZOO} == {*FAULTS, *ODD, *PLAYERS, HEALTHY}
    for what, least in (("architecture", 6), ("dataset", 8), ("optimizer", 5)):
        healthy = {getattr(plan, what) for one, plan in PLANS.items() if one.fault is None}
        faulty = {getattr(plan, what) for one, plan in PLANS.items() if one.fault}
        assert min(len(healthy), len(faulty)) >= least, what
    plans = PLANS.values()
    assert {plan.architecture for plan in plans} == set(ARCHITECTURES)
    assert {plan.dataset for plan in plans} == set(DATASETS)
    assert {plan.optimizer for plan in plans} == set(OPTIMIZERS)
    assert {plan.schedule for plan in plans} == set(SCHEDULES)
    assert {plan.logged for plan in plans} == {"steps", "windows", "epochs"}
    for of in ([plan for one, plan in PLANS.items() if one.fault is None], plans):
        sizes = {plan.batch_size for plan in of}
        assert min(sizes) == 1
        assert max(sizes) >= 100_000
        assert len(sizes) >= 6


def test_no_architecture_or_optimizer_is_rare() -> None:
    for what, names in (("architecture", ARCHITECTURES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        for name in names:
            share = sum(getattr(plan, what) == name for plan in PLANS.values()) / len(PLANS)
            assert share > 0.4 / len(names), name


def test_there_are_as_many_healthy_as_faulty_in_the_zoo_and_at_each_place_of_it() -> None:
    faulty = [one.fault is not None for one in ZOO]
    assert sum(faulty) <= len(ZOO) - sum(faulty)
    for count, so_far in enumerate(accumulate(faulty), 1):
        assert count < 100 or 0.35 < so_far / count < 0.6, count


@pytest.mark.parametrize("size", [0.01, 0.1, 0.5, 1.0])
def test_names_are_folders_of_one_run_each(size: float) -> None:
    names = [one.name for one in specimens(0, size)]
    assert len(set(names)) == len(names)
    assert all(name == name.strip("/. ") and "/" not in name for name in names)
    assert {one.kind for one in specimens(0, size)} == {*FAULTS, *ODD, *PLAYERS, HEALTHY}


def test_a_larger_zoo_holds_the_smaller_one() -> None:
    assert set(specimens(0, 0.1)) < set(specimens(0, 0.5)) < set(ZOO)


def test_the_same_seed_gives_the_same_zoo_and_another_another() -> None:
    assert specimens(0, 1.0) == ZOO
    assert [(one.kind, one.number) for one in specimens(1, 1.0)] != [(one.kind, one.number) for one in ZOO]
    seeds = [plan.seed for plan in PLANS.values()]
    assert len(set(seeds)) > 0.99 * len(seeds)
    for one, plan in PLANS.items():
        assert facts(one.plan()) == facts(plan), one.name
        other = Specimen(one.kind, one.number, 1).plan()
        assert other.seed != plan.seed
        assert facts(other) != {**facts(plan), "seed": other.seed}, one.name


def test_a_plan_depends_on_no_other_dice() -> None:
    one = next(iter(PLANS))
    random.seed(5)
    first = facts(one.plan())
    random.seed(6)
    assert facts(one.plan()) == first


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_four_severities_that_change_the_plan(name: str) -> None:
    assert SEVERITIES == 4
    assert {one.severity for one in ZOO if one.kind == name} == {0, 1, 2, 3}
    for severity in range(SEVERITIES):
        plan, healthy = (draw(random.Random(1), 1, FAULTS[name].architectures[0]) for _ in range(2))
        assert facts(plan) == facts(healthy)
        FAULTS[name].change(plan, severity, random.Random(2))
        assert facts(plan) != facts(healthy)


def test_a_worse_learning_rate_is_further_off() -> None:
    for name, sign in (("learning-rate-too-high", 1), ("learning-rate-too-low", -1), ("missing-warmup", 1)):
        factors = [1.0]
        for severity in range(SEVERITIES):
            plan = draw(random.Random(1), 1, "mlp")
            plan.rate_factor = 1.0
            FAULTS[name].change(plan, severity, random.Random(2))
            factors.append(plan.rate_factor)
        assert factors == sorted(factors, reverse=sign < 0)
        assert len(set(factors)) == 5
        assert max(factors[-1], 1 / factors[-1]) > 10


def test_only_faults_have_a_cause_and_a_severity() -> None:
    for one in ZOO:
        assert (one.fault is None) == (one.severity is None) == (one.kind not in FAULTS)
    assert not set(FAULTS) & {*ODD, *PLAYERS, HEALTHY}


def test_every_training_fits_its_data() -> None:
    assert set(RATES) == set(ARCHITECTURES)
    assert all(set(rates) == set(OPTIMIZERS) for rates in RATES.values())
    assert set(COST) < set(ARCHITECTURES)
    for one, plan in PLANS.items():
        assert plan.dataset in (*FITTING[plan.architecture], "parity"), one.name
        fault = one.fault
        if fault is not None:
            assert plan.architecture in fault.architectures, one.name
            assert not fault.datasets or plan.dataset in fault.datasets, one.name
        assert plan.learning_rate > 0
        assert 12 <= plan.steps <= 5000, one.name


def test_a_healthy_learning_rate_is_near_the_one_that_suits() -> None:
    for one, plan in PLANS.items():
        if one.kind == HEALTHY:
            softened = (plan.batch_size / 32) ** 0.6 if plan.batch_size < 32 else 1.0
            assert 0.39 < plan.rate_factor / softened < 2.0, one.name


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 12, 19, 21, 400])
def test_a_schedule_reaches_its_peak_and_no_more(name: str, steps: int) -> None:
    factor = schedule_of(name, steps)
    factors = [factor(step) for step in range(steps)]
    assert all(0 < one <= 1 + 1e-12 for one in factors)
    assert max(factors) > (0.9 if steps > 1 else 0.03)


def test_what_schedules_do() -> None:
    at = {name: [schedule_of(name, 400)(step) for step in range(400)] for name in SCHEDULES}
    assert set(at["constant"]) == {1.0}
    assert at["cosine"] == sorted(at["cosine"], reverse=True)
    assert at["cosine"][200] == pytest.approx(0.5)
    assert [at["step"][place] for place in (0, 133, 134, 266, 267, 399)] == pytest.approx([1, 1, 0.3, 0.3, 0.09, 0.09])
    rises = [place for place in range(1, 400) if at["warm-restarts"][place] > at["warm-restarts"][place - 1]]
    assert rises == [100, 200, 300]
    assert max(range(400), key=at["one-cycle"].__getitem__) == 120
    assert at["one-cycle"][0] < 0.05
    assert at["warmup-linear"][:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert at["warmup-linear"][210] == pytest.approx(0.5)
    assert at["warmup-linear"][-1] < 0.01
