"""What dumped tensors say of the cause of a fault: scale-free numbers, 0 where a kind was not dumped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.diagnosis.data_values import class_counts
from convergence_cli.diagnosis.facts.scales import excess, log_ratio, shortfall
from convergence_cli.diagnosis.values import configured
from convergence_cli.features.tensors.series import Series, matrices_of, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import FloatArray
    from convergence_cli.tensor_stats import TensorStats

_TINY = 1e-300
_BOUNDED = ("tanh", "sigmoid")


def dump_facts(evidence: Evidence) -> dict[str, float]:
    """Of weights, gradients, updates, activations, inputs, outputs and labels."""
    stats = evidence.run.tensors
    if stats is None:
        return {}
    found = {"dumped": 1.0}
    with np.errstate(all="ignore"):
        for part in (_weights, _updates, _gradients, _activations, _inputs, _outputs, _labels):
            found |= part(stats, evidence)
    return found


def _first(values: FloatArray) -> float:
    return float(values[0]) if len(values) else math.nan


def _most(values: FloatArray | Sequence[float]) -> float:
    """The largest; 0 where none is known."""
    return max((float(one) for one in values if not math.isnan(one)), default=0.0)


def _middle(values: FloatArray) -> float:
    """The median; 0 where none is known."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _bounded_ratio(value: float, usual: float, most: float) -> float:
    """``value / usual``, at most ``most``; 0 where one is unknown."""
    ratio = value / max(usual, _TINY)
    return 0.0 if math.isnan(ratio) or math.isnan(usual) else min(ratio, most)


def _weights(stats: TensorStats, evidence: Evidence) -> dict[str, float]:
    found = [one for one in matrices_of(series_of(stats, "weight")) if not one.is_embedding]
    if not found:
        return {}
    gains, growth, twins, still, nonfinite = [], [], [], [], 0.0
    for one in found:
        norm = one.number("l2")
        count = _first(one.number("count"))
        fan = math.prod(one.shape[1:]) if one.shape is not None and len(one.shape) > 1 else math.nan
        if one.leaf in ("kernel",) and one.shape is not None:
            fan = math.prod(one.shape[:-1])
        rms = _first(norm) / math.sqrt(max(count, 1))
        if math.isfinite(fan) and not math.isnan(rms):
            gains.append(log_ratio(rms * math.sqrt(fan), 1.0, 6.0) if rms > 0 else -6.0)
        growth.append(log_ratio(float(norm[-1]), max(_first(norm), _TINY), 6.0))
        variance = one.number("unit_variance")
        if np.isfinite(variance[0]) and _first(one.number("units")) >= 4:
            twins.append(float(variance[0]))
        # The weights before training and those of its first dump may be the same ones: no step lies between.
        changed = one.number("changed")[1:][~(one.number("change_steps")[1:] <= 0)]
        if np.isfinite(changed).any():
            still.append(_most(changed) == 0)
        nonfinite = max(nonfinite, float(_most(one.number("nan") + one.number("inf")) > 0))
    biases = [one for one in series_of(stats, "weight") if "bias" in one.leaf]
    below = [float(one.number("mean")[0]) for one in biases]
    facts = {
        "weights_growth": max(growth),
        "weights_shrunk": max(0.0, -float(np.median(growth))),
        "weights_still": float(np.mean(still)) if still else 0.0,
        "weights_all_still": float(bool(still) and all(still)),
        "weights_some_still": float(bool(still) and any(still) and not all(still)),
        "weights_broken": nonfinite,
        "bias_negative": min(max(0.0, -min(below, default=0.0)), 20.0) / 5,
    }
    widths = [one.shape[0] for one in found[:-1] if one.shape is not None]
    facts["depth"] = math.log2(max(len(found), 1)) / 3
    facts["narrow"] = shortfall(min(widths, default=64), 8, 1.0)
    if gains:
        facts |= {
            "gain_large_each": max(min(gains) - 0.2, 0.0),
            "gain_small_each": max(-max(gains) - 0.4, 0.0),
            "gain_little_small": max(-min(gains) - 0.3, 0.0),
            "gain_uneven": max(gains) - min(gains),
            "gain_deep": max(float(np.median(gains)) - 0.2, 0.0) * len(found) / 8,
            "gain_large": max(max(gains) - 0.25, 0.0),
            "gain_small": max(-min(gains) - 0.6, 0.0),
            "gain_median_large": max(float(np.median(gains)) - 0.25, 0.0),
            "gain_median_small": max(-float(np.median(gains)) - 0.6, 0.0),
            "gain_moderate": max(0.0, 1 - abs(max(gains) - 0.35) / 0.2),
        }
    if twins:
        facts |= {
            "units_alike": max(0.0, 1 - min(twins) / 0.3),
            "units_alike_all": max(0.0, 1 - float(np.median(twins)) / 0.3),
            "units_copies": shortfall(max(min(twins), 1e-12), 1e-2, 6.0) / 3,
        }
    return facts


