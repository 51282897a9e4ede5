"""What SageMaker Debugger compares: the traces of its own deleted tests, and the examples of its documentation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from curves import Log, run_of

from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Finding, Missing, Run
from convergence_cli.rules import all_rules, apply_rules
from convergence_cli.tensor_stats import Collection, Confusion, LabelCounts, TensorRow, TreeFacts

if TYPE_CHECKING:
    from convergence_cli.features.sagemaker.losses import Fall


def losses(step: list[float], value: list[float], val: list[float] | None = None) -> Evidence:
    series = {"train_loss": (np.array(step), np.array(value))}
    if val is not None:
        series["val_loss"] = (np.array(step), np.array(val))
    return Evidence(run_of(Log(series)))


def dumped(*rows: TensorRow, **counted: list[object]) -> Evidence:
    return Evidence(Run("run", "run", "tensors", (), tensors=Collection(list(rows), **counted).stats()))  # type: ignore[arg-type]


def findings(evidence: Evidence, code: str) -> list[Finding]:
    rules = [rule for rule in all_rules() if rule.code == code]
    return list(apply_rules(evidence, rules)[0])


def falls(evidence: Evidence) -> tuple[Fall, ...]:
    (found,) = evidence.sagemaker_losses
    return found


def test_a_loss_saved_every_third_step_is_checked_at_21_against_9_and_then_at_33() -> None:
    step = [3.0 * i for i in range(14)]
    checks = [(one.step, one.before_step) for one in falls(losses(step, [1.0] * 14))]
    assert checks == [(21, 9), (33, 21)]


def test_the_trace_of_the_deleted_test_fires_at_step_12() -> None:
    evidence = losses([0, 4, 8, 12, 16], [0.30, 0.33, 0.31, 0.30, 0.28])
    assert [(one.step, one.before_step, one.percent) for one in falls(evidence)] == [(12, 0, 0.0)]
    (found,) = findings(evidence, "SM110")
    assert found.where.first_step == 12


def test_a_rise_fires_at_step_24_against_step_12() -> None:
    step = [0.0, 4, 8, 12, 16, 20, 24]
    last = falls(losses(step, [0.33, 0.33, 0.31, 0.30, 0.28, 0.20, 0.42]))[-1]
    assert (last.step, last.before_step) == (24, 12)
    assert last.percent == pytest.approx(-40)


def test_steps_that_begin_at_one_are_checked_ten_steps_on() -> None:
    found = falls(losses([float(i) for i in range(1, 31)], [2.0 - 0.01 * i for i in range(30)]))
    assert [(one.step, one.before_step) for one in found] == [(20, 10), (30, 20)]


def test_a_negative_loss_falls_when_it_falls() -> None:
    assert falls(losses([0.0, 10, 20], [-1.0, -2.0, -3.0]))[-1].percent > 0
    assert falls(losses([0.0, 10, 20], [-1.0, 0.0, 0.0]))[-1].percent == 0


def test_points_that_are_not_finite_are_left_out() -> None:
    found = falls(losses([0.0, 10, 20, 30], [3.0, 2.0, math.nan, 1.0]))
    assert [(one.step, one.value) for one in found] == [(10, 2.0), (30, 1.0)]


def test_a_short_loss_cannot_be_checked() -> None:
    missing = losses([0.0, 1, 2, 3], [4.0, 3, 2, 1]).sagemaker_losses
    assert isinstance(missing, Missing)
    assert "10 steps" in missing.reason


def test_a_gap_is_taken_over_the_training_loss_since_the_evaluation_before() -> None:
    series = {
        "train_loss": (np.arange(1.0, 7.0), np.array([9.0, 8.0, 4.0, 3.0, 1.0, 1.0])),
        "val_loss": (np.array([2.0, 4.0, 6.0]), np.array([8.5, 7.0, 0.5])),
    }
    gaps = Evidence(run_of(Log(series))).sagemaker_gaps
    assert [(one.step, one.train, one.ratio) for one in gaps] == [(2, 8.5, 0.0), (4, 3.5, 1.0), (6, 1.0, -0.5)]


def test_a_training_loss_that_is_not_above_zero_is_no_divisor() -> None:
    assert isinstance(losses([0.0, 1, 2], [-1.0, -2, -3], [1.0, 1, 1]).sagemaker_gaps, Missing)
    gaps = losses([0.0, 1, 2], [1.0, 0, -1], [2.0, 2, 2]).sagemaker_gaps
    assert [one.step for one in gaps] == [0]


def test_evaluations_without_training_between_them_share_the_last_loss() -> None:
    series = {
        "train_loss": (np.array([0.0, 1.0, 10.0]), np.array([2.0, 1.0, 0.5])),
        "val_loss": (np.array([1.0, 3.0, 5.0]), np.array([3.0, 2.0, 1.0])),
    }
    assert [one.train for one in Evidence(run_of(Log(series))).sagemaker_gaps] == [1.5, 1.0, 1.0]


def test_a_loss_waits_until_it_has_fallen_by_a_hundredth() -> None:
    waits = losses([0.0, 1, 2, 3, 4], [1.0, 0.995, 0.98, 0.975, 0.9], [1.0, 0.5, 0.5, 0.5, 0.5]).sagemaker_waits
    assert [(one.train, one.val) for one in waits] == [(0, 0), (1, 0), (0, 1), (1, 2), (0, 3)]


def weight(step: float, **numbers: float) -> TensorRow:
    return TensorRow(step, "weight", "fc1.weight", "fc1", shape=(4, 4), count=16, **numbers)


def test_a_tensor_that_stays_the_same_from_step_0_fires_at_step_2_and_not_before() -> None:
    rows = [weight(0), weight(1, close=1), weight(2, close=1), weight(3, close=0)]
    assert findings(dumped(*rows[:2]), "SM109") == []
    (found,) = findings(dumped(*rows[:3]), "SM109")
    assert found.where.first_step == 2
    assert findings(dumped(*rows), "SM109")[0].where.first_step == 2
    late = [weight(0), weight(5, close=0), weight(7, close=1), weight(30, close=1), weight(31, close=1)]
    (found,) = findings(dumped(*late), "SM109")
    assert (found.where.first_step, found.evidence["dumps"]) == (30, 4)


def test_equal_means_alone_do_not_make_a_tensor_unchanged() -> None:
    assert findings(dumped(*(weight(step, mean=0.5) for step in range(4))), "SM109") == []


def test_an_update_is_over_the_weights_before_it_guarded_by_epsilon() -> None:
    ratios = dumped(weight(0, l2=2), weight(1, l2=5, change=3), weight(2, l2=0, change=5)).sagemaker_updates
    assert ratios.largest[0].value == pytest.approx(1.5)
    (found,) = findings(dumped(weight(0, l2=0), weight(1, l2=1, change=1)), "SM106")
    assert found.evidence["ratio"] == pytest.approx(1e9)


def test_the_first_steps_end_before_step_ten() -> None:
    rows = [
        TensorRow(step, "weight", f"{name}.weight", name, shape=(4, 4), std=std)
        for step, stds in ((9, (1.0, 2.0)), (10, (1.0, 9.0)))
        for name, std in zip(("a", "b"), stds, strict=True)
    ]
    first = dumped(*rows).sagemaker_initialization
    assert first.variances.ratio == pytest.approx(4)
    assert isinstance(dumped(*rows[2:]).sagemaker_initialization, Missing)


def test_the_loss_waits_from_its_last_minimum_within_the_first_steps() -> None:
    value = [3.0, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    first = losses([float(i) for i in range(12)], value).sagemaker_initialization
    assert (first.waiting, first.waited_until) == (5, 6)


def test_labels_add_up_until_there_are_500() -> None:
    counts = [LabelCounts(step, "y", (0.0, 1.0), (200, 20 + step)) for step in range(4)]
    found = dumped(labels=counts).sagemaker_labels
    assert [(one.step, one.samples) for one in found] == [(2, 663), (3, 886)]
    missing = dumped(labels=counts[:2]).sagemaker_labels
    assert isinstance(missing, Missing)
    assert missing.reason == "needs 500 class labels, has 441"


def test_the_worst_class_is_over_its_own_samples() -> None:
    matrix = np.array([[9, 1, 0], [0, 0, 0], [3, 1, 6]])
    judged = dumped(confusions=[Confusion(7, "logits", matrix)]).sagemaker_predictions
    (one,) = judged.steps
    assert (one.class_, one.right, one.from_class, one.to_class, one.wrong) == (2, 0.6, 2, 0, 0.3)
    assert judged.total == ()


def test_matrices_that_grow_by_a_class_add_up() -> None:
    first, second = np.full((2, 2), 100), np.diag([0, 0, 200])
    judged = dumped(confusions=[Confusion(0, "p", first), Confusion(1, "p", second)]).sagemaker_predictions
    (one,) = judged.total
    assert (one.samples, one.right) == (600, 0.5)


def test_importance_is_of_the_largest_three() -> None:
    trees = [TreeFacts(5, 3, {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})]
    found = dumped(trees=trees).sagemaker_importance
    assert (found.features, found.share) == (("d", "c", "b"), 0.9)


@pytest.mark.parametrize("code", [f"SM{number}" for number in range(101, 121)])
def test_a_rule_without_its_evidence_says_what_it_needs(code: str) -> None:
    rules = [rule for rule in all_rules() if rule.code == code]
    for evidence in (Evidence(Run("run", "run", "tensors", ())), dumped()):
        found, skipped = apply_rules(evidence, rules)
        assert not found
        assert skipped[0].reason.startswith("needs ") or code == "SM107"
