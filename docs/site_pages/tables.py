"""Bars and matrices as SVG, in the look of the HTML report's pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convergence_cli.reporters._wording import number
from convergence_cli.reporters.page.markup import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

ROW, CELL, MOST = 22, 34, 14
_SHADES = 8


def bars(values: Mapping[str, float], title: str, uid: str) -> str:
    """One bar a name, at most 14."""
    shown = {name: value for name, value in list(values.items())[:MOST] if math.isfinite(value)}
    wide = {name: 52 * max(value, 0.0) / (max(shown.values()) or 1.0) for name, value in shown.items()}
    rows = "".join(
        f'<text x="0" y="{place * ROW + 15}">{text(name, 16)}</text>'
        f'<rect class="bar-of" x="30%" y="{place * ROW + 3}" width="{wide[name]:.2f}%" height="{ROW - 7}" rx="2"/>'
        f'<text class="tick" x="{31 + wide[name]:.2f}%" y="{place * ROW + 15}">{number(value)}</text>'
        for place, (name, value) in enumerate(shown.items())
    )
    said = ", ".join(f"{name}: {number(value)}" for name, value in shown.items())
    return _framed(rows, title, said, len(shown) * ROW, uid)


def matrix(counts: npt.NDArray[np.int64], title: str, uid: str) -> str:
    """Counts as shades, each row by its own sum, with the numbers in the cells."""
    counts = counts[:MOST, :MOST]
    size, sums = len(counts), counts.sum(axis=1)
    cells, said = [], []
    for row in range(size):
        for column in range(size):
            share = counts[row, column] / sums[row] if sums[row] else 0.0
            shade = "zero" if share == 0 else f"q{min(int(share * _SHADES), _SHADES - 1)}"
            x, y = (column + 1) * CELL, row * CELL
            tone = "over" if share > 0.5 else ""
            cells.append(f'<rect class="{shade}" x="{x}" y="{y}" width="{CELL - 2}" height="{CELL - 2}" rx="2"/>')
            cells.append(
                f'<text class="cell {tone}" x="{x + CELL / 2 - 1}" y="{y + CELL / 2 + 3}" text-anchor="middle">'
                f"{counts[row, column]}</text>"
            )
        middle = (row + 0.5) * CELL
        cells.append(f'<text class="tick" x="{CELL - 10}" y="{middle + 3}" text-anchor="end">{row}</text>')
        cells.append(
            f'<text class="tick" x="{middle + CELL - 1}" y="{size * CELL + 14}" text-anchor="middle">{row}</text>'
        )
        right = counts[row, row] / sums[row] if sums[row] else 0.0
        said.append(f"class {row}: {right:.0%} right")
    return _framed("".join(cells), title, "; ".join(said), size * CELL + 20, uid)


def _framed(body: str, title: str, said: str, height: int, uid: str) -> str:
    return (
        f'<figure><figcaption><span class="quiet">{text(title)}</span></figcaption>'
        f'<svg role="img" aria-labelledby="{uid}-t {uid}-d" width="100%" height="{height}"><title id="{uid}-t">'
        f'{text(title)}</title><desc id="{uid}-d">{text(said)}</desc>{body}</svg></figure>'
    )
