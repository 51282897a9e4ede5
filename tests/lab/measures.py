"""What a dump of the lab holds, measured with plain numpy and none of the code under test."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lab.runs import Truth

Array = npt.NDArray[Any]
Dumped = dict[str, Array]


def dumps_of(truth: Truth, rank: int | None = None) -> list[tuple[int, Dumped]]:
    """The dumps by ascending step: each a step and its arrays."""
    paths = sorted((truth.folder / "tensors").glob("*.npz" if rank is None else f"*_rank{rank}.npz"))
    found = []
    for path in paths:
        match = re.match(r"step_(\d+)", path.name)
        assert match is not None
        with np.load(path, allow_pickle=False) as archive:
            found.append((int(match[1]), {name: archive[name] for name in archive.files}))
    return found


def norm(values: Array) -> float:
    """The L2 norm."""
    return float(np.linalg.norm(values.astype(np.float64)))


def gradient_norms(dumped: Dumped) -> dict[str, float]:
    """Norm of the gradient of each layer's weights, by the layer's name."""
    pattern = re.compile(r"gradient/(.+)\.weight\w*$")
    norms: dict[str, float] = {}
    for name, values in dumped.items():
        match = pattern.match(name)
        if match:
            norms[match[1]] = float(np.hypot(norms.get(match[1], 0.0), norm(values)))
    return norms


def total_gradient(dumped: Dumped) -> float:
    """Norm of all gradients together."""
    return norm(np.array([norm(values) for name, values in dumped.items() if name.startswith("gradient/")]))


def weights(dumped: Dumped, layer: str) -> Array:
    """The weights of a layer, units first."""
    return dumped[f"weight/{layer}.weight"].astype(np.float64)


def by_unit(activation: Array) -> Array:
    """An activation as (values of a unit, units): axis 1 of pictures holds the units, else the last."""
    values = np.moveaxis(activation, 1, -1) if activation.ndim == 4 else activation
    return values.reshape(-1, values.shape[-1])


def dead_share(activation: Array) -> float:
    """The share of the units that are zero for all samples."""
    return float((by_unit(activation) == 0).all(0).mean())


def step_ratio(dumps: list[tuple[int, Dumped]], layer: str) -> float:
    """Median over the dumps: movement of a layer's weights a step, over their norm."""
    ratios = []
    for (before, old), (after, new) in itertools.pairwise(dumps):
        names = [name for name in old if name.startswith(f"weight/{layer}.") and "weight" in name.split(".")[-1]]
        moved = norm(np.array([norm(new[name].astype(np.float64) - old[name]) for name in names]))
        ratios.append(moved / (after - before) / norm(np.array([norm(old[name]) for name in names])))
    return float(np.median(ratios))


def activation(dumped: Dumped, layers: tuple[str, ...]) -> Array:
    """The recorded activation function's output among ``layers``."""
    return next(dumped[f"activation/{name}"] for name in reversed(layers) if f"activation/{name}" in dumped)


def confusion(dumped: Dumped) -> Array:
    """Row i: how the samples of class i were predicted, as shares."""
    classes = dumped["output/logits"].shape[-1]
    matrix = np.zeros((classes, classes))
    np.add.at(matrix, (dumped["label/y"], dumped["output/logits"].argmax(-1)), 1)
    return matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
