"""Changes of a log after which the verdict on it must be the same: units, steps, spacing, smoothing, restarts.

Each takes a run and gives the changed run, or None where the change makes no sense for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import Curve, Run

    Array = npt.NDArray[np.float64]

LOSSES = ("train_loss", "val_loss")
# Below so many points a tenth of them shows no curve.
THINNED_FROM = 200
SMOOTHED_FROM = 60
WINDOWS = 30


def _each(run: Run, change: Callable[[Curve], Curve], roles: tuple[str, ...] = ()) -> Run:
    curves = (change(one) if not roles or one.role in roles else one for one in run.curves)
    return replace(run, curves=tuple(curves))


def scaled(factor: float) -> Callable[[Run], Run | None]:
    """All losses times ``factor``: another unit, a sum in place of a mean."""

    def change(run: Run) -> Run | None:
        return _each(run, lambda one: replace(one, value=one.value * factor), LOSSES)

    return change


def later(offset: float) -> Callable[[Run], Run | None]:
    """All steps plus ``offset``: training went on from another run."""

    def change(run: Run) -> Run | None:
        return _each(run, lambda one: replace(one, step=one.step + offset))

    return change


def _picked(curve: Curve, keep: npt.NDArray[np.intp]) -> Curve:
    def of(array: Array | None) -> Array | None:
        return None if array is None else array[keep]

    return replace(
        curve, step=curve.step[keep], value=curve.value[keep], epoch=of(curve.epoch), time=of(curve.time), line=None,
        restarts=_restarts(curve.step[keep]),
    )  # fmt: skip


def _restarts(step: Array) -> tuple[int, ...]:
    return tuple(int(place) + 1 for place in np.flatnonzero(np.diff(step) < 0))


def thinned(run: Run) -> Run | None:
    """Every tenth point of the training loss, the last one included."""
    train = run.curve("train_loss")
    if train is None or len(train.value) < THINNED_FROM:
        return None

    def change(curve: Curve) -> Curve:
        return _picked(curve, np.arange((len(curve.value) - 1) % 10, len(curve.value), 10))

    return _each(run, change, ("train_loss",))


def smoothed(run: Run) -> Run | None:
    """Means over windows of the training loss, as loggers give one an epoch."""
    train = run.curve("train_loss")
    if train is None or len(train.value) < SMOOTHED_FROM:
        return None

    def change(curve: Curve) -> Curve:
        parts = np.array_split(np.arange(len(curve.value)), WINDOWS)
        last = np.array([part[-1] for part in parts])
        means = np.array([curve.value[part].mean() for part in parts])
        return replace(_picked(curve, last), value=means)

    return _each(run, change, ("train_loss",))


def restarted(run: Run) -> Run | None:
    """Killed after six tenths and resumed from a checkpoint at half: the part between is logged twice."""
    train = run.curve("train_loss")
    if train is None or len(train.value) < 20 or train.restarts:
        return None
    back, killed = (float(np.quantile(train.step, share)) for share in (0.5, 0.6))

    def change(curve: Curve) -> Curve:
        first, again = np.flatnonzero(curve.step <= killed), np.flatnonzero(curve.step > back)
        return _picked(curve, np.concatenate([first, again]))

    return _each(run, change)


def without(*roles: str) -> Callable[[Run], Run | None]:
    """Some series were not logged."""

    def change(run: Run) -> Run | None:
        kept = tuple(one for one in run.curves if one.role not in roles)
        return replace(run, curves=kept) if len(kept) < len(run.curves) else None

    return change


def only_validation(run: Run) -> Run | None:
    """No training series at all."""
    if run.curve("val_loss") is None or run.curve("train_loss") is None:
        return None
    return replace(run, curves=tuple(one for one in run.curves if one.role == "val_loss"))


def only_accuracy(run: Run) -> Run | None:
    """No loss at all: there is nothing to call by a loss's name."""
    kept = tuple(one for one in run.curves if one.role in ("train_accuracy", "val_accuracy"))
    return replace(run, curves=kept) if kept else None


# Changes that keep all evidence, and such that take some away: these may also end in 'undetermined'.
KEEPING: dict[str, Callable[[Run], Run | None]] = {
    "loss-times-0.001": scaled(0.001),
    "loss-times-7.3": scaled(7.3),
    "loss-times-1000": scaled(1000.0),
    "steps-plus-100000": later(100_000.0),
    "restart": restarted,
}
TAKING: dict[str, Callable[[Run], Run | None]] = {
    "thinned": thinned,
    "smoothed": smoothed,
    "no-validation": without("val_loss", "val_accuracy"),
    "only-validation": only_validation,
    "only-accuracy": only_accuracy,
}
# What a label rests on: where that is taken away, the verdict may well be another one.
RESTS_ON = {"overfitting": ("no-validation", "only-validation")}


def flips(before: str, after: str, change: str) -> bool:
    """Whether the verdict changed to another one though nothing that it rests on did."""
    if before in ("undetermined", after):
        return False
    if change in RESTS_ON.get(before, ()):
        return False
    return not (after == "undetermined" and change in TAKING)
