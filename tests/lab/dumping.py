"""What a user's dump callback writes: one ``.npz`` a step with weights, gradients, activations, inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lab.models import Network


def stored(tensor: Tensor, dump_type: str) -> npt.NDArray[Any]:
    """``tensor`` as an array that owns its values, floats in ``dump_type``."""
    values = tensor.detach()
    if values.is_floating_point():
        with np.errstate(over="ignore"):
            return values.numpy().astype(dump_type)
    return values.numpy().copy()


class Recorder:
    """Keeps the outputs of the named modules of ``model`` while it is ``armed``."""

    def __init__(self, model: Network, names: tuple[str, ...]) -> None:
        self.outputs: dict[str, Tensor] = {}
        self.armed = False
        self._handles = [model.layer(name).register_forward_hook(self._hook(name)) for name in names]

    def _hook(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if self.armed:
                self.outputs[name] = output[0] if isinstance(output, tuple) else output

        return keep

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()


def write_dump(
    path: Path,
    model: Network,
    recorder: Recorder,
    others: dict[str, Tensor],
    before: dict[str, Tensor] | None,
    dump_type: str,
) -> None:
    """One dump, before the update of its step. ``before`` are the weights one step earlier, to tell the last update."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, parameter in model.named_parameters():
        arrays[f"weight/{name}"] = stored(parameter, dump_type)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            arrays[f"gradient/{name}"] = stored(parameter.grad, dump_type)
    if before is not None:
        for name, parameter in model.named_parameters():
            arrays[f"update/{name}"] = stored(parameter - before[name], dump_type)
    for name, output in recorder.outputs.items():
        arrays[f"activation/{name}"] = stored(output, dump_type)
    for name, tensor in others.items():
        arrays[name] = stored(tensor, dump_type)
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def dumped_steps(steps: int, dumps: int) -> frozenset[int]:
    """About ``dumps`` steps evenly spaced, the first and the last among them."""
    return frozenset(torch.linspace(0, steps - 1, dumps).round().int().tolist())
