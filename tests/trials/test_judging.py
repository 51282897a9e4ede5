"""From two logs to an outcome: what counts as cured, and what does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convergence_cli.model import Cause, Curve, Remedy, Run, RunReport
from convergence_cli.outcome import Ended, Execution, Trial
from convergence_cli.pipeline import diagnose
from convergence_cli.settings import Settings
from convergence_cli.trials.change import present
from convergence_cli.trials.judging import Before, judge, targets
from convergence_cli.trials.reading import Reading
from convergence_cli.trials.sides import best_of, is_no_worse

RATE, LOWERED = 0.8, 0.25
LOWER = Remedy(
    "lower-learning-rate", "learning-rate-too-high", {"learning_rate": LOWERED}, "", 0.6, {"learning_rate": RATE}
)


def run_of(loss: list[float], rate: float | None = RATE, val: list[float] | None = None, **config: Any) -> Run:
    step = np.arange(1.0, len(loss) + 1)
    curves = [Curve("loss", step, np.array(loss), "train_loss")]
    if val is not None:
        curves.append(Curve("val_loss", step, np.array(val), "val_loss"))
    if rate is not None:
        curves.append(Curve("lr", step, np.full(len(loss), rate), "learning_rate"))
    return Run("run", "run", "csv", tuple(curves), config)


def falling(steps: int, level: float = 0.1) -> list[float]:
    return [2 * math.exp(-step / 12) + level + 0.01 * math.sin(7 * step) for step in range(steps)]


def broken(steps: int, since: int = 50) -> list[float]:
    return [*falling(since, 0.3), *[math.nan] * (steps - since)]


def reported(run: Run, remedy: Remedy, *codes: str) -> RunReport:
    """The report on ``run`` with one cause, which rests on the rules ``codes``, and ``remedy`` for it."""
    cause = Cause(remedy.addresses, 0.6, "", supported_by=codes)
    return replace(diagnose(run), causes=(cause,), remedies=(remedy,))


def tried(
    after: Run,
    before: Run | None = None,
    change: Mapping[str, Any] | None = None,
    ended: Ended = "finished",
    **more: Any,
) -> Trial:
    run = before or run_of(broken(100))
    remedy = LOWER if change is None else replace(LOWER, change=change, from_={})
    report = reported(run, remedy, "LC001")
    execution = Execution(("train",), {}, "f", "f/output.txt", ended, 0, 1.0)
    basis = Before(run, report, present(run, report.remedies), Settings())
    return judge(basis, remedy, Reading(after, "f"), execution=execution, **more)


def test_a_run_that_no_longer_fails_is_cured() -> None:
    trial = tried(run_of(falling(100), LOWERED))
    assert trial.outcome == "cured"
    assert trial.cured
    assert trial.checks.reached is True
    assert all((trial.checks.ran, trial.checks.readable, trial.checks.not_failing, trial.checks.no_worse))
    assert next((one.rule, one.fate) for one in trial.findings if one.targeted) == ("LC001", "gone")
    assert trial.before is not None
    assert trial.after is not None
    assert trial.before.last_step == trial.after.last_step == 100
    assert trial.why.startswith("It is converging, LC001 non-finite-loss")


def test_a_run_that_still_fails_is_not_cured() -> None:
    trial = tried(run_of(broken(100, 70), LOWERED))
    assert (trial.outcome, trial.checks.not_failing) == ("not-cured", False)
    assert trial.why.startswith("It is still diverging: ")


def test_a_loss_that_is_worse_at_equal_steps_is_not_cured() -> None:
    trial = tried(run_of([2 + loss for loss in falling(100)], LOWERED))
    assert (trial.outcome, trial.checks.no_worse) == ("not-cured", False)
    assert "its best train_loss up to step 100 is 2.0" in trial.why


def test_equal_steps_end_with_the_shorter_and_a_trial_that_ends_before_the_fault_proves_nothing() -> None:
    trial = tried(run_of(falling(40, 0.1), LOWERED), ended="time")
    assert trial.outcome == "not-proven"
    assert trial.before is not None
    assert trial.before.last_step == 40
    assert trial.before.report.verdict.label != "diverging"
    assert "before what was wrong showed in the run. Give it longer with --budget." in trial.why


def test_too_little_to_judge_proves_nothing() -> None:
    trial = tried(run_of(falling(3), LOWERED), ended="steps")
    assert (trial.outcome, trial.checks.not_failing) == ("not-proven", None)
    assert trial.why.endswith("Give it more with --max-steps.")


def test_a_rate_that_is_logged_as_before_did_not_arrive() -> None:
    trial = tried(run_of(falling(100), RATE))
    assert (trial.outcome, trial.checks.reached) == ("not-reached", False)
    assert "it logged learning_rate 0.8, as before, and not " in trial.why
    assert "{learning_rate} or from CT_LEARNING_RATE" in trial.why


def test_a_setting_in_the_config_of_the_trial_tells_too() -> None:
    change = {"batch_size": 64}
    before = run_of(broken(100), batch_size=8)
    assert tried(run_of(falling(100), batch_size=8), before, change).outcome == "not-reached"
    assert tried(run_of(falling(100), batch_size=64), before, change).checks.reached is True
    assert tried(run_of(falling(100)), before, change).checks.reached is None


def test_a_log_that_is_the_same_value_by_value_did_not_change() -> None:
    before = run_of(broken(100), None, learning_rate=RATE)
    trial = tried(run_of(broken(60), None), before)
    assert trial.outcome == "not-reached"
    assert "the same as before, value by value" in trial.why
    # One finite value, the first, is the same for any learning rate.
    first = run_of([3.0, *[math.nan] * 50], None, learning_rate=RATE)
    assert tried(run_of([3.0, *[math.nan] * 50], None), first).outcome == "not-cured"


def test_without_any_sign_of_the_change_nothing_is_proven() -> None:
    after = run_of(falling(100), None)
    before = run_of(broken(100), None, learning_rate=RATE)
    assert tried(after, before, may_take=False).outcome == "not-proven"
    assert tried(after, before, may_take=True).outcome == "cured"
    assert tried(after, before, may_take=None).outcome == "cured"


def test_a_crash_is_never_a_cure() -> None:
    trial = tried(run_of(falling(100), LOWERED), ended="crashed")
    assert (trial.outcome, trial.checks.ran) == ("not-cured", False)


def test_a_rule_that_cannot_look_at_the_trial_proves_nothing() -> None:
    before = run_of(falling(100), None, learning_rate=RATE)
    step = np.arange(1.0, 101)
    norms = Curve("grad_norm", step, np.array([1.0] * 50 + [math.nan] * 50), "grad_norm")
    before = replace(before, curves=(*before.curves, norms))
    remedy = Remedy("change", "exploding-gradient", {"batch_size": 64}, "", 0.5)
    report = reported(before, remedy, "GR004")
    assert "GR004" in targets(report, remedy)
    basis = Before(before, report, {}, Settings())
    trial = judge(basis, remedy, Reading(run_of(falling(100, 0.05), None), "f"))
    assert (trial.outcome, trial.checks.findings_gone) == ("not-proven", None)
    assert "does not log what GR004" in trial.why


def test_stopping_early_is_judged_by_where_it_stopped() -> None:
    val = [2 * math.exp(-step / 8) + 0.5 + max(step - 30, 0) * 0.02 + 0.01 * math.sin(5 * step) for step in range(100)]
    before = run_of(falling(100), 0.01, val)
    remedy = Remedy("stop-early", "overfitting", {"early_stopping": 5}, "", 0.9)
    report = reported(before, remedy, "GN101")
    assert report.verdict.label == "overfitting"
    basis = Before(before, report, present(before, report.remedies), Settings())
    short = replace(before, curves=tuple(replace(c, step=c.step[:36], value=c.value[:36]) for c in before.curves))
    execution = Execution(("train",), {}, "f", "f/output.txt", "finished", 0, 1.0)
    trial = judge(basis, remedy, Reading(short, "f"), execution=execution)
    assert trial.outcome == "cured", trial.why


def test_targets_are_the_findings_that_the_cause_rests_on() -> None:
    report = reported(run_of(broken(100)), LOWER, "LC001", "GN101", "LC107")
    assert targets(report, LOWER) == {"LC001"}
    assert targets(report, replace(LOWER, addresses="nothing")) == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "lower", "expected"),
    [
        (1.0, 0.5, True, True),
        (1.0, 1.01, True, True),
        (1.0, 1.1, True, False),
        (-1.0, -0.99, True, True),
        (None, 5.0, True, True),
        (1.0, None, True, False),
        (None, None, True, None),
        (10.0, 12.0, False, True),
        (10.0, 8.0, False, False),
    ],
)
def test_no_worse(before: float | None, after: float | None, lower: bool, expected: bool | None) -> None:
    assert is_no_worse(before, after, lower=lower) is expected


def test_the_best_is_the_best_finite_value_up_to_the_step() -> None:
    curve = Curve("loss", np.arange(5.0), np.array([3.0, math.nan, 2.0, -math.inf, 1.0]))
    assert best_of(curve, 3) == (2.0, 2.0)
    assert best_of(curve, 9) == (1.0, 4.0)
    assert best_of(curve, -1) is None
    assert best_of(replace(curve, direction="higher"), 9) == (3.0, 0.0)
