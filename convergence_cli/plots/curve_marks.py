"""What the verdict and the findings say of a curve, and where it is broken, as marks on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convergence_cli.plots.style import BLACK, FAINT, QUIET, SMALL, TONES, VERMILION, short, shown
from convergence_cli.plots.ticks import figures
from convergence_cli.reporters.page.marks import best_point, finding_span, verdict_span

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from convergence_cli.model import Finding, RunReport
    from convergence_cli.reporters.page.trace import Trace


def mark_verdict(axes: Axes, run: RunReport, end: float) -> None:
    """From where on the verdict holds: a line there, and shade from it to the step ``end``, the last that is drawn."""
    span = verdict_span(run)
    if span is None or span.first > end:
        return
    left, right = axes.get_xlim()
    tone = TONES["warning" if span.tone == "warning" else "error"]
    wide = max(end - max(span.first, left), 0.004 * (right - left))
    start = max(span.first, left)
    axes.axvspan(start, start + wide, color=tone, alpha=0.1, linewidth=0, zorder=0.5, gid="verdict")
    if span.first < left:
        return
    axes.axvline(span.first, color=QUIET, linewidth=1.0, linestyle=(0, (3, 2)), gid="since", zorder=1.5)
    late = span.first > left + 0.7 * (right - left)
    axes.annotate(
        shown(span.label, 40),
        (span.first, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-3 if late else 3, 2),
        textcoords="offset points",
        ha="right" if late else "left",
        va="bottom",
        fontsize=SMALL,
        color=QUIET,
        annotation_clip=False,
    )


def shade_findings(axes: Axes, findings: Sequence[Finding], end: float) -> None:
    """The steps of findings behind the curve, each once; what is no more than a note is only told below.

    What is open ends at the step ``end``.
    """
    left, right = axes.get_xlim()
    taken: list[tuple[float, float]] = []
    for finding in findings:
        span = finding_span(finding)
        if span is None or finding.severity == "note":
            continue
        first, last = max(span.first, left), end if span.last is None else min(span.last, end)
        for start, stop in _without(first, last, taken):
            wide = max(stop - start, 0.004 * (right - left))
            axes.axvspan(start, start + wide, color=TONES[finding.severity], alpha=0.1, linewidth=0, zorder=0.5)
        taken.append((first, last))


def _without(first: float, last: float, taken: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What of ``first`` to ``last`` lies in none of ``taken``."""
    open_ = [(first, last)] if last >= first else []
    for low, high in taken:
        open_ = [
            piece
            for start, end in open_
            for piece in ((start, min(end, low)), (max(start, high), end))
            if piece[1] > piece[0] or (start == end and not low <= start <= high)
        ]
    return open_


def mark_best(axes: Axes, run: RunReport, traces: Sequence[Trace], powers: int = 0) -> None:
    """The best loss, a star on its series, whose values are divided by so many ``powers`` of ten."""
    best = best_point(run)
    left, right = axes.get_xlim()
    if best is None or best[0] not in [trace.name for trace in traces] or not left <= best[1].step <= right:
        return
    label = f"best {figures(best[1].value)} at {figures(best[1].step)}"
    axes.plot(
        [best[1].step],
        [best[1].value / 10**powers],
        marker="*",
        markersize=9,
        color=BLACK,
        markeredgecolor="white",
        markeredgewidth=0.6,
        linestyle="",
        label=label,
        gid="best",
        zorder=6,
    )


def mark_broken(axes: Axes, traces: Sequence[Trace]) -> None:
    """Where values are NaN or infinite, and where the step goes back."""
    spans = sorted({span for trace in traces for span in trace.nonfinite})
    if spans:
        count = sum(number for _, _, number in spans)
        foot = axes.get_xaxis_transform()
        for first, last, _ in spans:
            if last > first:
                axes.plot(
                    [first, last], [0.03, 0.03], color=VERMILION, linewidth=2.5, alpha=0.5, transform=foot, zorder=4
                )
        axes.plot(
            [first for first, _, _ in spans],
            [0.03] * len(spans),
            color=VERMILION,
            marker="x",
            markersize=5,
            markeredgewidth=1.4,
            linestyle="",
            transform=foot,
            label=f"NaN or infinite ({count:,})",
            gid="nonfinite",
            zorder=5,
        )
    places = sorted({(before, after) for trace in traces for _, before, after in trace.restarts})
    for number, (before, after) in enumerate(places):
        label = f"step goes back ({len(places)})" if number == 0 else None
        axes.axvline(after, color=BLACK, linewidth=0.9, linestyle=":", label=label, gid="restart", zorder=1.6)
        axes.axvline(before, color=FAINT, linewidth=0.9, linestyle=":", gid="restart-from", zorder=1.4)


def mark_lanes(axes: Axes, findings: Sequence[Finding], end: float, width: float, rest: str = "") -> None:
    """A line a finding: what it says, and below its steps as a bar, as far as ``end``; ``rest`` in a line below."""
    axes.set_gid("lanes")
    left, _ = axes.get_xlim()
    for row, finding in enumerate(findings):
        span = finding_span(finding)
        if span is None:
            continue
        first, last = max(span.first, left), end if span.last is None else min(span.last, end)
        tone = TONES[finding.severity]
        line = {"error": "-", "warning": (0, (3, 0.6)), "note": (0, (1, 0.8))}[finding.severity]
        axes.plot(
            [first, last],
            [row + 0.24] * 2,
            color=tone,
            linewidth=3.2,
            linestyle=line,
            dash_capstyle="butt",
            solid_capstyle="butt",
            gid=f"finding-{shown(finding.rule, 12)}",
        )
        # A single step is seen, too.
        axes.plot([first, last], [row + 0.24] * 2, "|", color=tone, markersize=6, markeredgewidth=1.2)
        where = finding.where.layer or finding.where.series
        words = f"{finding.severity}  {finding.rule} {finding.name}" + (f"  ({short(where, 28)})" if where else "")
        axes.annotate(
            shown(words, max(int(width / 1.45), 30)),
            (0.0, row - 0.18),
            xycoords=axes.get_yaxis_transform(),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
        )
    if rest:
        axes.annotate(
            rest,
            (0.0, len(findings) - 0.1),
            xycoords=axes.get_yaxis_transform(),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=QUIET,
        )
    axes.set_yticks([])
    axes.set_ylim(len(findings) + bool(rest) - 0.45, -0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
