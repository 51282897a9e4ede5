"""Arrays that HDF5 cut into chunks: unpacked one by one, and never to more than a chunk declares."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from convergence_cli.tensors.raw import incomplete
from convergence_cli.tensors.stored import BLOCK_BYTES, Block

if TYPE_CHECKING:
    from convergence_cli.errors import SourceError
    from convergence_cli.readers._guard import Source

# What one row of chunks may take: all of them lie in memory before the first value is handed out.
MAX_CHUNK_BYTES = 64 << 20
# Deflate makes nothing larger than this share of it, and its frame.
_MOST_GROWTH, _FRAME_BYTES = 1.01, 1024
_CHECKSUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a chunk lies; ``skipped`` has a bit set for each filter that was not applied to it."""

    offset: int
    size: int
    skipped: int


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """An array of ``shape`` in chunks of shape ``chunk``; ``pieces`` by the index of their first value."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    pieces: Mapping[tuple[int, ...], Piece]
    packed: bool
    shuffled: bool
    checked: bool

    @property
    def bytes(self) -> int:
        """What one chunk takes, unpacked."""
        return int(np.prod(self.chunk, dtype=np.int64)) * self.dtype.itemsize


def too_large(shape: tuple[int, ...], chunk: tuple[int, ...], item: int) -> bool:
    """Whether a row of chunks along all axes but the first would take more than ``MAX_CHUNK_BYTES``."""
    size = item * chunk[0]
    for length, part in zip(shape[1:], chunk[1:], strict=True):
        size *= -(-length // part) * part
    return size > MAX_CHUNK_BYTES


def chunk_blocks(source: Source, chunks: Chunks, begin: int) -> Iterator[Block]:
    """The values in C order, in native byte order. Raises ``SourceError`` where a chunk is damaged."""
    rows = chunks.chunk[0]
    other = [range(0, length, part) for length, part in zip(chunks.shape[1:], chunks.chunk[1:], strict=True)]
    step = BLOCK_BYTES // chunks.dtype.itemsize
    with source.open_raw() as stream:
        for first in range(0, chunks.shape[0], rows):
            slab = np.empty((min(rows, chunks.shape[0] - first), *chunks.shape[1:]), chunks.dtype.newbyteorder("="))
            for rest in itertools.product(*other):
                index = (first, *rest)
                values = _unpacked(source, stream, chunks, chunks.pieces[index], begin)
                place = tuple(slice(at, at + part) for at, part in zip((0, *rest), chunks.chunk, strict=True))
                room = slab[place]
                room[...] = values[tuple(slice(0, length) for length in room.shape)]
            flat = slab.reshape(-1)
            yield from (flat[at : at + step] for at in range(0, len(flat), step))


def _unpacked(source: Source, stream: IO[bytes], chunks: Chunks, piece: Piece, begin: int) -> Block:
    if piece.skipped:
        raise _damaged(source)
    size = chunks.bytes
    if piece.size > _MOST_GROWTH * size + _FRAME_BYTES:
        raise _damaged(source)
    stream.seek(begin + piece.offset)
    data = stream.read(piece.size)
    if len(data) < piece.size:
        raise incomplete(source)
    if chunks.checked:
        data = data[:-_CHECKSUM_BYTES]
    if chunks.packed:
        try:
            data = zlib.decompressobj().decompress(data, size)
        except zlib.error as error:
            raise _damaged(source) from error
    if len(data) != size:
        raise _damaged(source)
    raw = np.frombuffer(data, np.uint8)
    if chunks.shuffled:
        # All first bytes come first, then all second ones.
        raw = np.ascontiguousarray(raw.reshape(chunks.dtype.itemsize, -1).T).reshape(-1)
    if chunks.dtype.kind == "b":
        return np.not_equal(raw, 0).reshape(chunks.chunk)
    return raw.view(chunks.dtype).reshape(chunks.chunk)


def _damaged(source: Source) -> SourceError:
    return source.error("has a damaged chunk.", "Dump this step anew, or remove the file.")
