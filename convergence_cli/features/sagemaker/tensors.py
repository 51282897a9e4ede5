"""Gradients, activations, weights and their changes, one reading a tensor, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.sagemaker.reading import Reading, highest, lowest, reading
from convergence_cli.features.tensors.forms import forms_of
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.model import Missing
from convergence_cli.tensor_stats import KINDS

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray

# WeightUpdateRatio: added to the norm of the weights.
EPSILON = 1e-9
# UnchangedTensor: the dumps in a row that must agree, and how closely.
NUM_STEPS = 3
RTOL = 1e-5
ATOL = 1e-8
_COMPARED = ("mean", "std", "min", "max", "abs_mean", "l2")

Readings = tuple[Reading, ...]
_value = attrgetter("value")


@dataclass(frozen=True, slots=True)
class UpdateRatios:
    """Of each weight the largest and the smallest norm of its change from dump to dump, over its norm before."""

    largest: Readings
    smallest: Readings


def gradients_of(evidence: Evidence) -> Readings | Missing | None:
    """The mean of the absolute values of each gradient, where it is smallest."""
    found = _each(_series(evidence, "gradient"), lambda one: lowest(one, one.number("abs_mean")))
    return _or_missing(found, evidence, "needs gradients with the mean of their absolute values in a tensor dump")


def nonfinite_of(evidence: Evidence) -> Readings | Missing | None:
    """How many values of each tensor are NaN or infinite at the first dump that has any; 0 where none has."""

    def first(one: Series) -> Reading | None:
        counts = one.number("nan") + one.number("inf")
        bad = np.flatnonzero(counts > 0)
        return reading(one, counts, int(bad[0])) if len(bad) else highest(one, counts)

    found = _each(_series(evidence, *KINDS), first)
    if found:
        found = tuple(sorted(found, key=lambda one: (one.value == 0, one.step, -one.value)))
    return _or_missing(found, evidence, "needs tensors with their counts of NaN and infinite values")


def relu_of(evidence: Evidence) -> Readings | Missing | None:
    """The share of dead units of each ReLU, in percent, where it is largest."""
    return _share(evidence, "dead", ("relu",), "needs outputs of ReLU layers in a tensor dump")


def saturation_of(evidence: Evidence) -> Readings | Missing | None:
    """The share of saturated units of each tanh and sigmoid, in percent, where it is largest."""
    return _share(evidence, "saturated", ("tanh", "sigmoid"), "needs tanh or sigmoid layers in a tensor dump")


def updates_of(evidence: Evidence) -> UpdateRatios | Missing | None:
    """The norm of the change since the dump before, over the norm of the weights then plus ``EPSILON``."""
    weights = [one for one in _series(evidence, "weight") if "bias" not in one.leaf and one.leaf != "beta"]
    largest = _each(weights, lambda one: highest(one, _ratios(one)))
    smallest = _each(weights, lambda one: lowest(one, _ratios(one)))
    if evidence.run.tensors is not None and not largest:
        return Missing("needs weights at two steps in a tensor dump")
    return UpdateRatios(largest[::-1], smallest) if largest else None


def variance_of(evidence: Evidence) -> Missing:
    """SageMaker Debugger has no default for either bound."""
    return Missing("max_threshold and min_threshold have no default in SageMaker Debugger: without them it cannot fire")


def zeros_of(evidence: Evidence) -> Readings | Missing | None:
    """The share of zeros in each tensor, in percent, where it is largest."""

    def share(one: Series) -> Reading | None:
        count = one.number("count")
        return highest(one, 100 * one.number("zero") / np.where(count > 0, count, np.nan))

    found = _each(_series(evidence, *KINDS), share)[::-1]
    return _or_missing(found, evidence, "needs tensors with their counts of zeros")


def unchanged_of(evidence: Evidence) -> Readings | Missing | None:
    """How many dumps in a row each tensor is the same, with the step at which ``NUM_STEPS`` of them are reached."""
    found = _each((one for one in _series(evidence, *KINDS) if len(one.step) >= NUM_STEPS), _same_in_a_row)[::-1]
    return _or_missing(found, evidence, f"needs a tensor at {NUM_STEPS} steps")


def _series(evidence: Evidence, *kinds: str) -> tuple[Series, ...]:
    stats = evidence.run.tensors
    return () if stats is None else tuple(one for kind in kinds for one in series_of(stats, kind))


def _each(
    series: Iterator[Series] | tuple[Series, ...] | list[Series], read: Callable[[Series], Reading | None]
) -> Readings:
    """What ``read`` makes of each, ascending by value."""
    return tuple(sorted((found for one in series if (found := read(one)) is not None), key=_value))


def _or_missing(found: Readings, evidence: Evidence, reason: str) -> Readings | Missing | None:
    return found or (None if evidence.run.tensors is None else Missing(reason))


def _share(evidence: Evidence, column: str, functions: tuple[str, ...], reason: str) -> Readings | Missing | None:
    activations = _series(evidence, "activation")
    # Names such as those of ``nn.Sequential`` tell no function; the values do.
    forms = forms_of(activations)
    layers = [
        one
        for one, form in zip(activations, forms, strict=True)
        if one.function.startswith(functions) or form in functions
    ]
    found = _each(layers, lambda one: highest(one, 100 * one.number(column)))[::-1]
    return _or_missing(found, evidence, reason)


def _ratios(weight: Series) -> FloatArray:
    """(t,): NaN at the first dump, and where no step lies between a dump and that before."""
    before = np.concatenate([[np.nan], weight.number("l2")[:-1]])
    ratios: FloatArray = np.where(
        weight.number("change_steps") == 0, np.nan, weight.number("change") / (before + EPSILON)
    )
    return ratios


def _same_in_a_row(one: Series) -> Reading | None:
    longest, length, reached = 1, 1, 0
    for index, same in enumerate(_same(one), 1):
        length = length + 1 if same else 1
        if length > longest:
            longest = length
            reached = index if length <= NUM_STEPS else reached
    return Reading(one.title, one.layer, float(one.step[reached]), float(longest))


def _same(one: Series) -> list[bool]:
    """(t - 1,): whether each dump is that before, by its values where these were compared, else by its statistics."""
    close = one.number("close")[1:]
    columns = np.stack([one.number(name) for name in _COMPARED])
    before, after = columns[:, :-1], columns[:, 1:]
    known = np.isfinite(before) & np.isfinite(after)
    equal = np.abs(after - before) <= ATOL + RTOL * np.abs(before)
    alike = (equal | ~known).all(axis=0) & (known.sum(axis=0) >= 3) & ~(one.number("nan")[1:] > 0)
    same: list[bool] = np.where(np.isnan(close), alike, close == 1).tolist()
    return same
