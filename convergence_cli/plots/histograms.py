"""How the values of weights, gradients and activations are spread, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import (
    BLACK,
    BLUE,
    FULL,
    NARROW,
    QUIET,
    SIZE,
    SMALL,
    picture,
    sheet,
    short_names,
    shown,
)
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.reporters.page.trace import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

KIND = "histograms"
KINDS = ("weight", "gradient", "activation")
HINT = (
    "Record tensors: wrap the training in convergence_cli.Recorder, write histograms to TensorBoard, or save"
    " weight/LAYER.weight and its like in tensors/step_000100.npz."
)
MAX_ROWS = 6
_PANEL = 25.0
# Where the widest spread is so many times the narrowest, a linear axis shows one of them only.
LOG_RANGE = 100.0
# Ticks are so much of the height of a panel apart; names have so many characters at least, and are tried from so many.
_TICK, _SHORTEST, _LONGEST = 0.17, 8, 60


@dataclass(frozen=True, slots=True)
class Spread:
    """One tensor: ``quantiles`` (steps, shares) at the shares ``at``, finite and ascending along the second axis."""

    kind: str
    name: str
    steps: np.ndarray[Any, Any]
    at: tuple[float, ...]
    quantiles: np.ndarray[Any, Any]


def spreads_of(found: Any) -> Iterator[Spread]:
    """The checked ``summary["spreads"]``, whoever wrote it."""
    for one in list(found)[:100] if isinstance(found, Sequence) and not isinstance(found, str) else ():
        if not isinstance(one, Mapping):
            continue
        steps, at, rows = numbers(one.get("steps")), numbers(one.get("at")), one.get("quantiles")
        table = [numbers(row) for row in rows] if isinstance(rows, Sequence) and not isinstance(rows, str) else []
        whole = all(len(row) == len(at) and None not in row for row in table) and None not in (*steps, *at)
        if whole and steps and len(table) == len(steps) and len(at) >= 3 and len(at) % 2:
            values = np.sort(np.array(table, dtype=np.float64), axis=1)
            shares = tuple(float(share or 0.0) for share in at)
            kind = str(one.get("kind"))
            yield Spread(kind, str(one.get("name")), np.array(steps, dtype=np.float64), shares, values)


@picture
def figure(spreads: Sequence[Spread], *, name: str, unit: str = "step", width: float = FULL) -> Figure:
    """Bands between quantiles, a column a kind. Raises ``NotDrawn`` where there is no spread."""
    columns = [[one for one in spreads if one.kind == kind][:MAX_ROWS] for kind in KINDS]
    columns = [column for column in columns if column]
    if not columns:
        raise NotDrawn(KIND, "No spread of weights, gradients or activations was recorded.", HINT)
    if width < NARROW:
        # Under each other, three of each kind.
        columns = [[one for column in columns for one in column[:3]]]
    rows = max(map(len, columns))
    bands = ", ".join(f"{100 * (high - low):.4g} %" for low, high in _pairs(columns[0][0].at))
    kinds = ", ".join(f"{column[0].kind}s" for column in columns) if width >= NARROW else "tensors"
    under = f"{name}: {kinds}; bands hold {bands} of the values, the line is their median"
    if any(_linear_within(one.quantiles) is not None for column in columns for one in column):
        under += "; a symlog axis is logarithmic on both sides of 0, linear close to it"
    paper = sheet(width, _PANEL * rows + 12, "How values are spread", f"{under}.", lines=4)
    grid = paper.subplots(rows, len(columns), squeeze=False)
    for place, column in enumerate(columns):
        for row in range(rows):
            axes = grid[row, place]
            if row >= len(column):
                axes.set_axis_off()
                continue
            _draw(axes, column[row])
            axes.set_title(column[row].kind, color=QUIET)
    paper.supxlabel(unit, fontsize=SIZE)
    # How much room a name has is known once the axes have their places.
    paper.draw_without_rendering()
    for place, column in enumerate(columns):
        for row, one in enumerate(column):
            alike = [other for other in column if other.kind == one.kind]
            names, own = [other.name for other in alike], next(at for at, other in enumerate(alike) if other is one)
            room = grid[row, place].get_window_extent().width
            _fit(grid[row, place].set_title("", color=QUIET), f"{one.kind}  ", names, own, room)
    return paper


def _fit(title: Text, kind: str, names: Sequence[str], row: int, room: float) -> None:
    """``kind`` with that one of ``names``, cut to what tells them apart where the whole is wider than ``room``."""
    title.set_text(f"{kind}{shown(names[row], 200)}")
    for limit in range(_LONGEST, _SHORTEST - 1, -2):
        if title.get_window_extent().width <= room:
            return
        title.set_text(f"{kind}{short_names(names, limit)[row]}")


def _pairs(at: Sequence[float]) -> list[tuple[float, float]]:
    return [(at[place], at[-1 - place]) for place in range(len(at) // 2)]


def _draw(axes: Axes, spread: Spread) -> None:
    axes.set_gid(f"{spread.kind}")
    x, values = spread.steps, spread.quantiles
    if len(x) == 1:
        # One step alone is as wide as a step.
        x, values = np.array([x[0] - 0.5, x[0] + 0.5]), np.repeat(values, 2, axis=0)
    middle = len(spread.at) // 2
    for place in range(middle):
        axes.fill_between(
            x, values[:, place], values[:, -1 - place], color=BLUE, alpha=0.16 + 0.1 * place, linewidth=0, gid="band"
        )
    axes.plot(x, values[:, middle], color=BLACK, linewidth=1.0, gid="median")
    within = _linear_within(values)
    if within is not None:
        axes.set_yscale("symlog", linthresh=within)
        axes.margins(y=0.06)
        axes.autoscale_view()
        ticks = _apart(axes, values, within)
        axes.set_yticks(ticks, [figures(tick) for tick in ticks])
        axes.set_ylabel("symlog", fontsize=SMALL, color=QUIET)
        axes.minorticks_off()
    elif values.max() > values.min():
        axes.margins(y=0.06)
    axes.margins(x=0.02)
    write_ticks(axes)


def _linear_within(values: np.ndarray[Any, Any]) -> float | None:
    """The distance from 0 within which the axis is linear; None where it is so everywhere."""
    size = np.abs(values[:, [0, -1]]).max(axis=1)
    told = size[size > 0]
    if not told.size or told.max() <= LOG_RANGE * told.min():
        return None
    return float(max(told.min(), told.max() * 1e-6))


def _apart(axes: Axes, values: np.ndarray[Any, Any], within: float) -> list[float]:
    """0 and powers of ten, outermost first, that do not stand on one another."""
    foot, top = axes.get_ylim()
    transform = axes.yaxis.get_transform()
    low, high = transform.transform(np.array([foot, top]))
    sides = [(sign, float((sign * values).max())) for sign in (1, -1) if (sign * values).max() > 0]
    outer = [sign * 10.0 ** np.floor(np.log10(size)) for sign, size in sides]
    decades = range(int(np.floor(np.log10(max(size for _, size in sides)))), int(np.floor(np.log10(within))) - 1, -1)
    kept: list[float] = []
    places: list[float] = []
    for tick in (0.0, *outer, *(sign * 10.0**power for power in decades for sign, _ in sides)):
        place = float((transform.transform(np.array([tick]))[0] - low) / (high - low))
        if -1e-9 <= place <= 1 + 1e-9 and all(abs(place - other) >= _TICK for other in places):
            kept.append(tick)
            places.append(place)
    return sorted(kept)
