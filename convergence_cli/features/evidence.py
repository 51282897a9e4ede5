"""Everything the rules may ask of one run, computed when first asked for and only once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.features.chance import Chance, chance_of, stated_classes
from convergence_cli.features.extrapolate import PowerLaw, power_law_of
from convergence_cli.features.gap import Gap, gap_of
from convergence_cli.features.grad_norm import GradNorm, grad_norm_of
from convergence_cli.features.loss_scale import LossScale, loss_scale_of
from convergence_cli.features.masked import masked_nan_of, unmasked
from convergence_cli.features.oscillation import Oscillation, oscillation_of
from convergence_cli.features.planned import done_of
from convergence_cli.features.schedule import Schedule, rate_at, schedule_of
from convergence_cli.features.segments import Restart, Stitched, stitch
from convergence_cli.features.shape import Shape, shape_of
from convergence_cli.features.spikes import Spike, spikes_of
from convergence_cli.features.vector import Vector, vector_of
from convergence_cli.features.view import NonFinite, nonfinite_of

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run, Verdict

# Below this many finite points nothing can be said of a loss.
MIN_POINTS = 4
# Share of the last tenth of the points that must be non-finite for a loss to end so.
LASTING_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """One loss with its features. ``curve`` has its restarts joined, ``logged`` is as in the log."""

    logged: Curve
    curve: Curve
    shape: Shape
    restarts: tuple[Restart, ...]
    spikes: tuple[Spike, ...]

    @property
    def name(self) -> str:
        return self.logged.name


@dataclass(frozen=True, slots=True)
class Broken:
    """The non-finite points of one loss. ``lasting``: the log ends in them; ``since`` is then where that begins."""

    name: str
    role: str | None
    points: NonFinite
    lasting: bool
    since: float
    last_step: float
    at_start: bool
    file: str | None


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What the log itself looks like. ``gap`` is the widest hole as (from step, to step, share of the span)."""

    points: int
    restarts: tuple[Restart, ...]
    widest_gap: tuple[float, float, float] | None
    duplicates: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """A logged learning rate: its schedule, and the curve to look a step up in."""

    name: str
    schedule: Schedule
    curve: Curve

    def at(self, step: float) -> float | None:
        """The rate in force at ``step``."""
        return rate_at(self.curve, step)


class Evidence:
    """Features of one run by the names that rules use as parameters; None where the run lacks the series."""

    def __init__(self, run: Run) -> None:
        self._logged = run
        loss = run.curve("train_loss")
        self.masked_nan = None if loss is None else masked_nan_of(loss, run.curve("grad_norm"))
        if loss is not None and self.masked_nan is not None and loss.buckets is None:
            honest = unmasked(loss, self.masked_nan)
            run = replace(run, curves=tuple(honest if curve is loss else curve for curve in run.curves))
        self.run = run

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.run.config)

    @cached_property
    def _stitched_train(self) -> Stitched | None:
        curve = self.run.curve("train_loss")
        return None if curve is None else stitch(curve)

    @cached_property
    def broken(self) -> tuple[Broken, ...] | None:
        """Non-finite points of the losses, also of one that never had a finite value; None where no loss is logged."""
        roles = ("train_loss", "val_loss", "adversarial_loss")
        curves = [curve for role in roles if (curve := self._logged.curve(role)) is not None and curve.points]
        if not curves:
            return None
        return tuple(_broken(stitch(curve, self._stitched_train).curve) for curve in curves)

    @cached_property
    def train_loss(self) -> Loss | None:
        return _loss(self.run.curve("train_loss"), self._stitched_train)

    @cached_property
    def val_loss(self) -> Loss | None:
        curve = self.run.curve("val_loss")
        return None if curve is None else _loss(curve, stitch(curve, self._stitched_train))

    @cached_property
    def loss(self) -> Loss | None:
        """The loss to judge by: training, unless validation tells much more; None beside a reward."""
        if self.run.curve("reward") is not None:
            return None
        train, val = self.train_loss, self.val_loss
        if train is None or val is None:
            return train or val
        if len(train.shape.view) < MIN_POINTS <= len(val.shape.view):
            return val
        train_span, val_span = (np.ptp(loss.curve.step) for loss in (train, val))
        return val if train_span < 0.5 * val_span and len(val.shape.view) >= MIN_POINTS else train

    @cached_property
    def done(self) -> float | None:
        """The share of its training that a run which goes on has behind it; None where nobody knows that it does."""
        return None if self.loss is None else done_of(self.run, self.loss.curve)

    @cached_property
    def gap(self) -> Gap | None:
        if self.val_loss is None:
            return None
        return gap_of(None if self.train_loss is None else self.train_loss.shape, self.val_loss.shape)

    @cached_property
    def accuracy(self) -> Shape | None:
        curve = self.run.curve("val_accuracy") or self.run.curve("train_accuracy")
        return None if curve is None else shape_of(stitch(curve, self._stitched_train).curve)

    @cached_property
    def metric(self) -> Shape | None:
        curve = self.run.curve("val_accuracy") or self.run.curve("val_metric")
        return None if curve is None else shape_of(stitch(curve, self._stitched_train).curve)

    @cached_property
    def chance(self) -> Chance | None:
        if self.loss is None:
            return None
        val = None if self.val_loss is None else self.val_loss.shape
        return chance_of(self.loss.shape, val, self.accuracy, {**_dumped_classes(self.run), **self.run.config})

    @cached_property
    def classes(self) -> int | None:
        """How many classes the config or the dumped labels tell; None where neither does."""
        return stated_classes({**_dumped_classes(self.run), **self.run.config})

    @cached_property
    def vector(self) -> Vector | None:
        """What the classifier looks at; None where no loss is logged."""
        if self.loss is None or self.chance is None:
            return None
        val = None if self.val_loss is None else self.val_loss.shape
        return vector_of(self.loss.shape, val, self.gap, self.chance)

    @cached_property
    def learning_rate(self) -> Rate | None:
        curve = self.run.curve("learning_rate")
        if curve is None:
            return None
        joined = stitch(curve, self._stitched_train).curve
        schedule = schedule_of(joined)
        return None if schedule is None else Rate(curve.name, schedule, joined)

    @cached_property
    def grad_norm(self) -> GradNorm | None:
        curve = self.run.curve("grad_norm")
        return None if curve is None else grad_norm_of(stitch(curve, self._stitched_train).curve)

    @cached_property
    def loss_scale(self) -> LossScale | None:
        curve = self.run.curve("loss_scale")
        return None if curve is None else loss_scale_of(curve)

    @cached_property
    def oscillation(self) -> Oscillation | None:
        return None if self.loss is None else oscillation_of(self.loss.shape)

    @cached_property
    def power_law(self) -> PowerLaw | None:
        return None if self.loss is None else power_law_of(self.loss.shape)

    @cached_property
    def log(self) -> LogFacts:
        return _log_facts(self.run, self.loss)

    def __getattr__(self, name: str) -> Any:
        """A feature of dumped tensors, or what SageMaker Debugger compares; None where the run lacks it."""
        from convergence_cli.features import sagemaker, tensors

        rooms = [room for room in (tensors, sagemaker) if name in room.FEATURES]
        if not rooms:
            raise AttributeError(name)
        value = rooms[0].feature_of(name, self)
        setattr(self, name, value)
        return value

    @cached_property
    def verdict(self) -> Verdict:
        from convergence_cli.features.verdict import verdict_of

        return verdict_of(self)


