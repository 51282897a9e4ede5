"""The layout of a TensorBoard ``Event`` message: which bytes are numbers, and which give it its shape.

Messages that agree in every shape-giving byte have their numbers at the same places, so one parse serves
them all. Schema: ``event.proto``, ``summary.proto``, ``tensor.proto`` of TensorFlow; ``plugin_data.proto``
of TensorBoard's hparams plugin.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._protobuf import BYTES, FIXED32, FIXED64, VARINT, fields, signed, spans, varint

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.readers._crc32c import ByteArray

_WHOLE = 0xFF
_FREE = 0x00
_CONTINUATION = 0x80
# TensorProto dtype -> (NumPy type of its raw bytes, number of the field with typed values, that field's wire type)
_TYPES = {
    1: ("<f4", 5, FIXED32), 2: ("<f8", 6, FIXED64), 3: ("<i4", 7, VARINT), 4: ("<u1", 7, VARINT),
    5: ("<i2", 7, VARINT), 6: ("<i1", 7, VARINT), 9: ("<i8", 10, VARINT), 10: ("<u1", 11, VARINT),
    14: ("bfloat16", 13, VARINT), 17: ("<u2", 7, VARINT), 19: ("<f2", 13, VARINT), 22: ("<u4", 16, VARINT),
    23: ("<u8", 17, VARINT),
}  # fmt: skip
_STRING = 7
_WIDTH = {FIXED32: 4, FIXED64: 8}


@dataclass(frozen=True, slots=True)
class Field:
    """Where a number lies: ``kind`` is the NumPy type of its bytes, or of the value its varint holds.

    ``start == stop`` means the number was left out because it is 0, the default.
    """

    start: int
    stop: int
    kind: str
    varint: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the numbers of a message lie. ``tags`` are the (start, stop) of the name of each of ``values``.

    ``mask`` has 0xFF for each byte of the message that gives it its shape, 0x80 for those of a varint
    (only the continuation bit does), 0 for the rest: names and numbers. ``hparams`` and ``texts`` are the
    (start, stop) and (tag, start, stop) of hyperparameters and of the text plugin's strings. ``histograms``: some
    of its values are histograms, or look like those that TensorFlow 2 writes.
    """

    time: Field | None
    step: Field | None
    tags: tuple[tuple[int, int], ...]
    values: tuple[Field, ...]
    mask: bytes
    hparams: tuple[tuple[int, int], ...]
    texts: tuple[tuple[str, int, int], ...]
    histograms: bool


