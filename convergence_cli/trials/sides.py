"""Two runs at equal steps: the best loss of each, and whether a change can be seen to have reached the second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.trials.change import peak_rate

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Remedy, Run

# A best loss that is higher by no more than this share of it is no worse: less than another seed makes.
SLACK = 0.02
# Logs round their numbers; settings that differ by less cannot be told apart in them.
SAME_SETTING = 0.02
# So many finite losses in a row do not come out alike by chance.
ALIKE_POINTS = 3
# Changes that leave the curve as it is and end it elsewhere.
SHORTENING = frozenset({"early_stopping", "epochs", "max_steps"})


def compared_role(before: Run, after: Run) -> str | None:
    """The loss to compare: of validation where both log it, else of training, else the reward."""
    for role in ("val_loss", "train_loss", "reward"):
        if before.curve(role) is not None and after.curve(role) is not None:
            return role
    return None


def best_of(curve: Curve, until: float) -> tuple[float, float] | None:
    """The best finite value of ``curve`` up to step ``until``, and its step; None where it has none."""
    lower = curve.direction == "lower"
    value = curve.value
    if curve.buckets is not None:
        value = curve.buckets.low if lower else curve.buckets.high
    usable = np.isfinite(value) & (curve.step <= until)
    if not usable.any():
        return None
    at = int(np.argmin(np.where(usable, value, np.inf)) if lower else np.argmax(np.where(usable, value, -np.inf)))
    return float(value[at]), float(curve.step[at])


def is_no_worse(before: float | None, after: float | None, *, lower: bool = True) -> bool | None:
    """Whether ``after`` is as good as ``before``, but for ``SLACK``; None where neither is known."""
    if after is None:
        return None if before is None else False
    if before is None:
        return True
    slack = SLACK * abs(before)
    return after <= before + slack if lower else after >= before - slack


def reached(before: Run, after: Run, remedy: Remedy, present: Mapping[str, Any]) -> tuple[bool | None, str]:
    """Whether the change of ``remedy`` can be seen in ``after``: True, False with the reason, None where it cannot.

    ``after`` says only what it logged itself; ``present`` are the settings of ``before``.
    """
    seen: bool | None = None
    for key, new in remedy.change.items():
        old = remedy.from_.get(key, present.get(key))
        said = peak_rate(after) if key == "learning_rate" else None
        said = after.config.get(key) if said is None else said
        if said is None or (old is not None and _same(old, new)):
            continue
        if _same(said, new):
            seen = True
        elif old is not None and _same(said, old):
            return False, f"it logged {key} {_shown(said)}, as before, and not {_shown(new)}"
    if SHORTENING & remedy.change.keys():
        return seen, ""
    if alike(before, after):
        return False, "its log is the same as before, value by value"
    return seen, ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=SAME_SETTING)
    return str(one).lower() == str(other).lower()


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def alike(before: Run, after: Run) -> bool:
    """Whether every loss that both log is the same in both, as far as the shorter goes."""
    finite = 0
    for role in ("train_loss", "val_loss"):
        one, other = before.curve(role), after.curve(role)
        if one is None or other is None:
            continue
        length = min(len(one.value), len(other.value))
        values = one.value[:length]
        if not np.array_equal(one.step[:length], other.step[:length]):
            return False
        if not np.array_equal(values, other.value[:length], equal_nan=True):
            return False
        finite += int(np.isfinite(values).sum())
    return finite >= ALIKE_POINTS
