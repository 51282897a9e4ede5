"""The CRC-32 of many adjoining pieces, checked with one pass of zlib over all of them.

The CRC is linear over GF(2), and a checksum that is stored between two pieces can be replaced by a word that takes
the piece before it out of the CRC of the whole. Where every piece is right, nothing but the last is left of it.
Source: the algebra is that of ``crc32_combine`` in zlib, by M. Adler. That a wrong piece goes unseen has a chance of
2**-32, as with its own CRC.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    ByteArray = npt.NDArray[np.uint8]
    IndexArray = npt.NDArray[np.int64]
    WordArray = npt.NDArray[np.uint32]

_POLYNOMIAL = 0xEDB88320
# No stretch is longer.
MOST_BYTES = 1 << 15


def chained(
    octets: ByteArray, begin: IndexArray, end: IndexArray, counts: IndexArray, head: IndexArray, length: IndexArray
) -> npt.NDArray[np.bool_]:
    """Which stretches of ``octets`` hold pieces that all have the CRC-32 that is stored before them.

    A stretch runs from ``begin`` to ``end``, at most ``MOST_BYTES`` long, and has ``counts`` pieces, at least one.
    Pieces begin at ``head``: their CRC-32 (4 bytes, little-endian), a ``length`` (2 bytes) and one byte more than that.
    The stored checksums of the stretches that are right are overwritten.
    """
    by_length, by_size = _tables()
    words = np.ndarray((len(octets) - 3,), "<u4", octets, strides=(1,))
    stored = words[head]
    # What is left of the CRC behind each piece: its checksum without the inversions.
    left = stored ^ by_size.take(length + 1)
    replaced = by_length.take(length)
    replaced[1:] ^= left[:-1]
    first = np.cumsum(counts) - counts
    replaced[first] = by_length.take(length[first])
    words[head] = replaced
    expected = left[first + counts - 1] ^ by_size.take(end - begin)
    data = octets.data
    found = [zlib.crc32(data[start:stop]) for start, stop in zip(begin.tolist(), end.tolist(), strict=True)]
    right: npt.NDArray[np.bool_] = expected == np.array(found, np.uint32)
    if not right.all():
        wrong = np.repeat(~right, counts)
        words[head[wrong]] = stored[wrong]
    return right


@lru_cache(maxsize=1)
def _tables() -> tuple[WordArray, WordArray]:
    """By length, the word that cancels a length of two bytes behind it; by number of bytes, what the inversions add."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (np.uint32(_POLYNOMIAL) * (table & 1))
    # The register that becomes the length after four bytes, from the last byte to the first.
    before = np.argsort(table >> 24).astype(np.uint32)
    word = np.arange(MOST_BYTES, dtype=np.uint32)
    for _ in range(4):
        low = before[word >> 24]
        word = (word ^ table[low]) << 8 | low
    inverted, crc = [0], 0
    for _ in range(MOST_BYTES):
        crc = zlib.crc32(b"\0", crc)
        inverted.append(crc)
    return word, np.array(inverted, np.uint32)
