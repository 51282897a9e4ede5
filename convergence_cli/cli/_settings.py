"""Flags as typer hands them over, as settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import UsageError
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
        if settings.output is not None and _is_one_file(settings.output, run):
            raise UsageError(f"{printable(run)} would be replaced by what is written.", "Give --output another name.")
    return settings


def _is_one_file(output: str, run: str) -> bool:
    """Whether both are one regular file; devices and pipes are written to, not replaced."""
    try:
        return os.path.isfile(output) and os.path.samefile(output, run)
    except (OSError, ValueError):
        return False


def _split(items: Sequence[str]) -> list[str]:
    return [part.strip() for item in items for part in item.split(",") if part.strip()]
