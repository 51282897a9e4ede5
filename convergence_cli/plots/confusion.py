"""Which class is taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import FULL, INK, NARROW, SMALL, evenly, picture, sheet
from convergence_cli.plots.ticks import figures
from convergence_cli.printable import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from convergence_cli.tensor_stats import Confusion

KIND = "confusion"
HINT = (
    "Record classes: wrap the training in convergence_cli.Recorder (of a cross entropy it finds the labels itself),"
    " or save label/NAME and output/logits in tensors/step_000100.npz."
)
# Counts are written into so many classes; more have no room for them.
MAX_WRITTEN, MAX_TOLD = 20, 3
# One hue from white: an empty cell is paper, and grey print keeps the order.
_MAP = "Blues"


@picture
def figure(confusion: Confusion | None, *, name: str, unit: str = "step", width: float = FULL) -> Figure:
    """Rows are labels, columns predictions, shades the share of the row. Raises ``NotDrawn`` without any."""
    if confusion is None or not confusion.matrix.size or not confusion.matrix.sum():
        raise NotDrawn(KIND, "No labels with predictions were recorded.", HINT)
    counts = confusion.matrix
    size, total = len(counts), int(counts.sum())
    right = float(np.trace(counts)) / total
    what = counted(total, "token" if confusion.sequence else "label")
    under = f"{name}: {100 * right:.1f} % of {what} right.{_mixed(counts)}"
    wide = width >= NARROW
    side = min(width * (0.62 if wide else 0.9), 118.0)
    paper = sheet(min(width, side + 34), side, f"Confusion at {unit} {figures(confusion.step)}", under)
    axes = paper.add_subplot()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    row_total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, row_total, out=np.full(counts.shape, np.nan), where=row_total > 0)
    axes.set_facecolor("#EDEDED")
    drawn = axes.imshow(np.ma.masked_invalid(share), cmap=_MAP, vmin=0, vmax=1, interpolation="nearest")
    if size <= MAX_WRITTEN:
        small = SMALL if side / size > 6.5 else 5.0
        for row, column in np.argwhere(counts > 0):
            color = "white" if share[row, column] > 0.55 else INK
            axes.text(
                column, row, figures(int(counts[row, column])), ha="center", va="center", fontsize=small, color=color
            )
        axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
        axes.grid(visible=True, which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    at = evenly(size, MAX_WRITTEN)
    axes.set_xticks(list(at), [str(one) for one in at])
    axes.set_yticks(list(at), [str(one) for one in at])
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class of the label")
    bar = paper.colorbar(
        drawn, ax=axes, pad=0.02, fraction=0.045, ticks=[0, 0.5, 1], format=lambda value, _: f"{100 * value:.0f} %"
    )
    bar.set_label("share of the labels of a class")
    bar.outline.set_visible(False)
    return paper


def _mixed(counts: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> str:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_TOLD]
    told = [(*map(int, np.unravel_index(at, wrong.shape)), int(wrong.flat[at])) for at in order if wrong.flat[at] > 0]
    if not told:
        return ""
    return " Most often " + ", ".join(f"{label} is taken for {taken} ({count:,})" for label, taken, count in told) + "."
