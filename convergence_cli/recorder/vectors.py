"""Biases and scales: the many small tensors of a model, measured together, those of one length at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.recorder.lines import BINS, digits
from convergence_cli.tensor_stats import QUANTILES

if TYPE_CHECKING:
    from convergence_cli.recorder.captured import Measured

# Fewer are as quickly measured one by one.
_FEWEST = 3


def measured_together(found: Sequence[Measured]) -> dict[int, tuple[dict[str, Any], str]]:
    """The fields and the histogram of those of ``found`` that are whole finite vectors, by their place in it."""
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(found):
        is_parameter = one.label.kind in ("weight", "gradient", "update")
        if is_parameter and one.totals is None and one.values.ndim == 1 and one.values.size == one.label.size:
            groups.setdefault(one.values.size, []).append(place)
    together: dict[int, tuple[dict[str, Any], str]] = {}
    for size, places in groups.items():
        if size and len(places) >= _FEWEST:
            values = np.stack([found[place].values for place in places]).astype(np.float64)
            if np.isfinite(values).all():
                together.update(zip(places, _fields(values), strict=True))
    return together


def _fields(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[tuple[dict[str, Any], str]]:
    """Of each row of (vectors, values)."""
    count, size = values.shape
    ascending = np.sort(values, axis=1)
    low, high = ascending[:, 0], ascending[:, -1]
    # In units of the largest, so that no square leaves the range.
    largest = np.maximum(np.maximum(-low, high), np.finfo(np.float64).tiny)
    scaled = values / largest[:, None]
    mean, std = scaled.mean(1) * largest, scaled.std(1) * largest
    std[low == high] = 0.0
    magnitude = np.abs(scaled).mean(1) * largest
    zero = size - np.count_nonzero(values, axis=1)
    quantiles = np.stack([_between(ascending, q) for q in QUANTILES], axis=1).tolist()
    spread = np.where(high > low, high - low, 1.0)
    bins = np.minimum((values - low[:, None]) * (BINS / spread)[:, None], BINS - 1).astype(np.intp)
    bins += BINS * np.arange(count)[:, None]
    counts = np.bincount(bins.reshape(-1), minlength=BINS * count).reshape(count, BINS).tolist()
    columns = (mean.clip(low, high), std, low, high, magnitude, zero)
    return [
        (
            {"count": size, "mean": a, "std": b, "min": c, "max": d, "abs_mean": e, "zero": f, "quantiles": q},
            digits(binned, size) if c < d else "",
        )
        for a, b, c, d, e, f, q, binned in zip(*(one.tolist() for one in columns), quantiles, counts, strict=True)
    ]


def _between(ascending: np.ndarray[Any, np.dtype[np.float64]], q: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The quantile ``q`` of each row, linear between the two values next to it (as ``sample.between``)."""
    place = q * (ascending.shape[1] - 1)
    index = int(place)
    above = ascending[:, min(index + 1, ascending.shape[1] - 1)]
    found: np.ndarray[Any, np.dtype[np.float64]] = ascending[:, index] * (1 - (place - index)) + above * (place - index)
    return found
