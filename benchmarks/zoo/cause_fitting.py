"""Fits the weights of facts for causes, on all examples or on those of other architectures and data sets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from convergence_cli.diagnosis.facts.phrases import SAYS_NOTHING
from convergence_cli.diagnosis.fitted import Fitted, from_data
from zoo.cause_examples import VIEWS, CauseExample

# Inverse of the L2 penalty, of the first fit and of the second, on the facts that the first found to matter.
STRENGTH, REFITTED = 0.05, 0.15
FACTS_A_CAUSE = 20
# What was written by hand, from the knowledge of runs that no zoo has, is penalised less.
TRUSTED = 2.0
# The views of one run tell much the same: together they count for little more than one run.
WEIGHT = 1.5 / len(VIEWS)
LEAST_SPREAD = 0.02
# How often a cause is met in the field beside how often the zoo has it, as far as it is known: a sign that is wrong
# is far rarer than a rate (Humbatova et al. 2020, table 2). Shifts the intercept (Saerens et al. 2002, equation 2.4).
RARER = {"wrong-loss": 0.4}
# Facts of settings begin so; the views that are also learnt from without them.
OF_SETTINGS = (
    "rate_",
    "schedule_",
    "batch_",
    "steps_",
    "passes",
    "one_step",
    "decay_",
    "dropout_",
    "adaptive",
    "rule:LR",
    "findings:learning-rate",
    "findings:missing-",
)
BARE = ("log", "log+tensors")


def cause_folds(examples: Sequence[CauseExample], by: str) -> Iterator[tuple[list[CauseExample], list[CauseExample]]]:
    """Examples to fit on and to test on; ``by``: ``architecture``, ``dataset`` or ``both``, unseen by the fit."""

    def key(one: CauseExample) -> tuple[str, ...]:
        both = (one.truth.architecture, one.truth.dataset)
        return both if by == "both" else (getattr(one.truth, by),)

    for held in sorted({key(one) for one in examples}):
        test = [one for one in examples if key(one) == held]
        train = [one for one in examples if not set(key(one)) & set(held)]
        yield train, test


def without_settings(one: CauseExample) -> CauseExample:
    """The same run had it not written its settings down: what is not known must not be taken for usual."""
    return replace(one, facts={name: value for name, value in one.facts.items() if not name.startswith(OF_SETTINGS)})


def weights_of(examples: Sequence[CauseExample], facts_a_cause: int = FACTS_A_CAUSE) -> dict[str, Any]:
    """The JSON that ships: intercepts, and weights per unit of a fact.

    A multinomial logistic regression (Hastie, Tibshirani and Friedman 2009, section 4.4) with an L2 penalty, fitted
    twice by L-BFGS: the second time each outcome keeps the facts whose standardised weights were the largest.
    """
    # What was logged says how a zoo was made, not what went wrong.
    names = sorted({name for one in examples for name in one.facts} - (SAYS_NOTHING - {"rate_known"}))
    examples = [*examples, *map(without_settings, (one for one in examples if one.view in BARE))]
    outcomes = sorted({one.cause for one in examples})
    rows = np.array([[one.facts.get(name, 0.0) for name in names] for one in examples])
    right = np.array([outcomes.index(one.cause) for one in examples])
    trust = np.array([TRUSTED if name.startswith("findings:") else 1.0 for name in names])
    scale = np.maximum(rows.std(0), LEAST_SPREAD) / trust
    _, weight = _logistic(rows / scale, right, len(outcomes), STRENGTH, None)
    rank = np.argsort(np.argsort(-np.abs(weight), axis=0), axis=0)
    intercept, weight = _logistic(rows / scale, right, len(outcomes), REFITTED, rank < facts_a_cause)
    per_unit = weight / scale[:, None]
    return {
        "intercept": {
            name: round(float(value) + math.log(RARER.get(name, 1.0)), 4)
            for name, value in zip(outcomes, intercept, strict=True)
        },
        "facts": {
            fact: {outcomes[k]: round(float(per_unit[n, k]), 4) for k in np.flatnonzero(weight[n])}
            for n, fact in enumerate(names)
            if weight[n].any()
        },
    }


def _logistic(
    rows: np.ndarray, right: np.ndarray, outcomes: int, strength: float, kept: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Intercepts, shape (outcomes,), and weights, shape (facts, outcomes), 0 where ``kept`` is False."""
    size = rows.shape[1]
    told = np.eye(outcomes)[right]
    free = [(None, None)] * outcomes
    bounds = None if kept is None else free + [(None, None) if one else (0.0, 0.0) for one in kept.ravel()]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        intercept, weight = flat[:outcomes], flat[outcomes:].reshape(size, outcomes)
        scores = rows @ weight + intercept
        total = logsumexp(scores, axis=1)
        value = WEIGHT * (total - (told * scores).sum(1)).sum() + (weight * weight).sum() / (2 * strength)
        error = WEIGHT * (np.exp(scores - total[:, None]) - told)
        return float(value), np.concatenate([error.sum(0), (rows.T @ error + weight / strength).ravel()])

    start = np.zeros(outcomes * (size + 1))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}).x
    return found[:outcomes], found[outcomes:].reshape(size, outcomes)


def model_of(examples: Sequence[CauseExample]) -> Fitted:
    """The same, ready for use."""
    return from_data(weights_of(examples))
