"""Fits the ranking of causes on a zoo and writes its weights.

Usage: fit_causes.py ZOO [--jobs 2] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from zoo.cause_examples import cause_examples
from zoo.cause_fitting import weights_of
from zoo.examples import folders_of

from convergence_cli.diagnosis.fitted import WEIGHTS


def as_text(weights: dict[str, Any]) -> str:
    """JSON with one fact a line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in weights["facts"].items()]
    return f'{{\n "intercept": {json.dumps(weights["intercept"])},\n "facts": {{\n' + ",\n".join(lines) + "\n }\n}\n"


def main(root: Path, jobs: int, output: Path) -> None:
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        examples = [one for found in pool.map(cause_examples, folders_of(root), chunksize=8) for one in found]
    weights = weights_of(examples)
    output.write_text(as_text(weights), encoding="utf-8")
    print(f"examples {len(examples)}")
    print(f"facts {len(weights['facts'])}")
    print(f"weights {sum(len(one) for one in weights['facts'].values())}")
    print(f"written {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(chosen.zoo, chosen.jobs, chosen.output)
