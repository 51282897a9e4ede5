"""``report``: a saved report, rendered again without the run."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from convergence_cli.cli import _options as options
from convergence_cli.cli._answer import answer
from convergence_cli.cli._settings import settings_from
from convergence_cli.codec import from_data
from convergence_cli.errors import SourceError
from convergence_cli.model import Report
from convergence_cli.printable import printable
from convergence_cli.streams import STANDARD_INPUT

MAX_BYTES = 256 << 20
HINT = (
    "Only --format json can be rendered again. Write it with:"
    " ctroubleshoot analyze RUN --format json --output report.json"
)


def command(
    saved: Annotated[str, typer.Argument(metavar="SAVED.json", help="A report in JSON; - reads standard input.")],
    format: options.Format = None,
    output: options.Output = None,
    fail_on: options.FailOn = None,
    exit_zero: options.ExitZero = False,
    config: options.Config = None,
    isolated: options.Isolated = False,
    color: options.Color = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    curves: options.Curves = False,
) -> int:
    """Render a saved report again."""
    settings = settings_from(
        runs=[saved],
        config=config,
        isolated=isolated,
        format=format,
        output=output,
        fail_on=fail_on,
        exit_zero=exit_zero,
        color=color,
    )
    try:
        return answer(load(saved), settings, quiet=quiet, verbose=verbose, curves=curves)
    except RecursionError as error:
        shown = printable(saved)
        raise SourceError(shown, f"{shown} is nested too deeply to be a report.", HINT) from error


def load(path: str) -> Report:
    """The report in the JSON file ``path`` (``-``: standard input). Raises ``SourceError``."""
    shown = "<stdin>" if path in STANDARD_INPUT else printable(path)
    try:
        raw = _read(path)
        if len(raw) > MAX_BYTES:
            raise SourceError(shown, f"{shown} is larger than a report can be.", HINT)
        data = json.loads(raw)
    except OSError as error:
        message = f"{shown} cannot be read: {error.strerror or error}."
        raise SourceError(shown, message, "Check the path and its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(shown, f"{shown} is not one JSON document: {printable(error)}.", HINT) from error
    return from_data(data, shown)


def _read(path: str) -> bytes:
    if path in STANDARD_INPUT:
        if sys.stdin is None:
            raise SourceError("<stdin>", "Standard input is closed.", "Pipe a report into the command, or name a file.")
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(path).open("rb") as handle:
        return handle.read(MAX_BYTES + 1)
