"""The naive way: the whole array at once in float64. What the one-pass statistics are held against."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convergence_cli.tensor_stats import QUANTILES
from convergence_cli.tensors.stored import Block, StoredTensor

Array = npt.NDArray[Any]


def stored(
    array: Array, dtype: str = "", *, cuts: Sequence[int] = (), fortran: bool = False, block: int = 1 << 20
) -> StoredTensor:
    """``array`` as a dump holds it: blocks of ``cuts`` values first, then of ``block``."""
    flat = (array.T if fortran else array).reshape(-1)

    def blocks() -> Iterator[Block]:
        start = 0
        for size in [*cuts, *([block] * (flat.size // block + 1))]:
            if start < flat.size:
                # A copy that is overwritten afterwards: a block is valid only until the next is asked for.
                part = flat[start : start + size].copy()
                yield part
                part.view(np.uint8)[:] = 0xA5
                start += size

    return StoredTensor("key", dtype or array.dtype.name, array.shape, blocks, fortran)


def bfloat16(values: Array) -> Array:
    """The patterns of ``values`` cut to bfloat16."""
    return (
        (np.ascontiguousarray(values, dtype=np.float32).view(np.uint32) >> 16).astype(np.uint16).reshape(values.shape)
    )


def from_bfloat16(patterns: Array) -> Array:
    return (patterns.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def _scaled(values: Array) -> tuple[Array, float]:
    largest = float(np.abs(values).max())
    return (values / largest, largest) if largest else (values, 1.0)


def whole(values: Array) -> dict[str, Any]:
    """The plain statistics of ``values``, which float64 holds."""
    with np.errstate(all="ignore"):
        flat = values.astype(np.float64).reshape(-1)
        found: dict[str, Any] = {"count": flat.size, "nan": np.isnan(flat).sum(), "inf": np.isinf(flat).sum()}
        found |= {"negative_inf": (flat == -np.inf).sum(), "zero": (flat == 0).sum()}
        finite = flat[np.isfinite(flat)]
        if finite.size:
            unit, scale = _scaled(finite)
            found |= {"min": finite.min(), "max": finite.max(), "mean": math.fsum(unit) / unit.size * scale}
            centred = unit - math.fsum(unit) / unit.size
            found["std"] = 0.0 if finite.min() == finite.max() else np.sqrt(np.mean(centred**2)) * scale
            found["abs_mean"] = math.fsum(np.abs(unit)) / unit.size * scale
            found["l2"] = np.sqrt(math.fsum(unit * unit)) * scale
            found["quantiles"] = tuple(np.quantile(unit, QUANTILES) * scale)
        return found


def expect_whole(found: dict[str, Any], values: Array, *, exact: bool = False, quantiles: bool = True) -> None:
    """``found`` agrees with the oracle: to rounding, in float32's own where blocks are summed in it."""
    wanted = whole(values)
    relative = 1e-9 if exact else 2e-5
    spread = max(abs(float(wanted.get("min", 0))), abs(float(wanted.get("max", 0))))
    for name in ("count", "nan", "inf", "negative_inf", "zero"):
        assert found[name] == wanted[name], name
    if "min" not in wanted:
        assert "mean" not in found
        return
    assert (found["min"], found["max"]) == (wanted["min"], wanted["max"])
    # The mean is as good as the values it cancels from; the spread as good as itself.
    unit, scale = _scaled(values[np.isfinite(values)].astype(np.float64))
    near(found["mean"], wanted["mean"], relative * 0.1 * float(np.sqrt(np.mean(unit * unit)) * scale))
    near(found["std"], wanted["std"], relative * wanted["std"] + (1e-15 if exact else 1e-9) * spread)
    near(found["l2"], wanted["l2"], relative * wanted["l2"])
    if not math.isnan(found["abs_mean"]):
        near(found["abs_mean"], wanted["abs_mean"], relative * wanted["abs_mean"])
    if quantiles:
        for ours, theirs in zip(found["quantiles"], wanted["quantiles"], strict=True):
            near(ours, theirs, 1e-12 * spread)


def near(found: float, wanted: float, tolerance: float) -> None:
    """Within ``tolerance`` and the grain of the smallest numbers; at the end of float64 a norm may become infinite."""
    end = float(np.finfo(np.float64).max)
    assert abs(min(found, end) - min(wanted, end)) <= tolerance + 4 * 5e-324, (found, wanted)
