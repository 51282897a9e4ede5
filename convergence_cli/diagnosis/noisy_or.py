"""What the findings alone say of each cause: a noisy-or (Pearl 1988, section 4.3.2), damped by what contradicts it.

Written by hand, from the knowledge of runs that no zoo has; ``rank`` weighs it beside fitted facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.diagnosis.causes import CAUSES, CauseModel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from convergence_cli.model import Finding

MOST_PROBABLE = 0.97
# A note tells less about a cause than an error of the same rule.
SEVERITY_WEIGHT = {"error": 1.0, "warning": 1.0, "note": 0.6}


@dataclass(frozen=True, slots=True)
class Opinion:
    """How likely the findings alone make a cause, and the codes of those for and against it."""

    probability: float
    supported_by: tuple[str, ...]
    contradicted_by: tuple[str, ...]


def strength_of(found: Finding) -> float:
    """How much a finding tells, from 0 to 1."""
    return found.confidence * SEVERITY_WEIGHT[found.severity]


def opinions_of(findings: Iterable[Finding], contexts: Collection[str] = ()) -> dict[str, Opinion]:
    """The causes that any of ``findings`` supports, by name."""
    fired: dict[str, Finding] = {}
    # A rule may fire for two series: the surer finding speaks for it.
    for found in sorted(findings, key=lambda one: -strength_of(one)):
        side = found.evidence.get("side")
        fired.setdefault(found.rule, found)
        if side is not None:
            fired.setdefault(f"{found.rule}:{side}", found)
    opinions = ((model.name, _opinion(model, fired, contexts)) for model in CAUSES)
    return {name: opinion for name, opinion in opinions if opinion is not None}


def _opinion(model: CauseModel, fired: Mapping[str, Finding], contexts: Collection[str]) -> Opinion | None:
    missed = 1.0
    supporting = []
    for key, weight in model.supports.items():
        if key in fired:
            missed *= 1 - weight * strength_of(fired[key])
            supporting.append(fired[key].rule)
    if not supporting:
        return None
    probability = 1 - missed
    contradicting = []
    for key, factor in model.against.items():
        if key in fired:
            probability *= factor
            contradicting.append(fired[key].rule)
    for context, factor in model.in_context.items():
        if context in contexts:
            probability = min(probability * factor, MOST_PROBABLE)
    return Opinion(probability, tuple(dict.fromkeys(supporting)), tuple(dict.fromkeys(contradicting)))
