"""Where the records of a JSON log stand: the step, epoch and time of each, block after block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray
    from convergence_cli.readers._collect import Collector
    from convergence_cli.readers._json_table import Table

STEP_KEYS = (
    "trainer/global_step", "global_step", "_step", "step", "steps", "current_steps", "iter", "iteration",
    "num_updates", "timesteps_total", "training_iteration", "epoch",
)  # fmt: skip
_TIME_KEYS = ("_timestamp", "timestamp", "wall_time", "_runtime", "time_total_s")
_COMMON = 0.5
_MAX_EPOCHS = 1 << 16


@dataclass(frozen=True, slots=True)
class Layout:
    """What the keys of a log's first records say: its format, and the keys that place a record."""

    format: str
    step: str | None
    epoch: str | None
    time: str | None


def layout(records: Sequence[Mapping[str, Any]], table: Table, fallback: str) -> Layout:
    """The layout of a log from its first records, and ``tabulate`` of them."""
    keys = set[str]().union(*map(frozenset, {tuple(record) for record in records}))
    time = next((key for key in _TIME_KEYS if key in table), None)
    if "train/iter" in table and "train/epoch" in table:
        return Layout("mmcv", "train/iter", "train/epoch", time)
    if {"iter", "step", "data_time"} <= keys:
        # mmengine counts epochs under ``step`` in its validation rows; ``iter`` is the same count throughout.
        return Layout("mmcv", "iter", "epoch", time)
    format_ = fallback
    if {"current_steps", "total_steps"} <= keys:
        format_ = "llama-factory"
    elif "iteration" in keys and ({"total_loss", "eta_seconds"} & keys):
        format_ = "detectron2"
    elif "training_iteration" in keys and {"timesteps_total", "episode_reward_mean", "env_runners"} & keys:
        format_ = "rllib"
    counts = {key: len(table[key][0]) for key in STEP_KEYS if key in table}
    most = max(counts.values(), default=0)
    step = next((key for key in STEP_KEYS if counts.get(key, 0) > _COMMON * most), None)
    epoch = "epoch" if "epoch" in table else None
    if step is not None and step == epoch and _repeats(table):
        step = None
    return Layout(format_, step, epoch, time)


def _repeats(table: Table) -> bool:
    """Whether epochs hold several points of one series: then they cannot stand for the step."""
    at, epochs = table["epoch"]
    for name, (index, _) in table.items():
        if name != "epoch" and len(index) > 2:
            own = epochs[np.isin(at, index)]
            if len(own) > 2 and np.count_nonzero(np.diff(own) == 0) > _COMMON * len(own):
                return True
    return False


@dataclass(slots=True)
class Placing:
    """Carries the last step, epoch and row number from one block of records to the next."""

    layout: Layout
    prefix: str = ""
    rows: int = 0
    step: float = 0.0
    epoch: float = np.nan
    offset: float = 0.0
    largest: float = 0.0
    per_epoch: bool = False
    current: float = 0.0
    started: dict[float, float] = field(default_factory=dict)

    def add(self, table: Table, count: int, collector: Collector, lines: FloatArray | None = None) -> None:
        """Give the series of ``table`` (of ``count`` records) to ``collector``; ``lines`` is 1-based."""
        epoch = self._epochs(table, count)
        step = self._steps(table, count)
        if epoch is not None and self.layout.format == "mmcv" and self.layout.step == "train/iter":
            step = self._running(step, epoch)
        time = None
        if self.layout.time is not None and self.layout.time in table:
            time = np.full(count, np.nan)
            at, values = table.pop(self.layout.time)
            time[at] = values
        used = {self.layout.step, self.layout.epoch}
        if self.layout.format == "mmcv":
            used |= {"iter", "step", "val/iter", "val/epoch", "train/epoch", "epoch"}
        for name, (at, value) in table.items():
            if name not in used:
                collector.add(
                    self.prefix + name,
                    step[at],
                    value,
                    epoch=None if epoch is None else epoch[at],
                    time=None if time is None else time[at],
                    line=None if lines is None else lines[at],
                )
        self.rows += count

    def _epochs(self, table: Table, count: int) -> FloatArray | None:
        if self.layout.epoch is None:
            return None
        epoch = np.full(count, np.nan)
        for name in {self.layout.epoch, "val/epoch"} & table.keys():
            at, values = table[name]
            epoch[at] = values
        epoch = _filled(epoch, self.epoch)
        self.epoch = float(epoch[-1])
        return epoch

    def _steps(self, table: Table, count: int) -> FloatArray:
        if self.layout.step is None:
            return np.arange(self.rows, self.rows + count, dtype=np.float64)
        step = np.full(count, np.nan)
        if self.layout.step in table:
            at, values = table[self.layout.step]
            step[at] = values
        if self.layout.format == "mmcv" and self.layout.step == "train/iter":
            return step
        step = _filled(step, self.step)
        self.step = float(step[-1])
        return step

    def _running(self, iterations: FloatArray, epochs: FloatArray) -> FloatArray:
        """mmcv's ``iter`` may start again each epoch: count on from the largest one of the epoch before.

        Runs that count iterations throughout are known by an ``iter`` that goes on rising over epochs.
        A validation row, which has no training iteration, stands at the step before it.
        """
        step = np.empty(len(iterations))
        numbered = np.nan_to_num(epochs).tolist()
        for row, (iteration, epoch) in enumerate(zip(iterations.tolist(), numbered, strict=True)):
            if np.isfinite(iteration):
                self._enter(iteration, epoch)
                self.largest = max(self.largest, iteration)
                self.step = self.offset + iteration
            step[row] = self.step
        return step

    def _enter(self, iteration: float, epoch: float) -> None:
        if epoch in self.started:
            if epoch != self.current:
                self.offset, self.largest = self.started[epoch], 0.0
        elif self.started and (self.per_epoch or iteration <= self.largest):
            self.per_epoch = True
            self.offset += self.largest * max(epoch - self.current, 1.0)
            self.largest = 0.0
        if len(self.started) < _MAX_EPOCHS:
            self.started.setdefault(epoch, self.offset)
        self.current = epoch


def _filled(values: FloatArray, before: float) -> FloatArray:
    """``values`` with each entry that is not finite replaced by the last finite one, ``before`` at first."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    at = np.maximum.accumulate(np.where(finite, np.arange(len(values)), -1))
    return np.where(at >= 0, values[np.maximum(at, 0)], before)
