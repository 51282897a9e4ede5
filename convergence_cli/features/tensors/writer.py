"""When the run wrote: pauses between dumps, and how long ago the last one was."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import TensorStats

MIN_DUMPS = 4


@dataclass(frozen=True, slots=True)
class Writer:
    """Times in seconds. ``pause`` is the longest wait between two dumps, from ``pause_step`` on.

    ``usual`` is the median wait, ``silence`` the time since the last dump (0 where the run is known to have gone on).
    ``last_step`` is the last that was dumped or logged, ``planned`` the last that the config announces, None where it
    does not.
    """

    dumps: int
    usual: float
    pause: float
    pause_step: float
    silence: float
    last_step: float
    planned: float | None


def writer_of(stats: TensorStats, evidence: Evidence) -> Writer | Missing:
    """When each step was written: by its last tensor."""
    when = stats.number("time")
    known = np.isfinite(when)
    if not known.any():
        return Missing("needs dumps that say when they were written")
    steps = np.unique(stats.number("step")[known])
    if len(steps) < MIN_DUMPS:
        return Missing(f"needs {MIN_DUMPS} dumps")
    times = np.array([when[known & (stats.number("step") == step)].max() for step in steps])
    waits = np.diff(times)
    longest = int(np.argmax(waits))
    loss = evidence.loss
    logged = float(loss.curve.step[-1]) if loss is not None else float(steps[-1])
    planned = evidence.config.get("max_steps")
    return Writer(
        dumps=len(steps),
        usual=max(median(waits), 0.0),
        pause=float(waits[longest]),
        pause_step=float(steps[longest]),
        silence=max(time.time() - float(times.max()), 0.0) if not evidence.run.goes_on else 0.0,
        last_step=max(float(steps[-1]), logged),
        planned=float(planned) if isinstance(planned, (int, float)) and planned > 0 else None,
    )
