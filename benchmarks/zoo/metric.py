"""How good a training of the zoo is: the loss of its task on clean validation rows, in the unit of the data as it came.

No log has it. It is the same for a faulty training, its repairs and its healthy twin, whatever each was trained on:
real outputs are turned back into the unit of the clean targets, classes are judged by plain cross entropy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from zoo import building
from zoo.data import DATASETS, Data

if TYPE_CHECKING:
    from zoo.building import Training
    from zoo.log import Log
    from zoo.plan import Plan

# Looks at the metric over the planned run; the last of them make its end, since noise would decide otherwise.
LOOKS, AT_END = 40, 4
# These faults change what arrives at the model: clean rows would be others than those that it was trained for.
SPOILED_INPUTS = ("unnormalized-input", "disconnected-input")


@dataclass(slots=True)
class Applied:
    """A training with a change applied. ``x_val``: the clean validation rows as its model wants them.

    ``stops_early``: the model of its best evaluation is kept, in place of the last.
    """

    training: Training
    x_val: Tensor
    stops_early: bool = False


def clean_data(plan: Plan) -> Data:
    """The data as it came, before any fault."""
    return DATASETS[plan.dataset](np.random.default_rng(plan.seed), plan.rows)


class Watch:
    """Measures the metric while a training runs; made before it starts, which is the first look (step 0)."""

    def __init__(self, applied: Applied) -> None:
        self.applied, training = applied, applied.training
        plan = training.plan
        clean = clean_data(plan)
        self.y_val = clean.y_val
        self.loss = building._loss(replace(plan, loss="default", smoothing=0.0), clean)
        self.scale, self.offset = _unit(training.data, clean)
        self.seen: dict[int, float] = {0: self._metric()}
        every = max(plan.steps // LOOKS, 1)
        # Early stopping keeps a model of an evaluation of the log, so that the metric is wanted there, too.
        evaluations = _evaluated_every(training) if applied.stops_early else plan.steps
        training.after_step.append(lambda step: self._look(step, step % every == 0 or step % evaluations == 0))

    @property
    def start(self) -> float:
        """The metric before the first step."""
        return self.seen[0]

    @property
    def best(self) -> float:
        """The lowest metric of medians of three looks: perfect early stopping."""
        values = [self.seen[step] for step in sorted(self.seen)]
        return min(median(values[max(i - 1, 0) : i + 2]) for i in range(len(values)))

    def end(self, log: Log) -> float:
        """The metric of the model that is kept: the median of the last looks, infinite where the last is not finite."""
        if self.applied.stops_early and log.val_loss:
            return self.seen[best_evaluation(log)]
        last = [self.seen[step] for step in sorted(self.seen)[-AT_END:]]
        return median(last) if math.isfinite(last[-1]) else math.inf

    def _look(self, step: int, due: bool) -> None:
        if due:
            self.seen[step] = self._metric()

    def _metric(self) -> float:
        model = self.applied.training.model
        was_training = model.training
        model.eval()
        with torch.no_grad():
            output = (model(self.applied.x_val) - self.offset) / self.scale
            value = float(self.loss(output, self.y_val))
        model.train(was_training)
        return value if math.isfinite(value) else math.inf


def best_evaluation(log: Log) -> int:
    """The step of the lowest validation loss that was logged; 0 where none is finite."""
    finite = [point for point in log.val_loss if math.isfinite(point[2])]
    return min(finite, key=lambda point: point[2])[0] if finite else 0


def _unit(data: Data, clean: Data) -> tuple[Tensor, Tensor]:
    """Scale and offset of real targets against the clean ones.

    Told from the training rows, whose mean and spread neither shuffled labels nor a leaking split change.
    """
    if data.task != "regression":
        return torch.ones(()), torch.zeros(())
    now, then = data.y.double(), clean.y.double()
    scale = now.std(0) / then.std(0)
    return scale.float(), (now.mean(0) - scale * then.mean(0)).float()


def _evaluated_every(training: Training) -> int:
    # As zoo.training does.
    plan = training.plan
    per_epoch = plan.logged == "epochs" and plan.steps >= 3 * training.steps_per_epoch
    return training.steps_per_epoch if per_epoch else max(plan.steps // plan.evaluations, 1)
