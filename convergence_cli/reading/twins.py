"""The same run, logged in two formats: told by its points, and read once."""

from __future__ import annotations

import math
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Curve, FloatArray, Run

# Series by which two logs are compared, the surest first.
_COMPARED = ("train_loss", "val_loss", "reward", "train_accuracy", "val_accuracy", "adversarial_loss")
_FEWEST = 2
# So many points of the shorter log stand in the longer, at the same steps and with the same values.
_SHARED_STEPS, _EQUAL_VALUES = 0.8, 0.95
# A log may lack the last points of another, or its first.
_MOST_MISSING = 2
# Event files hold 32 bits of a number.
_SINGLE_PRECISION = 1e-6
_MOST_DECIMALS = 8
# A console rounds to so many decimals.
_ROUNDED = 1e-5
# Values that vary by less than so many units of their last decimal could be equal by chance.
_LEAST_RANGE = 20


class _Match(Enum):
    """What two series say of whether they are one."""

    STEP_BY_STEP = "equal values at equal steps"
    IN_ORDER = "equal values in the same order"
    DIFFERENT = "other values"
    UNTOLD = "too few values, or values that do not vary"


def without_twins(runs: Sequence[Run]) -> list[Run]:
    """``runs`` of one place, each once: of two logs of one run the fuller stays, with a note and what it lacks."""
    kept: list[Run] = []
    for run in sorted(runs, key=_fullness, reverse=True):
        for number, other in enumerate(kept):
            if _logged_differently(other, run) and (match := _same(other, run)) is not None:
                kept[number] = _merged(other, run, same_steps=match)
                break
        else:
            kept.append(run)
    order = {id(run): number for number, run in enumerate(runs)}
    places = {(run.name, run.path): order[id(run)] for run in runs}
    return sorted(kept, key=lambda run: places[run.name, run.path])


def _logged_differently(one: Run, other: Run) -> bool:
    """Two logs of one format in a folder are two runs, however alike: a seed may have had no effect."""
    return one.path != other.path and (one.format, Path(one.path).suffix) != (other.format, Path(other.path).suffix)


def _fullness(run: Run) -> tuple[bool, int, bool, int, int]:
    """The recorder, which has tensors; then roles; then numbers in full, which a console rounds; then points."""
    judged = [curve for curve in run.curves if curve.role]
    whole = all(_unit(curve.value) < _ROUNDED for curve in judged if curve.role in _COMPARED)
    points = sum(curve.points for curve in judged)
    return run.format == "recorder", len({curve.role for curve in judged}), whole, points, len(run.curves)


def _same(one: Run, other: Run) -> bool | None:
    """None where the runs differ or nothing tells; else whether they are also logged at the same steps."""
    matches = [
        _same_series(first, second)
        for role in _COMPARED
        if (first := one.curve(role)) is not None and (second := other.curve(role)) is not None
    ]
    told = [match for match in matches if match is not _Match.UNTOLD]
    if not told or _Match.DIFFERENT in told:
        return None
    return all(match is _Match.STEP_BY_STEP for match in told)


def _same_series(one: Curve, other: Curve) -> _Match:
    longer, shorter = (one, other) if len(one.value) >= len(other.value) else (other, one)
    unit = max(_unit(longer.value), _unit(shorter.value))
    if len(shorter.value) < _FEWEST or not (_varies(shorter.value, unit) or _varies(longer.value, unit)):
        return _Match.UNTOLD
    if _at_equal_steps(longer, shorter, unit):
        return _Match.STEP_BY_STEP if _varies(shorter.value, unit) else _Match.UNTOLD
    missing = len(longer.value) - len(shorter.value)
    if missing > min(_MOST_MISSING, len(shorter.value) // 5):
        return _Match.DIFFERENT
    for shift in range(missing + 1):
        if _equal(longer.value[shift : shift + len(shorter.value)], shorter.value, unit) >= _EQUAL_VALUES:
            return _Match.IN_ORDER if _varies(shorter.value, unit) else _Match.UNTOLD
    return _Match.DIFFERENT


def _at_equal_steps(longer: Curve, shorter: Curve, unit: float) -> bool:
    if len(longer.value) < 3 and len(longer.value) != len(shorter.value):
        return False
    steps, first = np.unique(longer.step, return_index=True)
    where = np.minimum(np.searchsorted(steps, shorter.step), len(steps) - 1)
    shared = steps[where] == shorter.step
    if np.count_nonzero(shared) < max(_FEWEST, _SHARED_STEPS * len(shorter.step)):
        return False
    return _equal(longer.value[first[where[shared]]], shorter.value[shared], unit) >= _EQUAL_VALUES


def _equal(one: FloatArray, other: FloatArray, unit: float) -> float:
    """The share of values that are the same but for how many digits were written."""
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(one - other) <= np.maximum(0.51 * unit, _SINGLE_PRECISION * np.abs(one))
    return float(np.mean(near | (one == other) | (np.isnan(one) & np.isnan(other))))


def _unit(values: FloatArray) -> float:
    """One unit of the last decimal to which ``values`` were written; 0 where they were written in full."""
    finite = values[np.isfinite(values)][:200]
    for decimals in range(_MOST_DECIMALS):
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.round(finite, decimals)
        if len(finite) and np.allclose(finite, rounded, rtol=1e-12, atol=0):
            return float(10.0**-decimals)
    return 0.0


def _varies(values: FloatArray, unit: float) -> bool:
    finite = values[np.isfinite(values)]
    if len(finite) < _FEWEST:
        return False
    spread = float(np.ptp(finite))
    return math.isfinite(spread) and spread > max(_LEAST_RANGE * unit, _SINGLE_PRECISION * float(np.abs(finite).max()))


def _merged(kept: Run, twin: Run, *, same_steps: bool) -> Run:
    """``kept`` with a note on ``twin``, and where both count the same steps with the roles that it alone has."""
    roles = {curve.role for curve in kept.curves}
    names = {curve.name for curve in kept.curves}
    more = [c for c in twin.curves if same_steps and c.role and c.role not in roles and c.name not in names]
    added = f", which adds {', '.join(printable(curve.name, 40) for curve in more)}" if more else ""
    return replace(
        kept.noting(f"the same run is also logged in {printable(twin.name, 80)}{added}: it is read once"),
        curves=(*kept.curves, *more),
        config={**twin.config, **kept.config},
        tensors=kept.tensors if kept.tensors is not None else twin.tensors,
    )
