"""Fits classifiers on examples of the zoo, on all of them or on those of other architectures and data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convergence_cli.features.classifier import Fitted, from_data
from convergence_cli.model import LABELS
from zoo.examples import Example, matrix_of

STRENGTH = 0.1
# Features that a fit without them did as well without, taken away one by one (docs/classifier.md).
LEFT_OUT: frozenset[str] = frozenset()
ROUNDS, LEAST = 4, 1e-3
Split = Callable[[Example, Example], bool]


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
            train = [
                one for one in examples if one.truth.architecture != held[0] and one.truth.dataset != held[1]
            ]
        else:
            train = [one for one in examples if key(one) != held]
        yield Fold("/".join(held), train, test)


def logistic_of(rows: np.ndarray, right: np.ndarray, strength: float = STRENGTH) -> Any:
    """A multinomial logistic regression with an L2 penalty of inverse ``strength``, where several labels may be right.

    Partial labels by expectation maximisation (Jin and Ghahramani 2002, section 3): an example counts for each of its
    right labels by what the last fit thought of it.
    """
    from sklearn.linear_model import LogisticRegression

    guess = right / right.sum(1, keepdims=True)
    for _ in range(ROUNDS):
        example, label = np.nonzero(guess > LEAST)
        model = LogisticRegression(C=strength, max_iter=2000)
        model.fit(rows[example], label, sample_weight=guess[example, label])
        thought = np.full(guess.shape, LEAST)
        thought[:, model.classes_] += model.predict_proba(rows)
        guess = thought * right / (thought * right).sum(1, keepdims=True)
    return model


def coefficients_of(examples: list[Example], strength: float = STRENGTH) -> dict[str, Any]:
    """A multinomial logistic regression as the JSON that ships."""
    asked = [one for one in examples if one.vector is not None and set(one.labels) & set(LABELS)]
    rows, right = matrix_of(asked)
    assert asked[0].vector is not None
    names = asked[0].vector.names
    kept = [place for place, name in enumerate(names) if name not in LEFT_OUT]
    rows = rows[:, kept]
    mean, scale = rows.mean(0), np.maximum(rows.std(0), 1e-2)
    model = logistic_of((rows - mean) / scale, right, strength)
    weight = np.zeros((len(LABELS), len(kept)))
    intercept = np.full(len(LABELS), -30.0)
    weight[model.classes_], intercept[model.classes_] = model.coef_, model.intercept_
    return {
        "intercept": {label: round(float(intercept[k]), 4) for k, label in enumerate(LABELS)},
        "sure": dict.fromkeys(LABELS, 0.5),
        "features": {
            names[place]: {
                "mean": round(float(mean[n]), 4),
                "scale": round(float(scale[n]), 4),
                "weight": {label: round(float(weight[k, n]), 4) for k, label in enumerate(LABELS)},
            }
            for n, place in enumerate(kept)
        },
    }


def model_of(examples: list[Example], strength: float = STRENGTH) -> Fitted:
    """The same, ready for use."""
    return from_data(coefficients_of(examples, strength))
