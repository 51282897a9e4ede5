"""One member of a zip archive, in blocks: the directory is bounded before it is parsed, nothing is extracted."""

from __future__ import annotations

import os
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.readers._guard import Source

SIGNATURE = b"PK\x03\x04"
MAX_MEMBERS = 20_000
# zipfile makes objects of ten times the bytes of every entry.
MAX_DIRECTORY_BYTES = 2 << 20
# Logs in JSON shrink by ten to fifty.
MAX_RATIO = 500
_BOMB_BYTES = 32 << 20
_BLOCK_BYTES = 1 << 19
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


class _Capped:
    """A stream that gives no more at once than a directory may have: zipfile believes the declared size."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is larger than that of any log")
        return self._stream.read(size if size >= 0 else MAX_DIRECTORY_BYTES)


def names_in(source: Source) -> list[str]:
    """The names of the members that lie inside the archive's own folder. Raises ``SourceError``."""
    with _opened(source) as archive:
        return [entry.filename for entry in archive.infolist() if _inside(entry.filename)]


def member_blocks(source: Source, name: str) -> Iterator[bytes]:
    """The bytes of the member ``name`` in blocks of at most 512 KiB. Raises ``SourceError``.

    What is unpacked is counted, since the declared size may lie.
    """
    with _opened(source) as archive:
        entry = archive.getinfo(name)
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
            raise _refused(source, f"{printable(name)} is encrypted, or packed by anything but deflate")
        most = max(_BOMB_BYTES, MAX_RATIO * min(entry.compress_size, source.size))
        taken = 0
        with archive.open(entry) as stream:
            while block := stream.read(_BLOCK_BYTES):
                taken += len(block)
                if taken > most:
                    raise _refused(source, f"{printable(name)} unpacks to more than {most:,} bytes")
                yield block


@contextmanager
def _opened(source: Source) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever zipfile and zlib raise at broken bytes (a dozen types) becomes a ``SourceError``."""
    with source.open_raw() as stream:
        try:
            if stream.read(len(SIGNATURE)) != SIGNATURE:
                raise zipfile.BadZipFile("it is no zip archive")
            with zipfile.ZipFile(cast("IO[bytes]", _Capped(stream))) as archive:
                entries = archive.infolist()
                size = os.fstat(stream.fileno()).st_size
                if len(entries) > MAX_MEMBERS or sum(entry.compress_size for entry in entries) > size:
                    raise _refused(source, "it declares more than it can hold")
                yield archive
        except (SourceError, GeneratorExit):
            raise
        except Exception as error:
            reason = printable(str(error) or type(error).__name__).strip("'").rstrip(".")
            raise source.error(
                f"is a damaged archive: {reason}.", "Copy it anew, or unpack it and name the folder."
            ) from error


def _inside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return bool(parts[0]) and ".." not in parts and ":" not in parts[0] and not name.endswith("/")


def _refused(source: Source, reason: str) -> SourceError:
    return source.error(f"is not read: {reason}.", "Check where it comes from; unpack it yourself and name the folder.")
