"""A search for a learning rate: the short trainings by rate, the range test behind them, the answer marked."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from convergence_cli.plots.style import BLACK, FAINT, FULL, GREEN, SERIES, picture, sheet
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.plots.writing import encoded
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from convergence_cli.learning_rate import LearningRate

KIND = "sweep"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}}
svg{{width:100%;height:auto;background:#fff}}@media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}}}</style>
</head><body><h1>{title}</h1><p>{why}</p>{svg}</body></html>
"""


@picture
def figure(answer: LearningRate, width: float = FULL) -> Figure:
    """Losses by rate, as far up as a little above the start."""
    under = answer.refused.message if answer.refused is not None else answer.why
    paper = sheet(width, 78, title_of(answer), under or " ")
    axes = paper.add_subplot()
    axes.set_xscale("log")
    known = [*answer.range_rates, *(one.rate for one in answer.probes), answer.learning_rate, answer.diverges_at]
    known += answer.window or ()
    positive = [rate for rate in known if rate is not None and rate > 0] or [1e-3]
    room = 1.5 if max(positive) > min(positive) else 10.0
    axes.set_xlim(min(positive) / room, max(positive) * room)
    if answer.window is not None:
        axes.axvspan(*answer.window, color=GREEN, alpha=0.14, linewidth=0, label="within 5 % of the best", gid="window")
    if answer.range_rates:
        losses = [loss if math.isfinite(loss) else math.nan for loss in answer.range_losses]
        rates = answer.range_rates[: len(losses)]
        axes.plot(rates, losses[: len(rates)], color=FAINT, linewidth=1, label="range test", gid="range")
    for place, steps in enumerate(sorted({one.steps for one in answer.probes})):
        points = [(one.rate, one.loss) for one in answer.probes if one.steps == steps and one.loss is not None]
        if not points:
            continue
        look = SERIES[place % len(SERIES)]
        axes.plot(
            [rate for rate, _ in points],
            [loss for _, loss in points],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            label=f"after {steps:,} steps" if steps > 1 else "trainings",
            gid="probes",
            zorder=3,
        )
    if answer.learning_rate is not None:
        label = f"learning rate {answer.learning_rate:g}"
        axes.axvline(answer.learning_rate, color=GREEN, linewidth=2, label=label, gid="rate")
    if answer.diverges_at is not None:
        label = f"diverges at {answer.diverges_at:g}"
        axes.axvline(answer.diverges_at, color=BLACK, linewidth=1, linestyle=":", label=label, gid="diverges")
    _scale(axes, answer)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best")
    write_ticks(axes)
    return paper


def draw(answer: LearningRate, format: str) -> bytes:
    """``answer`` as ``png``, ``svg``, ``pdf``, or as ``html``: a page of its own around the picture."""
    if format != "html":
        return encoded(figure(answer), format)
    svg = encoded(figure(answer), "svg").decode()
    why = answer.refused.message if answer.refused is not None else answer.why
    return _PAGE.format(
        title=html.escape(title_of(answer)), why=html.escape(printable(why, 2000)), svg=svg[svg.index("<svg") :]
    ).encode()


def title_of(answer: LearningRate) -> str:
    """The answer in some words."""
    if answer.refused is not None:
        return f"No learning rate: {answer.refused.reason}"
    return f"Learning rate {figures(answer.learning_rate or 0.0)} ({answer.schedule} schedule)"


def _scale(axes: Axes, answer: LearningRate) -> None:
    losses = [one.loss for one in answer.probes if one.loss is not None and math.isfinite(one.loss)]
    losses += [loss for loss in answer.range_losses if math.isfinite(loss)]
    if not losses:
        return
    low = min(losses)
    high = answer.start_loss if answer.start_loss is not None else max(losses)
    span = max(high - low, 1e-9 * max(abs(high), 1e-300))
    axes.set_ylim(low - 0.08 * span, high + 0.35 * span)
