"""Lines of a record as ``docs/recorder.md`` describes them, written without the recorder."""

from __future__ import annotations

import json
import math
from typing import Any

STARTED = 1_700_000_000.0


def line(**fields: Any) -> bytes:
    """One line; its first key says what it is."""
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def session(first_step: float = 0, **fields: Any) -> bytes:
    told = {"program": "test", "started": STARTED, "worker": "", "first_step": first_step, "every": 50, "model": "Net"}
    return line(recorder=1, **{**told, "parameters": 10, "trainable": 8} | fields)


def step(number: float, **scalars: float) -> bytes:
    return line(step=number, time=number / 10, **{name: scalar(value) for name, value in scalars.items()})


def scalar(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def steps(first: int, last: int, **scalars: float) -> bytes:
    """The lines of the steps from ``first`` to ``last``; a loss that falls, unless ``scalars`` say otherwise."""
    return b"".join(step(one, **({"loss": 1 / (one + 1)} | scalars)) for one in range(first, last + 1))


def declare(title: str, shape: tuple[int, ...] = (8, 4), order: int = 0, **fields: Any) -> bytes:
    layer = title.partition("/")[2].rpartition(".")[0] or title.partition("/")[2]
    return line(declare=title, **{"layer": layer, "shape": shape, "dtype": "float32", "order": order} | fields)


def sampled(number: float, *rows: bytes, time: float | None = None) -> bytes:
    return line(sampled=number, time=number / 10 if time is None else time) + b"".join(rows)


def row(title: str, number: float, **fields: Any) -> bytes:
    """A row with the moments of an even spread from -1 to 1, unless ``fields`` say otherwise."""
    quantiles = [-0.98, -0.9, -0.5, 0, 0.5, 0.9, 0.98]
    told = {"mean": 0, "std": 0.5, "min": -1, "max": 1, "abs": 0.5, "q": quantiles, "hist": "8" * 16}
    return line(tensor=title, step=number, **told | fields)
