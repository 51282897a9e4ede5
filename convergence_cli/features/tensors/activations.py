"""Activations of hidden layers over the dumps: what kind they are, their scale, saturated and dead units."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median
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
MIN_CHAIN = 3
NEEDED = "needs activations in a tensor dump"

_PROBABILITIES = re.compile(r"softmax|prob|att\w*[._]weights|(^|[._])mask|gate|router|expert", re.IGNORECASE)
_ATTENTION = re.compile(r"att(n|ention)", re.IGNORECASE)
_SCORES = re.compile(r"logit|score|qk", re.IGNORECASE)
_ROUTED = re.compile(r"expert|moe|router|gate", re.IGNORECASE)
_SMOOTH = ("gelu", "silu", "swish", "elu", "softplus", "tanh", "sigmoid", "mish", "leaky", "softmax", "norm", "linear")


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """One layer's activation.

    ``form`` is ``relu``, ``tanh``, ``sigmoid``, ``probabilities``, ``scores`` (of attention), or empty for any other.
    ``final``: it is, or may be, what the network gives out. ``samples`` is how many values a unit has. Lasting
    shares are those that the last third of the dumps does not fall below. ``early`` and ``late`` are levels of the
    root mean square, ``growth`` their ratio, ``late_growth`` that of the last dump to the start of the last third.
    """

    series: Series
    form: str
    final: bool
    samples: float
    rms: FloatArray
    dead: float
    saturated: float
    saturated_values: float
    early: float
    late: float
    late_growth: float

    @property
    def growth(self) -> float:
        return self.late / self.early if self.early > 0 else NAN

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
class IdleLayer:
    """A layer by its idle units. ``of`` says what shows them: ``activation`` or ``gradient``.

    ``lasting`` is the share that the last third of the dumps does not fall below, ``first`` and ``last`` those at
    the first and last dump; ``samples`` is how many values a unit has, NaN of a gradient.
    """

    series: Series
    of: str
    lasting: float
    first: float
    last: float
    samples: float

    @property
    def dumps(self) -> int:
        return len(self.series.step)

    def since(self, threshold: float) -> float:
        """From which step on the share lies above ``threshold``."""
        return beginning(self.series.step, self.series.number("dead") > threshold)


@dataclass(frozen=True, slots=True, eq=False)
class DeadUnits:
    """The layers whose units can be idle (ReLU and its like)."""

    layers: tuple[IdleLayer, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Activations of one type along the depth at the first dump; ``std`` has shape (n,), above 0.

    ``ratio`` is the largest over the smallest. ``step_up`` is the largest factor by which one layer exceeds the one
    before it, at ``at``.
    """

    series: tuple[Series, ...]
    std: FloatArray
    smallest: int
    largest: int
    ratio: float
    step_up: float
    at: int


@dataclass(frozen=True, slots=True, eq=False)
class FirstActivations:
    """The scale of hidden activations at ``step``, type by type."""

    step: float
    chains: tuple[Chain, ...]


def activations_of(stats: TensorStats, evidence: Evidence) -> Activations | Missing:
    """Every dumped activation, in the order of the dump."""
    found = series_of(stats, "activation")
    if not found:
        return Missing(NEEDED)
    outputs = series_of(stats, "output")
    widths = _output_widths(stats, evidence, outputs)
    layers = []
    for place, series in enumerate(found):
        last = place == len(found) - 1 or not stats.trusted_order
        units = series.number("units")[-1]
        final = last and (not outputs or units in widths or units == 1)
        layers.append(_activation(series, final))
    return Activations(tuple(layers))


def dead_units_of(stats: TensorStats, evidence: Evidence) -> DeadUnits | Missing:
    """Idle units: by the activations where these are dumped, else by rows of the gradients that are zero."""
    activations = evidence.activations
    if isinstance(activations, Activations):
        relus = [one for one in activations.layers if one.form == "relu"]
        judged = [one for one in relus if one.samples >= MIN_SAMPLES]
        if relus and not judged:
            return Missing(f"needs activations of at least {MIN_SAMPLES} samples")
        return DeadUnits(tuple(_idle(one.series, "activation", one.samples) for one in judged))
    gradients = [one for one in series_of(stats, "gradient") if one.is_matrix and not one.is_embedding]
    known = [one for one in gradients if np.isfinite(one.number("dead")).any() and not _ROUTED.search(one.name)]
    if not known:
        return Missing("needs activations, or gradients with their rows, in a tensor dump")
    # The rows of the last layer are classes, not units. A gradient without any row left is no matter of units.
    hidden = known[:-1] if stats.trusted_order else known
    return DeadUnits(tuple(_idle(one, "gradient", NAN) for one in hidden if (one.number("dead") < 1).all()))


