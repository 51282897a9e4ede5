"""How grave a fact about tensors is, by how the run stands: the same tensor is harmless where the loss still falls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from convergence_cli.model import SURE_VERDICT

if TYPE_CHECKING:
    from convergence_cli.model import Severity, Verdict

Item = TypeVar("Item")

# Layers named apart by one rule; the rest are counted.
MOST_LAYERS = 4
# From a single dump nothing can be said to last.
SURE_OF_ONE_DUMP = 0.6


def severity_of(verdict: Verdict) -> Severity:
    """Of a verdict that the run fails: an error where it is likely enough, a note where it is hardly more than even."""
    return "error" if verdict.confidence >= SURE_VERDICT else "note"


def likelihood_of(verdict: Verdict) -> dict[str, float]:
    """For the evidence of a finding that says what the verdict says: how likely it is, and from where on an error."""
    return {"probability": round(verdict.confidence, 4), "threshold_probability": SURE_VERDICT}


def fact_of(verdict: Verdict) -> str:
    """What a verdict says of the run, without what decided on it."""
    return verdict.reason.partition(" Decided by:")[0]


def is_failing(verdict: Verdict) -> bool:
    """Diverging or stuck; also a run without a loss, of which only the tensors speak."""
    return verdict.label in {"diverging", "stuck"} or verdict.state == "no-loss"


def severity_in(verdict: Verdict) -> Severity:
    """Error in a run that fails, note in one that converges, else warning."""
    if is_failing(verdict):
        return "error"
    return "note" if verdict.label == "converging" else "warning"


def others(count: int, noun: str = "layer") -> str:
    """How many more there are beside the one that a message is about."""
    if count <= 0:
        return ""
    return f" ({count} more {noun}{'s' if count > 1 else ''} likewise)"


def graded(verdict: Verdict, *, strong: bool) -> Severity:
    """As ``severity_in``, but where no loss tells how the run fares only ``strong`` evidence is an error."""
    severity = severity_in(verdict)
    return "warning" if severity == "error" and verdict.state == "no-loss" and not strong else severity


def sure(confidence: float, dumps: int) -> float:
    """``confidence``, but no more than one dump allows."""
    return confidence if dumps > 1 else min(confidence, SURE_OF_ONE_DUMP)


def shown(found: Sequence[Item], noun: str = "layer") -> Iterator[tuple[Item, str]]:
    """The first of ``found``, which come worst first, each with a clause: on the first one, how many are not shown."""
    for index, item in enumerate(found[:MOST_LAYERS]):
        yield item, others(len(found) - MOST_LAYERS, noun) if index == 0 else ""
