"""Ranks causes by what the facts of a run make of them, and says which facts spoke for and against each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.diagnosis import fitted as model
from convergence_cli.diagnosis.causes import CAUSES, CauseModel
from convergence_cli.diagnosis.facts.phrases import phrase_of
from convergence_cli.diagnosis.fitted import NONE, Fitted
from convergence_cli.model import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from convergence_cli.diagnosis.noisy_or import Opinion

# A cause less likely than this is not worth a line.
SHOWN_FROM = 0.05
MOST = 5
MOST_PROBABLE = 0.99
# A fact that moves the log-odds by less than this is no reason; more reasons than a few persuade nobody.
SAYS_SOMETHING, AGAINST_FROM = 0.1, -0.3
REASONS = 3
# Of a cause that no training of the zoo has, the findings alone tell: they must tell it clearly.
UNFITTED_FROM = 0.15
# The share of the findings alone, see ``noisy_or``.
BY_HAND = 0.15
# Where a run fails for sure, something is wrong.
_NEVER = {cause.name: cause.never for cause in CAUSES} | {NONE: ("diverging", "stuck", "overfitting")}


@dataclass(frozen=True, slots=True)
class Ranking:
    """``causes``, likeliest first, at most five; ``healthy`` is the probability that nothing is wrong."""

    causes: tuple[Cause, ...]
    healthy: float


def rank_causes(facts: Mapping[str, float], opinions: Mapping[str, Opinion], weights: Fitted | None = None) -> Ranking:
    """Causes of what ``facts`` show, and ``opinions`` of the findings alone about those that were not fitted."""
    weights = weights or model.fitted()
    probability = probabilities_of(facts, weights)
    # Causes outside the zoo exclude no others, but take as much of the doubt as they are sure.
    apart = {
        name: opinion.probability
        for name, opinion in opinions.items()
        if name not in probability and opinion.probability >= UNFITTED_FROM
    }
    left = 1 - max(apart.values(), default=0.0)
    likely = {name: left * one for name, one in probability.items() if name != NONE} | apart
    causes = []
    for cause in CAUSES:
        if likely.get(cause.name, 0.0) >= SHOWN_FROM:
            moved = weights.contributions(facts, cause.name, probability) if cause.name in probability else {}
            causes.append(_cause(cause, likely[cause.name], moved, facts, opinions.get(cause.name)))
    # Stable: of equally likely causes the one that stands first in CAUSES, the more common one, comes first.
    causes.sort(key=lambda cause: -cause.probability)
    return Ranking(tuple(causes[:MOST]), left * probability[NONE])


def probabilities_of(facts: Mapping[str, float], weights: Fitted) -> dict[str, float]:
    """What the fit says without what a cause cannot bring about, and a share of what the findings alone say.

    The share guards against runs unlike any of the zoo, of which the fit may be too sure. They add up to 1.
    """
    fitted = weights.probabilities(facts)
    found = {name: one * _possible(name, facts) for name, one in fitted.items()}
    total = sum(found.values())
    if total <= 0:
        found, total = fitted, 1.0
    told = {name: facts.get(f"findings:{name}", 0.0) for name in found if name != NONE}
    most = max(sum(told.values()), 1.0)
    told = {name: one / most for name, one in told.items()} | {NONE: max(1 - sum(told.values()), 0.0)}
    return {name: (1 - BY_HAND) * one / total + BY_HAND * told[name] for name, one in found.items()}


def _possible(name: str, facts: Mapping[str, float]) -> float:
    """The probability that the verdict is none that the cause cannot bring about."""
    never = _NEVER.get(name, ())
    return max(1 - sum(facts.get(f"verdict:{label}", 0.0) for label in never), 0.0)


def _cause(
    cause: CauseModel,
    probability: float,
    moved: Mapping[str, float],
    facts: Mapping[str, float],
    opinion: Opinion | None,
) -> Cause:
    supporting = [] if opinion is None else list(opinion.supported_by)
    contradicting = [] if opinion is None else list(opinion.contradicted_by)
    for name in sorted(moved, key=lambda one: -moved[one]):
        if name.startswith("rule:"):
            code = name.split(":")[1]
            if moved[name] >= SAYS_SOMETHING:
                supporting.append(code)
            elif moved[name] <= AGAINST_FROM:
                contradicting.append(code)
    return Cause(
        name=cause.name,
        probability=round(min(probability, MOST_PROBABLE), 3),
        explanation=cause.explanation,
        supported_by=tuple(dict.fromkeys(supporting)),
        contradicted_by=tuple(dict.fromkeys(one for one in contradicting if one not in supporting)),
        would_confirm=tuple(one.what for one in cause.would_confirm if not facts.get(one.unless)),
        because=_phrases(
            facts, sorted((one for one in moved if moved[one] >= SAYS_SOMETHING), key=lambda n: -moved[n])
        ),
        despite=_phrases(facts, sorted((one for one in moved if moved[one] <= AGAINST_FROM), key=lambda n: moved[n])),
    )


def _phrases(facts: Mapping[str, float], names: Iterable[str]) -> tuple[str, ...]:
    found = dict.fromkeys(phrase for name in names if (phrase := phrase_of(name, facts[name])) is not None)
    return tuple(found)[:REASONS]