def _dumped_classes(run: Run) -> dict[str, int]:
    """The number of classes among the dumped labels, where these are classes of samples."""
    if run.tensors is None:
        return {}
    seen = {value for one in run.tensors.labels if not one.sequence for value in one.values}
    return {"num_classes": len(seen)} if len(seen) >= 2 else {}


def _broken(curve: Curve) -> Broken:
    points = nonfinite_of(curve)
    few = points.tail_share < LASTING_SHARE
    # One missed evaluation at the end of validation is not an end.
    lasting = points.count > 0 and (not few or (points.last_is_nonfinite and curve.role != "val_loss"))
    finite = np.flatnonzero(np.isfinite(curve.value))
    after = int(finite[-1]) + 1 if len(finite) else 0
    since = float(curve.step[after]) if after < len(curve.step) else points.first_step
    first = points.first_step
    return Broken(
        name=curve.name,
        role=curve.role,
        points=points,
        lasting=lasting,
        since=since if since is not None else 0.0,
        last_step=float(curve.step[-1]),
        at_start=first is not None and first <= float(curve.step[min(3, len(curve.step)) - 1]),
        file=curve.file,
    )


def _loss(curve: Curve | None, stitched: Stitched | None) -> Loss | None:
    if curve is None or stitched is None:
        return None
    shape = shape_of(stitched.curve)
    if shape is None:
        return None
    return Loss(curve, stitched.curve, shape, stitched.restarts, spikes_of(stitched.curve, shape.view, shape.start))


def _log_facts(run: Run, loss: Loss | None) -> LogFacts:
    if loss is None:
        return LogFacts(max((c.points for c in run.curves), default=0), (), None, ())
    step = loss.curve.step
    span = float(np.ptp(step)) if len(step) else 0.0
    widest = None
    if len(step) >= 10 and span > 0:
        holes = np.diff(step)
        index = int(np.argmax(holes))
        widest = (float(step[index]), float(step[index + 1]), float(holes[index]) / span)
    return LogFacts(
        points=loss.logged.points,
        restarts=loss.restarts,
        widest_gap=widest,
        duplicates=_duplicates(run),
    )


def _duplicates(run: Run) -> tuple[tuple[str, str], ...]:
    """The training and the validation loss, where they are the same at every point."""
    train, val = run.curve("train_loss"), run.curve("val_loss")
    if train is None or val is None or train.points < MIN_POINTS or len(train.value) != len(val.value):
        return ()
    same = np.array_equal(train.value, val.value, equal_nan=True)
    return ((train.name, val.name),) if same else ()
