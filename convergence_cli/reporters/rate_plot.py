"""The search as a picture: the short trainings by rate, the range test behind them, the answer marked."""

from __future__ import annotations

import html
import io
import math
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import CtroubleshootError
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate

# Okabe and Ito's palette: told apart by colour-blind readers, and in grey by their lightness.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}}
svg{{width:100%;height:auto;background:#fff}}@media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}}}</style>
</head><body><h1>{title}</h1><p>{why}</p>{svg}</body></html>
"""


def draw(answer: LearningRate, format: str) -> bytes:
    """``answer`` as ``png``, ``svg``, ``pdf`` or ``html``. Raises ``CtroubleshootError`` without matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CtroubleshootError(
            "--plot draws with matplotlib, which is not installed.", "Install: pip install 'ctroubleshoot[plot]'"
        ) from error
    # Without a date and with fixed names the same answer gives the same bytes.
    with rc_context({"svg.hashsalt": "ctroubleshoot", "font.size": 10}):
        figure = Figure(figsize=(7.5, 4.2), layout="constrained")
        _fill(figure.add_subplot(), answer)
        sink = io.BytesIO()
        kind = "svg" if format == "html" else format
        figure.savefig(sink, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return sink.getvalue() if format != "html" else _page(answer, sink.getvalue().decode())


def _fill(axes: Any, answer: LearningRate) -> None:
    if answer.range_rates:
        count = len(answer.range_losses)
        axes.plot(answer.range_rates[:count], _seen(answer.range_losses), color=_GREY, lw=1, label="range test")
    for steps, marker, color in zip(
        sorted({one.steps for one in answer.probes}), "os^", (_ORANGE, _BLUE, _GREEN), strict=False
    ):
        points = [(one.rate, one.loss) for one in answer.probes if one.steps == steps and one.loss is not None]
        label = f"after {steps} steps" if steps > 1 else "trainings"
        if points:
            axes.plot(*zip(*points, strict=True), marker + "-", color=color, label=label)
    if answer.window is not None:
        axes.axvspan(*answer.window, color=_GREEN, alpha=0.15, label="within 5 % of the best")
    if answer.learning_rate is not None:
        axes.axvline(answer.learning_rate, color=_GREEN, lw=2, label=f"learning rate {answer.learning_rate:g}")
    if answer.diverges_at is not None:
        axes.axvline(answer.diverges_at, color="black", lw=1, ls=":", label=f"diverges at {answer.diverges_at:g}")
    axes.set_xscale("log")
    _scale(axes, answer)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.set_title(_title(answer))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def _scale(axes: Any, answer: LearningRate) -> None:
    """No room for what has diverged: up to a little above the start."""
    losses = [one.loss for one in answer.probes if one.loss is not None]
    losses += [loss for loss in answer.range_losses if math.isfinite(loss)]
    if not losses:
        return
    low = min(losses)
    high = answer.start_loss if answer.start_loss is not None else max(losses)
    span = max(high - low, 1e-9 * max(abs(high), 1e-300))
    axes.set_ylim(low - 0.08 * span, high + 0.35 * span)


def _seen(losses: tuple[float, ...]) -> list[float]:
    return [loss if math.isfinite(loss) else math.nan for loss in losses]


def _title(answer: LearningRate) -> str:
    if answer.refused is not None:
        return f"No learning rate: {answer.refused.reason}"
    return f"Learning rate {answer.learning_rate:g} ({answer.schedule} schedule)"


def _page(answer: LearningRate, svg: str) -> bytes:
    why = answer.refused.message if answer.refused is not None else answer.why
    return _PAGE.format(
        title=html.escape(_title(answer)), why=html.escape(printable(why, 2000)), svg=svg[svg.index("<svg") :]
    ).encode()
