"""From values to heights: linear, logarithmic where the range asks for it, cut where one peak would hide the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

# The plot is so many units high and wide, whatever its size on the screen.
HEIGHT, WIDTH = 1000, 10_000
LOG_RANGE, SQUEEZED_RANGE, SQUEEZED_SHARE = 100.0, 10.0, 0.12
# So many times above the ninth decile, a peak of few points is cut off.
PEAK, PEAK_OF_LOG, FEW = 30.0, 1e4, 0.1
_MARGIN = 0.06
_SMALLEST = 1e-300

Kind = Literal["linear", "log"]


@dataclass(frozen=True, slots=True)
class Scale:
    """``low`` and ``high`` are the values at the foot and at the top; ``cut`` says that there are higher ones."""

    kind: Kind
    low: float
    high: float
    cut: bool = False

    def y(self, value: float) -> int:
        """The height of ``value`` from the top, in units of the plot; what lies outside is at its edge."""
        share = self._share(value)
        return round(HEIGHT * (1 - min(max(share, 0.0), 1.0)))

    def inside(self, value: float) -> bool:
        """Whether ``value`` has a place between foot and top."""
        return -1e-9 <= self._share(value) <= 1 + 1e-9

    def _share(self, value: float) -> float:
        if self.kind == "log":
            span = math.log(self.high) - math.log(self.low)
            return (math.log(max(value, _SMALLEST)) - math.log(self.low)) / span if span > 0 else 0.5
        # Halved before the difference: two finite extremes can be further apart than a float can hold.
        span = self.high / 2 - self.low / 2
        return (value / 2 - self.low / 2) / span if span > 0 else 0.5

    def ticks(self) -> list[float]:
        """Three to five round values."""
        return _decades(self.low, self.high) if self.kind == "log" else _rounds(self.low, self.high)


def scale_of(values: Sequence[float], with_: Iterable[float] = ()) -> Scale:
    """A scale for ``values`` (finite, at least one), with room for lines at those of ``with_`` that are near."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    ninth = ordered[min(int(0.9 * len(ordered)), len(ordered) - 1)]
    cut = False
    typical = max(abs(ninth), abs(ordered[len(ordered) // 2]), _SMALLEST)
    # Where a logarithm can show the peak and the rest, nothing needs to be cut off.
    peak = PEAK if low <= 0 else PEAK_OF_LOG
    if len(ordered) >= 10 and high > 0 and high / typical > peak and ninth < high:
        cap = ninth + max(3 * (ninth - low), 0.5 * abs(ninth), _SMALLEST)
        above = sum(value > cap for value in ordered)
        if above <= FEW * len(ordered) and cap < high / 3:
            high, cut = cap, True
    near = [one for one in with_ if math.isfinite(one) and _near(one, low, high)]
    low, high = min([low, *near]), high if cut else max([high, *near])
    positive = [value for value in ordered if value > 0]
    if _asks_for_log(positive, ordered, high):
        low = min([positive[0], *(one for one in near if one > 0)])
        margin = math.exp(_MARGIN * (math.log(high) - math.log(low)))
        return Scale("log", max(low / margin, _SMALLEST), max(high, min(high * margin, 1e308)), cut)
    # Parted before they are multiplied: the extremes of a float are further apart than a float can hold.
    margin = _MARGIN * (high - low) if math.isfinite(high - low) else 0.0
    margin = margin or max(abs(high) * 0.1, 1e-9) * (high == low)
    foot = 0.0 if 0 <= low <= margin * 4 else low - margin
    return Scale("linear", min(low, max(foot, -1e308)), max(high, min(high + margin, 1e308)), cut)


def _near(one: float, low: float, high: float) -> bool:
    span = high - low or abs(high) or 1.0
    return low - 0.5 * span <= one <= high + 0.5 * span or (0 < low / 10 <= one <= high * 10)


def _asks_for_log(positive: Sequence[float], ordered: Sequence[float], high: float) -> bool:
    if len(positive) < 0.9 * len(ordered) or not positive or positive[0] <= _SMALLEST:
        return False
    ratio = high / positive[0]
    squeezed = positive[int(0.75 * (len(positive) - 1))] < SQUEEZED_SHARE * high
    return (ratio > LOG_RANGE and (squeezed or positive[len(positive) // 2] < 0.3 * high)) or (
        ratio > SQUEEZED_RANGE and squeezed
    )


def _rounds(low: float, high: float) -> list[float]:
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low] if low == high else [low, high]
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough)) if rough > _SMALLEST else rough
    width = next((factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough), rough)
    if width <= 0 or low + width == low:
        return [low, high]
    first = math.ceil(low / width)
    found = [round((first + number) * width, 12 - math.floor(math.log10(width))) for number in range(8)]
    return [tick + 0.0 for tick in found if low <= tick <= high] or [low, high]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(1, -(-(last - first) // 4))
    tens = [10.0**power for power in range(first, last + 1, stride)]
    if len(tens) >= 3:
        return tens
    fine = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1, 2, 5)]
    fine = [tick for tick in fine if low <= tick <= high]
    return fine[:: max(1, -(-len(fine) // 5))] or [low, high]
