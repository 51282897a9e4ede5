"""MLflow's SQLite store, ``mlflow.db`` or ``mlruns.db``, read without MLflow: one run a row of ``runs``.

Source of the layout: mlflow/store/tracking/dbmodels/models.py. There NaN is a value of 0 with ``is_nan``, and an
infinite value the largest double of its sign.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._mlflow_meta import Meta
from convergence_cli.readers._sqlite import Database, numbers_of, opened, tables, text_of
from convergence_cli.readers.config import MAX_KEYS, MAX_TEXT, canonical

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "mlflow"
MAX_RUNS = 10_000
MAX_SERIES = 200_000
MAX_NAME = 4096
_TABLES = frozenset(("metrics", "runs", "experiments"))
_METRICS = ("run_uuid", "key", "value", "timestamp")
_MILLISECONDS = 1e3
_LARGEST = sys.float_info.max
_SKIPPED = -1


def sniff(source: Source) -> float:
    """Certain where a database has MLflow's tables."""
    return 0.95 if tables(source).keys() >= _TABLES else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """The runs of each file that were not deleted, in the order in which they were begun."""
    del options
    return [run for source in sources for run in _read(source)]


@dataclass(slots=True)
class _Open:
    """A run on its way. ``ordered``: some of its points were placed by their time."""

    name: str
    collector: Collector = field(default_factory=Collector)
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bad: int = 0
    ordered: bool = False


@dataclass(slots=True)
class _Series:
    """One series of a run; ``stepless``: all its points have step 0, so that their time tells their order."""

    run: _Open
    name: str
    stepless: bool
    points: int = 0


def _read(source: Source) -> list[Run]:
    with opened(source) as database:
        for table, columns in (("metrics", _METRICS), ("runs", ("run_uuid", "name"))):
            database.need(table, *columns)
        runs, left_out = _runs_of(database)
        _read_params(database, runs)
        _read_metrics(database, runs)
    found = [_closed(run, source) for run in runs.values()]
    told = [run for run in found if run.curves]
    if not told:
        deleted = f" ({counted(left_out, 'run')} deleted)" if left_out else ""
        raise source.error(
            f"holds no logged metrics of any run{deleted}.", "Check that this is the tracking store of the run."
        )
    silent = len(found) - len(told)
    if silent:
        told[0] = told[0].noting(f"{counted(silent, 'run')} of the file logged no metrics and is left out")
    return told


def _runs_of(database: Database) -> tuple[dict[bytes, _Open], int]:
    """The runs by their identifier, and how many were deleted."""
    has = database.columns["runs"]
    wanted = [column if column in has else "NULL" for column in ("name", "status", "lifecycle_stage", "experiment_id")]
    experiments = _experiments(database)
    tags = _names_in_tags(database)
    runs: dict[bytes, _Open] = {}
    deleted = 0
    rows = database.rows(f"run_uuid, {', '.join(wanted)}", "runs", "ORDER BY rowid")
    for identifier, name, status, stage, experiment in rows:
        if not isinstance(identifier, bytes) or identifier in runs or len(runs) >= MAX_RUNS:
            continue
        if text_of(stage) == "deleted":
            deleted += 1
            continue
        shown = text_of(name) or tags.get(identifier, "") or text_of(identifier)
        run = runs[identifier] = _Open(shown[:MAX_TEXT])
        run.config["run_name"] = run.name
        place = experiments.get(experiment)
        run.notes.append(f"run {printable(run.name)}" + (f" of experiment {printable(place)}" if place else ""))
        run.notes += Meta(run.name, text_of(status)).notes
    return runs, deleted


def _experiments(database: Database) -> dict[Any, str]:
    if not database.columns.get("experiments", frozenset()) >= {"experiment_id", "name"}:
        return {}
    return {number: text_of(name)[:MAX_TEXT] for number, name in database.rows("experiment_id, name", "experiments")}


def _names_in_tags(database: Database) -> dict[bytes, str]:
    if not database.columns.get("tags", frozenset()) >= {"run_uuid", "key", "value"}:
        return {}
    rows = database.rows("run_uuid, value", "tags", "WHERE key = 'mlflow.runName'")
    return {identifier: text_of(name)[:MAX_TEXT] for identifier, name in rows if isinstance(identifier, bytes)}


