"""Trains the zoo: ``python -m zoo FOLDER [--size 1.0] [--seed 0] [--jobs 2]``, in ``benchmarks/``.

Each run gets a folder with ``run/`` (the log, as some tool writes it), ``recorded/`` (the same training by our own
recorder, tensors included) and ``truth.json``, which is written last: a run that has it is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from zoo.catalogue import specimens
from zoo.specimen import made


def main(root: Path, size: float, seed: int, jobs: int) -> None:
    """Trains what is missing and prints how far it is."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "zoo.json").write_text(json.dumps({"seed": seed, "size": size}))
    todo = specimens(seed, size)
    started = time.perf_counter()
    failed = 0
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting = {pool.submit(made, one, root): one for one in todo}
        for count, done in enumerate(as_completed(waiting), 1):
            if done.exception() is not None:
                failed += 1
                print(f"failed {waiting[done].name}: {done.exception()!r}", file=sys.stderr, flush=True)
            if count % 50 == 0 or count == len(todo):
                print(f"{count} of {len(todo)} {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    print(f"zoo_runs {len(todo) - failed}")
    print(f"zoo_failed {failed}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(chosen.folder, chosen.size, chosen.seed, chosen.jobs)
