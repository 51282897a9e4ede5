"""A run as its log was when training first passed a step: everything that was written later is taken away."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import is_
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from convergence_cli.axis import axis_of, in_words_of
from convergence_cli.errors import UsageError

if TYPE_CHECKING:
    from convergence_cli.model import Curve, FloatArray, IntArray, Run
    from convergence_cli.tensor_stats import Confusion, LabelCounts, TensorStats, TokenCounts, TreeFacts

    Counted = TypeVar("Counted", LabelCounts, Confusion, TokenCounts, TreeFacts)


def as_of(run: Run, step: float) -> Run:
    """``run`` without what was logged after training first passed ``step``, and with a note that says so.

    ``step`` is in the unit of the run's own axis: steps, or epochs or rows where its log counts those (see
    ``axis_of``). Each curve ends before its first point, in the order of the log, that lies beyond ``step``; what
    a later restart logged at earlier steps goes as well. A curve kept as buckets ends at a whole bucket, and a peak
    within one that a restart ends is not seen. Curves of which nothing is left are dropped. Tensors are cut by
    their own steps; a dump does not tell which of them were written again after a restart.

    How the log is read (roles, axis, settings, the notes of its reader) stays that of the whole log.
    Raises ``UsageError`` where ``step`` is negative or not finite.
    """
    if not 0 <= step < math.inf:
        raise UsageError(f"A run cannot be judged as of step {step}.", "Give a number from 0 up.")
    passed = _passed(run, step)
    ends = [min(_end(curve, step), _end_at(curve, passed)) for curve in run.curves]
    curves = tuple(_first(curve, end) for curve, end in zip(run.curves, ends, strict=True) if end)
    tensors = None if run.tensors is None else _tensors_until(run.tensors, step)
    axis = axis_of(run)
    whole = tensors is run.tensors and len(curves) == len(run.curves) and all(map(is_, curves, run.curves))
    note = in_words_of(axis, _note(run, step))
    if run.notes and not whole:
        note += "; the other notes speak of the whole log"
    # Before the notes of the reader, of which a report shows only some. The axis, since a few points may not tell it.
    return replace(
        run,
        curves=curves,
        tensors=tensors,
        config={**run.config, "x": axis},
        notes=(note, *run.notes),
        goes_on=not whole,
    )


class _Passed(NamedTuple):
    """When the loss first passed the step: the place of that point in its file, and its time. None if unknown."""

    file: str | None
    line: float | None
    time: float | None


def _passed(run: Run, step: float) -> _Passed | None:
    """When the loss first passed ``step``; None where its own steps tell all, since it never goes back later.

    After a restart they do not: a validation loss that is logged seldom may not have passed the step before it.
    """
    main = run.curve("train_loss") or run.curve("val_loss")
    if main is None:
        return None
    end = _end(main, step)
    if not any(index > end for index in main.restarts):
        return None
    line, time = (None if column is None else float(column[end]) for column in (main.line, main.time))
    return _Passed(main.file, line, time)


def _end(curve: Curve, step: float) -> int:
    """How many points (or buckets) ``curve`` has before its first beyond ``step``."""
    beyond = curve.step > step
    if curve.buckets is not None:
        # The step goes back within such a bucket: its last is not its highest.
        beyond |= curve.buckets.first_step > step
    return _first_true(beyond)


def _end_at(curve: Curve, passed: _Passed | None) -> int:
    """How many points of ``curve`` were written before the loss ``passed``; all where that is not known."""
    column: FloatArray | IntArray | None = None
    if passed is not None:
        if passed.line is not None and curve.file == passed.file:
            column, mark = curve.line, passed.line
        if column is None and passed.time is not None:
            column, mark = curve.time, passed.time
    return len(curve.step) if column is None else _first_true(column > mark)


def _first_true(where: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int:
    return int(np.argmax(where)) if where.any() else len(where)


def _first(curve: Curve, end: int) -> Curve:
    """The first ``end`` points (or buckets) of ``curve``; itself where these are all."""
    if end == len(curve.step):
        return curve
    buckets = curve.buckets
    if buckets is not None:
        buckets = type(buckets)(*(getattr(buckets, name)[:end] for name in type(buckets).__slots__))
    return replace(
        curve,
        step=curve.step[:end],
        value=curve.value[:end],
        epoch=None if curve.epoch is None else curve.epoch[:end],
        time=None if curve.time is None else curve.time[:end],
        line=None if curve.line is None else curve.line[:end],
        restarts=tuple(index for index in curve.restarts if index < end),
        buckets=buckets,
    )


def _tensors_until(stats: TensorStats, step: float) -> TensorStats | None:
    """``stats`` up to ``step``; itself where that is all, None where it is nothing."""
    # Rows ascend by step.
    rows = int(np.searchsorted(stats.number("step"), step, side="right"))
    kept = replace(
        stats,
        texts={name: column[:rows] for name, column in stats.texts.items()},
        numbers={name: column[:rows] for name, column in stats.numbers.items()},
        quantiles=stats.quantiles[:rows],
        shape=stats.shape[:rows],
        labels=_until(stats.labels, step),
        confusions=_until(stats.confusions, step),
        tokens=_until(stats.tokens, step),
        trees=_until(stats.trees, step),
    )
    before, after = _size(stats), _size(kept)
    return stats if before == after else kept if after else None


def _until(items: tuple[Counted, ...], step: float) -> tuple[Counted, ...]:
    return tuple(item for item in items if item.step <= step)


def _size(stats: TensorStats) -> int:
    return len(stats) + sum(map(len, (stats.labels, stats.confusions, stats.tokens, stats.trees)))


def _note(run: Run, step: float) -> str:
    last = _last_step(run)
    if last is None:
        return f"as of step {step:.12g}"
    if step > last:
        return f"as of step {step:.12g}, which is past the end of the log at step {last:.12g}"
    return f"as of step {step:.12g} of {last:.12g}"


def _last_step(run: Run) -> float | None:
    """The highest step of the series that are read; of all where none is, of the dumps where there is none."""
    curves = [curve for curve in run.curves if curve.role] or run.curves
    columns = [curve.step for curve in curves] or ([] if run.tensors is None else [run.tensors.number("step")])
    highest = [float(column.max(initial=-math.inf, where=np.isfinite(column))) for column in columns]
    last = max(highest, default=-math.inf)
    return last if math.isfinite(last) else None
