"""From what was tried to one rate, a window and how sure it is: pure functions of numbers.

Trainings of different lengths are compared at the same number of steps: the *excess* of a rate is what it lacks of
the best one's fall, 0 for the best and 1 for a training that did not fall at all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convergence_cli.learning_rate import Probe

WITHIN = 0.05
# What counts as equally good, as a share of the best one's fall, and how many decades down equals are followed.
AS_GOOD, MOST_BELOW = 0.002, 1.0
# A constant rate has to suit the whole training, and what is best for the first hundred steps is above what is
# best for more of them; a decaying one starts high and ends low. Decades. All measured on benchmarks/lr_find.
SHADES = {"constant": -0.25, "cosine": 0.0}
# What takes from the confidence how much; a rate of less than a quarter of excess trains, too.
SUREST, DOUBTS = 0.97, {"alone": 0.4, "at-the-edge": 0.15, "changed": 0.08, "narrow": 0.06}
NEAR, CHANGED, NARROW = 0.25, 0.3, 0.3


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
    ends = [_end(rates[at::-1], values[at::-1], WITHIN), _end(rates[at:], values[at:], WITHIN)]
    return 10 ** ends[0], 10 ** ends[1]


def _end(rates: Sequence[float], values: Sequence[float], limit: float) -> float:
    """Where ``values`` first pass ``limit``, going away from the best."""
    for place in range(1, len(rates)):
        here, there = values[place - 1], values[place]
        if there > limit:
            share = min(max((limit - here) / (there - here), 0.0), 1.0) if there > here else 0.0
            return rates[place - 1] + share * (rates[place] - rates[place - 1])
    return rates[-1]


def shaded(excess: Mapping[float, float], best: float, schedule: str) -> float:
    """The rate to train with, to two digits: of those that are as good as the best one the lowest, and then

    below it where the rate is to be constant. What a higher rate gains there is chance, and what it costs, in
    generalisation or in a training that breaks later, is not.
    """
    rates = [math.log10(rate) for rate in excess]
    at = list(excess).index(best)
    lowest = _end(rates[at::-1], list(excess.values())[at::-1], AS_GOOD)
    return two_digits(10 ** (max(lowest, math.log10(best) - MOST_BELOW) + SHADES[schedule]))


def two_digits(rate: float) -> float:
    """``rate`` as a person would type it."""
    return float(f"{rate:.1e}")


def diverges_at(probes: Sequence[Probe], start: float, best: float, edge: float | None) -> float | None:
    """The lowest rate above ``best`` whose training broke or ended above its start, else where the range test did."""
    last = {probe.rate: probe for probe in sorted(probes, key=lambda one: (one.rate, one.steps))}
    broke = {probe.rate for probe in probes if probe.loss is None}
    for rate, probe in last.items():
        if rate > best and (rate in broke or probe.loss is None or probe.loss > start):
            return two_digits(rate)
    # The range test had all lower rates before: a training from the start knows better what a rate can bear.
    borne = max((rate for rate, probe in last.items() if probe.loss is not None and probe.loss <= start), default=best)
    return two_digits(edge) if edge is not None and edge > max(best, borne) else None


def confidence(probes: Sequence[Probe], excess: Mapping[float, float], best: Probe) -> float:
    """How likely the rate trains to within 5 % of the best one's fall; the terms were fitted on benchmarks/lr_find.

    It is lower where only one rate trains at all, where a side of the best was not tried, where short and longer
    trainings name different rates, and where the window is narrow.
    """
    rates = sorted(excess)
    shortest = min(probe.steps for probe in probes)
    first = [probe for probe in probes if probe.steps == shortest and probe.loss is not None]
    early = min(first, key=lambda probe: (probe.loss, probe.rate), default=best)
    low, high = window(excess, best.rate)
    alone = sum(value < NEAR for value in excess.values()) < 2
    doubts = {
        "alone": alone,
        "at-the-edge": best.rate in (rates[0], rates[-1]),
        "changed": abs(math.log10(early.rate / best.rate)) > CHANGED,
        "narrow": not alone and math.log10(high / low) < NARROW,
    }
    return round(SUREST - sum(DOUBTS[name] for name, holds in doubts.items() if holds), 2)


def why(excess: Mapping[float, float], best: Probe, rate: float, schedule: str) -> str:
    """In two sentences: what was best of what, and how the rate follows from it."""
    assert best.loss is not None
    text = (
        f"Of {len(excess)} rates, {best.rate:.2g} came to the lowest loss after {best.steps} steps ({best.loss:.4g})."
    )
    if schedule != "constant":
        text += f" With a {schedule} schedule that is where to begin."
    elif rate < best.rate:
        text += " A rate that stays constant has to suit the whole training: a little below it."
    return text
