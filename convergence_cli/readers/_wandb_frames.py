"""The framing of a ``.wandb`` file: LevelDB's log of 32 KiB blocks, cut into records many at a time.

Source of the layout: leveldb/doc/log_format.md; the checksum is zlib's CRC-32 over type and data, where LevelDB
has a masked CRC-32C. Framing starts afresh in each block, so that all blocks of a chunk are walked side by side.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._crc32_chain import chained

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.readers._crc32_chain import IndexArray
    from convergence_cli.readers._guard import Source

    ByteArray = npt.NDArray[np.uint8]
    # Places in a batch: half the memory of the machine's own integers, and so more of them in its cache.
    Places = npt.NDArray[Any]

MAGIC = b":W&B\xe1\xbe\x00"
BLOCK = 1 << 15
MAX_RECORD_BYTES = 64 << 20
# So many bytes may be looked at before the first record of a batch, and after the last.
MARGIN = 512
_CHUNK = 512 * BLOCK
# So many blocks, and what is made of them, stay in the processor's cache.
_BLOCKS_AT_ONCE = 128
_SPARE = 1 << 20
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Not in the file: the rest of a block is damaged, and a last header is cut off.
_BREAK, _TORN = 0, 5
# Below this, walking block after block is quicker than the tables.
_FEW_BLOCKS = 8
_CHECKED_EVERY = 16


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Whole records in the order of the log: their payloads lie in ``octets`` from ``start`` to ``stop``.

    ``octets`` is good until the next batch is asked for.
    """

    octets: ByteArray
    start: Places
    stop: Places

    def payload(self, index: int) -> bytes:
        """The bytes of one record."""
        return self.octets[self.start[index] : self.stop[index]].tobytes()


@dataclass(slots=True)
class Framing:
    """Damage met while the records were cut out: ``broken`` counts places, ``last`` is one at the end."""

    broken: int = 0
    last: bool = False
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def whole(self) -> None:
        """A complete record: what was damaged before it was not at the end."""
        self.broken += self.last
        self.last = False

    def alone(self) -> None:
        """A record in one piece: one whose parts were being gathered has no end."""
        self.broken += bool(self.parts)
        self.forget()
        self.whole()

    def forget(self) -> None:
        """Leave out the record whose parts were being gathered."""
        self.parts, self.size = [], 0


@dataclass(frozen=True, slots=True, eq=False)
class _Frames:
    """The framed pieces of a chunk, in order: where their data begins, its length and its kind."""

    at: IndexArray
    length: IndexArray
    kind: ByteArray


