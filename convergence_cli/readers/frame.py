"""A data frame in a notebook as a run: one column a series."""

from __future__ import annotations

from typing import Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.model import Run
from convergence_cli.readers._collect import Collector

FORMAT = "frame"
_STEP_NAMES = ("global_step", "step", "iteration", "iter", "epoch")


def run_of_frame(frame: Any) -> Run:
    """``frame`` (pandas or alike) as a run. Steps come from a column of that name, else from a numeric index.

    An empty cell and a NaN are the same in a data frame: both are taken as *not logged*, unless they are the
    last points of a column that was logged on every row before (then as NaN: a diverged run ends so).
    """
    columns = {str(name): frame[name] for name in frame.columns}
    step_name = next((n for n in _STEP_NAMES for name in columns if name.lower() == n), None)
    step_column = next((name for name in columns if name.lower() == step_name), None)
    step = _numbers(columns.pop(step_column) if step_column is not None else frame.index)
    if step is None:
        step = np.arange(len(frame), dtype=np.float64)
    collector = Collector()
    for name, column in columns.items():
        value = _numbers(column)
        if value is None:
            continue
        seen = ~np.isnan(value)
        end = int(np.flatnonzero(seen)[-1]) + 1 if seen.any() else 0
        dense = bool(seen[:end].all()) and end > 0
        keep = seen | (dense & (np.arange(len(value)) >= end))
        collector.add(name, step[keep], value[keep])
    curves = collector.curves()
    if not curves:
        raise SourceError("<frame>", "The data frame holds no numeric column.", "Give one column a metric.")
    return Run("<frame>", "<frame>", FORMAT, curves, {"x": "epoch" if step_name == "epoch" else "step"})


def _numbers(column: Any) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    try:
        values = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    # Two columns of one name come as a table of both.
    return values if values.ndim == 1 else values[:, 0]
