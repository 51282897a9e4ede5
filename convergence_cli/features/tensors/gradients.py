"""Gradients layer by layer: how they fade or grow with depth and with time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median, spearman
from convergence_cli.features.tensors.fans import born_small
from convergence_cli.features.tensors.persistence import tail_length
from convergence_cli.features.tensors.series import Series, matrices_of, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# A dump counts against a layer only while some other layer still learns at it.
MIN_DEPTH = 3


@dataclass(frozen=True, slots=True, eq=False)
class LayerGradient:
    """One layer's gradient over the dumps; arrays have shape (t,).

    ``rms`` is over the values that are not exactly zero, so that rows of an embedding that did not occur, and
    units that are off, do not thin it; NaN where there is none. ``relative`` is the root mean square of all
    values over that of the layer's weights, NaN where these are not dumped. ``early`` and ``end`` are the levels
    of the root mean square in the first third and in the last dumps, ``lasting`` the lower of the last two.
    """

    series: Series
    rms: FloatArray
    zero_share: FloatArray
    nonfinite: FloatArray
    relative: FloatArray
    early: float
    end: float
    lasting: float
    from_nothing: bool

    @property
    def step(self) -> FloatArray:
        return self.series.step

    @property
    def growth(self) -> float:
        """The end level over the early one."""
        return self.end / self.early if self.early > 0 else float("nan")

    @property
    def to_weights(self) -> float:
        """``relative`` in the first third of the dumps: the least, so that one dump does not decide; 0 if unknown."""
        first = self.relative[: max(len(self.relative) // 3, 1)]
        known = first[np.isfinite(first)]
        return float(known.min()) if len(known) else 0.0

    @property
    def first_nonfinite_step(self) -> float | None:
        bad = np.flatnonzero(self.nonfinite > 0)
        return float(self.step[bad[0]]) if len(bad) else None


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """How the gradient changes with depth: the layer where it is smallest, against the largest.

    ``ratio`` is the smaller over the larger level (medians over the dumps); ``share`` is that of the dumps in which
    the ratio is below ``FADED``. ``trend`` is Spearman's rank correlation of level and depth (1: it falls towards
    the input), NaN where the order of the layers is not known. ``faded`` counts the layers below ``FADED``.
    ``late_ratio`` is the ratio in the last third of the ``dumps``.
    ``of`` says whose gradients these are: ``weight`` or ``bias``.
    """

    lowest: LayerGradient
    highest: LayerGradient
    low: float
    high: float
    ratio: float
    trend: float
    depth: int
    faded: int
    share: float
    late_ratio: float
    dumps: int
    of: str


@dataclass(frozen=True, slots=True, eq=False)
class Starved:
    """A layer whose gradient fell with a spike of the loss: its level in the dumps before and after.

    ``after`` is the largest of the later dumps, so that one glimpse of life speaks against it.
    """

    layer: LayerGradient
    spike_step: float
    loss_before: float
    loss_after: float
    before: float
    after: float
    dumps_after: int


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """The gradients of all layers, in the order of the dump; ``profiles`` by depth where there are layers enough.

    ``backward_growth`` is the level of the first of ``depth`` layers over that of the last, ``trend`` the rank
    correlation of level and depth; NaN where the order of the layers is not known. ``largest_early`` is the
    largest early level of any layer.
    """

    layers: tuple[LayerGradient, ...]
    profiles: tuple[Profile, ...]
    backward_growth: float
    trend: float
    depth: int
    starved: tuple[Starved, ...]
    largest_early: float


FADED = 1e-3
# First words of names that tell networks of their own apart, each with its depth.
_NETWORKS = re.compile(
    r"(?i)(policy|actor|critic|value|q\d?|generator|discriminator|gen|disc|netg|netd|target|teacher|student)(_?net)?\d*"
)


def gradients_of(stats: TensorStats, evidence: Evidence) -> Gradients | Missing:
    """The gradients of weights that mix features (matrices); those of biases serve depth profiles only."""
    found = series_of(stats, "gradient")
    if not found:
        return Missing("needs gradients in a tensor dump")
    weights = {one.name: one for one in series_of(stats, "weight")}
    matrices = tuple(_layer(one, weights.get(one.name)) for one in matrices_of(found))
    if not matrices:
        return Missing("needs gradients of weights: only those of biases and scales are dumped")
    deep = [one for one in matrices if not one.series.is_embedding and np.isfinite(_level(one))]
    profiles = _profiles(stats, deep, "weight")
    # Before a normalisation the gradient of a bias is zero but for rounding, however well all layers learn.
    mixing = {one.name for one in matrices_of(found)}
    normalised = any(one.name not in mixing and "bias" not in one.leaf and "beta" not in one.leaf for one in found)
    if not normalised:
        biases = [_layer(one, None) for one in found if not one.is_matrix and "bias" in one.leaf]
        biases = [one for one in biases if np.isfinite(_level(one))]
        profiles += _profiles(stats, biases, "bias")
    return Gradients(
        layers=matrices,
        profiles=tuple(one for one in profiles if one is not None),
        backward_growth=_backward_growth(deep) if stats.trusted_order else float("nan"),
        trend=_trend(deep) if stats.trusted_order else float("nan"),
        depth=len(deep),
        starved=_starved(matrices, evidence),
        largest_early=max((one.early for one in matrices if np.isfinite(one.early)), default=float("nan")),
    )


def _profiles(stats: TensorStats, layers: list[LayerGradient], of: str) -> list[Profile | None]:
    """The profile of each network; where the dump keeps no order, of each family of names that numbers put in order."""
    if stats.trusted_order:
        return [_profile(one, True, of) for one in _networks(layers)]
    families: dict[str, list[LayerGradient]] = {}
    for one in layers:
        families.setdefault(re.sub(r"\d+", "#", one.series.name), []).append(one)
    long = [one for one in families.values() if len(one) >= MIN_DEPTH]
    return [_profile(one, True, of) for one in long] or [_profile(layers, False, of)]


def _networks(layers: list[LayerGradient]) -> list[list[LayerGradient]]:
    """The layers of each network apart, where names tell several (an actor and a critic)."""
    apart: dict[str, list[LayerGradient]] = {}
    for one in layers:
        first = one.series.name.split(".")[0]
        apart.setdefault(first if _NETWORKS.fullmatch(first) else "", []).append(one)
    return list(apart.values())


def _layer(series: Series, weight: Series | None) -> LayerGradient:
    count, zero = series.number("count"), np.nan_to_num(series.number("zero"))
    nonfinite = np.nan_to_num(series.number("nan")) + np.nan_to_num(series.number("inf"))
    finite = np.maximum(count - nonfinite, 0)
    l2 = series.number("l2")
    with np.errstate(all="ignore"):
        rms = np.where(finite > zero, l2 / np.sqrt(np.maximum(finite - zero, 1)), np.nan)
        rms = np.where(rms > 0, rms, np.nan)
        plain = np.where(finite > 0, l2 / np.sqrt(np.maximum(finite, 1)), np.nan)
        relative = plain / _weight_rms(weight, series.step)
        zero_share = np.where(finite > 0, zero / np.maximum(finite, 1), np.nan)
    known = plain[np.isfinite(plain) & (nonfinite == 0)]
    early = median(known[: max(len(known) // 3, 1)]) if len(known) else float("nan")
    last = known[-2:]
    return LayerGradient(
        series=series,
        rms=rms,
        zero_share=zero_share,
        nonfinite=nonfinite,
        relative=relative,
        early=early,
        end=median(last) if len(last) else float("nan"),
        lasting=float(last.min()) if len(last) else float("nan"),
        from_nothing=weight is not None and born_small(weight),
    )


def _weight_rms(weight: Series | None, steps: FloatArray) -> FloatArray:
    """The weights' root mean square at each of ``steps``, NaN where they were not dumped."""
    values = np.full(len(steps), np.nan)
    if weight is not None:
        with np.errstate(all="ignore"):
            rms = weight.number("l2") / np.sqrt(weight.number("count"))
        at = dict(zip(weight.step.tolist(), rms.tolist(), strict=True))
        values = np.array([at.get(step, np.nan) for step in steps.tolist()])
        values[~(values > 0)] = np.nan
    return values


