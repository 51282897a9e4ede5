"""The rows of a batch of history records as columns: each series, and the step, epoch and time of its points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.readers._collect import KEPT_POINTS, Collector
from convergence_cli.readers._json_table import number
from convergence_cli.readers._number_texts import parse_texts
from convergence_cli.readers._wandb_keys import MAX_KEYS, Keys
from convergence_cli.readers._wandb_record import About, Row, take, value_of
from convergence_cli.readers._wandb_sort import sort_records
from convergence_cli.readers._wandb_walk import NUMERIC, Part, step_fields, walk

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._wandb_frames import Batch
    from convergence_cli.readers._wandb_keys import ByteArray, IndexArray

_STEP, _EPOCH, _TIME = "_step", "epoch", "_timestamp"


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points of one series: the ``rows`` of the batch that log it, the values, and ``turn``: its place in the first."""

    rows: IndexArray
    values: FloatArray
    turn: int


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """(n,) each: the value of each row of the batch, NaN where there is none, and where there is one."""

    values: FloatArray
    has: npt.NDArray[np.bool_]


@dataclass(slots=True)
class Log:
    """What the batches have given so far; ``step`` and ``epoch`` are of the last row, ``counts`` of points by name."""

    collector: Collector
    about: About = field(default_factory=About)
    keys: Keys = field(default_factory=Keys)
    step: float = -1.0
    epoch: float = float("nan")
    malformed: int = 0
    counts: Counter[str] = field(default_factory=Counter)


def read_batch(batch: Batch, log: Log) -> None:
    """Take in the records of a batch, its history rows as columns where they are laid out as usual."""
    if not len(batch.start):
        return
    records = sort_records(batch)
    walked = walk(batch.octets, records.start, records.stop, log.keys)
    odd = walked.odd
    where, total = None, len(odd)
    places = np.empty(0, np.int64)
    rows: Sequence[Row] = ()
    if len(records.others) or odd.any():
        singles, rows = _one_by_one(batch, np.sort(np.append(records.others, records.history[odd])), log)
        place = _merged(records.history[~odd], singles)
        total = len(place)
        where = np.full(len(odd), -1, np.int64)
        where[~odd], places = np.split(place, [total - len(singles)])
    if not total:
        return
    points: dict[str, list[Points]] = {}
    times: list[Part] = []
    for number_of_name, parts in walked.columns.items():
        name = log.keys.names[number_of_name]
        if name == _TIME:
            times = parts
            continue
        found = _read_column(batch.octets, parts, where, name not in log.counts)
        if found is not None:
            points.setdefault(name, []).append(found)
    for name, found in _columns_of(rows, places):
        points.setdefault(name, []).append(found)
    inside = _spread(points.pop(_STEP, []), total)
    outside = inside.values
    if not np.isfinite(inside.values).all():
        outside = np.full(total, np.nan)
        outside[np.arange(total) if where is None else where[~odd]] = step_fields(walked)[~odd]
        outside[places] = [np.nan if row.step is None else row.step for row in rows]
    step = _steps(inside, outside, log.step)
    wanted = _timed(points, total, log)
    if not wanted.all():
        times = [some for part in times if len((some := part.among(wanted, where)).rows)]
    if times and (found := _read_column(batch.octets, times, where, False)) is not None:
        points.setdefault(_TIME, []).append(found)
    _hand_on(points, step, log)


def _timed(points: dict[str, list[Points]], total: int, log: Log) -> npt.NDArray[np.bool_]:
    """(total,): the rows of whose time anything is kept. A long series has none of its points."""
    wanted = np.zeros(total, np.bool_)
    for name, found in points.items():
        if log.counts.get(name, 0) <= 2 * KEPT_POINTS and not name.startswith("_"):
            for one in found:
                wanted[one.rows] = True
    return wanted


