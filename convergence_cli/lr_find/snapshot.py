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


class Snapshot:
    """Weights, buffers (also those that ``state_dict`` leaves out), gradients and modes of ``model``; the state of

    ``optimizer``, and of ``scaler`` and the generators of ``loaders`` where there are any. Copies lie in main memory.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer | None = None, scaler: Any = None, loaders: Iterable[Any] = ()
    ) -> None:
        self.model, self.optimizer, self.scaler = model, optimizer, scaler
        self._tensors = [(one, _copied(one.detach())) for one in (*model.parameters(), *model.buffers())]
        self._gradients = [
            (one, one.grad, None if one.grad is None else _copied(one.grad)) for one in model.parameters()
        ]
        self._modes = [(module, module.training) for module in model.modules()]
        self._optimizer = None if optimizer is None else _copied(optimizer.state_dict())
        self._scaler = None if scaler is None else copy.deepcopy(scaler.state_dict())
        self._generators = [(one, one.get_state()) for one in _generators_of(loaders)]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back, into the same objects."""
        for tensor, kept in self._tensors:
            tensor.copy_(kept)
        for parameter, gradient, kept_gradient in self._gradients:
            parameter.grad = gradient
            if gradient is not None and kept_gradient is not None:
                gradient.copy_(kept_gradient)
        for module, mode in self._modes:
            module.training = mode
        if self.optimizer is not None:
            # What is loaded becomes the optimizer's own, and would change the copy.
            self.optimizer.load_state_dict(copy.deepcopy(self._optimizer))  # type: ignore[arg-type]
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


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(one) for one in value)
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
