"""Trainings that have no learning rate: told before a search starts, from a few batches and their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from convergence_cli.lr_find.ready import is_finite
from convergence_cli.lr_find.refused import Refused, refused
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.lr_find.training import Training

# Updates at a rate that moves nothing: what starts at zero by design (a head, a residual branch) has a gradient then.
STEPS = 3
_NAMED = 3
# Rows of an output that differ by less than this share of it are one: what rounding leaves of a dead network.
SAME = 1e-6


def examine(training: Training, rate: float) -> None:
    """Raise ``Refused`` where no rate can train; makes a few updates at ``rate``, which should move next to nothing."""
    trained = _check_parameters(training)
    matrices = {
        name: False for name, one in training.ready.model.named_parameters() if id(one) in trained and one.ndim >= 2
    }
    anything = False
    varied: list[bool] = []
    for _ in range(STEPS):
        with outputs_of(training.ready.model) as outputs:
            value = training.step(rate)
        if not math.isfinite(value):
            raise broken_batch(training)
        if not training.scaler.is_enabled():
            # A scaler begins too high on purpose, and skips such steps until it has adapted.
            _check_gradients(training)
        norms = {name: _largest(one) for name, one in training.ready.model.named_parameters()}
        anything = anything or any(norms.values())
        matrices = {name: alive or norms[name] > 0 for name, alive in matrices.items()}
        varied += [varies(one) for one in outputs]
    if not anything:
        raise refused(
            "zero-gradient",
            "Every gradient is exactly zero, so that no rate moves a weight.",
            "Saturated or dead units, a loss that does not depend on the output, and rounding or argmax do that.",
        )
    dead = [name for name, alive in matrices.items() if not alive]
    if dead and (len(dead) == len(matrices) or (varied and not any(varied) and len(dead) * 2 >= len(matrices))):
        shown = ", ".join(printable(name, 40) for name in dead[:_NAMED])
        more = f" and {len(dead) - _NAMED} more" if len(dead) > _NAMED else ""
        raise refused(
            "dead-network",
            f"No gradient reaches {shown}{more}: the output is the same for every input, and only biases could learn.",
            "Check the initialization and the activations: weights of zero and units that are all off do that.",
        )


def _check_parameters(training: Training) -> set[int]:
    """The identities of the parameters that the optimizer can train."""
    model = training.ready.model
    trainable = {id(one) for one in model.parameters() if one.requires_grad}
    held = {id(one) for group in training.ready.optimizer.param_groups for one in group["params"]}
    if not trainable and any(True for _ in model.parameters()):
        raise refused(
            "frozen-parameters", "No parameter of the model is trainable.", "Set requires_grad where it should learn."
        )
    if not trainable & held:
        raise refused(
            "foreign-parameters",
            "The optimizer holds no trainable parameter of the model.",
            "Make the optimizer after the model, from model.parameters().",
        )
    return trainable & held


def check_loss(loss: Tensor) -> None:
    """Raise ``Refused`` where ``loss`` is cut off from the weights."""
    if not loss.requires_grad:
        raise refused(
            "no-gradient",
            "The loss is detached from the model: nothing leads from it back to the weights.",
            "Look for .detach(), .item(), torch.no_grad(), numpy or argmax between the model and the loss.",
        )


def _check_gradients(training: Training) -> None:
    for name, one in training.ready.model.named_parameters():
        gradient = _gradient(one)
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            raise refused(
                "non-finite-gradient",
                f"The gradient of {printable(name, 60)} is not finite at the start, though the loss is.",
                "A root, a norm or a division at zero does that: add a small constant inside it.",
            )


def check_judged(training: Training, judged: tuple[list[float], list[float]]) -> None:
    """Raise ``Refused`` where a batch by which trainings are judged has no finite loss at the start."""
    for batches, losses in zip((training.seen, training.held), judged, strict=True):
        for batch, loss in zip(batches, losses, strict=True):
            if not math.isfinite(loss):
                training.last_batch = batch
                raise broken_batch(training)


def broken_batch(training: Training) -> Refused:
    """Why the loss was not finite on the batch that was trained on last."""
    batch = training.last_batch
    if not is_finite(batch):
        pair = isinstance(batch, (list, tuple)) and len(batch) == 2
        part = "The batch" if not pair else "The input" if not is_finite(batch[0]) else "The target"
        return refused(
            "non-finite-input",
            f"{part} holds values that are not finite, in one of the first {training.batches} batches.",
            "Drop or fill these rows; a column that never varies gives NaN when it is standardized.",
        )
    return refused(
        "non-finite-loss",
        "The loss is not finite before any weight has moved, though the batch is finite.",
        "A logarithm of zero, a division by zero or an overflow in half precision does that.",
    )


def _gradient(parameter: Tensor) -> Tensor | None:
    """The values of its gradient; of a sparse one those that there are."""
    gradient = parameter.grad
    if gradient is None or gradient.layout == torch.strided:
        return gradient
    return gradient.coalesce().values() if gradient.layout == torch.sparse_coo else gradient.values()


def _largest(parameter: Tensor) -> float:
    gradient = _gradient(parameter)
    return float(gradient.abs().max()) if gradient is not None and gradient.numel() else 0.0


@contextmanager
def outputs_of(model: torch.nn.Module) -> Iterator[list[Any]]:
    """What ``model`` gives inside, call by call."""
    found: list[Any] = []
    try:
        handle = model.register_forward_hook(lambda module, inputs, output: found.append(output))
    except RuntimeError:
        # A compiled script takes no hooks: its gradients have to do.
        yield found
        return
    try:
        yield found
    finally:
        handle.remove()


def varies(output: Any) -> bool:
    """Whether an output differs from row to row; what is no batch of rows is taken to."""
    if not isinstance(output, Tensor) or output.ndim < 2 or len(output) < 2 or not output.numel():
        return True
    return bool((output - output[:1]).abs().max() > SAME * output.abs().max())


def learned(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether the losses of the same batches fell by more than chance: two standard errors of the differences.

    Two, as labels that say nothing can only be learnt by heart, which is slow and no fault of the rate.
    """
    falls = [one - other for one, other in zip(before, after, strict=True)]
    mean = math.fsum(falls) / len(falls)
    scale = max(abs(math.fsum(before) / len(before)), 1e-12)
    if len(falls) == 1:
        return mean > 1e-3 * scale
    error = math.sqrt(math.fsum((one - mean) ** 2 for one in falls) / (len(falls) - 1) / len(falls))
    return mean > max(2 * error, 1e-5 * scale)
