"""Zip archives (``.npz``, ``.pt``): the directory is checked first, and members are streamed, never extracted."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.tensors.raw import incomplete

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

MAX_MEMBERS = 100_000
# zipfile makes objects of ten times the bytes of every entry.
MAX_DIRECTORY_BYTES = 8 << 20
# The numbers of a training shrink by less than a hundred; deflate ends at 1,032.
MAX_RATIO = 1_000
BOMB_BYTES = 64 << 20
_PACKED_BYTES = 1 << 16
_LOCAL_HEADER = 30
_SIGNATURE = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Member:
    """One member. ``size`` is declared; ``trouble`` says why it cannot be read; ``entry`` is its directory entry."""

    name: str
    size: int
    entry: zipfile.ZipInfo
    trouble: str = ""

    @property
    def compressed(self) -> bool:
        """Whether its bytes differ from those in the file."""
        return self.entry.compress_type != zipfile.ZIP_STORED


class _Capped:
    """A stream that gives no more at once than a directory may have: zipfile believes the declared size."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise zipfile.BadZipFile("its directory is larger than that of any dump")
        return self._stream.read(size if size >= 0 else MAX_DIRECTORY_BYTES)


class _MemberStream(io.RawIOBase):
    """The bytes of a member, never more than declared; wrong ones raise ``SourceError`` at their end (CRC)."""

    def __init__(self, source: Source, stream: IO[bytes], entry: zipfile.ZipInfo) -> None:
        self._source, self._stream, self._entry = source, stream, entry
        self._left, self._packed, self._crc = entry.file_size, entry.compress_size, 0
        self._inflate = zlib.decompressobj(-15) if entry.compress_type == zipfile.ZIP_DEFLATED else None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._entry.file_size - self._left

    def readinto(self, buffer: object) -> int:
        room = memoryview(cast("bytearray", buffer))[: self._left]
        if not room:
            return 0
        filled = self._inflated(room) if self._inflate else self._stream.readinto(room)  # type: ignore[attr-defined]
        self._crc = zlib.crc32(room[:filled], self._crc)
        self._left -= filled
        if not self._left and self._crc != self._entry.CRC:
            raise _damaged(self._source, f"the checksum of {printable(self._entry.filename)} is wrong")
        return int(filled)

    def _inflated(self, room: memoryview) -> int:
        assert self._inflate is not None
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail
            if not packed:
                packed = self._stream.read(min(_PACKED_BYTES, self._packed))
                self._packed -= len(packed)
            data = self._inflate.decompress(packed, len(room))
            if data:
                room[: len(data)] = data
                return len(data)
            if not packed:
                break
        return 0


def members(source: Source) -> list[Member]:
    """The members of the archive ``source`` in the order of its directory.

    Raises ``SourceError`` where it is no archive, is cut short, or declares sizes that only an attack has.
    """
    with source.open_raw() as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(len(_SIGNATURE)) != _SIGNATURE:
            if not size:
                raise incomplete(source)
            raise source.error("is no zip archive, which it should be.", "Dump this step anew, or remove the file.")
        with reading(source):
            entries = _directory(source, stream)
    packed = sum(entry.compress_size for entry in entries)
    declared = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_MEMBERS or packed > size:
        raise source.error("declares more than it can hold.", "Dump fewer tensors into one file.")
    if declared > BOMB_BYTES and declared > MAX_RATIO * packed:
        message = f"declares {declared:,} bytes in {size:,}: such files are made to fill the memory."
        raise source.error(message, "Check where it comes from, or save it without compression.")
    return [Member(entry.filename, entry.file_size, entry, _trouble(entry)) for entry in entries]


def _directory(source: Source, stream: IO[bytes]) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(cast("IO[bytes]", _Capped(stream))) as archive:
            return archive.infolist()
    except zipfile.BadZipFile as error:
        # Its directory is written last.
        if "not a zip file" in str(error):
            raise incomplete(source) from error
        raise


def _trouble(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & 0x1:
        return "encrypted members are not read"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "members compressed by anything but deflate are not read"
    return ""


@contextmanager
def open_member(source: Source, member: Member) -> Iterator[IO[bytes]]:
    """The bytes of ``member``, checked against its checksum where they are read to their end."""
    with source.open_raw() as stream, reading(source):
        stream.seek(member_offset(source, stream, member))
        yield cast("IO[bytes]", _MemberStream(source, stream, member.entry))


def member_offset(source: Source, stream: IO[bytes], member: Member) -> int:
    """Where in the file the bytes of ``member`` begin."""
    stream.seek(member.entry.header_offset)
    head = stream.read(_LOCAL_HEADER)
    if len(head) < _LOCAL_HEADER or not head.startswith(_SIGNATURE):
        raise _damaged(source, f"{printable(member.name)} is not where the directory says")
    names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    return member.entry.header_offset + _LOCAL_HEADER + names


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Whatever zipfile and zlib raise at broken bytes (a dozen types), as a ``SourceError``."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        raise _damaged(source, printable(str(error) or type(error).__name__).rstrip(".")) from error


def _damaged(source: Source, reason: str) -> SourceError:
    return source.error(f"is damaged: {reason}.", "Dump this step anew, or remove the file.")
