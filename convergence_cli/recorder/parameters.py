"""Weights, gradients and updates of a sampled step, taken right before and right after its optimizer's step.

There the gradients are what the optimizer uses: accumulated, averaged over the workers, unscaled and clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from convergence_cli.recorder.modules import Named
from convergence_cli.recorder.reductions import UPDATE_VALUES, Taken, local, strided, take, take_scaled

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


class Parameters:
    """The named parameters of the models; ``keep`` is called with each tensor that raw copies may be wanted of."""

    def __init__(
        self,
        named: Sequence[tuple[str, nn.Parameter]],
        optimizers: Sequence[Optimizer],
        keep: Callable[[str, str, Tensor], None],
    ) -> None:
        self._all = [Named(name, parameter, order) for order, (name, parameter) in enumerate(named)]
        self._by_id = {id(one.parameter): one for one in self._all}
        self._optimized = {
            id(one) for optimizer in optimizers for group in optimizer.param_groups for one in group["params"]
        }
        self._keep = keep
        self._before: dict[int, Tensor] = {}
        # Those that were taken in this step, since parameters may be in several optimizers, or in none.
        self._seen: set[int] = set()
        self._graded: set[int] = set()

    def begin(self) -> None:
        """A new sampled step."""
        self._before.clear()
        self._seen.clear()
        self._graded.clear()

    def initial(self) -> list[Taken]:
        """The weights before training, frozen ones included."""
        return self._weights(one for one in self._all if one.is_ready)

    def before(self, optimizer: Optimizer | None) -> list[Taken]:
        """Weights and gradients that ``optimizer`` is about to use; None: of all parameters."""
        found = self._of(optimizer)
        scale = _scale_of(optimizer)
        taken = self._weights(found)
        taken += self._gradients(found, scale)
        if optimizer is not None:
            for one in found:
                value = local(one.parameter)
                # An update of a part is told from that part alone.
                part = strided(value, UPDATE_VALUES) if value.numel() > UPDATE_VALUES else value
                self._before[id(one.parameter)] = part.clone(memory_format=torch.preserve_format)
        return taken

    def after(self, optimizer: Optimizer) -> list[Taken]:
        """What the step of ``optimizer`` has changed, and gradients that came to be within it (LBFGS)."""
        taken = self._gradients((one for one in self._named(optimizer) if id(one.parameter) in self._before), None)
        for one in self._named(optimizer):
            before = self._before.pop(id(one.parameter), None)
            if before is None:
                continue
            value = local(one.parameter)
            label = one.label("update", value)
            if value.numel() > UPDATE_VALUES:
                update = strided(value, UPDATE_VALUES).sub(before)
                found: Taken | None = take_scaled(label, update, value.numel())
            else:
                update = value.sub(before)
                found = take(label, update)
            if found is not None:
                taken.append(found)
                if update.shape == value.shape:
                    self._keep("update", one.name, update)
        return taken

    def rest(self) -> list[Taken]:
        """Trainable parameters that are in no optimizer: forgotten, most likely."""
        left = self._new(one for one in self._all if id(one.parameter) not in self._optimized)
        return [*self._weights(left), *self._gradients(left, None)]

    def _named(self, optimizer: Optimizer) -> list[Named]:
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        return [found for one in parameters if (found := self._by_id.get(id(one))) is not None]

    def _of(self, optimizer: Optimizer | None) -> list[Named]:
        return self._new(self._all if optimizer is None else self._named(optimizer))

    def _new(self, named: Iterable[Named]) -> list[Named]:
        """Those that train and were not taken in this step."""
        found = [one for one in named if one.parameter.requires_grad and one.is_ready]
        found = [one for one in found if id(one.parameter) not in self._seen]
        self._seen.update(id(one.parameter) for one in found)
        return found

    def _weights(self, found: Iterable[Named]) -> list[Taken]:
        taken = []
        for one in found:
            value = local(one.parameter)
            if (weight := take(one.label("weight", value), value)) is not None:
                taken.append(weight)
                self._keep("weight", one.name, value)
        return taken

    def _gradients(self, found: Iterable[Named], scale: Tensor | None) -> list[Taken]:
        taken = []
        for one in found:
            if one.parameter.grad is None or id(one.parameter) in self._graded:
                continue
            self._graded.add(id(one.parameter))
            value = local(one.parameter.grad)
            if scale is not None:
                value = value / scale.to(value.device)
            if (gradient := take(one.label("gradient", value), value)) is not None:
                taken.append(gradient)
                self._keep("gradient", one.name, value)
        return taken


def _scale_of(optimizer: Any) -> Tensor | None:
    """By what a fused optimizer itself will divide the gradients; others are given unscaled ones."""
    scale = getattr(optimizer, "grad_scale", None)
    return scale if isinstance(scale, torch.Tensor) else None
