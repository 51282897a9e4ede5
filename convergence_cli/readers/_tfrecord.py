"""The TFRecord framing of TensorBoard event files, block by block and vectorised.

A record is: length (uint64), masked CRC-32C of the length, payload, masked CRC-32C of the payload; all
little-endian (TensorFlow, ``core/lib/io/record_writer.h``). Headers are found by their own checksum in one
pass over the block and then checked to follow one another, so regular and irregular files cost the same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.printable import counted
from convergence_cli.readers._crc32c import crc32c, crc32c_rows, masked, masked_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from convergence_cli.readers._crc32c import ByteArray, WordArray
    from convergence_cli.readers._guard import Source

    IndexArray = npt.NDArray[np.int64]

HEADER_BYTES = 12
OVERHEAD_BYTES = 16
MAX_RECORD_BYTES = 16 << 20
_SHORT = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The intact records of one payload length in one block.

    ``index`` (n,) is each record's place in the block, ascending; ``rows`` (n, length) are the payloads.
    """

    index: IndexArray
    rows: ByteArray


def record_length(header: bytes) -> int | None:
    """The payload length that the 12 bytes of ``header`` declare, or None where their checksum is wrong."""
    if len(header) < HEADER_BYTES:
        return None
    length, stored = struct.unpack_from("<QI", header)
    return int(length) if masked(crc32c(header[:8])) == stored else None


def record_groups(source: Source) -> Iterator[list[Group]]:
    """The records of the file, block by block, grouped by length.

    A torn last record, records with a wrong checksum, oversized records and everything after a damaged
    header are left out, each with a line in ``source.notes``.
    """
    tail = b""
    offset = bad = oversized = skip = 0
    for block in source.blocks(raw=True):
        if skip >= len(block):
            skip -= len(block)
            offset += len(block)
            continue
        data = tail + block[skip:] if tail or skip else block
        offset += skip
        skip = 0
        start, length, end, intact = _frames(data)
        groups, dropped = _groups(np.frombuffer(data, np.uint8), start, length)
        bad += dropped
        yield groups
        if not intact:
            left = source.size - offset - end
            source.notes.append(f"the {left:,} bytes after byte {offset + end:,} are damaged and were left out")
            tail = b""
            break
        declared = record_length(data[end : end + HEADER_BYTES])
        if declared is not None and declared > MAX_RECORD_BYTES:
            oversized += 1
            skip = declared + OVERHEAD_BYTES - (len(data) - end)
            end = len(data)
        offset += end
        tail = data[end:]
    if tail or skip:
        source.notes.append("the last record is incomplete (still being written, or killed) and was left out")
    if oversized:
        source.notes.append(f"left out {counted(oversized, 'record')} larger than {MAX_RECORD_BYTES:,} bytes")
    if bad:
        source.notes.append(f"left out {counted(bad, 'record')} with a wrong checksum")


def _frames(data: bytes) -> tuple[IndexArray, IndexArray, int, bool]:
    """Payload starts and lengths of the complete records; where they end; whether one can follow."""
    heads, lengths = _headers(data)
    ends = heads + lengths + OVERHEAD_BYTES
    breaks = np.append(np.flatnonzero(ends[:-1] != heads[1:]), len(heads) - 1)
    parts: list[tuple[IndexArray, IndexArray]] = []
    pos, intact, size = 0, True, len(data)
    while size - pos >= HEADER_BYTES:
        first = int(heads.searchsorted(pos))
        if first < len(heads) and heads[first] == pos:
            last = int(breaks[breaks.searchsorted(first)])
            if ends[last] > size:
                last -= 1
            if last < first:
                break
            parts.append((heads[first : last + 1], lengths[first : last + 1]))
            pos = int(ends[last])
            continue
        declared = record_length(data[pos : pos + HEADER_BYTES])
        if declared is None:
            intact = False
            break
        if declared + OVERHEAD_BYTES > size - pos or declared > MAX_RECORD_BYTES:
            break
        parts.append((np.array([pos]), np.array([declared])))
        pos += declared + OVERHEAD_BYTES
    if not parts:
        empty = np.empty(0, np.int64)
        return empty, empty, pos, intact
    start = np.concatenate([part[0] for part in parts]) + HEADER_BYTES
    return start, np.concatenate([part[1] for part in parts]), pos, intact


def _headers(data: bytes) -> tuple[IndexArray, IndexArray]:
    """Places whose 12 bytes are the header of a payload shorter than 64 KiB, and that length.

    Such a header has zeros from its second (length below 256) or third byte on, so only the places
    where a run of zeros begins are looked at. An empty payload's may be missed: ``_frames`` looks itself.
    """
    size = len(data)
    if size < HEADER_BYTES:
        empty = np.empty(0, np.int64)
        return empty, empty
    octets = np.frombuffer(data, np.uint8)
    words = np.ndarray((size - 3,), "<u4", data, strides=(1,))
    # Six zeros hold two neighbouring aligned pairs, whatever their offset.
    pairs = np.frombuffer(data, "<u2", size // 2) == 0
    zeros = pairs[:-1] & pairs[1:]
    run = np.flatnonzero(zeros[1:] > zeros[:-1]) * 2 + 2
    run -= octets[run - 1] == 0
    run = run[(run >= 2) & (run <= size - HEADER_BYTES + 1)]
    checksums = _length_checksums()
    below_256 = octets[run - 1].astype(np.int64)
    below_64k = below_256 << 8 | octets[run - 2]
    one = words[run + 7] == checksums[below_256]
    two = words[run + 6] == checksums[below_64k]
    head = np.where(one, run - 1, run - 2)
    right = (one | two) & (words[head + 4] == 0)
    return head[right], np.where(one, below_256, below_64k)[right]


@lru_cache(maxsize=1)
def _length_checksums() -> WordArray:
    """The masked CRC-32C of each length below 64 KiB."""
    rows = np.arange(_SHORT, dtype="<u8").view(np.uint8).reshape(_SHORT, 8)
    return masked_rows(crc32c_rows(rows))


def _groups(data: ByteArray, start: IndexArray, length: IndexArray) -> tuple[list[Group], int]:
    """The records by payload length, and how many were dropped for a wrong checksum."""
    groups: list[Group] = []
    dropped = 0
    if not len(start):
        return groups, dropped
    short = bool(length.max() < _SHORT)
    order = np.argsort(length.astype(np.uint16) if short else length, kind="stable")
    cuts = np.flatnonzero(np.diff(length[order])) + 1
    for index in np.split(order, cuts):
        size = int(length[index[0]])
        framed = _gather(data, start[index], size + 4)
        rows = framed[:, :size]
        stored = np.ascontiguousarray(framed[:, size:]).view("<u4")[:, 0]
        right = masked_rows(crc32c_rows(rows)) == stored
        if not right.all():
            dropped += int(len(right) - right.sum())
            index, rows = index[right], rows[right]  # noqa: PLW2901
        if len(index):
            groups.append(Group(index, rows))
    return groups, dropped


def _gather(data: ByteArray, start: IndexArray, size: int) -> ByteArray:
    """(n, size) copies of the ``size`` bytes at each start: one memory copy a row."""
    windows = np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))
    rows: ByteArray = windows[start].view(np.uint8).reshape(len(start), size)
    return rows
