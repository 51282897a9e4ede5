"""Where the records of a JSON log stand: the step, epoch and time of each, block after block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._table_axes import STEP_NAMES, axis_name

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray
    from convergence_cli.readers._collect import Collector
    from convergence_cli.readers._json_table import Table

STEP_KEYS = (
    "time/total_timesteps", "trainer/global_step", "global_step", "_step", "step", "steps", "current_steps", "iter",
    "iteration", "num_updates", "timesteps_total", "training_iteration", "epoch",
)  # fmt: skip
_OTHER_STEPS = (
    "n_iter", "update", "trainer_step", "global_iter", "global_iteration", "global_steps", "env_step", "env_steps",
    "num_steps", "num_timesteps", "total_steps_done", "batch_num", "minibatch", "round", "generation",
)  # fmt: skip
_TIME_KEYS = ("_timestamp", "timestamp", "wall_time", "_runtime", "time_total_s", "time/time_elapsed")
# Counts and clocks beside the step, which are no series either.
_OTHER_AXES = {
    "mmcv": ("iter", "step", "val/step", "val/iter", "val/epoch", "train/epoch", "epoch"),
    "rllib": ("training_iteration", "timesteps_total", "time_total_s", "timestamp"),
    "stable-baselines3": ("time/total_timesteps", "time/iterations", "time/time_elapsed", "train/n_updates"),
}
_OTHER_AXES |= {"mmengine": _OTHER_AXES["mmcv"], "ray-tune": _OTHER_AXES["rllib"]}
_COMMON = 0.5
_MAX_EPOCHS = 1 << 16
# Beyond it, adding to a step would lose the step: such a number is no count.
_LONGEST_EPOCH = 1e12


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
    if is_mmengine(keys):
        return Layout("mmengine", "iter", "epoch" if "epoch" in table else None, time)
    format_ = fallback
    if {"current_steps", "total_steps"} <= keys:
        format_ = "llama-factory"
    elif "iteration" in keys and ({"total_loss", "eta_seconds"} & keys):
        format_ = "detectron2"
    elif "training_iteration" in keys and {"timesteps_total", "episode_reward_mean", "env_runners"} & keys:
        format_ = "rllib"
    elif {"training_iteration", "time_total_s"} <= keys:
        format_ = "ray-tune"
    elif {"time/total_timesteps", "time/time_elapsed"} <= keys:
        format_ = "stable-baselines3"
    counts = {key: len(table[key][0]) for key in STEP_KEYS if key in table}
    most = max(counts.values(), default=0)
    step = next((key for key in STEP_KEYS if counts.get(key, 0) > _COMMON * most), None)
    epoch = "epoch" if "epoch" in table else next((key for key in table if key.endswith("/epoch")), None)
    if step is not None and step == epoch and _repeats(table):
        step = None
    if step is None:
        step = _other_step(table, epoch)
    return Layout(format_, step, epoch, time)


def _other_step(table: Table, epoch: str | None) -> str | None:
    """A step under another name, or inside an object: it rises, but for where an epoch begins."""
    most = max(len(index) for index, _ in table.values()) if table else 0
    for name in (*STEP_KEYS[:-1], *STEP_NAMES, *_OTHER_STEPS):
        for key, (index, values) in table.items():
            if (key.endswith(f"/{name}") or axis_name(key) == name) and len(index) > _COMMON * most:
                moves = np.diff(values)
                back = np.flatnonzero(moves < 0)
                if np.count_nonzero(moves > 0) <= _COMMON * len(moves) or not np.isfinite(values).all():
                    continue
                if len(back) < 2 or (epoch is not None and epoch in table):
                    return key
    return None


def is_mmengine(keys: Set[str]) -> bool:
    """Whether a training record of MMEngine's ``LoggerHook`` has these keys; its validation records lack ``iter``."""
    return {"iter", "step", "data_time"} <= keys


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
class _Epoch:
    """The epoch that is being read: its number, its last logged step, and how far apart steps are."""

    epoch: float = -math.inf
    last: float = -math.inf
    spacing: float = 1.0


