"""Hooks for one forward pass: they are there on sampled steps alone, and each goes when it has been called.

A model waits for its next forward pass in training with a single hook; that one sets the others. So a model that
is saved or copied between two steps carries at most hooks that do nothing in the copy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from convergence_cli.recorder.functional import History
from convergence_cli.recorder.modules import Root, function_of_module, tensor_in, watched

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.hooks import RemovableHandle

# Kinds of layers whose input is looked at for an activation function that is no module.
_READERS = (nn.Linear, nn.modules.conv._ConvNd, nn.Bilinear)
_CONTAINERS = (nn.ModuleList, nn.ModuleDict)
Give = Callable[[str, str, nn.Module, "Tensor", str], None]
GiveRoot = Callable[[Root, Mapping[str, Any], Any], None]
Guard = Callable[[Callable[..., None]], Callable[..., None]]


class Hook:
    """A hook that is not copied or saved with its module: the copy's hook gives back what it was given."""

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call
        self.handle: RemovableHandle | None = None

    def __call__(self, *given: Any) -> None:
        # Inside of a compiled region there is nothing to see, and what is done would be compiled along.
        if not torch.compiler.is_compiling():
            self._call(*given)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, ({}, "get")

    def remove(self) -> None:
        """Take it off its module."""
        if self.handle is not None:
            self.handle.remove()
            self.handle = None


class ForwardPass:
    """Waits for one forward pass of ``root`` in training, and hands out what it sees.

    ``give`` takes (name, layer, module, tensor, function) of each activation in the order of the pass, ``give_root``
    the model with its inputs by name and its output. ``guard`` wraps what is called from within the training.
    """

    def __init__(self, root: Root, give: Give, give_root: GiveRoot, guard: Guard) -> None:
        self._root = root
        self._give, self._give_root, self._guard = give, give_root, guard
        self._hooks: list[Hook] = []
        self._history = History()
        self._seen: set[str] = set()
        self.opened = self._entered = False
        # Some train in evaluation mode: then there is no other pass to wait for.
        self.in_evaluation = False

    def arm(self) -> None:
        """Wait for the next forward pass."""
        self.disarm()
        self._seen.clear()
        self.opened = self._entered = False
        for module in _entrances(self._root):
            self._set(module.register_forward_pre_hook, self._enter)

    def disarm(self) -> None:
        """Take off every hook that is still there."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._history.forget()

    def open(self) -> None:
        """Set the hooks: at the beginning of the pass, or now, for trainers that never call the model as a whole."""
        self.opened = True
        if not self._root.compiled:
            for name, module in watched(self._root):
                self._set(module.register_forward_hook, partial(self._output, name))

    def _set(self, register: Callable[..., RemovableHandle], call: Callable[..., None], **options: bool) -> None:
        hook = Hook(self._guard(call))
        hook.handle = register(hook, **options)
        self._hooks.append(hook)

    def _enter(self, module: nn.Module, args: Any) -> None:
        if not torch.is_grad_enabled() or not (module.training or self.in_evaluation):
            return
        if not self.opened:
            self.open()
        # Once: the model may call itself, and a hook that goes while hooks are called would still be called.
        if not self._entered and (module is self._root.module or (module is self._root.inner and not self._seen)):
            self._entered = True
            self._set(module.register_forward_hook, self._leave, with_kwargs=True)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        self.disarm()
        self._give_root(self._root, _by_name(self._root.inner, args, kwargs), output)

    def _output(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if name in self._seen:
            return
        self._seen.add(name)
        if isinstance(module, _READERS) and args and isinstance(args[0], torch.Tensor):
            self._function(name, module, args[0])
        tensor = tensor_in(output)
        if tensor is not None:
            self._history.learn(name, tensor)
            self._give(name, name, module, tensor, function_of_module(module))

    def _function(self, reader: str, module: nn.Module, given: Tensor) -> None:
        found = self._history.function_before(given)
        if found is None:
            return
        function, layer = found
        name = f"{layer}.{function}" if layer else f"{reader}.{function}_before"
        if name not in self._seen:
            self._seen.add(name)
            self._give(name, layer or reader, module, given, function)


def _entrances(root: Root) -> list[nn.Module]:
    """Where a forward pass may begin: the model, or one of its parts where it is a mere container."""
    found = [root.module]
    if not root.compiled:
        pending = list(root.inner.children())
        while pending:
            module = pending.pop()
            if isinstance(module, _CONTAINERS):
                pending += module.children()
            else:
                found.append(module)
    return found


def _by_name(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of ``module`` under the names of its parameters; dictionaries and lists are opened."""
    try:
        names = [
            one.name
            for one in inspect.signature(module.forward).parameters.values()
            if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    found: dict[str, Any] = {}
    for place, value in enumerate(args):
        name = names[place] if place < len(names) else f"input_{place}"
        found["x" if name == "input" else name] = value
    found.update(kwargs)
    opened: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, Mapping):
            opened.update({str(key): one for key, one in value.items()})
        elif isinstance(value, (tuple, list)) and all(isinstance(one, torch.Tensor) for one in value):
            opened.update({f"{name}_{place}": one for place, one in enumerate(value)})
        else:
            opened[name] = value
    return {name: value for name, value in opened.items() if isinstance(value, torch.Tensor)}
