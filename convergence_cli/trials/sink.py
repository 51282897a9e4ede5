"""Where the output of a trial goes: a file that keeps its head and its tail, whatever the length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

KEPT_BYTES = 64 << 20
_BLOCK = 1 << 20
# How far back from a cut the end of a line is looked for.
_LINE_REACH = 64 << 10


class Sink:
    """Takes bytes without end; ``path`` has the first and the last ``limit / 2`` of them once it is closed.

    Memory stays at one block, the disk at ``limit``. What is left out is counted in ``left_out`` (bytes).
    """

    def __init__(self, path: Path, limit: int = KEPT_BYTES) -> None:
        self.path = path
        self.written = self.left_out = 0
        self.failed: OSError | None = None
        self._half = limit // 2
        self._file: BinaryIO = open(path, "xb")  # noqa: SIM115
        # Two segments of the tail, the older first: when the newer is full, it takes the place of the older.
        self._segments = (path.with_name(f".{path.name}.1"), path.with_name(f".{path.name}.2"))
        self._tail: BinaryIO | None = None
        self._room = self._half

    def write(self, data: bytes) -> None:
        """Keep ``data`` as far as there is room. A full disk costs the output, not the trial (see ``failed``)."""
        self.written += len(data)
        try:
            self._keep(memoryview(data))
        except OSError as error:
            self.failed = self.failed or error

    def _keep(self, data: memoryview) -> None:
        while data and self.failed is None:
            if not self._room:
                self._next_segment()
            piece = data[: self._room]
            target = self._tail or self._file
            target.write(piece)
            # The log is followed while it grows.
            target.flush()
            self._room -= len(piece)
            data = data[len(piece) :]

    def _next_segment(self) -> None:
        if self._tail is not None:
            self._tail.close()
            with suppress(FileNotFoundError):
                self.left_out += self._segments[0].stat().st_size
            os.replace(self._segments[1], self._segments[0])
        self._tail = open(self._segments[1], "wb")  # noqa: SIM115
        self._room = max(self._half // 2, 1)

    def close(self) -> None:
        """Join head and tail, with a line between that says how much is missing. Leaves ``path`` alone."""
        if self._file.closed:
            return
        try:
            if self._tail is not None:
                self._tail.close()
                self._join()
        except OSError as error:
            self.failed = self.failed or error
        finally:
            self._file.close()
            for segment in self._segments:
                with suppress(OSError):
                    segment.unlink()

    def _join(self) -> None:
        gap = self.left_out > 0
        if gap:
            # A number that is cut in two would be read as another number.
            cut = self._last_line_end()
            self.left_out += self._file.tell() - cut
            self._file.seek(cut)
            self._file.truncate()
        pieces = self._tail_pieces()
        first = next(pieces, b"")
        if gap:
            end = first.find(b"\n", 0, _LINE_REACH) + 1
            self.left_out += end
            self._file.write(b"[ctroubleshoot: %s bytes are left out here]\n" % f"{self.left_out:,}".encode())
            first = first[end:]
        self._file.write(first)
        for piece in pieces:
            self._file.write(piece)

    def _last_line_end(self) -> int:
        self._file.flush()
        size = self._file.tell()
        start = max(size - _LINE_REACH, 0)
        with open(self.path, "rb") as head:
            head.seek(start)
            end = head.read().rfind(b"\n") + 1
        return start + end if end else size

    def _tail_pieces(self) -> Iterator[bytes]:
        for segment in self._segments:
            with suppress(FileNotFoundError), open(segment, "rb") as handle:
                while piece := handle.read(_BLOCK):
                    yield piece


def last_lines(path: Path, count: int = 3, reach: int = 4096) -> tuple[str, ...]:
    """The last ``count`` lines of the file that say something, looked for in its last ``reach`` bytes."""
    try:
        with open(path, "rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(size - reach, 0))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return ()
    lines = [line.strip() for line in text.splitlines()]
    return tuple([line for line in lines if line][-count:])
