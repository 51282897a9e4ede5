"""NaN that a trainer has hidden: a loss of exactly 0 where the gradient norm says NaN, or abruptly for good."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import noise_std

if TYPE_CHECKING:
    from convergence_cli.model import Curve

# A loss does not fall from above this share of its start to exactly 0 within one logged step.
_ABRUPT = 0.25
_LASTING = 3
# Nor by this many standard deviations of its noise over so many points before: hinge losses end at 0 by steps.
_JUMP, _RECENT = 8.0, 30


@dataclass(frozen=True, slots=True)
class MaskedNan:
    """Points at which the loss is exactly 0 and cannot be. ``with_nan_norm`` of them have a NaN gradient norm.

    ``since_step`` is the first of them, ``lasting`` that they reach to the end of the log, ``before`` the
    loss just before.
    """

    count: int
    with_nan_norm: int
    since_step: float
    before: float
    lasting: bool


def masked_nan_of(loss: Curve, grad_norm: Curve | None) -> MaskedNan | None:
    """Hidden NaN in a training loss, or None. Series kept as buckets are looked at by their means."""
    value, step = loss.value, loss.step
    zero = value == 0
    if not zero.any() or len(value) < 2:
        return None
    broken_steps = set()
    if grad_norm is not None:
        broken_steps = set(grad_norm.step[~np.isfinite(grad_norm.value)].tolist())
    with_norm = np.array([bool(z) and s in broken_steps for z, s in zip(zero.tolist(), step.tolist(), strict=True)])
    tail = 0
    for is_zero in zero[::-1]:
        if not is_zero:
            break
        tail += 1
    start = len(value) - tail
    finite = value[:start][np.isfinite(value[:start])]
    high = float(np.max(np.abs(finite[:5]))) if len(finite) else 0.0
    before = float(value[start - 1]) if start else 0.0
    recent = noise_std(finite[-_RECENT:])
    abrupt = tail >= _LASTING and start > 0 and not abs(before) <= max(_ABRUPT * high, _JUMP * recent)
    if with_norm.any():
        first = int(np.argmax(with_norm))
        earlier = float(value[first - 1]) if first else float("nan")
        count = int(with_norm.sum())
        return MaskedNan(count, count, float(step[first]), earlier, bool(with_norm[-min(tail, 3) or -1 :].all()))
    if abrupt:
        return MaskedNan(tail, 0, float(step[start]), before, True)
    return None


def unmasked(loss: Curve, masked: MaskedNan) -> Curve:
    """``loss`` with the hidden NaN as NaN, from the step on at which they begin."""
    hidden = (loss.value == 0) & (loss.step >= masked.since_step)
    return replace(loss, value=np.where(hidden, np.nan, loss.value))