def _level(layer: LayerGradient) -> float:
    known = layer.rms[np.isfinite(layer.rms)]
    return median(known) if len(known) else float("nan")


def _late(layer: LayerGradient) -> float:
    """The level in the last third of the dumps; NaN where there is none."""
    known = layer.rms[-tail_length(len(layer.rms)) :]
    known = known[np.isfinite(known)]
    return median(known) if len(known) else float("nan")


def _profile(layers: list[LayerGradient], ordered: bool, of: str) -> Profile | None:
    if len(layers) < MIN_DEPTH:
        return None
    level = np.array([_level(one) for one in layers])
    lowest = int(np.argmin(level))
    # A layer that fades is followed, on the way to the loss, by one that does not.
    later = np.arange(len(level)) > lowest if ordered else np.ones(len(level), bool)
    if not later.any():
        return None
    highest = int(np.flatnonzero(later)[np.argmax(level[later])])
    below = [
        _at(layers[lowest], step) < FADED * value
        for step, value in zip(layers[highest].step.tolist(), layers[highest].rms.tolist(), strict=True)
        if np.isfinite(value)
    ]
    return Profile(
        lowest=layers[lowest],
        highest=layers[highest],
        low=float(level[lowest]),
        high=float(level[highest]),
        ratio=float(level[lowest] / level[highest]),
        trend=_trend(layers) if ordered else float("nan"),
        depth=len(layers),
        faded=int((level < FADED * level[highest]).sum()),
        share=float(np.mean(below)) if below else 0.0,
        late_ratio=_late(layers[lowest]) / _late(layers[highest]),
        dumps=len(below),
        of=of,
    )


