"""How grave a fact about tensors is, by how the run stands: the same tensor is harmless where the loss still falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convergence_cli.model import Severity, Verdict

# Layers named apart by one rule; the rest are counted.
MOST_LAYERS = 4


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


def unnamed(total: int, number: int, noun: str = "layer") -> str:
    """For the first of ``total`` findings of one rule: how many are not named apart."""
    return "" if number else others(total - MOST_LAYERS, noun)
