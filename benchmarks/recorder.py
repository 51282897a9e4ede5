"""What the recorder costs a training: the same steps without it and with it, in turns.

    python benchmarks/recorder.py [--model NAME ...] [--every N ...] [--rounds N] [--patience S] [--device D] [--peers]

Each round times one block of steps without the recorder and one for each ``--every`` with it, forwards in one round
and backwards in the next. All are of one model in one process, set back to the same weights before each block, on the
same batches. A block lasts two seconds or more and holds whole sampling periods, so as many sampled steps as a long
training has; the background thread works within it, as it would there. The trainings are in ``recorder_models.py``.
Where the system tells (Linux), a round waits for an idle machine, and begins again where others work beside it, until
that has taken ``--patience`` seconds a model. Ten minutes on two idle cores.

Prints one figure a line, NAME being a model:

- ``NAME_step_ms``: a step without the recorder; ``NAME_spread_percent``: how far the blocks of such steps lie apart,
  from the first quartile to the third; ``NAME_disturbed``: in how many of the rounds that count others used more than
  a hundredth of the processor. Where the one is above 3 or the other is not 0, run it again on an idle machine.
- ``NAME_everyN_overhead_percent``: how much longer a block takes with the recorder than the one without it of its
  round, the mean of two rounds of either direction, the median of all these; ``NAME_everyN_range``: between which two
  figures the true median lies in at least 95 of 100 runs (twelve rounds: the least and the most; fewer: less often).
- ``NAME_everyN_by_step_percent``: the same from the median time at each place of the period, so that steps during
  which something else ran do not count. Not on CUDA, where single steps have no time of their own.
- ``NAME_everyN_thread_ms``: CPU time of the background thread for each sampled step. A free core takes it off the
  training's hands; with none it is a part of the overhead.
- ``NAME_startup_ms``: what the start costs once, in making the recorder, the weights of step 0 and the first sampled
  step, which are in no block. ``NAME_close_ms``: what ``close`` has left to do; where it is long, blocks hid something.
- ``NAME_row_bytes``: a row of a tensor in the file; ``NAME_everyN_bytes_per_row``: the whole file by its rows, with the
  scalars of every step, and what is declared once, which weighs more in these few steps than in a training.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from recorder_models import MODELS, Training, training

EVERY = (50, 10)
ROUNDS = {"mlp": 12, "cnn": 12, "transformer": 6, "gpt": 12}
BLOCK_SECONDS = 2.0
# Steps before a block: the last of a block are as many after its last sampled step, so that as much of the thread's
# work is carried into the block as out of it.
LEAD = 6
# The share of the processor that others may use in a block: a thread that waits for a core holds up all that share a
# step with it.
QUIET = 0.01
PATIENCE = 120.0

Watch = Callable[[Training, Path], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True, slots=True)
class Block:
    """Seconds of one block: each step, all of it, what went before it, and what came after it."""

    times: list[float]
    total: float
    lead: float
    close: float
    thread: float
    others: float
    size: int
    rows: list[int]

    @property
    def step(self) -> float:
        """The mean of its steps."""
        return self.total / len(self.times)


@contextlib.contextmanager
def plain(subject: Training, folder: Path) -> Iterator[Callable[[int], object]]:
    """Nobody watches."""
    yield subject.step


def recorded(every: int) -> Watch:
    """As the documents say."""
    from convergence_cli import Recorder
    from convergence_cli.recorder.journal import RecorderWarning

    # A recorder that has switched itself off costs nothing.
    warnings.simplefilter("error", RecorderWarning)

    @contextlib.contextmanager
    def watch(subject: Training, folder: Path) -> Iterator[Callable[[int], object]]:
        with Recorder(subject.model, subject.optimizer, out=folder, every=every) as recorder:
            yield lambda index: recorder.step(loss=subject.step(index))

    return watch


def block(subject: Training, watch: Watch, steps: int, limit: float = math.inf) -> Block:
    """Time ``steps`` steps under ``watch``; broken off where others have had more than ``limit`` of the processor."""
    clock, times = time.perf_counter, []
    with tempfile.TemporaryDirectory(prefix="bench-recorder-") as name:
        folder = Path(name)
        wait(subject)
        started, others = clock(), Others()
        with watch(subject, folder) as step:
            for index in range(LEAD):
                step(index)
            wait(subject)
            lead, thread = clock() - started, thread_seconds()
            begin = before = looked = clock()
            for index in range(LEAD, LEAD + steps):
                step(index)
                now = clock()
                times.append(now - before)
                before = now
                if now - looked > 1:
                    looked = now
                    if others.share() > limit:
                        break
            wait(subject)
            total, thread = clock() - begin, thread_seconds() - thread
            ended, share = clock(), others.share()
        close = clock() - ended
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        record = folder / "record.jsonl"
        lines = record.read_bytes().splitlines(keepends=True) if record.exists() else ()
        rows = [len(line) for line in lines if line.startswith(b'{"tensor"')]
        return Block(times, total, lead, close, thread, share, size, rows)


def wait(subject: Training) -> None:
    """Until the device has done what it was asked for."""
    if subject.device == "cuda":
        torch.cuda.synchronize()


def thread_seconds() -> float:
    """CPU time of the recorder's thread so far; NaN on systems that do not tell."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    idents = [one.ident for one in threading.enumerate() if one.name == "recorder"]
    return sum(time.clock_gettime(clock_of(ident)) for ident in idents) if clock_of else math.nan


