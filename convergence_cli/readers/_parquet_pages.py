"""The pages of a Parquet file, checked before pyarrow unpacks them: it takes as much memory as a page declares.

Parquet-format 2.11, ``FileMetaData`` and ``PageHeader``. Where the pages lie is read here, too: asked for a column of
a footer that does not fit together, pyarrow ends the process.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import IO, TYPE_CHECKING, Any

from convergence_cli.readers._thrift import Compact, CutOffError

if TYPE_CHECKING:
    from convergence_cli.errors import SourceError
    from convergence_cli.readers._guard import Source

MAX_PAGES = 2_000_000
MAX_PAGE_BYTES = 64 << 20
# Of a page that is larger than what writers aim at, no more times its packed bytes.
MAX_RATIO, SMALL_PAGE_BYTES = 1000, 2 << 20
_HEADER_BYTES = 1 << 12
_MOST_HEADER_BYTES = 1 << 16
# Fields of FileMetaData, RowGroup, ColumnChunk, ColumnMetaData and PageHeader.
_ROW_GROUPS, _COLUMNS, _METADATA = 4, 1, 3
_PATH, _TOTAL, _DATA_PAGE, _DICTIONARY_PAGE = 3, 7, 9, 11
_UNPACKED, _PACKED = 2, 3


def check_pages(source: Source, footer: bytes, columns: Collection[str]) -> None:
    """Raise ``SourceError`` where a page of ``columns`` is not where ``footer`` says, or would take too much."""
    pages = 0
    with source.open_raw() as stream:
        size = os.fstat(stream.fileno()).st_size
        for name, begin, packed in _chunks(source, footer):
            if name not in columns:
                continue
            if begin < 4 or packed < 0 or begin + packed > size:
                raise _wrong(source, "a column that is not in the file")
            pages += _walk(source, stream, begin, begin + packed, MAX_PAGES - pages)


def _chunks(source: Source, footer: bytes) -> Iterator[tuple[str, int, int]]:
    """Of each column of each row group: its name, where it begins and how long it is."""
    try:
        for group in Compact(footer).struct().get(_ROW_GROUPS, []):
            for chunk in group[_COLUMNS]:
                told: dict[int, Any] = chunk[_METADATA]
                begin, dictionary = told[_DATA_PAGE], told.get(_DICTIONARY_PAGE)
                if dictionary is not None and 0 < dictionary < begin:
                    begin = dictionary
                yield ".".join(part.decode() for part in told[_PATH]), begin, told[_TOTAL] + 0
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _wrong(source, "columns in a footer that does not hold together") from error


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
        reading = Compact(data)
        try:
            found = reading.struct()
        except CutOffError:
            continue
        except ValueError:
            break
        unpacked, packed = found.get(_UNPACKED), found.get(_PACKED)
        if not isinstance(unpacked, int) or not isinstance(packed, int) or min(unpacked, packed) < 0:
            break
        return reading.at, unpacked, packed
    raise _wrong(source, "a page without a readable header")


def _wrong(source: Source, what: str) -> SourceError:
    return source.error(f"declares {what}: it is damaged, or made to fill the memory.", "Write it again.")
