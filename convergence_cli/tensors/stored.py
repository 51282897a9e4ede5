"""One tensor as it lies in a dump: what is declared of it, and its values block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

# How many bytes a block has at most: one read, and little enough to be forgotten.
BLOCK_BYTES = 4 << 20

FLOATS = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
INTEGERS = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool")
ITEM_BYTES = {
    **{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1},
    **{"int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1},
}

Block = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a dump.

    ``key`` is its name there, ``dtype`` one of ``FLOATS`` and ``INTEGERS``. ``blocks()`` begins a new pass and
    yields 1-D arrays in native byte order, of at most ``BLOCK_BYTES`` each, together ``size`` values: numpy's
    type of that name, but uint16 patterns for bfloat16 and uint8 patterns for float8. A block is valid until
    the next one is asked for. Values come in C order of ``shape``; where ``fortran``, in C order of the reversed shape.
    ``blocks`` raises ``SourceError`` where the bytes are not there. ``trouble`` says why it cannot be read at all
    (complex numbers, objects, a second tensor of one name): then nothing but ``key`` holds.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator[Block]]
    fortran: bool = False
    trouble: str = ""

    @property
    def size(self) -> int:
        """How many values it has."""
        count = 1
        for length in self.shape:
            count *= length
        return count


def left_out(key: str, trouble: str) -> StoredTensor:
    """A tensor that cannot be read, and why."""
    return StoredTensor(key, "", (), lambda: iter(()), trouble=trouble)


@dataclass(frozen=True, slots=True)
class Dump:
    """What one worker wrote of one step. ``tensors()`` opens it: declared sizes are checked, values not yet read.

    ``tensors`` raises ``SourceError`` where the file is no dump. ``ordered``: the tensors come in the order in which
    they were written.
    """

    step: float
    path: str
    tensors: Callable[[], list[StoredTensor]]
    worker: str = ""
    mode: str = ""
    time: float = float("nan")
    ordered: bool = True
