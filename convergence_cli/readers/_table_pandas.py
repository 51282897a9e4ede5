"""The fast way to read a block of a big table: pandas' C parser, and None wherever it might misread."""

from __future__ import annotations

from typing import Any

import numpy as np

from convergence_cli.readers._table_cells import ABSENT, Column, parse_column


class _Bytes:
    """Bytes as a file. Not an ``io`` class: pandas would decode those to text and encode them again."""

    mode = "r"

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes."""
        size = len(self._data) if size < 0 else size
        taken, self._data = self._data[:size], self._data[size:]
        return bytes(taken)

    def __iter__(self) -> _Bytes:
        return self

    def __next__(self) -> bytes:
        raise StopIteration


def parse_block(block: bytes, width: int, delimiter: str, decimal: str) -> list[Column] | None:
    """The ``width`` columns of a block of lines that end with LF, one row a line; None where the slow way
    must look.

    That is: NUL bytes, remarks, blank lines, open quotes, rows that are too long, undecodable
    bytes, and rows without any number (which may be a second header).
    """
    if delimiter in ("", "|", decimal) or b"\0" in block or b"#" in block or (b'"' in block and block.count(b'"') % 2):
        return None
    line_ends = np.count_nonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    import pandas as pd

    tight = _is_tight(block, width, delimiter, int(line_ends))
    try:
        frame = pd.read_csv(
            _Bytes(block),  # type: ignore[call-overload]
            sep=r"\s+" if delimiter == " " else delimiter,
            header=None,
            # One more than there should be: what lands there are the cells of rows that are too long.
            names=list(range(width if tight else width + 1)),
            index_col=False,
            decimal=decimal,
            skipinitialspace=not tight,
            skip_blank_lines=False,
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
            engine="c",
        )
    except (ValueError, OverflowError, pd.errors.ParserWarning):
        return None
    if len(frame) != line_ends or not (tight or frame[width].isna().all()):
        return None
    columns = [_column(frame[index], decimal) for index in range(width)]
    masks = [column.present for column in columns if column.present is not None]
    if len(masks) == width and not np.logical_or.reduce(masks).all():
        return None
    return columns


def _is_tight(block: bytes, width: int, delimiter: str, lines: int) -> bool:
    """Whether the block has neither padding nor quotes and as many cells as its rows should have.

    Without a look for spaces and for a further column pandas needs half the time. A row that is too long then
    needs another that is too short, and pandas refuses it.
    """
    mark = delimiter.encode()
    first = block[: block.find(b"\n")]
    # Single bytes only: a search for two takes fifty times as long.
    return (
        len(mark) == 1
        and b'"' not in block
        and b" " not in block
        and np.count_nonzero(np.frombuffer(block, dtype=np.uint8) == mark[0]) == lines * (width - 1)
        and first.count(mark) == width - 1
    )


def _column(series: Any, decimal: str) -> Column:
    import pandas as pd

    kind = series.dtype.kind
    if kind in "iu":
        return Column(series.to_numpy(dtype=np.float64))
    if kind == "f":
        values = series.to_numpy(dtype=np.float64)
        absent = np.isnan(values)
        return Column(values, ~absent) if absent.any() else Column(values)
    if kind == "b":
        count = len(series)
        return Column(np.full(count, np.nan), np.zeros(count, dtype=np.bool_), count)
    codes, cells = pd.factorize(series.to_numpy(dtype=object))
    parsed = parse_column([str(cell) for cell in cells], decimal)
    there = codes >= 0
    if not len(cells):
        return Column(np.full(len(codes), np.nan), there)
    values = parsed.values[codes]
    known = there if parsed.present is None else there & parsed.present[codes]
    text = 0
    if parsed.text and parsed.present is not None:
        unknown = there & ~known
        absent = np.array([str(cell).strip("\"' \t").lower() in ABSENT for cell in cells])
        text = int(np.count_nonzero(unknown & ~absent[codes]))
    return Column(values, None if known.all() else known, text)
