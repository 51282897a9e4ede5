"""The fitted weights of facts for causes: a multinomial logistic regression, shipped as ``causes.json``.

``P(cause) ~ exp(intercept + sum of weight * fact)``, with ``none`` (nothing is wrong) as one of the outcomes. Fitted by
``benchmarks/fit_causes.py`` on trainings with known faults; each cause weighs at most twenty facts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).with_name("causes.json")
NONE = "none"


@dataclass(frozen=True, slots=True)
class Fitted:
    """``intercept`` by outcome, ``weights`` by fact and then by outcome; what is not there is 0."""

    intercept: Mapping[str, float]
    weights: Mapping[str, Mapping[str, float]]

    def probabilities(self, facts: Mapping[str, float]) -> dict[str, float]:
        """The probability of each outcome, which add up to 1."""
        scores = dict(self.intercept)
        for name, value in facts.items():
            for outcome, weight in self.weights.get(name, {}).items():
                scores[outcome] += weight * value
        highest = max(scores.values())
        sizes = {outcome: math.exp(score - highest) for outcome, score in scores.items()}
        total = sum(sizes.values())
        return {outcome: size / total for outcome, size in sizes.items()}

    def contributions(
        self, facts: Mapping[str, float], outcome: str, probability: Mapping[str, float]
    ) -> dict[str, float]:
        """By how much each fact moves the log-odds of ``outcome`` against the others, as likely as these are."""
        found = {}
        rest = max(1 - probability[outcome], 1e-12)
        for name, value in facts.items():
            weights = self.weights.get(name)
            if weights:
                others = sum(probability[other] * weight for other, weight in weights.items() if other != outcome)
                found[name] = (weights.get(outcome, 0.0) - others / rest) * value
        return found


def from_data(data: Mapping[str, Any]) -> Fitted:
    """What ``causes.json`` holds, ready for use."""
    return Fitted(data["intercept"], data["facts"])


@cache
def fitted() -> Fitted:
    """The weights that ship."""
    return from_data(json.loads(WEIGHTS.read_text(encoding="utf-8")))