class Others:
    """What other processes have of the processor, and what a virtual machine is denied, from now on."""

    def __init__(self) -> None:
        self._began, self._used = time.perf_counter(), self._seconds()

    def share(self) -> float:
        """As a share of all cores; 0 where the system does not tell."""
        passed = time.perf_counter() - self._began
        return (self._seconds() - self._used) / passed / (os.cpu_count() or 1)

    @staticmethod
    def _seconds() -> float:
        try:
            fields = [int(field) for field in Path("/proc/stat").read_text().split(None, 9)[1:9]]
        except (OSError, ValueError):
            return 0.0
        user, nice, system, _, _, irq, soft_irq, stolen = fields
        return (user + nice + system + irq + soft_irq + stolen) / os.sysconf("SC_CLK_TCK") - time.process_time()


def in_turns(
    begin: Callable[[], Training], watches: Mapping[int, Watch], rounds: int, patience: float
) -> dict[int, list[Block]]:
    """Blocks by how often is sampled, 0 where nobody watches, one a round; all that others spoil takes ``patience``."""
    guess = min(block(begin(), plain, 10).times)
    steps = {every: every * max(math.ceil(BLOCK_SECONDS / guess / every), 1) for every in watches}
    jobs = {0: (plain, min(steps.values())), **{every: (watches[every], steps[every]) for every in watches}}
    turns: list[dict[int, Block]] = []
    spoilt = 0.0
    while len(turns) < rounds:
        begun, others, turn = time.perf_counter(), Others(), dict[int, Block]()
        limit = QUIET if spoilt < patience else math.inf
        time.sleep(1)
        if others.share() <= 2 * limit:
            for every in sorted(jobs, reverse=bool(len(turns) % 2)):
                turn[every] = block(begin(), *jobs[every], limit)
                if turn[every].others > limit:
                    break
            else:
                turns.append(turn)
                continue
        spoilt += time.perf_counter() - begun
    return {every: [turn[every] for turn in turns] for every in jobs}


def balanced(rounds: Sequence[Sequence[float]]) -> list[list[float]]:
    """Geometric means of a round and the next, which ran backwards: what comes first after a rest is often quicker."""
    pairs = list(zip(rounds[::2], rounds[1::2], strict=False)) or [(rounds[0], rounds[0])]
    return [[math.sqrt(one * other) for one, other in zip(*pair, strict=True)] for pair in pairs]


def by_step(without: Sequence[Block], watched: Sequence[Block], every: int) -> float:
    """The overhead as a share, from the median at each place of the period, in units of the round's median step."""
    usual = [statistics.median(one.times) for one in without]
    shares = balanced([[value / unit for value in one.times] for one, unit in zip(watched, usual, strict=True)])
    places = (statistics.median(value for one in shares for value in one[place::every]) for place in range(every))
    return statistics.mean(places) - 1


