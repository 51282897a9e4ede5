"""The protobuf wire format: enough to walk a message whose schema is known to the caller.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT = 0
FIXED64 = 1
BYTES = 2
FIXED32 = 5
_MASK64 = (1 << 64) - 1
_MAX_SHIFT = 63


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """The unsigned 64-bit varint at ``pos`` and the position after it; ValueError where it is no varint."""
    value = shift = 0
    while True:
        if pos >= len(data):
            raise ValueError(f"the varint is cut off at byte {pos}")
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK64, pos
        shift += 7
        if shift > _MAX_SHIFT:
            raise ValueError(f"the varint that ends at byte {pos} has more than 10 bytes")


def signed(value: int) -> int:
    """An int32 or int64 field's varint as the number that was written: two's complement in 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Each field of the message as (field number, wire type, value), in the order it was written.

    The value is an int for a varint and raw bytes for the rest: 8 for FIXED64, 4 for FIXED32 (both
    little-endian), the content for BYTES. Raises ValueError where the bytes are no message; groups,
    which no log writes, count as malformed.
    """
    for number, wire, start, stop in spans(data, 0, len(data)):
        yield number, wire, varint(data, start)[0] if wire == VARINT else data[start:stop]


def spans(data: bytes, pos: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message in ``data[pos:end]``: (number, wire type, start, stop of the content).

    Keys and lengths lie outside the span. Raises ValueError like ``fields``.
    """
    while pos < end:
        key = data[pos]
        if key < 0x80:
            pos += 1
        else:
            key, pos = varint(data, pos)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ValueError(f"field number 0 before byte {pos}")
        if wire == VARINT:
            stop = varint(data, pos)[1]
        elif wire == BYTES:
            size, pos = varint(data, pos)
            stop = pos + size
        elif wire == FIXED64:
            stop = pos + 8
        elif wire == FIXED32:
            stop = pos + 4
        else:
            raise ValueError(f"wire type {wire} before byte {pos}")
        if stop > end:
            raise ValueError(f"field {number} needs {stop - pos} bytes and {max(end - pos, 0)} are left at {pos}")
        yield number, wire, pos, stop
        pos = stop