class _Parts:
    """A layout being gathered."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.mask = bytearray(b"\xff") * len(data)
        self.tags: list[tuple[int, int]] = []
        self.values: list[Field] = []
        self.hparams: list[tuple[int, int]] = []
        self.texts: list[tuple[str, int, int]] = []
        self.histograms = False

    def free(self, start: int, stop: int, to: int = _FREE) -> None:
        self.mask[start:stop] = bytes([to]) * (stop - start)

    def ignore(self, wire: int, start: int, stop: int) -> None:
        self.free(start, stop, _CONTINUATION if wire == VARINT else _FREE)


def layout(data: bytes) -> Layout:
    """The layout of one Event; ValueError where the bytes are none."""
    parts = _Parts(data)
    time = step = None
    for number, wire, start, stop in spans(data, 0, len(data)):
        if number == 5 and wire == BYTES:
            for inner, kind, begin, end in spans(data, start, stop):
                if inner == 1 and kind == BYTES:
                    _value(parts, begin, end)
                else:
                    parts.ignore(kind, begin, end)
            continue
        parts.ignore(wire, start, stop)
        if (number, wire) == (1, FIXED64):
            time = Field(start, stop, "<f8")
        elif (number, wire) == (2, VARINT):
            step = Field(start, stop, "<i8", varint=True)
        elif number in (1, 2, 5):
            raise ValueError(f"field {number} of an Event cannot have wire type {wire}")
    tags, values = tuple(parts.tags), tuple(parts.values)
    hparams, texts = tuple(parts.hparams), tuple(parts.texts)
    return Layout(time, step, tags, values, bytes(parts.mask), hparams, texts, parts.histograms)


def rows_alike(rows: ByteArray, mask: bytes) -> npt.NDArray[np.bool_]:
    """Which rows agree with the first in the bits of ``mask``."""
    differing = (rows ^ rows[0]) & np.frombuffer(mask, np.uint8)
    alike = np.ones(len(rows), np.bool_)
    for column in np.flatnonzero(differing.any(axis=0)):
        alike &= differing[:, column] == 0
    return alike


def _value(parts: _Parts, start: int, stop: int) -> None:
    """One Summary.Value: a scalar in either encoding, a setting, or something that is no scalar."""
    data = parts.data
    tag = (start, start)
    plugin: bytes | None = None
    content: tuple[int, int] | None = None
    held: tuple[int, int, int, int] | None = None
    for number, wire, begin, end in spans(data, start, stop):
        if number == 1 and wire == BYTES:
            tag = (begin, end)
        elif number == 9 and wire == BYTES:
            plugin, content = _plugin(data, begin, end)
        elif 2 <= number <= 8 and number != 7:
            held = number, wire, begin, end
            if number != 8:
                parts.ignore(wire, begin, end)
        else:
            parts.ignore(wire, begin, end)
    if plugin == b"hparams":
        if content is not None:
            parts.hparams.append(content)
    elif plugin == b"text":
        # Its tag stays part of the shape: every text is looked at.
        if held is not None and held[:2] == (8, BYTES):
            _texts(parts, data[slice(*tag)].decode("utf-8", "replace"), held[2], held[3])
    else:
        parts.free(*tag)
        _number(parts, tag, held)


def _number(parts: _Parts, tag: tuple[int, int], held: tuple[int, int, int, int] | None) -> None:
    """Note the scalar, if the value of the Summary.Value is one: (field number, wire type, start, stop)."""
    field = None
    if held is not None and held[:2] == (2, FIXED32):
        field = Field(held[2], held[3], "<f4")
    elif held is not None and held[:2] == (5, BYTES):
        parts.histograms = True
    elif held is not None and held[:2] == (8, BYTES):
        field = _tensor(parts, held[2], held[3])
    if field is not None:
        parts.tags.append(tag)
        parts.values.append(field)


def _plugin(data: bytes, start: int, stop: int) -> tuple[bytes | None, tuple[int, int] | None]:
    """Name and content span of the plugin that a SummaryMetadata names."""
    name, content = None, None
    for number, wire, begin, end in spans(data, start, stop):
        if number == 1 and wire == BYTES:
            for inner, kind, first, last in spans(data, begin, end):
                if inner == 1 and kind == BYTES:
                    name = data[first:last]
                elif inner == 2 and kind == BYTES:
                    content = (first, last)
    return name, content


def _tensor(parts: _Parts, start: int, stop: int) -> Field | None:
    """The one number of a TensorProto, or None where it holds none or several."""
    data = parts.data
    dtype, elements = 0, 1
    raw: tuple[int, int] | None = None
    typed: list[tuple[int, int, int, int]] = []
    for number, wire, begin, end in spans(data, start, stop):
        if number == 1 and wire == VARINT:
            dtype = varint(data, begin)[0]
        elif number == 2 and wire == BYTES:
            sizes = dimensions(data, begin, end)
            elements = prod(sizes[:32])
            parts.histograms |= len(sizes) == 2 and sizes[1] == 3
        elif number == 4 and wire == BYTES:
            raw = (begin, end)
            parts.free(begin, end)
        else:
            typed.append((number, wire, begin, end))
            # Packed varints keep their continuation bits: they tell how many numbers there are.
            fixed = wire in _WIDTH or (wire == BYTES and number in (5, 6, 8))
            parts.free(begin, end, _FREE if fixed else _CONTINUATION)
    if dtype not in _TYPES or elements != 1:
        return None
    kind, wanted, wire = _TYPES[dtype]
    if raw is not None:
        width = 2 if kind == "bfloat16" else int(kind[2:])
        return Field(*raw, kind) if raw[1] - raw[0] == width else None
    found = [(begin, end) for number, how, begin, end in typed if number == wanted and how in (wire, BYTES)]
    if not found:
        return Field(start, start, kind)
    if len(found) > 1:
        return None
    begin, end = found[0]
    if wire == VARINT:
        single = end > begin and varint(data, begin)[1] == end
        return Field(begin, end, kind, varint=True) if single else None
    return Field(begin, end, kind) if end - begin == _WIDTH[wire] else None


def _texts(parts: _Parts, tag: str, start: int, stop: int) -> None:
    """Keep the strings of a TensorProto, as part of the shape: each text is looked at."""
    for number, wire, begin, end in spans(parts.data, start, stop):
        if number == 8 and wire == BYTES:
            parts.texts.append((tag, begin, end))
            parts.free(begin, end, _WHOLE)


def dimensions(data: bytes, start: int, stop: int) -> list[int]:
    """The sizes that a TensorShapeProto declares; a scalar has none."""
    sizes = []
    for number, wire, begin, end in spans(data, start, stop):
        if number == 2 and wire == BYTES:
            size = 0
            for inner, kind, first, _ in spans(data, begin, end):
                if inner == 1 and kind == VARINT:
                    size = signed(varint(data, first)[0])
            sizes.append(size)
    return sizes


def hyperparameters(content: bytes) -> dict[str, Any]:
    """The numbers, texts and switches of an HParamsPluginData's session start; ValueError on other bytes."""
    found: dict[str, Any] = {}
    for number, _, session in fields(content):
        if number != 3 or not isinstance(session, bytes):
            continue
        for inner, _, entry in fields(session):
            if inner != 1 or not isinstance(entry, bytes):
                continue
            pair = {key: part for key, _, part in fields(entry)}
            key, value = pair.get(1, b""), pair.get(2, b"")
            if isinstance(key, bytes) and isinstance(value, bytes):
                found[key.decode("utf-8", "replace")] = _protobuf_value(value)
    return found


def _protobuf_value(data: bytes) -> Any:
    """A google.protobuf.Value as a Python number, string or bool; None for anything else."""
    result: Any = None
    for number, wire, value in fields(data):
        if number == 2 and wire == FIXED64 and isinstance(value, bytes):
            result = struct.unpack("<d", value)[0]
        elif number == 3 and isinstance(value, bytes):
            result = value.decode("utf-8", "replace")
        elif number == 4 and wire == VARINT:
            result = bool(value)
    return result
