"""Arrays as numpy writes them: a header of at most 10,000 characters, then the values (NEP 1)."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format

from convergence_cli.tensors.raw import OpenStream, incomplete, opened_at, value_blocks
from convergence_cli.tensors.stored import ITEM_BYTES, StoredTensor, left_out

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

_MAX_AXES = 64
# numpy reads as much as a header declares before it finds that too much: it gets no more than a header may have.
_MAX_HEADER_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Header:
    """What a header declares; ``offset`` is where the values begin, ``trouble`` why they cannot be read."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    name: str
    offset: int
    trouble: str = ""

    @property
    def size(self) -> int:
        """How many values it declares."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def data_bytes(self) -> int:
        """How many bytes they take."""
        return self.size * self.dtype.itemsize


def npy_tensor(source: Source, key: str) -> StoredTensor:
    """The array of the ``.npy`` file ``source``; raises ``SourceError`` where it is none or is cut short."""
    with source.open_raw() as stream:
        header = read_header(source, stream)
        there = os.fstat(stream.fileno()).st_size - header.offset
    if not header.trouble and header.data_bytes > there:
        raise incomplete(source)
    return tensor_of(source, key, header, partial(opened_at, source, header.offset))


def tensor_of(source: Source, key: str, header: Header, open_values: OpenStream) -> StoredTensor:
    """The tensor that ``header`` declares, its values in the stream that ``open_values`` gives."""
    if header.trouble:
        return left_out(key, header.trouble)
    blocks = partial(value_blocks, source, open_values, header.dtype, header.size)
    return StoredTensor(key, header.name, header.shape, blocks, header.fortran)


def read_header(source: Source, stream: IO[bytes]) -> Header:
    """The header at the beginning of ``stream``."""
    parts: list[bytes] = []
    while (room := _MAX_HEADER_BYTES - sum(map(len, parts))) and (part := stream.read(room)):
        parts.append(part)
    head = io.BytesIO(b"".join(parts))
    try:
        with warnings.catch_warnings():
            # numpy warns of headers written by Python 2; they are read all the same.
            warnings.simplefilter("ignore")
            version = npy_format.read_magic(head)
            read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, fortran, dtype = read(head)
    # A broken header raises whatever Python's own parser raises: TokenError, SyntaxError, MemoryError, ...
    except Exception as error:
        message = "has no readable header: it is damaged, or still being written."
        raise source.error(
            message, "Read it again when its writer is done, or save it again with numpy.save."
        ) from error
    if len(shape) > _MAX_AXES or min(shape, default=0) < 0:
        raise source.error("declares an impossible shape.", "Save it again with numpy.save.")
    name, trouble = _name(dtype)
    if name == "bfloat16":
        dtype = np.dtype("<u2")
    return Header(tuple(map(int, shape)), fortran, dtype, name, head.tell(), trouble)


def _name(dtype: np.dtype[Any]) -> tuple[str, str]:
    """The name of ``dtype`` in ``ITEM_BYTES``, or why there is none."""
    if dtype.hasobject:
        return "", "arrays of Python objects are not read, since they could run code"
    if dtype.kind == "V" and dtype.names is None and dtype.subdtype is None and dtype.itemsize == 2:
        # numpy forgets the name of ml_dtypes' bfloat16 and writes '|V2'.
        return "bfloat16", ""
    name = np.dtype(dtype.newbyteorder("=")).name
    if name in ITEM_BYTES:
        return name, ""
    words = {"c": "complex numbers are not read", "V": "records and other raw bytes are not read"}
    words |= dict.fromkeys("USTMm", "texts and times are not read")
    return "", words.get(dtype.kind, "numbers longer than 64 bits are not read")
