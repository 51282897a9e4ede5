"""What is drawn of tensors: some measures layer by layer and step by step, and how values are spread over time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.tensor_stats import QUANTILES

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.tensor_stats import FloatArray, TensorStats

    IndexArray = npt.NDArray[np.intp]
    Mask = npt.NDArray[np.bool_]

MAX_LAYERS, MAX_STEPS, MAX_TENSORS = 60, 40, 6
SPREAD_KINDS = ("weight", "gradient", "activation")
MEASURES = ("gradient_norm", "update_ratio", "dead", "saturated")


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Rows of a dump by tensor and by group of steps. ``tensor`` and ``group`` give each row's place."""

    stats: TensorStats
    layers: tuple[str, ...]
    tensor: IndexArray
    group: IndexArray
    layer_of: IndexArray
    last_step: FloatArray

    def highest(self, values: FloatArray, rows: Mask) -> FloatArray:
        """The highest of ``values`` over ``rows``, (tensors, groups); NaN where there is none."""
        found = np.full((len(self.layer_of), len(self.last_step)), np.nan)
        np.fmax.at(found, (self.tensor[rows], self.group[rows]), values[rows])
        return found

    def by_layer(self, ufunc: np.ufunc, found: FloatArray, empty: float) -> FloatArray:
        """``found`` of tensors joined by ``ufunc`` for each layer; NaN where no tensor of the layer has any."""
        joined = np.full((len(self.layers), found.shape[1]), empty)
        known = np.zeros_like(joined)
        ufunc.at(joined, self.layer_of, np.where(np.isnan(found), empty, found))
        np.add.at(known, self.layer_of, ~np.isnan(found))
        return np.where(known > 0, joined, np.nan)


def layers_pictured(stats: TensorStats, wanted: Collection[str] = ()) -> dict[str, Any]:
    """Measures of at most 60 layers at no more than 40 steps, as matrices (layers, steps) with None where unknown.

    ``names`` of the layers (in forward order where the dump tells it), ``layers`` (how many there are), ``steps`` (the
    last of each group of dumped steps), and of ``MEASURES`` those that the dump tells, the highest of each group: the
    L2 norm of the gradients of the layer, the norm of what one step changes over that of the weight before, the shares
    of dead and of saturated units. ``nonfinite`` are the places (layer, step) with values that are NaN or infinite.

    Of more layers those in ``wanted`` are kept, and others evenly over the depth.
    """
    grid = _grid(stats)
    measures = {name: found for name, found in _measures(grid).items() if np.isfinite(found).any()}
    bad = np.nan_to_num(stats.number("nan")) + np.nan_to_num(stats.number("inf")) > 0
    broken = np.zeros((len(grid.layers), len(grid.last_step)), dtype=bool)
    broken[grid.layer_of[grid.tensor[bad]], grid.group[bad]] = True
    told = broken.any(axis=1)
    for found in measures.values():
        told |= np.isfinite(found).any(axis=1)
    kept = _kept(grid.layers, np.flatnonzero(told), wanted)
    return {
        "names": [grid.layers[index] for index in kept],
        "layers": int(told.sum()),
        "steps": [float(step) for step in grid.last_step],
        **{name: [_short(row) for row in found[kept]] for name, found in measures.items()},
        "nonfinite": np.argwhere(broken[kept]).tolist(),
    }


def spreads_pictured(stats: TensorStats, wanted: Collection[str] = ()) -> list[dict[str, Any]]:
    """How the values of some tensors are spread at each step: at most six each of weights, gradients and activations.

    Of each its ``kind``, ``name``, ``layer``, ``steps`` (at most 40), ``at`` (the shares below the quantiles) and
    ``quantiles``: (steps, shares). Those of layers in ``wanted`` come first, others are taken evenly over the depth.
    """
    grid = _grid(stats)
    kinds, names, layers = stats.text("kind"), stats.text("name"), stats.text("layer")
    told = np.isfinite(stats.quantiles).all(axis=1)
    found = []
    for kind in SPREAD_KINDS:
        rows = np.flatnonzero(told & (kinds == kind))
        order = list(dict.fromkeys(names[row] for row in rows if not str(names[row]).endswith("bias")))
        home = {names[row]: layers[row] for row in rows}
        chosen = {order[at] for at in _kept([home[name] for name in order], np.arange(len(order)), wanted, MAX_TENSORS)}
        for name in order:
            if name in chosen:
                own = rows[names[rows] == name]
                last = {int(grid.group[row]): int(row) for row in own}
                found.append(
                    {
                        "kind": kind,
                        "name": str(name),
                        "layer": str(home[name]),
                        "steps": [float(stats.number("step")[row]) for row in last.values()],
                        "at": list(QUANTILES),
                        "quantiles": [_short(stats.quantiles[row]) for row in last.values()],
                    }
                )
    return found