def _read_params(database: Database, runs: dict[bytes, _Open]) -> None:
    if not database.columns.get("params", frozenset()) >= {"run_uuid", "key", "value"}:
        return
    for identifier, key, value in database.rows("run_uuid, key, value", "params"):
        run = runs.get(identifier)
        if run is not None and len(run.config) < MAX_KEYS and len(text_of(value)) <= MAX_TEXT:
            run.config[text_of(key)[:MAX_TEXT]] = text_of(value)


def _read_metrics(database: Database, runs: dict[bytes, _Open]) -> None:
    """Give the points of all runs to their collectors, in the order in which they were written."""
    has = database.columns["metrics"]
    step, is_nan = (column if column in has else "0" for column in ("step", "is_nan"))
    codes = _Codes(runs, _stepless(database) if "step" in has else None)
    for rows in database.select(f"run_uuid, key, value, timestamp, {step}, {is_nan}", "metrics", "ORDER BY rowid"):
        identifiers, keys, *columns = zip(*rows, strict=True)
        own = np.fromiter(map(codes.__getitem__, zip(identifiers, keys, strict=True)), np.int64, len(rows))
        _add(own, [numbers_of(column) for column in columns], codes.series)


class _Codes(dict[tuple[Any, Any], int]):
    """The number in ``series`` of each pair of run and key; ``_SKIPPED`` where it belongs to no run that is read."""

    def __init__(self, runs: dict[bytes, _Open], stepless: frozenset[tuple[Any, Any]] | None) -> None:
        super().__init__()
        self._runs, self._stepless = runs, stepless
        self.series: list[_Series] = []

    def __missing__(self, pair: tuple[Any, Any]) -> int:
        identifier, key = pair
        run = self._runs.get(identifier)
        code = _SKIPPED
        if run is not None and isinstance(key, bytes) and len(key) <= MAX_NAME and len(self.series) < MAX_SERIES:
            code = len(self.series)
            self.series.append(_Series(run, text_of(key), self._stepless is None or pair in self._stepless))
        if len(self) < 2 * MAX_SERIES:
            self[pair] = code
        return code


def _stepless(database: Database) -> frozenset[tuple[Any, Any]]:
    """The series whose last step is 0: no steps were given. ``latest_metrics`` has the highest step of each."""
    if not database.columns.get("latest_metrics", frozenset()) >= {"run_uuid", "key", "step"}:
        return frozenset()
    return frozenset(database.rows("run_uuid, key", "latest_metrics", "WHERE step = 0"))


def _add(own: Any, columns: list[Any], series: list[_Series]) -> None:
    """Append a block of rows: (values, which of them are numbers) of value, time, step and is_nan."""
    (value, known), (time, _), (step, stepped), (is_nan, _) = columns
    if (is_nan == 1).any():
        value = np.where(is_nan == 1, np.nan, value)
        known = None if known is None else known | (is_nan == 1)
    large = np.abs(value) >= _LARGEST
    if large.any():
        value[large] = np.copysign(np.inf, value[large])
    good = np.isfinite(step)
    for has in (known, stepped):
        if has is not None:
            good &= has
    order = np.argsort(own, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(own[order])) + 1):
        code = int(own[rows[0]])
        if code == _SKIPPED:
            continue
        one = series[code]
        kept = rows[good[rows]]
        one.run.bad += len(rows) - len(kept)
        if len(kept):
            _append(one, step[kept], value[kept], time[kept] / _MILLISECONDS)


def _append(series: _Series, step: FloatArray, value: FloatArray, time: FloatArray) -> None:
    if series.stepless:
        order = np.argsort(time, kind="stable")
        value, time = value[order], time[order]
        step = np.arange(series.points, series.points + len(value), dtype=np.float64)
    series.points += len(value)
    series.run.ordered |= series.stepless and series.points > 1
    series.run.collector.add(series.name, step, value, time=time)


def _closed(run: _Open, source: Source) -> Run:
    curves = tuple(replace(curve, file=source.shown) for curve in run.collector.curves())
    notes = [*source.notes, *run.notes]
    if run.ordered:
        notes.append("no steps were logged: points stand in the order of their timestamps")
    if run.bad:
        notes.append(f"skipped {counted(run.bad, 'point')} whose value or step is no number")
    if run.collector.dropped:
        notes.append(f"read the first {len(curves)} series; more were left out")
    return Run(run.name, source.shown, FORMAT, curves, canonical(run.config), tuple(notes))
