"""The curves of one run as charts that share their steps, and the numbers beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convergence_cli.reporters._wording import number, unit
from convergence_cli.reporters.page.chart import Marks, Panel, color, drawn
from convergence_cli.reporters.page.heat import layers_of
from convergence_cli.reporters.page.labels import CHARACTER_WIDTH, TABLET
from convergence_cli.reporters.page.marks import (
    LOSSES,
    Span,
    best_point,
    finding_span,
    levels,
    role_of,
    verdict_span,
)
from convergence_cli.reporters.page.markup import text
from convergence_cli.reporters.page.paths import steps_of
from convergence_cli.reporters.page.scale import scale_of
from convergence_cli.reporters.page.trace import Trace, thinned, traces_of
from convergence_cli.reporters.page.trace import number as number_of

if TYPE_CHECKING:
    from convergence_cli.model import Finding, RunReport

MAIN_HEIGHT, SMALL_HEIGHT = 280, 130
MAX_PANELS, MAX_LANES = 12, 8
LANE = 20
_TOGETHER = (LOSSES, ("train_accuracy", "val_accuracy"))


@dataclass(slots=True)
class Charts:
    """The panels of one run by role, the first of them the main one."""

    run: RunReport
    uid: str
    panels: dict[str, Panel]
    drawn: int = 0

    def own(self) -> str:
        """An id for one more picture."""
        self.drawn += 1
        return f"{self.uid}-p{self.drawn}"


def charts_of(run: RunReport, uid: str, buckets: int | None = None) -> Charts:
    """The curves of ``run``, each thinned to ``buckets`` where they are given."""
    traces = traces_of(run)
    if buckets is not None:
        traces = {role: thinned(trace, buckets) for role, trace in traces.items()}
    steps = steps_of(traces.values(), number_of(run.summary.get("first_step")))
    groups = [[role for role in group if role in traces] for group in _TOGETHER]
    placed = {role for group in groups for role in group}
    groups += [[role] for role in traces if role not in placed]
    panels: dict[str, Panel] = {}
    for place, group in enumerate([group for group in groups if group][:MAX_PANELS]):
        members = [traces[role] for role in group]
        values = [value for trace in members for side in (trace.low, trace.high, trace.mean) for value in side]
        finite = [value for value in values if value is not None]
        marked = [
            level.value for finding in run.findings if role_of(finding, run) in group for level in levels(finding)
        ]
        scale = scale_of(finite or [0.0, 1.0], marked)
        panel = Panel(f"k{place}", uid, members, steps, scale, unit(run))
        panels |= dict.fromkeys(group, panel)
    return Charts(run, uid, panels)


def overview(charts: Charts) -> str:
    """The main chart with what the verdict says of it and the steps of all findings below, then the other curves."""
    unique = list({panel.key: panel for panel in charts.panels.values()}.values())
    if not unique:
        return ""
    main, *others = unique
    run = charts.run
    span = verdict_span(run)
    best = best_point(run)
    points = [best[1]] if best is not None and best[0] in [trace.name for trace in main.traces] else []
    body = drawn(
        main, Marks([span] if span else [], (), points), height=MAIN_HEIGHT, title=_title(main), uid=charts.own()
    )
    parts = [f'<figure class="main">{_caption(main)}{body}{lanes(charts, main)}</figure>']
    if others:
        bare = [Span(span.first, span.last, span.tone)] if span else []
        small = "".join(
            f"<figure>{_caption(panel)}"
            f"{drawn(panel, Marks(bare), height=SMALL_HEIGHT, title=_title(panel), uid=charts.own())}</figure>"
            for panel in others
        )
        parts.append(f'<div class="small">{small}</div>')
    return "".join(parts)


def finding_chart(charts: Charts, finding: Finding) -> str:
    """The curve that ``finding`` speaks of, with its steps and the levels that decided; or nothing."""
    role = role_of(finding, charts.run)
    panel = charts.panels.get(role or "")
    if panel is None or role is None:
        return ""
    span = finding_span(finding)
    name = next(trace.name for trace in panel.traces if trace.role == role)
    title = f"{name} and what {finding.rule} {finding.name} says of it"
    marks = Marks([_said(span, charts.run)] if span else [], list(levels(finding)), peaks=False)
    body = drawn(panel, marks, height=SMALL_HEIGHT, title=title, emphasis=role, uid=charts.own())
    return f"<figure>{_caption(panel, role)}{body}</figure>"


def _said(span: Span, run: RunReport) -> Span:
    counted = unit(run)
    if span.last is None:
        label = f"from {counted} {number(span.first)}"
    elif span.last == span.first:
        label = f"{counted} {number(span.first)}"
    else:
        label = f"{counted}s {number(span.first)}–{number(span.last)}"
    return Span(span.first, span.last, span.tone, label)


def lanes(charts: Charts, panel: Panel) -> str:
    """One bar for each finding, along the steps that it speaks of."""
    steps, run = panel.steps, charts.run
    found: dict[tuple[Any, ...], tuple[str, Span]] = {}
    for finding in run.findings:
        span = finding_span(finding)
        if span is not None:
            found.setdefault((finding.rule, span.first), (f"{finding.rule} {finding.name}", span))
    if not found:
        return ""
    rows = []
    for place, (label, span) in enumerate(list(found.values())[:MAX_LANES]):
        left, right = steps.share(span.first), 1.0 if span.last is None else steps.share(span.last)
        wide, y = max(right - left, 0.004), place * LANE
        left = min(left, 1 - wide)
        rows.append(
            f'<rect class="lane {span.tone}" x="{100 * left:.2f}%" y="{y + 2}" width="{100 * wide:.2f}%"'
            f' height="{LANE - 4}" rx="2"/>{_lane_label(label, left, wide, y)}'
        )
    uid = charts.own()
    words = "; ".join(f"{label}: {_said(span, run).label}" for label, span in found.values())
    more = f'<p class="quiet">and {len(found) - MAX_LANES} more</p>' if len(found) > MAX_LANES else ""
    return (
        f'<svg class="lanes" role="img" aria-labelledby="{uid}-t {uid}-d" width="100%" height="{len(rows) * LANE}">'
        f'<title id="{uid}-t">The steps that each finding speaks of</title><desc id="{uid}-d">{text(words)}</desc>'
        f"{''.join(rows)}</svg>{more}"
    )


def _lane_label(label: str, left: float, wide: float, y: int) -> str:
    needed = (len(label) * CHARACTER_WIDTH + 10) / TABLET
    if wide < needed and left + wide + needed <= 1:
        share, side = left + wide, 'dx="6"'
    elif wide < needed <= left:
        share, side = left, 'dx="-6" text-anchor="end"'
    else:
        share, side = left, 'dx="8"'
    # On a phone the code alone: the name has no room.
    code, _, name = label.partition(" ")
    return f'<text x="{100 * share:.2f}%" y="{y + 14}" {side}>{text(code, 60)}<tspan> {text(name, 60)}</tspan></text>'


def _title(panel: Panel) -> str:
    return f"{' and '.join(trace.name for trace in panel.traces)} by {panel.unit}"


def _caption(panel: Panel, role: str | None = None) -> str:
    parts = []
    for place, trace in enumerate(panel.traces):
        faint = " faint" if role is not None and role != trace.role else ""
        parts.append(f'<span class="key c{color(trace.role, place)}{faint}">{text(trace.name, 60)}</span>')
    scale = '<span class="quiet">log scale</span>' if panel.scale.kind == "log" else ""
    return f"<figcaption>{''.join(parts)}{scale}</figcaption>"


def readings(charts: Charts, *, full: bool) -> dict[str, Any]:
    """The numbers of all panels for the page's script; lowest and highest of each bucket only where ``full``."""
    panels = {panel.key: panel for panel in charts.panels.values()}
    first = next(iter(panels.values()), None)
    if first is None:
        layers = layers_of(charts.run.summary)
        # Dumps without a log: there are maps to read, and no curve.
        steps = None if layers is None else (layers.steps[0], layers.steps[-1])
        return {} if steps is None else {"unit": unit(charts.run), "first": steps[0], "last": steps[1], "panels": {}}
    return {
        "unit": first.unit,
        "first": first.steps.first,
        "last": first.steps.last,
        "panels": {key: list(_curves(panel.traces, full=full)) for key, panel in panels.items()},
    }


def _curves(traces: Sequence[Trace], *, full: bool) -> Iterator[Mapping[str, Any]]:
    digits = 6 if full else 4
    for trace in traces:
        said: dict[str, Any] = {"n": text_of(trace.name), "s": _even(trace.step), "m": _short(trace.mean, digits)}
        if full and trace.buckets:
            said |= {"l": _short(trace.low, digits), "h": _short(trace.high, digits)}
        yield said


def text_of(name: str) -> str:
    """``name`` for the script, which sets it as text."""
    from convergence_cli.printable import printable

    return printable(name, 60)


def _even(step: Sequence[float]) -> Any:
    """``step``, or where its distances are equal just [first, distance, count]."""
    if len(step) > 3:
        width = step[1] - step[0]
        if all(abs(step[0] + index * width - at) <= 1e-9 * (abs(at) + 1) for index, at in enumerate(step)):
            return {"first": step[0], "width": width, "count": len(step)}
    return list(step)


def _short(values: Sequence[float | None], digits: int) -> list[float | int | None]:
    return [None if value is None else _whole(float(f"{value:.{digits}g}")) for value in values]


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() and abs(value) < 1e15 else value