def _updates(stats: TensorStats, evidence: Evidence) -> dict[str, float]:
    updates = evidence.updates
    if updates is None or isinstance(updates, Missing) or not updates.layers:
        return {}
    ratios = [one.per_step for one in updates.layers if one.per_step > 0]
    if not ratios:
        return {}
    peaks = [one.peak for one in updates.layers]
    direct = [one for one in series_of(stats, "update") if one.is_matrix]
    first = [_first(one.number("l2")) for one in direct]
    norms = {one.name: _first(one.number("l2")) for one in series_of(stats, "weight")}
    begun = [a / norms[one.name] for a, one in zip(first, direct, strict=True) if norms.get(one.name, 0) > 0 and a > 0]
    largest = [_most(one.number("l2")) / max(_middle(one.number("l2")), _TINY) for one in direct]
    middle = float(np.median(ratios))
    facts = {
        "updates_known": 1.0,
        "update_large": excess(middle, 1e-2, 6.0),
        "update_small": shortfall(middle, 1e-4, 10.0),
        "update_tiny": shortfall(middle, 1e-6, 10.0),
        "update_usual": max(0.0, 1 - abs(log_ratio(middle, 1e-3, 4.0))),
        "update_peak": excess(max(peaks), 3e-2, 6.0),
        "update_uneven": max(0.0, log_ratio(max(ratios), min(ratios), 6.0) - 1),
    }
    if begun:
        facts |= {
            "update_first_large": excess(float(np.median(begun)), 2e-2, 6.0),
            "update_first_small": shortfall(float(np.median(begun)), 1e-4, 8.0),
        }
    if largest:
        facts["update_leap"] = excess(max(largest), 10.0, 6.0)
    return facts


