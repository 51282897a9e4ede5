"""Runs and dumps of known truth, for the facts: built from arrays, hostile ones included."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from curves import GENERATORS, evidence_of, make
from rule_cases import cases, run_of_case

from convergence_cli.diagnosis.facts.curves import curve_facts
from convergence_cli.diagnosis.facts.dumps import dump_facts
from convergence_cli.diagnosis.facts.settings import setting_facts
from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Curve, Run
from convergence_cli.tensor_stats import Collection, Confusion, LabelCounts, TensorRow

Array = npt.NDArray[np.float64]
# A value that needs more than one argument, or that takes long.
_APART = ("drawn", "long_log")


def curve(role: str, value: Array, step: Array | None = None, **more: Any) -> Curve:
    """``value`` at steps 0, 1, ... unless ``step`` says otherwise."""
    steps = np.arange(len(value), dtype=np.float64) if step is None else step
    return Curve(role, steps, np.asarray(value, dtype=np.float64), role=role, **more)


def run_with(*curves: Curve, config: Mapping[str, Any] | None = None, dump: Collection | None = None) -> Evidence:
    """The evidence of a run of those curves, settings and dumps."""
    tensors = None if dump is None else dump.stats()
    return Evidence(Run("r", "r", "made", curves, config or {}, tensors=tensors))


def row(kind: str, name: str, values: Array, step: float = 0.0, order: int = 0, **more: Any) -> TensorRow:
    """The row that a reader makes of ``values``; ``more`` sets what the values do not tell."""
    flat = values.ravel()
    finite = flat[np.isfinite(flat)]
    numbers: dict[str, Any] = {
        "count": float(flat.size),
        "nan": float(np.isnan(flat).sum()),
        "inf": float(np.isinf(flat).sum()),
        "zero": float((flat == 0).sum()),
    }
    if len(finite):
        numbers |= {"mean": finite.mean(), "std": finite.std(), "min": finite.min(), "max": finite.max()}
        numbers["l2"] = float(np.linalg.norm(finite))
    if values.ndim >= 2 and len(finite) == flat.size and numbers["l2"] > 0:
        units = values.reshape(len(values), -1)
        numbers["unit_variance"] = float(((units - units.mean(0)) ** 2).sum() / (units**2).sum())
        numbers["units"] = float(len(units))
    layer = name.rpartition(".")[0] or name
    return TensorRow(step, kind, name, layer, order, shape=values.shape, **numbers | more)


def dump_of(
    *rows: TensorRow, labels: Mapping[float, int] | None = None, confusion: npt.NDArray[np.int64] | None = None
) -> Collection:
    """A dump of those rows, with counted labels and a confusion matrix at step 0."""
    found = Collection(rows=list(rows))
    if labels is not None:
        found.labels.append(LabelCounts(0.0, "y", tuple(labels), tuple(labels.values())))
    if confusion is not None:
        found.confusions.append(Confusion(0.0, "logits", confusion))
    return found


@cache
def generated() -> dict[str, Evidence]:
    """Every generated log and every case of the rules."""
    logs = {name: evidence_of(make(name)) for name in GENERATORS if name not in _APART}
    return logs | {
        f"{code}: {case['why']}": Evidence(run_of_case(case))
        for code, file in cases().items()
        for kind in ("fires", "silent")
        for case in file[kind]
    }


@cache
def emitted() -> dict[str, tuple[float, float]]:
    """The least and the largest value of each fact over all generated runs."""
    found: dict[str, tuple[float, float]] = {}
    for evidence in generated().values():
        for name, value in (curve_facts(evidence) | setting_facts(evidence) | dump_facts(evidence)).items():
            low, high = found.get(name, (value, value))
            found[name] = (min(low, value), max(high, value))
    return found


def hostile(largest: float = 1e150) -> Iterator[tuple[str, Array]]:
    """Curves that no training should give."""
    t = np.arange(60.0)
    falling = np.linspace(2, 1, 60)
    yield "no point", np.zeros(0)
    for points in (1, 2, 3, 4, 8, 12):
        yield f"{points} points", np.linspace(2, 1, points)
    for level in (0.0, 2.0, -2.0, largest, -largest, math.nan, math.inf, -math.inf, 5e-324):
        yield f"{level} at all points", np.full(60, level)
    for odd in (largest, -largest, math.nan, math.inf, -math.inf, 0.0):
        for where in (slice(0, 1), slice(30, 31), slice(-3, None), slice(10, None), slice(None, None, 2)):
            value = falling.copy()
            value[where] = odd
            yield f"{odd} at {where}", value
    yield "negative", -np.linspace(1, 5, 60)
    yield "through zero", np.linspace(1, -1, 61)
    yield "up to the largest", np.exp(np.linspace(0, math.log(largest), 60))
    yield "down to nothing", np.exp(np.linspace(0, -700, 60))
    yield "by turns", largest * (-1.0) ** t
    odd_values = [0.0, 1.0, -1.0, 1e-300, largest, -largest, math.nan, math.inf, -math.inf, 1e5]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        yield f"drawn {seed}", rng.choice(odd_values, int(rng.integers(1, 80)))


def expect_sound(facts: Mapping[str, float], why: object = "") -> None:
    """All are floats, finite and within what the ranking bears."""
    for name, value in facts.items():
        assert isinstance(value, float), (why, name)
        assert math.isfinite(value), (why, name, value)
        assert abs(value) <= 12, (why, name, value)
