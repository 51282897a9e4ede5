"""A training of the zoo beside its healthy twin: how good it ends, in the unit of the data as it came."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from zoo.plan import FITTING, draw
from zoo.repairing import Repaired, apply, check, clean_data, default_loss
from zoo.specimen import truth_of
from zoo.training import train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.catalogue import Specimen
    from zoo.log import Log
    from zoo.plan import Plan

# Evaluations of the metric over a run; the last of them make its end.
LOOKS, AT_END = 40, 4
# Within this share of the twin's way from the start a training is as good as the twin.
AS_GOOD = 0.05
# Too few data: more cannot be had, so that the twin is the same training, stopped at its best.
STOPPED_BEST = ("overfitting",)
# Neither can the samples of rare classes: their twin is the same training with the classes weighed.
WEIGHED = ("class-imbalance",)
# A twin that learns less than this share of its first loss is no healthy training to compare with.
LEARNS = 0.1
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Twin:
    """The loss of the healthy twin before the first step and at its end."""

    start: float
    end: float

    @property
    def is_healthy(self) -> bool:
        """Whether it learnt anything."""
        return math.isfinite(self.end) and self.start - self.end >= LEARNS * abs(self.start)

    def is_matched_by(self, end: float) -> bool:
        """Whether ``end`` is within 5 % of the twin's way of the twin's end."""
        return math.isfinite(end) and end <= self.end + AS_GOOD * max(self.start - self.end, _EPSILON)


def twin_plan(specimen: Specimen) -> Plan:
    """The same draw without the fault."""
    seed, dice = specimen.drawn()
    fault = specimen.fault
    assert fault is not None
    names = [
        (name, data)
        for name in fault.architectures
        for data in FITTING[name]
        if not fault.datasets or data in fault.datasets
    ]
    name = dice.choice(sorted({one for one, _ in names}))
    return draw(dice, seed, name, dice.choice([data for one, data in names if one == name]))


def twin_of(specimen: Specimen, folder: Path) -> Twin:
    """Trains the twin, or takes the best of the faulty training where that is all that can be had."""
    if specimen.kind in STOPPED_BEST:
        val = truth_of(folder).trace.val
        smooth = [median(val[max(i - 1, 0) : i + 2]) for i in range(len(val))]
        return Twin(val[0], min(smooth))
    if specimen.kind in WEIGHED:
        repaired = apply(specimen, {"class_weight": "balanced"})
        watch = _Watch(repaired, repaired.training.plan)
        start = watch.metric()
        train(repaired.training)
        return Twin(start, min(median(watch.metrics[max(i - 1, 0) : i + 2]) for i in range(len(watch.metrics))))
    from zoo.building import build

    plan = twin_plan(specimen)
    training = build(plan)
    repaired = Repaired(training, training.data.x_val, lambda output: output, False)
    watch = _Watch(repaired, plan)
    start = watch.metric()
    train(training)
    return Twin(start, watch.end())


class _Watch:
    """Measures the metric while a training runs."""

    def __init__(self, repaired: Repaired, plan: Plan) -> None:
        self.repaired, self.training = repaired, repaired.training
        clean = clean_data(plan)
        self.y_val, self.loss = clean.y_val, default_loss(plan, clean)
        self.seen: list[tuple[float, float]] = []
        every = max(self.training.plan.steps // LOOKS, 1)
        self.training.after_step.append(lambda step: self._look() if step % every == 0 else None)

    def metric(self) -> float:
        """The loss on the validation as it came."""
        model = self.training.model
        model.eval()
        with torch.no_grad():
            output = self.repaired.undo(model(self.repaired.x_val))
            value = float(self.loss(output, self.y_val))
        model.train()
        return value if math.isfinite(value) else math.inf

    def _look(self) -> None:
        data, model = self.training.data, self.training.model
        state = torch.get_rng_state()
        model.eval()
        with torch.no_grad():
            shown = float(self.training.loss(model(data.x_val), data.y_val))
        self.seen.append((shown if math.isfinite(shown) else math.inf, self.metric()))
        torch.set_rng_state(state)

    @property
    def metrics(self) -> list[float]:
        """The metric at each look."""
        return [metric for _, metric in self.seen]

    def end(self) -> float:
        """The metric at the end: at the best validation where it stops early, else the median of the last looks."""
        if not self.seen:
            return self.metric()
        if self.repaired.stops_early:
            return min(self.seen)[1]
        last = [metric for _, metric in self.seen[-AT_END:]]
        return median(last) if math.isfinite(self.metric()) else math.inf


def retrained(specimen: Specimen, change: Mapping[str, Any], unit: float, recorded: Path | None) -> tuple[Log, float]:
    """Trains ``specimen`` with ``change``: what it logged, and the metric at its end."""
    check(change)
    repaired = apply(specimen, change, unit)
    plan = repaired.training.plan
    if repaired.stops_early:
        plan.patience = int(change["early_stopping"])
        plan.with_val = True
    watch = _Watch(repaired, plan)
    log, _ = train(repaired.training, recorded)
    return log, watch.end()
