"""Tensor statistics as data: what a case of ``tests/cases`` says of its dump, made into ``TensorStats``.

``dumps`` gives the steps (default 0, 10, ... 70). Each table of ``tensors`` is one tensor: ``kind``, ``name``,
``shape`` and any column of ``TensorRow``, as one number for all steps or a list with one a step. Where the
case does not say otherwise all values are finite and none is zero. ``labels``, ``confusions`` and ``tokens``
likewise give what was counted at every step.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convergence_cli.tensor_stats import (
    NUMBERS,
    Collection,
    Confusion,
    LabelCounts,
    TensorRow,
    TensorStats,
    TokenCounts,
    TreeFacts,
)

STEPS = tuple(range(0, 80, 10))
KEYS = {"dumps", "tensors", "labels", "confusions", "tokens", "trees"}
_FIXED = {"kind", "name", "layer", "dtype", "worker", "mode", "function", "file"}


def tensors_of(case: dict[str, Any]) -> TensorStats | None:
    """The statistics that ``case`` describes, or None where it has no dump."""
    if not KEYS & case.keys():
        return None
    steps = case.get("dumps", STEPS)
    collection = Collection()
    for order, table in enumerate(case.get("tensors", [])):
        collection.rows += [_row(table, order, index, step) for index, step in enumerate(steps)]
    for table in case.get("labels", []):
        pairs = sorted((float(value), count) for value, count in table["counts"].items())
        values, counts = zip(*pairs, strict=True)
        collection.labels += [
            LabelCounts(step, table.get("name", "y"), values, counts, table.get("sequence", False)) for step in steps
        ]
    for table in case.get("confusions", []):
        matrix = np.array(table["matrix"], dtype=np.int64)
        collection.confusions += [
            Confusion(step, table.get("name", "logits"), matrix, table.get("sequence", False)) for step in steps
        ]
    for table in case.get("tokens", []):
        shares = {int(token): share for token, share in table["shares"].items()}
        collection.tokens += [
            TokenCounts(
                step,
                table.get("name", "x"),
                table["positions"],
                table["vocabulary"],
                table.get("padding"),
                table.get("padding_share", 0.0),
                shares,
            )
            for step in steps
        ]
    collection.trees += [TreeFacts(**table) for table in case.get("trees", [])]
    return collection.stats()


def _row(table: dict[str, Any], order: int, index: int, step: float) -> TensorRow:
    shape = tuple(table["shape"]) if "shape" in table else None
    count = float(math.prod(shape)) if shape is not None else math.nan
    values: dict[str, Any] = {"count": count, "nan": 0.0, "inf": 0.0, "negative_inf": 0.0, "zero": 0.0}
    for key, given in table.items():
        if key in NUMBERS:
            values[key] = float(given[index] if isinstance(given, list) else given)
        elif key == "quantiles":
            values[key] = tuple(given)
        else:
            assert key in _FIXED or key == "shape", key
    texts = {key: table[key] for key in _FIXED & table.keys()}
    if "layer" not in texts:
        texts["layer"] = texts["name"].rpartition(".")[0] or texts["name"]
    return TensorRow(step=step, shape=shape, order=order, **texts, **values)
