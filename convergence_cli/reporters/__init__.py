"""Reporters: one module an output format, each ``render(report, look) -> str``.

They know the report and nothing of how it came to be. Every text that stems from a log passes
``printable`` before it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from convergence_cli.reporters._location import placed_from

if TYPE_CHECKING:
    from convergence_cli.model import Report

DEFAULT_WIDTH = 80


class RulePage(Protocol):
    """What a reporter may say of a rule beyond its findings."""

    @property
    def code(self) -> str:
        """Two letters and three digits."""
        ...

    @property
    def name(self) -> str:
        """Kebab-case."""
        ...

    @property
    def severity(self) -> str:
        """Error, warning or note."""
        ...

    @property
    def summary(self) -> str:
        """One line."""
        ...

    @property
    def doc(self) -> str:
        """The whole page."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """How the answer is shown: columns, ANSI colour, non-ASCII glyphs, and how much.

    ``detail`` is negative for verdict and findings only, 0 for one screen, positive for everything.
    ``rules`` are the pages of the rules that were asked for, for formats with room to quote them;
    ``failing`` are the severities that count as failure. Places in files are shown from folder ``base`` (absolute)
    where they lie below it; where it is empty, as they are. With ``curves`` the losses are drawn as a chart, not in one
    line each.
    """

    width: int = DEFAULT_WIDTH
    color: bool = False
    unicode: bool = True
    detail: int = 0
    rules: tuple[RulePage, ...] = ()
    failing: frozenset[str] = frozenset({"error"})
    base: str = ""
    curves: bool = False


PLAIN = Look()


class Reporter(Protocol):
    """The shape of a reporter module."""

    def render(self, report: Report, look: Look = PLAIN) -> str:
        """The whole output, ending in a newline unless empty."""
        ...


def render(report: Report, format_name: str, look: Look = PLAIN) -> str:
    """``report`` in the format of that name; only text carries colour."""
    module = cast("Reporter", import_module(f"convergence_cli.reporters.{format_name}"))
    return module.render(placed_from(report, look.base), look)
