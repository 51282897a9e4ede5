"""Trains a built ``Training``; gives what it logged, and what it really did."""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from convergence_cli import Recorder
from zoo.log import Log

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.building import Training

PROBES = 80
PROBE_ROWS = 400
RECORDED = 10


@dataclass(slots=True)
class Trace:
    """What a training really did: losses of fixed rows in evaluation mode, ``PROBES`` times over the planned run.

    No log has these. They are in the unit that was trained on, whatever the log shows. ``constant`` is the loss of the
    best model that ignores its input, None where it is not comparable with the loss that was trained on. ``planned``
    counts the steps asked for, ``nonfinite_from`` is the first step whose training loss was not finite, with no finite
    one after it.
    """

    step: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    val: list[float] = field(default_factory=list)
    constant: float | None = None
    planned: int = 0
    nonfinite_from: int | None = None

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def optimizer_of(training: Training) -> torch.optim.Optimizer:
    """The optimizer over all parameters but the frozen ones."""
    plan = training.plan
    owned = [p for name, p in training.model.named_parameters() if name not in training.frozen]
    rate, decay = training.learning_rate, plan.weight_decay
    if plan.optimizer in ("SGD", "momentum"):
        momentum = 0.9 if plan.optimizer == "momentum" else 0.0
        return torch.optim.SGD(owned, lr=rate, momentum=momentum, weight_decay=decay)
    kind = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW, "RMSprop": torch.optim.RMSprop}[plan.optimizer]
    return kind(owned, lr=rate, weight_decay=decay)


