"""Processes that a trial has left behind in sessions of their own, as launchers of several workers start them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# An environment variable whose value no two trials share: whoever has it was started by this trial.
MARK = "CT_TRIAL"
_PROCESSES = Path("/proc")
# A process may start another between the look and the kill.
_ROUNDS = 5


def kill_marked(mark: str) -> int:
    """Kill every process of this user that has ``MARK=mark`` in its environment; how many there were.

    Finds none where the system shows no ``/proc``.
    """
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = [pid for pid in _marked(f"{MARK}={mark}".encode()) if pid != os.getpid()]
        if not set(found) - killed:
            break
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
    return len(killed)


def _marked(entry: bytes) -> Iterator[int]:
    try:
        numbers = [int(name) for name in os.listdir(_PROCESSES) if name.isdecimal()]
    except OSError:
        return
    for pid in numbers:
        with suppress(OSError):
            if entry in (_PROCESSES / str(pid) / "environ").read_bytes().split(b"\0"):
                yield pid
