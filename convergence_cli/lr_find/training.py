"""One training at rates that are chosen step by step, and the loss on batches that it does not train on."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from convergence_cli.errors import UsageError
from convergence_cli.lr_find.ready import Ready, kind_of, moved
from convergence_cli.lr_find.refusals import broken_batch, check_loss, outputs_of, varies
from convergence_cli.lr_find.refused import refused

JUDGED_BATCHES = 8
# Of a short training set no more than a fifth is held out.
HELD_OUT_SHARE = 5
# At the usual momentum of 0.1 running statistics then hold 96 % of what they have seen.
SETTLING_BATCHES = 30


@dataclass(frozen=True, slots=True)
class Engine:
    """How the user trains: ``accumulate`` batches an update, ``precision`` (of ``PRECISIONS``, or none), the device."""

    accumulate: int = 1
    precision: str = ""
    device: torch.device | None = None


class Training:
    """A training of ``ready``; the first batches are held out where the user gives none to validate on."""

    def __init__(self, ready: Ready, engine: Engine) -> None:
        self.ready, self.engine = ready, engine
        self.ratios = ready.ratios
        own = device_of(ready.model)
        better = torch.device("cuda") if own.type == "cpu" and torch.cuda.is_available() else own
        self.device = engine.device or better
        if self.device != own:
            ready.model.to(self.device)
        ready.model.train()
        self.last_batch: Any = None
        self.batches = 0
        self.steps = 0
        self.dead = False
        self._stream = self._endless()
        self.held = self._held_out_batches()
        self.seen: list[Any] = []
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=engine.precision == "fp16")

    def _held_out_batches(self) -> list[Any]:
        """Of the user's own, else the first of the training's, which are not trained on in the first pass."""
        if self.ready.val_loader is not None:
            batches = without_workers(self.ready.val_loader)
            return [batch for batch, _ in zip(batches, range(JUDGED_BATCHES), strict=False)]
        try:
            length = len(self.ready.loader)  # type: ignore[arg-type]
        except TypeError:
            # A stream has no length, though its loader has the method.
            length = 0
        count = max(min(JUDGED_BATCHES, length // HELD_OUT_SHARE), 1)
        return [next(self._stream) for _ in range(count)]

    def _endless(self) -> Iterator[Any]:
        while True:
            empty = True
            for batch in without_workers(self.ready.loader):
                empty = False
                self.batches += 1
                yield batch
            if empty:
                raise refused("no-data", "The loader gives no batch.", "Check the data set, and drop_last.")

    def loss_of(self, batch: Any) -> torch.Tensor:
        """The loss of a batch, in the precision asked for."""
        with self._autocast():
            loss = self.ready.step(self.ready.model, moved(batch, self.device))
        if not isinstance(loss, torch.Tensor):
            raise UsageError(
                f"The loss is {kind_of(loss)}, not a tensor.",
                "Return the mean loss as a tensor: not .item(), not a list.",
            )
        if loss.numel() != 1:
            shape = tuple(loss.shape)
            raise UsageError(f"The loss is of shape {shape}, not one value.", "Take its mean: reduction='mean'.")
        return loss

    def _autocast(self) -> Any:
        if not self.engine.precision:
            return nullcontext()
        dtype = torch.bfloat16 if self.engine.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype)

    def step(self, rate: float) -> float:
        """One update at ``rate``; the mean loss before it. Where that is not finite no update is made."""
        optimizer = self.ready.optimizer
        for group, ratio in zip(optimizer.param_groups, self.ratios, strict=True):
            _set_rate(group, rate * ratio)
        optimizer.zero_grad()
        value = self._gradients()
        self.steps += 1
        if math.isfinite(value):
            self.scaler.step(optimizer)
            self.scaler.update()
        return value

    def _gradients(self) -> float:
        """Gradients of the next batches, added up; their mean loss."""
        total = 0.0
        for _ in range(self.engine.accumulate):
            self.last_batch = next(self._stream)
            if len(self.seen) < JUDGED_BATCHES:
                self.seen.append(self.last_batch)
            loss = self.loss_of(self.last_batch)
            value = float(loss.detach())
            total += value / self.engine.accumulate
            if not math.isfinite(value):
                return value
            check_loss(loss)
            self.scaler.scale(loss / self.engine.accumulate).backward()  # type: ignore[no-untyped-call]
        return total

    def look_ahead(self) -> None:
        """Take the first batches without training on them, to judge the start by the batches of a training."""
        while len(self.seen) < JUDGED_BATCHES:
            self.seen.append(next(self._stream))

    def settle(self) -> None:
        """Let running statistics (batch normalization) settle on batches that are not trained on.

        Else the loss in evaluation mode would fall at any rate, without anything being learnt.
        """
        if any(getattr(module, "running_mean", None) is not None for module in self.ready.model.modules()):
            with torch.no_grad():
                for _ in range(SETTLING_BATCHES):
                    self.last_batch = next(self._stream)
                    if not math.isfinite(float(self.loss_of(self.last_batch))):
                        raise broken_batch(self)

    def judged(self) -> tuple[list[float], list[float]]:
        """Losses in evaluation mode: of the first batches trained on, and of those held out.

        ``dead`` then says whether the output was the same for every row of every batch.
        """
        model = self.ready.model
        with torch.no_grad(), evaluating(model), outputs_of(model) as outputs:
            losses = (
                [float(self.loss_of(batch)) for batch in self.seen],
                [float(self.loss_of(batch)) for batch in self.held],
            )
            self.dead = bool(outputs) and not any(map(varies, outputs))
        return losses


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, and each module's own mode again after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _set_rate(group: dict[str, Any], rate: float) -> None:
    # A rate that is a tensor (capturable, compiled optimizers) has to stay the same tensor.
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def without_workers(loader: Iterable[Any]) -> Iterable[Any]:
    """A ``DataLoader`` that loads here: each of a dozen trainings would start its worker processes anew.

    Not where its data set counts on workers.
    """
    if not isinstance(loader, DataLoader) or not loader.num_workers or loader.timeout:
        return loader
    if loader.worker_init_fn is not None or isinstance(loader.dataset, IterableDataset):
        return loader
    twin = copy.copy(loader)
    # The loader forbids such changes by its own setter, as they would come too late for its workers.
    for name, value in (("num_workers", 0), ("persistent_workers", False), ("prefetch_factor", None)):
        object.__setattr__(twin, name, value)
    return twin


def device_of(model: torch.nn.Module) -> torch.device:
    """Where the first parameter of ``model`` is."""
    return next((one.device for one in model.parameters()), torch.device("cpu"))
