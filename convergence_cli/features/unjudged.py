"""What a log without a loss holds instead, in a sentence: scores, a learning rate, the machine's own measurements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Curve, Run

# Words of which the names of a machine's and a program's measurements are made.
_MACHINE = frozenset({
    "gpu", "cpu", "memory", "mem", "ram", "vram", "disk", "network", "net", "temp", "temperature", "power", "watts",
    "utilization", "util", "usage", "process", "proc", "fan", "clock", "io", "swap", "system", "fps", "throughput",
    "speed", "sec", "second", "seconds", "per", "tokens", "samples", "it", "its", "iter", "time", "eta", "runtime",
    "tflops", "flops", "mfu", "bytes", "mb", "gb", "percent", "sent", "recv", "read", "write", "uptime", "threads",
    "timestamp",
})  # fmt: skip
_SCORES = ("val_accuracy", "train_accuracy", "val_metric", "train_metric")
_NAMED = 3


def without_loss(run: Run) -> str:
    """Why ``run``, none of whose series is a loss, has no verdict."""
    scores = [curve for role in _SCORES if (curve := run.curve(role)) is not None and curve.points]
    if scores:
        told = "; ".join(_course(curve) for curve in scores[:2])
        return f"No series of the log is recognised as a loss, only as a score: {told}."
    others = [curve for curve in run.curves if curve.role != "learning_rate"]
    if run.curves and not others:
        return "No series of the log is recognised as a loss: it holds the learning rate only."
    if others and all(_of_the_machine(curve.name) for curve in others):
        return (
            f"No series of the log is recognised as a loss: it holds measurements of the machine only "
            f"({_listed([curve.name for curve in others])})."
        )
    return "No series of the log is recognised as a loss."


def holds_only_the_machine(run: Run) -> bool:
    """Whether ``run`` has measurements of the machine or the program's speed, and nothing of the training."""
    return bool(run.curves) and all(_of_the_machine(curve.name) for curve in run.curves)


def _course(curve: Curve) -> str:
    finite = curve.value[np.isfinite(curve.value)]
    if not len(finite):
        return f"{printable(curve.name, 60)} is never finite"
    if len(finite) == 1:
        return f"{printable(curve.name, 60)} is {finite[0]:.4g} at its one point"
    first, last = float(finite[0]), float(finite[-1])
    best = float(finite.max() if curve.direction == "higher" else finite.min())
    return f"{printable(curve.name, 60)} goes from {first:.4g} to {last:.4g} (best {best:.4g})"


def _of_the_machine(name: str) -> bool:
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word]
    return bool(words) and all(word in _MACHINE or len(word) == 1 for word in words)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name, 40) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return shown if more <= 0 else f"{shown} and {counted(more, 'other')}"
