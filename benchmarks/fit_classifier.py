"""Fits the classifier of loss curves on a zoo and writes its coefficients.

Usage: fit_classifier.py ZOO [--jobs 2] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from zoo.examples import Example, changed_examples, examples_of, folders_of
from zoo.fitting import coefficients_of, is_fitted_on
from zoo.specimen import truth_of

from convergence_cli.features.classifier import COEFFICIENTS
from convergence_cli.pipeline import read_run


def learnt_from(folder: Path) -> list[Example]:
    """All examples of one run; none where its losses tell nothing."""
    truth = truth_of(folder)
    if truth.fixed_labels or not truth.seen.points + truth.seen.evaluations:
        return []
    return [*examples_of(folder), *changed_examples(read_run(folder / "run"), truth)]


def as_text(coefficients: dict[str, object]) -> str:
    """JSON with one feature a line."""
    features = coefficients["features"]
    assert isinstance(features, dict)
    lines = [f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in features.items()]
    rest = {key: value for key, value in coefficients.items() if key != "features"}
    head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in rest.items())
    return "{\n" + head + ' "features": {\n' + ",\n".join(lines) + "\n }\n}\n"


def main(root: Path, jobs: int, output: Path) -> None:
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        examples = [one for found in pool.map(learnt_from, folders_of(root), chunksize=8) for one in found]
    coefficients = coefficients_of(examples)
    output.write_text(as_text(coefficients), encoding="utf-8")
    print(f"examples {sum(is_fitted_on(one) for one in examples)}")
    print(f"features {len(coefficients['features'])}")
    print(f"written {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=COEFFICIENTS)
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(chosen.zoo, chosen.jobs, chosen.output)
