"""Command classes that take values as they are written, and whose help ends in lines that stay lines.

typer 0.29 imports pydantic (0.1 s, as much as numpy) to turn the value of any parameter into its type.
Every parameter here is text, a list of texts or a flag, which need no turning; what a text may be is
checked by ``settings``, for flags, environment and files alike. For the same reason the help pages leave
out Python's names of the types: what can be given is said by each parameter's own placeholder.
"""

from __future__ import annotations

from shutil import get_terminal_size
from textwrap import fill
from types import MethodType
from typing import Any

from typer.core import TyperCommand, TyperGroup

from convergence_cli.errors import UsageError

# How far typer indents the text of a help page.
_MARGIN = " "
# Where the text of a row of the closing table begins.
_ROW = " " * 7


class LeanCommand(TyperCommand):
    """A command whose parameters skip conversion; its help ends in ``closing``."""

    closing = ""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the help option included."""
        return _taking_as_written(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        super().format_help(ctx, formatter)
        _close(formatter, self.closing)


class LeanGroup(TyperGroup):
    """A group whose parameters skip conversion; its help ends in ``closing``."""

    closing = ""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the help option included."""
        return _taking_as_written(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        super().format_help(ctx, formatter)
        _close(formatter, self.closing)


def _close(formatter: Any, text: str) -> None:
    width = get_terminal_size().columns
    for line in text.splitlines():
        hanging = _MARGIN + (_ROW if line.startswith(" ") else "")
        formatter.write(fill(_MARGIN + line, width, subsequent_indent=hanging) + "\n")


def _taking_as_written(params: list[Any]) -> list[Any]:
    for param in params:
        param.process_value = MethodType(_as_written, param)
        if getattr(param, "is_flag", True):
            param.display_type_rich = _no_type
    return params


def _no_type(ctx: Any) -> None:
    return None


def _as_written(param: Any, context: Any, value: Any) -> Any:
    many = param.multiple or param.nargs == -1
    if many and value is None:
        value = ()
    if param.required and (value is None or (many and not value)):
        shown = param.metavar or param.name.upper()
        raise UsageError(f"Missing argument {shown}.", f"Try: {context.command_path} --help")
    return param.callback(context, param, value) if param.callback is not None else value
