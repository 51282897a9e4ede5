"""The pages of a Parquet file, checked before pyarrow unpacks them: it takes as much memory as a page declares.

Parquet-format 2.11, ``PageHeader`` in Thrift's compact protocol. Only the sizes in it are looked at.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convergence_cli.errors import SourceError
    from convergence_cli.readers._guard import Source

MAX_PAGES = 2_000_000
MAX_PAGE_BYTES = 64 << 20
# Of a page that is larger than what writers aim at, no more times its packed bytes.
MAX_RATIO, SMALL_PAGE_BYTES = 1000, 2 << 20
_HEADER_BYTES = 1 << 12
_MOST_HEADER_BYTES = 1 << 16
_MAX_DEPTH = 8
_UNPACKED, _PACKED = 2, 3
# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_VARINTS = frozenset((_I16, _I32, _I64))


class _CutOffError(Exception):
    """The header goes on beyond the bytes at hand."""


def check_pages(source: Source, metadata: Any, columns: Collection[str]) -> None:
    """Raise ``SourceError`` where a page of ``columns`` is not where ``metadata`` says, or would take too much."""
    pages = 0
    with source.open_raw() as stream:
        size = os.fstat(stream.fileno()).st_size
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for index in range(row_group.num_columns):
                chunk = row_group.column(index)
                if chunk.path_in_schema not in columns:
                    continue
                begin = chunk.data_page_offset
                if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < begin:
                    begin = chunk.dictionary_page_offset
                end = begin + chunk.total_compressed_size
                if begin < 4 or chunk.total_compressed_size < 0 or end > size:
                    raise _wrong(source, "a column that is not in the file")
                pages += _walk(source, stream, begin, end, MAX_PAGES - pages)


def _walk(source: Source, stream: IO[bytes], at: int, end: int, most: int) -> int:
    """How many pages lie between ``at`` and ``end``."""
    pages = 0
    while at < end:
        header, unpacked, packed = _page(source, stream, at, end)
        if unpacked > MAX_PAGE_BYTES or (unpacked > SMALL_PAGE_BYTES and unpacked > MAX_RATIO * packed):
            raise _wrong(source, f"a page of {unpacked:,} bytes in {packed:,}")
        at += header + packed
        pages += 1
        if pages > most:
            raise _wrong(source, f"more than {MAX_PAGES:,} pages")
    if at > end:
        raise _wrong(source, "a page that goes on beyond its column")
    return pages


def _page(source: Source, stream: IO[bytes], at: int, end: int) -> tuple[int, int, int]:
    """Of the page at ``at``: the bytes of its header, of its values and of those as packed in the file."""
    for size in (_HEADER_BYTES, _MOST_HEADER_BYTES):
        stream.seek(at)
        data = stream.read(min(size, end - at))
        try:
            found: dict[int, int] = {}
            length = _struct(data, 0, 0, found)
        except _CutOffError:
            continue
        if min(found.get(_UNPACKED, -1), found.get(_PACKED, -1)) < 0:
            break
        return length, found[_UNPACKED], found[_PACKED]
    raise _wrong(source, "a page without a readable header")


def _struct(data: bytes, at: int, depth: int, found: dict[int, int]) -> int:
    """Where the structure at ``at`` ends; ``found`` takes its 32-bit numbers by field."""
    if depth > _MAX_DEPTH:
        raise _CutOffError
    field = 0
    while True:
        head = _byte(data, at)
        at += 1
        if not head:
            return at
        if head >> 4:
            field += head >> 4
        else:
            number, at = _varint(data, at)
            field = _signed(number)
        if head & 15 == _I32:
            number, at = _varint(data, at)
            found[field] = _signed(number)
        else:
            at = _skip(data, at, head & 15, depth)


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    if kind in (_TRUE, _FALSE):
        return at
    if kind in _VARINTS:
        return _varint(data, at)[1]
    if kind == _BINARY:
        length, at = _varint(data, at)
        return at + length
    if kind == _STRUCT:
        return _struct(data, at, depth + 1, {})
    if kind in (_BYTE, _DOUBLE):
        return at + (1 if kind == _BYTE else 8)
    # A page header has no lists, sets or maps.
    raise _CutOffError


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        part = _byte(data, at)
        at += 1
        value |= (part & 127) << shift
        if part < 128:
            return value, at
    raise _CutOffError


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise _CutOffError
    return data[at]


def _wrong(source: Source, what: str) -> SourceError:
    return source.error(f"declares {what}: it is damaged, or made to fill the memory.", "Write it again.")