def _gradients(stats: TensorStats, evidence: Evidence) -> dict[str, float]:
    found = matrices_of(series_of(stats, "gradient"))
    if not found:
        return {}
    total: dict[float, float] = {}
    zero, broken, rms = [], 0.0, []
    for one in found:
        bad = (one.number("nan") + one.number("inf") > 0).tolist()
        for step, norm, is_bad in zip(one.step.tolist(), one.number("l2").tolist(), bad, strict=True):
            # The norm is that of the finite values. One that is missing though no value is bad was not dumped.
            if is_bad or not math.isnan(norm):
                total[step] = total.get(step, 0.0) + (math.inf if is_bad else norm * norm)
        zero.append(one.number("zero")[0] / max(_first(one.number("count")), 1))
        broken = max(broken, float(_most(one.number("nan") + one.number("inf")) > 0))
        rms.append(_first(one.number("l2")) / math.sqrt(max(_first(one.number("count")), 1)))
    steps = sorted(total)
    norms = np.array([math.sqrt(total[step]) for step in steps])
    finite = norms[np.isfinite(norms)]
    facts = {
        "gradients_dumped": 1.0,
        "gradient_broken": broken,
        "gradient_broken_first": float(not np.isfinite(norms[:1]).all()),
        "gradient_zero": _most(zero),
        "gradient_all_zero": float(len(finite) > 0 and float(finite.max()) == 0),
        "gradient_first_large": excess(float(finite[0]), 10.0, 8.0) if len(finite) else 0.0,
        "gradient_first_small": shortfall(float(finite[0]), 0.03, 8.0) if len(finite) else 0.0,
    }
    if len(finite) >= 3:
        later = finite[1:]
        facts |= {
            "gradient_growth": log_ratio(float(np.median(later[-3:])), float(finite[0]), 6.0),
            "gradient_leap": excess(float(finite.max()), 10 * max(float(np.median(finite)), _TINY), 8.0),
            "gradient_trend": _trend(finite),
            "gradient_end_small": shortfall(float(finite[-1]), 1e-4, 8.0),
        }
    positive = [one for one in rms if one > 0 and math.isfinite(one)]
    if len(positive) >= 3:
        facts |= {
            "gradient_fades": excess(positive[-1] / positive[0], 10.0, 10.0),
            "gradient_grows_back": excess(positive[0] / positive[-1], 10.0, 10.0),
        }
    return facts


def _trend(values: FloatArray) -> float:
    """Slope of the logarithm of a series over the logarithm of its place: 1 for one that grows linearly."""
    keep = np.flatnonzero(values > 0)
    keep = keep[keep > 0]
    if len(keep) < 3:
        return 0.0
    slope = float(np.polyfit(np.log(keep + 0.0), np.log(values[keep]), 1)[0])
    return max(-2.0, min(2.0, slope))


def _activations(stats: TensorStats, evidence: Evidence) -> dict[str, float]:
    found = list(series_of(stats, "activation"))
    if not found:
        return {}
    dead, dead_end, flat, flat_end, scale, growth = [], [], [], [], [], []
    for one in found:
        function = one.function.removesuffix("_input")
        if function == "relu":
            dead.append(_first(one.number("dead")))
            dead_end.append(float(one.number("dead")[-1]))
        if function in _BOUNDED:
            values = one.number("saturated_values")
            flat.append(_first(values))
            flat_end.append(float(values[-1]))
        std = one.number("std")
        if std[0] > 0:
            scale.append(log_ratio(_first(std), 1.0, 6.0))
        growth.append(log_ratio(float(std[-1]), max(_first(std), _TINY), 6.0))
    facts = {
        "activations_dumped": 1.0,
        "relu_seen": float(bool(dead)),
        "dead_first": _most(dead),
        "dead_end": _most(dead_end),
        "bounded_seen": float(bool(flat)),
        "sigmoid_seen": float(any(one.function.startswith("sigmoid") for one in found)),
        "sigmoid_layers": math.log1p(sum(one.function.startswith("sigmoid") for one in found)),
        "flat_first": _most(flat),
        "flat_end": _most(flat_end),
        "activation_growth": max(growth),
    }
    if scale:
        facts |= {
            "activation_first_large": max(max(scale) - 0.5, 0.0),
            "activation_first_small": max(-min(scale) - 1.0, 0.0),
            "activation_uneven": max(max(scale) - min(scale) - 0.7, 0.0),
            "activation_fades": max(scale[0] - scale[-1], 0.0),
            "activation_swells": max(scale[-1] - scale[0], 0.0),
        }
    return facts


