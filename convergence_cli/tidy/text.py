"""Tidy rows as CSV and as JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from convergence_cli.codec import plain
from convergence_cli.printable import as_cell
from convergence_cli.readers._tidy_about import about_parts
from convergence_cli.readers._tidy_rows import ABOUT, COLUMNS, TEXTS
from convergence_cli.tidy.rows import Block, blocks, used_columns

if TYPE_CHECKING:
    from convergence_cli.model import Run


class TextSink(Protocol):
    """What rows are written to."""

    def write(self, text: str, /) -> int:
        """Append ``text``."""
        ...


def write_csv(runs: Sequence[Run], sink: TextSink) -> None:
    """``runs`` as CSV. Columns beyond the first seven are there where a row fills them; the last one says, in the
    first row of each run, what its rows cannot (its format, settings and notes, as JSON)."""
    columns = used_columns(runs)
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow((*columns, ABOUT))
    for run in runs:
        about = _about(run)
        for block in blocks(run):
            cells = [_shown(run, block, name) for name in columns]
            told = (json.dumps(part) if part else "" for part in _padded(about, len(block)))
            writer.writerows(zip(*cells, told, strict=True))


def write_jsonl(runs: Sequence[Run], sink: TextSink) -> None:
    """``runs`` as JSON lines: keys without a value are left out, NaN and infinities are strings."""
    for run in runs:
        about = _about(run)
        for block in blocks(run):
            texts = {"run": run.name, **{name: block.text(name) for name in TEXTS[1:]}}
            present = [name for name in COLUMNS if texts.get(name) or name in block.numbers]
            columns = [[texts[name]] * len(block) if name in texts else block.cells(name) for name in present]
            for row, part in zip(zip(*columns, strict=True), _padded(about, len(block)), strict=True):
                told = {key: plain(item) for key, item in zip(present, row, strict=True) if item is not None}
                sink.write(json.dumps(told | {ABOUT: part} if part else told, allow_nan=False) + "\n")


def _about(run: Run) -> Iterator[dict[str, Any]]:
    return about_parts(run, sum(len(curve.step) for curve in run.curves))


def _padded(parts: Iterator[dict[str, Any]], rows: int) -> Iterator[dict[str, Any] | None]:
    for _ in range(rows):
        yield next(parts, None)


def _shown(run: Run, block: Block, name: str) -> list[str]:
    if name in TEXTS:
        text = run.name if name == "run" else block.text(name)
        return [as_cell(text)] * len(block)
    return ["" if item is None else repr(item) for item in block.cells(name)]
