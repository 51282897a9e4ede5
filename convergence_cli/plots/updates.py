"""What a step changes, over the norm of the weights: too little learns nothing, too much breaks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import FAINT, FULL, GREEN, NARROW, SERIES, evenly, picture, sheet, short_names
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.reporters.page.marks import MEASURE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from convergence_cli.model import Finding
    from convergence_cli.reporters.page.heat import Layers

KIND, MEASURED = "updates", "update_ratio"
# A. Karpathy, "A Recipe for Training Neural Networks" (2019), and CS231n: about 1e-3 is healthy.
HEALTHY, BEST = (1e-4, 1e-2), 1e-3
HINT = (
    "Record updates: wrap the training in convergence_cli.Recorder, or save the weights as weight/LAYER.weight at two"
    " steps or more in tensors/step_000100.npz."
)


@picture
def figure(
    layers: Layers | None, *, name: str, findings: Sequence[Finding] = (), unit: str = "step", width: float = FULL
) -> Figure:
    """``layers``: the checked ``summary["layers"]``. Raises ``NotDrawn`` where no change of weights is known."""
    found = None if layers is None else np.array(layers.found.get(MEASURED, ()), dtype=np.float64)
    if layers is None or found is None or not found.size or not np.isfinite(found).any():
        raise NotDrawn(KIND, "No change of weights was recorded.", HINT)
    rows = [row for row in range(len(found)) if np.isfinite(found[row]).any()]
    last = np.array([found[row][np.isfinite(found[row])][-1] for row in rows])
    healthy = int(((last >= HEALTHY[0]) & (last <= HEALTHY[1])).sum())
    under = (
        f"{name}: norm of what one step changes over the norm of the weights. At the end {healthy} of {len(rows)}"
        f" layers lie between {figures(HEALTHY[0])} and {figures(HEALTHY[1])}."
    )
    paper = sheet(width, 66 + (0 if width >= NARROW else 14), "Update-to-weight ratios", under)
    axes = paper.add_subplot()
    axes.set_yscale("log")
    axes.axhspan(*HEALTHY, color=GREEN, alpha=0.12, linewidth=0, zorder=0.5, gid="healthy", label="healthy")
    axes.axhline(BEST, color=GREEN, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1, gid="best", label=figures(BEST))
    spoken = {one.where.layer for one in findings if MEASURE.get(one.rule) == MEASURED}
    _lines(axes, layers, found, rows, spoken)
    seen = found[np.isfinite(found) & (found > 0)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else HEALTHY
    axes.set_ylim(min(max(low, 1e-12) / 1.6, HEALTHY[0] / 2), max(high * 1.6, HEALTHY[1] * 2))
    axes.set_xlabel(unit)
    axes.set_ylabel("update ratio")
    paper.legend(loc="outside lower left", ncols=4 if width >= NARROW else 2)
    write_ticks(axes)
    return paper


def _lines(
    axes: Axes,
    layers: Layers,
    found: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    rows: list[int],
    spoken: Collection[str | None],
) -> None:
    """Eight layers that can be told apart, those of findings first; the others faint behind them."""
    named = [row for row in rows if layers.names[row] in spoken][: len(SERIES)]
    rest = [row for row in rows if row not in named]
    most = len(SERIES) - len(named)
    kept = sorted(
        [*named, *(rest[at] for at in (evenly(len(rest), most) if most > 1 else range(min(most, len(rest)))))]
    )
    others = [row for row in rows if row not in kept]
    steps = np.array(layers.steps)
    for place, row in enumerate(others):
        seen = np.isfinite(found[row])
        label = f"{len(others)} other layers" if place == 0 else None
        axes.plot(steps[seen], found[row][seen], color=FAINT, linewidth=0.7, label=label, gid="other", zorder=1.5)
    names = short_names([layers.names[row] for row in kept])
    for look, row, name in zip(SERIES, kept, names, strict=False):
        seen = np.isfinite(found[row])
        axes.plot(
            steps[seen],
            found[row][seen],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            markersize=3,
            label=name,
            gid="layer",
            zorder=3,
        )
