"""Many JSON number texts to float64 at once: set side by side as one JSON array, they are read by one call."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from convergence_cli.model import FloatArray

    ByteArray = npt.NDArray[np.uint8]
    IndexArray = npt.NDArray[Any]
    Words = npt.NDArray[Any]
    Flags = npt.NDArray[np.bool_]

# So many bytes after the beginning of each text may be looked at.
REACH = 32
_WORDS = 3
_WIDTH = 8 * _WORDS
_BLANKS = np.frombuffer(b",".rjust(_WIDTH), "<u8")
_MINUS, _ZERO, _NINE = b"-09"
_BARE = {b"NaN": np.nan, b"Infinity": np.inf, b"-Infinity": -np.inf}


def parse_texts(
    octets: ByteArray,
    start: IndexArray,
    length: IndexArray,
    otherwise: Callable[[bytes], float | None],
    *,
    numeric: bool = False,
) -> tuple[FloatArray, Flags | None]:
    """(n,): the number that is written at each ``start``, ``length`` bytes long, and which are ones (None: all).

    ``otherwise`` says what number a text is that is no plain JSON number, or None; it is asked once for equal texts.
    ``numeric``: each begins with a digit or a minus sign.
    """
    short = length < _WIDTH
    if numeric and short.all():
        values = _counts(octets, start, length)
        if values is None:
            values = _plain(octets, start, length)
        if values is not None:
            return values, None
    first = octets.take(start)
    lead = np.where(first == _MINUS, octets.take(start + 1), first)
    plain = (lead >= _ZERO) & (lead <= _NINE) & short
    found = np.full(len(start), np.nan)
    known = plain.copy()
    numbers = _plain(octets, start[plain], length[plain]) if plain.any() else None
    if numbers is None:
        rest = np.arange(len(start))
    else:
        found[plain] = numbers
        rest = np.flatnonzero(~plain)
    seen: dict[bytes, float | None] = dict(_BARE)
    whole = octets.data
    for index, begin, size in zip(rest.tolist(), start[rest].tolist(), length[rest].tolist(), strict=True):
        text = bytes(whole[begin : begin + size])
        if text not in seen:
            seen[text] = otherwise(text)
        value = seen[text]
        known[index] = value is not None
        found[index] = np.nan if value is None else value
    return found, known


def _counts(octets: ByteArray, start: IndexArray, length: IndexArray) -> FloatArray | None:
    """Whole numbers of at most eight digits, or None where some are others. Eight digits are one word.

    Source: D. Lemire, "Quickly parsing eight digits" (2018).
    """
    if int(length.max(initial=0)) > 8:
        return None
    ends = np.ndarray((len(octets) - 7,), "<u8", octets, strides=(1,))[start + length - 8]
    digit = (ends ^ np.uint64(0x3030303030303030)) & _last_bytes().take(length)
    if np.any((digit + np.uint64(0x7676767676767676) | digit) & np.uint64(0x8080808080808080)):
        return None
    # JSON writes no zeros before other digits.
    if np.any((octets.take(start) == _ZERO) & (length > 1)):
        return None
    two = digit * np.uint64(10) + (digit >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    four = two * np.uint64(100) + (two >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    eight = four * np.uint64(10000) + (four >> np.uint64(32)) & np.uint64(0xFFFFFFFF)
    made: FloatArray = eight.astype(np.float64)
    return made


def _plain(octets: ByteArray, start: IndexArray, length: IndexArray) -> FloatArray | None:
    """The numbers, or None where not all texts are numbers as JSON writes them."""
    import orjson

    rows = np.ndarray((len(octets) - _WIDTH + 1,), f"V{_WIDTH}", octets, strides=(1,))[start]
    words = rows.view("<u8").reshape(-1, _WORDS)
    # Each text is followed by blanks and a comma in place of what comes after it.
    words ^= _BLANKS
    words &= _kept_bytes().take(length, axis=0)
    words ^= _BLANKS
    try:
        # A text with a comma or a quote of its own makes more elements, or one that is no number.
        numbers = orjson.loads(b"".join((b"[", words, b"0]")))
        if len(numbers) != len(start) + 1:
            return None
        return np.fromiter(numbers, np.float64, len(start))
    except (ValueError, TypeError, OverflowError):
        return None


@lru_cache(maxsize=1)
def _kept_bytes() -> Words:
    """(24, 3): by length, the first bytes of a cell."""
    made: Words = (np.tri(_WIDTH, _WIDTH, -1, dtype=np.uint8) * np.uint8(0xFF)).view("<u8")
    return made


@lru_cache(maxsize=1)
def _last_bytes() -> Words:
    """(9,): by count, a word of which so many bytes are kept, the last ones."""
    kept = np.zeros((9, 8), np.uint8)
    for count in range(1, 9):
        kept[count, 8 - count :] = 0xFF
    return kept.view("<u8").reshape(-1)
