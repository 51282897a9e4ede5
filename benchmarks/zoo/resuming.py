"""A training that goes back to its state at a step, and goes on from there past the batches that did the damage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zoo.mending import mends
from zoo.remedy_data import change_loss
from zoo.remedy_steps import skip_nonfinite

if TYPE_CHECKING:
    from zoo.building import Training

# What can be changed in a training that goes on: a new network, optimizer, data or batch cannot take its state over.
FROM_THERE_ON = frozenset(
    {"resume_from_step", "skip_batches", "learning_rate", "lr_schedule", "warmup_steps", "gradient_clip_norm",
     "skip_nonfinite", "zero_grad", "gradient_delay", "gradient_staleness", "precision", "loss", "output"}
)  # fmt: skip
# What strikes once: the order of the data goes on, so that it is not met again.
ONCE = ("bad-batch",)


def resume(training: Training, kind: str, first: int, change: Mapping[str, Any]) -> None:
    """Up to step ``first`` nothing is changed, so that the state is that of the faulty run; ``change`` applies later.

    ``ValueError`` where a change cannot take over the state.
    """
    other = sorted(set(change) - FROM_THERE_ON)
    if other:
        raise ValueError(f"a run that is resumed cannot change {', '.join(other)}")
    bug_goes = kind in ONCE or mends(kind, change, training.plan)
    if bug_goes:
        _end_hooks(training, first)
        training.before_step.append(lambda step: _clear(training, step > first))
    _rates(training, first, change, mended=bug_goes)
    clip, later = change.get("gradient_clip_norm"), _later_loss(training, change, bug_goes)

    def switch(step: int) -> None:
        if step == first + 1:
            training.plan.clip = training.plan.clip if clip is None else clip
            training.loss = later

    training.before_step.append(switch)
    if change.get("skip_nonfinite") is True:
        skip_nonfinite(training, after=first)


def _end_hooks(training: Training, first: int) -> None:
    for hooks in (training.before_step, training.after_backward, training.after_step):
        hooks[:] = [_until(first, hook) for hook in hooks]
    batch = training.batch
    training.batch = lambda step, x, y: batch(step, x, y) if step <= first else (x, y)


def _until(first: int, hook: Callable[[int], None]) -> Callable[[int], None]:
    return lambda step: hook(step) if step <= first else None


def _clear(training: Training, now: bool) -> None:
    if now:
        training.zero_every = 1


def _later_loss(training: Training, change: Mapping[str, Any], bug_goes: bool) -> Any:
    present = training.loss
    if bug_goes and ("loss" in change or "output" in change):
        change_loss(training, {"loss": "cross_entropy", **change})
    later, training.loss = training.loss, present
    return later


def _rates(training: Training, first: int, change: Mapping[str, Any], mended: bool) -> None:
    from zoo.building import schedule_of
    from zoo.remedying import schedule_named

    plan, before = training.plan, training.schedule
    peak = float(change.get("learning_rate", training.learning_rate)) / training.learning_rate
    after = before
    if "lr_schedule" in change:
        after = schedule_named(change["lr_schedule"], plan.steps)
    elif mended:
        after = schedule_of(plan.schedule, plan.steps)
    warm = int(change.get("warmup_steps", 0))

    def factor(step: int) -> float:
        # Of the step after ``step``, counted from 1.
        if step < first:
            return before(step)
        return after(step) * peak * (min(1.0, (step - first + 1) / warm) if warm else 1.0)

    training.schedule = factor
