"""Units that are off for every sample: by what layers give out, or by gradients that are exactly zero."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.tensors.activations import MIN_SAMPLES, Activation, Activations
from convergence_cli.features.tensors.forms import numbers_of, pattern_of
from convergence_cli.features.tensors.persistence import NAN, beginning, lowest_at_end
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# A layer is off when the weights that read it get no gradient, but for this share of them.
READ = 0.1
# In half precision what is smaller than this over a weight's input may round to 0.
UNDERFLOW = 1e-4
_ROUTED = re.compile(r"expert|moe|router|gate", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class IdleLayer:
    """A layer by its idle units. ``of`` says what shows them: ``activation``, ``gradient`` (of its own rows), or
    ``reader`` (the weights of the layer ``reader``, which take its output, get no gradient while the bias does).

    ``share`` is (t,) at ``step``; ``lasting`` is what the last third of the dumps does not fall below. ``samples`` is
    how many values a unit has, ``units`` how many there are, NaN where unknown.
    """

    series: Series
    of: str
    reader: str
    step: FloatArray
    share: FloatArray
    samples: float
    units: float

    @property
    def dumps(self) -> int:
        return len(self.step)

    @property
    def lasting(self) -> float:
        return lowest_at_end(self.share)

    @property
    def first(self) -> float:
        return float(self.share[0])

    @property
    def last(self) -> float:
        return float(self.share[-1])

    def since(self, threshold: float) -> float:
        """From which step on the share lies above ``threshold``."""
        return beginning(self.step, self.share > threshold)


@dataclass(frozen=True, slots=True, eq=False)
class DeadUnits:
    """The layers whose units can be idle (ReLU and its like)."""

    layers: tuple[IdleLayer, ...]


def dead_units_of(stats: TensorStats, evidence: Evidence) -> DeadUnits | Missing:
    """Idle units: by the outputs of ReLU layers where these are dumped, else by gradients that are zero."""
    activations = evidence.activations
    dumped = activations.layers if isinstance(activations, Activations) else ()
    relus = [one for one in dumped if one.form == "relu" and not one.series.is_embedding]
    judged = [_by_output(one) for one in relus if one.samples >= MIN_SAMPLES]
    if judged:
        return DeadUnits(tuple(judged))
    gradients = [one for one in series_of(stats, "gradient") if not one.is_embedding]
    rows = _by_rows(gradients, stats.trusted_order)
    if rows is not None:
        return DeadUnits((*rows, *_by_readers(gradients, stats.trusted_order)))
    if relus:
        return Missing(f"needs activations of at least {MIN_SAMPLES} samples")
    if dumped:
        return Missing("needs the outputs of ReLU layers in a tensor dump: no dumped activation is one")
    return Missing("needs activations, or gradients with their rows, in a tensor dump")


def _by_output(one: Activation) -> IdleLayer:
    units = float(one.series.number("units")[-1])
    return IdleLayer(one.series, "activation", "", one.series.step, one.series.number("dead"), one.samples, units)


def _by_rows(gradients: list[Series], ordered: bool) -> list[IdleLayer] | None:
    """Rows of gradients that are zero; None where no dump tells rows."""
    matrices = [one for one in gradients if one.is_matrix and not _ROUTED.search(one.name)]
    known = [one for one in matrices if np.isfinite(one.number("dead")).any()]
    if not known:
        return None
    # The rows of the last layer are classes, not units. A gradient without any row left is no matter of units.
    hidden = known[:-1] if ordered else known
    return [
        IdleLayer(one, "gradient", "", one.step, one.number("dead"), NAN, float(one.number("units")[-1]))
        for one in hidden
        if (one.number("dead") < 1).all()
    ]


def _by_readers(gradients: list[Series], ordered: bool) -> list[IdleLayer]:
    """Layers whose output is zero: dL/dW = dL/dy x^T is zero with x, dL/db = dL/dy is not."""
    biases = {one.layer: one for one in gradients if one.leaf == "bias" and not one.is_matrix}
    matrices = [one for one in gradients if one.is_matrix]
    found = []
    for place, one in enumerate(matrices):
        bias = biases.get(one.layer)
        # What the first layer reads is data, which may be sparse.
        if bias is None or one.leaf not in ("weight", "kernel") or _ROUTED.search(one.name) or (ordered and not place):
            continue
        step, share = _unread(one, bias)
        least = 1 - READ if ordered else 1.0
        if len(step) and lowest_at_end(share) >= least:
            shown = _before(one, matrices) or (matrices[place - 1] if ordered else one)
            found.append(IdleLayer(shown, "reader", one.layer, step, share, NAN, NAN))
    return found


def _before(reader: Series, matrices: list[Series]) -> Series | None:
    """The layer that ``reader`` takes its input from: without any gradient itself, and as wide as that input.

    Of several the one of the highest number, if they are of one type; else None.
    """
    dead = [
        one
        for one in matrices
        if one is not reader and one.leaf == reader.leaf and bool(one.number("zero")[-1] >= one.number("count")[-1])
    ]
    fitting = [one for one in dead if _fits(one, reader)]
    if len({pattern_of(one.name) for one in fitting}) != 1:
        return None
    return max(fitting, key=lambda one: numbers_of(one.name))


def _fits(one: Series, reader: Series) -> bool:
    """Whether the inputs of ``reader`` are the units of ``one``, each at one position or at several."""
    if one.shape is None or reader.shape is None:
        return False
    last = one.leaf == "kernel"
    width, units = reader.shape[-2 if last else 1], one.shape[-1 if last else 0]
    return units > 0 and width % units == 0


def _unread(weight: Series, bias: Series) -> tuple[FloatArray, FloatArray]:
    """The share of the inputs of ``weight`` that are zero for every sample, at the steps of both.

    Of the weights those are without a gradient that read such an input or belong to an idle unit, of the biases
    only the latter.
    """
    step, of_weight, of_bias = np.intersect1d(weight.step, bias.step, return_indices=True)
    with np.errstate(all="ignore"):
        weights = (weight.number("zero") / weight.number("count"))[of_weight]
        units = (bias.number("zero") / bias.number("count"))[of_bias]
        share = 1 - (1 - weights) / (1 - units)
    size = np.fmax(np.abs(bias.number("min")), np.abs(bias.number("max")))[of_bias]
    half = str(weight.stats.text("dtype")[weight.rows[-1]]).endswith("float16")
    known = np.isfinite(share) & (size > (UNDERFLOW if half else 0))
    return step, np.where(known, share, 0.0)
