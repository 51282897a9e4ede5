"""Losses with what the verdict and the findings say of them, and the other series below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convergence_cli.plots.curve_marks import mark_best, mark_broken, mark_lanes, mark_verdict, shade_findings
from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import FULL, NARROW, QUIET, SERIES, Look, picture, sheet, shown
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.reporters._wording import heading, percent, unit, worst_first
from convergence_cli.reporters.page.marks import finding_span
from convergence_cli.reporters.page.scale import scale_of
from convergence_cli.reporters.page.trace import Trace, traces_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from convergence_cli.model import RunReport

KIND = "curves"
MAX_PANELS, MAX_LANES = 6, 6
# From so few points on each is marked.
FEW_POINTS = 40
_TOGETHER = (("train_loss", "val_loss"), ("train_accuracy", "val_accuracy"))
_FIRST = ("learning_rate", "grad_norm")
# Two such numbers are no further apart than a float can hold.
_LARGEST = 1e307
# Millimetres.
_MAIN, _LANE, _SMALL = 58.0, 5.4, 22.0


@picture
def figure(run: RunReport, width: float = FULL) -> Figure:
    """The curves in the summary of ``run``. Raises ``NotDrawn`` where it has none."""
    main, *others = _panels(run)
    columns = 1 if width < NARROW or len(others) == 1 else 2
    small = [_SMALL] * -(-len(others) // columns)
    findings = [one for one in worst_first(run.findings) if finding_span(one) is not None][:MAX_LANES]
    lanes = [_LANE * len(findings) + 2] * bool(findings)
    heights = [_MAIN, *lanes, *small]
    paper = sheet(width, sum(heights) + 7 + 5 * len(small), verdict_words(run), f"{heading(run)}: {run.verdict.reason}")
    grid = paper.add_gridspec(len(heights), columns, height_ratios=heights)
    axes = paper.add_subplot(grid[0, :])
    axes.set_gid("main")
    axes.set_xlim(*_reach(main))
    draw_traces(axes, main)
    mark_verdict(axes, run)
    shade_findings(axes, findings)
    mark_best(axes, run, main)
    axes.set_ylabel(_named(main))
    legend(axes)
    write_ticks(axes)
    last = axes
    if findings:
        last = paper.add_subplot(grid[1, :], sharex=axes)
        mark_lanes(last, findings, width)
        axes.tick_params(labelbottom=False)
    last.set_xlabel(unit(run))
    for place, group in enumerate(others):
        row, column = divmod(place, columns)
        panel = paper.add_subplot(grid[1 + len(lanes) + row, column])
        panel.set_gid(f"panel-{shown(group[0].role)}")
        panel.set_xlim(axes.get_xlim())
        draw_traces(panel, group)
        panel.set_title(_named(group), color=QUIET)
        if len(group) > 1:
            legend(panel)
        write_ticks(panel)
    return paper


def _reach(traces: Sequence[Trace]) -> tuple[float, float]:
    steps = [step for trace in traces for step in (*trace.step, *trace.x)]
    low, high = min(steps), max(steps)
    margin = 0.015 * (high - low) or 0.5
    return low - margin, high + margin


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


def draw_traces(axes: Axes, traces: Sequence[Trace]) -> None:
    """Means as lines, lowest to highest of each bucket as bands; one scale for all, a log where it shows more."""
    values = [value for trace in traces for side in (trace.low, trace.high, trace.mean) for value in side]
    finite = [_drawable(value) for value in values if value is not None]
    scale = scale_of(finite or [0.0, 1.0])
    for place, trace in enumerate(traces):
        _draw_trace(axes, trace, look_of(trace.role, place))
    axes.set_yscale(scale.kind)
    axes.set_ylim(scale.low, scale.high)
    if finite and min(finite) == max(finite):
        axes.set_yticks([finite[0]], [figures(finite[0])])
    if scale.cut:
        _mark_cut(axes, traces, scale.high)
    mark_broken(axes, traces)


def _drawable(value: float) -> float:
    """``value``, or the nearest to it that an axis can hold with its margins."""
    return min(max(value, -_LARGEST), _LARGEST)


def _draw_trace(axes: Axes, trace: Trace, look: Look) -> None:
    nan = float("nan")
    cuts = sorted({bucket for bucket, _, _ in trace.restarts})
    # A step back is no line: nothing lies between.
    order: list[int | None] = []
    for index in range(len(trace.x)):
        order += [None, index] if index in cuts else [index]
    x = [trace.step[at] if not trace.buckets else trace.x[at] for at in (one or 0 for one in order)]
    low, mean, high = (
        [nan if at is None or (value := side[at]) is None else _drawable(value) for at in order]
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


def _mark_cut(axes: Axes, traces: Sequence[Trace], top: float) -> None:
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
            label=f"{shown(trace.name, 24)} above the axis, up to {figures(max(value for _, value in peaks))}",
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
