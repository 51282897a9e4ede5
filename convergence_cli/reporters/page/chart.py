"""One chart as SVG that fits any width: places in per cent, text at its own size, the plot stretched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convergence_cli.reporters._wording import number
from convergence_cli.reporters.page.labels import CHARACTER_WIDTH, PHONE, Labels, at_an_edge, next_to
from convergence_cli.reporters.page.markup import text
from convergence_cli.reporters.page.paths import Steps, envelope, line
from convergence_cli.reporters.page.scale import HEIGHT, WIDTH, Scale

if TYPE_CHECKING:
    from convergence_cli.reporters.page.marks import Level, Point, Span
    from convergence_cli.reporters.page.trace import Trace

AXIS = 24
_NARROW = 60
_GAP = 0.05


@dataclass(slots=True)
class Panel:
    """Curves on one scale. Their paths are defined where they are drawn first, and used again from then on."""

    key: str
    uid: str
    traces: Sequence[Trace]
    steps: Steps
    scale: Scale
    unit: str
    defined: set[str] = field(default_factory=set)

    def paths(self, emphasis: str | None) -> str:
        """All curves; where ``emphasis`` is the role of one, the others are faint."""
        parts = []
        for place, trace in enumerate(self.traces):
            faint = " faint" if emphasis is not None and emphasis != trace.role else ""
            parts.append(f'<g class="c{color(trace.role, place)}{faint}">{self._path(trace)}</g>')
        # The one that matters lies on top.
        parts.sort(key=lambda part: " faint" not in part)
        return "".join(parts)

    def _path(self, trace: Trace) -> str:
        name = f"{self.uid}-{self.key}-{[one.role for one in self.traces].index(trace.role)}"
        if name in self.defined:
            return f'<use href="#{name}"/>'
        self.defined.add(name)
        area, stroke = envelope(trace, self.steps, self.scale), line(trace, self.steps, self.scale)
        inner = f'<path class="ctr-range" d="{area}"/>' if area else ""
        # Rules that name what is around do not hold where a path is used again: the dashes are its own.
        dashed = " ctr-dashed" if trace.role.startswith("val") else ""
        return f'<g id="{name}">{inner}<path class="ctr-line{dashed}" d="{stroke}"/></g>'


@dataclass(frozen=True, slots=True)
class Marks:
    """What is drawn on a chart beside its curves."""

    spans: Sequence[Span] = ()
    levels: Sequence[Level] = ()
    points: Sequence[Point] = ()
    peaks: bool = True


def color(role: str, place: int) -> int:
    """The number of the colour of a curve: training 0, validation 1, the same wherever they are drawn."""
    if role.startswith("val"):
        return 1
    return 0 if role.startswith("train") else 2 + place % 4


def drawn(panel: Panel, marks: Marks, *, height: int, title: str, emphasis: str | None = None, uid: str) -> str:
    """The chart of ``panel`` with ``marks``, ``height`` pixels high without its axis. ``uid`` is its own."""
    steps, scale = panel.steps, panel.scale
    labels = Labels(panel.traces, steps, scale, height)
    under, over, words, heights = [], [], [], []
    for tick in scale.ticks():
        y = _pixel(scale, tick, height)
        under.append(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        heights.append(tick_at(y, height, tick))
    for span in marks.spans:
        over.append(_span(span, steps))
        if span.label:
            spots = next_to(steps.share(span.first), span.label, 15, 31, height - 10)
            words.append(labels.put(span.label, f"mark {span.tone}", spots))
    for spot in _nonfinite(panel.traces):
        left, right = steps.x(spot[0]), steps.x(spot[1])
        wide = max(right - left, 24)
        over.append(
            f'<rect class="nonfinite" x="{min(left, WIDTH - wide)}" y="{HEIGHT - 28}" width="{wide}" height="28"/>'
        )
    words.extend(_lone(panel, height))
    for point in marks.points:
        words.append(_point(point, panel, labels, height))
    if marks.peaks:
        words.extend(_broken(panel, labels, height))
        words.extend(_cut(panel, labels, height))
    for level in _apart([one for one in marks.levels if scale.inside(one.value)], scale, height):
        y = _pixel(scale, level.value, height)
        under.append(f'<line class="level" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        words.append(labels.put(level.label, "mark level", at_an_edge(y), moves=False))
    for after in _restarts(panel.traces):
        over.append(f'<line class="restart" x1="{steps.x(after)}" x2="{steps.x(after)}" y1="0" y2="{HEIGHT}"/>')
        label = f"goes back to {number(after)}"
        if marks.peaks:
            spots = next_to(steps.share(after), label, height - 26, 31)
            words.append(labels.put(label, "mark quiet", spots, optional=True))
    return (
        f'<div class="framed">{beside(heights, height)}'
        f'<svg class="chart" role="img" aria-labelledby="{uid}-t {uid}-d" height="{height + AXIS}" width="100%"'
        f' data-panel="{panel.key}" data-plot="{height}">'
        f'<title id="{uid}-t">{text(title)}</title><desc id="{uid}-d">{text(in_words(panel, marks))}</desc>'
        f"{''.join(under)}"
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" width="100%" height="{height}">'
        f"{''.join(part for part in over if 'span' in part)}{panel.paths(emphasis)}"
        f"{''.join(part for part in over if 'span' not in part)}</svg>"
        f'<line class="axis" x1="0" x2="100%" y1="{height}" y2="{height}"/>'
        f"{''.join(words)}{axis(steps, panel.unit, height)}</svg></div>"
    )


def tick_at(y: int, height: int, tick: float) -> str:
    """The value ``tick`` at the side of a plot."""
    return f'<text class="tick" x="100%" dx="-8" y="{min(max(y + 4, 10), height)}">{tick_text(tick)}</text>'


def beside(heights: Sequence[str], height: int) -> str:
    """The values at the side of a plot, which the description of the plot tells, too."""
    return f'<svg class="heights" aria-hidden="true" height="{height + AXIS}">{"".join(heights)}</svg>'


def axis(steps: Steps, unit: str, height: int, wide: int = PHONE) -> str:
    """The steps under a plot at least ``wide`` pixels wide, the unit at the first."""
    if not steps.last > steps.first:
        return _tick(steps.share(steps.first), "middle", f"{unit} {number(steps.first)}", height)
    first, last = f"{unit} {number(steps.first)}", number(steps.last)
    room = CHARACTER_WIDTH / wide
    taken, end = len(first) * room, 1 - len(last) * room
    found = [_tick(0.0, "start", first, height)]
    for tick in Scale("linear", steps.first, steps.last).ticks():
        share, half = steps.share(tick), len(number(tick)) * room / 2
        if share - half > taken + _GAP and share + half < end - _GAP:
            found.append(_tick(share, "middle", number(tick), height))
            taken = share + half
    return "".join([*found, _tick(1.0, "end", last, height)])


def _tick(share: float, anchor: str, label: str, height: int) -> str:
    return (
        f'<text class="tick x" data-at="{share:.4f}" x="{100 * share:.2f}%" y="{height + 16}"'
        f' text-anchor="{anchor}">{text(label, 40)}</text>'
    )


def _span(span: Span, steps: Steps) -> str:
    left = steps.x(span.first)
    right = WIDTH if span.last is None else steps.x(span.last)
    body = ""
    if right - left > _NARROW:
        body = f'<rect class="span {span.tone}" x="{left}" y="0" width="{right - left}" height="{HEIGHT}"/>'
    return f'{body}<line class="span {span.tone}" x1="{left}" x2="{left}" y1="0" y2="{HEIGHT}"/>'


def _point(point: Point, panel: Panel, labels: Labels, height: int) -> str:
    share, y = panel.steps.share(point.step), _pixel(panel.scale, point.value, height)
    above = y > height - 30 or bool(_nonfinite(panel.traces))
    near = (y - 10, y + 18, y - 26, y + 34) if above else (y + 18, y - 10, y + 34, y - 26)
    return (
        f'<circle class="best" data-at="{share:.4f}" cx="{100 * share:.2f}%" cy="{y}" r="4"/>'
        f"{labels.put(point.label, 'mark quiet', next_to(share, point.label, *near))}"
    )


def _lone(panel: Panel, height: int) -> Iterable[str]:
    """A curve of a single point, which a line would not show."""
    for place, trace in enumerate(panel.traces):
        known = [(at, value) for at, value in zip(trace.x, trace.mean, strict=True) if value is not None]
        if len(known) == 1:
            share, y = panel.steps.share(known[0][0]), _pixel(panel.scale, known[0][1], height)
            kind = f"dot c{color(trace.role, place)}"
            yield f'<circle class="{kind}" data-at="{share:.4f}" cx="{100 * share:.2f}%" cy="{y}" r="3"/>'


def _broken(panel: Panel, labels: Labels, height: int) -> Iterable[str]:
    """How many points are not finite, where the first of them is."""
    if said := _count_of_nonfinite(panel.traces):
        share = panel.steps.share(min(spot[0] for spot in _nonfinite(panel.traces)))
        yield labels.put(said, "mark error", next_to(share, said, height - 14, height - 30, 31))


def _cut(panel: Panel, labels: Labels, height: int) -> Iterable[str]:
    """Peaks above the top, each with its number: nothing is hidden where the scale ends."""
    if not panel.scale.cut:
        return
    for trace in panel.traces:
        above = [(value, at) for value, at in zip(trace.high, trace.step, strict=True) if value is not None]
        peak, at = max(above, default=(0.0, 0.0))
        if above and not panel.scale.inside(peak):
            label = f"▲ up to {number(peak)} at {panel.unit} {number(at)}"
            first = 32 if height > 90 else 28
            yield labels.put(label, "mark quiet", next_to(panel.steps.share(at), label, first, first + 16))
            return


def _apart(levels: Sequence[Level], scale: Scale, height: int) -> list[Level]:
    kept: list[Level] = []
    for level in levels:
        if all(abs(_pixel(scale, level.value, height) - _pixel(scale, one.value, height)) > 15 for one in kept):
            kept.append(level)
    return kept


def _nonfinite(traces: Sequence[Trace]) -> list[tuple[float, float, int]]:
    return [span for trace in traces for span in trace.nonfinite]


def _restarts(traces: Sequence[Trace]) -> list[float]:
    return list(dict.fromkeys(after for trace in traces[:1] for _, _, after in trace.restarts))[:6]


def _count_of_nonfinite(traces: Sequence[Trace]) -> str:
    count = max((sum(span[2] for span in trace.nonfinite) for trace in traces), default=0)
    return f"{count:,} not finite" if count else ""


def nonfinite_words(traces: Sequence[Trace], unit: str) -> str:
    """Where the first curve that has points that are not finite has them; nothing where none has."""
    for trace in traces:
        if trace.nonfinite:
            count = sum(span[2] for span in trace.nonfinite)
            points = f"{count:,} points" if count != 1 else "1 point"
            return f"NaN or infinite: {points} from {unit} {number(trace.nonfinite[0][0])}"
    return ""


def in_words(panel: Panel, marks: Marks) -> str:
    """What the chart shows, for whoever does not see it."""
    parts = []
    for trace in panel.traces:
        finite = trace.finite
        if not finite:
            parts.append(f"{trace.name}: no finite value.")
            continue
        low, high = (min(v for v in trace.low if v is not None), max(v for v in trace.high if v is not None))
        parts.append(
            f"{trace.name}: from {number(finite[0])} to {number(finite[-1])}, lowest {number(low)}, "
            f"highest {number(high)}."
        )
    if words := nonfinite_words(panel.traces, panel.unit):
        parts.append(f"{words}.")
    parts += [f"{span.words or span.label}." for span in marks.spans if span.label]
    parts += [f"{point.label} at {panel.unit} {number(point.step)}." for point in marks.points]
    parts += [f"Line at {level.label}." for level in marks.levels]
    if panel.scale.kind == "log":
        parts.append("Logarithmic scale.")
    return " ".join(parts)


def tick_text(value: float) -> str:
    """A value at an axis, as short as it can be."""
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:,.6g}" if abs(value) >= 1000 else f"{value:.4g}"


def _pixel(scale: Scale, value: float, height: int) -> int:
    return round(scale.y(value) * height / HEIGHT)