def batches(source: Source, framing: Framing) -> Iterator[Batch]:
    """The records of the file. Damage skips to the next block, where the framing starts afresh."""
    size = BLOCK * (1 + min(_CHUNK, source.size) // BLOCK)
    buffer = np.zeros(MARGIN + size + _SPARE + MARGIN, np.uint8)
    room = buffer.data[MARGIN : MARGIN + size]
    begin = len(MAGIC)
    with source.open_raw() as handle:
        count = size
        # Only the end of the file leaves room; what is appended to it meanwhile would not begin with a block.
        while count == size:
            count = handle.readinto(room)  # type: ignore[attr-defined]
            for frames in _frames(buffer, MARGIN + begin, MARGIN + count):
                yield _joined(buffer, MARGIN + count, frames, framing)
            begin = 0
    framing.last |= bool(framing.parts)


def _frames(buffer: ByteArray, begin: int, end: int) -> Iterator[_Frames]:
    """The pieces in ``buffer[begin:end]``; a block begins at each multiple of ``BLOCK`` after ``MARGIN``."""
    whole = (end - MARGIN) // BLOCK
    if whole < _FEW_BLOCKS:
        yield _one_by_one(buffer, begin, end)
        return
    first = MARGIN + BLOCK * np.arange(whole, dtype=np.int64)
    limit = first + BLOCK
    first[0] = begin
    heads, counts = _walked(buffer, first, limit)
    stop = np.cumsum(counts)
    for block in range(0, whole, _BLOCKS_AT_ONCE):
        blocks = slice(block, min(block + _BLOCKS_AT_ONCE, whole))
        head = heads[stop[block] - counts[block] : stop[blocks.stop - 1]]
        yield _of_blocks(buffer, first[blocks], limit[blocks], counts[blocks], head)
    if MARGIN + whole * BLOCK < end:
        yield _one_by_one(buffer, MARGIN + whole * BLOCK, end)


def _of_blocks(
    buffer: ByteArray, first: IndexArray, limit: IndexArray, counts: IndexArray, head: IndexArray
) -> _Frames:
    """The pieces whose headers are at ``head``; blocks that are not sound are gone through again, one by one."""
    length, kind, sound = _checked(buffer, first, limit, counts, head)
    if sound.all():
        return _Frames(head + _HEADER.size, length, kind)
    stop = np.cumsum(counts)
    pieces = []
    done = 0
    for block in np.flatnonzero(~sound).tolist():
        piece = slice(done, stop[block] - counts[block])
        pieces.append(_Frames(head[piece] + _HEADER.size, length[piece], kind[piece]))
        pieces.append(_one_by_one(buffer, int(first[block]), int(limit[block])))
        done = stop[block]
    pieces.append(_Frames(head[done:] + _HEADER.size, length[done:], kind[done:]))
    return _Frames(*(np.concatenate([getattr(one, name) for one in pieces]) for name in ("at", "length", "kind")))


def _checked(
    buffer: ByteArray, first: IndexArray, limit: IndexArray, counts: IndexArray, head: IndexArray
) -> tuple[IndexArray, ByteArray, npt.NDArray[np.bool_]]:
    """Length and kind of the pieces whose headers are at ``head``, and which blocks hold nothing but sound ones."""
    kind = buffer.take(head + 6)
    length = np.multiply(buffer.take(head + 5), 256, dtype=np.int64)
    length += buffer.take(head + 4)
    last = np.cumsum(counts) - 1
    sound = head[last] + length[last] <= limit - _HEADER.size
    known = (kind >= _FULL) & (kind <= _LAST)
    if not known.all():
        sound &= np.bitwise_and.reduceat(known, last - counts + 1)
    heads, lengths = head, length
    if not sound.all():
        kept = np.repeat(sound, counts)
        heads, lengths, last = head[kept], length[kept], np.cumsum(counts[sound]) - 1
    if sound.any():
        end = heads[last] + lengths[last] + _HEADER.size
        sound[sound] = chained(buffer, first[sound], end, counts[sound], heads, lengths)
    return length, kind, sound


def _walked(buffer: ByteArray, first: IndexArray, limit: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Where the headers lie in blocks that begin at ``first`` and end at ``limit``, and how many each block has."""
    low, high = buffer[4:], buffer[5:]
    # Fewer bytes than a header has are padding.
    stop = limit - (_HEADER.size - 1)
    pos, rounds = first, []
    while True:
        rounds.append(pos)
        after = np.multiply(high.take(pos), 256, dtype=np.int64)
        after += low.take(pos)
        after += _HEADER.size
        after += pos
        pos = np.minimum(after, stop, out=after)
        if len(rounds) % _CHECKED_EVERY == 0 and (pos == stop).all():
            break
    heads = np.stack(rounds, axis=1)
    real = heads < stop[:, np.newaxis]
    return heads[real], real.sum(axis=1)


def _one_by_one(buffer: ByteArray, begin: int, end: int) -> _Frames:
    """The same, header after header, for blocks that are few, damaged or cut off."""
    found: list[tuple[int, int, int]] = []
    start = begin
    while start < end:
        stop = min(end, start + BLOCK - (start - MARGIN) % BLOCK)
        block = buffer[start:stop].tobytes()
        pos = 0
        while pos + _HEADER.size <= len(block):
            checksum, length, kind = _HEADER.unpack_from(block, pos)
            after = pos + _HEADER.size + length
            if kind == 0 and not any(block[pos:]):
                break
            # The checksum covers the type byte and the data, which follow each other.
            if (
                after > len(block)
                or not _FULL <= kind <= _LAST
                or zlib.crc32(memoryview(block)[pos + 6 : after]) != checksum
            ):
                found.append((start + pos, 0, _BREAK))
                break
            found.append((start + pos + _HEADER.size, length, kind))
            pos = after
        else:
            if stop - MARGIN < BLOCK * (1 + (start - MARGIN) // BLOCK) and pos < len(block):
                found.append((start + pos, 0, _TORN))
        start = stop
    at, length, kinds = np.array(found, np.int64).reshape(-1, 3).T
    return _Frames(at, length, kinds.astype(np.uint8))


def _joined(buffer: ByteArray, end: int, frames: _Frames, framing: Framing) -> Batch:
    """The records that end in this chunk; those in several pieces are joined behind byte ``end`` of it."""
    start = frames.at
    stop = start + frames.length
    whole = frames.kind == _FULL
    joined: list[bytes] = []
    free = end
    seen = -1
    octets = buffer.data
    others = np.flatnonzero(~whole)
    columns = (others, start[others], stop[others], frames.kind[others])
    for index, begin, after, kind in zip(*(column.tolist() for column in columns), strict=True):
        if index > seen + 1:
            framing.alone()
        seen = index
        record = _piece(octets[begin:after], kind, framing)
        if record is not None:
            start[index], stop[index], whole[index] = free, free + len(record), True
            free += len(record)
            joined.append(record)
    if len(start) > seen + 1:
        framing.alone()
    if free + MARGIN > len(buffer):
        longer = np.zeros(free + MARGIN, np.uint8)
        longer[:end] = buffer[:end]
        buffer = longer
    buffer[end:free] = np.frombuffer(b"".join(joined), np.uint8)
    return Batch(buffer, start[whole].astype(np.int32), stop[whole].astype(np.int32))


def _piece(data: memoryview, kind: int, framing: Framing) -> bytes | None:
    """Take up a piece that is no whole record; the record that it completes."""
    if kind == _BREAK:
        framing.whole()
        framing.last = True
        framing.forget()
        return None
    if kind == _TORN:
        framing.last = True
        return None
    if kind == _FIRST:
        framing.broken += bool(framing.parts)
        framing.forget()
    elif not framing.parts:
        # The rest of a record whose beginning was damaged.
        return None
    framing.parts.append(data.tobytes())
    framing.size += len(data)
    if framing.size > MAX_RECORD_BYTES:
        framing.broken += 1
        framing.forget()
    elif kind == _LAST:
        framing.whole()
        record = b"".join(framing.parts)
        framing.forget()
        return record
    return None
