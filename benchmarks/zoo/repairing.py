"""A change applied to a faulty training of the zoo, as a user who follows a remedy would apply it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo import building
from zoo.building import Training, schedule_of
from zoo.data import DATASETS, Data
from zoo.plan import RATES

if TYPE_CHECKING:
    from zoo.catalogue import Specimen
    from zoo.plan import Plan

FITTING_LOSSES = ("cross_entropy", "mse")
# Faults of the schedule and of the loss: what changes these by the way must not mend them.
OF_SCHEDULE, OF_LOSS = ("early-decay", "rising-rate"), ("wrong-loss", "redundant-softmax")
# A bug in the code or in the data goes away only by the change that names it.
MENDS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "early-decay": lambda change: "lr_schedule" in change,
    "rising-rate": lambda change: "lr_schedule" in change,
    "missing-zero-grad": lambda change: change.get("zero_grad") is True,
    "stale-gradients": lambda change: change.get("gradient_staleness") == 0,
    "frozen-parameters": lambda change: change.get("trainable") == "all",
    "numerical-overflow": lambda change: change.get("precision") in ("bf16", "float32"),
    "flipped-gradient": lambda change: change.get("loss") in FITTING_LOSSES,
    "wrong-loss": lambda change: change.get("loss") in FITTING_LOSSES,
    "redundant-softmax": lambda change: change.get("output") == "logits",
    "label-noise": lambda change: change.get("labels") == "repair",
    "data-leakage": lambda change: "split" in change,
    "disconnected-input": lambda change: change.get("inputs") == "repair",
}
CONSTANT = 1e-3
_SCHEDULES = {"linear": "warmup-linear"}
# Changes of the plan under the name that the remedy uses.
_PLANNED = {
    "optimizer": "optimizer",
    "batch_size": "batch_size",
    "max_steps": "steps",
    "gradient_clip_norm": "clip",
    "activation": "function",
    "normalization": "norm",
    "dropout": "dropout",
    "weight_decay": "weight_decay",
    "hidden_width": "width",
}
# What changes nothing in these trainings: a remedy of these alone is no repair.
WITHOUT_EFFECT = frozenset(
    {"beta2", "z_loss", "replicas", "batching", "momentum", "residual", "data_augmentation", "skip_batches", "split",
     "labels", "inputs", "trainable", "zero_grad", "gradient_staleness", "precision", "output", "loss",
     "early_stopping", "lr_schedule", "learning_rate"}
)  # fmt: skip


@dataclass(slots=True)
class Repaired:
    """A training with the change applied. ``undo`` turns outputs back into the unit of the data as it came."""

    training: Training
    x_val: Tensor
    undo: Callable[[Tensor], Tensor]
    stops_early: bool


def apply(specimen: Specimen, change: Mapping[str, Any], unit: float = 1.0) -> Repaired:
    """``specimen`` with ``change``; ``unit``: training steps in one unit of the log's axis."""
    plan = specimen.plan()
    kind = specimen.kind
    if kind in MENDS and MENDS[kind](change):
        plan.after_building.clear()
        plan.loss = "default" if kind == "wrong-loss" else plan.loss
    before = plan.batch_size
    _plan(plan, change)
    training = building.build(plan)
    clean = clean_data(plan)
    _length(training, change, before, kind not in OF_SCHEDULE or "lr_schedule" in change)
    _schedule(training, change)
    _initialise(training.model, change)
    undo = _targets(specimen, training, clean, change)
    # Only these faults change what arrives; the validation of all others is as it came.
    spoiled = kind in ("unnormalized-input", "disconnected-input")
    x_val = training.data.x_val if spoiled else clean.x_val
    if change.get("input_normalization") == "standard" and training.data.task not in ("tokens", "reconstruction"):
        x_val = _standard_inputs(training, x_val)
    if kind not in OF_LOSS or MENDS[kind](change):
        _classes(training, change)
    _steps(training, change, unit)
    return Repaired(training, x_val, undo, "early_stopping" in change)


def clean_data(plan: Plan) -> Data:
    """The data as it came, before any fault."""
    return DATASETS[plan.dataset](np.random.default_rng(plan.seed), plan.rows)


