"""One number read off one tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convergence_cli.features.tensors.series import Series
    from convergence_cli.tensor_stats import FloatArray


@dataclass(frozen=True, slots=True)
class Reading:
    """``value`` of the tensor ``title`` (kind and name) at ``step``."""

    title: str
    layer: str
    step: float
    value: float


def reading(series: Series, values: FloatArray, index: int) -> Reading:
    """The entry of ``values`` (t,) at ``index``."""
    return Reading(series.title, series.layer, float(series.step[index]), float(values[index]))


def lowest(series: Series, values: FloatArray) -> Reading | None:
    """The first of the smallest of ``values`` (t,), None where none is known."""
    return None if np.isnan(values).all() else reading(series, values, int(np.nanargmin(values)))


def highest(series: Series, values: FloatArray) -> Reading | None:
    """The first of the largest of ``values`` (t,), None where none is known."""
    return None if np.isnan(values).all() else reading(series, values, int(np.nanargmax(values)))
