"""The healthy twin of a faulty specimen: the same draw (architecture, data, optimizer, seed) without the fault.

What a fault's change sets besides the fault (no clipping, no normalisation, how the run is logged) stays as the faulty
run has it: a remedy that takes away the fault alone must be able to reach the twin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.building import build
from zoo.metric import Applied, Watch, clean_data
from zoo.plan import FITTING, draw
from zoo.training import train

if TYPE_CHECKING:
    from zoo.catalogue import Specimen
    from zoo.plan import Plan

# Within this share of the twin's way from the start a training is as good as the twin.
AS_GOOD = 0.05
# A twin whose loss falls by less than this share is no healthy training to compare with.
LEARNS = 0.1


@dataclass(frozen=True, slots=True)
class Making:
    """How a twin is made. ``resets``: fields of the plan that are the fault, taken from the draw. ``sets``: given ones.

    ``kind``: ``clean`` is the training without the fault's code; ``stopped`` the faulty one, stopped at its best;
    ``weighed`` the faulty one with its classes weighed.
    """

    why: str
    resets: tuple[str, ...] = ()
    kind: str = "clean"
    sets: Mapping[str, Any] = field(default_factory=dict)


_BUG = Making("the bug is all that the fault adds")
MAKINGS: dict[str, Making] = {
    "learning-rate-too-high": Making("its schedule and no clipping are none of the fault", ("rate_factor",)),
    "learning-rate-too-low": Making("the rate is the fault", ("rate_factor",)),
    "missing-warmup": Making("the rate is what warmup would be needed for; its optimizer stays", ("rate_factor",)),
    "missing-decay": Making("what is missing is a decay: the draw may have none", ("rate_factor",),
                            sets={"schedule": "cosine"}),
    "early-decay": Making("the drawn schedule in place of the broken one"),
    "rising-rate": Making("the drawn schedule in place of the broken one"),
    "batch-too-small": Making("the drawn batch with the rate that fits it, over as many steps",
                              ("batch_size", "rate_factor")),
    "batch-too-large": Making("few steps come from the large batch: the drawn batch, and its steps",
                              ("batch_size", "steps", "rate_factor", "points")),
    "vanishing-gradient": Making("depth, sigmoid and no normalisation make it together",
                                 ("function", "depth", "norm")),
    "saturated-activation": Making("a sigmoid saturates by itself", ("function",)),
    "underfitting": Making("the narrow network and its dropout are the fault", ("width", "depth", "dropout")),
    "insufficient-training": Making("the drawn plan with its full steps: its schedule ends where it ends",
                                    ("steps", "rate_factor", "schedule")),
    "wrong-loss": Making("the loss of the task", ("loss",)),
    "excessive-weight-decay": Making("the decay is the fault; its optimizer stays", ("weight_decay",)),
    "excessive-dropout": Making("the dropout is the fault", ("dropout",)),
    "overfitting": Making("no more rows can be had: perfect early stopping is what a remedy can reach", kind="stopped"),
    "class-imbalance": Making("rare rows cannot be had either: what they are worth when they are weighed",
                              kind="weighed"),
    "label-noise": Making("labels can be repaired: those as they came"),
    "data-leakage": Making("validation rows that were not trained on; training itself is not changed"),
    "disconnected-input": Making("the features that are lost can be connected: those as they came"),
    **dict.fromkeys(
        ("stale-gradients", "missing-zero-grad", "exploding-gradient", "frozen-parameters", "numerical-overflow",
         "flipped-gradient", "bad-batch", "dying-relu", "symmetric-initialization", "initialization-too-small",
         "initialization-too-large", "unnormalized-input", "unscaled-target", "redundant-softmax"),
        _BUG,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Twin:
    """The metric of the twin before its first step and at its end, in the unit of ``zoo.metric``."""

    start: float
    end: float

    @property
    def learns(self) -> bool:
        """Whether it learnt anything: else there is no way of which 5 % could be taken."""
        return math.isfinite(self.end) and self.start - self.end >= LEARNS * abs(self.start)

    def is_matched_by(self, end: float) -> bool:
        """Whether a training that ends at ``end`` is within 5 % of the twin's way from the start."""
        return math.isfinite(end) and end <= self.end + AS_GOOD * (self.start - self.end)


def drawn_plan(specimen: Specimen) -> Plan:
    """The plan that the fault of ``specimen`` changed, before it did."""
    seed, dice = specimen.drawn()
    fault = specimen.fault
    if fault is None:
        raise ValueError(f"{specimen.name} has no fault, and is its own twin")
    names = [
        (name, data)
        for name in fault.architectures
        for data in FITTING[name]
        if not fault.datasets or data in fault.datasets
    ]
    # The same throws of the dice, in the same order, as the specimen's own plan.
    name = dice.choice(sorted({one for one, _ in names}))
    return draw(dice, seed, name, dice.choice([data for one, data in names if one == name]))


def twin_plan(specimen: Specimen) -> Plan:
    """The plan of the twin: the faulty one without what makes the fault."""
    making, drawn, plan = MAKINGS[specimen.kind], drawn_plan(specimen), specimen.plan()
    if making.kind != "clean":
        return plan
    plan.after_building.clear()
    for name in making.resets:
        setattr(plan, name, getattr(drawn, name))
    for name, value in making.sets.items():
        setattr(plan, name, value)
    return plan


def twin_of(specimen: Specimen) -> Twin:
    """Trains the twin, without a recorder."""
    from zoo.remedying import apply

    making = MAKINGS[specimen.kind]
    if making.kind == "weighed":
        applied = apply(specimen, {"class_weight": "balanced"})
    else:
        plan = twin_plan(specimen)
        training = build(plan)
        applied = Applied(training, clean_data(plan).x_val)
    watch = Watch(applied)
    log, _ = train(applied.training)
    return Twin(watch.start, watch.best if making.kind == "stopped" else watch.end(log))
