"""16- and 8-bit floats by counting how often each of their bit patterns occurs: every statistic is then exact."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convergence_cli.tensor_stats import QUANTILES
from convergence_cli.tensors.values import NARROW, table

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block

# Large enough to pay for the 65,536 counters that each call clears, little enough for the cache.
_CHUNK = 1 << 19


@lru_cache(maxsize=len(NARROW))
def _ascending(dtype: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The patterns of finite values in ascending order of value, and those values."""
    values = table(dtype).astype(np.float64)
    patterns = np.flatnonzero(np.isfinite(values))
    patterns = patterns[np.argsort(values[patterns], kind="stable")]
    return patterns, values[patterns]


class Patterns:
    """How often each pattern of a narrow float occurs, and the fields of ``TensorRow`` that follow from it."""

    __slots__ = ("_counts", "_dtype")

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._counts = np.zeros(1 << NARROW[dtype], dtype=np.int64)

    def add(self, block: Block) -> None:
        """Take in a block as ``StoredTensor`` gives it."""
        patterns = block.view(np.uint16) if block.dtype == np.float16 else block
        for start in range(0, patterns.size, _CHUNK):
            self._counts += np.bincount(patterns[start : start + _CHUNK], minlength=self._counts.size)

    def numbers(self) -> dict[str, Any]:
        """The counts, and of the finite values moments, extremes and quantiles."""
        every = table(self._dtype)
        count = int(self._counts.sum())
        inf, negative = (int(self._counts[every == value].sum()) for value in (np.inf, -np.inf))
        found: dict[str, Any] = {"count": float(count), "inf": float(inf + negative), "negative_inf": float(negative)}
        found["nan"] = float(self._counts[np.isnan(every)].sum())
        found["zero"] = float(self._counts[every == 0].sum())
        patterns, values = _ascending(self._dtype)
        counts = self._counts[patterns]
        present = counts > 0
        values, counts = values[present], counts[present]
        if not values.size:
            return found
        finite = int(counts.sum())
        mean = float(counts @ values) / finite
        # Squares of bfloat16 lie between 1e-81 and 1e77: float64 holds them.
        deviation = values - mean
        found |= {"mean": mean, "std": float(np.sqrt(counts @ (deviation * deviation) / finite))}
        found |= {"min": float(values[0]), "max": float(values[-1])}
        found |= {"abs_mean": float(counts @ np.abs(values)) / finite, "l2": float(np.sqrt(counts @ (values * values)))}
        found["quantiles"] = _quantiles(values, counts, finite)
        return found


def _quantiles(values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], finite: int) -> tuple[float, ...]:
    places = np.array(QUANTILES) * (finite - 1)
    below = np.floor(places)
    until = np.cumsum(counts)
    lower = values[np.searchsorted(until, below, side="right")]
    upper = values[np.searchsorted(until, np.minimum(below + 1, finite - 1), side="right")]
    share = places - below
    return tuple((lower * (1 - share) + upper * share).tolist())
