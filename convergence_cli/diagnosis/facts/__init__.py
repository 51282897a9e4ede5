"""Facts of a run for the causes: every number of a finding, a curve, a setting or a dump that tells causes apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convergence_cli.diagnosis.facts.curves import curve_facts
from convergence_cli.diagnosis.facts.dumps import dump_facts
from convergence_cli.diagnosis.facts.settings import setting_facts
from convergence_cli.diagnosis.noisy_or import strength_of
from convergence_cli.model import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convergence_cli.diagnosis.noisy_or import Opinion
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Finding


# A fact is bounded: one odd number must not decide alone.
LARGEST = 6.0


def facts_of(evidence: Evidence, findings: Sequence[Finding], opinions: Mapping[str, Opinion]) -> dict[str, float]:
    """All facts by name, from -6 to 6; one that is 0 or cannot be told is left out.

    ``rule:CODE`` and ``rule:CODE:side`` are how much a finding tells, ``findings:CAUSE`` what ``opinions`` make of the
    findings alone, ``verdict:LABEL`` the probabilities of the verdict.
    """
    found = curve_facts(evidence) | setting_facts(evidence) | dump_facts(evidence)
    verdict = evidence.verdict
    told = verdict.probabilities or {verdict.label: 1.0}
    found |= {f"verdict:{label}": told.get(label, 0.0) for label in (*LABELS, "undetermined")}
    found |= {f"findings:{name}": opinion.probability for name, opinion in opinions.items()}
    for one in findings:
        side = one.evidence.get("side")
        for key in (one.rule, f"{one.rule}:{side}" if side is not None else one.rule):
            found[f"rule:{key}"] = max(found.get(f"rule:{key}", 0.0), strength_of(one))
    bounded = {name: max(-LARGEST, min(LARGEST, value)) for name, value in found.items() if not math.isnan(value)}
    return {name: value for name, value in bounded.items() if value}
