"""The frame of a chart of text: what is where, the axes, and the values written beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convergence_cli.reporters._braille import ACROSS, DOWN
from convergence_cli.reporters._chart_marks import Piece
from convergence_cli.reporters._layout import cells, cut
from convergence_cli.reporters._sparkline import on_log_scale
from convergence_cli.reporters._ticks import LABEL, Scale, labels
from convergence_cli.reporters.page.trace import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from convergence_cli.model import RunReport
    from convergence_cli.reporters.page.trace import Trace

ROWS, WIDEST, LEAST_COLUMNS = 10, 100, 12
# Right of the plot there is room for the letters of the curves.
MARGIN = 3
INDENT = 2
# Peaks of this share of the values are cut off where below them the others have less than this share of the height.
FEW, HIDDEN = 0.03, 0.25
_Y_TICKS, _X_TICK_COLUMNS = 5, 11
# The run begins before the end of its first bucket; a first step further away than this share is not believed.
_BEFORE = 0.1


@dataclass(frozen=True, slots=True)
class Strokes:
    """What axes are drawn with, and how many dots a character has across and down."""

    side: str
    tick: str
    corner: str
    foot: str
    down: str
    beyond: str
    across_dots: int
    down_dots: int


UNICODE = Strokes("│", "┤", "└", "─", "┬", "↑", ACROSS, DOWN)
ASCII = Strokes("|", "+", "+", "-", "+", "^", 1, 1)


@dataclass(frozen=True, slots=True)
class Frame:
    """The plot has ``columns`` x ``rows`` characters, its first at column ``left``; 0 rows where nothing is finite."""

    x: Scale
    y: Scale
    columns: int
    rows: int
    left: int
    unit: str
    whole: bool
    strokes: Strokes
    beside: Mapping[int, str]
    beyond: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Columns of the whole chart."""
        return self.left + self.columns + MARGIN

    @property
    def dots(self) -> tuple[int, int]:
        """Dots across and down."""
        return self.columns * self.strokes.across_dots, self.rows * self.strokes.down_dots

    def dot(self, step: float, value: float) -> tuple[int, int]:
        """The dot at which a point lies, counted from the top left."""
        across, down = self.dots
        return round(self.x.share(step) * (across - 1)), round((1 - self.y.share(value)) * (down - 1))

    def column(self, step: float) -> int:
        """The column of the plot at which a step lies."""
        return round(self.x.share(step) * (self.dots[0] - 1)) // self.strokes.across_dots

    def side(self, row: int) -> str:
        """What is left of a row of the plot."""
        label = self.beside.get(row, "")
        return f"{label:>{self.left - 2}} {self.strokes.tick if label else self.strokes.side}"

    def foot(self, broken: Iterable[tuple[float, float]], bad: str) -> list[Piece]:
        """The axis of steps, with ``bad`` from step to step of each of ``broken``."""
        line = [self.strokes.foot] * self.columns
        for tick in self._ticks():
            line[self.column(tick)] = self.strokes.down
        styles = ["dim"] * self.columns
        for first, last in broken:
            for column in range(self.column(first), self.column(last) + 1):
                line[column], styles[column] = bad, "red"
        corner = Piece(self.left - 1, self.strokes.corner, "dim")
        return [corner, *(Piece(self.left + at, line[at], styles[at]) for at in range(self.columns))]

    def numbers(self) -> list[Piece]:
        """What the steps are counted in, and the steps below the ticks."""
        unit = cut(self.unit, self.left - 2 - INDENT, "")
        pieces = [Piece(self.left - 2 - cells(unit), unit, "dim")]
        ticks = self._ticks()
        for tick, label in zip(ticks, labels(ticks), strict=True):
            at = max(self.left + self.column(tick) - len(label) // 2, self.left - 1)
            piece = Piece(min(at, self.width - len(label)), label, "dim")
            if piece.column > pieces[-1].end + (len(pieces) > 1):
                pieces.append(piece)
        return pieces

    def _ticks(self) -> list[float]:
        found = self.x.ticks(max(self.columns // _X_TICK_COLUMNS, 2))
        whole = [tick for tick in found if tick.is_integer()]
        return whole if self.whole and whole else found


def frame_of(run: RunReport, unit: str, traces: Sequence[Trace], width: int, strokes: Strokes) -> Frame | None:
    """The frame for ``traces`` in ``width`` columns; None where there are none, or too few columns."""
    steps = [at for trace in traces for at in (*trace.x, *trace.step, *_ends(trace)) if math.isfinite(at)]
    if not steps:
        return None
    values = [value for trace in traces for side in (trace.low, trace.mean, trace.high) for value in side]
    finite = [value for value in values if value is not None]
    y = _heights(sorted(finite))
    rows = ROWS if finite else 0
    ticks = y.ticks(_Y_TICKS)
    beside: dict[int, str] = {}
    for tick, label in zip(ticks, labels(ticks), strict=True):
        row = round((1 - y.share(tick)) * (rows * strokes.down_dots - 1)) // strokes.down_dots
        if not {row - 1, row, row + 1} & beside.keys() and label not in beside.values():
            beside[row] = label
    gutter = max(len(label) for label in beside.values()) if rows else 0
    left = INDENT + max(gutter, min(cells(unit), LABEL)) + 2
    columns = width - left - MARGIN
    if columns < LEAST_COLUMNS:
        return None
    first, last = min(steps), max(steps)
    begun = number(run.summary.get("first_step"))
    if begun is not None and begun < first and first / 2 - begun / 2 <= _BEFORE * (last / 2 - first / 2):
        first = begun
    whole = all(at.is_integer() for trace in traces for at in trace.step)
    frame = Frame(Scale(first, last), y, columns, rows, left, unit, whole, strokes, beside)
    highs = [point for trace in traces for point in zip(trace.x, trace.high, strict=True)]
    return replace(frame, beyond=frozenset(frame.column(x) for x, high in highs if high is not None and high > y.high))


def _heights(ordered: Sequence[float]) -> Scale:
    """The scale of values; where few peaks would leave the others no room, they lie beyond its end."""
    if not ordered:
        return Scale(0.0, 0.0)
    whole = Scale(ordered[0], ordered[-1], on_log_scale(ordered))
    most = ordered[: math.ceil(len(ordered) * (1 - FEW))]
    if not 0 < whole.share(most[-1]) < HIDDEN:
        return whole
    high = most[-1] + (most[-1] - most[0]) / 2
    return Scale(most[0], high, on_log_scale([most[0], high]))


def _ends(trace: Trace) -> list[float]:
    return [end for first, last, _ in trace.nonfinite for end in (first, last)]
