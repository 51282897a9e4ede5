"""Delimited tables: CSV, TSV and their kin, as loggers, spreadsheets and hand-made scripts write them.

Layouts: https://lightning.ai (CSVLogger), https://keras.io/api/callbacks/csv_logger, Ultralytics
``results.csv``, CatBoost ``learn_error.tsv``, DVCLive ``plots/metrics``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.model import Run
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._guard import HEAD_BYTES
from convergence_cli.readers._table import detect
from convergence_cli.readers._table_reader import TableReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "csv"
# Below this, importing pandas costs more than it saves.
BIG_BYTES = 12 << 20
_BLOCK_BYTES = 4 << 20
_LOOKED_AT = 1 << 18


def sniff(source: Source) -> float:
    """0 for anything but a table, at most 0.8 for a table with a header that names a measure or a step."""
    layout = detect(source.head.decode("utf-8", "replace"), complete=source.size <= HEAD_BYTES)
    return 0.0 if layout is None else layout.score


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """A run for each table."""
    return [_read_table(source) for source in sources]


def _read_table(source: Source) -> Run:
    table: TableReader | None = None
    collector = Collector(source.shown)
    for block in source.line_blocks(_BLOCK_BYTES):
        if table is None:
            layout = detect(block[:_LOOKED_AT].decode("utf-8", "replace"), complete=len(block) <= _LOOKED_AT)
            if layout is None:
                break
            table = TableReader(layout, collector, source.path.stem, fast=source.size >= BIG_BYTES)
        table.feed(block)
    if table is None:
        raise source.error(
            "holds no table of numbers.", "Give a CSV or TSV file with a header line and one row a step."
        )
    table.close()
    curves = collector.curves()
    notes = [*source.notes, *table.notes()]
    if collector.dropped:
        notes.append(f"{len(collector.dropped):,} series beyond the first {len(curves):,} were left out")
    return Run(source.path.stem, source.shown, table.format, curves, {"x": table.x}, tuple(notes))
