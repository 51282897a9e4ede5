"""Start-up ratios, each side a fresh process, interleaved, median: ``make bench-startup``.

``version_ratio``: ``--version`` over the bare interpreter; ``help_ratio``: ``--help`` over ``import typer``;
``analyze_5000_ratio``: ``analyze`` of a CSV of 5,000 steps over ``import pandas``. Ratios are of user and
system time, which other work on the machine distorts least; ``..._wall_ratio`` is of elapsed time.

The entry point is called as an installed script calls it, without what some installers put before it
(pip up to 25 imports ``re``, by itself half a bare interpreter; ``python -m`` imports ``runpy``).
"""

from __future__ import annotations

import compileall
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import convergence_cli

ROUNDS = 9
STEPS = 5000
ENTRY = "import sys; from convergence_cli.__main__ import main; sys.exit(main())"


def main() -> None:
    """Measure and print the three ratios."""
    # Installed packages are compiled by pip; a checkout is compiled only if the environment lets Python write.
    compileall.compile_dir(str(Path(convergence_cli.__file__).parent), quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("run.csv").write_text(_log())
        pairs = {
            "version": ([ENTRY, "--version"], ["pass"]),
            "help": ([ENTRY, "--help"], ["import typer"]),
            "analyze_5000": ([ENTRY, "analyze", "run.csv"], ["import pandas"]),
        }
        for name, (ours, theirs) in pairs.items():
            rounds = [(*_seconds(ours), *_seconds(theirs)) for _ in range(ROUNDS)]
            cpu, wall, other_cpu, other_wall = map(statistics.median, zip(*rounds, strict=True))
            print(f"{name}_ratio {cpu / other_cpu:.3f}")
            print(f"{name}_wall_ratio {wall / other_wall:.3f}")


def _log() -> str:
    rows = [f"{step},{2.3 * math.exp(-step / 900) + 0.1:.6f},{0.001:.6f}" for step in range(STEPS)]
    return "\n".join(["step,train_loss,lr", *rows, ""])


def _seconds(code: list[str]) -> tuple[float, float]:
    """User and system time, and elapsed time, of ``python -c CODE ...``."""
    before, started = _children(), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", *code], capture_output=True, check=False)
    elapsed, after = time.perf_counter() - started, _children()
    if done.returncode > 1:
        raise SystemExit(f"{code[1:]} exited {done.returncode}: {done.stderr.decode()[-500:]}")
    return after - before, elapsed


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
