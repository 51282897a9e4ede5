"""How the zoo fits the classifier: against scikit-learn, with several right labels, within signs, on unseen runs."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from zoo import fitting
from zoo.examples import Example, looked_at, matrix_of
from zoo.fitting import (
    EARLY,
    LEARNT,
    SURE,
    TRUSTED,
    coefficients_of,
    folds,
    is_fitted_on,
    logistic_of,
    model_of,
)
from zoo.metamorphic import KEEPING, RESTS_ON, TAKING
from zoo.signs import SIGNS, bounds_of
from zoo.specimen import Truth
from zoo.training import Trace
from zoo.truth import Seen

from convergence_cli.features.classifier import COEFFICIENTS, classify, from_data
from convergence_cli.features.vector import Vector
from convergence_cli.model import LABELS, Curve, Run

FREE = ["free", "free", "free"]


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feature whose coefficients may have any sign; none of the product's is of the kind."""
    monkeypatch.setitem(SIGNS, "free", "????")


def run_with_validation() -> Run:
    step = np.arange(1.0, 201.0)
    dice = np.random.default_rng(0)
    loss = np.exp(-step / 60) + 0.1 + 0.01 * dice.normal(size=200)
    return Run("run", "run", "csv", (
        Curve("loss", step, loss, "train_loss"), Curve("val_loss", step[9::10], loss[9::10] + 0.1, "val_loss"),
    ))  # fmt: skip


SOME = looked_at(run_with_validation())[0]
assert SOME is not None
NAMES, HAND = SOME.names, SOME.hand


def example(
    values: np.ndarray | None, *labels: str, architecture: str = "mlp", dataset: str = "moons", change: str = ""
) -> Example:
    trace, seen = Trace([0, 10], [1.0, 0.5], [1.0, 0.5], None, 10), Seen(True, 5, 10)
    name = f"{architecture}-{dataset}"
    truth = Truth(name, "healthy", None, None, None, architecture, dataset, "Adam", "csv", labels, trace, seen)
    vector = None if values is None else Vector(NAMES, tuple(map(float, values)), HAND, validated=True)
    return Example(truth, 1.0, labels, vector, "stuck" if values is None else None, None, change)


