"""How much faster a clean text log of a million lines is read than by re.search and float() line by line.

Whole processes, interleaved, median of three: ``python benchmarks/read_text.py [lines]``.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAIVE = r"""
import re, sys
pattern = re.compile(r"step (\S+) \| loss (\S+) \| lr (\S+) \| grad_norm (\S+)")
steps, losses, rates, norms = [], [], [], []
with open(sys.argv[1]) as log:
    for line in log:
        match = pattern.search(line)
        if match:
            steps.append(float(match[1]))
            losses.append(float(match[2]))
            rates.append(float(match[3]))
            norms.append(float(match[4]))
print(len(steps))
"""
OURS = """
import sys
from pathlib import Path
from convergence_cli.readers import text
from convergence_cli.readers._guard import ReadOptions, Source
(run,) = text.read([Source(Path(sys.argv[1]), sys.argv[1])], ReadOptions())
print(run.curves[0].points)
"""


def _seconds(program: str, log: Path) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program, str(log)], check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def main(lines: int = 1_000_000) -> None:
    """Write the log, time both readers, print their ratio."""
    draw = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "train.log"
        with log.open("w", encoding="utf-8") as file:
            for step in range(lines):
                loss, norm = 2 + draw.random(), 1 + draw.random()
                file.write(f"step {step} | loss {loss:.4f} | lr 3.0e-4 | grad_norm {norm:.2f}\n")
        naive, ours = [], []
        for _ in range(3):
            for program, seconds in ((NAIVE, naive), (OURS, ours)):
                spent, points = _seconds(program, log)
                assert int(points) == lines, points
                seconds.append(spent)
    slow, fast = statistics.median(naive), statistics.median(ours)
    print(f"naive {slow:.2f} s, ctroubleshoot {fast:.2f} s")
    print(f"text_speedup {slow / fast:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
