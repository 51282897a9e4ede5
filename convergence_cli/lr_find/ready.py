"""What ``setup()`` returns, checked: everything that a training needs, in one place."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from convergence_cli.errors import UsageError
from convergence_cli.learning_rate import SCHEDULES
from convergence_cli.printable import printable
from convergence_cli.selection import did_you_mean

KEYS = ("model", "loss", "step", "loader", "optimizer", "val_loader", "schedule", "seed")
DEFAULT_RATE = 1e-3
Step = Callable[[nn.Module, Any], Tensor]


@dataclass(slots=True)
class Ready:
    """A training that can start. ``step(model, batch)`` gives the loss; both loaders can be iterated again."""

    model: nn.Module
    optimizer: Optimizer
    step: Step
    loader: Iterable[Any]
    val_loader: Iterable[Any] | None = None
    schedule: str | None = None
    seed: int | None = None

    @property
    def rate(self) -> float:
        """The rate that the optimizer was made with: its own, else the largest of its groups, else a usual one."""
        rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        own = self.optimizer.defaults.get("lr")
        base = float(own) if own is not None and float(own) in rates else max(rates)
        return base if base > 0 else DEFAULT_RATE

    @property
    def ratios(self) -> list[float]:
        """What each parameter group's rate is of ``rate``, the one that is searched."""
        rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        return [rate / self.rate for rate in rates] if any(rates) else [1.0] * len(rates)


def ready_from(answer: Any, where: str) -> Ready:
    """``answer``, what the ``setup`` named ``where`` returned, as a training. Raises ``UsageError`` for a wrong one."""
    if not isinstance(answer, Mapping):
        raise _wrong(where, f"returned {kind_of(answer)}, not a dictionary")
    unknown = [key for key in answer if key not in KEYS]
    if unknown:
        name = str(unknown[0])
        raise _wrong(where, f"returned an unknown key '{printable(name)}'", did_you_mean(name, KEYS))
    for key in ("model", "loader"):
        if answer.get(key) is None:
            raise _wrong(where, f"returned no '{key}'")
    model, optimizer = answer["model"], answer.get("optimizer")
    if not isinstance(model, nn.Module):
        raise _wrong(where, f"returned {kind_of(model)} as 'model', not a torch.nn.Module")
    if next(model.parameters(), None) is None:
        raise _wrong(where, "returned a model without a parameter")
    if any(isinstance(one, nn.UninitializedParameter) for one in model.parameters()):
        raise _wrong(where, "returned a model with a lazy layer", "Call it on a batch before the optimizer is made.")
    if optimizer is None:
        trainable = [one for one in model.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(trainable or model.parameters(), lr=DEFAULT_RATE)
    if not isinstance(optimizer, Optimizer):
        raise _wrong(where, f"returned {kind_of(optimizer)} as 'optimizer', not a torch.optim.Optimizer")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise _wrong(where, "returned LBFGS, which takes its steps from a closure and has no rate to search")
    schedule, seed = answer.get("schedule"), answer.get("seed")
    if schedule is not None and schedule not in SCHEDULES:
        raise _wrong(where, f"returned the schedule '{printable(str(schedule))}'", f"Use {' or '.join(SCHEDULES)}.")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise _wrong(where, f"returned {kind_of(seed)} as 'seed', not a whole number")
    return Ready(
        model,
        optimizer,
        _step(answer, where),
        _loader(answer["loader"], "loader", where),
        None if answer.get("val_loader") is None else _loader(answer["val_loader"], "val_loader", where),
        schedule,
        seed,
    )


def _step(answer: Mapping[str, Any], where: str) -> Step:
    loss, step = answer.get("loss"), answer.get("step")
    if (loss is None) == (step is None):
        both = "both 'loss' and 'step'" if loss is not None else "neither 'loss' nor 'step'"
        raise _wrong(where, f"returned {both}", "Give loss(output, target), or step(model, batch) for anything else.")
    given, name = (loss, "loss") if step is None else (step, "step")
    if not callable(given):
        raise _wrong(where, f"returned {kind_of(given)} as '{name}', which cannot be called")
    if step is not None:
        return given  # type: ignore[no-any-return]

    def of_pair(model: nn.Module, batch: Any) -> Tensor:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise UsageError(
                f"A batch of the loader of {printable(where)} is {kind_of(batch)}, not a pair (input, target).",
                "Return step(model, batch) -> loss in place of loss.",
            )
        return loss(model(batch[0]), batch[1])  # type: ignore[misc,no-any-return]

    return of_pair


def _loader(loader: Any, name: str, where: str) -> Iterable[Any]:
    if isinstance(loader, Iterator):
        raise _wrong(
            where,
            f"returned {kind_of(loader)} as '{name}', which can be gone through once only",
            "Return a DataLoader or a list of batches.",
        )
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise _wrong(where, f"returned {kind_of(loader)} as '{name}', which gives no batches")
    return loader  # type: ignore[no-any-return]


def kind_of(value: Any) -> str:
    """The type of ``value`` with its article: ``an int``."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {printable(name)}"


def _wrong(where: str, what: str, hint: str = "") -> UsageError:
    fix = hint or "See: ctroubleshoot lr-find --help"
    return UsageError(f"{printable(where)} {what}.", fix)


def sow(seed: int) -> None:
    """Seed every generator that a training may draw from."""
    random.seed(seed)
    torch.manual_seed(seed)
    import numpy as np

    np.random.seed(seed % 2**32)


def moved(value: Any, device: torch.device) -> Any:
    """``value`` with every tensor in it on ``device``: tensors, lists, tuples, mappings, and what has ``to``."""
    if hasattr(value, "to") and callable(value.to):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(one, device) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(one, device) for one in value))
    if isinstance(value, (list, tuple)):
        return type(value)(moved(one, device) for one in value)
    return value


def is_finite(batch: Any) -> bool:
    """Whether every floating-point tensor in ``batch`` is finite."""
    if isinstance(batch, Tensor):
        return not batch.is_floating_point() or bool(torch.isfinite(batch).all())
    if isinstance(batch, Mapping):
        return all(is_finite(one) for one in batch.values())
    if isinstance(batch, (list, tuple)):
        return all(is_finite(one) for one in batch)
    return not isinstance(batch, float) or math.isfinite(batch)
