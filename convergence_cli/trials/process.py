"""The user's own command as a bounded process: time limit, signals passed on, output kept, nothing left behind.

This is the one module that starts a program: the one that the user gave, as a list of arguments and without a shell.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import BinaryIO

from convergence_cli.errors import UsageError
from convergence_cli.outcome import Ended, Execution
from convergence_cli.printable import printable
from convergence_cli.trials.leftovers import MARK, kill_marked
from convergence_cli.trials.sink import KEPT_BYTES, Sink, last_lines

GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.05
# How long the output may go on after everything that could write to it has been killed.
_DRAIN_SECONDS = 2.0
_BLOCK = 1 << 20
_PASSED_ON = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a command may go: ``seconds`` of wall time, ``output_bytes`` kept, ``grace`` seconds to end when asked.

    ``enough`` is asked about once a second whether its log has gone far enough; it is given the seconds so far.
    """

    seconds: float
    output_bytes: int = KEPT_BYTES
    grace: float = GRACE_SECONDS
    enough: Callable[[float], bool] | None = None


def run_bounded(
    command: Sequence[str], variables: Mapping[str, str], folder: Path, bounds: Bounds, *, directory: Path | None = None
) -> Execution:
    """``command`` run in ``directory`` (default: the working directory) within ``bounds``; its output in ``folder``.

    It gets a session of its own, so that all it starts can be ended, and an empty standard input. An interrupt of
    this process is passed on to it, and raised as ``KeyboardInterrupt`` once it has ended.
    Raises ``UsageError`` where it cannot be started.
    """
    output = folder / "output.txt"
    sink = Sink(output, bounds.output_bytes)
    mark = os.urandom(8).hex()
    began = monotonic()
    with _signals() as received:
        process = _started(command, {**variables, MARK: mark}, directory, sink)
        # The pipe is drained by a thread, so that the command is never held up by what is done here.
        drain = threading.Thread(target=_drain, args=(process.stdout, sink), daemon=True)
        drain.start()
        try:
            ended = _watched(process, bounds, received, began)
        finally:
            _end_all(process, mark)
            drain.join(_DRAIN_SECONDS)
            if process.stdout is not None and not drain.is_alive():
                process.stdout.close()
            sink.close()
    if received:
        raise KeyboardInterrupt
    code = process.returncode
    if ended == "finished" and code != 0:
        ended = "crashed"
    return Execution(
        tuple(command),
        dict(variables),
        str(folder),
        str(output),
        ended,
        code,
        monotonic() - began,
        sink.written,
        sink.left_out,
        None if sink.failed is None else sink.failed.strerror,
        last_lines(output),
    )


def _started(
    command: Sequence[str], variables: Mapping[str, str], directory: Path | None, sink: Sink
) -> subprocess.Popen[bytes]:
    # What a killed Python still holds in its buffer would be lost, and with it the last steps.
    environment = {"PYTHONUNBUFFERED": "1", **os.environ, **variables}
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        sink.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{printable(command[0])} cannot be started: {printable(reason)}.",
            "Check the command after --; for shell syntax write: sh -c '...'",
        ) from error


def _drain(stream: BinaryIO, sink: Sink) -> None:
    with suppress(OSError, ValueError):
        while block := os.read(stream.fileno(), _BLOCK):
            sink.write(block)


def _watched(process: subprocess.Popen[bytes], bounds: Bounds, received: list[int], began: float) -> Ended:
    """Wait for the end of ``process``; stop it where it is over its bounds or a signal has come."""
    next_look = began + 1.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            return "finished"
        now = monotonic()
        if received:
            _stop(process, received[0], bounds.grace, received)
            return "finished"
        if now - began >= bounds.seconds:
            _stop(process, signal.SIGTERM, bounds.grace, received)
            return "time"
        if bounds.enough is not None and now >= next_look:
            if bounds.enough(now - began):
                _stop(process, signal.SIGTERM, bounds.grace, received)
                return "steps"
            # Of a log that takes long to read, less is read.
            next_look = monotonic() + max(1.0, 20 * (monotonic() - now))


def _stop(process: subprocess.Popen[bytes], signal_number: int, grace: float, received: list[int]) -> None:
    """Ask the group of ``process`` to end, and wait for it; a further interrupt ends the waiting."""
    _signal_group(process, signal_number)
    before, deadline = len(received), monotonic() + grace
    while monotonic() < deadline and len(received) == before:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            return


def _end_all(process: subprocess.Popen[bytes], mark: str) -> None:
    """Nothing that the command started outlives it: its group, and what has left the group."""
    _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()
    kill_marked(mark)


def _signal_group(process: subprocess.Popen[bytes], signal_number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            # Its own session: the group has its number, as long as any member lives.
            os.killpg(process.pid, signal_number)
        elif sys.platform == "win32":  # pragma: no cover
            process.terminate()


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that come in meanwhile, noted instead of acted on; those that are ignored stay so."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(signal_number: int, frame: FrameType | None) -> None:
        received.append(signal_number)

    before = {number: signal.getsignal(number) for number in _PASSED_ON}
    noted = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in noted:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number in noted:
            signal.signal(number, before[number])
