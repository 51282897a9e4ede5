"""Trackio's SQLite files, one a project: each row of ``metrics`` is one call of ``trackio.log``, as JSON.

Source of the layout: trackio/sqlite_storage.py. NaN and infinite values are the texts "NaN", "Infinity" and
"-Infinity" there. Older files have no ``run_id``: the name of the run stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._json_lines import parse_line, parse_lines
from convergence_cli.readers._json_table import tabulate
from convergence_cli.readers._sqlite import Database, numbers_of, opened, tables, text_of
from convergence_cli.readers.config import MAX_TEXT, canonical

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._guard import ReadOptions, Source
    from convergence_cli.readers._json_table import Table

    IndexArray = npt.NDArray[np.int64]

FORMAT = "trackio"
MAX_RUNS = 10_000
_METRICS = ("run_name", "timestamp", "step", "metrics")
_EPOCH = "epoch"


def sniff(source: Source) -> float:
    """Certain where a database has Trackio's table of metrics."""
    return 0.95 if tables(source).get("metrics", frozenset()) >= set(_METRICS) else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """The runs of each file, in the order in which they were begun. System metrics and media are not read."""
    del options
    return [run for source in sources for run in _read(source)]


@dataclass(slots=True)
class _Open:
    """A run on its way; ``epoch`` is the last one that was logged."""

    name: str
    collector: Collector = field(default_factory=Collector)
    config: dict[str, Any] = field(default_factory=dict)
    epoch: float = float("nan")
    bad: int = 0


def _read(source: Source) -> list[Run]:
    runs: dict[Any, _Open] = {}
    with opened(source) as database:
        database.need("metrics", *_METRICS)
        has = database.columns["metrics"]
        identifier = "run_id" if "run_id" in has else "run_name"
        for rows in database.select(f"{identifier}, run_name, timestamp, step, metrics", "metrics", "ORDER BY rowid"):
            _take(rows, runs)
        _read_configs(database, runs)
    found = [run for open_run in runs.values() if (run := _closed(open_run, source)).curves]
    if not found:
        raise source.error(
            "holds no logged metrics of any run.", "Check that this is the database of the project (TRACKIO_DIR)."
        )
    return found


def _take(rows: Sequence[tuple[Any, ...]], runs: dict[Any, _Open]) -> None:
    """Append a block of rows, each run's in their order."""
    members: dict[Any, list[int]] = {}
    for index, row in enumerate(rows):
        members.setdefault(row[0], []).append(index)
    for identifier, indices in members.items():
        if identifier not in runs:
            if len(runs) >= MAX_RUNS:
                continue
            runs[identifier] = _Open(text_of(rows[indices[0]][1])[:MAX_TEXT])
        _append([rows[index] for index in indices], runs[identifier])


def _append(rows: Sequence[tuple[Any, ...]], run: _Open) -> None:
    _, _, times, steps, texts = zip(*rows, strict=True)
    records, at = _records(texts)
    step, known = numbers_of(steps)
    good = np.isfinite(step[at])
    if known is not None:
        good &= known[at]
    if not good.all():
        records = [record for record, fits in zip(records, good.tolist(), strict=True) if fits]
        at = at[good]
    run.bad += len(rows) - len(at)
    if not records:
        return
    step, time = step[at], _seconds(times)[at]
    table = tabulate(records)
    epoch = _epochs(table, len(records), run)
    for name, (index, value) in table.items():
        run.collector.add(name, step[index], value, epoch=None if epoch is None else epoch[index], time=time[index])


def _records(texts: Sequence[Any]) -> tuple[list[dict[str, Any]], IndexArray]:
    """The JSON object of each cell that holds one, without media, and the indices of those cells."""
    cells = [cell if isinstance(cell, bytes) else text_of(cell).encode("utf-8", "replace") for cell in texts]
    joined = b"\n".join(cells)
    block = parse_lines(joined)
    if block.total == len(cells) and len(block.records) == len(cells):
        records, at = block.records, np.arange(len(cells))
    else:
        parsed = [_record(cell) for cell in cells]
        at = np.array([index for index, record in enumerate(parsed) if record is not None], dtype=np.int64)
        records = [record for record in parsed if record is not None]
    if b'"_type"' in joined:
        records = [{key: value for key, value in record.items() if not _is_media(value)} for record in records]
    return records, at


def _record(cell: bytes) -> dict[str, Any] | None:
    try:
        record = parse_line(cell)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _is_media(value: object) -> bool:
    # Tables, histograms and images say what they are.
    return isinstance(value, dict) and "_type" in value


def _epochs(table: Table, count: int, run: _Open) -> FloatArray | None:
    """The epoch of each record, carried on from the last that was logged; None before the first."""
    found = table.pop(_EPOCH, None)
    if found is None and np.isnan(run.epoch):
        return None
    index, value = found if found is not None else (np.empty(0, np.int64), np.empty(0))
    last = np.full(count, -1)
    last[index] = np.arange(len(index))
    last = np.maximum.accumulate(last)
    epoch: FloatArray = np.append(value, run.epoch)[last]
    run.epoch = float(epoch[-1])
    return epoch


def _seconds(times: Sequence[Any]) -> FloatArray:
    """Seconds since 1970 of texts in ISO 8601, NaN where one is none. Rows of one flush share theirs."""
    known = {text: _second(text_of(text)) for text in set(times)}
    return np.array([known[text] for text in times])


def _second(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return float("nan")


def _read_configs(database: Database, runs: dict[Any, _Open]) -> None:
    has = database.columns.get("configs", frozenset())
    identifier = "run_id" if "run_id" in has and "run_id" in database.columns["metrics"] else "run_name"
    if not has >= {identifier, "config"}:
        return
    for whose, text in database.rows(f"{identifier}, config", "configs"):
        run = runs.get(whose)
        if run is not None:
            run.config.update(_record(text if isinstance(text, bytes) else b"") or {})


def _closed(run: _Open, source: Source) -> Run:
    curves = tuple(replace(curve, file=source.shown) for curve in run.collector.curves())
    notes = [*source.notes, f"run {printable(run.name)}"]
    if run.bad:
        notes.append(f"skipped {counted(run.bad, 'row')} without a JSON object or a step")
    if run.collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    return Run(run.name, source.shown, FORMAT, curves, canonical({**run.config, "run_name": run.name}), tuple(notes))
