"""Where the words of a chart stand: off one another and off the curves, as far as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convergence_cli.reporters.page.markup import text
from convergence_cli.reporters.page.scale import HEIGHT, Scale

if TYPE_CHECKING:
    from convergence_cli.reporters.page.paths import Steps
    from convergence_cli.reporters.page.trace import Trace

# Pixels that a plot is wide on a phone and on the narrowest page that is none, and that a character of a label takes.
PHONE, TABLET, CHARACTER_WIDTH = 270, 560, 7.0
# Pixels that a line of words reaches above and below its foot.
_ABOVE, _BELOW = 12, 4
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place for words: ``share`` of the width, where they begin or ``end``, and the pixels from the top."""

    share: float
    y: int
    end: bool = False

    def box(self, label: str, wide: int) -> Box:
        """From where to where ``label`` goes: shares of a plot ``wide`` pixels wide, pixels from the top."""
        reach = len(label) * CHARACTER_WIDTH / wide
        left = self.share - reach if self.end else self.share
        return left, left + reach, self.y - _ABOVE, self.y + _BELOW


def next_to(share: float, label: str, *heights: int) -> list[Spot]:
    """To the right of ``share``, or to the left of it where that has no room, at each of ``heights``."""
    wide = len(label) * CHARACTER_WIDTH / PHONE
    before = share + wide > 1 and (share >= wide or share > 0.5)
    return [Spot(share, height, before) for height in heights]


def at_an_edge(y: int) -> list[Spot]:
    """Above or below a line at ``y``, at its end or at its beginning."""
    above, under = y - 5, y + 14
    heights = (above, under) if y > 18 else (under,)
    return [Spot(share, height, end) for share, end in ((1.0, True), (0.0, False)) for height in heights]


@dataclass(slots=True)
class Labels:
    """The words of one chart, ``height`` pixels high, of ``traces``."""

    traces: Sequence[Trace]
    steps: Steps
    scale: Scale
    height: int
    _taken: list[Box] = field(default_factory=list)
    _curves: list[Box] | None = None

    def put(self, label: str, kind: str, spots: Sequence[Spot], *, optional: bool = False, moves: bool = True) -> str:
        """``label`` at the best of ``spots``, the first where they are as good; nothing where it is ``optional``.

        ``moves``: with the step it stands at, when a part of the chart is looked at.
        """
        costs = [(self._covered(spot, label), place) for place, spot in enumerate(spots)]
        (words, _), place = min(costs)
        if optional and words:
            return ""
        spot = spots[place]
        self._taken.append(spot.box(label, PHONE))
        held = f' data-at="{spot.share:.4f}"' if moves else ""
        side = 'text-anchor="end" dx="-5"' if spot.end else 'dx="5"'
        return f'<text class="{kind}"{held} x="{100 * spot.share:.2f}%" y="{spot.y}" {side}>{text(label)}</text>'

    def _covered(self, spot: Spot, label: str) -> tuple[int, int]:
        """How many labels, and points of curves, lie under ``label``; a place outside the plot is as bad as a label."""
        near, wide = spot.box(label, PHONE), spot.box(label, TABLET)
        outside = not (near[2] >= 0 and near[3] <= self.height)
        words = sum(_meet(near, one) for one in self._taken) + outside
        return words, sum(_meet(wide, one) for one in self._points())

    def _points(self) -> list[Box]:
        if self._curves is None:
            self._curves = [
                (share := self.steps.share(at), share, self._pixel(high), self._pixel(low))
                for trace in self.traces
                for at, low, high in zip(trace.x, trace.low, trace.high, strict=True)
                if low is not None and high is not None
            ]
        return self._curves

    def _pixel(self, value: float) -> float:
        return self.scale.y(value) * self.height / HEIGHT


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
