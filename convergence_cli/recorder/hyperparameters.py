"""What a training says of itself: optimizer, learning rates, momenta, sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer

# Names of torch's optimizers under the ones that the rules know.
_RENAMED = {"lr": "learning_rate"}
_LEFT_OUT = frozenset(
    ("params", "initial_lr", "foreach", "capturable", "differentiable", "fused", "maximize", "param_names")
)


def optimizers_of(optimizer: Any) -> list[Optimizer]:
    """The torch optimizers that the user names: one, several, or none; wrapped ones from the inside.

    Raises ``TypeError`` for anything else.
    """
    if optimizer is None:
        return []
    several = list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]
    if isinstance(optimizer, Mapping):
        several = list(optimizer.values())
    found = [_inner(one) for one in several]
    for one in found:
        if not hasattr(one, "param_groups") or not hasattr(one, "register_step_post_hook"):
            raise TypeError(f"optimizer must be a torch.optim.Optimizer, or several, not {type(one).__name__}.")
    return found


def _inner(optimizer: Any) -> Any:
    """Without the wrappers of Accelerate and Lightning."""
    for _ in range(4):
        inner = getattr(optimizer, "optimizer", None)
        if inner is None or not hasattr(inner, "param_groups"):
            break
        optimizer = inner
    return optimizer


def hyperparameters_of(optimizers: Sequence[Optimizer]) -> dict[str, Any]:
    """Of the first optimizer its name and settings; what differs between groups or optimizers is numbered."""
    found: dict[str, Any] = {}
    for place, optimizer in enumerate(optimizers):
        name = type(optimizer).__name__
        found["optimizer" if not place else f"optimizer_{place}"] = name
        for number, group in enumerate(optimizer.param_groups):
            for key, value in group.items():
                shown = _RENAMED.get(key, key)
                plain = _plain(value)
                if key in _LEFT_OUT or plain is None:
                    continue
                first = found.setdefault(shown, plain)
                if first != plain:
                    found[f"{shown}_{place}_{number}"] = plain
    return found


def learning_rates(optimizers: Sequence[Optimizer]) -> dict[str, Any]:
    """The rates as they are now: one series, or one a group where groups differ."""
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups if "lr" in group]
    if not rates:
        return {}
    # A rate that is a tensor is on the device, and must not be waited for: the first stands for all.
    if any(hasattr(rate, "device") for rate in rates) or all(rate == rates[0] for rate in rates):
        return {"learning_rate": rates[0]}
    return {"learning_rate": rates[0]} | {
        f"learning_rate/group_{place}": rate for place, rate in enumerate(rates[1:], 1)
    }


def _plain(value: Any) -> Any:
    """Numbers, words and short lists of them; a tensor of one value on the host as its number."""
    if (
        hasattr(value, "item")
        and getattr(value, "numel", lambda: 2)() == 1
        and str(getattr(value, "device", "")) == "cpu"
    ):
        value = value.item()
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)) and len(value) <= 8 and all(isinstance(one, (int, float)) for one in value):
        return list(value)
    return None
