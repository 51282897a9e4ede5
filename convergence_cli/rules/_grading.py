"""How grave and how sure a finding about the layers of a dump is, by the strength of its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from convergence_cli.rules._standing import MOST_LAYERS, others, severity_in

if TYPE_CHECKING:
    from convergence_cli.model import Severity, Verdict

Item = TypeVar("Item")

# From a single dump nothing can be said to last.
SURE_OF_ONE_DUMP = 0.6


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
