"""The ranking of causes: shares, what cannot be, what is told beside it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cli.diagnosis.fitted import NONE, Fitted
from convergence_cli.diagnosis.noisy_or import Opinion
from convergence_cli.diagnosis.rank import BY_HAND, MOST, MOST_PROBABLE, SHOWN_FROM, probabilities_of, rank_causes

RATE, FIT, SPLIT = "learning-rate-too-high", "overfitting", "data-leakage"
WEIGHTS = Fitted(
    {NONE: 1.0, RATE: 0.0, FIT: 0.0, SPLIT: -1.0},
    {
        "rule:LR101": {RATE: 2.0},
        "rule:GN101": {FIT: 3.0, RATE: -1.0},
        "rate_high": {RATE: 1.5},
        "val_rise": {FIT: 1.0, RATE: -2.0},
    },
)


@given(st.dictionaries(st.sampled_from(["rule:LR101", "rule:GN101", "rate_high", "val_rise"]), st.floats(0, 6)))
def test_probabilities_add_up_to_one_with_a_share_of_the_findings_alone(facts: dict[str, float]) -> None:
    found = probabilities_of(facts, WEIGHTS)
    assert math.fsum(found.values()) == pytest.approx(1)
    # Without a finding that share is for nothing being wrong.
    assert found[NONE] >= BY_HAND * 0.999
    told = probabilities_of({**facts, f"findings:{RATE}": 0.8}, WEIGHTS)
    assert told[RATE] == pytest.approx(found[RATE] + BY_HAND * 0.8)


def test_what_a_cause_cannot_bring_about_speaks_against_it_for_good() -> None:
    sure = probabilities_of({"verdict:diverging": 1.0, "rule:GN101": 1.0}, WEIGHTS)
    assert sure[SPLIT] == 0
    half = probabilities_of({"verdict:diverging": 0.5, "rule:GN101": 1.0}, WEIGHTS)
    assert half[SPLIT] > 0
    # A run that surely fails is not healthy, whatever the fit says.
    assert sure[NONE] == pytest.approx(BY_HAND)


def test_causes_come_likeliest_first_with_what_speaks_for_and_against() -> None:
    facts = {"rule:LR101": 0.9, "rate_high": 2.0, "val_rise": 0.5, f"findings:{RATE}": 0.8}
    ranking = rank_causes(facts, {RATE: Opinion(0.8, ("LR101",), ("LR102",))}, WEIGHTS)
    first = ranking.causes[0]
    assert first.name == RATE
    assert first.supported_by == ("LR101",)
    assert first.contradicted_by == ("LR102",)
    assert first.because[0] == "the learning rate is above what is usual for the optimizer"
    assert first.despite == ("validation has risen since its best",)
    assert [one.probability for one in ranking.causes] == sorted((c.probability for c in ranking.causes), reverse=True)
    assert all(SHOWN_FROM <= one.probability <= MOST_PROBABLE for one in ranking.causes)
    assert len(ranking.causes) <= MOST


def test_what_is_there_is_not_asked_for() -> None:
    bare = rank_causes({"rate_high": 3.0}, {}, WEIGHTS).causes[0]
    dumped = rank_causes({"rate_high": 3.0, "dumped": 1.0, "norm_logged": 1.0}, {}, WEIGHTS).causes[0]
    assert {"log the gradient norm at every step"} <= set(bare.would_confirm) - set(dumped.would_confirm)
    assert any("recorder" in wanted for wanted in bare.would_confirm)
    assert not any("recorder" in wanted for wanted in dumped.would_confirm)


def test_a_cause_that_was_not_fitted_takes_as_much_as_it_is_sure_of() -> None:
    facts = {"rate_high": 2.0}
    alone = rank_causes(facts, {}, WEIGHTS)
    beside = rank_causes(facts, {"unsynchronized-replicas": Opinion(0.9, ("DI101",), ())}, WEIGHTS)
    assert beside.causes[0].name == "unsynchronized-replicas"
    assert beside.causes[0].supported_by == ("DI101",)
    assert beside.healthy == pytest.approx(0.1 * alone.healthy)
    unsure = rank_causes(facts, {"unsynchronized-replicas": Opinion(0.1, ("DI101",), ())}, WEIGHTS)
    assert unsure.causes == alone.causes