def _grid(stats: TensorStats) -> _Grid:
    kinds, names = stats.text("kind").tolist(), stats.text("name").tolist()
    layer_names = stats.text("layer").tolist()
    layers = list(dict.fromkeys(layer_names))
    if not stats.trusted_order:
        layers.sort()
    place = {layer: index for index, layer in enumerate(layers)}
    tensors: dict[tuple[str, str], int] = {}
    tensor = np.array([tensors.setdefault(key, len(tensors)) for key in zip(kinds, names, strict=True)], dtype=np.intp)
    layer_of = np.zeros(len(tensors), dtype=np.intp)
    layer_of[tensor] = [place[layer] for layer in layer_names]
    steps = stats.steps
    size = -(-len(steps) // MAX_STEPS)
    group = np.searchsorted(steps, stats.number("step")) // size
    last_step = steps[np.minimum(np.arange(size - 1, len(steps) + size - 1, size), len(steps) - 1)]
    return _Grid(stats, tuple(layers), tensor, group.astype(np.intp), layer_of, last_step)


def _measures(grid: _Grid) -> dict[str, FloatArray]:
    stats = grid.stats
    kind = stats.text("kind")
    activation = kind == "activation"
    with np.errstate(all="ignore"):
        norm = grid.highest(stats.number("l2"), kind == "gradient")
        gradient = np.sqrt(grid.by_layer(np.add, norm * norm, 0.0))
        saturated = np.where(
            np.isnan(stats.number("saturated")), stats.number("saturated_values"), stats.number("saturated")
        )
        shares = {"dead": stats.number("dead"), "saturated": saturated}
        ratio = _update_ratios(stats)
        found = {"gradient_norm": gradient}
        found["update_ratio"] = grid.by_layer(np.fmax, grid.highest(ratio, np.isfinite(ratio)), -np.inf)
        for name, values in shares.items():
            found[name] = grid.by_layer(np.fmax, grid.highest(values, activation), -np.inf)
    return found


def _update_ratios(stats: TensorStats) -> FloatArray:
    """Of each row: the norm of what one step changes over that of the weight before; NaN where it is not known.

    From dumped updates where there are any, else from the change between two dumps; biases, born zero, are left out.
    """
    kind, names = stats.text("kind"), stats.text("name").tolist()
    update, weight = kind == "update", kind == "weight"
    lines = list(zip(names, stats.text("worker").tolist(), stats.text("mode").tolist(), strict=True))
    l2, step = stats.number("l2"), stats.number("step")
    whole = np.array([not name.endswith("bias") for name in names])
    ratio = np.full(len(lines), np.nan)
    if (update & whole).any():
        size = {(*lines[row], step[row]): l2[row] for row in np.flatnonzero(weight)}
        for row in np.flatnonzero(update & whole):
            ratio[row] = l2[row] / (size.get((*lines[row], step[row]), np.nan) or np.nan)
        return ratio
    before: dict[tuple[str, str, str], float] = {}
    change = stats.number("change") / np.maximum(stats.number("change_steps"), 1)
    for row in np.flatnonzero(weight & whole):
        ratio[row] = change[row] / (before.get(lines[row], np.nan) or np.nan)
        before[lines[row]] = l2[row]
    return ratio


def _kept(layers: Any, among: IndexArray, wanted: Collection[str], most: int = MAX_LAYERS) -> list[int]:
    if len(among) <= most:
        return [int(index) for index in among]
    named = [int(index) for index in among if layers[index] in wanted][: most // 2]
    rest = np.setdiff1d(among, named)
    spread = rest[np.unique(np.linspace(0, len(rest) - 1, most - len(named)).round().astype(np.intp))]
    return sorted([*named, *(int(index) for index in spread)])


def _short(values: FloatArray) -> list[float | None]:
    # Four digits draw the same picture.
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]
