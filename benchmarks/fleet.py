"""Ten thousand small runs: the time to judge them all against that to read them all, memory, and the second call.

Prints one figure a line. Reading alone is the same discovery and the same readers on as many processes, without
settings, roles, features, rules or reports. Usage: fleet.py [COUNT] [POINTS]
"""

from __future__ import annotations

import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from convergence_cli.fleet.executor import cores
from convergence_cli.readers import best_reader
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.readers.discover import listing

ROUNDS = 3


def write_runs(root: Path, count: int, points: int) -> None:
    """Half CSV with a configuration beside it, a quarter JSON lines, a quarter text."""
    rng = random.Random(0)
    for number in range(count):
        rate = 10 ** rng.uniform(-4, -0.5)
        loss, losses = 2.3, []
        for _ in range(points):
            loss = loss * 1.03 if rate > 0.1 else 0.3 + (loss - 0.3) * 0.97
            losses.append(loss + rng.gauss(0, 0.02))
        folder = root / f"group_{number % 50:02}" / f"run_{number:05}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"learning_rate": rate, "seed": number}))
        if number % 4 < 2:
            lines = ["step,train_loss,val_loss,lr"]
            lines += [f"{step},{value:.5f},{value + 0.1:.5f},{rate:.6g}" for step, value in enumerate(losses)]
            (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
        elif number % 4 == 2:
            rows = [json.dumps({"step": step, "loss": value, "lr": rate}) for step, value in enumerate(losses)]
            (folder / "log.jsonl").write_text("\n".join(rows) + "\n")
        else:
            rows = [f"step {step} | loss {value:.4f} | lr {rate:.3e}" for step, value in enumerate(losses)]
            (folder / "train.log").write_text("\n".join(rows) + "\n")


def read_alone(paths: list[Path]) -> int:
    """How many points the readers find."""
    found = 0
    for path in paths:
        source = Source(path, str(path))
        reader = best_reader(source)
        if reader is not None:
            found += sum(curve.points for run in reader.read([source], ReadOptions()) for curve in run.curves)
    return found


def bare(root: str) -> float:
    """Seconds in which as many processes only read."""
    started = time.perf_counter()
    paths = [group.members[0] for group in listing(root).groups]
    parts = [paths[at : at + 16] for at in range(0, len(paths), 16)]
    with ProcessPoolExecutor(cores()) as pool:
        points = sum(pool.map(read_alone, parts))
    assert points
    return time.perf_counter() - started


def analyzed(root: str, cache: str, *flags: str) -> tuple[float, float]:
    """Seconds of the whole command, and the peak memory of its largest process in MB."""
    command = [sys.executable, "-m", "convergence_cli", "analyze", root]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    started = time.perf_counter()
    subprocess.run([*command, *flags], env={**os.environ, "XDG_CACHE_HOME": cache}, check=False, capture_output=True)
    seconds = time.perf_counter() - started
    return seconds, max(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, before) / 1024


def main(count: int, points: int) -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "sweep")
        write_runs(root, count, points)
        first, second, read = math.inf, math.inf, math.inf
        memory = 0.0
        for number in range(ROUNDS):
            cache = str(Path(scratch, f"cache-{number}"))
            read = min(read, bare(str(root)))
            seconds, peak = analyzed(str(root), cache)
            first, memory = min(first, seconds), max(memory, peak)
            second = min(second, analyzed(str(root), cache)[0])
    show = partial(print, flush=True)
    show(f"runs {count}")
    show(f"points_a_run {points}")
    show(f"read_alone_seconds {read:.2f}")
    show(f"analyze_seconds {first:.2f}")
    show(f"analyze_over_read {first / read:.2f}")
    show(f"second_over_first {second / first:.3f}")
    show(f"peak_mb_of_the_largest_process {memory:.0f}")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given, *(10_000, 100)[len(given) :])
