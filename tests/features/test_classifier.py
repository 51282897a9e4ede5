"""The fitted classifier: its arithmetic against a naive one, and what is put beside the fit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from curves import evidence_of, make

from convergence_cli.features import classifier
from convergence_cli.features.classifier import COEFFICIENTS, Classified, classify, fitted
from convergence_cli.features.evidence import Evidence
from convergence_cli.model import LABELS, Curve, Run

if TYPE_CHECKING:
    from convergence_cli.features.vector import Vector

CURVES = ("exponential", "flat", "rising_validation", "collapse_to_start")


def vector_of(name: str) -> Vector:
    found = evidence_of(make(name)).vector
    assert found is not None
    return found


def judged(*values: float, goes_on: bool = False, **config: int) -> tuple[str, Classified]:
    curve = Curve("loss", np.arange(1.0, len(values) + 1), np.array(values), "train_loss")
    evidence = Evidence(Run("r", "r", "csv", (curve,), config, goes_on=goes_on))
    assert evidence.vector is not None
    return evidence.verdict.label, classify(evidence.vector, evidence.done)


def plain(vector: Vector) -> Vector:
    """The same with nothing that the thresholds would add to the fit."""
    quiet = dict(zip(vector.names, vector.values, strict=True)) | {"risen": 0.0, "jump_at_end": 0.0}
    hand = replace(vector.hand, diverging=0.0, unseen=0.0, improved=1.0)
    return replace(vector, values=tuple(quiet.values()), hand=hand)


@pytest.mark.parametrize("name", CURVES)
def test_probabilities_are_those_of_the_regression_that_the_file_describes(name: str) -> None:
    vector = plain(vector_of(name))
    data = json.loads(COEFFICIENTS.read_text())
    value = dict(zip(vector.names, vector.values, strict=True))
    scores = []
    for label in LABELS:
        score = data["intercept"][label]
        for feature, one in data["features"].items():
            score += one["weight"][label] * (value[feature] - one["mean"]) / one["scale"]
        scores.append(score if label != "overfitting" or vector.validated else -np.inf)
    oracle = np.exp(np.array(scores) - max(scores))
    assert classify(vector).probability == pytest.approx(oracle / oracle.sum(), abs=1e-9)


@pytest.mark.parametrize("name", CURVES)
def test_the_deciding_features_are_those_that_part_the_two_likeliest_labels_most(name: str) -> None:
    found = classify(vector_of(name))
    first, second = np.argsort(-np.array(found.probability))[:2]
    gain = np.array(found.share[first]) - np.array(found.share[second])
    told = [found.names.index(feature) for feature, _ in found.deciding()]
    assert len(told) <= 3
    assert all(gain[place] > 0 for place in told)
    assert sorted(gain)[-len(told) :] == pytest.approx(sorted(gain[told]))


def test_what_speaks_against_a_label_does_not_decide_for_it() -> None:
    shares = ((2.0, -1.0, 0.0), (0.5, 1.0, 0.0), (0.0,) * 3, (0.0,) * 3)
    found = Classified((0.6, 0.3, 0.1, 0.0), shares, ("speaks", "against", "neither"), (True, False, False), (0.5,) * 4)
    assert found.deciding() == [("speaks", True)]


def test_without_evaluations_there_is_no_overfitting() -> None:
    vector = vector_of("rising_validation")
    assert LABELS[classify(vector).best] == "overfitting"
    assert classify(replace(vector, validated=False)).probability[LABELS.index("overfitting")] == 0


def test_the_file_has_a_line_a_feature_and_a_probability_for_each_label() -> None:
    model = fitted()
    assert len(COEFFICIENTS.read_text().splitlines()) < 80
    assert len(model.weight) == len(model.sure) == len(model.intercept) == len(LABELS)
    assert all(0.5 <= need <= 1 for need in model.sure)


def test_what_goes_on_needs_more_to_be_called_failing_and_less_as_it_ends() -> None:
    model, stuck = fitted(), LABELS.index("stuck")
    needs = [model.needed(done)[stuck] for done in (0.01, 0.3, 0.5, 0.8, 1.0)]
    assert needs == sorted(needs, reverse=True)
    assert needs[0] > 0.95
    assert model.needed(1.0) == model.needed(None) == model.sure


def test_a_flat_beginning_of_a_plan_is_too_early_to_say() -> None:
    flat = 2.3 + 0.02 * np.random.default_rng(0).standard_normal(100)
    assert judged(*flat, max_steps=2000)[0] == "stuck"
    assert judged(*flat, goes_on=True, max_steps=2000)[0] == "undetermined"
    assert judged(*flat, goes_on=True, max_steps=100)[0] == "stuck"


@pytest.mark.parametrize(
    "values",
    [
        (2, 1.5, 1.2, 3, 9, 40),
        (2, 1.5, 1.2, 9, 400),
        (1, 1.5, 2.6, 5),
        (1, 1.5, 2.6, 5, 11),
        (*(2.3 * 0.8**t for t in range(7)), 10, 100),
        (*(2.3 * 0.8**t for t in range(9)), 10, 100, 1000),
    ],
)
def test_what_explodes_within_few_points_is_not_stuck(values: tuple[float, ...]) -> None:
    label, found = judged(*values)
    assert label == "diverging"
    assert found.probability[LABELS.index("stuck")] < 0.3


def test_one_last_point_far_above_is_too_little_to_say() -> None:
    falling = 2.3 * np.exp(-np.arange(200) / 60)
    assert judged(*falling)[0] == "converging"
    assert judged(*falling, 3000.0)[0] == "undetermined"
    assert judged(*falling, 3000.0, 9000.0)[0] == "diverging"


def test_a_verdict_that_is_undetermined_gives_its_probabilities_in_words_alone() -> None:
    values = (*(2.3 * np.exp(-np.arange(200) / 60)), 3000.0)
    curve = Curve("loss", np.arange(1.0, len(values) + 1), np.array(values), "train_loss")
    verdict = Evidence(Run("r", "r", "csv", (curve,))).verdict
    assert (verdict.label, verdict.state, verdict.confidence) == ("undetermined", "ambiguous", 0.0)
    assert verdict.probabilities is None
    found = judged(*values)[1].probability
    first, second = sorted(range(len(LABELS)), key=lambda label: -found[label])[:2]
    assert verdict.reason.endswith(f"({LABELS[first]} {found[first]:.0%}, {LABELS[second]} {found[second]:.0%}).")


def test_progress_that_noise_hides_needs_more_proof() -> None:
    vector = plain(vector_of("exponential"))
    need = LABELS.index("converging")
    hidden = replace(vector, hand=replace(vector.hand, unseen=1.0, improved=0.2))
    assert classify(hidden).sure[need] == classifier.DOUBTED > classify(vector).sure[need]


@pytest.mark.parametrize("least", [0.0, 0.3, 0.9])
def test_two_judges_of_divergence_are_a_noisy_or(least: float) -> None:
    before = np.array([0.6, 0.2, 0.1, 0.1])
    order = [["converging", "diverging", "stuck", "overfitting"].index(label) for label in LABELS]
    found = np.array(classifier._with_diverging(tuple(before[order]), least))
    diverging = LABELS.index("diverging")
    assert found.sum() == pytest.approx(1)
    assert found[diverging] == pytest.approx(1 - (1 - 0.2) * (1 - least))
    others = [k for k in range(4) if k != diverging]
    assert found[others] / found[others].sum() == pytest.approx(before[order][others] / 0.8)
