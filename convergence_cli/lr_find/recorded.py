"""A learning rate from what was recorded: a range test, or trainings at several rates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.errors import UsageError
from convergence_cli.learning_rate import LearningRate, Probe
from convergence_cli.lr_find import suggestion
from convergence_cli.lr_find.answering import RANGE, RESTARTS, by_range_test, suggested
from convergence_cli.lr_find.refused import Refused, refused
from convergence_cli.pipeline import read_paths
from convergence_cli.printable import counted, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convergence_cli.model import Run
    from convergence_cli.settings import Settings

# A range test is one training whose rate only rises: at least so many points, over at least a decade.
FEWEST_POINTS, LEAST_SPAN = 15, 10.0
FEWEST_RATES = 3
# A table of trainings has a factor from rate to rate, and a few seeds of each.
LONG_ENOUGH, MANY_RATES, SMALL_CHANGE, LONG_STEPS = 30, 20, 0.1, 15


def find_in_record(
    path: str, settings: Settings, *, schedule: str = "constant", method: str = RESTARTS
) -> LearningRate:
    """The rate that the sweep in ``path`` speaks for. Raises ``UsageError`` where it holds no rates with losses."""
    runs, errors = read_paths([path], settings)
    if not runs:
        message = errors[0].message if errors else f"{printable(path)} holds no log."
        raise UsageError(message, "Name a table with the columns lr and loss.")
    if len(runs) == 1:
        rates, losses = pairs(runs[0], path)
    else:
        rates, losses = _of_runs(runs, path)
    blank = LearningRate(None, schedule=schedule, method=method, source=path)
    try:
        if is_range_test(rates):
            method = RANGE if method == RESTARTS else method
            test = replace(blank, method=method, range_rates=tuple(rates.tolist()), range_losses=tuple(losses.tolist()))
            return by_range_test(test)
        if len(runs) == 1 and follows_schedule(rates):
            raise refused(
                "one-training",
                "It is one training whose rate followed a schedule: each loss is what all the rates before it left.",
                "Record a range test (a rate that only rises), or trainings at several rates; or search: "
                "ctroubleshoot lr-find train.py:setup",
            )
        if method != RESTARTS:
            raise UsageError(
                f"{printable(path)} holds trainings at several rates, and '{method}' reads a range test.",
                "Leave out --method.",
            )
        return _of_trainings(rates, losses, blank)
    except Refused as error:
        return replace(blank, refused=error.refusal)


def pairs(run: Run, path: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates and losses of the same steps, in the order of the log."""
    rate = run.curve("learning_rate")
    loss = run.curve("train_loss") or run.curve("val_loss")
    if rate is None or loss is None:
        missing = "a learning rate" if rate is None else "a loss"
        raise UsageError(
            f"{printable(path)} holds no series that is {missing}.",
            "Name the columns lr and loss, or say which they are: --metric learning_rate=NAME.",
        )
    # Rows of one table by their line: its epochs may begin anew with each training.
    by = (rate.line, loss.line) if rate.line is not None and loss.line is not None else (rate.step, loss.step)
    shared, at_rate, at_loss = np.intersect1d(*by, return_indices=True)
    if not len(shared):
        raise UsageError(f"The rates and losses in {printable(path)} have no step in common.", "Log both at once.")
    return rate.value[at_rate], loss.value[at_loss]


def is_range_test(rates: NDArray[np.float64]) -> bool:
    """Whether ``rates`` are those of one training at a rate that only rises."""
    enough = len(rates) >= FEWEST_POINTS and rates[0] > 0
    return bool(enough and np.all(np.diff(rates) > 0) and rates[-1] / rates[0] >= LEAST_SPAN)


def follows_schedule(rates: NDArray[np.float64]) -> bool:
    """Whether ``rates`` change as those of one training do: little from row to row, or seldom."""
    usable = rates[np.isfinite(rates) & (rates > 0)]
    distinct = len(np.unique(usable))
    if len(usable) < LONG_ENOUGH or distinct < FEWEST_RATES:
        return False
    changes = np.abs(np.diff(np.log(usable)))
    if distinct >= MANY_RATES:
        return bool(np.median(changes) < SMALL_CHANGE)
    return bool(np.count_nonzero(changes) < len(usable) / LONG_STEPS)


def _of_runs(runs: list[Run], path: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rate that each run was given, and where its loss ended."""
    from convergence_cli.lr_find.commands import ends_of
    from convergence_cli.trials.change import peak_rate

    found = []
    for run in runs:
        rate = peak_rate(run) or run.config.get("learning_rate")
        if isinstance(rate, (int, float)) and rate > 0 and (run.curve("train_loss") or run.curve("val_loss")):
            found.append((float(rate), ends_of(run)[1]))
    if not found:
        raise UsageError(f"No run in {printable(path)} has a learning rate and a loss.", "Log or configure the rate.")
    return np.array([rate for rate, _ in found]), np.array([loss for _, loss in found])


def _of_trainings(rates: NDArray[np.float64], losses: NDArray[np.float64], blank: LearningRate) -> LearningRate:
    """Each row is a training: the median of the losses at each rate."""
    usable = np.isfinite(rates) & (rates > 0)
    distinct = np.unique(rates[usable])
    if len(distinct) < FEWEST_RATES:
        raise refused(
            "too-few-points",
            f"It holds {counted(len(distinct), 'rate')}, and {FEWEST_RATES} are needed to compare.",
            "Record more rates, a factor of three apart.",
        )
    probes = []
    for rate in distinct.tolist():
        found = losses[usable & (rates == rate)]
        median = float(np.median(np.where(np.isnan(found), math.inf, found)))
        probes.append(Probe(rate, median if math.isfinite(median) else None, 1))
    finite = [probe.loss for probe in probes if probe.loss is not None]
    if not finite or max(finite) == min(finite):
        raise refused(
            "no-rate-learns",
            "The losses are the same at all rates." if finite else "No training at any rate ended in a finite loss.",
            "Try lower rates.",
        )
    answer = replace(blank, start_loss=max(finite), probes=tuple(probes), method="trainings")
    done = suggested(answer, None, lower=False)
    best = suggestion.best_of(probes)
    assert best is not None
    why = f"Of {counted(len(probes), 'rate')}, {best.rate:.2g} ended in the lowest loss ({best.loss:.4g})."
    return replace(done, why=why)
