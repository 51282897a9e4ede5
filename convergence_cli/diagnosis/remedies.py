"""Which change answers the causes of a run, in the order in which to try them, each with its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convergence_cli.diagnosis.catalogue import REMEDIES, RemedyModel
from convergence_cli.diagnosis.frameworks import framework_of
from convergence_cli.diagnosis.rate_search import search_command
from convergence_cli.diagnosis.reference_list import references_of
from convergence_cli.diagnosis.snippet_sheets import snippet_of
from convergence_cli.diagnosis.values import known_rate
from convergence_cli.model import Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convergence_cli.diagnosis.rank import Ranking
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Finding

MOST = 6
# Those whose value lr-find measures.
RATE_REMEDIES = frozenset({"lower-learning-rate", "raise-learning-rate"})
# A run whose facts leave less than the first of these to health, or that shows a symptom and less than the second,
# gets remedies (benchmarks/causes.py: of healthy runs 1 to 2 %).
SICK, SICK_WITH_SYMPTOM = 0.12, 0.5
# A remedy that is expected to cure less often than this is not worth a try.
WORTH_A_TRY = 0.05


def remedies_for(
    ranking: Ranking, facts: Mapping[str, float], evidence: Evidence, findings: Sequence[Finding]
) -> tuple[Remedy, ...]:
    """Remedies, the likeliest to cure first. No two change one key, or turn one thing both ways."""
    if not _needs_any(ranking, evidence, findings):
        return ()
    framework = framework_of(evidence.run)
    found: list[Remedy] = []
    taken: set[str] = set()
    turned: dict[str, int] = {}
    for model, expected, cause in _by_expectation(ranking):
        if any(turned.get(axis, way) != way for axis, way in model.turns.items()):
            continue
        value = model.value(evidence, facts)
        if value is None or value[0].keys() & taken:
            continue
        change, why = value
        taken |= change.keys()
        turned |= model.turns
        found.append(
            Remedy(
                name=model.name,
                addresses=cause,
                change=change,
                why=why,
                confidence=round(expected, 3),
                from_={key: now for key in change if (now := _present(key, evidence)) is not None},
                risk=model.risk,
                snippet=snippet_of(change, framework, evidence.config) if change else None,
                references=references_of(model.name, change),
                search=search_command(evidence) if model.name in RATE_REMEDIES else None,
            )
        )
        if len(found) == MOST:
            break
    return tuple(found)


def _needs_any(ranking: Ranking, evidence: Evidence, findings: Sequence[Finding]) -> bool:
    symptom = evidence.verdict.fails or any(found.severity != "note" for found in findings)
    return ranking.healthy < (SICK_WITH_SYMPTOM if symptom else SICK)


def _by_expectation(ranking: Ranking) -> list[tuple[RemedyModel, float, str]]:
    """Each remedy with the probability that it cures, over all causes that it answers, and the one it answers most."""
    found = []
    for model in REMEDIES:
        shares = {cause.name: cause.probability * model.answers.get(cause.name, 0.0) for cause in ranking.causes}
        expected = sum(shares.values())
        if expected >= WORTH_A_TRY:
            found.append((model, min(expected, 1.0), max(shares, key=lambda name: shares[name])))
    # Stable: of two that are as likely to cure the one that stands first in the catalogue.
    return sorted(found, key=lambda item: -item[1])


def _present(key: str, evidence: Evidence) -> Any:
    """The value in this run, where it is known."""
    if key == "learning_rate":
        rate = known_rate(evidence)
        return None if rate is None else rate[0]
    value = evidence.config.get(key)
    return value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
