"""Data that small models learn in a few steps, and what the rules say of a record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli import diagnose, read_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convergence_cli import RunReport

FEATURES, CLASSES = 12, 3


def classes(count: int = 512, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Standardised features, and which of three sums of them is the largest."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, FEATURES)).astype(np.float32)
    return x, (x @ np.random.default_rng(7).standard_normal((FEATURES, CLASSES))).argmax(1)


def report_on(folder: Path) -> RunReport:
    """What ``analyze`` says."""
    return diagnose(read_run(str(folder)))


def troubles(report: RunReport) -> list[str]:
    """The rules that a healthy run must not fire."""
    return [found.rule for found in report.findings if found.severity != "note"]


def series(folder: Path, name: str) -> tuple[list[float], list[float]]:
    """Steps and values of one series, as the reader of records gives them."""
    curve = next(one for one in read_run(str(folder)).curves if one.name == name)
    return curve.step.tolist(), curve.value.tolist()


def moments(values: Any) -> dict[str, Any]:
    """A few statistics of a tensor, for comparison with a row of the record."""
    array = np.asarray(values, dtype=np.float64)
    return {
        "mean": float(array.mean()),
        "std": float(array.std()),
        "min": float(array.min()),
        "max": float(array.max()),
    }