def first_activations_of(stats: TensorStats, evidence: Evidence) -> FirstActivations | Missing:
    """The scales of the activations before training has changed them."""
    activations = evidence.activations
    if not isinstance(activations, Activations):
        return Missing(NEEDED)
    steps = stats.steps
    first, last = float(steps[0]), float(steps[-1])
    if first > max(FIRST_STEPS, FIRST_SHARE * last):
        return Missing(f"needs activations of the first steps; the first dump is of step {first:g}")
    groups: dict[str, list[Series]] = {}
    for one in activations.layers:
        if one.final or one.form == "probabilities" or one.series.step[0] != first:
            continue
        groups.setdefault(re.sub(r"\d+", "#", one.series.name), []).append(one.series)
    chains = [chain for series in groups.values() if (chain := _chain(series, stats.trusted_order)) is not None]
    return FirstActivations(first, tuple(chains))


def is_probabilities(series: Series) -> bool:
    """Whether its values are shares that add up to 1, or weights with which others are mixed."""
    sums = series.number("sums_to_one")
    known = sums[np.isfinite(sums)]
    if len(known) and median(known) >= 0.9:
        return True
    return series.function == "softmax" or _PROBABILITIES.search(series.name) is not None


def is_attention_scores(series: Series) -> bool:
    """Whether its name says that it holds the logits of attention, before the softmax."""
    return bool(_ATTENTION.search(series.name) and _SCORES.search(series.name)) and not is_probabilities(series)


def rms_of(series: Series) -> FloatArray:
    """(t,): the root mean square of the finite values."""
    with np.errstate(all="ignore"):
        finite = series.number("count") - np.nan_to_num(series.number("nan")) - np.nan_to_num(series.number("inf"))
        by_norm = series.number("l2") / np.sqrt(np.where(finite > 0, finite, np.nan))
        by_moments = np.hypot(series.number("mean"), series.number("std"))
    values: FloatArray = np.where(np.isfinite(by_moments), by_moments, by_norm)
    return values


def _activation(series: Series, final: bool) -> Activation:
    rms = rms_of(series)
    samples = series.number("samples")
    known = samples[np.isfinite(samples)]
    form = _form(series)
    return Activation(
        series=series,
        form=form,
        final=final or form == "probabilities",
        samples=median(known) if len(known) else NAN,
        rms=rms,
        dead=lowest_at_end(series.number("dead")),
        saturated=lowest_at_end(series.number("saturated")),
        saturated_values=lowest_at_end(series.number("saturated_values")),
        early=early_level(rms),
        late=late_level(rms),
        late_growth=late_growth(rms),
    )


def _form(series: Series) -> str:
    """By the function that the dump names, else by the values at every dump."""
    function = series.function.lower()
    if is_probabilities(series):
        return "probabilities"
    if is_attention_scores(series):
        return "scores"
    if function.startswith("hard"):
        return ""
    named = next((known for known in ("tanh", "sigmoid") if known in function), "")
    if named or function.endswith("_input"):
        return named
    if function.startswith("relu"):
        return "relu"
    by_values = _form_by_values(series)
    # A function of another name that never gives less than 0 is still no saturating one.
    return "" if function and (by_values != "relu" or any(word in function for word in _SMOOTH)) else by_values


def _form_by_values(series: Series) -> str:
    low, high, zero = (series.number(name) for name in ("min", "max", "zero"))
    if not (np.isfinite(low).all() and np.isfinite(high).all()) or _is_two_valued(series):
        return ""
    if (low == 0).all() and (zero > 0).all() and (high > 0).any():
        return "relu"
    if not ((high > 0.9).all() and (high <= 1).all()):
        return ""
    if (low >= -1).all() and (low < -0.9).all():
        return "tanh"
    return "sigmoid" if (low > 0).all() and (low < 0.1).all() else ""


def _is_two_valued(series: Series) -> bool:
    """Masks, spikes and one-hot codes: nothing between the least and the greatest value."""
    inner = series.stats.quantiles[series.rows]
    ends = (inner == series.number("min")[:, None]) | (inner == series.number("max")[:, None])
    return bool(np.isfinite(inner).all() and ends.all())


def _idle(series: Series, of: str, samples: float) -> IdleLayer:
    dead = series.number("dead")
    return IdleLayer(series, of, lowest_at_end(dead), float(dead[0]), float(dead[-1]), samples)


def _output_widths(stats: TensorStats, evidence: Evidence, outputs: tuple[Series, ...]) -> set[float]:
    widths = {float(one.number("units")[-1]) for one in outputs}
    widths |= {float(len(one.matrix)) for one in stats.confusions}
    widths |= {float(len(one.values)) for one in stats.labels if not one.sequence}
    classes = evidence.run.config.get("num_classes")
    if isinstance(classes, int):
        widths.add(float(classes))
    return widths


def _chain(series: list[Series], ordered: bool) -> Chain | None:
    std = np.array([one.number("std")[0] for one in series])
    kept = np.flatnonzero(np.isfinite(std) & (std > 0))
    if len(kept) < MIN_CHAIN:
        return None
    std = std[kept]
    factors = std[1:] / std[:-1] if ordered else np.ones(1)
    smallest, largest = int(np.argmin(std)), int(np.argmax(std))
    at = int(np.argmax(factors))
    return Chain(
        series=tuple(series[index] for index in kept.tolist()),
        std=std,
        smallest=smallest,
        largest=largest,
        ratio=float(std[largest] / std[smallest]),
        step_up=float(factors[at]),
        at=min(at + 1, len(std) - 1),
    )
