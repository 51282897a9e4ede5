"""The file of a record: lines that a background thread appends, so that the training waits for no disk.

Nothing here needs torch. A failure (a full disk, a folder that is gone) warns once and ends the record, never the
training.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from convergence_cli import __version__
from convergence_cli.recorder.lines import FORMAT_VERSION, line, number
from convergence_cli.recorder.tensor_lines import Known, lines_of_arrays

Job = Callable[[], Iterable[bytes]]

# How long the thread rests between two looks at its queue: a step is in the file after this time.
REST_SECONDS = 0.05
# A thread that hangs on a dead file system must not keep the process from ending.
CLOSE_SECONDS = 60.0


class RecorderWarning(UserWarning):
    """The recorder could not do something, and says once what it was."""


class Journal:
    """Appends the lines of one worker to ``out/record.jsonl``.

    ``every``: each how many steps tensors are recorded, 1 and more; ``start_step``: the step before the first.
    ``worker`` is the rank where there are several; every rank but the first writes a file of its own.
    Raises ``ValueError`` for arguments that cannot be, and nothing later.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        *,
        every: int = 50,
        start_step: int = 0,
        worker: str = "",
        model: str = "",
        parameters: int | None = None,
        trainable: int | None = None,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every must be a whole number of steps, 1 or more, not {every!r}.")
        if isinstance(start_step, bool) or not isinstance(start_step, int) or start_step < 0:
            raise ValueError(f"start_step must be a whole number of steps, 0 or more, not {start_step!r}.")
        self.every, self.start_step, self.worker = every, start_step, worker
        self.path = Path(out) / (f"record.rank{worker}.jsonl" if worker not in ("", "0") else "record.jsonl")
        self.started = time.time()
        self._clock = time.perf_counter()
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._hurry = threading.Event()
        self._process = os.getpid()
        self._step: float = start_step
        self._closed = False
        self.failure: BaseException | None = None
        self._warned = False
        self._file = -1
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(self.path)
        except OSError as error:
            self.failure = error
            self._warn()
        head = {
            "recorder": FORMAT_VERSION,
            "program": f"ctroubleshoot {__version__}",
            "started": round(self.started, 3),
            "worker": worker,
            "first_step": start_step,
            "every": every,
            "model": model,
        }
        head |= {
            name: count for name, count in (("parameters", parameters), ("trainable", trainable)) if count is not None
        }
        # For the thread alone.
        self.known = Known()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        if self._file >= 0:
            self._thread.start()
            self.submit(lambda: [line(head)])
            atexit.register(self.close, "exit")

    @property
    def alive(self) -> bool:
        """Whether lines are still taken: not after a failure or the end, and not in a forked child."""
        return self.failure is None and not self._closed and self._process == os.getpid()

    def seconds(self) -> float:
        """Since the session began, to the millisecond."""
        return round(time.perf_counter() - self._clock, 3)

    def submit(self, job: Job) -> None:
        """Have the thread call ``job`` and append the lines that it gives."""
        if self.alive:
            self._queue.put(job)
        elif self.failure is not None:
            self._warn()

    def scalars(self, step: float, values: Mapping[str, Any]) -> None:
        """Numbers of a step by name; None is left out. Anything that ``float`` takes is a number."""
        self._step = max(self._step, step)
        when = self.seconds()
        kept = {str(name): value for name, value in values.items() if value is not None}
        self.submit(lambda: _scalar_line(step, when, kept))

    def config(self, values: Mapping[str, Any]) -> None:
        """Hyperparameters."""
        if kept := {str(name): value for name, value in values.items() if value is not None}:
            self.submit(lambda: [line({"config": kept})])

    def layers(self, layers: Sequence[tuple[str, str, int]]) -> None:
        """Name, kind and number of parameters of each module that has some of its own."""
        self.submit(lambda: [line({"layers": layers})])

    def trees(
        self, step: float, depth: float, importance: Mapping[str, float], importance_type: str = "weight"
    ) -> None:
        """A boosted model: the depth of its deepest tree, and what its features count for."""
        found = {"trees": step, "depth": depth, "importance": dict(importance), "type": importance_type}
        self.submit(lambda: [line(found)])

    def arrays(self, step: float, found: Sequence[tuple[str, str, Any, Mapping[str, Any]]]) -> None:
        """The statistics of numpy arrays: kind, name, array, and where known ``function`` and ``layer``.

        The arrays are measured by the thread: the caller leaves them alone from now on.
        """
        when = self.seconds()
        self.submit(lambda: lines_of_arrays(self.known, step, when, found))

    def note(self, text: str) -> None:
        """A sentence on what could not be recorded."""
        self.submit(lambda: [line({"note": text})])

    def flush(self) -> None:
        """Wait until everything submitted so far is in the file."""
        if not self.alive or threading.current_thread() is self._thread:
            return
        done = threading.Event()

        def finish() -> Iterable[bytes]:
            self._queue.put(lambda: _set(done))
            return ()

        self.submit(finish)
        self._hurry.set()
        while not done.wait(0.1):
            if not self._thread.is_alive():
                return

    def close(self, ended: str = "finished") -> None:
        """Append what is left and the line of the end: ``finished``, or the name of what ended the training."""
        if not self.alive:
            if self.failure is not None:
                self._warn()
            self._closed = True
            return
        end = {"end": ended, "step": self._step, "time": self.seconds()}
        self.submit(lambda: [line(end)])
        atexit.unregister(self.close)
        self._closed = True
        self._queue.put(_stop)
        self._hurry.set()
        self._thread.join(CLOSE_SECONDS)
        if self.failure is not None:
            self._warn()

    def _work(self) -> None:
        """The thread: the lines of all waiting jobs, job by job, then a rest."""
        stopping = False
        while not stopping:
            jobs = [self._queue.get()]
            while True:
                try:
                    jobs.append(self._queue.get_nowait())
                except Empty:
                    break
            stopping = _stop in jobs
            try:
                for job in jobs:
                    self._append(b"".join(job()))
            # Whatever it is, it must not be lost with the thread.
            except BaseException as error:
                self.failure = error
                break
            jobs.clear()
            if not stopping and self._hurry.wait(REST_SECONDS):
                self._hurry.clear()
        os.close(self._file)

    def _append(self, data: bytes) -> None:
        """Write ``data``, whole lines, at the end of the file."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            reason = getattr(self.failure, "strerror", None) or str(self.failure) or type(self.failure).__name__
            message = f"Nothing more is recorded in {self.path}: {reason}. The training goes on."
            warnings.warn(message, RecorderWarning, stacklevel=3)


def _opened(path: Path) -> int:
    """The file at its end, on a line of its own."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    size = os.fstat(descriptor).st_size
    if size:
        os.lseek(descriptor, size - 1, os.SEEK_SET)
        # What a killed process left of its last line.
        if os.read(descriptor, 1) != b"\n":
            os.write(descriptor, b"\n")
    return descriptor


def _scalar_line(step: float, when: float, values: Mapping[str, Any]) -> list[bytes]:
    found: dict[str, Any] = {"step": step, "time": when}
    for name, value in values.items():
        if name not in found:
            found[name] = number(value)
    return [line(found)]


def _set(event: threading.Event) -> Iterable[bytes]:
    event.set()
    return ()


def _stop() -> Iterable[bytes]:
    """Marks the end of the queue."""
    return ()
