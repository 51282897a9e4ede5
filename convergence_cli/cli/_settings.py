"""Flags as typer hands them over, as settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.printable import printable
from convergence_cli.settings import Settings, metric_pairs, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTS = ("select", "ignore", "extend_select")


def settings_from(
    *, runs: Sequence[str] = (), config: str | None = None, isolated: bool = False, **flags: Any
) -> Settings:
    """Settings in which ``flags`` that were given win; ``metric`` holds ``ROLE=NAME`` texts.

    Those of the first of ``runs`` hold. Raises ``UsageError`` where the output would replace one of ``runs``.
    """
    given = {key: item for key, item in flags.items() if item not in (None, False, (), [])}
    for key in _LISTS:
        if key in given:
            given[key] = _split(given[key])
    if "metric" in given:
        given["metrics"] = metric_pairs(given.pop("metric"), "--metric")
    settings = resolve(given, run=runs[0] if runs else None, config=config, isolated=isolated)
    for run in runs:
        if settings.output is None:
            continue
        replaced = run if _is_one_file(settings.output, run) else None
        if replaced is None and _is_log_in(settings.output, run):
            replaced = settings.output
        if replaced is not None:
            raise UsageError(
                f"{printable(replaced)} would be replaced by what is written.", "Give --output another name."
            )
    return settings


def _is_one_file(output: str, run: str) -> bool:
    """Whether both are one regular file; devices and pipes are written to, not replaced."""
    try:
        return os.path.isfile(output) and os.path.samefile(output, run)
    except (OSError, ValueError):
        return False


def _is_log_in(output: str, run: str) -> bool:
    """Whether ``output`` is there, in the folder ``run``, and is anything but a report that was saved there before."""
    try:
        where, folder = os.path.realpath(output), os.path.realpath(run)
        if not (os.path.isfile(where) and os.path.isdir(folder) and where.startswith(folder + os.sep)):
            return False
    except (OSError, ValueError):
        return False
    from pathlib import Path

    from convergence_cli.readers import best_reader
    from convergence_cli.readers._guard import Source
    from convergence_cli.readers._own_reports import is_own_report

    source = Source(Path(where), output)
    try:
        return bool(source.head.strip()) and not is_own_report(source) and best_reader(source) is not None
    except CtroubleshootError:
        return False


def _split(items: Sequence[str]) -> list[str]:
    return [part.strip() for item in items for part in item.split(",") if part.strip()]
