"""Run folders as frameworks leave them, with curves whose course is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def losses(count: int, seed: int = 0, *, rate: float = 0.05, noise: float = 0.02) -> np.ndarray:
    """A loss that falls from 2.3 towards 0.3, with noise."""
    rng = np.random.default_rng(seed)
    return 0.3 + 2.0 * np.exp(-rate * np.arange(count)) + noise * rng.standard_normal(count)


def csv_run(path: Path, values: np.ndarray, *, first: int = 0, digits: int = 6, **settings: object) -> Path:
    """A ``metrics.csv``-like file of step and train_loss, and its settings beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{first + i},{value:.{digits}f}" for i, value in enumerate(values)]
    path.write_text("\n".join(["step,train_loss", *rows]) + "\n")
    if settings:
        (path.parent / "config.json").write_text(json.dumps(settings))
    return path


def jsonl_run(path: Path, values: np.ndarray, *, first: int = 0, key: str = "loss") -> Path:
    """The same as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"step": first + i, key: float(v)}) + "\n" for i, v in enumerate(values)))
    return path
