"""Which change takes away which bug: a bug in code or data goes only by the key that names its fix.

Faults that are settings (a rate, a width, a decay) are not here: the change of the setting itself cures those. Nor are
faults of the first weights and of the scale of data: what cures them is done after the fault was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.data import DATASETS

if TYPE_CHECKING:
    from zoo.plan import Plan

# Losses that fit a task: others do not mend a loss that is wrong.
LOSSES: dict[str, tuple[str, ...]] = {
    "classes": ("cross_entropy", "generalized_cross_entropy"),
    "tokens": ("cross_entropy", "generalized_cross_entropy"),
    "regression": ("mse", "huber"),
    "reconstruction": ("mse", "huber"),
}
SCHEDULES = ("constant", "cosine", "linear", "step", "warm-restarts", "one-cycle")
_TASKS = {"regression": ("diabetes", "friedman", "adding"), "reconstruction": ("low_rank", "digit_pictures"),
          "tokens": ("text", "markov")}  # fmt: skip


def task_of(dataset: str) -> str:
    """The task of a data set: classes, tokens, regression or reconstruction."""
    if dataset not in DATASETS:
        raise ValueError(f"no data set of the zoo is called {dataset}")
    return next((task for task, names in _TASKS.items() if dataset in names), "classes")


def _is(key: str, *values: object) -> Callable[[Mapping[str, Any], str], bool]:
    # Not `in`: 1 equals True, and 0 False, in Python.
    return lambda change, task: key in change and any(change[key] == one and type(change[key]) is type(one)
                                                      for one in values)  # fmt: skip


def _fits(change: Mapping[str, Any], task: str) -> bool:
    return change.get("loss") in LOSSES[task]


@dataclass(frozen=True, slots=True)
class Mend:
    """``by``: whether a change on a task takes the bug away. ``resets``: fields of the plan that go back with it."""

    by: Callable[[Mapping[str, Any], str], bool]
    resets: Mapping[str, Any]


def _mend(by: Callable[[Mapping[str, Any], str], bool], **resets: object) -> Mend:
    return Mend(by, resets)


def _fresh(change: Mapping[str, Any], task: str) -> bool:
    return change.get("gradient_delay", change.get("gradient_staleness")) == 0


MENDS: dict[str, Mend] = {
    "early-decay": _mend(_is("lr_schedule", *SCHEDULES)),
    "rising-rate": _mend(_is("lr_schedule", *SCHEDULES)),
    "missing-zero-grad": _mend(_is("zero_grad", True)),
    "stale-gradients": _mend(_fresh),
    "frozen-parameters": _mend(_is("trainable", "all")),
    "numerical-overflow": _mend(_is("precision", "bf16", "bfloat16", "fp32", "float32")),
    "flipped-gradient": _mend(_fits),
    "wrong-loss": _mend(_fits, loss="default"),
    "redundant-softmax": _mend(_is("output", "logits")),
    "label-noise": _mend(_is("labels", "repair")),
    "data-leakage": _mend(_is("split", "by-group")),
    "disconnected-input": _mend(_is("inputs", "repair")),
    # Filtering of outliers; a number of batches counts only from a step to resume from (see zoo.resuming).
    "bad-batch": _mend(_is("skip_batches", True)),
}


def mends(kind: str, change: Mapping[str, Any], plan: Plan) -> bool:
    """Whether ``change`` takes the bug of the fault ``kind`` away."""
    return kind in MENDS and MENDS[kind].by(change, task_of(plan.dataset))


def mend(kind: str, plan: Plan) -> None:
    """Takes the bug of the fault ``kind`` out of its plan."""
    plan.after_building.clear()
    for name, value in MENDS[kind].resets.items():
        setattr(plan, name, value)
