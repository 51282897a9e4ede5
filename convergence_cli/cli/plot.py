"""``plot``: pictures of a run, as PNG, SVG or PDF."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import one_blas_thread
from convergence_cli.cli._one_run import run_at, saved_at
from convergence_cli.cli._output import complain, progress, say, write_bytes
from convergence_cli.cli._settings import settings_from
from convergence_cli.errors import EXIT_NO_VERDICT, EXIT_OK, CtroubleshootError, UsageError
from convergence_cli.plots.door import ENDINGS, KINDS, NARROWEST, OF_REPORTS, WIDEST, WIDTH, Wanted
from convergence_cli.printable import printable
from convergence_cli.selection import did_you_mean
from convergence_cli.streams import STANDARD_INPUT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from convergence_cli.model import Report, Run, RunReport
    from convergence_cli.settings import Settings

ALL = "all"
PROJECTIONS = ("pca", "tsne", "umap")
EXIT_CODES = """\
Exit codes:
  0    every picture that was asked for is drawn (of --kind all: those that can be)
  2    one is not: bad usage, unreadable input, or the run does not have what it needs
  3    a bug in ctroubleshoot
  130  interrupted
"""
_PICTURE = "Picture"


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A log file, a run folder or a saved report in JSON.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND,...",
            help=f"{', '.join(KINDS)}; {ALL}: whatever the run has. Default: curves.",
            rich_help_panel=_PICTURE,
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", metavar="GLOB", help="Only tensors of this layer or name. Repeatable.", rich_help_panel=_PICTURE
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option("--step", metavar="N|A:B", help="Only these steps. Default: all.", rich_help_panel=_PICTURE),
    ] = None,
    projection: Annotated[
        str,
        typer.Option(
            "--projection",
            metavar="|".join(PROJECTIONS),
            help="How a latent space is laid flat. tsne needs scikit-learn, umap umap-learn.",
            rich_help_panel=_PICTURE,
        ),
    ] = PROJECTIONS[0],
    width: Annotated[
        str,
        typer.Option("--width", metavar="MM", help="80 for a column, 180 for a page.", rich_help_panel=_PICTURE),
    ] = f"{WIDTH:g}",
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .png, .svg or .pdf; of several kinds a file each, or pages of a PDF. Default: RUN-KIND.png.",
            rich_help_panel="Output",
        ),
    ] = None,
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    as_of: options.AsOf = None,
    config: options.Config = None,
    isolated: options.Isolated = False,
    quiet: options.Silent = False,
) -> int:
    """Draw a run: curves with the verdict, gradients, histograms, updates, confusion, importance, latent, saliency."""
    kinds = kinds_from(kind)
    wanted = _wanted(layer, step, projection, width)
    if output is not None:
        ending_of(output)
    settings = settings_from(
        runs=[run], config=config, isolated=isolated, output=output, metric=metric, pattern=pattern, as_of=as_of
    )
    one_blas_thread()
    from convergence_cli.plots.door import needs_matplotlib

    needs_matplotlib()
    with progress(quiet) as show:
        name, drawn, failed = _drawn(run, kinds, wanted, settings, show)
    for error in failed:
        # Of all kinds most runs lack some: that is said, and is no failure.
        complain(error.message, error.hint)
    if drawn:
        for path, data in _files(drawn, output, name, several=len(kinds) > 1):
            may_be_replaced(path, run, asked=output is not None)
            write_bytes(data, path)
            say(f"{printable(path)} is drawn.")
    return EXIT_OK if drawn and (not failed or ALL in (kind or ())) else EXIT_NO_VERDICT


def kinds_from(texts: Sequence[str] | None) -> tuple[str, ...]:
    """The kinds that ``--kind`` names. Raises ``UsageError`` with the nearest word for one that is not known."""
    words = [word.strip().lower() for text in texts or () for word in text.split(",") if word.strip()]
    known = (*KINDS, ALL)
    for word in words:
        if word not in known:
            raise UsageError(
                f"--kind: '{printable(word)}' is not a kind of picture.",
                f"{did_you_mean(word, known)}Choose from: {', '.join(known)}.",
            )
    return KINDS if ALL in words else tuple(dict.fromkeys(words)) or KINDS[:1]


def ending_of(path: str, option: str = "--output") -> str:
    """The format that the ending of ``path`` says. Raises ``UsageError`` where it says none, or has no folder."""
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise UsageError(f"{option}: {printable(path)} has no known ending.", f"Choose from: {', '.join(ENDINGS)}.")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise UsageError(f"The folder of {printable(path)} does not exist.", "Make it, or name another file.")
    return ending.removeprefix(".")


def may_be_replaced(path: str, run: str, *, asked: bool, option: str = "--output") -> None:
    """Raises ``UsageError`` where ``path`` is a file of the run, or one that nobody named, and no picture of ours."""
    if not os.path.lexists(path):
        return
    from convergence_cli.plots.door import is_ours

    inside = False
    with suppress(OSError, ValueError):
        home = os.path.realpath(run)
        inside = os.path.commonpath([home, os.path.realpath(path)]) == home
    if (inside or not asked) and os.path.isfile(path) and not is_ours(path):
        whose = "is a file of the run" if inside else "is there already"
        raise UsageError(f"{printable(path)} {whose} and is not replaced.", f"Name another file with {option}.")


def check_plot(path: str, runs: Sequence[str]) -> None:
    """Raises ``CtroubleshootError`` where ``--plot`` could not write its picture to ``path``, before work is done."""
    from convergence_cli.plots.door import needs_matplotlib

    ending_of(path, "--plot")
    needs_matplotlib()
    for run in runs:
        may_be_replaced(path, run, asked=True, option="--plot")


def draw_worst(report: "Report", path: str, code: int) -> int:
    """Draw the curves of the first run of ``report``. The exit code: ``code``, or 2 where it could not be drawn."""
    from convergence_cli.plots.door import encode, plot_report
    from convergence_cli.plots.missing import NotDrawn

    try:
        if not report.runs:
            raise NotDrawn("curves", "nothing was judged.", "")
        write_bytes(encode([plot_report(report.runs[0])], ending_of(path, "--plot")), path)
    except NotDrawn as error:
        complain(f"{printable(path)} is not drawn: {error.message}", error.hint)
        return max(code, EXIT_NO_VERDICT)
    say(f"{printable(path)} is drawn.")
    return code


def _wanted(layer: Sequence[str] | None, step: str | None, projection: str, width: str) -> Wanted:
    if projection not in PROJECTIONS:
        raise UsageError(
            f"--projection: '{printable(projection)}' is not known.", f"Choose from: {', '.join(PROJECTIONS)}."
        )
    try:
        millimetres = float(width)
    except ValueError:
        millimetres = math.nan
    if not NARROWEST <= millimetres <= WIDEST:
        raise UsageError(
            f"--width: '{printable(width)}' is no width.", f"Write millimetres from {NARROWEST:g} to {WIDEST:g}."
        )
    first, last = _steps(step)
    return Wanted(tuple(layer or ()), first, last, projection, millimetres)


def _steps(text: str | None) -> tuple[float, float]:
    if text is None:
        return -math.inf, math.inf
    first, colon, last = text.partition(":")
    try:
        low = float(first) if first.strip() or not colon else -math.inf
        high = (float(last) if last.strip() else math.inf) if colon else low
    except ValueError:
        low = high = math.nan
    if not low <= high:
        raise UsageError(
            f"--step: '{printable(text)}' is not a step.", "Write a number, or two with a colon between: 100:200."
        )
    return low, high


def _drawn(
    path: str, kinds: Sequence[str], wanted: Wanted, settings: "Settings", show: Any
) -> "tuple[str, list[tuple[str, Figure]], list[CtroubleshootError]]":
    """The name to call pictures by, those that can be drawn by kind, and why others cannot."""
    from convergence_cli.plots.door import plot_report, plot_run
    from convergence_cli.plots.missing import NotDrawn

    saved = saved_at(path)
    run: Run | None = None
    report: RunReport | None = saved
    if saved is None:
        from convergence_cli.pipeline import diagnose

        run = run_at(path, settings)
        if settings.as_of is not None:
            from convergence_cli.as_of import as_of

            run = as_of(run, settings.as_of)
        if set(kinds) & set(OF_REPORTS):
            report = diagnose(run, settings if settings.as_of is None else _without_as_of(settings))
    elif not wanted.whole or wanted.layers:
        raise UsageError("--step and --layer need the run: a report holds it as it was.", "Plot the run itself.")
    drawn: list[tuple[str, Figure]] = []
    failed: list[CtroubleshootError] = []
    for kind in kinds:
        if show is not None:
            show(kind)
        try:
            if saved is not None:
                drawn.append((kind, plot_report(saved, kind, width=wanted.width)))
            else:
                drawn.append((kind, plot_run(run, kind, wanted, report=report, root=path)))
        except NotDrawn as error:
            failed.append(CtroubleshootError(f"{kind}: {error.message}", error.hint))
    name = os.path.splitext(os.path.basename(os.path.abspath(path)))[0] if path not in STANDARD_INPUT else "run"
    return name, drawn, failed


def _without_as_of(settings: "Settings") -> "Settings":
    from dataclasses import replace

    return replace(settings, as_of=None)


def _files(
    drawn: "Sequence[tuple[str, Figure]]", output: str | None, name: str, *, several: bool
) -> list[tuple[str, bytes]]:
    """Paths with what is to be written there."""
    from convergence_cli.plots.door import encode

    format = "png" if output is None else ending_of(output)
    if output is not None and (format == "pdf" or not several):
        return [(output, encode([figure for _, figure in drawn], format))]
    stem = name.lstrip(".-") or "run" if output is None else os.path.splitext(output)[0]
    ending = ".png" if output is None else os.path.splitext(output)[1]
    return [(f"{stem}-{kind}{ending}", encode([figure], format)) for kind, figure in drawn]