def around_median(ascending: Sequence[float]) -> tuple[float, float]:
    """Between what the median lies in 95 of 100 cases, by the sign test, whatever the distribution is."""
    count, dropped, chance = len(ascending), 0, 0.0
    while dropped < count // 2:
        chance += 2 * math.comb(count, dropped) / 2**count
        if chance > 0.05:
            break
        dropped += 1
    place = max(dropped - 1, 0)
    return ascending[place], ascending[-1 - place]


def report(name: str, found: Mapping[int, Sequence[Block]], *, single: bool = True) -> None:
    """Print the figures of one model; ``single``: whether single steps have a time."""
    without = found[0]
    means = [one.step for one in without]
    low, usual, high = statistics.quantiles(means, n=4, method="inclusive") if len(means) > 1 else means * 3
    say(f"{name}_step_ms {1e3 * usual:.1f}")
    say(f"{name}_spread_percent {100 * (high / low - 1):.1f}")
    worst = [max(one.others for one in turn) for turn in zip(*found.values(), strict=True)]
    say(f"{name}_disturbed {sum(share > QUIET for share in worst)}")
    for every in sorted(found, reverse=True)[:-1]:
        watched, title = found[every], f"{name}_every{every}"
        ratios = balanced([[one.step / mean] for one, mean in zip(watched, means, strict=True)])
        shares = sorted(100 * (ratio - 1) for (ratio,) in ratios)
        say(f"{title}_overhead_percent {statistics.median(shares):.2f}")
        say("{}_range {:.2f} {:.2f}".format(title, *around_median(shares)))
        if single:
            say(f"{title}_by_step_percent {100 * by_step(without, watched, every):.2f}")
        if any(one.thread for one in watched):
            thread = statistics.median(one.thread * every / len(one.times) for one in watched)
            say(f"{title}_thread_ms {1e3 * thread:.1f}")
        size, rows = sum(one.size for one in watched), sum(len(one.rows) for one in watched)
        if rows:
            say(f"{title}_bytes_per_row {size / rows:.0f}")
        else:
            samples = sum(1 + (LEAD + len(one.times) - 1) // every for one in watched)
            say(f"{title}_kb_per_sample {size / samples / 1024:.1f}")
    pairs = [(one, other) for every in found if every for one, other in zip(found[every], without, strict=True)]
    say(f"{name}_startup_ms {1e3 * statistics.median(one.lead - other.lead for one, other in pairs):.0f}")
    say(f"{name}_close_ms {1e3 * statistics.median(one.close for one, _ in pairs):.0f}")
    if lengths := [length for one, _ in pairs for length in one.rows]:
        say(f"{name}_row_bytes {statistics.mean(lengths):.0f}")


def say(line: str) -> None:
    """A figure, at once."""
    print(line, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", choices=MODELS, help="all but gpt, which is for CUDA, unless told")
    parser.add_argument("--every", nargs="+", type=int, help="50 and 10 unless told; gpt: 10")
    parser.add_argument("--rounds", type=int, help="an even number; 12, or 6 of the transformer, unless told")
    parser.add_argument("--patience", type=float, default=PATIENCE)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peers", action="store_true", help="measure smdebug and Cockpit, too, the same way")
    options = parser.parse_args()
    names = options.model or [name for name in MODELS if name != "gpt" or options.device.startswith("cuda")]
    say(f"cores {os.cpu_count()}")
    say(f"load {os.getloadavg()[0]:.2f}")
    for name in names:
        subject = training(name, options.device)

        def again(subject: Training = subject) -> Training:
            subject.reset()
            return subject

        everies = options.every or ((10,) if name == "gpt" else EVERY)
        found = in_turns(
            again, {every: recorded(every) for every in everies}, options.rounds or ROUNDS[name], options.patience
        )
        report(name, found, single=subject.device == "cpu")
        say(f"load {os.getloadavg()[0]:.2f}")
    if options.peers:
        from recorder_peers import measure

        passed = [f"--device={options.device}", f"--patience={options.patience}"]
        passed += [f"--rounds={options.rounds}"] if options.rounds else []
        measure(options.model or ["mlp", "cnn", "transformer"], options.every or EVERY, passed)


if __name__ == "__main__":
    main()
