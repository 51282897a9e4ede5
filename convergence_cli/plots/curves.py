"""Losses with what the verdict and the findings say of them, and the other series below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from convergence_cli.plots.curve_marks import mark_best, mark_broken, mark_lanes, mark_verdict, shade_findings
from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import FULL, NARROW, QUIET, SERIES, Look, picture, sheet, shown
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.printable import counted
from convergence_cli.reporters._wording import heading, percent, unit, worst_first
from convergence_cli.reporters.page.marks import finding_span, verdict_span
from convergence_cli.reporters.page.scale import scale_of
from convergence_cli.reporters.page.trace import Trace, traces_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from convergence_cli.model import Finding, RunReport

KIND = "curves"
MAX_PANELS, MAX_LANES = 6, 6
# From so few points on each is marked.
FEW_POINTS = 40
_TOGETHER = (("train_loss", "val_loss"), ("train_accuracy", "val_accuracy"))
_FIRST = ("learning_rate", "grad_norm")
# Two such numbers are no further apart than a float can hold. What is larger is drawn divided by powers of ten.
_LARGEST, _POWERS = 1e307, 10
# The axis goes on by so much of its length where findings do.
_ROOM = 0.25
# Millimetres.
_MAIN, _LANE, _SMALL = 58.0, 5.4, 22.0


@picture
def figure(run: RunReport, width: float = FULL, *, part: bool = False) -> Figure:
    """The curves in the summary of ``run``. Raises ``NotDrawn`` where it has none.

    ``part``: they are of some steps only, and the axis does not go on to those of findings.
    """
    main, *others = _panels(run)
    columns = 1 if width < NARROW or len(others) == 1 else 2
    small = [_SMALL] * -(-len(others) // columns)
    steps = [step for trace in main for step in (*trace.step, *trace.x)]
    if not part:
        steps += _near(run.findings, min(steps), max(steps))
    first, end = min(steps), max(steps)
    findings = [one for one in worst_first(run.findings) if _within(one, first, end)][:MAX_LANES]
    rest = _rest(run.findings, findings, first, end)
    rows = len(findings) + bool(rest)
    lanes = [_LANE * rows + 2] * bool(rows)
    heights = [_MAIN, *lanes, *small]
    paper = sheet(width, sum(heights) + 7 + 5 * len(small), verdict_words(run), f"{heading(run)}: {run.verdict.reason}")
    grid = paper.add_gridspec(len(heights), columns, height_ratios=heights)
    axes = paper.add_subplot(grid[0, :])
    axes.set_gid("main")
    margin = 0.015 * (end - first) or 0.5
    axes.set_xlim(first - margin, end + margin)
    powers = draw_traces(axes, main)
    # One step alone has no length: what goes on there fills the axis.
    until = end if end > first else end + margin
    mark_verdict(axes, run, until)
    if verdict_span(run) is None:
        shade_findings(axes, findings, until)
    mark_best(axes, run, main, powers)
    axes.set_ylabel(_named(main))
    legend(axes)
    whole = all(step == round(step) for step in steps)
    if first == end:
        axes.set_xticks([first], [figures(first)])
    write_ticks(axes, whole=whole, powers=powers)
    last = axes
    if rows:
        last = paper.add_subplot(grid[1, :], sharex=axes)
        mark_lanes(last, findings, until, width, rest)
        axes.tick_params(labelbottom=False)
    last.set_xlabel(unit(run))
    for place, group in enumerate(others):
        row, column = divmod(place, columns)
        panel = paper.add_subplot(grid[1 + len(lanes) + row, column])
        panel.set_gid(f"panel-{shown(group[0].role)}")
        panel.set_xlim(axes.get_xlim())
        powers = draw_traces(panel, group)
        panel.set_title(_named(group), color=QUIET)
        if len(group) > 1:
            legend(panel)
        if first == end:
            panel.set_xticks([first], [figures(first)])
        write_ticks(panel, whole=whole, powers=powers)
    return paper


def _near(findings: Sequence[Finding], first: float, end: float) -> list[float]:
    """Steps of ``findings`` a little before or after the curve: tensors are not dumped at the steps it is logged at."""
    spans = [span for one in findings if (span := finding_span(one)) is not None]
    room = _ROOM * (end - first)
    found = (at for span in spans for at in (span.first, span.last) if at is not None)
    return [at for at in found if first - room <= at <= end + room]


def _within(finding: Finding, first: float, end: float) -> bool:
    """Whether some of the steps of ``finding`` are drawn."""
    span = finding_span(finding)
    return span is not None and span.first <= end and (span.last is None or span.last >= first)


def _rest(findings: Sequence[Finding], marked: Sequence[Finding], first: float, end: float) -> str:
    """How many ``findings`` are not ``marked``, and how many of them are of other steps; empty where all are."""
    others = len(findings) - len(marked)
    away = sum(finding_span(one) is not None and not _within(one, first, end) for one in findings)
    if not marked:
        return f"{counted(away, 'finding')} at other steps" if away else ""
    beside = f", {away:,} of them at other steps" if 0 < away < others else " at other steps" if away else ""
    return f"and {others:,} more{beside}" if others else ""


def verdict_words(run: RunReport) -> str:
    """``Diverging, 97 % sure``, and since when."""
    verdict = run.verdict
    words = verdict.label.capitalize()
    if verdict.label != "undetermined":
        words += f", {percent(verdict.confidence)} sure"
    if verdict.since_step is not None:
        words += f", since {unit(run)} {figures(verdict.since_step)}"
    return words


def look_of(role: str, place: int) -> Look:
    """What is of validation looks the same everywhere, and so does what is of training."""
    if role.startswith("val"):
        return SERIES[1]
    return SERIES[0] if place == 0 else SERIES[min(place + 1, len(SERIES) - 1)]


def draw_traces(axes: Axes, traces: Sequence[Trace]) -> int:
    """Means as lines, lowest to highest of each bucket as bands; one scale for all, a log where it shows more.

    Gives by how many powers of ten the values are divided, which the extremes of a float need.
    """
    values = [value for trace in traces for side in (trace.low, trace.high, trace.mean) for value in side]
    finite = [value for value in values if value is not None]
    powers = _POWERS if max(map(abs, finite), default=0.0) > _LARGEST else 0
    if powers:
        traces = [_divided(trace, powers) for trace in traces]
        finite = [value / 10**powers for value in finite]
    scale = scale_of(finite or [0.0, 1.0])
    for place, trace in enumerate(traces):
        _draw_trace(axes, trace, look_of(trace.role, place))
    # First: a change of the scale would make room around the data, beyond what a float can hold.
    axes.set_ylim(scale.low, scale.high)
    axes.set_yscale(scale.kind)
    if finite and min(finite) == max(finite):
        axes.set_yticks([finite[0]], [figures(finite[0], powers)])
    if scale.cut:
        _mark_cut(axes, traces, scale.high, powers)
    mark_broken(axes, traces)
    return powers


def _divided(trace: Trace, powers: int) -> Trace:
    sides = (trace.low, trace.high, trace.mean)
    low, high, mean = (tuple(None if value is None else value / 10**powers for value in side) for side in sides)
    return replace(trace, low=low, high=high, mean=mean)


def _draw_trace(axes: Axes, trace: Trace, look: Look) -> None:
    nan = float("nan")
    cuts = sorted({bucket for bucket, _, _ in trace.restarts})
    # A step back is no line: nothing lies between.
    order: list[int | None] = []
    for index in range(len(trace.x)):
        order += [None, index] if index in cuts else [index]
    x = [trace.step[at] if not trace.buckets else trace.x[at] for at in (one or 0 for one in order)]
    low, mean, high = (
        [nan if at is None or (value := side[at]) is None else value for at in order]
        for side in (trace.low, trace.mean, trace.high)
    )
    few = sum(value is not None for value in trace.mean) <= FEW_POINTS
    if trace.buckets:
        band = axes.fill_between(x, low, high, color=look.color, alpha=0.25, linewidth=0.6, zorder=2)
        band.set_gid(f"band-{trace.role}")
    axes.plot(
        x,
        mean,
        color=look.color,
        linestyle=look.dash,
        marker=look.marker if few else "",
        markersize=3,
        label=shown(trace.name, 40),
        gid=f"line-{trace.role}",
        zorder=3,
    )


def _mark_cut(axes: Axes, traces: Sequence[Trace], top: float, powers: int) -> None:
    """Peaks above the axis, each with its height."""
    for place, trace in enumerate(traces):
        peaks = [(trace.x[at], value) for at, value in enumerate(trace.high) if value is not None and value > top]
        if not peaks:
            continue
        look = look_of(trace.role, place)
        axes.plot(
            [x for x, _ in peaks],
            [0.985] * len(peaks),
            color=look.color,
            marker="^",
            linestyle="",
            transform=axes.get_xaxis_transform(),
            gid=f"cut-{trace.role}",
            label=f"{shown(trace.name, 24)} above the axis, up to {figures(max(value for _, value in peaks), powers)}",
            zorder=5,
            clip_on=False,
        )


def _panels(run: RunReport) -> list[list[Trace]]:
    traces = traces_of(run)
    if not traces:
        raise NotDrawn(
            KIND, f"{shown(run.name)} has no curve that was read.", "Log a loss, or name a series with --metric."
        )
    groups = [[traces[role] for role in group if role in traces] for group in _TOGETHER]
    placed = {trace.role for group in groups for trace in group}
    rest = sorted((role for role in traces if role not in placed), key=lambda role: (role not in _FIRST, role))
    return [group for group in [*groups, *([traces[role]] for role in rest)] if group][: MAX_PANELS + 1]


def _named(traces: Sequence[Trace]) -> str:
    words = [trace.role.removeprefix("train_").removeprefix("val_").replace("_", " ") for trace in traces]
    return shown(words[0].replace("grad norm", "gradient norm"))


def legend(axes: Axes) -> None:
    """What is what, where the curves leave most room."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best")
