"""Causes and remedies on runs made for them: reachable, plausible, free of contradiction, always the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from curves import Log, every, falling, knotted, make, run_of
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_cases import cases, run_of_case

from convergence_cli.codec import plain
from convergence_cli.diagnosis import explain, facts_and_opinions
from convergence_cli.diagnosis.catalogue import REMEDIES
from convergence_cli.diagnosis.causes import CAUSES
from convergence_cli.diagnosis.rank import MOST, SHOWN_FROM
from convergence_cli.diagnosis.values import rounded
from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Cause, Finding, Remedy, Run
from convergence_cli.rules import all_rules, apply_rules
from convergence_cli.selection import select_rules

Answer = tuple[Evidence, tuple[Finding, ...], tuple[Cause, ...], tuple[Remedy, ...]]

# The change keys that scripts may rely on (DESIGN section 5), and the additions to them.
CHANGE_KEYS = {
    *("learning_rate", "optimizer", "momentum", "batch_size", "epochs", "max_steps", "warmup_steps", "lr_schedule"),
    *("gradient_clip_norm", "activation", "weight_init", "bias_init", "normalization", "residual", "dropout"),
    *("weight_decay", "early_stopping", "data_augmentation", "class_weight", "input_normalization", "precision"),
    *("target_normalization", "output", "loss", "zero_grad", "resume_from_step", "skip_batches", "beta2", "z_loss"),
    *("skip_nonfinite", "trainable", "gradient_staleness", "labels", "inputs", "split", "sampling", "hidden_width"),
    *("replicas", "batching"),
}


def _diagnosed(what: Log | Run) -> Answer:
    evidence = Evidence(run_of(what) if isinstance(what, Log) else what)
    findings, _ = apply_rules(evidence, select_rules(all_rules()))
    return evidence, findings, *explain(findings, evidence)


@cache
def every_case() -> dict[str, Answer]:
    """The diagnosis of every case that the rules have, firing or not."""
    return {
        f"{code}: {case['why']}": _diagnosed(run_of_case(case))
        for code, file in cases().items()
        for kind in ("fires", "silent")
        for case in file[kind]
    }


def _remedy(answer: Answer, name: str) -> Remedy:
    found = [remedy for remedy in answer[3] if remedy.name == name]
    assert found, f"no {name} among {[remedy.name for remedy in answer[3]]}"
    return found[0]


def _value(what: Log, name: str) -> tuple[dict[str, Any], str]:
    """Change and reason of a remedy for a run, whether or not its cause is likely."""
    evidence, findings, _, _ = _diagnosed(what)
    facts, _ = facts_and_opinions(findings, evidence)
    value = next(model for model in REMEDIES if model.name == name).value(evidence, facts)
    assert value is not None
    return value


def test_every_cause_is_reached_by_some_run() -> None:
    reached = {cause.name for answer in every_case().values() for cause in answer[2]}
    # No case of a rule shows it: the price of right answers does.
    assert {model.name for model in CAUSES} - reached <= {"redundant-softmax"}


def test_what_supports_and_contradicts_a_cause_are_rules_that_exist() -> None:
    codes = {rule.code for rule in all_rules()}
    sides: dict[str, set[str]] = {}
    for answer in every_case().values():
        for found in answer[1]:
            sides.setdefault(found.rule, set()).add(str(found.evidence.get("side")))
    for model in CAUSES:
        for key, weight in (*model.supports.items(), *model.against.items()):
            code, _, side = key.partition(":")
            if code.isupper():
                assert code in codes, f"{model.name}: {key}"
                assert not side or side in sides[code], f"{model.name}: no case has {key}"
            assert weight > 0
        assert all(weight < 1 for weight in model.supports.values())
        assert model.explanation.endswith(".")
        assert model.would_confirm
    assert len({model.name for model in CAUSES}) == len(CAUSES)


@pytest.mark.parametrize("name", every_case())
def test_causes_and_remedies_are_sound(name: str) -> None:
    _, findings, causes, remedies = every_case()[name]
    fired = {found.rule for found in findings}
    assert len(causes) <= MOST
    assert [c.probability for c in causes] == sorted((c.probability for c in causes), reverse=True)
    for cause in causes:
        assert SHOWN_FROM <= cause.probability <= 1
        assert cause.supported_by or cause.because or cause.probability < 0.25
        assert set(cause.supported_by) | set(cause.contradicted_by) <= fired
    assert {remedy.addresses for remedy in remedies} <= {cause.name for cause in causes}
    assert [r.confidence for r in remedies] == sorted((r.confidence for r in remedies), reverse=True)
    assert len({remedy.name for remedy in remedies}) == len(remedies)
    keys = [key for remedy in remedies for key in remedy.change]
    assert len(set(keys)) == len(keys), "one key is changed twice"
    assert set(keys) <= CHANGE_KEYS
    for remedy in remedies:
        assert remedy.change or remedy.why.startswith("No value")
        assert remedy.why.endswith(".")
        assert 0 < remedy.confidence <= min(sum(cause.probability for cause in causes), 1)
        assert plain(remedy.change) == dict(remedy.change), "not plain JSON data"


@pytest.mark.parametrize("name", every_case())
def test_values_are_plausible(name: str) -> None:
    evidence, _, _, remedies = every_case()[name]
    names = {remedy.name for remedy in remedies}
    assert not {"lower-learning-rate", "raise-learning-rate"} <= names
    changes: dict[str, Any] = {key: value for remedy in remedies for key, value in remedy.change.items()}
    rate, log_end = evidence.learning_rate, evidence.loss
    if "learning_rate" in changes and rate is not None:
        lower = bool({"lower-learning-rate", "mend-schedule"} & names)
        assert (changes["learning_rate"] < rate.schedule.peak) == lower
        assert changes["learning_rate"] > 0
    if "gradient_clip_norm" in changes and evidence.grad_norm is not None:
        values = evidence.run.curve("grad_norm").value  # type: ignore[union-attr]
        finite = values[np.isfinite(values)]
        assert 0 < changes["gradient_clip_norm"] <= 1.05 * finite.max()
    if "resume_from_step" in changes:
        since = evidence.verdict.since_step
        assert since is not None
        assert log_end is not None
        assert log_end.curve.step[0] < changes["resume_from_step"] <= since
    if "early_stopping" in changes:
        assert isinstance(changes["early_stopping"], int)
        assert 3 <= changes["early_stopping"] <= 25
    if "warmup_steps" in changes:
        assert isinstance(changes["warmup_steps"], int)
        assert changes["warmup_steps"] > 0


def test_the_order_of_findings_does_not_change_the_causes() -> None:
    for evidence, findings, causes, remedies in every_case().values():
        assert explain(tuple(reversed(findings)), evidence) == (causes, remedies)


def test_of_two_findings_of_one_rule_the_surer_one_counts() -> None:
    log = make("nan_tail", 0)
    step = log.series["loss"][0]
    alone = _diagnosed(log)[2]
    val = knotted(step, [[0, np.nan], [0.01, np.nan], [0.01, 2], [1, 0.5]])
    both = _diagnosed(Log({**log.series, "val_loss": (step, val)}))
    assert [f.severity for f in both[1] if f.rule == "LC001"] == ["error", "note"]
    overflow = [[c.probability for c in causes if c.name == "numerical-overflow"] for causes in (alone, both[2])]
    assert overflow[1] >= overflow[0]


def test_the_same_run_gets_the_same_answer() -> None:
    case = cases()["GR002"]["fires"][1]
    first, second = _diagnosed(run_of_case(case)), _diagnosed(run_of_case(case))
    assert first[1:] == second[1:]


def test_a_healthy_run_has_no_remedy_that_costs() -> None:
    step = every(200, 199)
    log = make("exponential", 0, rate=8.0)
    healthy = Log({**log.series, "lr": (step, knotted(step, [[0, 0.1], [1, 0.001]]))}, {"optimizer": "sgd"})
    _, findings, _, remedies = _diagnosed(healthy)
    assert [f.rule for f in findings if f.severity != "note"] == []
    assert not any("learning_rate" in remedy.change for remedy in remedies)


def _with(log: Log, config: dict[str, Any] | None = None, **knots: list[list[float]]) -> Log:
    step = next(iter(log.series.values()))[0]
    added = {name: (step, knotted(step, drawing)) for name, drawing in knots.items()}
    return Log({**log.series, **added}, {**log.config, **(config or {})})


@pytest.mark.parametrize("source", ["log", "config"])
def test_a_rate_that_diverges_is_lowered_from_where_it_is(source: str) -> None:
    log = make("rise_after_half", 0)
    log = _with(log, lr=[[0, 0.1], [1, 0.1]]) if source == "log" else _with(log, {"learning_rate": 0.1})
    remedy = _remedy(_diagnosed(log), "lower-learning-rate")
    assert 0.005 <= remedy.change["learning_rate"] <= 0.05
    assert remedy.from_ == {"learning_rate": 0.1}
    assert "0.1" in remedy.why


def test_the_rate_before_a_jump_is_the_one_to_go_back_to() -> None:
    log = _with(make("rise_after_half", 0), lr=[[0, 0.01], [0.5, 0.01], [0.5, 0.1], [1, 0.1]])
    assert _value(log, "mend-schedule")[0] == {"learning_rate": 0.01, "lr_schedule": "cosine"}


def test_a_rate_too_low_is_raised_up_to_what_is_usual() -> None:
    answer = _diagnosed(_with(make("flat", 0), {"optimizer": "adam", "learning_rate": 1e-8}))
    assert answer[2][0].name == "learning-rate-too-low"
    value = _remedy(answer, "raise-learning-rate").change["learning_rate"]
    assert 1e-8 < value <= 3e-3


def test_the_clip_norm_is_the_ninetieth_percentile_while_the_loss_fell() -> None:
    log = make("rise_after_half", 0)
    step = log.series["loss"][0]
    norm = np.random.default_rng(0).uniform(1, 2, len(step)) * np.where(step > 160, 300.0, 1.0)
    value = _value(Log({**log.series, "grad_norm": (step, norm)}), "clip-gradients")[0]["gradient_clip_norm"]
    assert value == pytest.approx(1.9, abs=0.05)


def test_patience_grows_with_the_noise_of_validation() -> None:
    patience = [
        _remedy(_diagnosed(make("rising_validation", 1, noise=noise, rise=1.5)), "stop-early").change["early_stopping"]
        for noise in (0.005, 0.06)
    ]
    assert patience[0] <= patience[1]


def test_an_unnormalised_weight_decay_is_raised_from_its_value() -> None:
    log = make("rising_validation", 0)
    answer = _diagnosed(Log(log.series, {**log.config, "weight_decay": 0.02}))
    remedy = _remedy(answer, "raise-weight-decay")
    assert remedy.change == {"weight_decay": 0.06}
    assert remedy.from_ == {"weight_decay": 0.02}


def test_a_weight_decay_at_the_top_is_not_lowered_in_the_name_of_raising_it() -> None:
    log = make("rising_validation", 0)
    names = [remedy.name for remedy in _diagnosed(Log(log.series, {**log.config, "weight_decay": 0.5}))[3]]
    assert "raise-weight-decay" not in names


@pytest.mark.parametrize("planned", [-1, float("inf"), "many", True])
def test_a_planned_length_that_is_none_is_passed_over(planned: object) -> None:
    # The Trainer of Hugging Face writes max_steps = -1 where epochs count.
    drawing = [[0, 2.3], [0.03, 2.2], [0.08, 20], [1, 30]]
    log = _with(make("drawn", 0, knots=drawing), {"max_steps": planned}, lr=[[0, 0.1], [1, 0.001]])
    assert _value(log, "add-warmup")[1].startswith("A twentieth of 199 steps")


@pytest.mark.parametrize(
    ("config", "change"),
    [
        ({"x": "epoch"}, ("epochs", 300)),
        ({"epochs": 7}, ("epochs", 7)),
        ({}, ("max_steps", 299)),
    ],
)
def test_training_longer_is_in_the_unit_of_the_run(config: dict[str, Any], change: tuple[str, int]) -> None:
    log = _with(make("exponential", 0, rate=1.0), config)
    key, now = change
    longer, why = _value(log, "train-longer")
    assert list(longer) == [key]
    assert longer[key] % now == 0
    assert 2 <= longer[key] // now <= 10
    assert f"{longer[key] // now} times as long" in why


def test_the_warm_up_covers_the_instability() -> None:
    drawing = [[0, 2.3], [0.03, 2.2], [0.08, 20], [1, 30]]
    log = _with(make("drawn", 0, knots=drawing), {"max_steps": 2000}, lr=[[0, 0.1], [1, 0.001]])
    evidence, change = _diagnosed(log)[0], _value(log, "add-warmup")[0]
    since = evidence.verdict.since_step
    assert since is not None
    assert change["warmup_steps"] >= 2 * since
    assert change["warmup_steps"] >= 100


def test_without_a_known_rate_no_number_is_invented() -> None:
    remedy = _remedy(_diagnosed(make("rise_after_half", 0)), "lower-learning-rate")
    assert remedy.change == {}
    assert remedy.why.startswith("No value")


def test_raising_and_lowering_the_rate_are_never_proposed_together() -> None:
    names = [remedy.name for remedy in _diagnosed(make("at_chance", 0, start=0.05))[3]]
    assert len({"raise-learning-rate", "lower-learning-rate"} & set(names)) <= 1


def test_a_negative_or_a_tiny_loss_still_gets_finite_values() -> None:
    for log in (
        Log({"loss": (every(100, 99), -falling(100, 40.0, 3.0))}),
        Log({"loss": (every(100, 99), 1e-9 * np.geomspace(1, 500, 100))}, {"learning_rate": 1e-4}),
    ):
        for remedy in _diagnosed(log)[3]:
            assert all(not isinstance(v, float) or np.isfinite(v) for v in remedy.change.values())


@settings(max_examples=80, deadline=None)
@given(st.floats(1e-12, 1e12), st.integers(1, 4))
def test_rounding_keeps_so_many_digits(value: float, digits: int) -> None:
    assert rounded(value, digits) == pytest.approx(float(f"{value:.{digits - 1}e}"), rel=10.0 ** (1 - digits))
    assert len(f"{rounded(value, digits):e}".split("e")[0].replace(".", "").rstrip("0")) <= digits


def test_rounding_leaves_alone_what_has_no_digits() -> None:
    assert rounded(0.0) == 0.0
    assert rounded(float("inf")) == float("inf")
