"""How gradients flow: their norm layer by layer in forward order, over the dumped steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm

from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import (
    BLACK,
    FULL,
    MAP,
    NARROW,
    QUIET,
    SERIES,
    SMALL,
    VERMILION,
    evenly,
    picture,
    sheet,
    short_names,
)
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.printable import counted
from convergence_cli.reporters.page.marks import MEASURE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from convergence_cli.model import Finding
    from convergence_cli.reporters.page.heat import Layers

KIND, MEASURED = "gradients", "gradient_norm"
HINT = (
    "Record gradients: wrap the training in convergence_cli.Recorder, or save them as gradient/LAYER.weight in"
    " tensors/step_000100.npz."
)
MAX_PROFILES = 4
_ROW, _THIN, _LEAST = 4.2, 3.0, 34.0
_EMPTY = "#EDEDED"


@picture
def figure(
    layers: Layers | None, *, name: str, findings: Sequence[Finding] = (), unit: str = "step", width: float = FULL
) -> Figure:
    """``layers``: the checked ``summary["layers"]``. Raises ``NotDrawn`` where no gradient was recorded."""
    found = None if layers is None else np.array(layers.found.get(MEASURED, ()), dtype=np.float64)
    if layers is None or found is None or not found.size or not (np.isfinite(found).any() or layers.bad):
        raise NotDrawn(KIND, "No gradients were recorded.", HINT)
    rows = [row for row in range(len(found)) if np.isfinite(found[row]).any() or any(at[0] == row for at in layers.bad)]
    # A dump of weights alone tells nothing here.
    columns = [
        at
        for at in range(len(layers.steps))
        if np.isfinite(found[rows, at]).any() or any(one[1] == at for one in layers.bad)
    ]
    steps = [layers.steps[at] for at in columns]
    bad = [(rows.index(row), columns.index(at)) for row, at in sorted(layers.bad) if row in rows and at in columns]
    values = found[np.ix_(rows, columns)]
    heads = _heads(layers, rows, findings, 22 if width >= NARROW else 14)
    wide = width >= NARROW and len(steps) > 1
    body = max((_ROW if len(rows) <= 24 else _THIN) * len(rows), _LEAST)
    paper = sheet(
        width, body * (1 if wide else 2) + 22, "Gradient flow, layer by layer", _under(name, layers, values, unit)
    )
    shape: tuple[int, int] = (1, 2) if wide else (2 if len(steps) > 1 else 1, 1)
    cells = paper.subplots(*shape, sharey=wide, squeeze=False).reshape(-1)
    _profiles(cells[0], values, steps, unit, 2 if width >= NARROW else 1)
    if len(cells) > 1:
        _map(paper, cells[1], values, bad, steps, unit, 6 if wide else 3)
    for axes in cells[:1] if wide else cells:
        axes.set_yticks(range(len(rows)), heads, fontsize=SMALL if len(rows) <= 24 else 5.5)
    for axes in cells:
        axes.set_ylim(len(rows) - 0.5, -0.5)
    cells[0].set_ylabel("layers, from input to output")
    return paper


def _heads(layers: Layers, rows: Sequence[int], findings: Sequence[Finding], room: int) -> list[str]:
    codes: dict[str, list[str]] = {}
    for one in findings:
        if one.where.layer is not None and MEASURE.get(one.rule) == MEASURED:
            codes.setdefault(one.where.layer, []).append(one.rule)
    names = [layers.names[row] for row in rows]
    short = dict(zip(names, short_names(names, room), strict=True))
    return [short[one] + (f" ({', '.join(dict.fromkeys(codes[one]))})" if one in codes else "") for one in names]


def _under(name: str, layers: Layers, values: np.ndarray[Any, Any], unit: str) -> str:
    seen = values[np.isfinite(values) & (values > 0)]
    words = f"{name}: L2 norm of the gradients of each layer"
    if seen.size:
        words += f", from {figures(float(seen.min()))} to {figures(float(seen.max()))}"
    words += f", at {counted(values.shape[1], f'dumped {unit}')}"
    lines = len(_profiled(values))
    if lines < values.shape[1]:
        words += f" (lines: {lines} of {values.shape[1]:,} {unit}s, that of the largest norm among them)"
    return words + (f"; {len(layers.names)} of {layers.total} layers" if layers.total > len(layers.names) else "") + "."


def _profiled(values: np.ndarray[Any, Any]) -> list[int]:
    """The columns that are drawn as lines: the first, the last, that of the largest norm, others evenly between."""
    seen = [at for at in range(values.shape[1]) if np.isfinite(values[:, at]).any()]
    if len(seen) <= MAX_PROFILES:
        return seen
    top = int(np.where(np.isfinite(values), values, -np.inf).max(axis=0).argmax())
    kept = dict.fromkeys((seen[0], top, seen[-1]))
    spread = [seen[at] for at in evenly(len(seen), MAX_PROFILES)]
    # The place that is furthest from those that are kept tells most.
    while len(kept) < MAX_PROFILES:
        rest = [at for at in (*spread, *seen) if at not in kept]
        kept[max(rest, key=lambda at: min(abs(at - one) for one in kept))] = None
    return sorted(kept)


def _profiles(axes: Axes, values: np.ndarray[Any, Any], steps: Sequence[float], unit: str, columns: int) -> None:
    axes.set_gid("profiles")
    for look, at in zip(SERIES, _profiled(values), strict=False):
        # A norm of 0 has no place on a logarithmic axis.
        norm = np.where(values[:, at] > 0, values[:, at], np.nan)
        axes.plot(
            norm,
            np.arange(len(norm)),
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markersize=3,
            label=f"{unit} {figures(steps[at])}",
        )
    if (values > 0).any():
        axes.set_xscale("log")
    axes.set_xlabel("gradient norm")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.2)
    kept = axes.yaxis.get_major_locator()
    write_ticks(axes)
    axes.yaxis.set_major_locator(kept)


def _map(
    paper: Figure,
    axes: Axes,
    values: np.ndarray[Any, Any],
    bad: Sequence[tuple[int, int]],
    steps: Sequence[float],
    unit: str,
    ticks: int,
) -> None:
    axes.set_gid("map")
    seen = values[np.isfinite(values) & (values > 0)]
    axes.set_facecolor(_EMPTY)
    axes.grid(visible=False)
    if seen.size:
        high = float(seen.max())
        low = min(max(float(seen.min()), high * 1e-8), high * 0.5)
        drawn = axes.imshow(
            np.ma.masked_invalid(np.where(values > 0, values, np.nan)),
            aspect="auto",
            cmap=MAP,
            norm=LogNorm(low, high),
            interpolation="nearest",
        )
        bar = paper.colorbar(
            drawn,
            ax=axes,
            pad=0.02,
            fraction=0.06,
            aspect=max(12, len(values)),
            format=lambda value, _: figures(float(f"{value:.2g}")),
        )
        bar.set_ticks(list(np.geomspace(low, high, 3)))
        bar.minorticks_off()
        bar.outline.set_visible(False)
    marks = {"x": (bad, VERMILION, "NaN or infinite"), "_": (np.argwhere(values == 0), BLACK, "zero")}
    for marker, (places, color, label) in marks.items():
        if len(places):
            rows, columns = zip(*places, strict=True)
            axes.scatter(columns, rows, marker=marker, c=color, s=14, linewidths=1.2, label=label, gid=label)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)
    at = evenly(len(steps), ticks)
    axes.set_xticks(list(at), [figures(steps[one]) for one in at])
    axes.set_xlabel(unit)
    axes.tick_params(axis="y", color=QUIET)
    axes.set_xlim(-0.5, len(steps) - 0.5)
