"""CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of many rows at once, with numpy only.

The CRC is linear over GF(2): without its initial value it is the XOR of what each byte contributes, and
that depends only on the byte and on how many bytes follow it. So a row's CRC is one table look-up and
one XOR for each column, for all rows together; long rows are cut into chunks whose CRCs are combined.
Sources: RFC 3720 appendix B.4; M. Adler, ``crc32_combine`` in zlib; mask: TensorFlow, ``lib/hash/crc32c.h``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    ByteArray = npt.NDArray[np.uint8]
    WordArray = npt.NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_FULL = 0xFFFFFFFF
_SCALAR_BYTES = 1024
_WANTED_ROWS = 512
_MAX_WIDTH = 1024


def _byte_table() -> WordArray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (np.uint32(_POLYNOMIAL) * (table & 1))
    return table


_TABLE = _byte_table()
_TABLE_LIST: list[int] = _TABLE.tolist()


def crc32c(data: bytes) -> int:
    """The CRC-32C of ``data``."""
    if len(data) > _SCALAR_BYTES:
        return int(crc32c_rows(np.frombuffer(data, np.uint8)[None, :])[0])
    table = _TABLE_LIST
    crc = _FULL
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _FULL


def masked(crc: int) -> int:
    """The form in which record files store a CRC."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _FULL


def masked_rows(crc: WordArray) -> WordArray:
    """``masked`` for each element."""
    rotated: WordArray = crc >> np.uint32(15) | crc << np.uint32(17)
    rotated += np.uint32(_MASK_DELTA)
    return rotated


def crc32c_rows(rows: ByteArray) -> WordArray:
    """The CRC-32C of each row of a (rows, length) byte matrix."""
    count, length = rows.shape
    if not count or not length:
        return np.zeros(count, np.uint32)
    if count * length <= _SCALAR_BYTES:
        return np.array([crc32c(row.tobytes()) for row in rows], np.uint32)
    chunks = 1
    while length > 16 * chunks and (count * chunks < _WANTED_ROWS or length > _MAX_WIDTH * chunks):
        chunks *= 2
    width = -(-length // chunks)
    if width * chunks != length:
        # Zeros in front contribute nothing.
        padded = np.zeros((count, width * chunks), np.uint8)
        padded[:, width * chunks - length :] = rows
        rows = padded
    crc: WordArray = _linear(rows.reshape(count * chunks, width)).reshape(count, chunks)
    while crc.shape[1] > 1:
        crc = _shifted(crc[:, ::2], width) ^ crc[:, 1::2]
        width *= 2
    whole: WordArray = crc[:, 0] ^ np.uint32(_initial(length))
    return whole


def _linear(rows: ByteArray) -> WordArray:
    """The contribution of each row's bytes, initial value left out."""
    width = rows.shape[1]
    tables = _distance_tables(1 << (width - 1).bit_length())[:width][::-1]
    first = rows[0]
    varying = (rows != first).any(axis=0)
    still = np.flatnonzero(~varying)
    constant = np.bitwise_xor.reduce(tables[still, first[still]], initial=np.uint32(0))
    crc = np.full(len(rows), constant, np.uint32)
    for column in np.flatnonzero(varying):
        crc ^= tables[column].take(rows[:, column])
    return crc


@lru_cache(maxsize=16)
def _distance_tables(count: int) -> WordArray:
    """Row d: the contribution of each byte value with d bytes after it."""
    tables = np.empty((count, 256), np.uint32)
    tables[0] = _TABLE
    for distance in range(1, count):
        before = tables[distance - 1]
        tables[distance] = _TABLE[before & 0xFF] ^ (before >> 8)
    return tables


def _shifted(crc: WordArray, zeros: int) -> WordArray:
    """Each CRC register after ``zeros`` further zero bytes."""
    tables = _shift_tables(zeros)
    out: WordArray = tables[0][crc & 0xFF]
    for lane in range(1, 4):
        out ^= tables[lane][crc >> np.uint32(8 * lane) & 0xFF]
    return out


@lru_cache(maxsize=256)
def _shift_tables(zeros: int) -> WordArray:
    """(4, 256): by lane and byte value, what a register byte becomes after ``zeros`` zero bytes."""
    lanes = np.arange(256, dtype=np.uint32) << np.array([[0], [8], [16], [24]], np.uint32)
    if zeros == 1:
        shifted: WordArray = _TABLE[lanes & 0xFF] ^ (lanes >> 8)
        return shifted
    half = _shifted(lanes, zeros // 2)
    half = _shifted(half, zeros // 2)
    return _shifted(half, 1) if zeros % 2 else half


@lru_cache(maxsize=4096)
def _initial(length: int) -> int:
    """What the initial and final inversions add to the CRC of ``length`` bytes."""
    register = np.array([_FULL], np.uint32)
    return int(_shifted(register, length)[0]) ^ _FULL
