"""The weights that ship, and the arithmetic on them beside a naive one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from convergence_cli.diagnosis.causes import CAUSES
from convergence_cli.diagnosis.facts.phrases import SAYS_NOTHING, phrase_of
from convergence_cli.diagnosis.fitted import NONE, WEIGHTS, Fitted, fitted, from_data
from convergence_cli.rules import all_rules

SMALL = Fitted({NONE: 1.0, "a": 0.0, "b": -0.5}, {"x": {"a": 2.0, NONE: -1.0}, "y": {"b": 1.5}})
VALUES = st.floats(-6, 6)


def test_every_cause_of_the_design_is_fitted_and_no_other() -> None:
    names = {cause.name for cause in CAUSES}
    outcomes = set(fitted().intercept)
    assert NONE in outcomes
    assert outcomes - {NONE} <= names
    assert len(outcomes) == 29


def test_each_outcome_weighs_few_facts_and_each_fact_can_be_told() -> None:
    weights = fitted().weights
    codes = {rule.code for rule in all_rules()}
    for outcome in fitted().intercept:
        assert sum(outcome in one for one in weights.values()) <= 20
    for name, one in weights.items():
        assert set(one) <= set(fitted().intercept)
        kind, _, rest = name.partition(":")
        if kind == "rule":
            assert rest.split(":")[0] in codes
        elif kind == "findings":
            assert rest in {cause.name for cause in CAUSES}
        else:
            assert phrase_of(name, 1.0) or phrase_of(name, -1.0) or name in SAYS_NOTHING, name


def test_the_file_is_what_is_used() -> None:
    assert from_data(json.loads(WEIGHTS.read_text(encoding="utf-8"))) == fitted()


@given(VALUES, VALUES)
def test_probabilities_are_a_softmax(x: float, y: float) -> None:
    found = SMALL.probabilities({"x": x, "y": y, "unknown": 3.0})
    scores = np.array([1.0 - x, 2 * x, -0.5 + 1.5 * y])
    assert list(found.values()) == pytest.approx(softmax(scores).tolist())
    assert math.fsum(found.values()) == pytest.approx(1)


@given(VALUES, VALUES)
def test_a_contribution_is_the_weight_beside_that_of_the_others(x: float, y: float) -> None:
    facts = {"x": x, "y": y}
    probability = {NONE: 0.2, "a": 0.5, "b": 0.3}
    found = SMALL.contributions(facts, "a", probability)
    assert found["x"] == pytest.approx((2.0 - 0.2 * -1.0 / 0.5) * x)
    assert found["y"] == pytest.approx((0.0 - 0.3 * 1.5 / 0.5) * y)
    sure = SMALL.contributions(facts, "a", {NONE: 0.0, "a": 1.0, "b": 0.0})
    assert all(math.isfinite(value) for value in sure.values())
