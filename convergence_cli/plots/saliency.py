"""Which parts of the input the output leans on: the gradient at the input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.plots.dumped import Opened, classes_in, take, wanted
from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.style import BLUE, FULL, NARROW, QUIET, evenly, picture, sheet, shown
from convergence_cli.plots.ticks import figures, write_ticks
from convergence_cli.printable import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from convergence_cli.tensors.names import Named
    from convergence_cli.tensors.stored import StoredTensor

    Array = np.ndarray[Any, np.dtype[np.float64]]

KIND = "saliency"
HINT = (
    'Record both: call x.requires_grad_() before the forward pass, with Recorder(..., raw=["x"]) for the x of'
    " forward(self, x); or save input/x and gradient/x (= x.grad) in tensors/step_000100.npz."
)
# Pixels, or features, of one sample; more is no picture of this size.
MAX_VALUES = 3 << 18
MAX_SAMPLES, MAX_SHOWN, MAX_FEATURES = 256, 6, 20
_LEAST_SIDE, _MOST_SIDE = 4, 1024
# One hue from white: dark is large in grey print, too, and is not taken for the input.
_MAP = "Blues"
_INPUT = ("input", "inputs", "x")


@dataclass(frozen=True, slots=True)
class Saliency:
    """``inputs`` and ``gradients`` of the shape ``shape`` with samples first; ``classes`` where they were recorded."""

    step: float
    name: str
    inputs: Array
    gradients: Array
    shape: tuple[int, ...]
    classes: tuple[int, ...] | None = None
    note: str = ""


def saliency_of(found: Iterable[Opened], layers: Sequence[str] = ()) -> Saliency:
    """The last step with an input and the gradient at it. Raises ``NotDrawn`` where there is none."""
    for one in reversed(list(found)):
        for name, tensor, gradient in pairs_in(one, layers):
            width = tensor.size // tensor.shape[0]
            try:
                values, slopes = (
                    take(part, MAX_SAMPLES if width <= 4096 else MAX_SHOWN, MAX_VALUES) for part in (tensor, gradient)
                )
            except SourceError:
                continue
            if values is not None and slopes is not None:
                shape = (len(values.values), *tensor.shape[1:])
                classes = classes_in(one, values.of[0], values.places)
                return Saliency(one.dump.step, name.name, values.values, slopes.values, shape, classes, values.note)
    raise NotDrawn(KIND, "No input with the gradient at it was saved.", HINT)


def pairs_in(one: Opened, layers: Sequence[str]) -> Iterator[tuple[Named, StoredTensor, StoredTensor]]:
    """The inputs in ``one`` that can be drawn, each with the gradient at it."""
    for name, tensor in one.of_kind("input"):
        if not wanted(name, layers) or len(tensor.shape) < 2:
            continue
        width = tensor.size // tensor.shape[0] if tensor.shape[0] else 0
        if not 0 < width <= MAX_VALUES:
            continue
        for title, other in one.of_kind("gradient"):
            if other.shape == tensor.shape and _same(title.name, name.name):
                yield name, tensor, other
                break


def _same(gradient: str, name: str) -> bool:
    bare = gradient.removeprefix("inputs.").removeprefix("input.").removesuffix("_grad").removesuffix(".grad")
    return bare == name or (bare.lower() in _INPUT)


def as_images(shape: Sequence[int]) -> tuple[int, ...] | None:
    """The axes (sample, row, column[, channel]) of ``shape`` where it is that of pictures, else None."""
    sides = range(_LEAST_SIDE, _MOST_SIDE + 1)
    if len(shape) == 4 and shape[1] in (1, 3, 4) and shape[2] in sides and shape[3] in sides:
        return (0, 2, 3, 1)
    if len(shape) == 4 and shape[3] in (1, 3, 4) and shape[1] in sides and shape[2] in sides:
        return (0, 1, 2, 3)
    if len(shape) == 3 and shape[1] in sides and shape[2] in sides:
        return (0, 1, 2)
    return None


@picture
def figure(saliency: Saliency, *, name: str, unit: str = "step", width: float = FULL) -> Figure:
    """Pictures with the gradient below them, or the features that count most."""
    axes = as_images(saliency.shape)
    if axes is None:
        return _features(saliency, name, unit, width)
    return _images(saliency, axes, name, unit, width)


def _images(saliency: Saliency, order: Sequence[int], name: str, unit: str, width: float) -> Figure:
    inputs, slopes = (part.reshape(saliency.shape).transpose(order) for part in (saliency.inputs, saliency.gradients))
    if inputs.ndim == 3:
        inputs, slopes = inputs[..., None], slopes[..., None]
    chosen = _chosen(saliency.classes, len(inputs), MAX_SHOWN if width >= NARROW else 3)
    side = (width - 12) / len(chosen)
    side = min(side, 46.0)
    channels = inputs.shape[3]
    under = (
        f"{name}: inputs {shown(saliency.name, 40)} of {unit} {figures(saliency.step)} above, and where the output"
        " leans on them below: the darker, the larger the gradient"
        f"{f' (the largest of {channels} channels)' if channels > 1 else ''}."
    )
    paper = sheet(width, 2 * side * inputs.shape[1] / inputs.shape[2] + 12, "Saliency", under)
    grid = paper.subplots(2, len(chosen), squeeze=False)
    for column, sample in enumerate(chosen):
        seen = _as_seen(inputs[sample])
        heat = np.nan_to_num(np.abs(slopes[sample]).max(axis=2), nan=0.0, posinf=0.0)
        top = float(np.quantile(heat, 0.99)) or float(heat.max()) or 1.0
        grid[0, column].imshow(seen, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        grid[1, column].imshow(heat / top, cmap=_MAP, vmin=0, vmax=1, interpolation="nearest", gid="saliency")
        if not heat.any():
            middle = grid[1, column].transAxes
            grid[1, column].text(0.5, 0.5, "zero", ha="center", va="center", color=QUIET, transform=middle)
        title = f"sample {sample}" if saliency.classes is None else f"class {saliency.classes[sample]}"
        grid[0, column].set_title(title, color=QUIET, loc="center")
        for axes in grid[:, column]:
            axes.grid(visible=False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
    grid[0, 0].set_ylabel("input")
    grid[1, 0].set_ylabel("gradient")
    return paper


def _chosen(classes: Sequence[int] | None, count: int, most: int) -> Sequence[int]:
    """Samples to show: of each class in turn, where classes are known."""
    if classes is None:
        return evenly(count, most)
    met: Counter[int] = Counter()
    turns = []
    for sample, kind in enumerate(classes):
        turns.append((met[kind], kind, sample))
        met[kind] += 1
    return sorted((sample for _, _, sample in sorted(turns)[:most]), key=lambda sample: (classes[sample], sample))


def _as_seen(one: Array) -> Array:
    """Pixels from 0 to 1: grey, or red, green and blue."""
    finite = one[np.isfinite(one)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    scaled = np.clip((np.nan_to_num(one, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0), 0, 1)
    return scaled[..., 0] if one.shape[2] == 1 else scaled[..., :3]


def _features(saliency: Saliency, name: str, unit: str, width: float) -> Figure:
    with np.errstate(all="ignore"):
        slopes = np.where(np.isfinite(saliency.gradients), np.abs(saliency.gradients), 0.0).mean(axis=0)
        spread = np.where(np.isfinite(saliency.inputs), saliency.inputs, 0.0).std(axis=0)
    # A feature of one value in all samples has no spread to weigh with.
    weighed = len(saliency.inputs) > 1 and bool((spread > 0).any())
    effect = slopes * spread if weighed else slopes
    order = np.argsort(-effect, kind="stable")[:MAX_FEATURES]
    measure = "mean |gradient| × standard deviation" if weighed else "mean |gradient|"
    under = (
        f"{name}: {shown(saliency.name, 40)} at {unit} {figures(saliency.step)}, {measure} of each feature over"
        f" {counted(len(saliency.inputs), 'sample')}; the first {len(order)} of {counted(len(effect), 'feature')}."
    )
    paper = sheet(width, 4.4 * len(order) + 14, "Saliency", under)
    axes = paper.add_subplot()
    axes.barh(range(len(order)), effect[order], height=0.62, color=BLUE, zorder=2)
    places = [", ".join(map(str, np.unravel_index(int(one), saliency.shape[1:]))) for one in order]
    axes.set_yticks(range(len(order)), [f"feature {place}" for place in places])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(measure)
    write_ticks(axes)
    return paper
