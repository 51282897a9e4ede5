"""Tidy rows, one a point: what ``ctroubleshoot ingest`` writes, as CSV or as JSON lines."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.model import Run
from convergence_cli.printable import counted
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._json_lines import parse_line
from convergence_cli.readers._json_table import number

if TYPE_CHECKING:
    from convergence_cli.model import Curve
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "tidy"
MAX_RUNS = 1000
_NEEDED = frozenset(("series", "step", "value"))
_FORMULA = ("'=", "'+", "'-", "'@", "'\t", "'\r")
_BLOCK_BYTES = 1 << 20
_Cells = Callable[[str], Any]


def sniff(source: Source) -> float:
    """Certain where the header, or the first object, names a series, a step and a value."""
    return 0.95 if _cells_of(_first_line(source.head)) is not None else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """The runs of each file, in the order in which they first appear."""
    del options
    return [run for source in sources for run in _read(source)]


@dataclass(slots=True)
class _Points:
    """The points of one series in one block."""

    step: array[float] = field(default_factory=lambda: array("d"))
    epoch: array[float] = field(default_factory=lambda: array("d"))
    value: array[float] = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class _Tally:
    bad: int = 0
    torn: bool = False
    runs: set[str] = field(default_factory=set)


def _read(source: Source) -> list[Run]:
    cells = _cells_of(_first_line(source.head))
    collectors: dict[str, Collector] = {}
    tally = _Tally()
    begun = False
    for block in source.line_blocks(_BLOCK_BYTES):
        lines = block.decode("utf-8", "replace").splitlines()
        if not begun and lines and not lines[0].lstrip().startswith("{"):
            del lines[0]
        begun = True
        if lines and not block.endswith((b"\n", b"\r")) and not lines[-1].endswith("}"):
            # The value may be cut short, and a CSV row does not tell.
            del lines[-1]
            tally.torn = True
        if cells is not None:
            _take(lines, cells, collectors, tally, source)
    found = [_run(name, collector, source, tally, len(collectors)) for name, collector in collectors.items()]
    if not found:
        raise source.error("holds no rows with a series, a step and a value.", "Write it again with 'ingest'.")
    return found


def _take(lines: list[str], cells: _Cells, collectors: dict[str, Collector], tally: _Tally, source: Source) -> None:
    block: dict[tuple[str, str], _Points] = {}
    for line in lines:
        if not line.strip():
            continue
        row = cells(line)
        step, value = number(row.get("step")), number(row.get("value"))
        if step is None or value is None or not math.isfinite(step) or not isinstance(row["series"], str):
            tally.bad += 1
            continue
        points = block.setdefault((str(row.get("run") or source.path.stem), row["series"]), _Points())
        epoch = number(row.get("epoch"))
        points.step.append(step)
        points.epoch.append(math.nan if epoch is None else epoch)
        points.value.append(value)
    for (run, series), points in block.items():
        if run not in collectors:
            if len(collectors) >= MAX_RUNS:
                tally.runs.add(run)
                continue
            collectors[run] = Collector(source.shown)
        columns = (np.array(column, dtype=np.float64) for column in (points.step, points.value, points.epoch))
        step_, value_, epoch_ = columns
        collectors[run].add(_unescaped(series), step_, value_, epoch=epoch_)


def _run(name: str, collector: Collector, source: Source, tally: _Tally, count: int) -> Run:
    every = collector.curves()
    names = {curve.name for curve in every}
    # A sum of component losses was made by whoever wrote the rows, and is made anew.
    curves = tuple(c for c in every if " + " not in c.name or not names.issuperset(c.name.split(" + ")))
    notes = list(source.notes)
    if tally.bad:
        notes.append(f"skipped {counted(tally.bad, 'row')} without a series, a step or a value")
    if tally.torn:
        notes.append("the last line is cut off and was dropped")
    if tally.runs:
        notes.append(f"read the first {count:,} runs; more were left out")
    if collector.dropped:
        notes.append(f"read the first {len(every):,} series; more were left out")
    x = "epoch" if all(map(_counts_epochs, curves)) else "step"
    return Run(_unescaped(name), source.shown, FORMAT, curves, {"x": x}, tuple(notes))


def _counts_epochs(curve: Curve) -> bool:
    return curve.epoch is not None and bool(np.array_equal(curve.epoch, curve.step))


def _first_line(head: bytes) -> str:
    return next(iter(head.decode("utf-8", "replace").splitlines()), "")


def _cells_of(first: str) -> _Cells | None:
    """How a line becomes a mapping with the keys of ``first``; None where that is of no tidy table."""
    if first.lstrip().startswith("{"):
        return _object if _object(first).keys() >= _NEEDED else None
    header = [cell.strip().lower() for cell in _split(first)]
    if not set(header) >= _NEEDED or len(set(header)) < len(header):
        return None

    def row(line: str) -> dict[str, str]:
        split = _split(line)
        return dict(zip(header, split, strict=True)) if len(split) == len(header) else {}

    return row


def _object(line: str) -> dict[str, Any]:
    try:
        found = parse_line(line.encode("utf-8", "replace"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _split(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    try:
        return next(iter(csv.reader([line])), [])
    except csv.Error:
        return []


def _unescaped(name: str) -> str:
    """``name`` without the quote that keeps a spreadsheet from taking it for a formula."""
    return name[1:] if name.startswith(_FORMULA) else name
