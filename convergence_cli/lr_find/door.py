"""``find_learning_rate``: the search from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import UsageError
from convergence_cli.learning_rate import FEWEST_STEPS, PRECISIONS, SCHEDULES
from convergence_cli.lr_find.answering import METHODS
from convergence_cli.lr_find.finding import Search, find
from convergence_cli.lr_find.probing import FactorySource, LiveSource, Source
from convergence_cli.lr_find.ready import kind_of, ready_from
from convergence_cli.lr_find.search import BOUNDS, Plan
from convergence_cli.lr_find.snapshot import kept_randomness
from convergence_cli.lr_find.training import Engine, device_of
from convergence_cli.printable import printable

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.optim import Optimizer

    from convergence_cli.learning_rate import LearningRate
    from convergence_cli.lr_find.ready import Step


def find_learning_rate(
    model: nn.Module | Callable[[], Mapping[str, Any]],
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    loader: Iterable[Any] | None = None,
    optimizer: Optimizer | None = None,
    *,
    step: Step | None = None,
    val_loader: Iterable[Any] | None = None,
    schedule: str | None = None,
    seed: int | None = None,
    steps: int = 600,
    bounds: tuple[float, float] = BOUNDS,
    method: str = METHODS[0],
    accumulate: int = 1,
    amp: str = "",
    device: str = "auto",
    scaler: Any = None,
    show: Callable[[str], None] | None = None,
) -> LearningRate:
    """A learning rate for ``model``, with how sure it is; or an answer whose ``refused`` says why there is none.

    ``model`` is a module that is trained with ``loss(model(input), target)`` on the pairs of ``loader``, or with
    ``step(model, batch) -> loss`` on anything; or a ``setup()`` that returns all of this in a dictionary, and is called
    afresh for each of the short trainings. ``optimizer`` is AdamW by default; the ratios of its groups' rates are kept.
    ``schedule`` is that of the training to come: ``constant`` (default) or ``cosine``. At most ``steps`` updates are
    made, and a few to look. ``amp``: ``bf16`` or ``fp16``. ``scaler`` is a ``GradScaler`` whose state is to be kept.
    ``device`` is where a ``setup()`` trains, by default a GPU if there is one; a module trains where it is.

    Model, optimizer, scaler, generators and the random state are afterwards as they were, bit by bit.
    Raises ``UsageError`` for arguments that cannot be; what the model itself raises goes through.
    """
    import torch

    _check(steps, bounds, method, accumulate, amp, schedule)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise UsageError(f"find_learning_rate got {kind_of(seed)} as 'seed'.", "Give a whole number.")
    engine = Engine(accumulate, amp, None if device == "auto" else _device(device))
    where = _name_of(model)
    with kept_randomness():
        source: Source
        if isinstance(model, torch.nn.Module):
            given = {"model": model, "loss": loss, "loader": loader, "optimizer": optimizer, "step": step}
            ready = ready_from({**given, "val_loader": val_loader, "schedule": schedule, "seed": seed}, where)
            if device != "auto":
                raise UsageError("A module trains on the device that it is on.", "Leave out device, or give setup().")
            source = LiveSource(ready, _here(engine, ready.model), seed or 0, scaler)
            chosen = schedule
        elif callable(model):
            _check_alone(
                {"loss": loss, "loader": loader, "optimizer": optimizer, "step": step, "val_loader": val_loader}
            )
            factory = FactorySource(model, where, engine, seed)
            chosen = schedule or factory.schedule
            same = factory.repeated
            # What gives the same model again would go on where the last training left it.
            source = factory if same is None else LiveSource(same, _here(engine, same.model), factory.seed)
        else:
            raise UsageError(f"The model is {kind_of(model)}.", "Give a torch module, or a setup() function.")
        search = Search(Plan(steps), chosen or SCHEDULES[0], bounds, method)
        return find(source, search, show or (lambda text: None))


def _check(
    steps: int, bounds: tuple[float, float], method: str, accumulate: int, amp: str, schedule: str | None
) -> None:
    if steps < FEWEST_STEPS:
        raise UsageError(f"{steps} steps are too few to search.", f"Give at least {FEWEST_STEPS}; 600 are usual.")
    if not 0 < bounds[0] < bounds[1] <= 1e6:
        raise UsageError(
            f"No rates lie between {bounds[0]:g} and {bounds[1]:g}.", "Give a low and a high positive rate."
        )
    if method not in METHODS:
        raise UsageError(f"'{printable(method)}' is no method.", f"Choose from: {', '.join(METHODS)}.")
    if accumulate < 1:
        raise UsageError(f"{accumulate} batches make no update.", "Give the number of batches an update, from 1 up.")
    if amp and amp not in PRECISIONS:
        raise UsageError(f"'{printable(amp)}' is no precision.", f"Choose from: {', '.join(PRECISIONS)}.")
    if schedule is not None and schedule not in SCHEDULES:
        raise UsageError(f"'{printable(schedule)}' is no schedule.", f"Choose from: {', '.join(SCHEDULES)}.")


def _check_alone(beside: Mapping[str, Any]) -> None:
    for name, value in beside.items():
        if value is not None:
            raise UsageError(
                f"A setup() has a {name} of its own, and another one is given.", "Return all in its dictionary."
            )


def _name_of(model: Any) -> str:
    """Where the user finds ``model``: ``train.py:setup`` for a function."""
    code = getattr(model, "__code__", None)
    return "find_learning_rate" if code is None else f"{os.path.basename(code.co_filename)}:{code.co_name}"


def _here(engine: Engine, model: nn.Module) -> Engine:
    """``engine`` on the device that ``model`` is on."""
    return replace(engine, device=device_of(model))


def _device(name: str) -> torch.device:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"'{printable(name)}' is no device.", "Write for example cpu or cuda:0.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"There is no {printable(name)} here.", "Leave --device out to use what there is.")
    return device
