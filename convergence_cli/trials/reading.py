"""What a trial logged, as a run: from the file that the user named, its own folder, or what it printed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.as_of import as_of
from convergence_cli.errors import CtroubleshootError
from convergence_cli.pipeline import read_paths
from convergence_cli.printable import printable
from convergence_cli.trials.place import fingerprints

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run
    from convergence_cli.settings import Settings

LOSSES = ("train_loss", "val_loss", "reward")


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look for the log of a trial: ``log`` if the user named one, else ``run_dir``, else ``output``."""

    log: str | None
    run_dir: Path
    output: Path
    # The state of ``log`` before the trial: what an earlier run left there says nothing of this one.
    earlier: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, log: str | None, run_dir: Path, folder: Path) -> Places:
        """The places of the trial in ``folder``, before it starts."""
        return cls(log, run_dir, folder / "output.txt", {} if log is None else fingerprints(log))


@dataclass(frozen=True, slots=True)
class Reading:
    """The run that was read, from ``path``; or None and the ``reason``. ``notes`` are for the user."""

    run: Run | None
    path: str | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()


def read_trial(places: Places, settings: Settings, like: Run | None = None, *, dumps: bool = True) -> Reading:
    """What was logged, in the first place that has a loss; of several runs the one most like ``like``. Never raises.

    Without ``dumps`` no tensors are read.
    """
    settings = replace(settings, as_of=None)
    if places.log is not None:
        if not os.path.exists(places.log):
            return Reading(None, reason=f"{printable(places.log)} was not written")
        if places.earlier and fingerprints(places.log) == places.earlier:
            return Reading(
                None, reason=f"{printable(places.log)} was not written by this trial, it is as it was before"
            )
        return _read(places.log, settings, like, dumps)
    reasons = []
    if any(files for _, _, files in os.walk(places.run_dir)):
        found = _read(str(places.run_dir), settings, like, dumps)
        if found.run is not None:
            return found
        reasons.append(found.reason)
    found = _read(str(places.output), settings, like, dumps)
    if found.run is not None:
        return found
    try:
        silent = places.output.stat().st_size == 0
    except OSError:
        silent = True
    reasons.append("it printed nothing" if silent else found.reason)
    reason = "; ".join(reasons).replace(str(places.output), "its output").replace(str(places.run_dir), "{run_dir}")
    return Reading(None, reason=reason)


def up_to(reading: Reading, most: float | None) -> Reading:
    """``reading`` without what a fast command logged beyond step ``most``, before it could be stopped."""
    last = None if reading.run is None else last_step(reading.run)
    if reading.run is None or most is None or last is None or last <= most:
        return reading
    return replace(reading, run=replace(as_of(reading.run, most), goes_on=False))


def _read(path: str, settings: Settings, like: Run | None, dumps: bool) -> Reading:
    try:
        runs, errors = read_paths([path], settings, dumps=dumps)
    except CtroubleshootError as error:
        return Reading(None, reason=error.message.rstrip("."))
    judged = [run for run in runs if any(run.curve(role) is not None for role in LOSSES)]
    if judged:
        # The last of equals: a log that was appended to ends with this trial.
        chosen = max(enumerate(judged), key=lambda item: (_likeness(item[1], like), item[0]))[1]
        notes = [f"{len(judged)} runs were found in {path}, and {chosen.name} was taken"] if len(judged) > 1 else []
        return Reading(chosen, chosen.path, notes=tuple(notes))
    if runs:
        return Reading(None, reason=f"no series in {printable(path)} is recognised as a loss (name it with --metric)")
    reason = errors[0].message.rstrip(".") if errors else f"{printable(path)} holds no log"
    return Reading(None, reason=reason)


def _likeness(run: Run, like: Run | None) -> tuple[int, int]:
    """Series in common and the same format first: a trial may write several logs."""
    if like is None:
        return 0, 0
    names = {curve.name for curve in like.curves}
    return int(run.format == like.format), sum(curve.name in names for curve in run.curves)


def main_curve(run: Run) -> Curve | None:
    """The curve by which the length of ``run`` is measured: its training loss, else its validation loss."""
    return next((curve for role in LOSSES if (curve := run.curve(role)) is not None), None)


def last_step(run: Run) -> float | None:
    """The highest step of the losses of ``run``, in the unit of its own axis."""
    columns = [curve.step for role in LOSSES if (curve := run.curve(role)) is not None]
    highest = [float(np.max(column, initial=-np.inf, where=np.isfinite(column))) for column in columns]
    best = max(highest, default=-np.inf)
    return float(best) if np.isfinite(best) else None


def with_settings(run: Run, config: Mapping[str, Any]) -> Run:
    """``run`` with ``config`` for what it does not say itself: both sides are judged with the same knowledge."""
    return replace(run, config={**config, **run.config})
