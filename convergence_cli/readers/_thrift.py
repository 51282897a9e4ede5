"""Structures in Thrift's compact protocol, as plain objects by the numbers of their fields.

Apache Thrift, "Thrift compact protocol encoding". Bytes that no writer makes raise ``ValueError``: where two parsers
could understand them differently (a field twice), what one has checked is not what the other takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 16
MAX_VALUES = 2_000_000
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_VARINTS = frozenset((_I16, _I32, _I64))


class CutOffError(ValueError):
    """The structure goes on beyond the bytes at hand."""


@dataclass(slots=True)
class Compact:
    """Reads ``data`` from ``at``; no more than ``left`` values in all."""

    data: bytes
    at: int = 0
    left: int = MAX_VALUES

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of the structure that begins here; binary values are bytes, numbers of eight bytes None."""
        if depth > MAX_DEPTH:
            raise ValueError("structures within structures")
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            field = field + step if step else _signed(self._varint())
            if field in found:
                raise ValueError("a field twice")
            found[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"more than {MAX_VALUES:,} values")
        if kind in _VARINTS:
            return _signed(self._varint())
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth + 1)
        if kind in (_BYTE, _TRUE, _FALSE):
            return self._byte()
        if kind == _DOUBLE:
            self._bytes(8)
            return None
        raise ValueError(f"a value of the kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            raise ValueError("lists within lists")
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        if count > len(self.data) - self.at:
            raise CutOffError("a list longer than the bytes at hand")
        return [self._value(head & 15, depth) for _ in range(count)]

    def _bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise CutOffError("a value longer than the bytes at hand")
        self.at += count
        return self.data[self.at - count : self.at]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            part = self._byte()
            value |= (part & 127) << shift
            if part < 128:
                return value
        raise ValueError("a number of more than 64 bits")

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise CutOffError("it ends too early")
        self.at += 1
        return self.data[self.at - 1]


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)