@dataclass(slots=True)
class Placing:
    """Carries the last step, epoch and row number from one block of records to the next."""

    layout: Layout
    prefix: str = ""
    rows: int = 0
    step: float = 0.0
    epoch: float = math.nan
    inside: _Epoch = field(default_factory=_Epoch)
    offset: float = 0.0
    per_epoch: bool = False
    started: dict[float, float] = field(default_factory=dict)

    def add(self, table: Table, count: int, collector: Collector, lines: FloatArray | None = None) -> None:
        """Give the series of ``table`` (of ``count`` records) to ``collector``; ``lines`` is 1-based."""
        epoch = self._epochs(table, count)
        step = self._steps(table, count, epoch)
        time = None
        if self.layout.time is not None and self.layout.time in table:
            time = np.full(count, np.nan)
            at, values = table.pop(self.layout.time)
            time[at] = values
        used = {self.layout.step, self.layout.epoch, *_OTHER_AXES.get(self.layout.format, ())}
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

    def _steps(self, table: Table, count: int, epoch: FloatArray | None) -> FloatArray:
        if self.layout.step is None:
            return np.arange(self.rows, self.rows + count, dtype=np.float64)
        step = np.full(count, np.nan)
        names = [self.layout.step]
        if self.layout.format == "mmengine" and epoch is None:
            # Validation counts epochs under ``step`` where training does, and iterations where it has no epochs.
            names.append("val/step")
        for name in names:
            if name in table:
                at, values = table[name]
                step[at] = values
        if epoch is None or self.layout.step == self.layout.epoch:
            step = _filled(step, self.step)
        else:
            step = self._running(step, epoch)
        self.step = float(step[-1])
        return step

    def _running(self, logged: FloatArray, epochs: FloatArray) -> FloatArray:
        """Count on where the logged step starts again each epoch: it is then the batch within the epoch.

        A step that goes back while the epoch does not rise is a restart and stays as it was logged. A
        record without a step stands where the one before it does.
        """
        filled = _filled(logged, self.inside.last)
        before = np.concatenate(([self.inside.last], filled[:-1]))
        if not (self.per_epoch or self.layout.format == "mmcv") and not np.any(filled < before):
            # Before the first logged step there is none to measure from: the filling is -inf there.
            gaps = np.diff(filled[np.isfinite(filled)])
            self.inside.spacing = float(gaps[gaps > 0][-1]) if np.any(gaps > 0) else self.inside.spacing
            self.inside.epoch, self.inside.last = float(np.nan_to_num(epochs[-1])), float(filled[-1])
            return _filled(logged, self.step)
        step = np.empty(len(logged))
        placed = self.step
        numbered = np.nan_to_num(epochs).tolist()
        for row, (at, epoch) in enumerate(zip(logged.tolist(), numbered, strict=True)):
            if math.isfinite(at):
                self._enter(at, epoch)
                placed = self.offset + at
            step[row] = placed
        return step

    def _enter(self, at: float, epoch: float) -> None:
        inside = self.inside
        # mmcv logs training rows alone under this count, so that an equal one is the next epoch's too.
        again = at < inside.last or (at == inside.last and self.layout.format == "mmcv")
        if epoch != inside.epoch and epoch in self.started:
            self.offset = self.started[epoch]
            self.inside = _Epoch(epoch, at, inside.spacing)
        elif epoch > inside.epoch and (self.per_epoch or (again and epoch.is_integer())):
            self.started.setdefault(inside.epoch, self.offset)
            self.per_epoch = True
            length = (inside.last - at + inside.spacing) * (epoch - inside.epoch)
            self.offset += length if 0 < length < _LONGEST_EPOCH else 0.0
            self.inside = _Epoch(epoch, at, inside.spacing)
            if len(self.started) < _MAX_EPOCHS:
                self.started[epoch] = self.offset
        else:
            if at > inside.last > -math.inf:
                inside.spacing = at - inside.last
            inside.epoch, inside.last = epoch, at


def _filled(values: FloatArray, before: float) -> FloatArray:
    """``values`` with each entry that is not finite replaced by the last finite one, ``before`` at first."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    at = np.maximum.accumulate(np.where(finite, np.arange(len(values)), -1))
    return np.where(at >= 0, values[np.maximum(at, 0)], before)
