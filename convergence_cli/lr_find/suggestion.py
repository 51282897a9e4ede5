"""From what was tried to one rate, a window and how sure it is: pure functions of numbers.

Trainings of different lengths are compared at the same number of steps: the *excess* of a rate is what it lacks of
the best one's fall, 0 for the best and 1 for a training that did not fall at all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convergence_cli.learning_rate import Probe

WITHIN = 0.05
# A constant rate has to suit the whole training, and what is best for the first hundred steps is above what is
# best for more of them; a decaying one starts high and ends low. Decades, measured on benchmarks/lr_find.
SHADES = {"constant": -0.25, "cosine": 0.0}


def best_of(probes: Sequence[Probe]) -> Probe | None:
    """The lowest loss of the longest trainings; the lower rate of equals. None where all broke."""
    longest = max((probe.steps for probe in probes if probe.loss is not None), default=0)
    final = [probe for probe in probes if probe.loss is not None and probe.steps == longest]
    return min(final, key=lambda probe: (probe.loss, probe.rate), default=None)


def excesses(probes: Sequence[Probe], start: float, best: Probe) -> dict[float, float]:
    """The excess of each rate, ascending, at the longest training that it had; from 0 to 1."""
    falls = {one.steps: start - one.loss for one in probes if one.rate == best.rate and one.loss is not None}
    found: dict[float, tuple[int, float]] = {}
    for probe in probes:
        fall = falls.get(probe.steps)
        if probe.loss is None or (fall is not None and fall <= 0):
            steps, excess = probe.steps, 1.0
        elif fall is None:
            continue
        else:
            steps, excess = probe.steps, 1 - (start - probe.loss) / fall
        if probe.rate not in found or steps >= found[probe.rate][0] or probe.loss is None:
            found[probe.rate] = steps, min(max(excess, 0.0), 1.0)
    return {rate: found[rate][1] for rate in sorted(found)}


def window(excess: Mapping[float, float], best: float) -> tuple[float, float]:
    """The rates around ``best`` whose excess, between probes by the log of the rate, is at most 5 %."""
    rates = [math.log10(rate) for rate in excess]
    values = list(excess.values())
    at = list(excess).index(best)
    ends = [_end(rates[at::-1], values[at::-1]), _end(rates[at:], values[at:])]
    return 10 ** ends[0], 10 ** ends[1]


def _end(rates: Sequence[float], values: Sequence[float]) -> float:
    """Where ``values`` first pass the limit, going away from the best."""
    for place in range(1, len(rates)):
        here, there = values[place - 1], values[place]
        if there > WITHIN:
            share = min(max((WITHIN - here) / (there - here), 0.0), 1.0) if there > here else 0.0
            return rates[place - 1] + share * (rates[place] - rates[place - 1])
    return rates[-1]


def shaded(best: float, schedule: str) -> float:
    """The rate to train with, given the best of the short trainings, to two digits."""
    return two_digits(best * 10 ** SHADES[schedule])


def two_digits(rate: float) -> float:
    """``rate`` as a person would type it."""
    return float(f"{rate:.1e}")


def diverges_at(probes: Sequence[Probe], start: float, best: float, edge: float | None) -> float | None:
    """The lowest rate above ``best`` whose training broke or ended above its start, else where the range test did."""
    for probe in sorted(probes, key=lambda one: one.rate):
        if probe.rate > best and (probe.loss is None or probe.loss > start):
            return two_digits(probe.rate)
    return two_digits(edge) if edge is not None and edge > best else None


def confidence(probes: Sequence[Probe], excess: Mapping[float, float], best: Probe) -> float:
    """How likely the rate trains to within 5 % of the best one's fall, fitted on benchmarks/lr_find.

    It is lower where a side of the best was not tried, where short and longer trainings name different rates, and
    where only one rate trains at all.
    """
    rates = sorted(excess)
    at = rates.index(best.rate)
    value = 0.97
    if at in (0, len(rates) - 1):
        value -= 0.2
    shortest = min(probe.steps for probe in probes)
    first = [probe for probe in probes if probe.steps == shortest and probe.loss is not None]
    early = min(first, key=lambda probe: (probe.loss, probe.rate), default=best)
    value -= 0.1 * min(abs(math.log10(early.rate / best.rate)), 2.0)
    near = sum(value < 0.25 for value in excess.values())
    if near < 2:
        value -= 0.15
    return round(float(np.clip(value, 0.05, 0.99)), 2)


def why(excess: Mapping[float, float], best: Probe, rate: float, schedule: str) -> str:
    """In two sentences: what was best of what, and how the rate follows from it."""
    assert best.loss is not None
    text = (
        f"Of {len(excess)} rates, {best.rate:.2g} came to the lowest loss after {best.steps} steps ({best.loss:.4g})."
    )
    if rate < best.rate:
        text += f" A rate that stays {schedule} has to suit the whole training: a little below it."
    elif schedule != "constant":
        text += f" With a {schedule} schedule that is where to begin."
    return text
