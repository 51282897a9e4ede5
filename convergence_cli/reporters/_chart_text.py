"""The losses of a run as a chart of text: dots of braille where they can be shown, a few ASCII characters where not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convergence_cli.reporters._braille import Canvas, braille
from convergence_cli.reporters._chart_frame import ASCII, MARGIN, UNICODE, WIDEST, Frame, frame_of
from convergence_cli.reporters._chart_marks import Piece, marks_of, placed
from convergence_cli.reporters._layout import wrap
from convergence_cli.reporters._wording import number, unit
from convergence_cli.reporters.page.trace import number as finite
from convergence_cli.reporters.page.trace import thinned, traces_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from convergence_cli.model import RunReport
    from convergence_cli.reporters._run_text import Page
    from convergence_cli.reporters.page.trace import Trace

# Steps that lie outside the drawn ones by no more than this share of them are marked at the edge.
NEAR = 0.02


@dataclass(frozen=True, slots=True)
class Pen:
    """How one curve is told from the other: by the letter at its end, its colour, the dots drawn, its character."""

    letter: str
    style: str
    every: int
    character: str


PENS: Mapping[str, Pen] = {
    "train_loss": Pen("t", "cyan", 1, "*"),
    "val_loss": Pen("v", "magenta", 3, "+"),
}
# In ASCII: what a bucket holds beside its mean.
REACH = "."


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One curve: ``line`` joins the means, ``reach`` goes from the lowest to the highest value of each bucket."""

    pen: Pen
    line: Canvas
    reach: Canvas
    end: tuple[int, int] | None


def chart_lines(run: RunReport, page: Page) -> Iterator[str]:
    """What each loss went from and to, and both as a chart; nothing where no loss is known or there is no room."""
    found = traces_of(run)
    traces = {role: _on_the_axis(found[role]) for role in PENS if role in found}
    strokes = UNICODE if page.look.unicode else ASCII
    frame = frame_of(run, unit(run), list(traces.values()), min(page.look.width, WIDEST), strokes)
    if frame is None:
        return
    for role, trace in traces.items():
        yield from _legend(PENS[role], trace, frame, page)
    title = _title(frame, page)
    if title:
        yield page.paint(title, "dim")
    drawn = [_drawn(PENS[role], _dense(trace, frame), frame) for role, trace in traces.items()]
    for row in range(frame.rows):
        yield _line([Piece(0, frame.side(row), "dim"), *_cells(drawn, row, frame)], page)
    broken = [(first, last) for trace in traces.values() for first, last, _ in trace.nonfinite]
    yield _line(frame.foot(broken, page.glyphs.bad), page)
    yield _line(frame.numbers(), page)
    carets, names = placed(_carets(run, frame), frame.width)
    if carets:
        yield _line(carets, page)
        yield _line(names, page)


def _line(pieces: Iterable[Piece], page: Page) -> str:
    """``pieces``, from left to right, each at its column; what is of one style and touches is painted at once."""
    text, at, run, style = "", 0, "", ""
    for piece in pieces:
        gap = " " * (piece.column - at)
        if gap or piece.style != style:
            text += page.paint(run, style) if style else run
            text, run, style = text + gap, "", piece.style
        run += piece.text
        at = piece.end
    return text + (page.paint(run, style) if style else run)


