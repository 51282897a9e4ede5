"""How grave what a dump shows is, by how the run fares; and how many layers are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from convergence_cli.model import Severity, Verdict

Item = TypeVar("Item")

MOST_LAYERS = 4
FAILING = ("stuck", "diverging")
# From a single dump nothing can be said to last.
SURE_OF_ONE_DUMP = 0.6


def graded(verdict: Verdict, *, strong: bool, extreme: bool) -> Severity | None:
    """Error where the run fails, or where no loss tells and the evidence is ``strong``; else a warning.

    In a run that converges a note where the evidence is ``extreme``, else None: it does no harm there.
    """
    if verdict.label == "converging":
        return "note" if extreme else None
    failing = verdict.label in FAILING or (verdict.state == "no-loss" and strong)
    return "error" if failing else "warning"


def sure(confidence: float, dumps: int) -> float:
    """``confidence``, but no more than one dump allows."""
    return confidence if dumps > 1 else min(confidence, SURE_OF_ONE_DUMP)


def shown(found: Sequence[Item], thing: str = "layer") -> Iterator[tuple[Item, str]]:
    """The first of ``found``, which come worst first; the first with a clause that says how many are not shown."""
    more = len(found) - MOST_LAYERS
    for index, item in enumerate(found[:MOST_LAYERS]):
        yield item, f" So it is in {more} more {thing}{'s' * (more > 1)}." if index == 0 and more > 0 else ""
