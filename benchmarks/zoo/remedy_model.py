"""Changes of the network after it was built: its first weights and biases, shortcuts around its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from zoo.building import Training

WEIGHTS = ("default", "he", "xavier", "zeros_last_layer")
BIASES = ("zeros", "log_class_prior")
_SCALED = {"he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"), "xavier": nn.init.xavier_normal_}
_NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)


def change_model(training: Training, change: Mapping[str, Any]) -> None:
    """Applies ``weight_init``, ``bias_init`` and ``residual``; ``ValueError`` for a value that none of them knows."""
    model = training.model
    if change.get("residual") is True and hasattr(model, "residual"):
        # Where the widths of a layer are equal, as in the residual stacks of the zoo.
        model.residual = True
    with torch.random.fork_rng():
        torch.manual_seed(training.plan.seed + 4)
        if "weight_init" in change:
            _draw_weights(model, _known("weight_init", change["weight_init"], WEIGHTS))
        if "bias_init" in change:
            _set_biases(training, _known("bias_init", change["bias_init"], BIASES))


def _known(key: str, value: object, values: tuple[str, ...]) -> str:
    if value not in values:
        raise ValueError(f"{key} {value} is none of {', '.join(values)}")
    return str(value)


def _draw_weights(model: nn.Module, how: str) -> None:
    """Draws the weights anew, and leaves biases as they are: to set those is a change of its own."""
    biases = {name: p.detach().clone() for name, p in model.named_parameters() if _is_bias(name)}
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, (nn.Linear, nn.Conv2d)) and how in _SCALED:
            _SCALED[how](module.weight)
    if isinstance(getattr(model, "position", None), nn.Parameter):
        nn.init.normal_(model.position, std=0.02)
    if how == "zeros_last_layer":
        nn.init.zeros_(_last(model).weight)
    norms = {f"{name}.bias" for name, module in model.named_modules() if isinstance(module, _NORMS)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in biases and name not in norms:
                parameter.copy_(biases[name])


def _set_biases(training: Training, how: str) -> None:
    model = training.model
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if _is_bias(name):
                parameter.zero_()
        last, data = _last(model), training.data
        if how == "log_class_prior" and data.classes and last.bias is not None:
            counts = torch.bincount(data.y.flatten(), minlength=data.classes).float()
            last.bias.copy_(((counts + 1) / (counts + 1).sum()).log())


def _is_bias(name: str) -> bool:
    # Those of recurrent layers are called bias_ih_l0 and so on.
    return name.rpartition(".")[2].startswith("bias")


def _last(model: Any) -> nn.Linear:
    layer = model.layer(model.layers[-1])
    assert isinstance(layer, nn.Linear)
    return layer
