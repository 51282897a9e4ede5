"""A change applied to a faulty training of the zoo, as a user who follows a remedy would apply it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.building import Training, build, schedule_of
from zoo.mending import SCHEDULES, mend, mends
from zoo.metric import SPOILED_INPUTS, Applied, clean_data
from zoo.plan import OPTIMIZERS, RATES, steps_within
from zoo.remedy_data import change_data
from zoo.remedy_model import change_model
from zoo.remedy_steps import change_steps
from zoo.resuming import resume

if TYPE_CHECKING:
    from zoo.catalogue import Specimen
    from zoo.plan import Plan

# Keys that are fields of the plan, by the name that they have there.
_PLANNED = {
    "batch_size": "batch_size", "gradient_clip_norm": "clip", "activation": "function", "dropout": "dropout",
    "weight_decay": "weight_decay", "hidden_width": "width", "depth": "depth", "hidden_layers": "depth",
    "label_smoothing": "smoothing",
}  # fmt: skip
# Keys that nothing in the zoo has a use for: a remedy of these alone changes nothing, and repairs nothing.
INERT = frozenset({"beta2", "z_loss", "replicas", "batching"})
KEYS = INERT | set(_PLANNED) | {
    "learning_rate", "optimizer", "momentum", "epochs", "max_steps", "warmup_steps", "lr_schedule", "weight_init",
    "bias_init", "normalization", "residual", "early_stopping", "data_augmentation", "class_weight", "sampling",
    "input_normalization", "target_normalization", "output", "loss", "zero_grad", "resume_from_step", "trainable",
    "precision", "skip_nonfinite", "gradient_delay", "gradient_staleness", "labels", "split", "inputs", "skip_batches",
}  # fmt: skip
_OPTIMIZERS = {name.lower(): name for name in OPTIMIZERS}
_OF_LOSS = frozenset({"loss", "class_weight"})
# A run is made at most so long, in milliseconds of a usual step: five times the longest of the zoo.
LONGEST = 6000
# Who trains for longer logs as often as before, up to the densest logs of the zoo.
_MOST_POINTS, _MOST_EVALUATIONS = 3000, 120


def apply(specimen: Specimen, change: Mapping[str, Any], hints: Mapping[str, Any] | None = None) -> Applied:
    """The training of ``specimen`` with ``change``; without one it is the faulty training itself.

    ``hints``: ``steps_per_unit``, the training steps in one unit of the log's own axis (1, or those of an epoch).
    ``ValueError`` where a key is unknown, or a value is none that a training of the zoo can have.
    """
    unknown = sorted(set(change) - KEYS)
    if unknown:
        raise ValueError(f"no training of the zoo knows the change {', '.join(unknown)}")
    plan, kind = specimen.plan(), specimen.kind
    scale = float((hints or {}).get("steps_per_unit", 1.0))
    if "resume_from_step" in change:
        training = build(plan)
        resume(training, kind, round(change["resume_from_step"] * scale), change)
        return Applied(training, _x_val(kind, training))
    mended = mends(kind, change, plan)
    if mended:
        mend(kind, plan)
    batch, steps = plan.batch_size, plan.steps
    _settings(plan, change)
    training = build(plan)
    before = (min(batch, len(training.data.x)), steps)
    _rate(training, change)
    _length(training, change, before, broken_schedule=kind in ("early-decay", "rising-rate") and not mended)
    _schedule(training, change)
    change_model(training, change)
    # A bug in the loss is also in one that is weighed, or called by another name.
    kept = _OF_LOSS if kind in ("wrong-loss", "redundant-softmax") and not mended else frozenset()
    effective = {key: value for key, value in change.items() if key not in kept}
    x_val = change_data(training, effective, _x_val(kind, training))
    change_steps(training, change)
    if "early_stopping" in change:
        plan.patience, plan.with_val = int(change["early_stopping"]), True
    return Applied(training, x_val, "early_stopping" in change)


def _x_val(kind: str, training: Training) -> Any:
    return training.data.x_val if kind in SPOILED_INPUTS else clean_data(training.plan).x_val


def _settings(plan: Plan, change: Mapping[str, Any]) -> None:
    """What is set before the network is built. The rate stays the same number whatever the optimizer is."""
    rate = plan.learning_rate
    for key, name in _PLANNED.items():
        if key in change:
            setattr(plan, name, change[key])
    if "optimizer" in change:
        if str(change["optimizer"]).lower() not in _OPTIMIZERS:
            raise ValueError(f"optimizer {change['optimizer']} is none of {', '.join(OPTIMIZERS)}")
        plan.optimizer = _OPTIMIZERS[str(change["optimizer"]).lower()]
    if "momentum" in change and plan.optimizer in ("SGD", "momentum"):
        # The zoo knows one momentum, 0.9.
        plan.optimizer = "momentum" if change["momentum"] > 0 else "SGD"
    plan.rate_factor = rate / RATES[plan.architecture][plan.optimizer]
    norm = change.get("normalization")
    if norm is not None and norm not in ("batch", "layer", "qk"):
        raise ValueError(f"normalization {norm} is none of batch, layer, qk")
    if norm in ("batch", "layer"):
        plan.norm = norm
    if plan.batch_size < 2 and plan.norm == "batch":
        # PyTorch refuses to normalise one value.
        plan.norm = ""


def _rate(training: Training, change: Mapping[str, Any]) -> None:
    if "learning_rate" in change:
        training.learning_rate = float(change["learning_rate"])


def _length(training: Training, change: Mapping[str, Any], before: tuple[int, int], broken_schedule: bool) -> None:
    """Sets the steps. The build was over those of before, so that what strikes at a step still strikes there."""
    plan = training.plan
    (batch, steps), now = before, training.batch_size
    if "epochs" in change:
        plan.steps = int(change["epochs"] * training.steps_per_epoch)
    elif "max_steps" in change:
        plan.steps = int(change["max_steps"])
    elif now < batch or (now > batch and plan.logged == "epochs"):
        # Smaller batches are meant to give more steps; who counts epochs sees as many samples as before.
        plan.steps = int(steps * batch / now)
    plan.steps = max(min(plan.steps, max(steps_within(plan.architecture, LONGEST), steps)), 1)
    if plan.steps != steps:
        plan.points = max(min(round(plan.points * plan.steps / steps), _MOST_POINTS), 1)
        plan.evaluations = max(min(round(plan.evaluations * plan.steps / steps), _MOST_EVALUATIONS), 5)
        if not broken_schedule:
            training.schedule = schedule_of(plan.schedule, plan.steps)


def _schedule(training: Training, change: Mapping[str, Any]) -> None:
    if "lr_schedule" in change:
        training.schedule = schedule_named(change["lr_schedule"], training.plan.steps)
        training.plan.schedule = change["lr_schedule"]
    if "warmup_steps" in change:
        inner, warm = training.schedule, max(int(change["warmup_steps"]), 1)
        training.schedule = lambda step: inner(step) * min(1.0, (step + 1) / warm)


def schedule_named(name: str, steps: int) -> Any:
    """The factor on the learning rate at a step, for a name of ``SCHEDULES``; ``ValueError`` for another."""
    if name not in SCHEDULES:
        raise ValueError(f"lr_schedule {name} is none of {', '.join(SCHEDULES)}")
    return (lambda step: 1 - step / steps) if name == "linear" else schedule_of(name, steps)
