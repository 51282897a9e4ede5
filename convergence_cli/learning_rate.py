"""The frozen answer of ``lr-find``: a rate, how sure it is and why; or the reason why there is none.

Nothing here computes, and nothing here imports numpy or torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from convergence_cli.model import RunReport

# What can be asked for, on the command line and from Python.
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("bf16", "fp16")
FEWEST_STEPS = 60
# Why no rate can be given. The causes are names that ``explain`` knows; "" where the diagnosis has none.
Reason = Literal[
    "no-data",
    "non-finite-input",
    "non-finite-loss",
    "non-finite-gradient",
    "no-gradient",
    "frozen-parameters",
    "foreign-parameters",
    "zero-gradient",
    "dead-network",
    "every-rate-diverges",
    "no-rate-learns",
    "too-few-points",
    "one-training",
]
CAUSES: dict[Reason, str] = {
    "non-finite-input": "unnormalized-input",
    "non-finite-loss": "numerical-overflow",
    "non-finite-gradient": "numerical-overflow",
    "no-gradient": "frozen-parameters",
    "frozen-parameters": "frozen-parameters",
    "foreign-parameters": "frozen-parameters",
    "zero-gradient": "vanishing-gradient",
    "dead-network": "dying-relu",
    "every-rate-diverges": "numerical-overflow",
    "no-rate-learns": "wrong-loss",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """``reason`` is a fixed name, ``message`` a sentence, ``hint`` the next step, ``cause`` a name of the diagnosis."""

    reason: Reason
    message: str
    hint: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """A short training at one rate, from the same start: the loss that it came to, None where it broke.

    ``loss`` is what the choice rests on; ``train`` and ``held_out`` are its parts, where they were measured.
    """

    rate: float
    loss: float | None
    steps: int
    train: float | None = None
    held_out: float | None = None


@dataclass(frozen=True, slots=True)
class LearningRate:
    """The answer. ``window``: the rates within 5 % of the best; ``diverges_at``: the lowest rate that broke.

    ``learning_rate`` is None exactly where ``refused`` says why. ``confidence`` is in 0 to 1. ``start_loss`` is what
    the probes began with. ``range_rates`` and ``range_losses`` are the range test, ``probes`` the restarts, by rate.
    ``steps`` counts all updates that were made. ``ratios`` are those of the parameter groups to the rate.
    ``diagnosis`` is the report on a recorded training, where there is no rate and one could be recorded.
    """

    learning_rate: float | None
    window: tuple[float, float] | None = None
    diverges_at: float | None = None
    confidence: float = 0.0
    why: str = ""
    steps: int = 0
    refused: Refusal | None = None
    schedule: str = "constant"
    method: str = "restarts"
    source: str = ""
    start_loss: float | None = None
    range_rates: tuple[float, ...] = ()
    range_losses: tuple[float, ...] = ()
    probes: tuple[Probe, ...] = ()
    ratios: tuple[float, ...] = (1.0,)
    notes: tuple[str, ...] = ()
    diagnosis: RunReport | None = None
