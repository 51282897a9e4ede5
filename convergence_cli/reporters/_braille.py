"""Dots on a grid, and the grid as braille: 2 x 4 dots a character."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ACROSS, DOWN = 2, 4
_BLANK = 0x2800
# The bit of each dot of a character, by row and column (Unicode, "Braille Patterns": dots 1-3, 7 are the left column).
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))

Dot = tuple[int, int]


@dataclass(slots=True)
class Canvas:
    """``width`` x ``height`` dots, none set at first; (0, 0) is the dot at the top left. Dots outside are left out."""

    width: int
    height: int
    # A number a row, of which bit x is dot x.
    _rows: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rows = [0] * self.height

    def set(self, x: int, y: int) -> None:
        """Draw one dot."""
        if 0 <= x < self.width and 0 <= y < self.height:
            self._rows[y] |= 1 << x

    def has(self, x: int, y: int) -> bool:
        """Whether the dot is set."""
        return bool(self._rows[y] >> x & 1)

    def column(self, x: int, top: int, foot: int) -> None:
        """Draw the dots from ``top`` to ``foot``, both included."""
        for y in range(top, foot + 1):
            self.set(x, y)

    def polyline(self, points: Sequence[Dot], every: int = 1) -> None:
        """Join ``points`` by straight lines; of the dots of the whole way only each ``every``-th is drawn."""
        if len(points) == 1:
            self.set(*points[0])
        walked = 0
        for start, end in pairwise(points):
            for x, y in dots_between(start, end):
                if walked % every == 0:
                    self.set(x, y)
                walked += 1
            # The last dot is also the first of the next line.
            walked -= 1

    def cell(self, column: int, row: int) -> int:
        """The dots of a character as the bits of its code point above U+2800; 0 where none is set."""
        bits = 0
        for y, pair in enumerate(_BITS[: self.height - row * DOWN]):
            dots = self._rows[row * DOWN + y] >> column * ACROSS & 0b11
            bits |= (dots & 1 and pair[0]) | (dots >> 1 and pair[1])
        return bits


def braille(bits: int) -> str:
    """The character with those dots."""
    return chr(_BLANK | bits)


def dots_between(start: Dot, end: Dot) -> Iterator[Dot]:
    """The dots of the straight line between two, both included: one a column, or one a row where it is steep."""
    (x, y), (to_x, to_y) = start, end
    across, down = to_x - x, to_y - y
    count = max(abs(across), abs(down))
    if count == 0:
        yield start
        return
    for number in range(count + 1):
        # Whole numbers throughout: halves go up, whatever the length.
        yield x + (2 * number * across + count) // (2 * count), y + (2 * number * down + count) // (2 * count)
