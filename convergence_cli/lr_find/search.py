"""Which rates to try, given only what trying one costs and comes to: no model, no torch.

Two stages. A range test (Smith 2017, "Cyclical Learning Rates", section 3.3) says where training breaks. Short
trainings from one start, half a decade apart, then climb to the best of them, and the best few train on
(successive halving; Jamieson and Talwalkar 2016, "Non-stochastic best arm identification"): a continuous test
mixes what each rate does with what the smaller ones did before it, a restart does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cli.lr_find.known_rules import smoothed

Floats = NDArray[np.float64]
Try = Callable[[float, int], float]
Bounds = tuple[float, float]
BOUNDS: Bounds = (3e-7, 1e2)
# In units of the grid, a quarter of a decade.
PER_DECADE, HALF, QUARTER = 4, 2, 1
RANGE_SMOOTHING = 0.7
SETTLED, ROUNDING = 5, 1e-9
# The share of the range test, at rates too low to change anything, that tells the noise of batches.
QUIET = 0.25
# Below this many noise deviations of fall, the lowest loss of a range test is noise.
CLEAR_FALL = 2.0
# A short training that fell by less than this share of the noise of one batch has not left its plateau.
PLATEAU = 0.6
# From the edge, or the lowest loss, of a continuous test down to the best rate; measured on benchmarks/lr_find.
BELOW = 0.75
MOST_LONG, MOST_LONG_AFTER_PLATEAU = 1 / 4, 3 / 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How ``steps`` updates are spent: a range test, short trainings, and longer ones of the best ``kept``."""

    steps: int = 600
    kept: int = 3

    @property
    def range_steps(self) -> int:
        """Of the range test; a dozen a decade at 600 in all."""
        return max(self.steps // 6, 20)

    @property
    def short(self) -> int:
        """Of each first training."""
        return max(self.steps // 20, 5)

    @property
    def long(self) -> int:
        """Of each of the best, the first steps counted; more where steps are left over."""
        return max(self.steps // 6, 10)

    def longest(self, spent: int, trainings: int, *, plateau: bool = False) -> int:
        """The length of the last ``trainings`` when ``spent`` steps have been made, at most a quarter of all.

        A ``plateau`` takes longer to leave.
        """
        left = (self.steps - spent) // max(trainings, 1)
        most = MOST_LONG_AFTER_PLATEAU if plateau else MOST_LONG
        return min(max(self.short + left, self.long), int(most * self.steps))

    @property
    def tries(self) -> int:
        """First trainings that the rest of the steps allow."""
        left = self.steps - self.range_steps - self.kept * (self.long - self.short)
        return max(left // self.short, 3)


def geometric(low: float, high: float, count: int) -> list[float]:
    """``count`` rates from ``low`` to ``high``, each the same factor above the one before."""
    return [float(rate) for rate in np.geomspace(low, high, count)]


def broken(losses: Sequence[float]) -> bool:
    """Whether a range test need not go on: not finite, or far above where it started.

    The bound is additive, relative to the fall and the noise so far, so that negative losses are as good as others.
    """
    if not math.isfinite(losses[-1]):
        return True
    count = len(losses)
    if count < 8:
        return False
    y = np.asarray(losses)
    quiet = y[: max(count // 4, 4)]
    start, noise = float(np.median(quiet)), float(np.std(quiet))
    now = float(np.mean(y[-3:]))
    return now > start + max(4 * (start - float(smoothed(y, RANGE_SMOOTHING).min())), 10 * noise, 2 * abs(start))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a range test says: where its loss started, the ``noise`` of one batch (a standard deviation), the rate at

    its ``lowest`` point, the highest rate at the ``edge`` of breaking, and whether it ``fell`` beyond that noise.
    """

    start: float
    noise: float
    lowest: float
    edge: float
    fell: bool

    @property
    def guess(self) -> float:
        """Where to begin trying: below the lowest point, or where nothing fell (a plateau) below the edge."""
        return (self.lowest if self.fell else self.edge) * 10**-BELOW


def read(rates: Sequence[float], losses: Sequence[float]) -> Reading:
    """A range test, read on a lightly smoothed curve."""
    y = np.asarray(losses, dtype=np.float64)
    finite = np.isfinite(y)
    x, y = np.asarray(rates[: len(losses)])[finite], y[finite]
    if not len(y):
        return Reading(math.nan, math.nan, rates[0], rates[0], False)
    quiet = y[: max(int(QUIET * len(rates)), 3)]
    start, noise = float(np.median(quiet)), float(np.std(quiet))
    smooth = smoothed(y, RANGE_SMOOTHING)
    # The first averages are of few batches, and before anything was learnt.
    settled = min(SETTLED, len(smooth) - 1)
    fall = start - float(smooth[settled:].min())
    fell = fall > max(CLEAR_FALL * noise, ROUNDING * abs(start))
    good = np.flatnonzero(smooth <= start + max(2 * noise, 0.1 * fall))
    edge = float(x[good[-1]]) if len(good) else float(x[0])
    return Reading(start, noise, float(x[settled + int(np.argmin(smooth[settled:]))]), edge, fell)


def climb(
    attempt: Try, test: Reading, plan: Plan, start: float, bounds: Bounds = BOUNDS
) -> tuple[dict[float, float], bool]:
    """(losses by rate of short trainings, whether any of them left the plateau at the start).

    Half decades up to the best one, then quarters beside it. Where no training is clearly below ``start`` yet, more
    short ones tell nothing: the rest of the steps is for those that there are, which have to be long.
    ``attempt(rate, steps)`` gives the loss after so many steps from the start, infinite where training broke.
    """
    low, high = (math.log10(bound) * PER_DECADE for bound in bounds)
    tried: dict[float, float] = {}

    def inside(place: float) -> bool:
        return low - 1e-9 <= place <= high + 1e-9

    def attempted(place: float) -> None:
        tried[place] = attempt(10 ** (place / PER_DECADE), plan.short)

    middle: float = round(min(max(math.log10(test.guess) * PER_DECADE, math.ceil(low)), math.floor(high)))
    # Bounds can be nearer to each other than the grid.
    middle = middle if inside(middle) else (low + high) / 2
    for place in (middle, middle - HALF, middle + HALF):
        if inside(place):
            attempted(place)
    while len(tried) < plan.tries:
        borne = below_the_broken(tried)
        best = min(borne, key=lambda place: (borne[place], place))
        steps: tuple[int, ...] = (-HALF, HALF, -QUARTER, QUARTER)
        if borne[best] > start + test.noise:
            # All did harm: the way is down, from the lowest.
            steps = (-2 * HALF, -HALF, -QUARTER) if math.isinf(borne[best]) else (-HALF, -QUARTER)
            best = min(tried)
        elif borne[best] > start - PLATEAU * test.noise and not test.fell:
            break
        following = next((best + step for step in steps if best + step not in tried and inside(best + step)), None)
        if following is None:
            break
        attempted(following)
    losses = {10 ** (place / PER_DECADE): loss for place, loss in sorted(below_the_broken(tried).items())}
    return losses, min(losses.values(), default=math.inf) <= start - PLATEAU * test.noise or test.fell


def below_the_broken(tried: Mapping[float, float]) -> dict[float, float]:
    """``tried``, with all from the lowest that broke on as broken: what survives above it has survived by chance."""
    broke = min((place for place, loss in tried.items() if not math.isfinite(loss)), default=math.inf)
    return {place: loss if place < broke else math.inf for place, loss in tried.items()}


def unharmed(tried: dict[float, float], start: float, noise: float, kept: int) -> list[float]:
    """Of trainings that have not left the plateau yet the ``kept`` at the highest rates that did no harm."""
    return sorted((rate for rate, loss in tried.items() if loss <= start + 2 * noise), reverse=True)[:kept]


def finalists(tried: dict[float, float], kept: int) -> list[float]:
    """The ``kept`` best rates, best first."""
    finite = [rate for rate, loss in tried.items() if math.isfinite(loss)]
    return sorted(finite, key=lambda rate: (tried[rate], rate))[:kept]


def beside(best: float, known: Collection[float], bounds: Bounds = BOUNDS) -> list[float]:
    """Rates near ``best`` that are not ``known`` yet: beyond it where nothing is known, then a quarter decade away."""
    place = round(math.log10(best) * PER_DECADE)
    steps = [-HALF] if best <= min(known) else [HALF] if best >= max(known) else []
    rates = [10 ** ((place + step) / PER_DECADE) for step in (*steps, QUARTER, -QUARTER)]
    return [rate for rate in rates if rate not in known and bounds[0] <= rate <= bounds[1]]


def lower(rate: float, bounds: Bounds = BOUNDS) -> list[float]:
    """The rate half a decade below ``rate``, if it is within ``bounds``."""
    below = 10 ** ((round(math.log10(rate) * PER_DECADE) - HALF) / PER_DECADE)
    return [below] if below >= bounds[0] else []
