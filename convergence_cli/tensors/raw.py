"""Values as they lie in a file, block by block through one buffer: mapped pages would count as memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from convergence_cli.tensors.stored import BLOCK_BYTES, Block

if TYPE_CHECKING:
    from convergence_cli.errors import SourceError
    from convergence_cli.readers._guard import Source

# numpy has no bfloat16 and no float8: their bit patterns are handed out.
_PATTERNS = {"bfloat16": "uint16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}


def numpy_type(name: str) -> np.dtype[Any]:
    """The type in which the values of dtype ``name`` (of ``ITEM_BYTES``) are handed out."""
    return np.dtype(_PATTERNS.get(name, name))


def incomplete(source: Source) -> SourceError:
    """Bytes that were declared are not there."""
    return source.error(
        "is incomplete, or still being written.", "Read it again when its writer is done, or dump this step anew."
    )


OpenStream = Callable[[], AbstractContextManager[IO[bytes]]]


def value_blocks(source: Source, open_stream: OpenStream, dtype: np.dtype[Any], count: int) -> Iterator[Block]:
    """``count`` values of ``dtype``, in native byte order, from the stream that ``open_stream`` gives.

    Raises ``SourceError`` where the stream ends before.
    """
    remaining = count * dtype.itemsize
    if not remaining:
        return
    room = BLOCK_BYTES - BLOCK_BYTES % dtype.itemsize
    buffer = np.empty(min(room, remaining), dtype=np.uint8)
    view = buffer.data
    with open_stream() as stream:
        while remaining:
            wanted = min(len(buffer), remaining)
            filled = 0
            while filled < wanted:
                got = stream.readinto(view[filled:wanted])  # type: ignore[attr-defined]
                if not got:
                    raise incomplete(source)
                filled += got
            remaining -= wanted
            yield _native(buffer[:wanted], dtype)


def _native(data: Block, dtype: np.dtype[Any]) -> Block:
    if dtype.kind == "b":
        # A byte that is neither 0 nor 1 would make a bool that is neither.
        return np.not_equal(data, 0)
    values = data.view(dtype)
    return values if dtype.isnative else values.byteswap(inplace=True).view(dtype.newbyteorder("="))


@contextmanager
def opened_at(source: Source, offset: int) -> Iterator[IO[bytes]]:
    """``source`` from byte ``offset`` on."""
    with source.open_raw() as stream:
        stream.seek(offset)
        yield stream
