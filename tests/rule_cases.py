"""Cases as data: what a file of ``tests/cases`` describes, made into a log.

A case names a curve of ``curves.py``. ``add`` draws further series beside it by their knots, ``copy`` logs one
under a second name, ``drop`` leaves one out, ``hole`` leaves out the points between two shares of the log,
``back`` lets the step go back from one share to another, ``shift`` moves all steps.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from curves import Array, Log, Points, knotted, make, run_of
from tensor_cases import tensors_of

from convergence_cli.model import Run

tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
FOLDER = Path(__file__).parent / "cases"


@cache
def cases() -> dict[str, dict[str, list[dict[str, Any]]]]:
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}


def run_of_case(case: dict[str, Any]) -> Run:
    """The run that a case describes: a log, a dump, or both."""
    run = run_of(build(case)) if "curve" in case else Run("case", "case", "tensors", (), case.get("config", {}))
    return replace(run, tensors=tensors_of(case))


def build(case: dict[str, Any]) -> Log:
    """The log that a case describes."""
    made = make(case["curve"], case.get("seed", 0), **case.get("parameters", {}))
    series = dict(made.series)
    step = next(iter(series.values()))[0]
    for name, drawing in case.get("add", {}).items():
        series[name] = (step, knotted(step, **drawing))
    for name, original in case.get("copy", {}).items():
        series[name] = series[original]
    for name in case.get("drop", []):
        del series[name]
    log = Log(series, {**made.config, **case.get("config", {})})
    shift = case.get("shift", 0)

    def change(_: str, step: Array, value: Array) -> Points:
        share = np.linspace(0, 1, len(step))
        if "hole" in case:
            low, high = case["hole"]
            keep = (share <= low) | (share >= high)
            step, value = step[keep], value[keep]
        if "back" in case:
            turn, to = (int(s * len(step)) for s in case["back"])
            step, value = (np.concatenate([column[:turn], column[to:]]) for column in (step, value))
        return step + shift, value

    return log.map(change)
