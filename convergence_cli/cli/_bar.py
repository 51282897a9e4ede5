"""What is shown of many runs while they are judged: a bar, and above it each run that fails, as soon as it is known."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from convergence_cli.cli._output import PROGRESS_AFTER_SECONDS, carries_unicode, shows_progress, width
from convergence_cli.printable import counted, duration, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convergence_cli.fleet.running import Progress

_BETWEEN_SECONDS = 0.1
_BAR = 24
_CLEAR = "\r\x1b[K"


@contextmanager
def fleet_progress(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A function that shows how far it is, on a terminal and only when it takes long; or None."""
    stream = sys.stderr
    if not shows_progress(quiet):
        yield None
        return
    started = drawn = monotonic()
    waiting: list[str] = []
    shown = False

    def show(state: Progress) -> None:
        nonlocal drawn, shown
        waiting.extend(
            f"{row.label} {printable(row.name)} ({printable(row.state)})" for row in state.fresh if row.fails
        )
        now = monotonic()
        if now - started < PROGRESS_AFTER_SECONDS or (now - drawn < _BETWEEN_SECONDS and state.done < state.total):
            return
        columns = width(stream) - 1
        above = "".join(f"{line[:columns]}\n" for line in waiting) if state.total > 1 else ""
        waiting.clear()
        bar = bar_line(state, now - started, unicode=carries_unicode(stream))
        stream.write(f"{_CLEAR}{above}{bar[:columns]}")
        stream.flush()
        drawn, shown = now, True

    try:
        yield show
    finally:
        if shown:
            stream.write(_CLEAR)
            stream.flush()


def bar_line(state: Progress, seconds: float, *, unicode: bool = True) -> str:
    """``[#####-----] 5 of 10 · 2 failing · 3 s left``."""
    full, empty, dot = ("█", "░", "·") if unicode else ("#", "-", "|")
    filled = _BAR * state.done // max(state.total, 1)
    left = seconds / max(state.done, 1) * (state.total - state.done)
    parts = [f"{state.done:,} of {counted(state.total, 'run')}", f"{state.failing:,} failing", f"{duration(left)} left"]
    return f"{full * filled}{empty * (_BAR - filled)} {f' {dot} '.join(parts)}"
