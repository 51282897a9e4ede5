"""Activations of hidden layers over the dumps: what kind they are, their scale, and saturated units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median
from convergence_cli.features.tensors.forms import forms_of, numbers_of
from convergence_cli.features.tensors.persistence import (
    NAN,
    beginning,
    early_level,
    late_growth,
    late_level,
    lowest_at_end,
)
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# Below this many values a unit, the share of idle units is chance: a unit active in 1 of 10 samples is off in
# a batch of 16 with probability 0.19.
MIN_SAMPLES = 16
# The first dump is of the first steps if it comes within 10 steps, or 5 % of all.
FIRST_STEPS, FIRST_SHARE = 10, 0.05
# Fewer dumps show no growth that goes on.
SCALE_DUMPS = 4
# An early root mean square below this is of a layer that is hardly on yet: it counts as this much.
LEAST_EARLY = 0.3
NEEDED = "needs activations in a tensor dump"
HIDDEN_NEEDED = "needs activations of hidden layers in a tensor dump: what is dumped may be the output"

# What the network gives out, by its name, where no block comes before.
_HEAD = re.compile(
    r"([^\d]*[._])?(\w*head|logits?|outputs?|out|classifier|fc|dense|linear|scores?|pred\w*|prob\w*)([._]?\d+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """One layer's activation.

    ``form`` is ``relu``, ``tanh``, ``sigmoid``, ``probabilities``, ``scores`` (of attention), or empty for any other.
    ``final``: it is, or may be, what the network gives out. ``samples`` is how many values a unit has. Lasting
    shares are those that the last third of the dumps does not fall below. ``early`` and ``late`` are levels of the
    root mean square, ``growth`` their ratio, where early counts as at least ``LEAST_EARLY``; ``late_growth`` is that
    of the last dump to the start of the last third.
    """

    series: Series
    form: str
    final: bool
    samples: float
    rms: FloatArray
    saturated: float
    saturated_values: float
    early: float
    late: float
    late_growth: float

    @property
    def growth(self) -> float:
        return self.late / max(self.early, LEAST_EARLY) if self.early >= 0 else NAN

    @property
    def dumps(self) -> int:
        return len(self.series.step)

    def since(self, column: str, threshold: float) -> float:
        """From which step on ``column`` lies above ``threshold``."""
        return beginning(self.series.step, self.series.number(column) > threshold)

    def start(self, column: str) -> float:
        """``column`` at the first dump."""
        return float(self.series.number(column)[0])

    def end(self, column: str) -> float:
        """``column`` at the last dump."""
        return float(self.series.number(column)[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """Every activation in the order of the dump."""

    layers: tuple[Activation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class BoundedActivations:
    """The hidden layers whose function is a sigmoid or tanh; ``from_start``: from the first steps on."""

    layers: tuple[Activation, ...]
    from_start: bool


@dataclass(frozen=True, slots=True, eq=False)
class ActivationScales:
    """The hidden layers with dumps enough to tell growth; of neighbours of one number that with the most growth."""

    layers: tuple[Activation, ...]


def activations_of(stats: TensorStats, evidence: Evidence) -> Activations | Missing:
    """Every dumped activation, in the order of the dump."""
    found = series_of(stats, "activation")
    if not found:
        return Missing(NEEDED)
    outputs = series_of(stats, "output")
    widths = _output_widths(stats, evidence, outputs)
    ends = {len(found) - 1} if stats.trusted_order else _ends_by_name(found)
    layers = []
    for place, (series, form) in enumerate(zip(found, forms_of(found), strict=True)):
        units = series.number("units")[-1]
        final = place in ends and (not outputs or units in widths or units == 1)
        layers.append(_activation(series, form, final))
    return Activations(tuple(layers))


def bounded_activations_of(stats: TensorStats, evidence: Evidence) -> BoundedActivations | Missing:
    """Hidden sigmoid and tanh layers whose saturation is known."""
    activations = evidence.activations
    if not isinstance(activations, Activations):
        return Missing(NEEDED)
    hidden = [one for one in activations.layers if not one.final]
    if not hidden:
        return Missing(HIDDEN_NEEDED)
    bounded = [one for one in hidden if one.form in ("tanh", "sigmoid")]
    if not bounded:
        return Missing("needs a hidden sigmoid or tanh in a tensor dump: no dumped activation is known to be one")
    return BoundedActivations(tuple(bounded), starts_early(stats, first_step_of(activations)))


def activation_scales_of(stats: TensorStats, evidence: Evidence) -> ActivationScales | Missing:
    """Hidden activations at four dumps and more."""
    activations = evidence.activations
    if not isinstance(activations, Activations):
        return Missing(NEEDED)
    hidden = [one for one in activations.layers if not one.final and one.form != "scores"]
    if not hidden:
        return Missing(HIDDEN_NEEDED)
    long = [one for one in hidden if one.dumps >= SCALE_DUMPS]
    if not long:
        return Missing(f"needs activations at {SCALE_DUMPS} steps; there are {max(one.dumps for one in hidden)}")
    return ActivationScales(tuple(_one_a_block(long)))


def first_step_of(activations: Activations) -> float:
    """The first step with activations: weights may have been dumped before any forward pass."""
    return min(float(one.series.step[0]) for one in activations.layers)


def starts_early(stats: TensorStats, first: float) -> bool:
    """Whether the dump of step ``first`` is of the first steps."""
    return first <= max(FIRST_STEPS, FIRST_SHARE * float(stats.steps[-1]))


def rms_of(series: Series) -> FloatArray:
    """(t,): the root mean square of the finite values."""
    with np.errstate(all="ignore"):
        finite = series.number("count") - np.nan_to_num(series.number("nan")) - np.nan_to_num(series.number("inf"))
        by_norm = series.number("l2") / np.sqrt(np.where(finite > 0, finite, np.nan))
        by_moments = np.hypot(series.number("mean"), series.number("std"))
    values: FloatArray = np.where(np.isfinite(by_moments), by_moments, by_norm)
    return values


def _activation(series: Series, form: str, final: bool) -> Activation:
    rms = rms_of(series)
    samples = series.number("samples")
    known = samples[np.isfinite(samples)]
    return Activation(
        series=series,
        form=form,
        final=final or form == "probabilities",
        samples=median(known) if len(known) else NAN,
        rms=rms,
        saturated=lowest_at_end(series.number("saturated")),
        saturated_values=lowest_at_end(series.number("saturated_values")),
        early=early_level(rms),
        late=late_level(rms),
        late_growth=late_growth(rms),
    )


def _ends_by_name(found: tuple[Series, ...]) -> set[int]:
    """Where the order is not known: the heads by name; of them, or else of all, those of the highest number."""
    heads = [place for place, one in enumerate(found) if _HEAD.fullmatch(one.name)]
    numbers = {place: numbers_of(found[place].name) for place in heads or range(len(found))}
    # A bare ``fc`` comes after all that is numbered.
    bare = {place for place in heads if not numbers[place]}
    highest = max(numbers.values(), default=())
    return bare or {place for place, number in numbers.items() if number == highest}


def _one_a_block(layers: list[Activation]) -> list[Activation]:
    """Of layers that follow one another and have one number (``conv3``, ``relu3``) the one that grew most."""
    kept: list[Activation] = []
    for one in layers:
        numbers = numbers_of(one.series.name)
        if not (kept and numbers and numbers == numbers_of(kept[-1].series.name)):
            kept.append(one)
        elif not kept[-1].growth >= one.growth:
            kept[-1] = one
    return kept


def _output_widths(stats: TensorStats, evidence: Evidence, outputs: tuple[Series, ...]) -> set[float]:
    widths = {float(one.number("units")[-1]) for one in outputs}
    widths |= {float(len(one.matrix)) for one in stats.confusions}
    widths |= {float(len(one.values)) for one in stats.labels if not one.sequence}
    classes = evidence.run.config.get("num_classes")
    if isinstance(classes, int):
        widths.add(float(classes))
    return widths
