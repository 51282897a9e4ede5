"""Weights, gradients and updates of a sampled step, taken right before and right after its optimizer's step.

There the gradients are what the optimizer uses: accumulated, averaged over the workers, unscaled and clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from convergence_cli.recorder.modules import Named
from convergence_cli.recorder.packed import Plan, take_packed
from convergence_cli.recorder.reductions import UPDATE_VALUES, Taken, local, strided, take, take_scaled

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    Pair = tuple[Named, Tensor]

# A frozen model of this size is looked at in a moment; of a larger one its weights before training must do.
MOST_FROZEN = 1 << 26


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
        self._plans: dict[str, Plan] = {}

    def begin(self) -> None:
        """A new sampled step."""
        self._before.clear()
        self._seen.clear()
        self._graded.clear()

    def initial(self) -> list[Taken]:
        """The weights before training, frozen ones included."""
        return self._take("weight", self._weights(one for one in self._all if one.is_ready))

    def before(self, optimizer: Optimizer | None, *, with_gradients: bool = True) -> list[Taken]:
        """Weights and gradients that ``optimizer`` is about to use; None: of all parameters."""
        found = self._new(self._all if optimizer is None else self._named(optimizer))
        weights = self._weights(found)
        taken = self._take("weight", weights)
        if optimizer is not None:
            self._note(weights, taken)
        if not with_gradients:
            return taken
        return taken + self._take("gradient", self._gradients(found, _scale_of(optimizer)))

    def after(self, optimizer: Optimizer) -> list[Taken]:
        """What the step of ``optimizer`` has changed, and gradients that came to be within it (LBFGS)."""
        named = [one for one in self._named(optimizer) if id(one.parameter) in self._before]
        taken = self._take("gradient", self._gradients(named, None))
        packed = [one for one in named if _is_packed(local(one.parameter))]
        places = self._places([(one, local(one.parameter)) for one in packed])
        for one in named:
            before, value = self._before.pop(id(one.parameter)), local(one.parameter)
            label = one.label("update", value)
            if (now := places.get(id(one.parameter))) is not None:
                # Of the same places as those of the weight.
                update = now.sub(before)
                taken.append(Taken(label, update))
            elif value.numel() > UPDATE_VALUES:
                update = strided(value, UPDATE_VALUES).sub(before)
                taken.append(take_scaled(label, update, value.numel()))
            else:
                update = value.sub(before)
                if (found := take(label, update)) is not None:
                    taken.append(found)
            if update.shape == value.shape:
                self._keep("update", one.name, update)
        return taken

    def rest(self) -> list[Taken]:
        """Parameters that are in no optimizer: forgotten, or frozen, of which only so many are looked at again."""
        left = self._new(one for one in self._all if id(one.parameter) not in self._optimized)
        still = [one for one in self._all if one.is_ready and not one.parameter.requires_grad]
        if sum(one.parameter.numel() for one in still) <= MOST_FROZEN:
            left += [one for one in still if id(one.parameter) not in self._seen]
        return self._take("weight", self._weights(left)) + self._take("gradient", self._gradients(left, None))

    def _take(self, kind: str, pairs: Sequence[Pair]) -> list[Taken]:
        """All of them at once where their device is better used so, else one by one."""
        taken = []
        for one, value in pairs:
            self._keep(kind, one.name, value)
            if not _is_packed(value) and (found := take(one.label(kind, value), value)) is not None:
                taken.append(found)
        for group in _by_device(pairs):
            labels = [one.label(kind, value) for one, value in group]
            taken += take_packed(labels, [value for _, value in group], self._plans)
        return taken

    def _note(self, weights: Sequence[Pair], taken: Sequence[Taken]) -> None:
        """Keep what the update will be told from: a copy, of a large weight a part."""
        picked = {one.label.name: one.values for one in taken}
        for one, value in weights:
            if _is_packed(value):
                self._before[id(one.parameter)] = picked[one.name]
            else:
                part = strided(value, UPDATE_VALUES) if value.numel() > UPDATE_VALUES else value
                self._before[id(one.parameter)] = part.clone(memory_format=torch.preserve_format)

    def _places(self, pairs: Sequence[Pair]) -> dict[int, Tensor]:
        """The values of packed weights that go to the host, as they are now."""
        found: dict[int, Tensor] = {}
        for group in _by_device(pairs):
            labels = [one.label("weight", value) for one, value in group]
            taken = take_packed(labels, [value for _, value in group], self._plans, totals=False)
            found |= {id(one.parameter): now.values for (one, _), now in zip(group, taken, strict=True)}
        return found

    def _named(self, optimizer: Optimizer) -> list[Named]:
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        return [found for one in parameters if (found := self._by_id.get(id(one))) is not None]

    def _new(self, named: Iterable[Named]) -> list[Named]:
        """Those that train and were not taken in this step."""
        found = [one for one in named if one.parameter.requires_grad and one.is_ready]
        found = [one for one in found if id(one.parameter) not in self._seen]
        self._seen.update(id(one.parameter) for one in found)
        return found

    def _weights(self, found: Iterable[Named]) -> list[Pair]:
        return [(one, local(one.parameter)) for one in found]

    def _gradients(self, found: Iterable[Named], scale: Tensor | None) -> list[Pair]:
        pairs = []
        for one in found:
            if one.parameter.grad is None or id(one.parameter) in self._graded:
                continue
            self._graded.add(id(one.parameter))
            value = local(one.parameter.grad)
            pairs.append((one, value if scale is None else value / scale.to(value.device)))
        return pairs


def _is_packed(value: Tensor) -> bool:
    return value.is_cuda and not value.is_sparse and value.numel() > 0


def _by_device(pairs: Sequence[Pair]) -> list[list[Pair]]:
    groups: dict[torch.device, list[Pair]] = {}
    for one, value in pairs:
        if _is_packed(value):
            groups.setdefault(value.device, []).append((one, value))
    return list(groups.values())


def _scale_of(optimizer: Any) -> Tensor | None:
    """By what a fused optimizer itself will divide the gradients; others are given unscaled ones."""
    scale = getattr(optimizer, "grad_scale", None)
    return scale if isinstance(scale, torch.Tensor) else None
