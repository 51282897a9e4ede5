"""The modules and parameters of the models: their names, kinds, order, activation functions and axes of units."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from convergence_cli.recorder.captured import Label
from convergence_cli.recorder.reductions import dtype_of
from convergence_cli.tensors.names import function_of

if TYPE_CHECKING:
    from torch import Tensor

# Modules that give on what they get, or a part of it.
_PASSING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.modules.dropout._DropoutNd, nn.ModuleList, nn.ModuleDict)
_SCORES = re.compile(r"(?i)logit|score")
_LAST = (nn.Linear, nn.Bilinear, nn.LayerNorm, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.MultiheadAttention)
_SECOND = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
MOST_MODULES = 2000
# What one tensor of a module is called that gives several.
_OUTPUTS = ("logits", "last_hidden_state", "sample", "prediction", "out", "output", "hidden_states")


@dataclass(slots=True)
class Named:
    """A parameter with its name, and its place among all."""

    name: str
    parameter: nn.Parameter
    order: int
    labels: dict[str, Label] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether it has values: a lazy module makes its parameters at its first forward."""
        return not is_lazy(self.parameter) and self.parameter.device.type != "meta"

    def label(self, kind: str, value: Tensor) -> Label:
        """What its rows of ``kind`` have in common, made once."""
        found = self.labels.get(kind)
        if found is None:
            shape = tuple(value.shape)
            axis = 0 if len(shape) > 1 and kind != "update" else None
            layer = self.name.rpartition(".")[0]
            found = Label(kind, self.name, layer, shape, dtype_of(value), self.order, "", axis)
            self.labels[kind] = found
        return found


@dataclass(frozen=True, slots=True)
class Root:
    """One model: ``module`` is what is called, ``inner`` has the names; ``prefix`` tells it from others.

    ``compiled``: hooks inside would be compiled along, or cause a new compilation.
    """

    prefix: str
    module: nn.Module
    inner: nn.Module
    compiled: bool

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Names from the inside out of wrappers, each module once."""
        for name, module in self.inner.named_modules():
            yield clean(self.prefix + name) if name else self.prefix.rstrip("."), module


def roots_of(model: Any) -> list[Root]:
    """The models that the user names: one, or several in a list or a dictionary.

    Raises ``TypeError`` for anything else.
    """
    if model is None:
        return []
    if isinstance(model, nn.Module):
        return [_root("", model)]
    if isinstance(model, Mapping):
        pairs = list(model.items())
    else:
        pairs = list(enumerate(model)) if isinstance(model, Sequence) else []
    if not pairs or not all(isinstance(one, nn.Module) for _, one in pairs):
        raise TypeError(
            f"model must be a torch.nn.Module, or several in a list or dictionary, not {type(model).__name__}."
        )
    return [_root(f"{name}.", one) for name, one in pairs]


def _root(prefix: str, module: nn.Module) -> Root:
    inner, compiled = module, False
    while True:
        if isinstance(within := getattr(inner, "_orig_mod", None), nn.Module):
            inner, compiled = within, True
        elif isinstance(inner, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = inner.module
        else:
            break
    compiled = compiled or getattr(inner, "_compiled_call_impl", None) is not None
    return Root(prefix, module, inner, compiled)


def clean(name: str) -> str:
    """``name`` without what wrappers put in."""
    for inserted in ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."):
        name = name.replace(inserted, "")
    return name


def parameters_of(roots: Sequence[Root]) -> list[tuple[str, nn.Parameter]]:
    """Name and parameter, each once, in the order of the models' definitions."""
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for root in roots:
        for name, parameter in root.inner.named_parameters():
            found.setdefault(id(parameter), (clean(root.prefix + name), parameter))
    return list(found.values())


def layers_of(roots: Sequence[Root]) -> list[tuple[str, str, int]]:
    """Name, kind and number of parameters of each module that has parameters of its own."""
    found = []
    for root in roots:
        for name, module in root.named_modules():
            own = [one for one in module.parameters(recurse=False) if not is_lazy(one)]
            if own:
                found.append((name, type(module).__name__, sum(one.numel() for one in own)))
    return found


def watched(root: Root) -> list[tuple[str, nn.Module]]:
    """The modules whose outputs are recorded: leaves that compute, recurrent layers, attention, and repeated blocks.

    Not those that normalise: what they give out is of mean 0 and variance 1 but for their weights, which are recorded.
    """
    blocks = {
        id(child)
        for module in root.inner.modules()
        if isinstance(module, (nn.ModuleList, nn.Sequential))
        for child in module.children()
    }
    found = []
    for name, module in root.named_modules():
        if module is root.inner or "norm" in type(module).__name__.lower():
            continue
        leaf = next(module.children(), None) is None or isinstance(module, nn.MultiheadAttention)
        passing = isinstance(module, _PASSING)
        if (leaf and (not passing or _SCORES.search(name.rpartition(".")[2]))) or (
            not leaf and not passing and not isinstance(module, nn.Sequential) and id(module) in blocks
        ):
            found.append((name, module))
    return found[:MOST_MODULES]


def function_of_module(module: nn.Module) -> str:
    """The activation function that ``module`` is (as in ``TensorRow``); ``linear`` for a layer, empty for others."""
    if isinstance(module, (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.Embedding, nn.EmbeddingBag)):
        return "linear"
    name = type(module).__name__
    plain = name.lower().removesuffix("activation")
    # GELUTanh is an approximation of one, and no tanh; a gated unit (SwiGLU) has weights of its own.
    return "gelu" if "gelu" in plain else function_of(plain)


def unit_axis_of(module: nn.Module | None, shape: tuple[int, ...], known: dict[tuple[int, ...], int]) -> int | None:
    """The axis of the features of what ``module`` gives out: by its kind, or as of the last output of that shape."""
    if len(shape) < 2:
        return None
    last = len(shape) - 1
    if isinstance(module, _LAST):
        axis = last
    elif isinstance(module, _SECOND):
        axis = 1
    else:
        axis = known.get(shape, 1 if len(shape) > 3 else last)
    known[shape] = axis
    return axis


def tensor_in(output: Any) -> Tensor | None:
    """The floating-point tensor that stands for what a module gives out, if there is one."""
    import torch

    if isinstance(output, torch.Tensor):
        return output if output.is_floating_point() else None
    if isinstance(output, torch.nn.utils.rnn.PackedSequence):
        return output.data
    if isinstance(output, Mapping):
        values: list[Any] = [output[name] for name in _OUTPUTS if name in output] or list(output.values())
    elif isinstance(output, (tuple, list)):
        values = list(output)
    else:
        values = [getattr(output, name) for name in _OUTPUTS if getattr(output, name, None) is not None]
    return next((found for one in values[:8] if (found := tensor_in(one)) is not None), None)
