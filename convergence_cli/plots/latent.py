"""What a layer makes of its samples, in two dimensions, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.plots.dumped import Opened, Taken, classes_in, take, wanted
from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.projection import NAMES, Projected, project
from convergence_cli.plots.style import FULL, NARROW, QUIET, SERIES, evenly, picture, sheet, shown
from convergence_cli.plots.ticks import figures
from convergence_cli.printable import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND = "latent"
HINT = (
    'Record a layer with its labels: Recorder(..., raw=["activation/LAYER", "label/*"]) and recorder.step(loss=loss,'
    " labels=y), or save activation/LAYER and label/NAME in tensors/step_000100.npz."
)
MAX_STEPS = 6
_MARKERS = "os^DvPX*<>hd"


@dataclass(frozen=True, slots=True)
class Latent:
    """A ``layer`` at some ``steps``: points (samples, 2) of each, and classes where they were recorded."""

    layer: str
    method: str
    steps: tuple[float, ...]
    projected: Projected
    cuts: tuple[int, ...]
    classes: tuple[tuple[int, ...] | None, ...]
    notes: tuple[str, ...] = ()


def latent_of(found: Iterable[Opened], layers: Sequence[str], method: str) -> Latent:
    """The last activation that the dumps hold, or that of ``layers``, projected at all steps together.

    Raises ``NotDrawn`` where no dump holds an activation, and ``CtroubleshootError`` where ``method`` is not installed.
    """
    holding: dict[str, list[Opened]] = {}
    for one in found:
        for title in layers_in(one, layers):
            holding.setdefault(title, []).append(one)
    chosen = [title for title in holding if title.startswith("activation/")] or list(holding)
    if not chosen:
        asked = f" of {', '.join(shown(layer, 40) for layer in layers)}" if layers else ""
        raise NotDrawn(KIND, f"No activations{asked} were saved as they are.", HINT)
    title = chosen[-1]
    opened = holding[title]
    taken: list[tuple[Opened, Taken]] = []
    for place in evenly(len(opened), MAX_STEPS):
        one = opened[place]
        tensor = next(
            tensor for name, tensor in one.of_kind("activation", "output") if f"{name.kind}/{name.name}" == title
        )
        try:
            values = take(tensor)
        except SourceError:
            continue
        if values is not None:
            taken.append((one, values))
    taken = [(one, values) for one, values in taken if values.of[1] == taken[-1][1].of[1]]
    if not taken:
        raise NotDrawn(KIND, f"The values of {shown(title)} cannot be read.", HINT)
    return _projected(title.partition("/")[2], method, taken)


def layers_in(one: Opened, layers: Sequence[str]) -> Iterator[str]:
    """What ``one`` holds that can be projected, as ``kind/name``."""
    # What the model gives out is no latent space, but better than nothing.
    for name, tensor in one.of_kind("activation", "output"):
        if len(tensor.shape) > 1 and wanted(name, layers):
            yield f"{name.kind}/{name.name}"


def _projected(layer: str, method: str, taken: Sequence[tuple[Opened, Taken]]) -> Latent:
    parts, classes, dropped = [], [], 0
    for one, values in taken:
        whole = np.asarray(np.isfinite(values.values).all(axis=1))
        dropped += int((~whole).sum())
        parts.append(values.values[whole])
        labels = classes_in(one, values.of[0], values.places)
        classes.append(
            None if labels is None else tuple(label for label, kept in zip(labels, whole.tolist(), strict=True) if kept)
        )
    pooled = np.concatenate(parts)
    if not len(pooled):
        raise NotDrawn(
            KIND, f"All values of {shown(layer)} are NaN or infinite.", "Look at an earlier step with --step."
        )
    # Squares of huge activations would overflow, and a picture has no scale.
    size = float(np.abs(pooled).max()) or 1.0
    notes = [note for note in (taken[-1][1].note,) if note]
    if dropped:
        notes.append(f"{counted(dropped, 'sample')} with NaN left out")
    steps = tuple(one.dump.step for one, _ in taken)
    return Latent(
        layer, method, steps, project(pooled / size, method), tuple(np.cumsum([len(part) for part in parts]).tolist()),
        tuple(classes), tuple(notes),
    )  # fmt: skip


@picture
def figure(latent: Latent, *, name: str, unit: str = "step", width: float = FULL) -> Figure:
    """A panel a step, on the same axes."""
    points = np.split(latent.projected.points, latent.cuts[:-1])
    kinds = sorted({label for labels in latent.classes if labels is not None for label in labels})
    columns = min(len(points), 3 if width >= NARROW else 2)
    rows = -(-len(points) // columns)
    explained = latent.projected.explained
    under = f"{name}: {NAMES[latent.method]} of layer {shown(latent.layer, 60)}, fitted to all steps together"
    under += "" if explained is None else f", with {sum(explained):.0%} of the variance".replace("%", " %")
    under += "; colours and markers are classes" if kinds else "; no labels were recorded"
    under += "".join(f"; {note}" for note in latent.notes) + "."
    side = (width - 14) / max(columns, 2)
    legend = 5.0 * -(-min(len(kinds), len(_MARKERS)) // (6 if width >= NARROW else 3)) + 4 if kinds else 0.0
    paper = sheet(width, side * (0.86 if width >= NARROW else 1.0) * rows + 9 + legend, "Latent space", under)
    grid = paper.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).reshape(-1)
    for place, axes in enumerate(grid):
        if place >= len(points):
            axes.set_axis_off()
            continue
        _scatter(axes, points[place], latent.classes[place], kinds)
        axes.set_title(f"{unit} {figures(latent.steps[place])}", color=QUIET)
        axes.tick_params(labelleft=False, labelbottom=False, length=0)
        axes.spines[:].set_visible(True)
        axes.grid(visible=False)
    words = (
        [f"{'component' if width >= NARROW else 'comp.'} {axis}" for axis in (1, 2)]
        if explained is not None
        else [NAMES[latent.method]] * 2
    )
    if explained is not None:
        words = [f"{word} ({round(100 * share)} %)" for word, share in zip(words, explained, strict=True)]
    for axes in grid[-columns:]:
        axes.set_xlabel(words[0])
    for axes in grid[::columns]:
        axes.set_ylabel(words[1])
    if kinds:
        handles = {text: mark for axes in grid for mark, text in zip(*axes.get_legend_handles_labels(), strict=True)}
        order = sorted(handles, key=lambda text: (not text.isdigit(), int(text) if text.isdigit() else 0, text))
        paper.legend(
            [handles[text] for text in order], order, loc="outside lower center", ncols=12 if width >= NARROW else 6,
            handletextpad=0.1, columnspacing=1.0, title="class", title_fontsize=7,
        )  # fmt: skip
    return paper


def _scatter(
    axes: Axes,
    points: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    labels: Sequence[int] | None,
    kinds: Sequence[int],
) -> None:
    size = 14.0 if len(points) <= 100 else 7.0 if len(points) <= 400 else 4.0
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=size, c=SERIES[0].color, linewidths=0, alpha=0.8)
        return
    have = np.array(labels)
    for place, kind in enumerate(kinds[: len(_MARKERS)]):
        own = points[have == kind]
        axes.scatter(
            own[:, 0], own[:, 1], s=size, c=SERIES[place % len(SERIES)].color, marker=_MARKERS[place], linewidths=0.0,
            label=str(kind), alpha=0.9,
        )  # fmt: skip
    others = points[~np.isin(have, kinds[: len(_MARKERS)])]
    if len(others):
        axes.scatter(others[:, 0], others[:, 1], s=size, c="#BDBDBD", marker=".", linewidths=0, label="others")