def _plan(plan: Plan, change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if key in _PLANNED:
            setattr(plan, _PLANNED[key], value)
    if plan.norm == "qk":
        plan.norm = ""
    if plan.optimizer.lower() == "adam":
        plan.optimizer = "Adam"
    if "learning_rate" in change:
        plan.rate_factor = change["learning_rate"] / RATES[plan.architecture][plan.optimizer]
    if "lr_schedule" in change:
        plan.schedule = _SCHEDULES.get(change["lr_schedule"], change["lr_schedule"])
    if plan.batch_size < 2:
        plan.norm = ""


def _length(training: Training, change: Mapping[str, Any], batch_before: int, own_schedule: bool) -> None:
    plan = training.plan
    if "epochs" in change:
        plan.steps = int(change["epochs"] * training.steps_per_epoch)
    elif "batch_size" in change and "max_steps" not in change and plan.logged == "epochs":
        # Who counts in epochs sees as many samples as before.
        plan.steps = int(plan.steps * min(batch_before, len(training.data.x)) / training.batch_size)
    if own_schedule and ("epochs" in change or "batch_size" in change or "max_steps" in change):
        training.schedule = schedule_of(plan.schedule, plan.steps)


def _schedule(training: Training, change: Mapping[str, Any]) -> None:
    if "lr_schedule" in change:
        training.schedule = schedule_of(training.plan.schedule, training.plan.steps)
    if "warmup_steps" in change:
        inner, steps = training.schedule, change["warmup_steps"]
        training.schedule = lambda step: inner(step) * min(1.0, (step + 1) / steps)


def _initialise(model: nn.Module, change: Mapping[str, Any]) -> None:
    how = change.get("weight_init")
    for module in model.modules():
        bias = getattr(module, "bias", None)
        kept = bias.detach().clone() if isinstance(bias, Tensor) else None
        if how is not None and hasattr(module, "reset_parameters"):
            module.reset_parameters()
            if kept is not None and isinstance(module, (nn.Linear, nn.Conv2d)):
                # Weights are drawn anew, not biases.
                with torch.no_grad():
                    module.bias.copy_(kept)
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            if how == "he":
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif how == "xavier":
                nn.init.xavier_normal_(module.weight)
            if change.get("bias_init") == "zeros" and module.bias is not None:
                nn.init.zeros_(module.bias)


def _standard_inputs(training: Training, x_val: Tensor) -> Tensor:
    data = training.data
    axes = tuple(range(data.x.dim() - 1))
    mean, std = data.x.mean(axes), data.x.std(axes)
    # A feature that never changes has no spread to divide by.
    std = torch.where(std > CONSTANT * std.max(), std, std.max())
    data.x, data.x_val = (data.x - mean) / std, (data.x_val - mean) / std
    return (x_val - mean) / std


def _targets(
    specimen: Specimen, training: Training, clean: Data, change: Mapping[str, Any]
) -> Callable[[Tensor], Tensor]:
    """How to turn outputs back into the unit of the clean targets."""
    data = training.data
    scale, offset = 1.0, torch.tensor(0.0)
    if specimen.kind == "unscaled-target":
        scale = float(data.y_val.std() / clean.y_val.std())
        offset = (data.y_val - scale * clean.y_val).mean()
    mean, std = torch.tensor(0.0), torch.tensor(1.0)
    if change.get("target_normalization") == "standard" and data.task == "regression":
        mean, std = data.y.mean(0), data.y.std(0) + 1e-9
        data.y, data.y_val = (data.y - mean) / std, (data.y_val - mean) / std
    return lambda output: (output * std + mean - offset) / scale


def _classes(training: Training, change: Mapping[str, Any]) -> None:
    data, default = training.data, training.loss
    if data.task != "classes":
        return
    counts = torch.bincount(data.y, minlength=data.classes).float()
    if change.get("class_weight") == "balanced":
        weight = torch.where(counts > 0, len(data.y) / (data.classes * counts.clamp(min=1)), torch.ones(()))
        training.loss = lambda output, y: nn.functional.cross_entropy(output, y, weight=weight)
    elif change.get("sampling") == "balanced":
        odds = (1 / counts.clamp(min=1))[data.y]
        picked = torch.multinomial(odds, len(data.y), replacement=True, generator=training.generator)
        data.x, data.y = data.x[picked], data.y[picked]
    elif "label_smoothing" in change:
        training.loss = default


def _steps(training: Training, change: Mapping[str, Any], unit: float) -> None:
    if change.get("skip_nonfinite") is True:

        def skip(step: int) -> None:
            grads = [p.grad for p in training.model.parameters() if p.grad is not None]
            if not all(bool(torch.isfinite(grad).all()) for grad in grads):
                for parameter in training.model.parameters():
                    parameter.grad = None

        training.after_backward.append(skip)
    if "resume_from_step" in change:
        first = change["resume_from_step"] * unit
        last = first + change.get("skip_batches", 0)
        batch, later = training.batch, list(training.after_step)
        # Batches that are skipped do no damage; those of a tokens' fault are jumps of the weights.
        training.batch = lambda step, x, y: (x, y) if first < step <= last else batch(step, x, y)
        training.after_step[:] = [
            lambda step, jump=jump: None if first < step <= last else jump(step) for jump in later
        ]


def check(change: Mapping[str, Any]) -> None:
    """``ValueError`` where a key is none that can be applied here."""
    known = set(_PLANNED) | WITHOUT_EFFECT | {
        "epochs", "warmup_steps", "weight_init", "bias_init", "input_normalization", "target_normalization",
        "class_weight", "sampling", "label_smoothing", "skip_nonfinite", "resume_from_step",
    }  # fmt: skip
    unknown = set(change) - known
    if unknown:
        raise ValueError(f"no training of the zoo knows the change {', '.join(sorted(unknown))}")


def default_loss(plan: Plan, data: Data) -> building.Loss:
    """The loss that the task is judged by, whatever was trained on."""
    return building._loss(replace(plan, loss="default", smoothing=0.0), data)
