"""One look for every picture: colours that any reader tells apart, in grey too, and sizes that fit a page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

from convergence_cli.printable import printable

if TYPE_CHECKING:
    from matplotlib.typing import ColorType

Given = ParamSpec("Given")

# Widths in millimetres: a page, a column of two; below the third value panels stand under each other.
FULL, COLUMN, NARROW = 180.0, 80.0, 120.0
# What figures are made in, and points of the text in them.
INCH, SIZE, SMALL = 25.4, 8.0, 7.0
# M. Okabe and K. Ito, "Color Universal Design" (2008). Neighbours in SERIES differ in lightness, dashes and markers.
BLACK, BLUE, VERMILION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
ORANGE, SKY, PINK, YELLOW = "#E69F00", "#56B4E9", "#CC79A7", "#F0E442"
INK, QUIET, FAINT, RULE = "#222222", "#5F5F5F", "#BDBDBD", "#E6E6E6"
# Made for readers with any colour vision, and as even in grey: J. Nuñez et al. (2018), PLOS ONE 13(7) e0199239.
MAP = "cividis"
FONT = "DejaVu Sans"
_LEFT_ALONE = ("backend", "interactive", "toolbar", "webagg", "keymap", "date.epoch", "timezone")
_OWN: Mapping[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": [FONT],
    "font.size": SIZE,
    "text.color": INK,
    "text.parse_math": False,
    "axes.titlesize": SIZE,
    "axes.titlelocation": "left",
    "axes.titlepad": 5.0,
    "axes.labelsize": SIZE,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": SMALL,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fancybox": False,
    "legend.borderpad": 0.3,
    "legend.handlelength": 2.4,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.0,
    "hatch.linewidth": 0.5,
    "hatch.color": FAINT,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "ctroubleshoot",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a series is drawn: told apart by each of the three alone."""

    color: str
    dash: Any
    marker: str


SERIES = (
    Look(BLUE, "-", "o"),
    Look(ORANGE, "--", "s"),
    Look(BLACK, "-.", "^"),
    Look(SKY, (0, (5, 1, 1, 1, 1, 1)), "D"),
    Look(VERMILION, ":", "v"),
    Look(PINK, (0, (8, 2)), "P"),
    Look(QUIET, (0, (1, 2)), "*"),
    Look(GREEN, (0, (2, 1)), "X"),
)
TONES: Mapping[str, ColorType] = {"error": VERMILION, "warning": ORANGE, "note": SKY}


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib's own defaults with ours, whatever the user has set; all as it was afterwards."""
    defaults: dict[Any, Any] = {
        key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(_LEFT_ALONE)
    }
    with mpl.rc_context({**defaults, **_OWN}):
        yield


def picture(draw: Callable[Given, Figure]) -> Callable[Given, Figure]:
    """``draw`` in our style."""

    @wraps(draw)
    def drawn(*args: Given.args, **kwargs: Given.kwargs) -> Figure:
        with styled():
            return draw(*args, **kwargs)

    return drawn


class Sheet(Figure):
    """A figure that a notebook shows without ``pyplot``."""

    def _repr_png_(self) -> bytes:
        from convergence_cli.plots.writing import encoded

        return encoded(self, "png")


def sheet(width: float, height: float, bold: str, under: str, lines: int = 3) -> Figure:
    """An empty figure on no screen, ``width`` millimetres wide, with room for ``height`` millimetres of picture.

    Above stand ``bold``, our own words, and ``under``, on anything: at most ``lines`` lines, wrapped to the width.
    """
    room = max(int(width / 1.45), 30)
    whole = shown(under, 600)
    wrapped = textwrap.wrap(whole, room) or [""]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], f"{wrapped[lines - 1][: room - 2].rstrip(' .,;')} …"]
    head = 6.5 + 3.9 * len(wrapped)
    figure = Sheet(figsize=(width / INCH, (height + head) / INCH), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(rect=(0.004, 0.0, 0.992, height / (height + head)))  # type: ignore[union-attr, call-arg]
    left, top = 1.5 / width, 1 - 1.2 / (height + head)
    figure.text(left, top, shown(bold, 120), fontsize=SIZE + 1, fontweight="bold", va="top", gid="headline")
    under_it = top - 4.6 / (height + head)
    figure.text(left, under_it, "\n".join(wrapped), color=QUIET, va="top", linespacing=1.3, gid="reason")
    return figure


def shown(item: object, limit: int = 80) -> str:
    """``item`` as it may stand in a picture: printable, and with an escape for each character the font lacks."""
    safe = printable(" ".join(str(item)[: 4 * limit].split()), limit)
    glyphs = _glyphs()
    if all(ord(char) in glyphs for char in safe):
        return safe
    return "".join(char if ord(char) in glyphs else char.encode("unicode_escape").decode() for char in safe)


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FONT)).get_charmap())


def short(name: object, limit: int = 22) -> str:
    """``name`` cut in its middle: both ends of a layer's name tell."""
    whole = shown(name, 200)
    if len(whole) <= limit:
        return whole
    head = (limit - 1) // 2
    return f"{whole[:head]}…{whole[-(limit - 1 - head) :]}"


def short_names(names: Sequence[str], limit: int = 22) -> list[str]:
    """``names`` without the dotted beginning that all share, each cut so that they can be told apart.

    That is to its end where this is enough; else what all have at one place is left out, or the middle.
    """
    parts = [name.split(".") for name in names]
    shared = 0
    while len(names) > 1 and all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
        shared += 1
    whole = [shown(".".join(one[shared:]), 200) for one in parts]
    words = [f"layer {name}" if name.isdigit() else name for name in whole]
    differing = [shown(word, 200) for word in _differing([one[shared:] for one in parts])]
    ways = [[_ended(word, limit) for word in words]]
    ways += [[cut(word, limit) for word in texts] for texts in (differing, words) for cut in (_ended, short)]
    return max(ways, key=lambda way: len(set(way)))


def _ended(word: str, limit: int) -> str:
    return word if len(word) <= limit else f"…{word[1 - limit :]}"


def _differing(parts: Sequence[Sequence[str]]) -> list[str]:
    """The parts of each name that are not the same in all; the whole name where they have not as many parts."""
    if len({len(one) for one in parts}) != 1:
        return [".".join(one) for one in parts]
    kept = [at for at in range(len(parts[0])) if len({one[at] for one in parts}) > 1] or [len(parts[0]) - 1]
    gaps = ["." if at == before + 1 else "…" for before, at in pairwise(kept)]
    return [
        "".join(text for pair in zip(["", *gaps], kept, strict=True) for text in (pair[0], one[pair[1]]))
        for one in parts
    ]


def evenly(count: int, most: int) -> Sequence[int]:
    """At most ``most`` of ``count`` places, first and last among them."""
    if count <= most:
        return range(count)
    return sorted({round(index * (count - 1) / (most - 1)) for index in range(most)})
