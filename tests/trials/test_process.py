"""A command as a bounded process: real ones, in sessions of their own."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convergence_cli.errors import UsageError
from convergence_cli.trials.process import Bounds, run_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.outcome import Execution

LONG = 60.0


def run(folder: Path, code: str, bounds: Bounds | None = None, **variables: str) -> Execution:
    return run_bounded([sys.executable, "-c", code], variables, folder, bounds or Bounds(LONG))


def lives(pid: int, patience: float = 10.0) -> bool:
    """Whether the process is there and is no zombie that nobody has fetched.

    A process that was killed dies when the system next comes to it, on a busy machine not at once.
    """
    until = time.monotonic() + patience
    while True:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return False
        except OSError:
            return False
        if time.monotonic() > until:
            return True
        time.sleep(0.02)


def test_output_and_errors_are_kept_in_order(tmp_path: Path) -> None:
    done = run(tmp_path, "import sys; print('one'); print('two', file=sys.stderr); print('three')")
    assert (done.ended, done.exit_code, done.left_out_bytes) == ("finished", 0, 0)
    assert Path(done.output).read_text() == "one\ntwo\nthree\n"
    assert done.last_lines == ("one", "two", "three")
    assert done.output_bytes == 14


def test_a_crash_has_its_exit_code_and_a_signal_its_number(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    done = run(first, "raise SystemExit(7)")
    assert (done.ended, done.exit_code) == ("crashed", 7)
    done = run(second, "import os; os.kill(os.getpid(), 9)")
    assert (done.ended, done.exit_code) == ("crashed", -9)


def test_variables_arrive_and_the_input_is_empty(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['CT_LEARNING_RATE'], repr(sys.stdin.read()))"
    done = run(tmp_path, code, CT_LEARNING_RATE="0.5")
    assert done.last_lines == ("0.5 ''",)


def test_what_a_killed_program_printed_last_is_not_lost_in_its_buffer(tmp_path: Path) -> None:
    done = run(tmp_path, "import time; print('step 1 loss 2'); time.sleep(600)", Bounds(0.7, grace=2))
    assert (done.ended, done.last_lines) == ("time", ("step 1 loss 2",))


def test_a_program_may_clean_up_when_its_time_is_over(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*a): print('saved', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True); time.sleep(600)"
    )
    done = run(tmp_path, code, Bounds(0.7, grace=20))
    assert (done.ended, done.last_lines) == ("time", ("ready", "saved"))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_nothing_that_it_started_outlives_it(tmp_path: Path) -> None:
    code = """
import json, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleep = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
started = [subprocess.Popen([sys.executable, "-c", sleep], start_new_session=own).pid for own in (False, True)]
print(json.dumps(started), flush=True)
time.sleep(600)
"""
    done = run(tmp_path, code, Bounds(1.0, grace=0.2))
    assert (done.ended, done.exit_code) == ("time", -signal.SIGKILL)
    pids = json.loads(done.last_lines[-1])
    assert len(pids) == 2
    assert not any(map(lives, pids))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_what_a_finished_program_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    done = run(tmp_path, code)
    assert done.ended == "finished"
    assert not lives(int(done.last_lines[-1]))


def test_a_gigabyte_of_output_is_bounded_on_disk_and_holds_up_nobody(tmp_path: Path) -> None:
    code = """
import os
block = b"x" * (1 << 20) + b"\\n"
for _ in range(1024):
    left = memoryview(block)
    while left:
        left = left[os.write(1, left):]
print("end")
"""
    done = run(tmp_path, code, Bounds(LONG, output_bytes=4 << 20))
    assert (done.ended, done.exit_code) == ("finished", 0)
    assert done.output_bytes > 1 << 30
    size = os.path.getsize(done.output)
    assert size < 5 << 20
    assert done.output_bytes - done.left_out_bytes <= size
    assert done.last_lines[-1] == "end"


def test_it_is_stopped_when_its_log_has_gone_far_enough(tmp_path: Path) -> None:
    asked: list[float] = []

    def enough(seconds: float) -> bool:
        asked.append(seconds)
        return True

    done = run(tmp_path, "import time; time.sleep(600)", Bounds(LONG, enough=enough))
    assert (done.ended, len(asked)) == ("steps", 1)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts work here, also where the tests were started in the background, which ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_passed_on_and_raised_once_all_has_ended(tmp_path: Path, number: signal.Signals) -> None:
    code = f"""
import signal, sys, time
def end(got, frame): open({str(tmp_path / "got")!r}, "w").write(str(got)); sys.exit(0)
signal.signal({int(number)}, end)
open({str(tmp_path / "ready")!r}, "w").close()
time.sleep(600)
"""

    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, code)
    thread.join()
    assert (tmp_path / "got").read_text() == str(int(number))
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("command", ["no-such-program-here", "/etc/hostname", "nul\0byte"])
def test_what_cannot_be_started_is_told(tmp_path: Path, command: str) -> None:
    with pytest.raises(UsageError, match="cannot be started"):
        run_bounded([command], {}, tmp_path, Bounds(LONG))
