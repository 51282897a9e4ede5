"""One record of a SageMaker Debugger event file: an Event that holds one tensor.

Schema: ``event.proto``, ``summary.proto`` and ``tensor.proto`` of smdebug 1.0.34, which differ from TensorFlow's in
one place (``plugin_data`` is repeated) and frame each record with a constant where TFRecord has its checksum.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from convergence_cli.readers._crc32c import crc32c, masked
from convergence_cli.readers._protobuf import BYTES, FIXED64, VARINT, signed, spans, varint

if TYPE_CHECKING:
    from collections.abc import Iterator

# The masked CRC-32C of the ten bytes 0x12345678 in ASCII: smdebug writes it in place of the payload's checksum.
NO_CHECKSUM = 0x062DC0B3
MODES = {1: "train", 2: "eval", 3: "predict", 4: ""}
MODE_NAMES = {"TRAIN": "train", "EVAL": "eval", "PREDICT": "predict", "GLOBAL": ""}
MAX_NAME = 4096
MAX_DIMENSIONS = 64
MAX_TEXTS = 1 << 20
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64", 9: "int64", 10: "bool",
    14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
_WIDTHS = {
    **{"float32": 4, "float64": 8, "int32": 4, "uint8": 1, "int16": 2, "int8": 1, "complex64": 8, "int64": 8},
    **{"bool": 1, "bfloat16": 2, "uint16": 2, "complex128": 16, "float16": 2, "uint32": 4, "uint64": 8},
}


@dataclass(frozen=True, slots=True)
class Message:
    """One Event. ``start`` and ``length`` say where in its payload the raw values lie, little-endian, in C order.

    ``dtype`` is numpy's name (or ``bfloat16``), empty for ``texts``. ``mode`` is None where the record does not
    tell it.
    """

    name: str
    step: int
    time: float
    mode: str | None
    dtype: str
    shape: tuple[int, ...]
    start: int
    length: int
    texts: tuple[bytes, ...] = ()

    @property
    def count(self) -> int:
        """How many values it has."""
        return prod(self.shape)


def checksum_fits(payload: bytes, footer: int) -> bool:
    """Whether ``footer`` is what smdebug or TFRecord writes after ``payload``."""
    return footer == NO_CHECKSUM or footer == masked(crc32c(payload))


def parse_record(data: bytes, size: int) -> Message:
    """The Event in a payload of ``size`` bytes of which ``data`` is the beginning, or all.

    Raises ValueError where the bytes are no such Event, or declare other sizes than they have.
    """
    step, time = 0, float("nan")
    values: list[tuple[int, int]] = []
    for number, wire, start, stop in _reached(data, 0, size):
        if (number, wire) == (1, FIXED64):
            time = float(struct.unpack("<d", data[start:stop])[0])
        elif (number, wire) == (2, VARINT):
            step = signed(varint(data, start)[0])
        elif (number, wire) == (5, BYTES):
            values += [
                (begin, end) for inner, kind, begin, end in _reached(data, start, stop) if (inner, kind) == (1, BYTES)
            ]
    if len(values) != 1:
        raise ValueError("it holds no tensor" if not values else "it holds several tensors")
    name, mode, tensor = _value(data, *values[0])
    if tensor is None or not name:
        raise ValueError("it holds no tensor" if tensor is None else "its tensor has no name")
    dtype, shape, start, length, texts = _tensor(data, *tensor)
    return Message(name, step, time, mode, dtype, shape, start, length, texts)


def _reached(data: bytes, pos: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """``spans`` as far as ``data`` reaches: values may lie beyond, what tells their place may not."""
    for span in spans(data, pos, end):
        yield span
        if span[3] >= len(data):
            return


def _value(data: bytes, start: int, stop: int) -> tuple[str, str | None, tuple[int, int] | None]:
    name, mode, tensor = "", None, None
    for number, wire, begin, end in _reached(data, start, stop):
        if (number, wire) == (1, BYTES):
            if end - begin > MAX_NAME:
                raise ValueError("its name is too long")
            name = data[begin:end].decode("utf-8", "replace")
        elif (number, wire) == (8, BYTES):
            tensor = (begin, end)
        elif (number, wire) == (9, BYTES):
            mode = _mode(data, begin, end)
    return name, mode, tensor


def _mode(data: bytes, start: int, stop: int) -> str | None:
    for number, wire, begin, end in _reached(data, start, stop):
        if (number, wire) != (1, BYTES):
            continue
        parts = {inner: data[first:last] for inner, _, first, last in _reached(data, begin, end)}
        if parts.get(1) == b"mode":
            content = parts.get(2, b"")
            return MODES.get(int(content)) if content.isdigit() and len(content) < 3 else None
    return None


def _tensor(data: bytes, start: int, stop: int) -> tuple[str, tuple[int, ...], int, int, tuple[bytes, ...]]:
    """The type, shape, and place of the values of a TensorProto, or its texts."""
    number_of_type = 0
    shape: tuple[int, ...] = ()
    raw: tuple[int, int] | None = None
    texts: list[bytes] = []
    for number, wire, begin, end in _reached(data, start, stop):
        if (number, wire) == (1, VARINT):
            number_of_type = varint(data, begin)[0]
        elif (number, wire) == (2, BYTES):
            shape = _shape(data, begin, end)
        elif (number, wire) == (4, BYTES):
            raw = (begin, end)
        elif (number, wire) == (8, BYTES):
            texts.append(data[begin:end])
            if len(texts) > MAX_TEXTS:
                raise ValueError("it holds too many texts")
    if raw is None and (texts or number_of_type not in _DTYPES):
        return "", shape or (len(texts),), start, 0, tuple(texts)
    if number_of_type not in _DTYPES:
        raise ValueError(f"its type {number_of_type} is not known")
    dtype = _DTYPES[number_of_type]
    first, last = raw or (start, start)
    width, length = _WIDTHS[dtype], last - first
    if not shape and length > width and not length % width:
        shape = (length // width,)
    if prod(shape) * width != length:
        raise ValueError(f"it declares {prod(shape):,} values of {width} bytes and holds {length:,} bytes")
    return dtype, shape, first, length, ()


def _shape(data: bytes, start: int, stop: int) -> tuple[int, ...]:
    sizes: list[int] = []
    for number, wire, begin, end in _reached(data, start, stop):
        if (number, wire) == (2, BYTES):
            size = 0
            for inner, kind, first, _ in _reached(data, begin, end):
                if (inner, kind) == (1, VARINT):
                    size = signed(varint(data, first)[0])
            if size < 0 or len(sizes) >= MAX_DIMENSIONS:
                raise ValueError("its shape makes no sense")
            sizes.append(size)
    return tuple(sizes)
