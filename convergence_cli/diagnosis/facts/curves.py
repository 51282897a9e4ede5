"""What the curves of a run say of its cause: scale-free numbers, 0 where a curve is missing or tells nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.diagnosis.facts.scales import excess, log_ratio, shortfall
from convergence_cli.features.robust import median, running_levels, running_median

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence, Loss
    from convergence_cli.features.shape import Shape
    from convergence_cli.model import FloatArray

_TINY = 1e-300
# A point this many noise deviations above the level of the one before is a jump.
FEW = 4
# Points of a running median, and the deviations from it at which a point is an outlier.
WINDOW, OUTLYING = 21, 8.0


def curve_facts(evidence: Evidence) -> dict[str, float]:
    """Of the losses, the accuracy and the gradient norm."""
    found: dict[str, float] = {}
    loss, val = evidence.train_loss, evidence.val_loss
    main = evidence.loss
    if main is not None:
        found |= _of_loss(main, evidence.classes)
    if loss is not None and val is not None:
        found |= _of_both(loss, val)
    found |= _of_breaking(evidence)
    if evidence.loss_scale is not None:
        found["loss_scale_logged"] = 1.0
    found |= _of_accuracy(evidence)
    found |= _of_gradient(evidence)
    return found


def _of_loss(loss: Loss, classes: int | None) -> dict[str, float]:
    shape = loss.shape
    level = None if classes is None else math.log(classes)
    y = shape.view.mean
    n = len(y)
    found = {
        "first_large": excess(abs(shape.first), 10.0, 6.0),
        "first_small": shortfall(abs(shape.first), 0.3, 4.0),
        "noise_of_level": log_ratio(shape.variation, 0.1, 3.0),
        "noise_of_drop": log_ratio(shape.noise / max(shape.drop, _TINY), 0.1, 3.0),
        "late_noise_of_end": log_ratio(shape.late_noise / max(abs(shape.end), _TINY), 0.05, 3.0),
        "fast_fall": _fast(shape.smooth),
        "half_time": max(min(shape.early_share, 1.5), -1.0) if shape.drop > 0 else 0.0,
        "spikes": math.log1p(len(loss.spikes)) / 3,
        "log_fall": _log_fall(shape),
        "late_slope": _late_slope(y),
        "first_steps_rise": excess(float(y[: max(n // 8, 2)].max()), max(abs(shape.first), _TINY) * 1.05, 4.0),
    }
    found |= _break(y) | _spike(loss) | _points(loss)
    if level is not None:
        found |= {
            "first_above_chance": excess(shape.first, 1.1 * level, 4.0),
            "first_below_chance": shortfall(shape.first, 0.8 * level, 3.0),
            "end_of_chance": log_ratio(max(shape.end, 1e-6), level, 3.0),
            "end_near_chance": max(0.0, 1 - abs(shape.end - level) / (0.1 * level)),
            "end_above_chance": excess(shape.end, 1.05 * level, 3.0),
            "chance_known": 1.0,
            "softmax_floor": _near_floor(shape.end, classes or 0),
        }
    return found


def _points(loss: Loss) -> dict[str, float]:
    """Of the single points about their running median: outliers, how they cluster, and whether swings last."""
    curve = loss.curve
    y = curve.value[np.isfinite(curve.value)]
    if curve.buckets is not None or len(y) < 2 * WINDOW:
        return {"exactly_constant": float(len(y) >= FEW and float(np.ptp(y)) == 0.0)}
    rest = y - running_median(y, WINDOW)
    spread = 1.4826 * median(np.abs(rest))
    if spread <= 0:
        return {"exactly_constant": float(float(np.ptp(y)) == 0.0)}
    found = {"swings_last": max(min(_memory(np.clip(rest, -5 * spread, 5 * spread) / spread), 1.0), -1.0)}
    far = np.flatnonzero(rest > OUTLYING * spread)
    if len(far):
        groups = 1 + int((np.diff(far) > WINDOW // 2).sum())
        found |= {
            "outliers_once": float(groups == 1),
            "outliers_few": float(2 <= groups <= 4),
            "outliers_often": math.log1p(groups) / 3,
            "outlier_size": log_ratio(float(rest.max()) / spread, OUTLYING, 4.0),
            "outliers_wide": math.log10(len(far) / groups),
        }
    return found


def _memory(rest: FloatArray) -> float:
    """Correlation of neighbours: about 0 where only the draw of the batch moves a point."""
    total = float((rest * rest).sum())
    return float((rest[1:] * rest[:-1]).sum()) / total if total > 0 else 0.0


def _near_floor(end: float, classes: int) -> float:
    """1 where the loss rests on what a softmax inside the loss leaves at best: ln(1 + (C - 1) / e)."""
    if classes < 2:
        return 0.0
    floor = math.log(1 + (classes - 1) / math.e)
    chance = math.log(classes)
    return max(0.0, 1 - abs(end - floor) / (0.35 * (chance - floor))) if end < chance else 0.0


def _log_fall(shape: Shape) -> float:
    """A third of the logarithm of first over end, above 0 for a fall: of a loss below zero, too."""
    size = abs(math.log(max(abs(shape.first), _TINY)) - math.log(max(abs(shape.end), _TINY))) / 3
    return math.copysign(min(size, 3.0), shape.first - shape.end) if shape.first != shape.end else 0.0


def _fast(smooth: FloatArray) -> float:
    """The share of the run after which nine tenths of the fall are made; 0 where there is none."""
    drop = float(smooth[0] - smooth.min())
    if drop <= 0:
        return 0.0
    return float(np.argmax(smooth <= smooth[0] - 0.9 * drop)) / len(smooth)


def _late_slope(y: FloatArray) -> float:
    """The fall over the last quarter, as a share of the whole fall."""
    n = len(y)
    if n < 8:
        return 0.0
    quarter = n // 4
    then, now = (
        median(y[-quarter - quarter // 2 - 1 : -quarter // 2 - 1]),
        median(y[-quarter // 2 :]),
    )
    drop = abs(float(y[0]) - now)
    return max(min((then - now) / max(drop, _TINY), 1.0), -1.0)


def _break(y: FloatArray) -> dict[str, float]:
    """The largest upward step between the levels on either side: how large, where, and whether it is made up for."""
    n = len(y)
    if n < 12:
        return {}
    width = max(n // 20, 2)
    places = np.arange(width, n - width)
    level = running_levels(y, width)
    before, after = level[places - width], level[places]
    jump = np.log(np.maximum(np.abs(after), _TINY)) - np.log(np.maximum(np.abs(before), _TINY))
    # A loss below zero that grows in size falls.
    jump = np.where(after > before, jump, 0.0)
    k = int(np.argmax(jump))
    at = int(places[k])
    size = max(min(float(jump[k]), 6.0), 0.0)
    if size < 0.1:
        return {}
    end = median(y[-width:])
    kept = (end - float(before[k])) / max(float(after[k] - before[k]), _TINY)
    noise = float(median(np.abs(np.diff(y[max(at - 5 * width, 0) : at])))) + _TINY
    return {
        "break_size": size / 2,
        "break_place": at / n * min(size, 1.0),
        "break_kept": max(min(kept, 1.5), -1.0) * min(size, 1.0),
        "break_sharp": min(math.log1p(max(float(y[at : at + width].max() - before[k]), 0.0) / noise) / 5, 2.0),
        "break_early": float(at < 0.1 * n) * min(size, 1.0),
        "fallen_before_break": max(min((float(y[0]) - float(before[k])) / max(abs(float(y[0])), _TINY), 1.0), -1.0)
        * min(size, 1.0),
    }


def _spike(loss: Loss) -> dict[str, float]:
    """The highest spike: how high, where, whether it is the only one, and what was left of it."""
    if not loss.spikes:
        return {}
    one = max(loss.spikes, key=lambda spike: spike.height / max(abs(spike.before), _TINY))
    curve, shape = loss.curve, loss.shape
    return {
        "spike_height": excess(abs(one.height), max(abs(one.before), _TINY), 6.0),
        "spike_alone": float(len(loss.spikes) == 1),
        "spike_two": float(len(loss.spikes) == 2),
        "spike_place": _place(one.step, curve.step),
        "spike_left": max(min((shape.end - one.before) / max(abs(one.before), _TINY), 3.0), -1.0),
    }


def _place(step: float, steps: FloatArray) -> float:
    """Where ``step`` lies between the first and the last of ``steps``, from 0 to 1, though they may go back."""
    span = float(steps[-1] - steps[0])
    return max(min((step - float(steps[0])) / span, 1.0), 0.0) if span > 0 else 0.0


def _of_both(loss: Loss, val: Loss) -> dict[str, float]:
    train, held = loss.shape, val.shape
    scale = max(abs(train.end), abs(held.end), _TINY)
    return {
        "val_logged": 1.0,
        "gap_end": max(min((held.end - train.end) / scale, 1.0), -1.0),
        "gap_start": max(min((held.first - train.first) / max(abs(train.first), abs(held.first), _TINY), 1.0), -1.0),
        "val_below_train": excess(train.end, 1.05 * held.end, 3.0) if held.end > 0 else 0.0,
        "val_as_train": max(0.0, 1 - abs(held.end - train.end) / (0.1 * scale)),
        "val_log_fall": _log_fall(held),
        "val_best_early": 1 - float(np.argmin(held.view.mean)) / max(len(held.view.mean) - 1, 1),
        "val_rise": excess(held.end, held.best * 1.02, 3.0) if held.best > 0 else 0.0,
        "train_end_share": shortfall(train.end, 0.1 * max(train.first, _TINY), 4.0) if train.first > 0 else 0.0,
        "val_jitter": log_ratio(held.noise / max(abs(held.end), _TINY), 0.03, 3.0),
    }


def _of_breaking(evidence: Evidence) -> dict[str, float]:
    """When the loss became NaN or infinite, and what it did just before."""
    broken = [one for one in evidence.broken or () if one.role == "train_loss" and one.points.count]
    if not broken:
        return {}
    one = broken[0]
    curve = evidence.run.curve("train_loss")
    assert curve is not None
    finite = curve.value[np.isfinite(curve.value)]
    before = finite[-6:-1] if len(finite) > 6 else finite
    risen = 0.0
    if len(before) and len(finite) > 1:
        ahead = float(median(finite[: max(len(finite) // 2, 1)]))
        risen = excess(float(np.abs(finite[-3:]).max()), 1.5 * max(abs(ahead), _TINY), 10.0)
    return {
        "broke": 1.0,
        "broke_for_good": float(one.lasting),
        "broke_place": _place(one.since, curve.step) if one.lasting else 1.0,
        "broke_at_once": float(one.at_start),
        "risen_before_it_broke": risen,
        "broke_out_of_the_blue": float(risen < 0.05 and not one.at_start),
    }


def _of_accuracy(evidence: Evidence) -> dict[str, float]:
    accuracy, classes = evidence.accuracy, evidence.classes
    if accuracy is None:
        return {}
    full = 100.0 if float(accuracy.view.high.max()) > 1.5 else 1.0
    # A series by that name may hold anything.
    end = max(min(accuracy.end / full, 1.0), 0.0)
    found = {
        "accuracy_logged": 1.0,
        "accuracy_end": end,
        "accuracy_gain": max(min((accuracy.end - accuracy.first) / full, 1.0), -1.0),
    }
    if classes is not None and evidence.loss is not None:
        level = math.log(classes)
        # Right answers at a high price: the loss does not know how sure the model is.
        found["right_but_dear"] = max(end - 0.5, 0.0) * excess(evidence.loss.shape.end, 0.3 * level, 2.0)
        found["accuracy_below_chance"] = max(0.0, 1 - end * classes)
    train, val = evidence.run.curve("train_accuracy"), evidence.run.curve("val_accuracy")
    if train is not None and val is not None and len(train.value) and len(val.value):
        gap = (float(train.value[-1]) - float(val.value[-1])) / full
        found["accuracy_gap"] = 0.0 if math.isnan(gap) else max(min(gap, 1.0), -1.0)
    return found


def _of_gradient(evidence: Evidence) -> dict[str, float]:
    norm = evidence.grad_norm
    if norm is None:
        return {}
    curve = evidence.run.curve("grad_norm")
    assert curve is not None
    finite = np.isfinite(curve.value)
    values = curve.value[finite]
    step = curve.step[finite]
    growth = 0.0
    if len(values) >= 8:
        keep = (values > 0) & (step > step[0])
        # Of points at one step there is no slope.
        if keep.sum() >= 8 and np.ptp(step[keep]) > 0:
            growth = float(np.polyfit(np.log(step[keep] - step[0]), np.log(values[keep]), 1)[0])
    return {
        "norm_logged": 1.0,
        "norm_small": shortfall(norm.early, 0.1, 8.0),
        "norm_large": excess(norm.early, 10.0, 8.0),
        "norm_growth": log_ratio(norm.end, norm.early, 6.0),
        "norm_slope": max(min(growth, 2.0), -2.0),
        "norm_peak": excess(norm.peak, 10 * max(norm.typical, _TINY), 8.0),
        "norm_broken": 1 - float(finite.mean()),
        "norm_zero": norm.zeros,
        "norm_climbs": 2 * max(float((np.diff(values) > 0).mean()) - 0.55, 0.0) if len(values) >= 20 else 0.0,
        "norm_remembers": _memory(np.diff(np.log(np.maximum(values, _TINY)))) if len(values) >= 20 else 0.0,
    }
