"""Command classes that take values as they are written.

typer 0.29 imports pydantic (0.1 s, as much as numpy) to turn the value of any parameter into its type.
Every parameter here is text, a list of texts or a flag, which need no turning; what a text may be is
checked by ``settings``, for flags, environment and files alike.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from typer.core import TyperCommand, TyperGroup

from convergence_cli.errors import UsageError


class LeanCommand(TyperCommand):
    """A command whose parameters skip conversion."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the help option included."""
        return _taking_as_written(super().get_params(ctx))


class LeanGroup(TyperGroup):
    """A group whose parameters skip conversion."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the help option included."""
        return _taking_as_written(super().get_params(ctx))


def _taking_as_written(params: list[Any]) -> list[Any]:
    for param in params:
        param.process_value = MethodType(_as_written, param)
    return params


def _as_written(param: Any, context: Any, value: Any) -> Any:
    many = param.multiple or param.nargs == -1
    if many and value is None:
        value = ()
    if param.required and (value is None or (many and not value)):
        shown = param.metavar or param.name.upper()
        raise UsageError(f"Missing argument {shown}.", f"Try: {context.command_path} --help")
    return param.callback(context, param, value) if param.callback is not None else value
