"""Gathers the points of a run as they are read, with memory that stays flat however long the log is."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.buckets import concatenate, halve, reduce_points
from convergence_cli.model import Buckets, Curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.model import FloatArray

KEPT_POINTS = 1 << 16
MAX_SERIES = 1000
MAX_RESTARTS = 1000
# Over all series of a run; beyond it each keeps a quarter as many points, again and again.
MOST_POINTS = 4 << 20
_FEWEST_KEPT = 256
_FLUSHED_ROWS = 4096
_EXTRAS = ("epoch", "time", "line")


@dataclass(slots=True)
class _Series:
    """One growing series: whole points up to ``KEPT_POINTS``, buckets of equal size beyond."""

    parts: dict[str, list[FloatArray]] = field(default_factory=dict)
    pending: int = 0
    total: int = 0
    size: int = 1
    buckets: list[Buckets] = field(default_factory=list)
    last_step: float = -np.inf
    restarts: list[int] = field(default_factory=list)
    rows: dict[str, array[float]] = field(default_factory=dict)


class Collector:
    """The series of one run. A value that was not logged is left out by the caller, never passed as NaN."""

    def __init__(self, file: str | None = None) -> None:
        self._file = file
        self._series: dict[str, _Series] = {}
        self._kept = KEPT_POINTS
        self._held = 0
        self.dropped: set[str] = set()

    def add(
        self,
        name: str,
        step: FloatArray,
        value: FloatArray,
        *,
        epoch: FloatArray | None = None,
        time: FloatArray | None = None,
        line: FloatArray | None = None,
    ) -> None:
        """Append points in log order; all arrays have one length. NaN and infinite values were logged so.

        The arrays are kept, not copied: the caller leaves them alone from now on.
        """
        if not len(value):
            return
        series = self._get(name)
        if series is None:
            return
        self._flush_rows(series)
        self._append(series, {"step": step, "value": value, "epoch": epoch, "time": time, "line": line})

    def add_row(
        self,
        values: Mapping[str, float],
        step: float,
        *,
        epoch: float | None = None,
        time: float | None = None,
        line: int | None = None,
    ) -> None:
        """Append one point to each named series: for readers that meet one record at a time."""
        extras = {"epoch": epoch, "time": time, "line": line}
        for name, value in values.items():
            series = self._get(name)
            if series is None:
                continue
            rows = series.rows
            if not rows:
                rows.update({key: array("d") for key in ("step", "value", *_EXTRAS)})
            rows["step"].append(step)
            rows["value"].append(value)
            for key, extra in extras.items():
                rows[key].append(np.nan if extra is None else extra)
            if len(rows["step"]) >= _FLUSHED_ROWS:
                self._flush_rows(series)

    def curves(self) -> tuple[Curve, ...]:
        """What was gathered, in the order in which the series were first seen."""
        for series in self._series.values():
            self._flush_rows(series)
        return tuple(self._curve(name, series) for name, series in self._series.items())

    def _get(self, name: str) -> _Series | None:
        series = self._series.get(name)
        if series is None:
            # A run that logs a thousand layers first still has its loss read.
            most = 2 * MAX_SERIES if "loss" in name.lower() else MAX_SERIES
            if len(self._series) >= most:
                if len(self.dropped) < MAX_SERIES:
                    self.dropped.add(name)
                return None
            series = self._series[name] = _Series()
        return series

    def _flush_rows(self, series: _Series) -> None:
        if series.rows:
            columns = {key: np.frombuffer(column, dtype=np.float64).copy() for key, column in series.rows.items()}
            series.rows = {}
            self._append(series, dict(columns))

    def _append(self, series: _Series, columns: Mapping[str, FloatArray | None]) -> None:
        step = np.ascontiguousarray(columns["step"], dtype=np.float64)
        back = step[1:] < step[:-1]
        if step[0] < series.last_step or back.any():
            where = np.flatnonzero(np.concatenate(([step[0] < series.last_step], back)))
            series.restarts += (series.total + where[: MAX_RESTARTS - len(series.restarts)]).tolist()
        series.last_step = float(step[-1])
        count = len(step)
        for key in ("step", "value") if series.buckets else ("step", "value", *_EXTRAS):
            column = columns.get(key)
            if column is None and key not in series.parts:
                continue
            kept = series.parts.setdefault(key, [])
            if not kept and series.total:
                kept.append(np.full(series.total, np.nan))
            kept.append(np.broadcast_to(np.nan, count) if column is None else np.asarray(column, dtype=np.float64))
        series.pending += count
        series.total += count
        self._held += count
        if series.total > self._kept and series.pending >= self._kept:
            self._shrink(series, final=False)
        if self._held > MOST_POINTS and self._kept > _FEWEST_KEPT:
            self._shrink_all()

    def _shrink_all(self) -> None:
        self._kept //= 4
        for series in self._series.values():
            if series.total > self._kept:
                self._shrink(series, final=False)
        self._held = sum(
            series.pending + sum(len(part.count) for part in series.buckets) for series in self._series.values()
        )

    def _shrink(self, series: _Series, *, final: bool) -> None:
        """Turn pending points into buckets; double the bucket size whenever there are too many."""
        step, value = (_joined(series.parts[key]) for key in ("step", "value"))
        if not series.buckets:
            while -(-series.pending // series.size) > self._kept:
                series.size *= 2
        count = series.pending if final else series.pending - series.pending % series.size
        if count:
            series.buckets.append(reduce_points(step[:count], value[:count], series.size))
            series.parts = {"step": [step[count:]], "value": [value[count:]]}
            series.pending -= count
        while sum(len(part.count) for part in series.buckets) > self._kept:
            series.buckets = [halve(concatenate(series.buckets))]
            series.size *= 2

    def _curve(self, name: str, series: _Series) -> Curve:
        if series.buckets:
            if series.pending:
                self._shrink(series, final=True)
            buckets = concatenate(series.buckets)
            ends = np.cumsum(buckets.count + buckets.nonfinite)
            restarts = tuple(sorted({int(i) for i in np.searchsorted(ends, series.restarts, side="right")}))
            return Curve(name, buckets.last_step, buckets.mean, file=self._file, restarts=restarts, buckets=buckets)
        columns = {key: _joined(parts) for key, parts in series.parts.items()}
        extras = (columns.get(key) for key in _EXTRAS)
        epoch, time, line = (None if column is None or np.isnan(column).all() else column for column in extras)
        return Curve(
            name,
            columns["step"],
            columns["value"],
            epoch=epoch,
            time=time,
            line=None if line is None else np.nan_to_num(line).astype(np.int64),
            file=self._file,
            restarts=tuple(series.restarts),
        )


def _joined(parts: list[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
