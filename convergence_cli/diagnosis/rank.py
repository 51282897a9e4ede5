"""Ranks causes by a noisy-or over the findings (Pearl 1988, section 4.3.2), damped by what contradicts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.diagnosis.causes import CAUSES, CauseModel
from convergence_cli.model import Cause

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from convergence_cli.model import Finding

# A cause less likely than this is not worth a line.
SHOWN_FROM = 0.15
MOST = 5
MOST_PROBABLE = 0.97
# A note tells less about a cause than an error of the same rule.
_SEVERITY_WEIGHT = {"error": 1.0, "warning": 1.0, "note": 0.6}


def rank_causes(findings: Iterable[Finding], contexts: Collection[str] = ()) -> tuple[Cause, ...]:
    """Causes that explain ``findings``, likeliest first, at most five."""
    fired: dict[str, Finding] = {}
    # A rule may fire for two series: the surer finding speaks for it.
    for found in sorted(findings, key=lambda f: -f.confidence * _SEVERITY_WEIGHT[f.severity]):
        side = found.evidence.get("side")
        fired.setdefault(found.rule, found)
        if side is not None:
            fired.setdefault(f"{found.rule}:{side}", found)
    causes = [cause for model in CAUSES if (cause := _cause(model, fired, contexts)) is not None]
    # Stable: of equally likely causes the one that stands first in CAUSES, the more common one, comes first.
    causes.sort(key=lambda cause: -cause.probability)
    return tuple(causes[:MOST])


def _cause(model: CauseModel, fired: dict[str, Finding], contexts: Collection[str]) -> Cause | None:
    missed = 1.0
    supporting = []
    for key, weight in model.supports.items():
        found = fired.get(key)
        if found is not None:
            missed *= 1 - weight * found.confidence * _SEVERITY_WEIGHT[found.severity]
            supporting.append(found.rule)
    if not supporting:
        return None
    probability = 1 - missed
    contradicting = []
    for key, factor in model.against.items():
        found = fired.get(key)
        if found is not None:
            probability *= factor
            contradicting.append(found.rule)
    for context, factor in model.in_context.items():
        if context in contexts:
            probability = min(probability * factor, MOST_PROBABLE)
    if probability < SHOWN_FROM:
        return None
    return Cause(
        name=model.name,
        probability=round(probability, 3),
        explanation=model.explanation,
        supported_by=tuple(dict.fromkeys(supporting)),
        contradicted_by=tuple(dict.fromkeys(contradicting)),
        would_confirm=model.would_confirm,
    )
