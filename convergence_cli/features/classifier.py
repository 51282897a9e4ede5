"""The classifier of loss curves: a multinomial logistic regression, fitted on real trainings with known faults.

The coefficients lie in ``classifier.json``, which ``make fit-classifier`` writes; docs/classifier.md tells how it was
fitted, compared and calibrated. Multinomial logistic regression: Hastie, Tibshirani and Friedman, The Elements of
Statistical Learning (2009), section 4.4.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convergence_cli.features.vector import SHARE
from convergence_cli.model import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convergence_cli.features.memberships import Judgement
    from convergence_cli.features.vector import Vector

COEFFICIENTS = Path(__file__).with_name("classifier.json")
# From this membership of the thresholds made by hand on, a loss has plainly left its best: logs often end within a few
# rows of an explosion, and so few points move no other feature. The second holds for a run that is known to go on.
PLAIN, PLAIN_SO_FAR = 0.85, 0.95
# What noise hides is no evidence of progress: converging then needs this probability.
AS_GOOD_AS_FLAT, DOUBTED = 0.45, 0.8
# After a last point far above all before, one point is too little to say.
AFTER_JUMP = 0.99
# What has risen by 15 % beyond its noise (on the scale of ``vector.py``) and ends there, or trends upwards by 1.5
# deviates, has moved: it is not stuck.
RISEN, RISING = math.asinh(0.15 / SHARE), math.asinh(-1.5)
STUCK = LABELS.index("stuck")
CONVERGING, DIVERGING = LABELS.index("converging"), LABELS.index("diverging")
OVERFITTING = LABELS.index("overfitting")


@dataclass(frozen=True, slots=True)
class Fitted:
    """Coefficients: ``weight[label][feature]`` multiplies (value - ``mean``) / ``scale``.

    ``sure``: the probability that each label needs, lest the verdict be undetermined. ``early``: the same while less
    than a share of the planned training is done, in rising order of the share.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[tuple[float, ...], ...]
    intercept: tuple[float, ...]
    sure: tuple[float, ...]
    early: tuple[tuple[float, tuple[float, ...]], ...] = ()

    def needed(self, done: float | None) -> tuple[float, ...]:
        """The probabilities that the labels need when the share ``done`` of the training is over (None: unknown)."""
        if done is not None:
            for until, sure in self.early:
                if done < until:
                    return sure
        return self.sure


@dataclass(frozen=True, slots=True)
class Classified:
    """Probabilities of ``LABELS`` in their order, and what each feature added to the score of each label.

    ``low``: whether each feature lies below what is usual.
    """

    probability: tuple[float, ...]
    share: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    low: tuple[bool, ...]
    sure: tuple[float, ...]

    @property
    def best(self) -> int:
        """The number of the likeliest label."""
        return max(range(len(LABELS)), key=lambda label: self.probability[label])

    @property
    def is_sure(self) -> bool:
        """Whether the likeliest label is likely enough to be given."""
        return self.probability[self.best] >= self.sure[self.best]

    def deciding(self, count: int = 3) -> list[tuple[str, bool]]:
        """The features that speak most for the likeliest label, against the next one, and whether by being low."""
        first, second = sorted(range(len(LABELS)), key=lambda label: -self.probability[label])[:2]
        gain = [a - b for a, b in zip(self.share[first], self.share[second], strict=True)]
        order = sorted(range(len(gain)), key=lambda place: -gain[place])
        return [(self.names[place], self.low[place]) for place in order[:count] if gain[place] > 0]


@cache
def fitted() -> Fitted:
    """The coefficients that ship with the package."""
    return from_data(json.loads(COEFFICIENTS.read_text(encoding="utf-8")))


def from_data(data: dict[str, Any]) -> Fitted:
    """The coefficients as they are written in JSON."""
    features = data["features"]
    return Fitted(
        names=tuple(features),
        mean=tuple(one["mean"] for one in features.values()),
        scale=tuple(one["scale"] for one in features.values()),
        weight=tuple(tuple(one["weight"][label] for one in features.values()) for label in LABELS),
        intercept=tuple(data["intercept"][label] for label in LABELS),
        sure=tuple(data["sure"][label] for label in LABELS),
        early=tuple((one["until"], tuple(one[label] for label in LABELS)) for one in data["sure_of_unfinished"]),
    )


def classify(vector: Vector, done: float | None = None, model: Fitted | None = None) -> Classified:
    """The probabilities of the labels. Without evaluations enough, overfitting cannot be told: 0.

    ``done``: the share of its planned training that a run which goes on has behind it, None for one that is judged by
    what it did. What goes on may still take off, so that it takes more to call it failing.
    """
    model = model or fitted()
    value = dict(zip(vector.names, vector.values, strict=True))
    standard = [
        (value[name] - mean) / scale for name, mean, scale in zip(model.names, model.mean, model.scale, strict=True)
    ]
    share = tuple(tuple(w * z for w, z in zip(row, standard, strict=True)) for row in model.weight)
    scores = [start + math.fsum(row) for start, row in zip(model.intercept, share, strict=True)]
    if not vector.validated:
        scores[OVERFITTING] = -math.inf
    probability = _with_what_is_plain(_softmax(scores), value, vector.hand, done)
    needed = model.needed(done)
    proof = max(needed[CONVERGING], _proof_of_progress(value, vector.hand))
    return Classified(probability, share, model.names, tuple(z < 0 for z in standard), (proof, *needed[1:]))


def _with_what_is_plain(
    probability: tuple[float, ...], value: Mapping[str, float], hand: Judgement, done: float | None
) -> tuple[float, ...]:
    """What hardly any training of the zoo does, and so no fit learns: a loss that leaves its best as its log ends."""
    if value["risen"] > RISEN and (value["last_above"] > RISEN or value["trend"] < RISING):
        probability = _with_diverging(probability, probability[STUCK] / max(1 - probability[DIVERGING], 1e-12))
    if hand.diverging >= (PLAIN if done is None else PLAIN_SO_FAR):
        probability = _with_diverging(probability, hand.diverging)
    return probability


def _proof_of_progress(value: Mapping[str, float], hand: Judgement) -> float:
    """The probability that converging needs: more where the last point or the noise speaks against it."""
    if value["jump_at_end"] > 0:
        return AFTER_JUMP
    return DOUBTED if _is_doubted(hand) else 0.0


def _is_doubted(hand: Judgement) -> bool:
    """Whether the thresholds see no clear progress: none that noise would let be seen, or as likely none as some."""
    return (hand.unseen >= 0.5 and hand.improved < 0.5) or hand.probabilities["stuck"] >= AS_GOOD_AS_FLAT


def _with_diverging(probability: tuple[float, ...], at_least: float) -> tuple[float, ...]:
    """Diverging as likely as either of two independent judges says (noisy or, Pearl 1988, section 4.3.2)."""
    others = (1 - probability[DIVERGING]) * (1 - at_least)
    rest = max(1 - probability[DIVERGING], 1e-12)
    return tuple(1 - others if k == DIVERGING else p / rest * others for k, p in enumerate(probability))


def _softmax(scores: Sequence[float]) -> tuple[float, ...]:
    top = max(scores)
    grown = [math.exp(one - top) for one in scores]
    total = math.fsum(grown)
    return tuple(one / total for one in grown)
