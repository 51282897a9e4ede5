"""The one door for untrusted bytes: every reader gets its input from a ``Source`` and from nothing else."""

from __future__ import annotations

import codecs
import os
import stat
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from convergence_cli.errors import SourceError
from convergence_cli.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 1 << 16
BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 1 << 20
# A parsed document takes up to fifteen times its bytes.
MAX_DOCUMENT_BYTES = 32 << 20
MAX_CONFIG_BYTES = 1 << 20
# libyaml makes an event, a node and an object of every word.
MAX_YAML_BYTES = 256 << 10
MAX_YAML_DEPTH = 64
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user says about how to read: ``pattern`` is a regex with named groups for text logs."""

    pattern: str | None = None


@dataclass
class Source:
    """One input file (or spooled stream). Text is handed out as UTF-8 whatever its byte-order mark says.

    ``follow_links`` is False for files found inside a run folder: a link there could lead out of it.
    ``histograms``: its reader met histograms of tensors in it.
    """

    path: Path
    shown: str
    notes: list[str] = field(default_factory=list)
    stream: IO[bytes] | None = None
    follow_links: bool = True
    histograms: bool = False

    @classmethod
    def from_stream(cls, stream: IO[bytes], shown: str = "<stdin>") -> Source:
        """Copy a pipe to a temporary file, so that it can be sniffed and read in blocks like any other."""
        spool = tempfile.TemporaryFile()  # noqa: SIM115
        while block := stream.read(BLOCK_BYTES):
            spool.write(block)
        spool.flush()
        return cls(Path(shown), shown, stream=spool)

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB, decoded like ``blocks``."""
        return next(self.blocks(HEAD_BYTES), b"")

    @cached_property
    def size(self) -> int:
        """Bytes on disk."""
        with self._open() as handle:
            return os.fstat(handle.fileno()).st_size

    def blocks(self, size: int = BLOCK_BYTES, *, raw: bool = False) -> Iterator[bytes]:
        """The bytes in blocks of about ``size``; ``raw`` for binary formats."""
        with self._open() as handle:
            first = handle.read(size)
            encoding = None if raw else _UTF16.get(first[:2])
            if encoding is None:
                if not raw:
                    first = first.removeprefix(codecs.BOM_UTF8)
                while first:
                    yield first
                    first = handle.read(size)
                return
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
            first = first[2:]
            while first:
                yield decoder.decode(first).encode("utf-8", "replace")
                first = handle.read(size)

    def line_blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Blocks that end at a line end; a last line without one comes last, as it is.

        A line longer than 1 MiB is dropped and noted: no log writes one, and it would cost memory and time.
        """
        tail = b""
        skipping = False
        long_lines = 0
        for block in self.blocks(size):
            cut = max(block.rfind(b"\n"), block.rfind(b"\r"))
            if skipping:
                first_end = min((i for i in (block.find(b"\n"), block.find(b"\r")) if i >= 0), default=-1)
                if first_end < 0:
                    continue
                yield block[first_end + 1 : cut + 1]
                tail, skipping = block[cut + 1 :], False
            elif cut < 0:
                tail += block
            else:
                yield tail + block[: cut + 1]
                tail = block[cut + 1 :]
            if len(tail) > MAX_LINE_BYTES:
                tail, skipping = b"", True
                long_lines += 1
        if long_lines:
            self.notes.append(f"dropped {counted(long_lines, 'line')} longer than {MAX_LINE_BYTES:,} bytes")
        if tail:
            yield tail

    def read_all(self, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
        """The whole file, if it is no larger than ``limit`` bytes."""
        if self.size > limit:
            raise self.error(
                f"is {self.size:,} bytes, more than the {limit:,} that one document may have.",
                "Export the metrics as CSV or JSON lines, which are read in blocks.",
            )
        return b"".join(self.blocks())

    def open_raw(self) -> IO[bytes]:
        """The bytes as a seekable stream at its beginning, for formats with a directory; the caller closes it."""
        return self._open()

    def error(self, message: str, hint: str) -> SourceError:
        """An error sentence that names this file."""
        return SourceError(self.shown, f"{printable(self.shown)} {message}", hint)

    def _open(self) -> IO[bytes]:
        if self.stream is not None:
            handle = os.fdopen(os.dup(self.stream.fileno()), "rb")
            handle.seek(0)
            return handle
        try:
            # Non-blocking, so that a FIFO swapped in after discovery cannot hang the open.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            if not self.follow_links:
                flags |= getattr(os, "O_NOFOLLOW", 0)
            descriptor = os.open(self.path, flags)
        except OSError as error:
            raise self.error(
                f"cannot be opened: {error.strerror or error}.", "Check the path and its permissions."
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self.error("is not a regular file.", "Point ctroubleshoot at a log file or a run folder.")
        return os.fdopen(descriptor, "rb")


def parse_json(source: Source, data: bytes) -> Any:
    """``data`` as JSON, bare NaN and Infinity included; every failure is a ``SourceError``."""
    import orjson

    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    import json

    try:
        return json.loads(data)
    except RecursionError as error:
        raise source.error("is nested too deeply to be a log.", "Check that this is the file you meant.") from error
    except ValueError as error:
        raise source.error(
            f"is not valid JSON: {printable(error)}.", "Check that it was written completely."
        ) from error


def parse_yaml(data: bytes) -> Any:
    """``data`` as YAML without tags, aliases or objects; raises ValueError on anything else.

    Unknown tags (Lightning writes ``!!python/object``) become None; aliases are refused, since a few
    hundred bytes of them can expand to gigabytes.
    """
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.add_multi_constructor("", lambda loader, suffix, node: None)
    try:
        # libyaml composes nodes in C, by recursion and where no method can stop it: look beforehand.
        depth = 0
        for event in yaml.parse(data, Loader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("aliases are not read")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_YAML_DEPTH:
                raise ValueError("nested too deeply")
        return yaml.load(data, Loader=Loader)
    except (yaml.YAMLError, RecursionError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(printable(error)) from error
