"""What became of a tensor since the step before, from two dumps read in step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.tensors.moments import CHUNK
from convergence_cli.tensors.values import as_floats

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block, StoredTensor

# What ``close`` allows: as numpy's and torch's allclose.
ABSOLUTE = 1e-8
RELATIVE = 1e-5
# Beyond these the squares of differences leave the range of float32, and are taken in float64.
_SQUARABLE = (1e-15, 1e15)


def difference(now: StoredTensor, before: StoredTensor) -> dict[str, float]:
    """``change``, ``changed`` and ``close`` of ``TensorRow``; nothing where the shapes differ.

    ``change`` is the L2 norm over the values that are finite in both, and left out where there are none. Of
    ``changed`` a NaN that stays one has not, nor has a zero whose sign has; a value that became NaN or infinite, or
    was, has. Tensors with a NaN are never ``close``. Also nothing where one of the two is stored in Fortran's order
    and the other is not: they cannot be read in step.
    """
    if now.shape != before.shape or (now.fortran != before.fortran and len(now.shape) > 1):
        return {}
    norm, changed, count, close, finite = 0.0, 0, 0, True, False
    with np.errstate(all="ignore"):
        for ours, theirs in _in_step(now.blocks(), before.blocks()):
            count += ours.size
            differing = _count_differing(ours, theirs, now.dtype, before.dtype)
            new, old = as_floats(ours, now.dtype), as_floats(theirs, before.dtype)
            finite = finite or _has_finite(new, old)
            if differing:
                changed += differing
                norm = math.hypot(norm, _norm(new, old))
                close = close and _close(new, old)
            else:
                close = close and not _has_nan(new)
    shares = {"changed": changed / count if count else 0.0, "close": float(close)}
    return {"change": norm, **shares} if finite or not count else shares


def _in_step(now: Iterator[Block], before: Iterator[Block]) -> Iterator[tuple[Block, Block]]:
    """Pieces of one length, wherever the blocks of the two are cut."""
    ours = theirs = np.empty(0)
    while True:
        while not ours.size:
            if (block := next(now, None)) is None:
                return
            ours = block
        while not theirs.size:
            if (block := next(before, None)) is None:
                return
            theirs = block
        size = min(ours.size, theirs.size, CHUNK)
        yield ours[:size], theirs[:size]
        ours, theirs = ours[size:], theirs[size:]


def _count_differing(ours: Block, theirs: Block, now: str, before: str) -> int:
    if now == before and np.array_equal(_bits(ours), _bits(theirs)):
        return 0
    new, old = (ours, theirs) if _exact(now, before) else (as_floats(ours, now), as_floats(theirs, before))
    differing = int(np.count_nonzero(new != old))
    if differing and new.dtype.kind == old.dtype.kind == "f":
        differing -= int(np.count_nonzero(np.isnan(new) & np.isnan(old)))
    return differing


def _bits(block: Block) -> Block:
    return block.view(f"u{block.itemsize}")


def _exact(now: str, before: str) -> bool:
    """Whether stored values compare as they are: integers of 64 bits are not all floats."""
    return now == before and "float8" not in now and now != "bfloat16"


def _norm(new: Block, old: Block) -> float:
    """L2 norm of the difference, over what is finite in both."""
    apart = _finite(new - old, new, old)
    if not apart.size:
        return 0.0
    largest = float(np.abs(apart).max())
    if largest == 0 or not math.isfinite(largest):
        return largest
    if apart.dtype == np.float32:
        if _SQUARABLE[0] <= largest <= _SQUARABLE[1]:
            return math.sqrt(float(np.dot(apart, apart)))
        apart = apart.astype(np.float64)
    apart = apart / largest
    return math.sqrt(float(np.dot(apart, apart))) * largest


def _finite(apart: Block, new: Block, old: Block) -> Block:
    if math.isfinite(float(np.add.reduce(apart))):
        return apart
    known = np.isfinite(new) & np.isfinite(old)
    if apart.dtype == np.float32:
        # Two finite float32 may lie further apart than float32 reaches.
        return new[known].astype(np.float64) - old[known]
    return apart[known]


def _close(new: Block, old: Block) -> bool:
    apart = np.abs(new.astype(np.float64) - old)
    within = apart <= ABSOLUTE + RELATIVE * np.abs(old.astype(np.float64))
    within &= np.isfinite(old)
    return bool((within | (new == old)).all())


def _has_nan(values: Block) -> bool:
    # A sum is the quicker, but may have overflowed.
    return not math.isfinite(float(np.add.reduce(values))) and bool(np.isnan(values).any())


def _has_finite(new: Block, old: Block) -> bool:
    return bool((np.isfinite(new) & np.isfinite(old)).any())
