"""The fit of causes: it finds what was put in, keeps few facts, and never sees what it is tested on."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from zoo.cause_examples import CauseExample
from zoo.cause_fitting import OF_SETTINGS, cause_folds, model_of, weights_of, without_settings

from convergence_cli.diagnosis.fitted import NONE

if TYPE_CHECKING:
    from zoo.specimen import Truth

CAUSES = (NONE, "learning-rate-too-high", "overfitting")


def examples(count: int = 240) -> list[CauseExample]:
    """Three outcomes, each with a fact of its own, and a dozen facts of noise."""
    dice = random.Random(0)
    found = []
    for number in range(count):
        cause = CAUSES[number % 3]
        facts = {f"noise_{k}": dice.gauss(0, 1) for k in range(12)} | {"val_logged": float(cause == "overfitting")}
        facts["rate_high"] = dice.gauss(2.0 if cause == CAUSES[1] else 0.0, 0.3)
        facts["val_rise"] = dice.gauss(1.0 if cause == CAUSES[2] else 0.0, 0.2)
        truth = cast("Truth", SimpleNamespace(architecture="ab"[number % 2], dataset="xyz"[number % 5 % 3]))
        found.append(CauseExample(truth, "record", cause, True, facts))
    return found


def test_the_fit_finds_what_was_put_in() -> None:
    model = model_of(examples())
    for cause, facts in zip(CAUSES, ({}, {"rate_high": 2.0}, {"val_rise": 1.0}), strict=True):
        likely = model.probabilities(facts)
        assert max(likely, key=lambda name: likely[name]) == cause


def test_few_facts_are_kept_and_none_that_only_say_what_was_logged() -> None:
    weights = weights_of(examples(), facts_a_cause=2)["facts"]
    assert {"rate_high", "val_rise"} <= set(weights)
    assert "val_logged" not in weights
    for cause in CAUSES:
        assert sum(cause in one for one in weights.values()) <= 2


def test_a_fold_has_seen_neither_architecture_nor_data_set() -> None:
    tested = []
    for train, test in cause_folds(examples(), "both"):
        held = {(one.truth.architecture, one.truth.dataset) for one in test}
        assert len(held) == 1
        ((architecture, dataset),) = held
        assert all(one.truth.architecture != architecture and one.truth.dataset != dataset for one in train)
        tested += test
    assert len(tested) == len(examples())


def test_settings_can_be_taken_away() -> None:
    bare = without_settings(examples()[1])
    assert not any(name.startswith(OF_SETTINGS) for name in bare.facts)
    assert "val_rise" in bare.facts
