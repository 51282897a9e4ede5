"""Stored numbers as float32 or float64, whichever holds them: numpy knows neither bfloat16 nor the 8-bit floats."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block

# Floats whose patterns are few enough to be counted one by one.
NARROW = {"float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8}


@lru_cache(maxsize=len(NARROW))
def table(dtype: str) -> npt.NDArray[np.float32]:
    """The value of each pattern of a narrow float, shape (65536,) or (256,); float32 holds all of them."""
    patterns = np.arange(1 << NARROW[dtype], dtype=np.uint32)
    with np.errstate(all="ignore"):
        if dtype == "float16":
            values = patterns.astype(np.uint16).view(np.float16).astype(np.float32)
        elif dtype == "bfloat16":
            values = (patterns << 16).view(np.float32)
        elif dtype == "float8_e5m2":
            values = (patterns << 8).astype(np.uint16).view(np.float16).astype(np.float32)
        else:
            values = _e4m3fn(patterns)
    values.flags.writeable = False
    return values


def _e4m3fn(patterns: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """Micikevicius et al., "FP8 formats for deep learning" (arXiv 2209.05433), table 1: no infinity, one NaN a sign."""
    exponent, mantissa = (patterns >> 3) & 15, (patterns & 7).astype(np.float32)
    normal = np.ldexp(1 + mantissa / 8, exponent.astype(np.int32) - 7)
    values = np.where(exponent == 0, np.ldexp(mantissa / 8, -6), normal)
    values = np.where(patterns & 0x7F == 0x7F, np.nan, values)
    return np.where(patterns & 0x80, -values, values).astype(np.float32)


def as_floats(block: Block, dtype: str) -> Block:
    """``block`` of a ``StoredTensor`` of that ``dtype`` as float32, or float64 where float32 does not hold it."""
    if dtype in ("float32", "float64"):
        return block
    if dtype == "bfloat16":
        widened = block.astype(np.uint32)
        widened <<= 16
        return widened.view(np.float32)
    if dtype == "float16":
        return block.astype(np.float32)
    if dtype in NARROW:
        return table(dtype)[block]
    return block.astype(np.float64)
