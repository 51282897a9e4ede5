"""``lr-find``: a learning rate for a user's model, as a number."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import one_blas_thread
from convergence_cli.cli._output import (
    carries_unicode,
    complain,
    progress,
    wants_color,
    width,
    write,
    write_bytes,
)
from convergence_cli.cli._settings import settings_from
from convergence_cli.errors import EXIT_FINDINGS, EXIT_OK, CtroubleshootError, UsageError
from convergence_cli.learning_rate import LearningRate
from convergence_cli.printable import printable
from convergence_cli.reporters import Look
from convergence_cli.settings import Settings

FORMATS = ("text", "number", "json")
PLOTS = (".png", ".svg", ".html", ".pdf")
LOW_CONFIDENCE = 0.5
EXIT_CODES = """\
Exit codes:
  0    a rate was found
  1    there is none: the reason is on stderr, or in the JSON
  2    nothing could be searched: bad usage, code that fails, nothing logged
  3    a bug in ctroubleshoot
  130  interrupted
"""
_SEARCH, _COMMAND, _OUTPUT = "Search", "For a command", "Output"

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TARGET | -- COMMAND",
        help="train.py:setup; or a recorded sweep (sweep.csv); or, behind --, how you train: "
        "python train.py --lr {learning_rate} --max-steps {steps}. Default: what the settings file names, "
        "else the one setup() in the files here.",
        show_default=False,
    ),
]


def _text(name: str, metavar: str, help: str, panel: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help, rich_help_panel=panel)


def command(
    context: typer.Context,
    words: Words = None,
    schedule: Annotated[
        str | None, _text("--schedule", "constant|cosine", "That of the training to come. Default: constant.", _SEARCH)
    ] = None,
    method: Annotated[
        str | None,
        _text(
            "--method",
            "METHOD",
            "restarts (default); range: one range test; or a known rule: valley, steepest, steepest-linear, "
            "minimum, slide.",
            _SEARCH,
        ),
    ] = None,
    steps: Annotated[
        str | None,
        _text("--steps", "N", "Updates in all. Default: 600; for a command, of each run: 100.", _SEARCH),
    ] = None,
    min_lr: Annotated[str | None, _text("--min-lr", "RATE", "The lowest rate to try.", _SEARCH)] = None,
    max_lr: Annotated[str | None, _text("--max-lr", "RATE", "The highest rate to try.", _SEARCH)] = None,
    seed: Annotated[str | None, _text("--seed", "N", "Default: that of setup(), else 0.", _SEARCH)] = None,
    accumulate: Annotated[str | None, _text("--accumulate", "N", "Batches an update. Default: 1.", _SEARCH)] = None,
    amp: Annotated[str | None, _text("--amp", "bf16|fp16", "Train in mixed precision.", _SEARCH)] = None,
    device: Annotated[
        str | None, _text("--device", "DEVICE", "cpu, cuda, cuda:1. Default: a GPU if there is one.", _SEARCH)
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Search for a small model that comes along.")] = False,
    runs: Annotated[str, _text("--runs", "N", "Run the command so often at most.", _COMMAND)] = "9",
    budget: Annotated[str, _text("--budget", "TIME", "Stop a run after: 90s, 10m, 2h.", _COMMAND)] = "10m",
    log: Annotated[str | None, _text("--log", "PATH", "Where the command logs; may hold {run_dir}.", _COMMAND)] = None,
    keep: Annotated[str, _text("--keep", "FOLDER", "Where the runs are kept.", _COMMAND)] = "ct-lr-find",
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    format: Annotated[
        str | None,
        _text("--format", "|".join(FORMATS), "Default: text on a terminal, else the number alone.", _OUTPUT),
    ] = None,
    output: options.Output = None,
    plot: Annotated[str | None, _text("--plot", "FILE", "Draw the search: .png, .svg, .pdf or .html.", _OUTPUT)] = None,
    config: options.Config = None,
    isolated: options.Isolated = False,
    color: options.Color = None,
    quiet: options.Silent = False,
) -> int:
    """Find a learning rate for your model, your training command or a recorded sweep."""
    if format is not None and format not in FORMATS:
        raise UsageError(f"'{printable(format)}' is not a format of lr-find.", f"Choose from: {', '.join(FORMATS)}.")
    if plot is not None and not plot.lower().endswith(PLOTS):
        raise UsageError(f"--plot: {printable(plot)} has no known ending.", f"Choose from: {', '.join(PLOTS)}.")
    if plot is not None:
        from convergence_cli.plots.door import needs_matplotlib

        # Before the search, which takes its time.
        needs_matplotlib()
    one_blas_thread()
    from convergence_cli.lr_find.asking import DEMO, asked

    if demo and words:
        raise UsageError("--demo has a target of its own.", "Leave one of the two out.")
    dashed = bool((context.obj or {}).get("dashed"))
    given = {
        "schedule": schedule, "method": method, "steps": steps, "seed": seed, "accumulate": accumulate, "amp": amp,
        "device": device, "min_lr": min_lr, "max_lr": max_lr,
    }  # fmt: skip
    named = [f"{DEMO}:setup"] if demo else words or []
    target, wanted = asked(named, dashed, given, config=config, isolated=isolated)
    settings = settings_from(
        runs=list(target.words) if target.kind == "record" else [],
        config=config,
        isolated=isolated,
        output=output,
        metric=metric,
        pattern=pattern,
        color=color,
    )
    for place in (plot, settings.output):
        if place is not None and not os.path.isdir(os.path.dirname(place) or "."):
            raise UsageError(f"The folder of {printable(place)} does not exist.", "Make it, or name another file.")
    with progress(quiet) as show, _stdout_kept():
        if target.kind == "record":
            answer = _recorded(target, wanted, settings)
        elif target.kind == "command":
            answer = _commanded(target, wanted, settings, show, runs, budget, log, keep)
        else:
            answer = _searched(target, wanted, show)
    if plot is not None:
        _draw(answer, plot)
    return _answer(answer, settings, format)


def _recorded(target: Any, wanted: Any, settings: Settings) -> LearningRate:
    from convergence_cli.lr_find.recorded import find_in_record

    return find_in_record(target.words[0], settings, schedule=wanted.schedule or "constant", method=wanted.method)


def _commanded(
    target: Any,
    wanted: Any,
    settings: Settings,
    show: Callable[[str], None] | None,
    runs: str,
    budget: str,
    log: str | None,
    keep: str,
) -> LearningRate:
    from convergence_cli.cli.try_ import count_of, seconds_of
    from convergence_cli.lr_find.asking import COMMAND_STEPS, Asked
    from convergence_cli.lr_find.commands import COMMAND_BOUNDS, CommandPlan, find_by_command

    left_open = Asked()
    bounds = (
        wanted.min_lr if wanted.min_lr != left_open.min_lr else COMMAND_BOUNDS[0],
        wanted.max_lr if wanted.max_lr != left_open.max_lr else COMMAND_BOUNDS[1],
    )
    plan = CommandPlan(
        target.words,
        settings,
        steps=wanted.steps or COMMAND_STEPS,
        runs=count_of(runs, "--runs"),
        seconds=seconds_of(budget),
        seed=wanted.seed or 0,
        log=log,
        keep=keep,
        schedule=wanted.schedule or "constant",
        bounds=bounds,
    )
    return find_by_command(plan, show or (lambda text: None))


def _searched(target: Any, wanted: Any, show: Callable[[str], None] | None) -> LearningRate:
    from convergence_cli.lr_find.asking import DEFAULT_STEPS
    from convergence_cli.lr_find.target import load, user_code

    setup = load(target.words[0])
    try:
        from convergence_cli.lr_find.door import find_learning_rate
    except ImportError as error:
        raise CtroubleshootError(
            "lr-find trains with PyTorch, which is not installed.", "Install: pip install 'convergence-cli[torch]'"
        ) from error
    from dataclasses import replace

    with user_code(f"{printable(target.words[0])} failed"):
        answer = find_learning_rate(
            setup,  # type: ignore[arg-type]
            schedule=wanted.schedule,
            seed=wanted.seed,
            steps=wanted.steps or DEFAULT_STEPS,
            bounds=(wanted.min_lr, wanted.max_lr),
            method=wanted.method,
            accumulate=wanted.accumulate,
            amp=wanted.amp,
            device=wanted.device,
            show=show,
        )
    return replace(answer, source=target.words[0])


def _draw(answer: LearningRate, path: str) -> None:
    from convergence_cli.plots.sweep import draw

    write_bytes(draw(answer, path.rsplit(".", 1)[1].lower()), path)


def _answer(answer: LearningRate, settings: Settings, format: str | None) -> int:
    stream = None if settings.output else sys.stdout
    terminal = stream is not None and stream.isatty()
    format = format or ("text" if terminal else "number")
    look = Look(
        width=width(stream),
        color=format == "text" and wants_color(settings.color, stream, os.environ if stream else {}),
        unicode=bool(settings.output) or carries_unicode(stream),
    )
    if format == "json":
        from convergence_cli.reporters.rate_json import render
    elif format == "number":
        from convergence_cli.reporters.rate_text import number as render
    else:
        from convergence_cli.reporters.rate_text import render
    text = render(answer, look)
    if text:
        write(text, settings.output)
    if format != "text" or not terminal:
        _say_beside(answer)
    return EXIT_OK if answer.refused is None else EXIT_FINDINGS


def _say_beside(answer: LearningRate) -> None:
    """On stderr, what a number alone does not say."""
    if answer.refused is not None:
        from convergence_cli.reporters.rate_text import diagnosed

        complain(f"{answer.refused.reason}: {answer.refused.message}", answer.refused.hint)
        told, changed = diagnosed(answer, "->")
        if told:
            complain(f"The diagnosis says {'; '.join((told, *changed))}.")
    elif answer.confidence and answer.confidence < LOW_CONFIDENCE:
        complain(f"This rate is unsure ({answer.confidence:.0%}): {answer.why}")
    for note in answer.notes:
        complain(f"{note}.")


@contextmanager
def _stdout_kept() -> Iterator[None]:
    """Whatever the user's code prints goes to stderr: standard output is for the answer."""
    sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:
        yield
        return
    with suppress(OSError):
        os.dup2(2, 1)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
