"""Puts records together into runs: gives each its step, and splits a file that holds several runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convergence_cli.model import Run
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._text_finish import SEVERAL, known_roles, named, notes_of, one_process, with_entropy
from convergence_cli.readers._text_open import EVALUATED, OpenRun, Trace, back_at_start, changed, stood
from convergence_cli.readers._text_words import is_metric, is_rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._text_record import Record

MAX_RUNS = 1000
# A step at most this share of the run so far counts as its beginning.
_NEAR_START = 0.02


class Assembler:
    """Collects the records of one file into runs, in log order."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path
        self._runs: list[OpenRun] = []
        self.run = OpenRun(Collector(file=path))
        self._held: tuple[Record, int, int | None] | None = None
        self._fresh = False
        self._fragment = False
        self.form = "text"
        self._pending_config: dict[str, Any] = {}

    def header(self) -> None:
        """A line that programs print when they start afresh was met."""
        self._fresh = True

    def fragment(self) -> None:
        """A quoted piece of a log begins: it may be of another run, or of an earlier time of this one."""
        self.release()
        self._fragment = True

    def configured(self, values: Mapping[str, Any]) -> None:
        """Settings printed before the first point belong to the run, those between runs to the next."""
        target = self._pending_config if self.run.points else self.run.config
        for key, value in values.items():
            target.setdefault(key, value)

    def place(self, step: float | None, epoch: float | None) -> None:
        """A line said where the run is, without measuring anything."""
        if epoch is not None:
            self.release()
            self.run.epoch = epoch
            if self.run.base is None:
                self.run.base = 0.0 if epoch == 0 else 1.0
        if step is not None:
            self.run.header_step = step

    def hold(self, record: Record, line: int, rank: int | None = None) -> None:
        """A state of a progress bar that only counts if it is the bar's last."""
        held = self._held
        if held is not None and held[0].step is not None and record.step is not None:
            goes_on = record.step >= held[0].step and record.epoch == held[0].epoch
            if not goes_on or record.total != held[0].total:
                self.release()
        self._held = (record, line, rank)

    def amend(self, values: Mapping[str, float]) -> bool:
        """Give the held bar ``values`` that a line below it sums up; False where none is held."""
        if self._held is None:
            return False
        record, line, rank = self._held
        self._held = (replace(record, values={**record.values, **values}), line, rank)
        return True

    def release(self) -> None:
        """The held bar is over: its last state counts."""
        if self._held is not None:
            (record, line, rank), self._held = self._held, None
            if record.step is not None and record.total is not None and record.step < record.total - 1:
                self.run.notes["the last state of an unfinished progress bar counts as its epoch"] = None
            self._add(record, None, record.epoch, line, rank)

    def add(self, record: Record, line: int, rank: int | None = None) -> None:
        """One record, in log order."""
        if (record.bare or self._counts_apart(record)) and all(name.startswith(EVALUATED) for name in record.values):
            self.hold(record, line, rank)
            return
        self.release()
        if record.rates_only and record.step is None and record.epoch is None and not self.run.points:
            return
        self._add(record, record.step, record.epoch, line, rank)

    def _counts_apart(self, record: Record) -> bool:
        """Whether the step of a record counts towards another total than that of training, as an evaluation's does."""
        total = self.run.raw_total
        return record.total is not None and total is not None and record.total != total

    def _add(self, record: Record, step: float | None, epoch: float | None, line: int, rank: int | None) -> None:
        run = self.run
        values = self._of_first_rank(record.values, rank)
        if not values:
            return
        if (step is not None or epoch is not None) and run.axis == "row" and run.points == len(run.traces):
            # Values named once, before the first step, are settings (average_loss: 20), not measurements.
            config = {**run.config, **self._pending_config}
            self.run = run = OpenRun(Collector(file=self._path), config=config, epoch=run.epoch, base=run.base)
            self._pending_config = {}
        at = self._global(step, epoch, record)
        placed = at if at is not None else self._stepless(epoch, values)
        if self._begins_anew(values, placed):
            self._next_run()
            self._add(record, step, epoch, line, rank)
            return
        if at is not None:
            run.axis, run.header_step = "step", None
        shown = epoch if epoch is not None else run.epoch
        if record.display:
            values = changed(run, values, placed, shown, line, ended=step is not None and step == record.total)
        fresh = {name: value for name, value in values.items() if not self._repeats(name, placed, value)}
        if epoch is not None and step is not None:
            run.epoch = epoch
        run.collector.add_row(fresh, placed, epoch=shown, line=line)
        for name, value in fresh.items():
            trace = run.traces.get(name)
            if trace is None:
                run.traces[name] = Trace(value, value, placed, rank, shown)
            else:
                trace.last_value, trace.last_step, trace.epoch = value, placed, shown
        run.points += len(fresh)
        run.anchored += step is not None or epoch is not None
        run.first_step = min(run.first_step, placed)
        run.top_step = max(run.top_step, placed)
        run.last_step = placed
        self._fresh = self._fragment = False

    def add_columns(self, step: FloatArray, columns: Mapping[str, FloatArray], line: FloatArray) -> None:
        """Many records of one skeleton at once; the caller made sure with ``takes_columns`` that they fit."""
        run = self.run
        for name, value in columns.items():
            run.collector.add(name, step, value, line=line)
            trace = run.traces.get(name)
            if trace is None:
                trace = run.traces[name] = Trace(float(value[0]), 0.0, 0.0, None)
            trace.last_value, trace.last_step = float(value[-1]), float(step[-1])
        run.points += step.size * len(columns)
        run.anchored += step.size
        run.last_step = run.top_step = float(step[-1])
        run.raw = float(step[-1])
        self._fresh = self._fragment = False

    def takes_columns(self, first_step: float) -> bool:
        """Whether records from ``first_step`` on, ascending, with a step and no epoch, need no other care."""
        run = self.run
        return (
            self._held is None
            and run.axis == "step"
            and run.epoch is None
            and run.header_step is None
            and run.offset == 0.0
            and first_step > run.top_step
            and run.raw == run.last_step
            and all(trace.rank is None for trace in run.traces.values())
        )

    def _of_first_rank(self, values: dict[str, float], rank: int | None) -> dict[str, float]:
        """Only what the process prints that logged a series first: the others repeat it."""
        if rank is None:
            return values
        traces = self.run.traces
        kept = {name: v for name, v in values.items() if name not in traces or traces[name].rank == rank}
        if len(kept) < len(values):
            self.run.notes[SEVERAL] = None
        return kept

    def _global(self, step: float | None, epoch: float | None, record: Record) -> float | None:
        """The step since the start of the run, also where the log counts within each epoch."""
        run = self.run
        if step is None:
            return None
        now = epoch if epoch is not None else run.epoch
        if now is not None and now != int(now):
            now = None
        if now is not None and run.base is None:
            run.base = 0.0 if now == 0 else 1.0
        before, last = run.raw_epoch, run.raw
        fell = last is not None and step < last
        if now is not None and record.bare and run.within_epoch is None:
            run.within_epoch = True
        if now is not None and before is not None and now > before:
            if fell and run.within_epoch is None:
                run.within_epoch = True
            elif run.within_epoch and record.total and last is not None and last < min(step, record.total):
                run.within_epoch = last >= 0.9 * record.total
            if run.within_epoch and not record.total and last is not None:
                run.offset += last + run.raw_gap
        if now is not None and run.within_epoch and record.total:
            run.offset = (now - (run.base or 0.0)) * record.total
        elif now is None and record.bare and fell and record.total and last is not None:
            # A bar an epoch, without the epoch's number: the next bar goes on where the last one ended.
            ended = last >= 0.9 * record.total and record.total == run.raw_total
            run.offset += record.total if ended and not self._fresh else 0.0
        if last is not None and step > last:
            run.raw_gap = step - last
        run.raw_epoch, run.raw, run.raw_total = now, step, record.total
        return step + (run.offset if (run.within_epoch or (record.bare and now is None)) else 0.0)

    def _stepless(self, epoch: float | None, values: Mapping[str, float]) -> float:
        """The step of a record that gives none: where the run is, its epoch, or the count of rows."""
        run = self.run
        if run.header_step is not None:
            return run.header_step
        if run.axis == "step":
            return run.last_step
        if run.axis != "row":
            known = epoch if epoch is not None else run.epoch
            if known is not None:
                run.axis = "epoch"
                return known
            if run.axis == "epoch":
                return run.last_step
            run.axis = "row"
            run.notes["the log gives no step: its lines are counted"] = None
        lasts = [run.traces[name].last_step for name in values if name in run.traces]
        run.row = max([run.row, *(last + 1 for last in lasts)])
        return run.row

    def _repeats(self, name: str, step: float, value: float) -> bool:
        trace = self.run.traces.get(name)
        return trace is not None and trace.last_step == step and self.run.axis != "row" and trace.shows(value)

    def _begins_anew(self, values: Mapping[str, float], step: float) -> bool:
        """Whether a record that goes back to the start belongs to another run.

        A resume goes back to a checkpoint, and on with its loss. Another run begins at the first step
        again, and says so (a header) or jumps back to the level that its loss had at the start.
        """
        run = self.run
        goes_back = any(name in run.traces and step < run.traces[name].last_step for name in values)
        if not goes_back or len(self._runs) >= MAX_RUNS:
            return False
        if self._fragment:
            return True
        if step > run.first_step + _NEAR_START * (run.top_step - run.first_step):
            return False
        return self._fresh or any(
            back_at_start(run.traces[name], value)
            for name, value in values.items()
            if name in run.traces and is_metric(name) and not is_rate(name)
        )

    def _next_run(self) -> None:
        self._runs.append(self.run)
        config = self._pending_config or self.run.config
        self.run = OpenRun(Collector(file=self._path), config=dict(config))
        self._pending_config = {}
        self._fresh = self._fragment = False

    def finish(self, notes: tuple[str, ...] = ()) -> list[Run]:
        """The runs read, those first in the file first."""
        self.release()
        opened = [run for run in [*self._runs, self.run] if run.points]
        runs = []
        for number, run in enumerate(opened, start=1):
            name = self._name if number == 1 else f"{self._name}#{number}"
            several = (f"the file holds {len(opened)} runs; this is number {number}",) if len(opened) > 1 else ()
            for series in run.traces:
                stood(run, series)
            curves = run.collector.curves()
            said: list[str | None] = []
            if run.axis == "step":
                told_apart = tuple(map(one_process, curves))
                said.append(SEVERAL if told_apart != curves else None)
                curves = told_apart
            if run.unnamed:
                curves, told = named(curves, run.unnamed)
                said.append(told)
            curves, derived = with_entropy(self.form, known_roles(self.form, curves))
            said.append(derived)
            told_of = notes_of((*several, *run.notes, *said, *notes))
            runs.append(Run(name, self._path, self.form, curves, run.config, told_of))
        return runs