def train(training: Training, recorded: Path | None = None) -> tuple[Log, Trace]:
    """Trains on one thread. ``recorded``: the folder for our recorder's file, None to go without."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _Run(training, recorded).train()
    finally:
        torch.set_num_threads(threads)


class _Run:
    def __init__(self, training: Training, recorded: Path | None) -> None:
        self.training, self.plan, self.data, self.model = training, training.plan, training.data, training.model
        torch.manual_seed(self.plan.seed + 1)
        self.optimizer = optimizer_of(training)
        self.recorded = recorded
        if self.plan.logged == "epochs" and self.plan.steps < 3 * training.steps_per_epoch:
            # Nobody logs once an epoch where there are hardly any.
            self.plan.logged = "windows"
        self.log = Log(per_epoch=self.plan.logged == "epochs", config=_config(training))
        comparable = self.plan.loss == "default" and not self.plan.smoothing
        self.trace = Trace(constant=self.data.constant_loss if comparable else None, planned=self.plan.steps)
        self.order = torch.Generator().manual_seed(self.plan.seed + 2)
        self.redraw = torch.Generator().manual_seed(self.plan.seed + 3)
        self.queue = torch.empty(0, dtype=torch.long)
        self.window: list[tuple[float, float | None]] = []
        self.best, self.waited = math.inf, 0
        self.every = max(self.plan.steps // self.plan.points, 1)
        per_epoch = self.plan.logged == "epochs"
        self.every_val = training.steps_per_epoch if per_epoch else max(self.plan.steps // self.plan.evaluations, 1)
        self.accurate = self.plan.with_accuracy and self.data.task == "classes"
        rows = self.plan.val_rows or len(self.data.x_val)
        self.held = (self.data.x_val[:rows], self.data.y_val[:rows])

    def train(self) -> tuple[Log, Trace]:
        for _ in range(self.plan.rehearsal):
            self._step(0, rehearsed=True)
        self._probe(0)
        probes = {round(i * self.plan.steps / PROBES) for i in range(1, PROBES + 1)}
        kept: tuple[int, Any, Any] | None = None
        crash = int(self.plan.steps * self.plan.resumed_at)
        recorder: Any = nullcontext()
        if self.recorded is not None:
            every = max(self.plan.steps // RECORDED, 1)
            recorder = Recorder(self.model, self.optimizer, out=self.recorded, every=every, config=self.log.config)
        with recorder:
            step, broken = 0, 0
            while step < self.plan.steps:
                step += 1
                loss = self._step(step)
                if self.recorded is not None and kept is None:
                    recorder.step(loss=loss)
                if step in probes:
                    self._probe(step)
                stop = self._write(step, loss)
                finite = math.isfinite(loss)
                self.trace.nonfinite_from = None if finite else self.trace.nonfinite_from or step
                broken = 0 if finite else broken + 1
                if broken > max(self.every, 3) and self.plan.stops_at_nan:
                    self._write(step, loss, last=True)
                    break
                if stop:
                    break
                if crash and step == int(0.8 * crash):
                    kept = (step, copy.deepcopy(self.model.state_dict()), copy.deepcopy(self.optimizer.state_dict()))
                if crash and step == crash and kept is not None:
                    step, crash = kept[0], 0
                    self.model.load_state_dict(kept[1])
                    self.optimizer.load_state_dict(kept[2])
                    self.window.clear()
        return self.log, self.trace

    def _rows(self) -> tuple[Tensor, Tensor]:
        size = self.training.batch_size
        if len(self.queue) < size:
            self.queue = torch.randperm(len(self.data.x), generator=self.order)
        picked, self.queue = self.queue[:size], self.queue[size:]
        return self.data.x[picked], self.data.y[picked]

    def _step(self, step: int, rehearsed: bool = False) -> float:
        training = self.training
        x, y = self._rows()
        if not rehearsed:
            for change in training.before_step:
                change(step)
            x, y = training.batch(step, x, y)
        self.model.train()
        output = self.model(x)
        loss = training.loss(output, y)
        if step % training.zero_every == 0:
            self.optimizer.zero_grad()
        loss.backward()
        if not rehearsed:
            for change in training.after_backward:
                change(step)
        norm = None
        if self.plan.clip is not None or self.plan.with_norm:
            owned = [p for p in self.model.parameters() if p.grad is not None]
            norm = float(torch.nn.utils.clip_grad_norm_(owned, self.plan.clip or math.inf))
        factor = 1.0 if rehearsed else training.schedule(step - 1)
        for group in self.optimizer.param_groups:
            group["lr"] = training.learning_rate * factor
        self.optimizer.step()
        if not rehearsed:
            for change in training.after_step:
                change(step)
            accuracy = float((output.argmax(-1) == y).float().mean()) if self.accurate else None
            self.window.append((loss.item(), accuracy))
            self.norm = norm
        return loss.item()

    def _write(self, step: int, loss: float, last: bool = False) -> bool:
        """Logs what is due at ``step``, or at the ``last`` in any case; whether the user's patience has ended."""
        log, epoch = self.log, step / self.training.steps_per_epoch
        first = step == 1 and self.plan.logged == "steps"
        turn = step % (self.training.steps_per_epoch if log.per_epoch else self.every) == 0
        if self.window and (turn or first or last):
            losses = [one for one, _ in self.window]
            value = loss if self.plan.logged == "steps" else math.fsum(losses) / len(losses)
            log.train_loss.append((step, epoch, self.training.shown(value)))
            if self.accurate and log.per_epoch:
                right = [one for _, one in self.window if one is not None]
                log.train_accuracy.append((step, epoch, sum(right) / len(right)))
            if self.plan.with_rate:
                log.learning_rate.append((step, epoch, self.optimizer.param_groups[0]["lr"]))
            if self.plan.with_norm and self.norm is not None:
                log.grad_norm.append((step, epoch, self.norm))
            self.window.clear()
        if last or step % self.every_val or not (self.plan.with_val or self.plan.patience):
            return False
        value, accuracy = self._evaluate(*self._held())
        if self.plan.with_val:
            log.val_loss.append((step, epoch, self.training.shown(value)))
            if accuracy is not None and self.accurate:
                log.val_accuracy.append((step, epoch, accuracy))
        self.waited = 0 if value < self.best else self.waited + 1
        self.best = min(self.best, value)
        return bool(self.plan.patience) and self.waited > self.plan.patience

    def _held(self) -> tuple[Tensor, Tensor]:
        if not self.plan.val_redrawn:
            return self.held
        picked = torch.randperm(len(self.data.x_val), generator=self.redraw)[: self.plan.val_rows]
        return self.data.x_val[picked], self.data.y_val[picked]

    def _evaluate(self, x: Tensor, y: Tensor) -> tuple[float, float | None]:
        self.model.eval()
        with torch.no_grad():
            output = self.model(x)
            loss = float(self.training.loss(output, y))
            accuracy = float((output.argmax(-1) == y).float().mean()) if self.data.task == "classes" else None
        return loss, accuracy

    def _probe(self, step: int) -> None:
        x, y = self.data.x[:PROBE_ROWS], self.data.y[:PROBE_ROWS]
        if step and self.trace.step and step <= self.trace.step[-1]:
            # Resumed: what was before is replaced by what comes now.
            keep = sum(one < step for one in self.trace.step)
            for series in (self.trace.step, self.trace.train, self.trace.val):
                del series[keep:]
        state = torch.get_rng_state()
        x, y = self.training.batch(-1, x, y)
        self.trace.step.append(step)
        self.trace.train.append(self._evaluate(x, y)[0])
        self.trace.val.append(self._evaluate(self.data.x_val, self.data.y_val)[0])
        torch.set_rng_state(state)


def _config(training: Training) -> dict[str, object]:
    plan = training.plan
    name = "SGD" if plan.optimizer == "momentum" else plan.optimizer
    config: dict[str, object] = {
        "optimizer": name,
        "learning_rate": training.learning_rate,
        "batch_size": training.batch_size,
        "max_steps": plan.steps,
        "weight_decay": plan.weight_decay,
        "seed": plan.seed,
    }
    if plan.optimizer == "momentum":
        config["momentum"] = 0.9
    if plan.logged == "epochs":
        config["epochs"] = max(plan.steps // training.steps_per_epoch, 1)
    if plan.with_classes and training.data.classes:
        config["num_classes"] = training.data.classes
    if plan.clip is not None:
        config["gradient_clip_norm"] = plan.clip
    return config
