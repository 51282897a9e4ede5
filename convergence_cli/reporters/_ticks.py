"""From values to places on an axis of text, and the few round values that are written beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LABEL = 8
_MANTISSAS = ((1, 2, 5), (1, 3), (1,))
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e6


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from ``low`` to ``high``, both finite; on a log scale both positive."""

    low: float
    high: float
    log: bool = False

    def share(self, value: float) -> float:
        """The place of ``value`` from 0 to 1, no further out than the edge; the middle of an axis of one value."""
        if self.log:
            low, high, at = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            # Halved before the difference: two finite extremes can be further apart than a float can hold.
            low, high, at = self.low / 2, self.high / 2, value / 2
        if not high > low:
            return 0.5
        return min(max((at - low) / (high - low), 0.0), 1.0)

    def ticks(self, most: int) -> list[float]:
        """Round values on the axis, rising, about ``most`` of them; its ends where fewer than two are round."""
        if not self.high > self.low:
            return [self.low]
        found = _powers(self, most) if self.log else _multiples(self, most)
        return found if len(found) > 1 else [self.low, self.high]


def _multiples(scale: Scale, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    least = scale.high / most - scale.low / most
    if least <= 0 or least < abs(scale.high) * 1e-15:
        return []
    power = 10.0 ** math.floor(math.log10(least))
    width = next((factor * power for factor in (1, 2, 5, 10) if factor * power >= least), 0.0)
    if width <= 0 or not math.isfinite(width):
        return []
    first = math.ceil(scale.low / width)
    return [
        tick for tick in ((first + number) * width for number in range(most + 2)) if scale.low <= tick <= scale.high
    ]


def _powers(scale: Scale, most: int) -> list[float]:
    """Powers of ten, with round numbers between where there is room for them."""
    first, last = math.floor(math.log10(scale.low)), math.floor(math.log10(scale.high))
    found: list[float] = []
    for mantissas in _MANTISSAS:
        # As text and back: the nearest float to a round number, also where its power cannot be reached by products.
        found = [float(f"{part}e{power}") for power in range(first, last + 1) for part in mantissas]
        found = [tick for tick in found if scale.low <= tick <= scale.high]
        if len(found) <= most:
            return found
    return found[:: -(-len(found) // most)]


def labels(ticks: Sequence[float], room: int = LABEL) -> list[str]:
    """``ticks`` as text of at most ``room`` columns (7 or more), with as many digits as tell them apart."""
    apart = min((after - before for before, after in pairwise(ticks)), default=0.0)
    return [_label(tick, apart, room) for tick in ticks]


def _label(tick: float, apart: float, room: int) -> str:
    if tick == 0:
        return "0"
    if _PLAIN_FROM <= abs(tick) < _PLAIN_TO:
        # To a tenth of the distance, for values that are not round; a value alone to four digits.
        places = max(0, math.ceil(-math.log10(apart if apart > 0 else abs(tick) * 1e-2)) + 1)
        for digits in range(min(places, room), -1, -1):
            text = f"{tick:,.{digits}f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            if len(text) <= room and (digits == 0 or float(text.replace(",", "")) != 0):
                return text
    for digits in range(3, -1, -1):
        mantissa, _, power = f"{tick:.{digits}e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(power)}"
        if len(text) <= room:
            return text
    return text[:room]
