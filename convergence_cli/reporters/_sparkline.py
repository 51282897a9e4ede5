"""A curve in one line of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convergence_cli.row import finite, thinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOG_SCALE_RANGE = 10.0


def sparkline(values: Sequence[float | None], levels: str, bad: str) -> str:
    """One glyph a value, lowest to highest of ``levels``; ``bad`` where the value is not finite.

    On a log scale when all are positive and the largest is over 10 times the smallest.
    """
    finite = [value for value in values if value is not None]
    if not finite:
        return bad * len(values)
    scale = math.log if on_log_scale(finite) else float
    low, high = scale(min(finite)), scale(max(finite))
    # Halved before the difference: two finite extremes can be further apart than a float can hold.
    span = high / 2 - low / 2
    top = len(levels) - 1

    def glyph(value: float | None) -> str:
        if value is None:
            return bad
        share = (scale(value) / 2 - low / 2) / span if span > 0 else 0.0
        return levels[min(round(share * top), top)]

    return "".join(map(glyph, values))


def on_log_scale(finite: Sequence[float]) -> bool:
    """Whether the values span too much for a linear scale."""
    return min(finite) > 0 and max(finite) / LOG_SCALE_RANGE > min(finite)


def columns(curve: Mapping[str, Any], width: int) -> list[float | None]:
    """The means of ``curve`` (as in a run's summary) in at most ``width`` columns.

    A column shows its highest mean, so that no spike is lost, and None where any of it is not finite.
    """
    return thinned([finite(mean) for mean in curve.get("mean", ())], width)
