"""The whole state of a training, taken before a search and put back bit by bit after it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.optim import Optimizer


# Where a module keeps its own tensors by name.
_TENSORS = ("_parameters", "_buffers")


class _Kept:
    """One tensor object and what was in it; the copy lies in main memory."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        # A row shown many times cannot be written to: what it is a view of can.
        self.shared = any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
        self.copy = tensor.detach().to("cpu", copy=True) if not self.shared else None
        self.storage = tensor.untyped_storage().clone() if self.shared else None  # type: ignore[no-untyped-call]

    def restore(self) -> Tensor:
        if self.storage is not None:
            self.tensor.untyped_storage().copy_(self.storage)
        elif self.copy is not None:
            self.tensor.copy_(self.copy)
        return self.tensor


class Snapshot:
    """Weights, buffers (also those that ``state_dict`` leaves out), gradients and modes of ``model``; the state of

    ``optimizer``, and of ``scaler`` and the generators of ``loaders`` where there are any. Every object is put back
    as itself, with what was in it: not through ``load_state_dict``, which makes new ones and casts them.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer | None = None, scaler: Any = None, loaders: Iterable[Any] = ()
    ) -> None:
        self.scaler = scaler
        self._modules = [
            (module, {name: dict(table) for name in _TENSORS if isinstance(table := getattr(module, name), dict)}, mode)
            for module, mode in ((module, module.training) for module in model.modules())
        ]
        groups = [] if optimizer is None else optimizer.param_groups
        parameters = [*model.parameters(), *(one for group in groups for one in group["params"])]
        tensors = {id(one): one for one in (*parameters, *model.buffers())}
        self._tensors = [_Kept(one) for one in tensors.values()]
        self._gradients = [
            (one, one.grad, None if one.grad is None else _copied(one.grad))
            for one in {id(one): one for one in parameters}.values()
        ]
        self._optimizer = optimizer
        self._groups = [{key: _kept(value) for key, value in group.items() if key != "params"} for group in groups]
        self._state = {} if optimizer is None else {one: _kept(state) for one, state in optimizer.state.items()}
        self._scaler = None if scaler is None else copy.deepcopy(scaler.state_dict())
        self._generators = [(one, one.get_state()) for one in _generators_of(loaders)]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back, into the same objects."""
        for module, tables, mode in self._modules:
            for name, table in tables.items():
                getattr(module, name).clear()
                getattr(module, name).update(table)
            module.training = mode
        for kept in self._tensors:
            kept.restore()
        for parameter, gradient, kept_gradient in self._gradients:
            parameter.grad = gradient
            if gradient is not None and kept_gradient is not None:
                gradient.copy_(kept_gradient)
        if self._optimizer is not None:
            for group, values in zip(self._optimizer.param_groups, self._groups, strict=True):
                for key in [key for key in group if key != "params" and key not in values]:
                    del group[key]
                group.update({key: _restored(value) for key, value in values.items()})
            self._optimizer.state.clear()
            self._optimizer.state.update({one: _restored(state) for one, state in self._state.items()})
        if self.scaler is not None:
            self.scaler.load_state_dict(copy.deepcopy(self._scaler))
        for generator, state in self._generators:
            generator.set_state(state)


class Randomness:
    """The state of Python's, numpy's and torch's generators."""

    def __init__(self) -> None:
        self._python, self._numpy, self._cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
        started = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._cuda = torch.cuda.get_rng_state_all() if started else None

    def restore(self) -> None:
        """Whatever is drawn from now on is drawn as it would have been then."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Whatever is drawn inside, every generator goes on afterwards as if nothing had been."""
    before = Randomness()
    try:
        yield
    finally:
        before.restore()


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _kept(value: Any) -> Any:
    """``value`` with each tensor in it kept, object and content, and all else copied."""
    if isinstance(value, Tensor):
        return _Kept(value)
    if isinstance(value, dict):
        return {key: _kept(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_kept(one) for one in value]
    return copy.deepcopy(value)


def _restored(value: Any) -> Any:
    if isinstance(value, _Kept):
        return value.restore()
    if isinstance(value, dict):
        return {key: _restored(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_restored(one) for one in value]
    return copy.deepcopy(value)


def _generators_of(loaders: Iterable[Any]) -> Iterator[torch.Generator]:
    """The generators of a ``DataLoader``, its samplers and its data set."""
    seen: set[int] = set()
    for loader in loaders:
        batches = getattr(loader, "batch_sampler", None)
        owners = (loader, getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
        for owner in (*owners, getattr(loader, "dataset", None)):
            found = getattr(owner, "generator", None)
            if isinstance(found, torch.Generator) and id(found) not in seen:
                seen.add(id(found))
                yield found
