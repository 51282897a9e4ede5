"""The run that a text log is being read into: what must be remembered of it and of each of its series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.readers._collect import Collector

EVALUATED = ("val", "test", "eval", "dev")


@dataclass(slots=True)
class Trace:
    """What is remembered of one series: enough to see a repetition, a restart and a jump back.

    ``epoch`` is that of its last point. ``standing`` is a value that a progress bar still shows, unchanged, at its
    end: step, epoch and line.
    """

    first_value: float
    last_value: float
    last_step: float
    rank: int | None
    epoch: float | None = None
    standing: tuple[float, float, int] | None = None

    def shows(self, value: float) -> bool:
        """Whether ``value`` is the last one again."""
        return self.last_value == value or bool(np.isnan(self.last_value) and np.isnan(value))


@dataclass(slots=True)
class OpenRun:
    """The run that is being read.

    ``raw``, ``raw_epoch``, ``raw_gap`` and ``raw_total`` are of the last record that gave its step, as logged;
    ``offset`` leads from there to steps since the start, ``base`` is the number of the first epoch.
    """

    collector: Collector
    config: dict[str, Any] = field(default_factory=dict)
    traces: dict[str, Trace] = field(default_factory=dict)
    axis: str | None = None
    first_step: float = np.inf
    top_step: float = -np.inf
    last_step: float = 0.0
    row: float = 0.0
    header_step: float | None = None
    epoch: float | None = None
    base: float | None = None
    raw_epoch: float | None = None
    raw: float | None = None
    raw_gap: float = 1.0
    raw_total: float | None = None
    offset: float = 0.0
    within_epoch: bool | None = None
    points: int = 0
    anchored: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    unnamed: set[str] = field(default_factory=set)


def back_at_start(trace: Trace, value: float) -> bool:
    """Whether a loss is nearer to where the run began than to where it was; a flat one never is."""
    first, last = trace.first_value, trace.last_value
    if not np.isfinite(value) or not np.isfinite(first):
        return False
    if not np.isfinite(last):
        return abs(value - first) <= 0.2 * abs(first)
    span = abs(first - last)
    return span > 0.05 * max(abs(first), abs(last)) and abs(value - first) < 0.5 * abs(value - last)


def changed(
    run: OpenRun, values: Mapping[str, float], step: float, epoch: float | None, line: int, *, ended: bool
) -> dict[str, float]:
    """``values`` without those of an evaluation that a bar shows ever since, and until the next.

    One that stands unchanged to the end of a whole epoch was measured again: it gets a point there.
    """
    kept: dict[str, float] = {}
    for name, value in values.items():
        trace = run.traces.get(name)
        if trace is None or not name.startswith(EVALUATED):
            kept[name] = value
            continue
        if trace.standing is not None and epoch is not None and trace.standing[1] < epoch:
            stood(run, name)
        standing, trace.standing = trace.standing, None
        if not trace.shows(value):
            kept[name] = value
        elif ended and epoch is not None and trace.epoch != epoch:
            trace.standing = (step, epoch, line)
        else:
            trace.standing = standing
    return kept


def stood(run: OpenRun, name: str) -> None:
    """The epoch is over, and the value that a bar showed at its end did not change any more."""
    trace = run.traces[name]
    if trace.standing is None:
        return
    step, epoch, line = trace.standing
    run.collector.add_row({name: trace.last_value}, step, epoch=epoch, line=line)
    run.points += 1
    trace.last_step, trace.epoch, trace.standing = step, epoch, None
