"""``try``: the remedies, run with the user's own command, before and after side by side."""

import os
import re
import shutil
import sys
from typing import Annotated

import typer

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import one_blas_thread
from convergence_cli.cli._output import (
    carries_unicode,
    complain,
    progress,
    wants_color,
    width,
    working_directory,
    write,
)
from convergence_cli.cli._settings import settings_from
from convergence_cli.errors import EXIT_FINDINGS, EXIT_NO_VERDICT, EXIT_OK, UsageError
from convergence_cli.printable import printable
from convergence_cli.reporters import Look
from convergence_cli.settings import Settings
from convergence_cli.streams import STANDARD_INPUT

FORMATS = ("text", "json")
DEFAULT_BUDGET = "10m"
EXIT_CODES = """\
Exit codes:
  0    a remedy cured it
  1    none did, or none is proven
  2    nothing could be tried, or nothing that was logged can be judged
  3    a bug in ctroubleshoot
  130  interrupted; the command has been ended
"""
_UNITS = {"s": 1, "m": 60, "h": 3600}
_BUDGET = re.compile(r"(?:\d+(?:\.\d+)?[smh])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smh])")
_MOST_SECONDS = 30 * 24 * 3600
_TRIALS = "Trials"

Run = Annotated[str, typer.Argument(metavar="RUN", help="The log file or run folder that failed.", show_default=False)]
Command = Annotated[
    list[str],
    typer.Argument(
        metavar="-- COMMAND",
        help="How you train, with places for the change: python train.py --lr {learning_rate} --out {run_dir}",
        show_default=False,
    ),
]
Remedies = Annotated[
    str,
    typer.Option("--remedies", metavar="N", help="Try the first N remedies, until one cures.", rich_help_panel=_TRIALS),
]
All = Annotated[bool, typer.Option("--all", help="Go on after one has cured.", rich_help_panel=_TRIALS)]
Budget = Annotated[
    str, typer.Option("--budget", metavar="TIME", help="Stop a trial after: 90s, 10m, 2h.", rich_help_panel=_TRIALS)
]
MaxSteps = Annotated[
    str | None,
    typer.Option(
        "--max-steps",
        metavar="STEPS",
        help="Stop a trial once its log has passed so many steps (epochs, where it counts these).",
        rich_help_panel=_TRIALS,
    ),
]
Seeds = Annotated[
    str,
    typer.Option(
        "--seeds",
        metavar="K",
        help="Try each with K seeds ({seed}, CT_SEED); more than half must be cured.",
        rich_help_panel=_TRIALS,
    ),
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="PATH",
        help="Where the command writes its log; may hold {run_dir}. Default: what it writes to {run_dir}, else prints.",
        rich_help_panel=_TRIALS,
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep", metavar="FOLDER", help="Where trials are kept. Default: ct-trials/RUN.", rich_help_panel=_TRIALS
    ),
]
Control = Annotated[
    bool,
    typer.Option("--control", help="Run the command as it was first, and compare with that.", rich_help_panel=_TRIALS),
]


def command(
    run: Run,
    train: Command,
    remedies: Remedies = "1",
    all_: All = False,
    budget: Budget = DEFAULT_BUDGET,
    max_steps: MaxSteps = None,
    seeds: Seeds = "1",
    control: Control = False,
    log: Log = None,
    keep: Keep = None,
    format: Annotated[str, options.own_format(FORMATS)] = "text",
    output: options.Output = None,
    metric: options.Metric = None,
    pattern: options.Pattern = None,
    config: options.Config = None,
    isolated: options.Isolated = False,
    color: options.Color = None,
    quiet: options.Silent = False,
) -> int:
    """Run the remedies with your own training command, and show before and after."""
    if format not in FORMATS:
        raise UsageError(f"'{printable(format)}' is not a format of try.", f"Choose from: {', '.join(FORMATS)}.")
    if run not in STANDARD_INPUT and not os.path.exists(run) and shutil.which(run):
        raise UsageError(f"{printable(run)} is a program, and no run.", "Write: ctroubleshoot try RUN -- COMMAND")
    settings = settings_from(
        runs=[run],
        config=config,
        isolated=isolated,
        output=output,
        metric=metric,
        pattern=pattern,
        color=color,
    )
    one_blas_thread()
    from convergence_cli.trials.trying import Plan, try_command

    plan = Plan(
        command=tuple(train),
        settings=settings,
        remedies=count_of(remedies, "--remedies"),
        seeds=count_of(seeds, "--seeds"),
        seconds=seconds_of(budget),
        max_steps=None if max_steps is None else count_of(max_steps, "--max-steps"),
        log=log,
        keep=keep,
        everything=all_,
        control=control,
    )
    with progress(quiet) as show:
        trials = try_command(run, plan, show)
    if format == "json":
        from convergence_cli.reporters.trials_json import render
    else:
        from convergence_cli.reporters.trials_text import render
    write(render(trials, _look(settings, format)), settings.output)
    if not (format == "text" and settings.output is None and sys.stdout.isatty()):
        for note in trials.notes:
            complain(f"{note}.")
    if not trials.readable:
        return EXIT_NO_VERDICT
    return EXIT_OK if trials.cured else EXIT_FINDINGS


def _look(settings: Settings, format: str) -> Look:
    stream = None if settings.output else sys.stdout
    return Look(
        width=width(stream),
        color=format == "text" and wants_color(settings.color, stream, os.environ if stream else {}),
        unicode=bool(settings.output) or carries_unicode(stream),
        base=working_directory(),
    )


def seconds_of(text: str) -> float:
    """``90s``, ``10m``, ``2h`` or ``1h30m`` in seconds. Raises ``UsageError`` for anything else."""
    plain = text.strip().lower()
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(plain))
    if not _BUDGET.fullmatch(plain) or not 0 < seconds <= _MOST_SECONDS:
        steps = "For a number of steps: --max-steps 500. " if "step" in plain else ""
        raise UsageError(
            f"--budget: '{printable(text)}' is not a time.", f"{steps}Write it with a unit: 90s, 10m, 2h, 1h30m."
        )
    return seconds


def count_of(text: str, option: str) -> int:
    """The number that ``text`` is, from 1 up. Raises ``UsageError``, naming ``option``, for anything else."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 0 < number <= 10**9:
        raise UsageError(f"{option}: '{printable(text)}' is not a number of that.", "Give a whole number from 1 up.")
    return number
