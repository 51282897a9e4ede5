"""Which steps are marked under a chart, and where their names go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convergence_cli.printable import printable
from convergence_cli.reporters._layout import cells
from convergence_cli.reporters._wording import worst_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convergence_cli.model import RunReport

CARET = "^"
LONGEST, MOST = 12, 40
# A name stands no further from its mark than this.
FAR = 8
_GAP = 2
_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "cyan"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One step that is pointed at, and the name below it."""

    step: float
    name: str
    style: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that begins at a column of a line."""

    column: int
    text: str
    style: str

    @property
    def end(self) -> int:
        """The first column behind it."""
        return self.column + cells(self.text)


def marks_of(run: RunReport) -> list[Mark]:
    """The best step, the one since which the verdict holds, and those of findings: the weightiest first, each once."""
    found = []
    if run.verdict.best_step is not None:
        found.append(Mark(run.verdict.best_step, "best", "bold green"))
    if run.verdict.since_step is not None:
        found.append(Mark(run.verdict.since_step, "since", "bold"))
    for finding in worst_first(run.findings)[:MOST]:
        first, last = finding.where.first_step, finding.where.last_step
        step = last if first is None else first
        if step is not None:
            found.append(Mark(step, printable(finding.rule, LONGEST), _STYLES.get(finding.severity, "bold")))
    return list(dict.fromkeys(found))


def placed(carets: Iterable[Piece], room: int) -> tuple[list[Piece], list[Piece]]:
    """Of ``carets``, each with the name that it is to have, those that fit into ``room`` columns, and the names.

    Names that would touch are written one after the other under all of their carets, each once; a caret whose name
    would stand too far from it is left out, the later ones first.
    """
    kept: list[Piece] = []
    names: list[Piece] = []
    for caret in carets:
        tried = sorted([*kept, caret], key=lambda one: one.column)
        groups = _grouped(tried, room)
        written = [name for group in groups for name in _written(group, room)]
        if all(_fits(one, group, room) for group in groups for one in group):
            kept, names = tried, written
    shown = {one.column: Piece(one.column, CARET, one.style) for one in reversed(kept)}
    return sorted(shown.values(), key=lambda one: one.column), names


def _grouped(carets: Sequence[Piece], room: int) -> list[list[Piece]]:
    groups: list[list[Piece]] = []
    for one in carets:
        groups.append([one])
        while len(groups) > 1 and _written(groups[-2], room)[-1].end + _GAP > _written(groups[-1], room)[0].column:
            last = groups.pop()
            groups[-1] += last
    return groups


def _written(group: Sequence[Piece], room: int) -> list[Piece]:
    """The names of a group, each as near to the middle under its caret as the others let it."""
    names: dict[str, Piece] = {}
    end = wanted = 0
    for caret in group:
        if caret.text not in names:
            names[caret.text] = Piece(end, caret.text, caret.style)
            end = names[caret.text].end + 1
        wanted += caret.column - cells(caret.text) // 2 - names[caret.text].column
    # The mean of where each caret would have the group begin has the least squares of distances.
    start = min(max(round(wanted / len(group)), 0), max(room - end + 1, 0))
    return [replace(name, column=start + name.column) for name in names.values()]


def _fits(caret: Piece, group: Sequence[Piece], room: int) -> bool:
    name = next(one for one in _written(group, room) if one.text == caret.text)
    return 0 <= caret.column < room and name.end <= room and name.column - FAR <= caret.column < name.end + FAR
