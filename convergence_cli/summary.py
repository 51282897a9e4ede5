"""What was read, in a few numbers and a thumbnail of each curve, so that a saved report can be drawn again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.buckets import merge, reduce_points
from convergence_cli.features.tensors.pictured import layers_pictured, spreads_pictured

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convergence_cli.axis import Axis
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Buckets, Curve, Finding
    from convergence_cli.tensor_stats import TensorStats

# Buckets of each curve: as many as a screen has room for; of each of many runs, as many as a table of them asks for.
DRAWN, THUMBNAIL = 400, 120
MAX_NAMES = 50
MAX_RESTARTS = 20
_DIGITS = 5
_SHOWN = ("learning_rate", "optimizer", "batch_size", "epochs", "max_steps", "warmup_steps", "weight_decay")


def summarise(evidence: Evidence, axis: Axis, findings: Iterable[Finding] = (), buckets: int = DRAWN) -> dict[str, Any]:
    """The ``summary`` of a ``RunReport`` (its keys are listed there), with at most ``buckets`` of each curve.

    Of a run with many layers those that ``findings`` speak of are among the ones that are kept.
    """
    run = evidence.run
    roles = [curve for curve in run.curves if curve.role]
    loss = evidence.loss
    main = loss.logged if loss is not None else max(run.curves, key=lambda c: c.points, default=None)
    config = {key: run.config[key] for key in _SHOWN if key in run.config}
    unread = [curve.name for curve in run.curves if not curve.role]
    summary = {
        "points": 0 if main is None else main.points,
        "first_step": None if main is None else _first_step(main),
        "last_step": None if main is None else _edge(main, -1),
        "epochs": _epochs(main),
        "x": axis,
        "series": {curve.role: curve.name for curve in roles},
        "series_total": len(run.curves),
        "series_read": len(roles),
        "unread": unread[:MAX_NAMES],
        "config": config,
        "best": _best(evidence),
        "curves": {str(curve.role): _drawn(curve, buckets) for curve in roles},
    }
    if run.tensors is None or not len(run.tensors):
        return summary
    summary["tensors"] = _dumped(run.tensors)
    wanted = {finding.where.layer for finding in findings if finding.where.layer}
    layers, spreads = layers_pictured(run.tensors, wanted), spreads_pictured(run.tensors, wanted)
    return summary | ({"layers": layers} if layers["names"] else {}) | ({"spreads": spreads} if spreads else {})


def _best(evidence: Evidence) -> dict[str, Any] | None:
    """The lowest validation loss, or training loss where none is logged, as its points are grouped for the verdict."""
    if evidence.loss is None:
        return None
    gap, val = evidence.gap, evidence.val_loss
    if gap is not None and val is not None:
        return {"series": val.name, "role": "val_loss", "value": gap.best, "step": gap.best_step}
    shape = evidence.loss.shape
    return {
        "series": evidence.loss.name,
        "role": evidence.loss.logged.role,
        "value": shape.best,
        "step": shape.best_step,
    }


def _dumped(stats: TensorStats) -> dict[str, Any]:
    from convergence_cli.tensor_stats import KINDS

    steps = stats.steps
    tensors = set(zip(stats.text("kind").tolist(), stats.text("name").tolist(), strict=True))
    count = Counter(kind for kind, _ in tensors)
    return {
        "steps": len(steps),
        "first_step": float(steps[0]),
        "last_step": float(steps[-1]),
        "layers": len(set(stats.text("layer").tolist())),
        "kinds": {kind: count[kind] for kind in KINDS if kind in count},
        "rows": len(stats),
    }


def _first_step(curve: Curve) -> float | None:
    if curve.buckets is not None:
        return float(curve.buckets.first_step[0])
    return _edge(curve, 0)


def _edge(curve: Curve, index: int) -> float | None:
    return float(curve.step[index]) if len(curve.step) else None


def _epochs(curve: Curve | None) -> float | None:
    if curve is None or curve.epoch is None:
        return None
    finite = curve.epoch[np.isfinite(curve.epoch)]
    return float(finite[-1]) if len(finite) else None


def _drawn(curve: Curve, most: int) -> dict[str, Any]:
    buckets, size = _grouped(curve, most)
    drawn: dict[str, Any] = {
        "step": _plain(buckets.last_step),
        "low": _plain(buckets.low),
        "high": _plain(buckets.high),
        "mean": _plain(buckets.mean),
        "points": curve.points,
    }
    if buckets.nonfinite.any():
        drawn["nonfinite"] = _spans(buckets)
    if curve.restarts:
        drawn["restarts"] = _restarts(curve, size)
    return drawn


def _grouped(curve: Curve, most: int) -> tuple[Buckets, int]:
    total = len(curve.value)
    size = max(-(-total // most), 1)
    if curve.buckets is None:
        return reduce_points(curve.step, curve.value, size), size
    return merge(curve.buckets, np.arange(0, total, size)), size


def _spans(buckets: Buckets) -> list[list[float]]:
    """Where points are not finite: [first step, last step of the bucket, how many], neighbours joined."""
    found: list[list[float]] = []
    before = -2
    for index in np.flatnonzero(buckets.nonfinite).tolist():
        last, count = float(buckets.last_step[index]), int(buckets.nonfinite[index])
        if index == before + 1:
            found[-1] = [found[-1][0], last, found[-1][2] + count]
        else:
            found.append([float(buckets.first_nonfinite_step[index]), last, count])
        before = index
    return found


def _restarts(curve: Curve, size: int) -> list[dict[str, float]]:
    """Where the step goes back: the bucket in which it does, the step before and the step after."""
    steps = curve.step
    first = steps if curve.buckets is None else curve.buckets.first_step
    at: Sequence[int] = [index for index in curve.restarts if 0 < index < len(steps)][:MAX_RESTARTS]
    return [{"bucket": index // size, "from": float(steps[index - 1]), "to": float(first[index])} for index in at]


def _plain(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float | None]:
    # Six digits draw the same picture and keep reports small.
    finite = np.isfinite(values)
    size = np.abs(np.where(finite & (values != 0), values, 1.0))
    magnitude = np.floor(np.log10(size))
    # Powers of ten are exact, and so is what they are multiplied by or divided through.
    up, down = 10.0 ** np.clip(_DIGITS - magnitude, 0, 300), 10.0 ** np.clip(magnitude - _DIGITS, 0, 300)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.rint(values * up / down) / up * down
    if finite.all():
        found: list[float | None] = rounded.tolist()
        return found
    return [value if known else None for value, known in zip(rounded.tolist(), finite.tolist(), strict=True)]
