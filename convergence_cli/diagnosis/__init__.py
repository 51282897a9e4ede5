"""Which causes explain the findings, and which change with which value answers a cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Cause, Finding, Remedy


def explain(findings: Sequence[Finding], evidence: Evidence) -> tuple[tuple[Cause, ...], tuple[Remedy, ...]]:
    """Causes, likeliest first, and the remedies for them."""
    # Here, so that the page of a cause can be shown without numpy.
    from convergence_cli.diagnosis.rank import rank_causes
    from convergence_cli.diagnosis.remedies import remedies_for
    from convergence_cli.diagnosis.values import contexts_of

    causes = rank_causes(findings, contexts_of(evidence))
    return causes, remedies_for(causes, evidence)
