"""What others ask for: a picture of a run, or of a report on one. Needs matplotlib only once one is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.plots.missing import NotDrawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from convergence_cli.model import Run, RunReport

KINDS = ("curves", "gradients", "histograms", "updates", "confusion", "importance", "latent", "saliency")
OF_REPORTS = KINDS[:4]
ENDINGS = (".png", ".svg", ".pdf")
WIDTH, NARROWEST, WIDEST = 180.0, 60.0, 500.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a run is drawn: ``layers`` are globs, ``first`` to ``last`` steps, ``width`` millimetres."""

    layers: tuple[str, ...] = ()
    first: float = -math.inf
    last: float = math.inf
    projection: str = "pca"
    width: float = WIDTH

    @property
    def whole(self) -> bool:
        """Whether all steps are wanted."""
        return self.first == -math.inf and self.last == math.inf


def plot_report(report: RunReport, kind: str = "curves", *, width: float = WIDTH) -> Figure:
    """A matplotlib figure of ``report``, also of a saved one: curves, gradients, histograms or updates.

    Raises ``NotDrawn`` where the report does not hold what the picture needs, and ``CtroubleshootError`` without
    matplotlib.
    """
    needs_matplotlib()
    from convergence_cli.reporters._wording import heading

    about: dict[str, Any] = {"name": heading(report), "unit": str(report.summary.get("x") or "step"), "width": width}
    if kind == "curves":
        from convergence_cli.plots import curves

        return curves.figure(report, width)
    if kind == "histograms":
        from convergence_cli.plots import histograms

        return histograms.figure(list(histograms.spreads_of(report.summary.get("spreads"))), **about)
    if kind in ("gradients", "updates"):
        from convergence_cli.plots import gradients, updates
        from convergence_cli.reporters.page.heat import layers_of

        draw = gradients.figure if kind == "gradients" else updates.figure
        return draw(layers_of(report.summary), findings=report.findings, **about)
    if kind in KINDS:
        raise NotDrawn(kind, f"A report does not hold what a picture of {kind} needs.", "Plot the run itself.")
    raise UsageError(f"{kind!r} is not a kind of picture.", f"Choose from: {', '.join(KINDS)}.")


def plot_run(
    run: Any,
    kind: str = "curves",
    wanted: Wanted | None = None,
    *,
    report: RunReport | None = None,
    root: str | None = None,
) -> Figure:
    """A matplotlib figure of ``run``: a ``Run``, a path, or a data frame. ``kind`` is one of ``KINDS``.

    ``report`` is that on the run, where there is one already; ``root`` is where its dumps are looked for.
    Raises as ``plot_report`` does.
    """
    needs_matplotlib()
    from convergence_cli.pipeline import as_run
    from convergence_cli.plots.elsewhere import why_not
    from convergence_cli.settings import Settings

    run = as_run(run, Settings())
    wanted = wanted or Wanted()
    try:
        return _part(run, kind, wanted, report, root)
    except NotDrawn as error:
        raise why_not(error, run, wanted, root) from None


def _part(run: Run, kind: str, wanted: Wanted, report: RunReport | None, root: str | None) -> Figure:
    from convergence_cli.axis import axis_of
    from convergence_cli.pipeline import diagnose
    from convergence_cli.plots.part import report_on_part, stats_of_part
    from convergence_cli.reporters._wording import heading

    if kind == "curves":
        from convergence_cli.plots import curves

        part = report_on_part(run, report or diagnose(run), wanted)
        return curves.figure(part, wanted.width, part=not wanted.whole)
    if kind in OF_REPORTS:
        return plot_report(report_on_part(run, report or diagnose(run), wanted), kind, width=wanted.width)
    about: dict[str, Any] = {"name": heading(run), "width": wanted.width}
    axis = axis_of(run)
    if kind in ("confusion", "importance"):
        from convergence_cli.plots import confusion, importance

        stats = stats_of_part(run, wanted)
        if kind == "importance":
            return importance.figure(() if stats is None else stats.trees, **about)
        return confusion.figure(_last_confusion(stats), unit=axis, **about)
    if kind not in KINDS:
        return plot_report(report or diagnose(run), kind)
    return _of_dumps(run, kind, wanted, root, axis)


def _of_dumps(run: Run, kind: str, wanted: Wanted, root: str | None, axis: str) -> Figure:
    from convergence_cli.plots import latent, saliency
    from convergence_cli.plots.dumped import dumps_of, opened
    from convergence_cli.reporters._wording import heading

    found = opened(dumps_of(run.path, root), wanted.first, wanted.last)
    about: dict[str, Any] = {"name": heading(run), "unit": axis, "width": wanted.width}
    if kind == "latent":
        return latent.figure(latent.latent_of(found, wanted.layers, wanted.projection), **about)
    return saliency.figure(saliency.saliency_of(found, wanted.layers), **about)


def _last_confusion(stats: Any) -> Any:
    """The last one; of several at one step that of most samples."""
    found = () if stats is None else stats.confusions
    return max(found, key=lambda one: (one.step, int(one.matrix.sum())), default=None)


def encode(figures: Sequence[Figure], format: str) -> bytes:
    """``figures`` as the bytes of one file: one picture, or a PDF of several."""
    from convergence_cli.plots import writing

    return writing.pages(figures) if format == "pdf" else writing.encoded(figures[0], format)


def is_ours(path: str) -> bool:
    """Whether the file at ``path`` is a picture that was written here."""
    needs_matplotlib()
    from convergence_cli.plots import writing

    return writing.is_ours(path)


def needs_matplotlib() -> None:
    """Raises ``CtroubleshootError`` where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CtroubleshootError(
            "Pictures are drawn with matplotlib, which is not installed.",
            "Install: pip install 'convergence-cli[plot]'",
        ) from error
