"""The values of a stored tensor as plain numbers, in whole rows: for what must look at samples, not at values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from convergence_cli.tensors.stored import BLOCK_BYTES, FLOATS, Block, StoredTensor
from convergence_cli.tensors.values import NARROW, as_floats

MAX_VALUES = 64 << 20
# Rows that are put together from several blocks, and tensors in Fortran order, are held whole.
MAX_HELD = 8 << 20


def readable(tensor: StoredTensor, width: int = 1) -> bool:
    """Whether ``rows`` can give rows of ``width`` values: not more are held, nor more read, than is bearable."""
    held = tensor.size if tensor.fortran and len(tensor.shape) > 1 else width
    return tensor.size <= MAX_VALUES and held <= MAX_HELD


def rows(tensor: StoredTensor, width: int) -> Iterator[npt.NDArray[Any]]:
    """(n, width) arrays that together are ``tensor`` in C order; the caller has asked ``readable``.

    Narrow floats become float32, bools 0 and 1; other numbers keep their type. An array is valid until the
    next is asked for.
    """
    if not width:
        return
    step = max(1, BLOCK_BYTES // 8 // width) * width
    held: list[Block] = []
    count = 0
    for block in _blocks(tensor):
        pos = 0
        while pos < len(block):
            piece = block[pos : pos + step - count]
            pos += len(piece)
            count += len(piece)
            # A block is valid only until the next one is asked for.
            held.append(piece if count == step else piece.copy())
            if count == step:
                yield _joined(held).reshape(-1, width)
                held, count = [], 0
    if count >= width:
        whole = _joined(held)
        yield whole[: count - count % width].reshape(-1, width)


def _joined(held: list[Block]) -> Block:
    return held[0] if len(held) == 1 else np.concatenate(held)


def _blocks(tensor: StoredTensor) -> Iterator[Block]:
    if tensor.fortran and len(tensor.shape) > 1:
        whole = np.concatenate([_numbers(tensor, block).copy() for block in tensor.blocks()])
        yield np.ascontiguousarray(whole.reshape(tensor.shape[::-1]).T).reshape(-1)
        return
    for block in tensor.blocks():
        yield _numbers(tensor, block)


def _numbers(tensor: StoredTensor, block: Block) -> Block:
    if tensor.dtype == "bool":
        return block.view(np.uint8)
    return as_floats(block, tensor.dtype) if tensor.dtype in NARROW else block


def is_float(tensor: StoredTensor) -> bool:
    """Whether its values are floating point."""
    return tensor.dtype in FLOATS
