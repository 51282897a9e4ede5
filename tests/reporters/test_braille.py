"""Dots on a grid, against a grid kept as a set of dots and the table of the Unicode standard."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.reporters._braille import Canvas, braille, dots_between

# Unicode, "Braille Patterns": which of the dots 1 to 8 stands where; dot n is bit n - 1 of the code point.
NUMBER = {(0, 0): 1, (0, 1): 2, (0, 2): 3, (1, 0): 4, (1, 1): 5, (1, 2): 6, (0, 3): 7, (1, 3): 8}
DOTS = st.tuples(st.integers(-3, 24), st.integers(-3, 24))


def naive(dots: set[tuple[int, int]], column: int, row: int) -> str:
    bits = sum(2 ** (NUMBER[x - 2 * column, y - 4 * row] - 1) for x, y in dots if (x // 2, y // 4) == (column, row))
    return chr(0x2800 + bits)


@given(st.sets(DOTS))
@settings(deadline=None)
def test_characters_are_those_of_the_standard(dots: set[tuple[int, int]]) -> None:
    canvas = Canvas(20, 16)
    for dot in dots:
        canvas.set(*dot)
    inside = {(x, y) for x, y in dots if 0 <= x < 20 and 0 <= y < 16}
    assert {(x, y) for x in range(20) for y in range(16) if canvas.has(x, y)} == inside
    for row in range(4):
        for column in range(10):
            assert braille(canvas.cell(column, row)) == naive(inside, column, row)


@pytest.mark.parametrize(
    ("dots", "drawn"),
    [([], "⠀"), ([(0, 0)], "⠁"), ([(1, 3)], "⢀"), ([(0, 3)], "⡀"), ([(x, y) for x in (0, 1) for y in range(4)], "⣿")],
)
def test_a_few_characters_by_hand(dots: list[tuple[int, int]], drawn: str) -> None:
    canvas = Canvas(2, 4)
    for dot in dots:
        canvas.set(*dot)
    assert braille(canvas.cell(0, 0)) == drawn


def test_a_canvas_that_ends_within_a_character() -> None:
    canvas = Canvas(3, 5)
    canvas.column(2, -4, 9)
    assert [braille(canvas.cell(1, row)) for row in (0, 1)] == ["⡇", "⠁"]


@given(DOTS, DOTS)
@settings(deadline=None)
def test_a_line_has_no_gap_and_stays_within_half_a_dot(start: tuple[int, int], end: tuple[int, int]) -> None:
    dots = list(dots_between(start, end))
    assert (dots[0], dots[-1]) == (start, end)
    across, down = end[0] - start[0], end[1] - start[1]
    assert len(dots) == max(abs(across), abs(down)) + 1
    for (x, y), (to_x, to_y) in pairwise(dots):
        assert max(abs(to_x - x), abs(to_y - y)) == 1
    steep = abs(down) > abs(across)
    for x, y in dots:
        if start == end:
            continue
        along, length, off, rise = (
            (y - start[1], down, x - start[0], across) if steep else (x - start[0], across, y - start[1], down)
        )
        assert abs(off * length - along * rise) * 2 <= abs(length)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 15)), max_size=6), st.integers(1, 4))
@settings(deadline=None)
def test_a_lighter_line_has_some_of_the_dots_of_a_full_one(points: list[tuple[int, int]], every: int) -> None:
    full, light = Canvas(20, 16), Canvas(20, 16)
    full.polyline(points)
    light.polyline(points, every)
    everywhere = [(x, y) for x in range(20) for y in range(16)]
    way = [points[0]] if points else []
    for start, end in pairwise(points):
        way += list(dots_between(start, end))[1:]
    assert {dot for dot in everywhere if full.has(*dot)} == set(way)
    assert {dot for dot in everywhere if light.has(*dot)} == set(way[::every])
