"""JSON lines: `ctroubleshoot analyze` against the loop everybody writes, whole processes, interleaved.

Prints `jsonl_speedup X` for a clean log of a million lines, and `jsonl_nan_speedup Y` for one with a bare
NaN every thousand lines: how many times faster than `json.loads` line by line into a dict of lists.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LINES = 1_000_000
ROUNDS = 3
NAN_EVERY = 1000
NAIVE = """
import json, sys
columns = {}
with open(sys.argv[1]) as file:
    for line in file:
        for key, value in json.loads(line).items():
            columns.setdefault(key, []).append(value)
print({key: len(values) for key, values in columns.items()})
"""
ACCEPTED = (0, 1)


def write_log(path: Path, nan_every: int | None) -> None:
    """A falling loss with noise, as ``json.dumps`` writes it: five keys a line, about 94 MB."""
    noise = random.Random(7)
    with path.open("w") as file:
        for step in range(LINES):
            loss = 2.0 / (1.0 + step / 50_000) + 0.1 * noise.random()
            train = "NaN" if nan_every and step % nan_every == nan_every - 1 else f"{loss:.6f}"
            file.write(
                f'{{"step": {step}, "train_loss": {train}, "val_loss": {loss + 0.05:.6f}, '
                f'"lr": {3e-4 * (1 - step / LINES):.6e}, "grad_norm": {0.5 + noise.random():.6f}}}\n'
            )


def seconds(command: list[str]) -> float:
    """Wall time of one process; RuntimeError where it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode not in ACCEPTED:
        raise RuntimeError(done.stderr.decode("utf-8", "replace")[-2000:])
    return time.perf_counter() - start


def speedup(path: Path) -> float:
    """The median of the naive loop's time over ours, each pair measured side by side."""
    naive = [sys.executable, "-c", NAIVE, str(path)]
    ours = [sys.executable, "-m", "convergence_cli", "analyze", str(path)]
    return statistics.median(seconds(naive) / seconds(ours) for _ in range(ROUNDS))


def main() -> None:
    """Write both logs to a temporary folder, and print one figure for each."""
    with tempfile.TemporaryDirectory() as folder:
        for name, nan_every in (("jsonl_speedup", None), ("jsonl_nan_speedup", NAN_EVERY)):
            path = Path(folder) / "metrics.jsonl"
            write_log(path, nan_every)
            print(f"{name} {speedup(path):.2f}")


if __name__ == "__main__":
    main()