def blobs(count: int, size: int, seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows around a centre a label, and the labels."""
    dice = np.random.default_rng(seed)
    centres = dice.normal(size=(4, size))
    label = np.arange(count) % 4
    return centres[label] + spread * dice.normal(size=(count, size)), label


@pytest.mark.parametrize("strength", [0.01, 0.4, 100.0])
@pytest.mark.parametrize("size", [1, 5])
def test_with_one_label_each_and_no_sign_it_is_scikit_learns(strength: float, size: int) -> None:
    rows, label = blobs(300, size, seed=size)
    label[:40] = 0
    model = logistic_of(rows, np.eye(4)[label], FREE[:1] * size, strength)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        oracle = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(rows, label)
    np.testing.assert_allclose(model.predict(rows), oracle.predict_proba(rows), atol=2e-3)
    centred = model.weight.T - model.weight.T.mean(0)
    np.testing.assert_allclose(centred, oracle.coef_ - oracle.coef_.mean(0), atol=5e-3)


def test_it_is_where_naive_descent_ends_with_signs_and_several_labels() -> None:
    rows, label = blobs(120, 3, seed=8)
    right = np.eye(4)[label]
    right[::3, 2] = 1
    names = ["fall", "rise", "free"]
    low, high = (
        np.array([[bound if bound is not None else other for bound in column] for column in columns])
        for other, columns in (
            (-np.inf, [[pair[0] for pair in bounds_of(name)] for name in names]),
            (np.inf, [[pair[1] for pair in bounds_of(name)] for name in names]),
        )
    )
    model = logistic_of(rows, right, names, 0.4)
    # The same rounds, each by a thousand projected steps of plain gradient descent.
    weight, intercept = np.zeros((3, 4)), np.zeros(4)
    guess = right / right.sum(1, keepdims=True)
    for _ in range(fitting.ROUNDS):
        for _ in range(1500):
            error = softmax(rows @ weight + intercept, axis=1) - guess
            weight = np.clip(weight - 0.01 * (rows.T @ error + weight / 0.4), low, high)
            intercept = intercept - 0.01 * error.sum(0)
        thought = (softmax(rows @ weight + intercept, axis=1) + fitting.LEAST) * right
        guess = thought / thought.sum(1, keepdims=True)
    np.testing.assert_allclose(model.weight, weight, atol=5e-3)
    np.testing.assert_allclose(model.predict(rows), softmax(rows @ weight + intercept, axis=1), atol=2e-3)
    assert ((weight == low) | (weight == high)).any()


def test_probabilities_are_shares() -> None:
    rows, label = blobs(100, 2, seed=3)
    model = logistic_of(rows, np.eye(4)[label], FREE[:2], 0.4)
    assert model.weight.shape == (2, 4)
    assert model.intercept.shape == (4,)
    found = model.predict(1e3 * rows)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), 1.0)


def boundary(right: np.ndarray, rows: np.ndarray) -> float:
    """Where the first two labels are equally likely on the first axis."""
    model = logistic_of(rows, right, FREE[:1], 10.0)
    (weight,) = model.weight[:, 1] - model.weight[:, 0]
    return float((model.intercept[0] - model.intercept[1]) / weight)


def test_several_right_labels_leave_the_boundary_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(1)
    rows = dice.uniform(-3, 3, (400, 1))
    second = dice.random(400) < 1 / (1 + np.exp(-4 * (rows[:, 0] - 0.7)))
    right = np.stack([~second, second, 0 * second, 0 * second], 1).astype(float)
    known = boundary(right, rows)
    assert known == pytest.approx(0.7, abs=0.1)
    # A third of those below may as well be called what those above are: who takes the labels at half each is misled.
    partial = right.copy()
    partial[(dice.random(400) < 0.3) & ~second, 1] = 1
    assert boundary(partial, rows) == pytest.approx(known, abs=0.15)
    with monkeypatch.context() as once:
        once.setattr(fitting, "ROUNDS", 1)
        assert boundary(partial, rows) < known - 0.4
    # In a zone around it either is right.
    zone = right.copy()
    zone[np.abs(rows[:, 0] - 0.7) < 0.8, :2] = 1
    assert boundary(zone, rows) == pytest.approx(known, abs=0.15)


def test_a_label_that_is_never_right_is_never_thought_likely() -> None:
    rows, label = blobs(200, 3, seed=2)
    right = np.eye(4)[label % 3]
    right[::2, 0] = 1
    assert logistic_of(rows, right, FREE[:3], 1.0).predict(rows)[:, 3].max() < 0.05


def random_examples(count: int, seed: int = 0) -> list[Example]:
    dice = np.random.default_rng(seed)
    direction = dice.normal(size=(len(NAMES), 4))
    found = []
    for _ in range(count):
        values = dice.normal(size=len(NAMES))
        label = int(np.argmax(values @ direction))
        found.append(example(values, LABELS[label], *([LABELS[(label + 1) % 4]] if dice.random() < 0.2 else [])))
    return found


EXAMPLES = random_examples(150)


@pytest.fixture(scope="module")
def coefficients() -> dict[str, Any]:
    return coefficients_of(EXAMPLES)


def test_coefficients_keep_their_signs_where_the_data_speak_against_them(
    coefficients: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(weights: dict[str, dict[str, float]]) -> Iterator[tuple[str, str]]:
        for name, of in weights.items():
            for label, (low, high) in zip(LABELS, bounds_of(name), strict=True):
                if (low is not None and of[label] < low) or (high is not None and of[label] > high):
                    yield name, label

    assert list(broken({name: one["weight"] for name, one in coefficients["features"].items()})) == []
    monkeypatch.setattr(fitting, "bounds_of", lambda name: [(None, None)] * 4)
    unbound = coefficients_of(EXAMPLES)["features"]
    assert len(list(broken({name: one["weight"] for name, one in unbound.items()}))) > 20


def test_coefficients_are_what_the_product_reads(coefficients: dict[str, Any]) -> None:
    data = coefficients
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [*data["features"]] == [*NAMES]
    assert [*data["intercept"]] == [*LABELS]
    model = from_data(data)
    rows, right = matrix_of(EXAMPLES)
    mean = rows.mean(0)
    scale = rows.std(0) / [TRUSTED.get(name, 1.0) for name in NAMES]
    np.testing.assert_allclose(model.mean, mean, atol=1e-4)
    np.testing.assert_allclose(model.scale, scale, atol=1e-4)
    # The rounded numbers of the file say what the fit said, by the product's own arithmetic.
    fit = logistic_of((rows - mean) / scale, right, NAMES)
    expected = fit.predict((rows - mean) / scale)
    for one, probability in zip(EXAMPLES[:50], expected, strict=False):
        assert one.vector is not None
        assert classify(one.vector, None, model).probability == pytest.approx(probability, abs=2e-3)
    hits = expected.argmax(1) == [LABELS.index(one.labels[0]) for one in EXAMPLES]  # type: ignore[arg-type]
    assert hits.mean() > 0.5


def test_a_stronger_penalty_makes_smaller_weights() -> None:
    sizes = [
        sum(weight**2 for one in features.values() for weight in one["weight"].values())
        for features in (coefficients_of(EXAMPLES, strength)["features"] for strength in (0.001, 0.1))
    ]
    assert sizes[0] < 0.1 * sizes[1]


def test_probabilities_that_labels_need_by_the_share_of_the_plan(coefficients: dict[str, Any]) -> None:
    model = model_of(EXAMPLES)
    assert model == from_data(coefficients)
    assert model.needed(None) == model.needed(1.0) == tuple(SURE[label] for label in LABELS)
    before = 0.0
    for until, *sure in EARLY:
        assert until > before
        assert model.needed((before + until) / 2) == tuple(sure)
        # Nobody needs less of a failing run that goes on.
        assert all(early >= SURE[label] for label, early in zip(LABELS, sure, strict=True))
        before = until
    assert before <= 1


def test_what_is_learnt_from() -> None:
    values = np.zeros(len(NAMES))
    assert is_fitted_on(example(values, "converging"))
    assert not is_fitted_on(example(None, "converging"))
    assert not is_fitted_on(example(values, "undetermined"))
    assert is_fitted_on(example(values, "stuck", "undetermined"))
    for change in (*KEEPING, *TAKING):
        assert is_fitted_on(example(values, "converging", change=change)) == (change in LEARNT)
        rests = change in RESTS_ON["overfitting"]
        assert is_fitted_on(example(values, "overfitting", change=change)) == (change in LEARNT and not rests)
    assert set(LEARNT) <= {*KEEPING, *TAKING}


def test_only_examples_that_are_learnt_from_change_the_fit() -> None:
    odd = [example(None, "stuck"), example(np.full(len(NAMES), 5.0), "stuck", change="restart")]
    assert coefficients_of(EXAMPLES[:40] + odd) == coefficients_of(EXAMPLES[:40])
    more = [example(np.full(len(NAMES), 5.0), "stuck", change="thinned")]
    assert coefficients_of(EXAMPLES[:40] + more) != coefficients_of(EXAMPLES[:40])


def test_every_feature_has_a_sign_and_every_sign_a_feature() -> None:
    assert set(SIGNS) - {"free"} == set(NAMES)
    assert len(NAMES) == len(set(NAMES))
    assert set(TRUSTED) <= set(NAMES)
    # The same features, whatever the log has.
    for kept in (run_with_validation().curves[:1], run_with_validation().curves[1:]):
        vector = looked_at(Run("run", "run", "csv", kept))[0]
        assert vector is not None
        assert vector.names == NAMES


def test_signs_are_bounds() -> None:
    for name, signs in SIGNS.items():
        assert len(signs) == len(LABELS), name
        assert set(signs) <= set("+-0?"), name
    assert bounds_of("rise") == [(None, 0.0), (0.0, None), (None, 0.0), (None, 0.0)]
    assert bounds_of("fall") == [(0.0, None), (None, 0.0), (None, 0.0), (None, None)]
    assert bounds_of("free") == [(None, None)] * 4


ARCHITECTURES, DATASETS = ("mlp", "gru", "cnn"), ("moons", "text", "wine")
MANY = [
    example(np.zeros(len(NAMES)), "stuck", architecture=architecture, dataset=dataset, change=change)
    for architecture, dataset in product(ARCHITECTURES, DATASETS)
    if (architecture, dataset) != ("cnn", "wine")
    for change in ("", "thinned")
]


@pytest.mark.parametrize("by", ["architecture", "dataset", "both"])
def test_a_fold_shares_nothing_with_what_is_fitted_on(by: str) -> None:
    found = list(folds(MANY, by))
    assert len(found) == (8 if by == "both" else 3)
    assert len({fold.name for fold in found}) == len(found)
    tested = [id(one) for fold in found for one in fold.test]
    assert sorted(tested) == sorted(map(id, MANY))
    for fold in found:
        assert fold.train
        for what in ("architecture", "dataset") if by == "both" else (by,):
            train, test = ({getattr(one.truth, what) for one in part} for part in (fold.train, fold.test))
            assert not train & test
            assert len(test) == 1
        if by != "both":
            assert len(fold.train) + len(fold.test) == len(MANY)


def test_what_ships_keeps_the_signs_and_has_the_features_of_the_zoo() -> None:
    data = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    assert [*data["features"]] == [*NAMES]
    for name, one in data["features"].items():
        assert one["scale"] > 0
        for label, (low, high) in zip(LABELS, bounds_of(name), strict=True):
            weight = one["weight"][label]
            assert math.isfinite(weight)
            assert low is None or weight >= low, (name, label)
            assert high is None or weight <= high, (name, label)
    assert data["sure"] == SURE
    assert [tuple(row.values()) for row in data["sure_of_unfinished"]] == [*EARLY]
