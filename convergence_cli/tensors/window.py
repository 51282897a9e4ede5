"""A part of a file as a file of its own."""

from __future__ import annotations

import io
import os
from typing import IO, cast


class Window(io.RawIOBase):
    """The bytes of ``stream`` from ``begin`` on, ``size`` of them; for reading only."""

    def __init__(self, stream: IO[bytes], begin: int, size: int) -> None:
        self._stream, self._begin, self._size, self._at = stream, begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: object) -> int:
        room = memoryview(cast("bytearray", buffer)).cast("B")[: max(self._size - self._at, 0)]
        self._stream.seek(self._begin + self._at)
        filled = self._stream.readinto(room)  # type: ignore[attr-defined]
        self._at += filled
        return int(filled)
