"""Start-up ratios, each side a fresh process, interleaved, median: ``make bench-startup``.

``version_ratio``: ``--version`` over the bare interpreter; ``help_ratio``: ``--help`` over ``import typer``;
``analyze_5000_ratio``: ``analyze`` of a CSV of 5,000 steps over ``import pandas``.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
STEPS = 5000
PROGRAM = [sys.executable, "-m", "convergence_cli"]
PYTHON = [sys.executable, "-c"]


def main() -> None:
    """Measure and print the three ratios."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "run.csv"
        log.write_text(_log())
        pairs = {
            "version_ratio": ([*PROGRAM, "--version"], [*PYTHON, "pass"]),
            "help_ratio": ([*PROGRAM, "--help"], [*PYTHON, "import typer"]),
            "analyze_5000_ratio": ([*PROGRAM, "analyze", str(log)], [*PYTHON, "import pandas"]),
        }
        for name, (ours, theirs) in pairs.items():
            times = [(_seconds(ours), _seconds(theirs)) for _ in range(ROUNDS)]
            own, other = (statistics.median(side) for side in zip(*times, strict=True))
            print(json.dumps({name: round(own / other, 3), "seconds": round(own, 3), "of": round(other, 3)}))


def _log() -> str:
    rows = [f"{step},{2.3 * math.exp(-step / 900) + 0.1:.6f},{0.001:.6f}" for step in range(STEPS)]
    return "\n".join(["step,train_loss,lr", *rows, ""])


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode > 1:
        raise SystemExit(f"{' '.join(command)} exited {done.returncode}: {done.stderr.decode()[-500:]}")
    return elapsed


if __name__ == "__main__":
    main()
