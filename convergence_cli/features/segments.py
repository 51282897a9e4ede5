"""Restarts: which parts of a log are one training, and which are another one written before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from convergence_cli.features.robust import median, noise_std

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import Curve, FloatArray

    IndexArray = npt.NDArray[np.intp]

Kind = Literal["resumed", "counter-reset", "fresh", "unordered"]
# A log whose step goes back this often is not restarted but written out of order (several workers).
_UNORDERED_SHARE = 0.05
# A fresh run is judged alone from this many points on; with fewer, the one before it is judged.
_MIN_FRESH = 6


@dataclass(frozen=True, slots=True)
class Restart:
    """One place where the step goes back from ``from_step`` to ``to_step``, and what it was taken for."""

    from_step: float
    to_step: float
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Stitched:
    """A curve with its restarts joined into one line of steps that never go back."""

    curve: Curve
    restarts: tuple[Restart, ...]


def stitch(curve: Curve, like: Stitched | None = None) -> Stitched:
    """Join the parts of ``curve``.

    A step that goes back into the range already seen is a resume from a checkpoint: the points that it
    overwrites are dropped (TensorBoard's rule). A step that starts again at the beginning is either a
    resume that lost its counter, where the loss goes on near its last level (the steps are shifted), or a
    fresh run, which is judged alone. ``like`` decides for a second series of the same log.
    """
    if not curve.restarts:
        return Stitched(curve, ())
    if len(curve.restarts) > max(3, _UNORDERED_SHARE * len(curve.step)):
        step = np.arange(len(curve.step), dtype=np.float64)
        restart = Restart(float(curve.step.max()), float(curve.step[-1]), "unordered")
        return Stitched(replace(curve, step=step, restarts=()), (restart,))
    kinds = [r.kind for r in like.restarts] if like is not None else []
    given = kinds if len(kinds) == len(curve.restarts) else []
    return _joined(curve, given)


def _joined(curve: Curve, given: list[Kind]) -> Stitched:
    bounds = [0, *curve.restarts, len(curve.step)]
    parts = list(pairwise(bounds))
    step = curve.step.copy()
    kept = np.arange(*parts[0])
    found: list[Restart] = []
    for number, (start, end) in enumerate(parts[1:]):
        index = np.arange(start, end)
        last = float(step[kept[-1]]) if len(kept) else float(step[start])
        kind = given[number] if given else _kind(step, curve.value, kept, index)
        found.append(Restart(float(curve.step[start - 1]), float(curve.step[start]), kind))
        if kind == "resumed":
            kept = kept[step[kept] < step[start]]
        elif kind == "counter-reset":
            gap = median(np.diff(step[index])) if len(index) > 1 else 1.0
            step[start:] += last + gap - step[start]
        elif end - start >= _MIN_FRESH or end < len(step):
            kept = kept[:0]
        else:
            continue
        kept = np.concatenate([kept, index])
    taken = _take(replace(curve, step=step, restarts=()), kept)
    return Stitched(taken, tuple(found))


def _kind(step: FloatArray, value: FloatArray, kept: IndexArray, index: IndexArray) -> Kind:
    before = value[kept]
    steps = step[kept]
    back_to = step[int(index[0])]
    if len(steps) and back_to > steps[0] + 0.05 * (steps[-1] - steps[0]):
        return "resumed"
    fresh = value[index]
    before, fresh = before[np.isfinite(before)], fresh[np.isfinite(fresh)]
    if not len(before) or not len(fresh):
        return "fresh"
    few = max(1, min(3, len(before) // 3))
    first, last = median(before[:few]), median(before[-few:])
    again = median(fresh[: max(1, min(2, len(fresh)))])
    return "counter-reset" if abs(again - last) <= abs(again - first) + noise_std(before) else "fresh"


def _take(curve: Curve, index: IndexArray) -> Curve:
    def taken(column: FloatArray | None) -> FloatArray | None:
        return None if column is None else column[index]

    buckets = curve.buckets
    if buckets is not None:
        names = type(buckets).__slots__
        buckets = type(buckets)(*(getattr(buckets, name)[index] for name in names))
        buckets = replace(buckets, last_step=curve.step[index])
    return replace(
        curve,
        step=curve.step[index],
        value=curve.value[index],
        epoch=taken(curve.epoch),
        time=taken(curve.time),
        line=None if curve.line is None else curve.line[index],
        buckets=buckets,
    )
