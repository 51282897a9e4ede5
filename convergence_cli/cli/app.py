"""Builds the part of the command line that was asked for, and runs it."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer

from convergence_cli.cli._lean import LeanCommand, LeanGroup
from convergence_cli.errors import EXIT_INTERRUPTED, EXIT_NO_VERDICT, UsageError

COMMANDS = {
    "analyze": "Judge runs: what is wrong, why, and what to change.",
    "classify": "Only the verdict: one line a run, with tabs between path, label, confidence and state.",
    "inspect": "Show dumped tensors layer by layer and step by step, and what the rules find in them.",
    "plot": "Draw a run: curves with the verdict, gradients, histograms, updates, confusion, latent space and more.",
    "ingest": "Write logs as tidy rows: run, series, role, step, epoch, value, line.",
    "try": "Run the remedies with your own training command, and show before and after.",
    "lr-find": "Find a learning rate for a model, a training command or a recorded sweep.",
    "report": "Render a saved report again, without the run.",
    "rules": "List the rules.",
    "explain": "Say what a rule checks, how it decides and when it is wrong, or what a cause is.",
    "demo": "Show the report on a real run that comes with the package.",
}
# Those that are given a command of the user's own.
TAKING_COMMANDS = frozenset({"try", "lr-find"})
HELP = "Is a training run converging, diverging, stuck or overfitting; why, and what to change."
EXIT_CODES = """\
Exit codes:
  0    no finding at or above --fail-on (default: error)
  1    at least one such finding
  2    no verdict: bad usage, unreadable input, no loss series recognised
  3    a bug in ctroubleshoot
  130  interrupted
3 beats 2 beats 1. Start with: ctroubleshoot demo
"""
SEE_EXIT_CODES = "Exit codes: ctroubleshoot --help"


class _Group(LeanGroup):
    closing = EXIT_CODES


class _Command(LeanCommand):
    closing = SEE_EXIT_CODES


def run(arguments: list[str]) -> int:
    """The exit code of the command line ``arguments``. Raises ``UsageError`` for a wrong one."""
    bare = not arguments
    app = build(arguments[0] if arguments and arguments[0] in COMMANDS else None)
    try:
        # The parser takes the -- away, and with it what tells a command from a target.
        dashed = {"dashed": "--" in arguments}
        code = app(["--help"] if bare else arguments, prog_name="ctroubleshoot", standalone_mode=False, obj=dashed)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except Exception as error:
        described = _usage_error(error, arguments)
        if described is None:
            raise
        raise described from error
    return EXIT_NO_VERDICT if bare else int(code or 0)


def build(command: str | None = None) -> typer.Typer:
    """The application with only ``command``; without one, all names, enough for help and suggestions.

    Importing a command and describing its options costs time that no other command should pay.
    """
    app = typer.Typer(
        cls=_Group,
        help=HELP,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_shared)
    if command is not None:
        # A word of Python cannot be the name of a module that others import.
        name = command.replace("-", "_") + ("_" if iskeyword(command) else "")
        module = import_module(f"convergence_cli.cli.{name}")
        describe = app.command(command, cls=_command_class(module), help=COMMANDS[command])
        describe(module.command)
    else:
        for name, summary in COMMANDS.items():
            app.command(name, help=summary)(_named_only)
    return app


def _command_class(module: Any) -> type[LeanCommand]:
    """Its help page ends in the exit codes of the command where they are its own, else says where they are."""
    own = getattr(module, "EXIT_CODES", None)
    return _Command if own is None else type("_OwnCodes", (LeanCommand,), {"closing": own})


def _named_only() -> None:
    """Stands for a command on the help page."""
    raise UsageError("The command must come first.", "Try: ctroubleshoot --help")


def _shared(
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    pass


def _usage_error(error: Exception, arguments: list[str]) -> UsageError | None:
    """What the parser has against the command line, as one of our errors; None for any other error."""
    describe: Any = getattr(error, "format_message", None)
    if describe is None:
        return None
    command = getattr(getattr(error, "ctx", None), "command_path", "ctroubleshoot")
    if TAKING_COMMANDS.intersection(arguments[:1]) and "--" not in arguments:
        # Its options are not ours.
        return UsageError(_ended(describe()), f"Put -- before your own command: {command} ... -- COMMAND")
    return UsageError(_ended(describe()), f"Try: {command} --help")


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