def _cells(drawn: Sequence[_Drawn], row: int, frame: Frame) -> Iterator[Piece]:
    """The characters of a row of the plot, and behind the last point of each curve its letter."""
    pieces = {}
    for column in range(frame.columns):
        cell = _dotted(drawn, column, row) if frame.strokes is UNICODE else _typed(drawn, column, row)
        if row == 0 and column in frame.beyond:
            cell = frame.strokes.beyond, "bold"
        if cell is not None:
            pieces[column] = Piece(frame.left + column, *cell)
    for one in drawn:
        if one.end is not None and one.end[1] // frame.strokes.down_dots == row:
            after = range(one.end[0] // frame.strokes.across_dots + 1, frame.columns + MARGIN)
            column = next(column for column in after if column not in pieces)
            pieces[column] = Piece(frame.left + column, one.pen.letter, f"bold {one.pen.style}")
    return (pieces[column] for column in sorted(pieces))


def _dotted(drawn: Sequence[_Drawn], column: int, row: int) -> tuple[str, str] | None:
    """The dots of all curves in one character, in the style of the last that has any there."""
    bits, style = 0, ""
    for one in drawn:
        own = one.line.cell(column, row) | one.reach.cell(column, row)
        if own:
            bits, style = bits | own, one.pen.style
    return (braille(bits), style) if bits else None


def _typed(drawn: Sequence[_Drawn], column: int, row: int) -> tuple[str, str] | None:
    """The character of a curve; where both lie, they take turns from column to column."""
    lines = [one for one in drawn if one.line.has(column, row)]
    if lines:
        pen = lines[column % len(lines)].pen
        return pen.character, pen.style
    return next(((REACH, one.pen.style) for one in drawn if one.reach.has(column, row)), None)


def _legend(pen: Pen, trace: Trace, frame: Frame, page: Page) -> Iterator[str]:
    head = f"  {pen.letter} {trace.role:<10}  "
    first, *further = wrap(_told(trace, frame, page), page.look.width, indent=" " * len(head))
    yield page.paint(head, pen.style) + first.removeprefix(" " * len(head))
    yield from further


def _told(trace: Trace, frame: Frame, page: Page) -> str:
    """The first and the last value, the lowest and the highest, and whether any is not finite."""
    bad = page.glyphs.bad
    known = trace.finite
    if not known:
        return f"not finite at any {frame.unit} ({bad})"
    ends_broken = trace.mean[-1] is None
    last = f"{number(known[-1])}, then not finite ({bad})" if ends_broken else number(known[-1])
    values = [value for side in (trace.low, trace.mean, trace.high) for value in side if value is not None]
    gaps = f"; not finite at {bad}" if trace.nonfinite and not ends_broken else ""
    return f"{number(known[0])} {page.glyphs.arrow} {last} ({number(min(values))} to {number(max(values))}{gaps})"


def _on_the_axis(trace: Trace) -> Trace:
    """``trace`` with the step of a bucket for its middle where that lies further out than a float can say."""
    return replace(trace, x=tuple(x if math.isfinite(x) else at for x, at in zip(trace.x, trace.step, strict=True)))


def _title(frame: Frame, page: Page) -> str:
    """What is to be known of the axis of values."""
    parts = ["log scale"] if frame.y.log else []
    if frame.beyond:
        parts.append(f"{frame.strokes.beyond} above {number(frame.y.high)}")
    return "  " + f" {page.glyphs.dot} ".join(parts) if parts else ""


def _dense(trace: Trace, frame: Frame) -> Trace:
    """``trace`` with no more buckets than can be told apart: then the line is smooth and the reach lies about it."""
    return trace if len(trace.mean) <= 2 * frame.columns else thinned(trace, frame.columns)


def _drawn(pen: Pen, trace: Trace, frame: Frame) -> _Drawn:
    line, reach = Canvas(*frame.dots), Canvas(*frame.dots)
    restarts = {bucket for bucket, _, _ in trace.restarts}
    strand: list[tuple[int, int]] = []
    end = None
    every = pen.every if frame.strokes is UNICODE else 1
    for bucket, (x, low, mean, high) in enumerate(zip(trace.x, trace.low, trace.mean, trace.high, strict=True)):
        dot = None if mean is None else frame.dot(x, mean)
        if dot is None or bucket in restarts or (strand and dot[0] < strand[-1][0]):
            line.polyline(strand, every)
            strand = []
        if dot is None or mean is None:
            continue
        strand.append(dot)
        end = dot
        top, foot = (frame.dot(x, mean if side is None else side)[1] for side in (high, low))
        reach.column(dot[0], min(top, dot[1]), max(foot, dot[1]))
    line.polyline(strand, every)
    return _Drawn(pen, line, reach, end)


def _carets(run: RunReport, frame: Frame) -> Iterator[Piece]:
    """Each mark at its column, with its name; steps far outside the drawn ones are not of this axis."""
    x = frame.x
    beyond = NEAR * (x.high / 2 - x.low / 2)
    for mark in marks_of(run):
        step = finite(mark.step)
        if step is not None and x.low / 2 - beyond <= step / 2 <= x.high / 2 + beyond:
            yield Piece(frame.left + frame.column(step), mark.name, mark.style)
