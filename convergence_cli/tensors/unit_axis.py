"""Which axis of a tensor its units lie along; of an activation, output or input the one as long as a layer is wide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convergence_cli.tensor_stats import OUTPUT_LAST

if TYPE_CHECKING:
    from convergence_cli.tensors.names import Named

Shape = tuple[int, ...]


@dataclass(slots=True)
class Widths:
    """The weights seen so far: their shapes by layer, and how many units and channels layers have."""

    of_layer: dict[str, Shape] = field(default_factory=dict)
    features: set[int] = field(default_factory=set)
    channels: set[int] = field(default_factory=set)
    # Keras and Flax: (height, width, in, out).
    last_channels: set[int] = field(default_factory=set)

    def learn(self, weights: Iterable[tuple[Named, Shape]]) -> None:
        """Take in the shapes of ``weights``, also of gradients, which have the same."""
        for name, shape in weights:
            if len(shape) < 2:
                continue
            self.of_layer[name.layer] = shape
            if len(shape) == 2:
                self.features.update(shape)
            else:
                self.channels.update(shape[:2])
                self.last_channels.update(shape[-2:])


def unit_axis(name: Named, shape: Shape, widths: Widths) -> int | None:
    """The axis of the units of a tensor of ``shape``; None for kinds that have no such axis, and for fewer than 2 axes.

    Of a weight and its gradient the first, as PyTorch has it; where its name is that of Keras and Flax (``kernel``)
    the last.
    """
    if len(shape) < 2:
        return None
    if name.kind in ("weight", "gradient"):
        return len(shape) - 1 if name.name.rpartition(".")[2].lower().startswith(OUTPUT_LAST) else 0
    return _axis_of_samples(name, shape, widths) if name.kind in ("activation", "output", "input") else None


def _axis_of_samples(name: Named, shape: Shape, widths: Widths) -> int:
    """With two axes the last; with three the last too (batch, time, features), unless only axis 1 has as many entries
    as a convolution has channels; with more axis 1 (batch, channels, ...), unless only the last has.
    """
    last = len(shape) - 1
    if last == 1:
        return 1
    own = widths.of_layer.get(name.layer)
    if own is not None:
        if len(own) == 2 and shape[last] in own:
            return last
        if len(own) > 2 and shape[1] == own[0]:
            return 1
    first_fits = shape[1] in widths.channels
    last_fits = shape[last] in (widths.features if last == 2 else widths.last_channels)
    if first_fits != last_fits:
        return 1 if first_fits else last
    return last if last == 2 else 1
