"""CSV against pandas: how long and how much memory `ctroubleshoot analyze` takes where `pandas.read_csv` only reads.

Whole processes, start-up included, in turns; the median of the rounds is taken. One figure a line:
``csv_1e6_ratio``, ``csv_1e7_ratio`` (ours over pandas, wall time) and ``csv_1e7_peak_rss_mb`` (ours).
The tables (step and four series) are made once and kept in ``$BENCH_DIR``, or else in the temporary folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHUNK = 100_000
PANDAS = "import sys, pandas; pandas.read_csv(sys.argv[1])"


def table(rows: int) -> Path:
    """A run of ``rows`` steps that converges, as CSV."""
    path = Path(os.environ.get("BENCH_DIR", tempfile.gettempdir()), f"ctroubleshoot-bench-{rows}.csv")
    if path.exists():
        return path
    rng = np.random.default_rng(0)
    partial = path.with_suffix(".partial")
    with partial.open("w") as out:
        out.write("step,train_loss,val_loss,lr,grad_norm\n")
        for begin in range(0, rows, CHUNK):
            step = np.arange(begin, min(begin + CHUNK, rows))
            fall = 2 * np.exp(-3 * step / rows)
            noise = rng.normal(0, 0.02, (3, len(step)))
            columns = (step, 0.1 + fall + noise[0], 0.2 + fall + noise[1], 1e-3 * (1 - step / rows), 1 + noise[2])
            rows_of = zip(*(column.tolist() for column in columns), strict=True)
            out.writelines("{:d},{:.6f},{:.6f},{:.5g},{:.5f}\n".format(*row) for row in rows_of)
    partial.rename(path)
    return path


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident MB of one process; its output goes nowhere."""
    begin = time.perf_counter()
    process = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(process, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def compared(path: Path, rounds: int) -> tuple[float, float]:
    """Our wall time over pandas', and our peak memory in MB."""
    ours, theirs, memory = [], [], []
    for _ in range(rounds):
        theirs.append(measured([sys.executable, "-c", PANDAS, str(path)])[0])
        seconds, peak = measured([sys.executable, "-m", "convergence_cli", "analyze", str(path)])
        ours.append(seconds)
        memory.append(peak)
    return statistics.median(ours) / statistics.median(theirs), max(memory)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the table of ten million rows")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"csv_1e6_ratio {compared(table(1_000_000), options.rounds)[0]:.2f}")
    if not options.quick:
        ratio, peak = compared(table(10_000_000), options.rounds)
        print(f"csv_1e7_ratio {ratio:.2f}")
        print(f"csv_1e7_peak_rss_mb {peak:.0f}")


if __name__ == "__main__":
    main()
