"""Tidy rows as Parquet, in row groups; what is said once a run stands in the metadata of the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from convergence_cli.errors import UsageError
from convergence_cli.readers._tidy_about import about_data
from convergence_cli.readers._tidy_rows import COLUMNS, TEXTS
from convergence_cli.readers.tidy_parquet import METADATA_KEY
from convergence_cli.tidy.rows import COUNTS, Block, blocks, utf8

if TYPE_CHECKING:
    from convergence_cli.model import Run

GROUP_ROWS = 1 << 17


class _Counting:
    """A stream that knows where it is: a pipe does not."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._written = stream, 0
        self.closed = False

    def write(self, data: Any) -> int:
        self._stream.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.closed = True


def write_parquet(runs: Sequence[Run], sink: IO[bytes]) -> None:
    """``runs`` as one Parquet file. Raises ``UsageError`` where pyarrow is not installed."""
    pa, pq = pyarrow_modules()
    about = [{"run": utf8(run.name), **about_data(run)} for run in runs]
    schema = pa.schema(
        [(name, _type(pa, name)) for name in COLUMNS], metadata={METADATA_KEY: json.dumps(about).encode()}
    )
    with pq.ParquetWriter(_Counting(sink), schema, compression="snappy") as writer:
        for group in _groups(pa, schema, runs):
            writer.write_table(group)


def pyarrow_modules() -> tuple[Any, Any]:
    """``pyarrow`` and its ``parquet``. Raises ``UsageError`` where it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            "Parquet is written by pyarrow, which is not installed.",
            "Install: pip install 'convergence-cli[parquet]', or choose another --format: csv, jsonl, sqlite.",
        ) from error


def _type(pa: Any, name: str) -> Any:
    if name in TEXTS:
        return pa.dictionary(pa.int32(), pa.string())
    return pa.int64() if name in COUNTS else pa.float64()


def _groups(pa: Any, schema: Any, runs: Sequence[Run]) -> Iterator[Any]:
    """Tables of about ``GROUP_ROWS`` rows: a row group for each short series would cost more than its points."""
    waiting: list[Any] = []
    rows = 0
    for run in runs:
        for block in blocks(run):
            waiting.append(_batch(pa, schema, run.name, block))
            rows += len(block)
            if rows >= GROUP_ROWS:
                yield pa.Table.from_batches(waiting).unify_dictionaries()
                waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting).unify_dictionaries()


def _batch(pa: Any, schema: Any, run: str, block: Block) -> Any:
    columns = []
    for field in schema:
        if field.name in TEXTS:
            text = run if field.name == "run" else block.text(field.name)
            columns.append(_same(pa, utf8(text), len(block)))
        elif field.name in ("value", "step"):
            columns.append(pa.array(block.numbers[field.name], field.type))
        else:
            columns.append(pa.array(block.cells(field.name), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _same(pa: Any, text: str, rows: int) -> Any:
    indices = pa.array([0 if text else None] * rows, pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array([text] if text else [], pa.string()))
