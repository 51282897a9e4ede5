"""Tidy rows as Parquet: what ``ctroubleshoot ingest --format parquet`` writes, and other files with such columns."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.printable import printable
from convergence_cli.readers._parquet_pages import check_pages
from convergence_cli.readers._tidy_rows import FORMAT, NEEDED, NUMBERS, TEXTS, Key, TidyRuns

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray, IntArray, Run
    from convergence_cli.readers._guard import ReadOptions, Source

__all__ = ["FORMAT", "METADATA_KEY", "read", "sniff"]

# Where the metadata of the schema says what is known of each run: a JSON list, one object a run.
METADATA_KEY = b"ctroubleshoot"
MAGIC = b"PAR1"
MAX_ROWS = 200_000_000
MAX_TOLD_BYTES = 32 << 20
MAX_FOOTER_BYTES = 64 << 20
# What a footer may take: parsed, it is an object for each column of each row group.
MAX_FOOTER_STRING, MAX_FOOTER_ITEMS = 64 << 20, 1_000_000
_BATCH_ROWS = 1 << 16


def sniff(source: Source) -> float:
    """Certain where the footer names the columns series, step and value: other Parquet files are data."""
    if not source.head.startswith(MAGIC):
        return 0.0
    footer = _footer(source)
    return 0.95 if all(bytes([len(name)]) + name.encode() in footer for name in NEEDED) else 0.0


def _footer(source: Source) -> bytes:
    """The description at the end of the file, as it lies there; nothing where it is not complete."""
    with source.open_raw() as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(max(end - 8, 0))
        length = int.from_bytes(stream.read(4), "little")
        if stream.read(4) != MAGIC or length > min(end - 12, MAX_FOOTER_BYTES):
            return b""
        stream.seek(end - 8 - length)
        return stream.read(length)


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """The runs of each file, in the order in which they first appear."""
    del options
    return [run for source in sources for run in _read(source)]


def _read(source: Source) -> list[Run]:
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise source.error(
            "is Parquet, which is read with pyarrow, and that is not installed.",
            "Install: pip install 'convergence-cli[parquet]', or write the rows as CSV.",
        ) from error
    with source.open_raw() as stream, _failing_in_words(source, pa):
        limits = {"thrift_string_size_limit": MAX_FOOTER_STRING, "thrift_container_size_limit": MAX_FOOTER_ITEMS}
        file = pq.ParquetFile(stream, **limits)
        schema = file.schema_arrow
        columns = _columns(source, pa, schema)
        if file.metadata.num_rows > MAX_ROWS:
            raise source.error(f"declares {file.metadata.num_rows:,} rows.", f"Keep at most {MAX_ROWS:,} of them.")
        check_pages(source, _footer(source), columns)
        runs = TidyRuns(source)
        for told in _told(schema.metadata or {}):
            runs.about(str(told.get("run", "")), told)
        codes: dict[tuple[str, ...], int] = {}
        keys: list[Key] = []
        # A text that repeats would be made anew for each row, if it were not kept as a dictionary.
        texts = [name for name in columns if name in TEXTS]
        file = pq.ParquetFile(stream, metadata=file.metadata, read_dictionary=texts, **limits)
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns, use_threads=False):
            _take(pa, batch, runs, codes, keys)
    return runs.runs()


def _columns(source: Source, pa: Any, schema: Any) -> list[str]:
    """The columns to read. Raises ``SourceError`` where a needed one is missing or of another type."""
    names = schema.names
    if not NEEDED.issubset(names) or len(set(names)) < len(names):
        raise source.error(
            f"is a Parquet table with the columns {', '.join(printable(name, 30) for name in names[:8])}.",
            "Tidy rows need series, step and value; write one column a series as CSV instead.",
        )
    kept = [name for name in (*TEXTS, *NUMBERS) if name in names and _fits(pa, name, schema.field(name).type)]
    if not NEEDED.issubset(kept):
        raise source.error(
            "has a column series, step or value of another type.", "Make series a text, step and value numbers."
        )
    return kept


def _fits(pa: Any, name: str, kind: Any) -> bool:
    types = pa.types
    if name in TEXTS:
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_string(kind) or types.is_large_string(kind))
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _take(pa: Any, batch: Any, runs: TidyRuns, codes: dict[tuple[str, ...], int], keys: list[Key]) -> None:
    names = set(batch.schema.names)
    numbers = {name: _floats(pa, batch.column(name)) for name in NUMBERS if name in names}
    valued = np.asarray(batch.column("value").is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    parts = [_coded(batch.column(name) if name in names else None, batch.num_rows) for name in TEXTS]
    mixed = np.zeros(batch.num_rows, dtype=np.int64)
    for index, texts in parts:
        _, mixed = np.unique(mixed * len(texts) + index, return_inverse=True)
    _, first, inverse = np.unique(mixed, return_index=True, return_inverse=True)
    own = np.empty(len(first), dtype=np.int64)
    for group in np.argsort(first).tolist():
        own[group] = _code(tuple(texts[index[first[group]]] for index, texts in parts), codes, keys)
    runs.add(keys, own[inverse], numbers, valued)


def _code(row: tuple[str | None, ...], codes: dict[tuple[str, ...], int], keys: list[Key]) -> int:
    if row[1] is None:
        return -1
    key = tuple(text or "" for text in row)
    if key not in codes:
        codes[key] = len(keys)
        keys.append(Key(*key))
    return codes[key]


def _floats(pa: Any, column: Any) -> FloatArray:
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _coded(column: Any, rows: int) -> tuple[IntArray, list[str | None]]:
    """Which of the texts each row has, and these; the first is none."""
    if column is None:
        return np.zeros(rows, dtype=np.int64), [None]
    coded = column if hasattr(column, "indices") else column.dictionary_encode()
    index = np.asarray(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64) + 1
    texts = [None, *coded.dictionary.to_pylist()]
    if rows and not 0 <= int(index.min()) <= int(index.max()) < len(texts):
        raise ValueError("a row names a text that its dictionary does not have")
    return index, texts


def _told(metadata: dict[bytes, bytes]) -> Iterator[dict[str, Any]]:
    text = metadata.get(METADATA_KEY, b"")
    if len(text) > MAX_TOLD_BYTES:
        return
    try:
        found = json.loads(text or b"[]")
    except (ValueError, RecursionError):
        return
    yield from (one for one in found if isinstance(one, dict)) if isinstance(found, list) else ()


@contextmanager
def _failing_in_words(source: Source, pa: Any) -> Iterator[None]:
    """Whatever pyarrow raises at broken bytes, as a ``SourceError``."""
    try:
        yield
    except SourceError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, TypeError) as error:
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__).rstrip(".")
        raise source.error(f"is no readable Parquet file: {reason}.", "Write it again.") from error