def _trend(layers: list[LayerGradient]) -> float:
    return spearman(np.arange(len(layers), dtype=np.float64), np.array([_level(one) for one in layers]))


def _at(layer: LayerGradient, step: float) -> float:
    index = np.flatnonzero(layer.step == step)
    return float(layer.rms[index[0]]) if len(index) else float("nan")


def _backward_growth(layers: list[LayerGradient]) -> float:
    if len(layers) < MIN_DEPTH:
        return float("nan")
    return _level(layers[0]) / _level(layers[-1])


def _starved(layers: tuple[LayerGradient, ...], evidence: Evidence) -> tuple[Starved, ...]:
    """Layers by how far their gradient fell with the last spike, or the collapse, that has dumps on either side."""
    loss, verdict = evidence.loss, evidence.verdict
    if loss is None:
        return ()
    events = [(spike.step, spike.before, spike.after) for spike in reversed(loss.spikes)]
    if verdict.state == "collapsed-to-chance" and verdict.since_step is not None:
        events.append((verdict.since_step, loss.shape.best, loss.shape.end))
    for step, before, after in events:
        found = [one for layer in layers if (one := _fall(layer, step, before, after)) is not None]
        if found:
            return tuple(sorted(found, key=lambda one: one.after / one.before))
    return ()


def _fall(layer: LayerGradient, spike: float, before: float, after: float) -> Starved | None:
    size = np.nan_to_num(layer.rms) * np.sqrt(1 - np.nan_to_num(layer.zero_share))
    earlier, later = size[layer.step < spike], size[layer.step > spike]
    if not len(earlier) or len(later) < 2 or median(earlier) <= 0:
        return None
    return Starved(layer, spike, before, after, median(earlier), float(later.max()), len(later))
