"""Trainings of a torch model from one start: fresh ones of a factory, or one live model put back again and again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch

from convergence_cli.learning_rate import Probe
from convergence_cli.lr_find.ready import Ready, is_finite, ready_from, sow
from convergence_cli.lr_find.refusals import broken_batch, check_judged, examine
from convergence_cli.lr_find.snapshot import Randomness, Snapshot
from convergence_cli.lr_find.training import Engine, Training

HELD_OUT_WEIGHT = 0.5
Judged = tuple[list[float], list[float]]


def judged_loss(judged: Judged | None) -> tuple[float, float, float]:
    """(loss to choose by, training loss, held-out loss) of what a training is judged by; infinite where it broke.

    Mostly the held-out one: the batches trained on do not tell overfitting, but held-out ones alone are few and noisy.
    """
    if judged is None:
        return math.inf, math.nan, math.nan
    train, held = (math.fsum(losses) / len(losses) if losses else math.nan for losses in judged)
    loss = held_and_seen(held, train) if judged[0] and judged[1] else train if judged[0] else held
    return (loss if math.isfinite(loss) else math.inf), train, held


def held_and_seen(held: float, seen: float) -> float:
    """One loss to choose by; the weight was measured on benchmarks/lr_find."""
    return HELD_OUT_WEIGHT * held + (1 - HELD_OUT_WEIGHT) * seen


class Source(Protocol):
    """Where trainings come from. Each starts from the same weights, optimizer state, batches and randomness."""

    def start(self) -> Training:
        """A training at its beginning."""

    def leave(self, training: Training) -> None:
        """Set ``training`` aside, so that another can go on."""

    def resume(self, training: Training) -> None:
        """Have ``training`` go on where it was left."""

    def close(self) -> None:
        """Put back whatever the user holds."""


class FactorySource:
    """Calls ``setup`` afresh for each training; each has a model of its own."""

    def __init__(self, setup: Callable[[], object], where: str, engine: Engine, seed: int | None = None) -> None:
        self.setup, self.where, self.engine = setup, where, engine
        self._left: dict[int, Randomness] = {}
        sow(seed or 0)
        first = ready_from(setup(), where)
        self.schedule = first.schedule
        self.seed = seed if seed is not None else first.seed or 0
        self._next: Ready | None = self._made()
        self.repeated = self._next if self._next.model is first.model else None

    def _made(self) -> Ready:
        sow(self.seed)
        return ready_from(self.setup(), self.where)

    def start(self) -> Training:
        ready, self._next = self._next or self._made(), None
        # However many numbers the weights drew: the batches of all trainings are the same.
        sow(self.seed)
        return Training(ready, self.engine)

    def leave(self, training: Training) -> None:
        self._left[id(training)] = Randomness()

    def resume(self, training: Training) -> None:
        self._left.pop(id(training)).restore()

    def close(self) -> None:
        self._left.clear()


class LiveSource:
    """One model that the user holds: every training starts from the state it was found in."""

    def __init__(self, ready: Ready, engine: Engine, seed: int, scaler: object = None) -> None:
        self.ready, self.engine, self.seed = ready, engine, seed
        self._loaders = [one for one in (ready.loader, ready.val_loader) if one is not None]
        self._found, self._randomness = Snapshot(ready.model, ready.optimizer, scaler, self._loaders), Randomness()
        self._left: dict[int, tuple[Snapshot, Randomness]] = {}

    def start(self) -> Training:
        self._found.restore()
        sow(self.seed)
        return Training(self.ready, self.engine)

    def leave(self, training: Training) -> None:
        state = Snapshot(self.ready.model, self.ready.optimizer, training.scaler, self._loaders)
        self._left[id(training)] = state, Randomness()

    def resume(self, training: Training) -> None:
        state, randomness = self._left.pop(id(training))
        state.restore()
        randomness.restore()

    def close(self) -> None:
        self._left.clear()
        self._found.restore()
        self._randomness.restore()


class Prober:
    """Counts every update that is made; keeps the trainings that may go on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.steps = 0
        self._left: dict[float, Training] = {}
        self.probes: list[Probe] = []
        self.ratios: list[float] = [1.0]
        self.range_rates: tuple[float, ...] = ()
        self.range_losses: tuple[float, ...] = ()
        self.judged: dict[float, Judged | None] = {}

    def beginning(self, rate: float) -> Judged:
        """The losses of the batches that trainings are judged by, before any update.

        Raises ``Refused`` where no rate can train; the updates at ``rate`` that tell are counted.
        """
        training = self.source.start()
        try:
            examine(training, rate)
        finally:
            self.steps += training.steps
        self.ratios = training.ratios
        training = self.source.start()
        training.look_ahead()
        training.settle()
        judged = training.judged()
        check_judged(training, judged)
        return judged

    def range_test(self, rates: list[float], enough: Callable[[list[float]], bool]) -> list[float]:
        """The loss before the update at each of ``rates``, in one training; ended by ``enough``."""
        training = self.source.start()
        losses: list[float] = []
        try:
            for rate in rates:
                losses.append(self._step(training, rate))
                if enough(losses):
                    break
        finally:
            self.steps += training.steps
            self.range_rates, self.range_losses = tuple(rates[: len(losses)]), tuple(losses)
        return losses

    def attempt(self, rate: float, steps: int) -> float:
        """The loss after ``steps`` updates at ``rate`` from the start, infinite where it broke on the way."""
        training = self._left.pop(rate, None)
        if training is None:
            training = self.source.start()
        else:
            self.source.resume(training)
        before = training.steps
        broke = False
        try:
            while training.steps < steps and not broke:
                broke = not math.isfinite(self._step(training, rate))
        finally:
            self.steps += training.steps - before
        judged = None if broke else training.judged()
        if training.dead:
            # It is no fall to come from afar to what a constant would come to.
            judged = None
        loss, train, held = judged_loss(judged)
        if math.isfinite(loss):
            self.source.leave(training)
            self._left[rate] = training
        self.judged[rate] = judged
        # One that broke is known to have no loss at any later step, whatever was asked for.
        made = training.steps if math.isfinite(loss) else steps
        self.probes.append(Probe(rate, _or_none(loss), made, _or_none(train), _or_none(held)))
        return loss

    def _step(self, training: Training, rate: float) -> float:
        loss = training.step(rate)
        if not math.isfinite(loss) and not is_finite(training.last_batch):
            # A mask may hold infinities. A batch that breaks the first weights, too, breaks every rate.
            fresh = self.source.start()
            with torch.no_grad():
                at_first = float(fresh.loss_of(training.last_batch))
            if not math.isfinite(at_first):
                raise broken_batch(training)
        return loss

    def made(self, rate: float) -> int:
        """Updates that the training at ``rate`` has made, if it can go on."""
        return self._left[rate].steps if rate in self._left else 0

    def keep(self, rates: list[float]) -> None:
        """Let go of all trainings but those at ``rates``."""
        for rate in [rate for rate in self._left if rate not in rates]:
            del self._left[rate]


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
