"""Fits classifiers on examples of the zoo, on all of them or on those of other architectures and data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from convergence_cli.features.classifier import Fitted, from_data
from convergence_cli.model import LABELS
from zoo.examples import Example, matrix_of
from zoo.metamorphic import RESTS_ON
from zoo.signs import bounds_of

STRENGTH = 0.4
# Memberships made by hand, from the knowledge of logs that no zoo has, are penalised less.
TRUSTED = dict.fromkeys(("leaves", "overfits", "moves", "val_leaves", "val_moves"), 3.0)
ROUNDS, LEAST = 4, 1e-3
# Changed logs that are learnt from beside the logs as they were.
LEARNT = ("loss-times-7.3", "thinned", "smoothed", "no-validation", "only-validation")
# Probabilities that the labels need; the second for runs that go on, so that hardly any healthy one is called failing
# (docs/classifier.md): share of the plan until which they hold, then by label.
SURE = {"converging": 0.6, "diverging": 0.5, "stuck": 0.5, "overfitting": 0.5}
EARLY = (
    (0.4, 0.6, 0.8, 0.98, 0.85),
    (0.55, 0.6, 0.8, 0.96, 0.85),
    (0.95, 0.6, 0.6, 0.85, 0.8),
)


@dataclass(frozen=True, slots=True)
class Fold:
    """Examples to fit on, and examples of whose architecture or data set (or both) the fit has seen nothing."""

    name: str
    train: list[Example]
    test: list[Example]


def folds(examples: list[Example], by: str) -> Iterator[Fold]:
    """``by``: ``architecture``, ``dataset``, or ``both``, where the fit has seen neither of those of the test."""

    def key(one: Example) -> tuple[str, ...]:
        both = (one.truth.architecture, one.truth.dataset)
        return both if by == "both" else (getattr(one.truth, by),)

    for held in sorted({key(one) for one in examples}):
        test = [one for one in examples if key(one) == held]
        if by == "both":
            train = [one for one in examples if one.truth.architecture != held[0] and one.truth.dataset != held[1]]
        else:
            train = [one for one in examples if key(one) != held]
        yield Fold("/".join(held), train, test)


@dataclass(frozen=True, slots=True)
class Logistic:
    """Intercepts, shape (labels,), and weights, shape (features, labels)."""

    intercept: np.ndarray
    weight: np.ndarray

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities, shape (rows, labels)."""
        return softmax(rows @ self.weight + self.intercept, axis=1)


def logistic_of(rows: np.ndarray, right: np.ndarray, names: Sequence[str], strength: float = STRENGTH) -> Logistic:
    """A multinomial logistic regression with an L2 penalty of inverse ``strength``, where several labels may be right.

    Partial labels by expectation maximisation (Jin and Ghahramani 2002, section 3): an example counts for each of its
    right labels by what the last fit thought of it. Signs of the weights are bounded (``zoo.signs``); fitted by
    L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995).
    """
    count, size = right.shape[1], rows.shape[1]
    bounds = [(None, None)] * count + [pair for name in names for pair in bounds_of(name)]
    guess = right / right.sum(1, keepdims=True)
    found = np.zeros(count * (size + 1))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        intercept, weight = flat[:count], flat[count:].reshape(size, count)
        scores = rows @ weight + intercept
        log_total = logsumexp(scores, axis=1)
        value = (log_total - (guess * scores).sum(1)).sum() + (weight * weight).sum() / (2 * strength)
        error = np.exp(scores - log_total[:, None]) - guess
        slope = rows.T @ error + weight / strength
        return float(value), np.concatenate([error.sum(0), slope.ravel()])

    for _ in range(ROUNDS):
        found = minimize(loss, found, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300}).x
        model = Logistic(found[:count], found[count:].reshape(size, count))
        thought = (model.predict(rows) + LEAST) * right
        guess = thought / thought.sum(1, keepdims=True)
    return model


def is_fitted_on(one: Example) -> bool:
    """Whether the classifier learns from an example: it was asked about it, and the label still rests on the log."""
    if one.vector is None or not set(one.labels) & set(LABELS):
        return False
    return not one.change or (one.change in LEARNT and not any(one.change in RESTS_ON.get(x, ()) for x in one.labels))


def coefficients_of(examples: list[Example], strength: float = STRENGTH) -> dict[str, Any]:
    """A multinomial logistic regression as the JSON that ships."""
    asked = [one for one in examples if is_fitted_on(one)]
    rows, right = matrix_of(asked)
    assert asked[0].vector is not None
    names = asked[0].vector.names
    trust = np.array([TRUSTED.get(name, 1.0) for name in names])
    mean, scale = rows.mean(0), np.maximum(rows.std(0), 1e-2) / trust
    model = logistic_of((rows - mean) / scale, right, names, strength)
    weight, intercept = model.weight.T, model.intercept
    return {
        "intercept": {label: round(float(intercept[k]), 4) for k, label in enumerate(LABELS)},
        "sure": SURE,
        "sure_of_unfinished": [dict(zip(("until", *LABELS), row, strict=True)) for row in EARLY],
        "features": {
            name: {
                "mean": round(float(mean[n]), 4),
                "scale": round(float(scale[n]), 4),
                "weight": {label: round(float(weight[k, n]), 4) for k, label in enumerate(LABELS)},
            }
            for n, name in enumerate(names)
        },
    }


def model_of(examples: list[Example], strength: float = STRENGTH) -> Fitted:
    """The same, ready for use."""
    return from_data(coefficients_of(examples, strength))
