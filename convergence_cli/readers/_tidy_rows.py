"""Tidy rows as they are written and gathered into runs again, whatever the file: CSV, JSON lines, Parquet or SQLite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.model import Buckets, Run
from convergence_cli.printable import counted
from convergence_cli.readers._collect import MAX_RESTARTS, MOST_POINTS, Collector
from convergence_cli.readers._json_table import number
from convergence_cli.readers._tidy_about import About
from convergence_cli.roles import ROLES, assign_roles

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import Curve, FloatArray, IntArray
    from convergence_cli.readers._guard import Source

    BoolArray = npt.NDArray[np.bool_]

FORMAT = "tidy"
MAX_RUNS = 1000
NEEDED = frozenset(("series", "step", "value"))
# A row of a series that was too long to keep every point stands for many: it has COUNT, and value is their mean.
COUNT = "count"
BUCKET = (COUNT, "nonfinite", "low", "high", "spread", "first_step", "first_nonfinite_step")
TEXTS = ("run", "series", "role", "file")
NUMBERS = ("step", "epoch", "value", "line", "time", "restart", *BUCKET)
# The order of columns: those that always were there come first.
COLUMNS = ("run", "series", "role", "step", "epoch", "value", "line", "time", "file", "restart", *BUCKET)
# What is said once a run stands in a column of its own, in the first rows of the run.
ABOUT = "about"
_MOST_COUNT = float(1 << 53)


@dataclass(frozen=True, slots=True)
class Key:
    """What the rows of a series share."""

    run: str
    series: str
    role: str = ""
    file: str = ""


@dataclass(slots=True)
class _Gathered:
    """One run on its way."""

    collector: _BucketCollector
    about: About = field(default_factory=About)
    roles: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


class _BucketCollector(Collector):
    """A collector that takes series that are buckets already."""

    def add_buckets(self, name: str, buckets: Buckets, restart: BoolArray) -> None:
        """Append ``buckets``, one a row; ``restart`` marks those in which the step goes back."""
        series = self._get(name)
        if series is None:
            return
        self._flush_rows(series)
        if series.pending:
            self._shrink(series, final=True)
        points = buckets.count + buckets.nonfinite
        ends = series.total + np.cumsum(points)
        series.restarts += (ends - points)[restart][: MAX_RESTARTS - len(series.restarts)].astype(np.int64).tolist()
        series.buckets.append(buckets)
        series.parts = {"step": [np.empty(0)], "value": [np.empty(0)]}
        series.total = int(ends[-1])
        series.last_step = float(buckets.last_step[-1])
        self._held += len(points)
        if sum(len(part.count) for part in series.buckets) > self._kept:
            self._shrink(series, final=False)
        if self._held > MOST_POINTS:
            self._shrink_all()


class TidyRuns:
    """The runs of one file, in the order in which they first appear."""

    def __init__(self, source: Source, shown: Callable[[str], str] = str) -> None:
        """``shown`` gives the name for one that is written in a cell."""
        self._source, self._shown = source, shown
        self._runs: dict[str, _Gathered] = {}
        self._left_out: set[str] = set()
        self._bad = 0

    def skip(self, rows: int) -> None:
        """Count ``rows`` that have no series, no step or no value."""
        self._bad += rows

    def about(self, run: str, told: object) -> None:
        """Take what is said of ``run``, once or in several parts."""
        gathered = self._get(run)
        if gathered is not None:
            gathered.about.add(told)

    def add(self, keys: Sequence[Key], codes: IntArray, numbers: Mapping[str, FloatArray], valued: BoolArray) -> None:
        """Append rows. ``codes`` says whose each is, an index in ``keys``; ``numbers`` has columns of ``NUMBERS``,
        NaN where a cell is empty; ``valued`` is False where ``value`` was not written (NaN there was logged)."""
        good = valued & np.isfinite(numbers["step"]) & (codes >= 0)
        if COUNT in numbers:
            good &= _is_sound(numbers)
        self._bad += int(len(good) - good.sum())
        order = np.argsort(codes, kind="stable")
        order = order[good[order]]
        bounds = np.flatnonzero(np.diff(codes[order])) + 1
        for rows in np.split(order, bounds):
            if len(rows):
                self._add_series(keys[int(codes[rows[0]])], {name: column[rows] for name, column in numbers.items()})

    def runs(self, *, torn: bool = False) -> list[Run]:
        """What was gathered. Raises ``SourceError`` where that is nothing."""
        found = [self._run(name, one, torn) for name, one in self._runs.items()]
        found = [run for run in found if run.curves]
        if not found:
            raise self._source.error(
                "holds no rows with a series, a step and a value.", "Write it again with 'ctroubleshoot ingest'."
            )
        return found

    def _get(self, run: str) -> _Gathered | None:
        run = run or self._source.path.stem
        gathered = self._runs.get(run)
        if gathered is None:
            if len(self._runs) >= MAX_RUNS:
                self._left_out.add(run)
                return None
            gathered = self._runs[run] = _Gathered(_BucketCollector(self._source.shown))
        return gathered

    def _add_series(self, key: Key, numbers: Mapping[str, FloatArray]) -> None:
        gathered = self._get(key.run)
        if gathered is None:
            return
        name = self._shown(key.series)
        if key.role in ROLES and key.role not in gathered.roles.values():
            gathered.roles.setdefault(name, key.role)
        if key.file:
            gathered.files.setdefault(name, self._shown(key.file))
        whole = np.isnan(numbers[COUNT]) if COUNT in numbers else np.ones(len(numbers["step"]), dtype=bool)
        for rows in np.split(np.arange(len(whole)), np.flatnonzero(np.diff(whole)) + 1):
            part = {column: values[rows] for column, values in numbers.items()}
            if whole[rows[0]]:
                extras = {extra: part.get(extra) for extra in ("epoch", "time", "line")}
                gathered.collector.add(name, part["step"], part["value"], **extras)
            else:
                restart = part.get("restart", np.zeros(len(rows)))
                gathered.collector.add_buckets(name, _buckets(part), restart > 0)

    def _run(self, name: str, gathered: _Gathered, torn: bool) -> Run:
        every = gathered.collector.curves()
        names = {curve.name for curve in every}
        # A sum of component losses was made by whoever wrote the rows, and is made anew.
        curves = tuple(
            replace(curve, role=gathered.roles.get(curve.name), file=gathered.files.get(curve.name, curve.file))
            for curve in every
            if " + " not in curve.name or not names.issuperset(curve.name.split(" + "))
        )
        told = gathered.about
        config = told.config if told.complete else {"x": "epoch" if all(map(_counts_epochs, curves)) else "step"}
        run = Run(self._shown(name), self._source.shown, told.format or FORMAT, curves, config, goes_on=told.goes_on)
        # So are the notes on it.
        anew = assign_roles(run).notes
        notes = [note for note in told.notes if note not in anew]
        return run.noting(*notes, *self._notes(gathered, len(every), torn))

    def _notes(self, gathered: _Gathered, series: int, torn: bool) -> list[str]:
        notes = list(self._source.notes)
        if self._bad:
            notes.append(f"skipped {counted(self._bad, 'row')} without a series, a step or a value")
        if torn:
            notes.append("the last line is cut off and was dropped")
        if self._left_out:
            notes.append(f"read the first {MAX_RUNS:,} runs; more were left out")
        if gathered.collector.dropped:
            notes.append(f"read the first {series:,} series; more were left out")
        return notes


def _is_sound(numbers: Mapping[str, FloatArray]) -> BoolArray:
    """Which rows are no bucket, or one that points can make up."""
    count = numbers[COUNT]
    nonfinite = np.nan_to_num(numbers.get("nonfinite", np.zeros(len(count))), nan=0.0)
    with np.errstate(invalid="ignore"):
        counted_ = (count >= 0) & (nonfinite >= 0) & (count + nonfinite >= 1) & (count + nonfinite <= _MOST_COUNT)
        whole = (np.floor(count) == count) & (np.floor(nonfinite) == nonfinite)
        value, low, high, spread = (_column(numbers, name) for name in ("value", "low", "high", "spread"))
        # A mean may lie beside the extremes by its rounding.
        ordered = (low <= high) & ~np.isnan(value) & ~(spread < 0)
        first, bad = _column(numbers, "first_step"), _column(numbers, "first_nonfinite_step")
        placed = np.isfinite(first) & (np.isfinite(bad) == (nonfinite > 0))
    sound: BoolArray = np.isnan(count) | (counted_ & whole & placed & (ordered | (count == 0)))
    return sound


def _buckets(part: Mapping[str, FloatArray]) -> Buckets:
    empty = part[COUNT] == 0
    low, high, mean, spread = (
        np.where(empty, np.nan, _column(part, name)) for name in ("low", "high", "value", "spread")
    )
    nonfinite = np.nan_to_num(_column(part, "nonfinite"), nan=0.0)
    first, bad = _column(part, "first_step"), _column(part, "first_nonfinite_step")
    return Buckets(part[COUNT], nonfinite, low, high, mean, spread, first, part["step"], bad)


def _column(numbers: Mapping[str, FloatArray], name: str) -> FloatArray:
    column = numbers.get(name)
    return np.full(len(numbers["step"]), np.nan) if column is None else column


def _counts_epochs(curve: Curve) -> bool:
    return curve.epoch is not None and bool(np.array_equal(curve.epoch, curve.step))


def as_numbers(cells: Sequence[Any]) -> FloatArray:
    """``cells`` as numbers, NaN where one is none."""
    kinds = set(map(type, cells))
    if kinds == {str} and not any(cells):
        return np.full(len(cells), np.nan)
    try:
        if kinds <= {int, float} or (kinds == {str} and not any("_" in cell for cell in cells)):
            return np.fromiter(cells, np.float64, len(cells))
        if kinds <= {int, float, type(None)}:
            return np.array(cells, dtype=np.float64)
    except (ValueError, OverflowError):
        pass
    found = map(number, cells)
    return np.fromiter((np.nan if one is None else one for one in found), np.float64, len(cells))