def _merged(one: IndexArray, two: IndexArray) -> IndexArray:
    """The places of ``one`` and then of ``two``, each ascending, among all of them in order."""
    order = np.argsort(np.concatenate((one, two)), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def _one_by_one(batch: Batch, indices: IndexArray, log: Log) -> tuple[IndexArray, Sequence[Row]]:
    """The rows of the records with those indices, and the index of each row's record."""
    at: list[int] = []
    about = log.about
    for index in indices.tolist():
        before = len(about.rows)
        try:
            take(batch.payload(index), about)
        except ValueError:
            log.malformed += 1
        at += [index] * (len(about.rows) - before)
    rows, about.rows = about.rows, []
    return np.array(at, np.int64), rows


def _read_column(octets: ByteArray, parts: list[Part], where: IndexArray | None, is_new: bool) -> Points | None:
    """The numbers among the items of one name, at the places that ``where`` gives their rows; None without any."""
    rows, place, length = (
        getattr(parts[0], name) if len(parts) == 1 else np.concatenate([getattr(part, name) for part in parts])
        for name in ("rows", "place", "length")
    )
    numeric = all(int(part.kind.min()) == NUMERIC for part in parts)
    turn = np.repeat([part.turn for part in parts], [len(part.rows) for part in parts]) if is_new else rows
    if where is not None:
        rows = where[rows]
        good = rows >= 0
        rows, place, length, turn = rows[good], place[good], length[good], turn[good]
    values, known = parse_texts(octets, place, length, _otherwise, numeric=numeric)
    if known is not None:
        rows, values, turn = rows[known], values[known], turn[known]
    if not len(rows):
        return None
    return Points(rows, values, int(turn[np.argmin(rows)]) if is_new else 0)


def _otherwise(text: bytes) -> float | None:
    return number(value_of(text))


def _columns_of(rows: Sequence[Row], places: IndexArray) -> Iterator[tuple[str, Points]]:
    """The series of rows that were read one at a time, at their places."""
    columns: dict[str, tuple[list[int], list[float], int]] = {}
    for place, row in zip(places.tolist(), rows, strict=True):
        for turn, (name, value) in enumerate(row.values.items()):
            at, values, _ = columns.setdefault(name, ([], [], turn))
            at.append(place)
            values.append(value)
    for name, (at, values, turn) in columns.items():
        yield name, Points(np.array(at, np.int64), np.array(values), turn)


def _hand_on(points: dict[str, list[Points]], step: FloatArray, log: Log) -> None:
    """Give the series to the collector, each point with the step, epoch and time of its row."""
    total = len(step)
    log.step = float(step[-1])
    extras = {}
    if _EPOCH in points or not np.isnan(log.epoch):
        extras["epoch"] = _held(_spread(points.pop(_EPOCH, []), total), log.epoch)
        log.epoch = float(extras["epoch"][-1])
    if _TIME in points:
        extras["time"] = _spread(points.pop(_TIME), total).values
    ordered = [(name, found) for name, found in points.items() if not name.startswith("_")]
    if not all(name in log.counts for name, _ in ordered):
        ordered.sort(key=lambda item: min((int(one.rows.min()), one.turn) for one in item[1]))
    for name, found in ordered:
        at, values = _in_order(found, total)
        if name in log.counts or len(log.counts) < MAX_KEYS:
            log.counts[name] += len(values)
        log.collector.add(name, step[at], values, **{key: extra[at] for key, extra in extras.items()})


def _in_order(found: list[Points], total: int) -> tuple[IndexArray | slice, FloatArray]:
    """The points by ascending row."""
    rows, values = found[0].rows, found[0].values
    if len(found) > 1:
        rows = np.concatenate([one.rows for one in found])
        values = np.concatenate([one.values for one in found])
    ascending = bool((rows[1:] > rows[:-1]).all())
    if len(rows) == total:
        if ascending:
            return slice(None), values
        ordered = np.empty(total)
        ordered[rows] = values
        return slice(None), ordered
    if ascending:
        return rows, values
    order = np.argsort(rows)
    return rows[order], values[order]


def _spread(found: list[Points], total: int) -> Spread:
    """One value a row."""
    values = np.full(total, np.nan)
    has = np.zeros(total, np.bool_)
    for one in found:
        values[one.rows] = one.values
        has[one.rows] = True
    return Spread(values, has)


def _steps(inside: Spread, outside: FloatArray, before: float) -> FloatArray:
    """The step of each row: its item, else the field outside the items, else one more than the row before.

    A step that is no number cannot be placed; the next whole one can.
    """
    step = np.where(inside.has, inside.values, outside)
    placed = np.isfinite(step)
    if placed.all():
        return step
    index = np.arange(len(step))
    last = np.maximum.accumulate(np.where(placed, index, -1))
    return np.where(last < 0, before + 1 + index, step[last] + (index - last))


def _held(given: Spread, before: float) -> FloatArray:
    """The last epoch that was given, at each row."""
    if given.has.all():
        return given.values
    last = np.maximum.accumulate(np.where(given.has, np.arange(len(given.has)), -1))
    return np.where(last < 0, before, given.values[last])
