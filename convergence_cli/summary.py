"""What was read, in a few numbers and a thumbnail of each curve, so that a saved report can be drawn again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.features.view import view_of

if TYPE_CHECKING:
    from convergence_cli.axis import Axis
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import Curve
    from convergence_cli.tensor_stats import TensorStats

THUMBNAIL = 120
MAX_NAMES = 50
_DIGITS = 5
_SHOWN = ("learning_rate", "optimizer", "batch_size", "epochs", "max_steps", "warmup_steps", "weight_decay")


def summarise(evidence: Evidence, axis: Axis) -> dict[str, Any]:
    """The ``summary`` of a ``RunReport`` (its keys are listed there)."""
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
        "curves": {str(curve.role): _thumbnail(curve) for curve in roles},
    }
    return summary if run.tensors is None or not len(run.tensors) else summary | {"tensors": _dumped(run.tensors)}


def _best(evidence: Evidence) -> dict[str, Any] | None:
    """The lowest validation loss, or training loss where none is logged, as its points are grouped for the verdict."""
    if evidence.loss is None:
        return None
    gap, val = evidence.gap, evidence.val_loss
    if gap is not None and val is not None:
        return {"series": val.name, "value": gap.best, "step": gap.best_step}
    shape = evidence.loss.shape
    return {"series": evidence.loss.name, "value": shape.best, "step": shape.best_step}


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


def _thumbnail(curve: Curve) -> dict[str, list[float | None]]:
    view = view_of(curve, THUMBNAIL, keep_empty=True)
    return {
        "step": _plain(view.step),
        "low": _plain(view.low),
        "high": _plain(view.high),
        "mean": _plain(view.mean),
    }


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
