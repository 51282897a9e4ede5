"""Flags as typer hands them over, as settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convergence_cli.settings import Settings, metric_pairs, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTS = ("select", "ignore", "extend_select")


def settings_from(
    *, run: str | None = None, config: str | None = None, isolated: bool = False, **flags: Any
) -> Settings:
    """Settings in which ``flags`` that were given win; ``metric`` holds ``ROLE=NAME`` texts."""
    given = {key: item for key, item in flags.items() if item not in (None, False, (), [])}
    for key in _LISTS:
        if key in given:
            given[key] = _split(given[key])
    if "metric" in given:
        given["metrics"] = metric_pairs(given.pop("metric"), "--metric")
    return resolve(given, run=run, config=config, isolated=isolated)


def _split(items: Sequence[str]) -> list[str]:
    return [part.strip() for item in items for part in item.split(",") if part.strip()]