def _inputs(stats: TensorStats, evidence: Evidence) -> dict[str, float]:
    dtypes = stats.text("dtype")
    # Integers are tokens or pictures, embedded or scaled inside.
    found = [
        one
        for one in series_of(stats, "input")
        if np.isfinite(one.number("std")).any() and not dtypes[one.rows[-1]].startswith(("int", "uint", "bool"))
    ]
    if not found:
        return {}
    one = found[0]
    count = np.maximum(one.number("count"), 1)
    mean, std = _middle(one.number("mean")), _middle(one.number("std"))
    top = np.maximum(np.abs(one.number("min")), np.abs(one.number("max")))
    offset, spread = one.number("feature_offset"), one.number("feature_spread")
    facts = {
        "inputs_dumped": 1.0,
        "input_scale_large": excess(math.hypot(mean, std), 3.0, 5.0),
        "input_scale_small": shortfall(std, 0.2, 5.0),
        "input_offset": excess(abs(mean) / max(std, _TINY), 1.0, 3.0),
        "input_leap": excess(_most(top), 3 * max(_middle(top), _TINY), 5.0),
        "input_zero": _middle(one.number("zero") / count),
        "input_constant": _middle(one.number("constant_features")),
    }
    if np.isfinite(offset).any():
        facts["feature_offset"] = excess(_middle(offset), 1.0, 3.0)
    if np.isfinite(spread).any():
        facts["feature_spread"] = excess(_middle(spread), 10.0, 4.0)
    return facts


def _outputs(stats: TensorStats, evidence: Evidence) -> dict[str, float]:
    found = series_of(stats, "output")
    if not found:
        return {}
    one: Series = found[-1]
    std, mean = one.number("std"), one.number("mean")
    size = np.maximum(np.abs(one.number("min")), np.abs(one.number("max")))
    return {
        "outputs_dumped": 1.0,
        "output_first_large": excess(_first(std), 2.0, 6.0),
        "output_first_small": shortfall(_first(std), 0.02, 6.0),
        "output_end_large": excess(float(size[-1]), 30.0, 6.0),
        "output_end_small": shortfall(float(std[-1]), 0.1, 6.0),
        "output_growth": log_ratio(float(std[-1]), max(_first(std), _TINY), 6.0),
        "output_mean_large": excess(float(np.abs(mean[-1])), 5.0, 5.0),
        "output_one_sided": _bounded_ratio(abs(float(mean[-1])), float(std[-1]), 5.0) / 5,
        "output_constant": _most(one.number("constant")[-1:]),
    }


def _labels(stats: TensorStats, evidence: Evidence) -> dict[str, float]:
    counts = class_counts(evidence)
    total = sum(counts.values())
    found: dict[str, float] = {}
    if total >= 20 and len(counts) >= 1:
        shares = np.array(sorted(count for count in counts.values() if count)) / total
        classes = int(configured(evidence, "num_classes") or len(counts))
        entropy = float(-(shares * np.log(shares)).sum()) / math.log(max(classes, 2))
        found |= {
            "labels_known": 1.0,
            "commonest_share": max(0.0, float(shares[-1]) - 1 / max(classes, 2)),
            "labels_uneven": 1 - min(entropy, 1.0),
        }
    right = sum(int(np.trace(one.matrix)) for one in stats.confusions[-3:])
    seen = sum(int(one.matrix.sum()) for one in stats.confusions[-3:])
    if seen >= 20:
        found |= {"confusion_known": 1.0, "train_right": right / seen}
        first = stats.confusions[0].matrix
        found["train_right_gain"] = right / seen - float(np.trace(first)) / max(float(first.sum()), 1)
        loss = evidence.loss
        if loss is not None:
            classes = max(int(stats.confusions[-1].matrix.shape[0]), 2)
            found["dear_for_right"] = max(right / seen - 0.5, 0) * excess(loss.shape.end, 0.3 * math.log(classes), 2.0)
            found["below_chance"] = max(0.0, 1 - right / seen * classes)
    found["no_classes_told"] = float(not counts and not stats.confusions and bool(series_of(stats, "output")))
    real = series_of(stats, "label")
    if real and not counts:
        std, mean = real[0].number("std"), real[0].number("mean")
        found |= {"targets_known": 1.0, "target_large": excess(math.hypot(_first(std), _first(mean)), 3.0, 5.0)}
    return found
