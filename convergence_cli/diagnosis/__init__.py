"""Which causes explain the findings, and which change with which value answers a cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.diagnosis.noisy_or import Opinion
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Cause, Finding, Remedy


def explain(findings: Sequence[Finding], evidence: Evidence) -> tuple[tuple[Cause, ...], tuple[Remedy, ...]]:
    """Causes, likeliest first, and the remedies for them; no remedies where nothing seems to be wrong."""
    # Here, so that the page of a cause can be shown without numpy.
    from convergence_cli.diagnosis.rank import rank_causes
    from convergence_cli.diagnosis.remedies import remedies_for

    facts, opinions = facts_and_opinions(findings, evidence)
    ranking = rank_causes(facts, opinions)
    return ranking.causes, remedies_for(ranking, facts, evidence, findings)


def facts_and_opinions(findings: Sequence[Finding], evidence: Evidence) -> tuple[dict[str, float], dict[str, Opinion]]:
    """What the ranking of causes looks at, and what the findings alone say of each cause."""
    from convergence_cli.diagnosis.facts import facts_of
    from convergence_cli.diagnosis.noisy_or import opinions_of
    from convergence_cli.diagnosis.values import contexts_of

    opinions = opinions_of(findings, contexts_of(evidence))
    return facts_of(evidence, findings, opinions), opinions
