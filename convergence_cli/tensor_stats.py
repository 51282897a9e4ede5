"""What is known of the tensors of a run: statistics as columns, one row a tensor, step, mode and worker.

Rules never see an array of the run: a dump of gigabytes becomes some hundred numbers a step here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

KINDS = ("weight", "gradient", "update", "activation", "input", "label", "output")
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
UNKNOWN = float("nan")
# How frameworks that put the output axis of a weight last (Keras, Flax) name such weights.
OUTPUT_LAST = ("kernel", "recurrent_kernel", "depthwise_kernel")
_NO_QUANTILES = (UNKNOWN,) * len(QUANTILES)


@dataclass(frozen=True, slots=True)
class TensorRow:
    """The statistics of one tensor at one step. A number that the dump does not tell is NaN.

    ``name`` is normalised: a parameter, its gradient and its update have one name (``fc1.weight``), and
    ``layer`` is that without the parameter's own name (``fc1``). ``order`` is its place in the dump.
    ``mode`` is ``train``, ``eval``, ``predict`` or empty; ``worker`` is empty where there is only one.
    ``function`` is the activation function where the dump's names or the config tell it (``relu``,
    ``tanh_input``, ``linear``, ...), else empty. ``time`` is when it was written, in seconds since 1970.

    ``mean``, ``std`` (population), ``min``, ``max``, ``abs_mean``, ``l2`` and ``quantiles`` (at ``QUANTILES``)
    are over the finite values; ``count`` counts all values, ``nan``, ``inf`` (either sign), ``negative_inf``
    and ``zero`` those of them.

    Of the units (output features or channels; of a weight and its gradient the first axis, of a kernel the last):
    ``units`` how many, ``samples`` how many values each has; shares from 0 to 1 of them: ``dead`` (exactly zero in
    at least 99 % of the samples; of a gradient: its row is zero), ``saturated`` (beyond the limits of tanh or
    sigmoid in at least 99 % of the samples), ``constant`` (the same value in every sample), ``twin`` (the same
    weights as another unit). ``sums_to_one`` is the share of samples whose units are not negative and add up to 1.
    ``saturated_values`` is the share of single values beyond the limits. Of an input's features:
    ``feature_offset`` is the median of their ``|mean| / std``, ``feature_spread`` their largest ``std`` over the
    smallest above 0, ``constant_features`` the share of those without any variance.

    ``unit_variance``, of a weight of two and more dimensions, is ``sum((w - mean over units)^2) / sum(w^2)``: of the
    first 256 units along the first axis and along the last, of each the first 4096 values, the smaller of the two.
    It is 0 where the units are copies, 1e-4 for copies with 1 % of noise, ``1 - 1 / units`` for independent ones of
    mean 0; NaN below 4 units along both axes, and where a value is not finite or all are 0.

    ``change`` is the L2 norm of the difference to the same tensor ``change_steps`` steps before, ``changed`` the
    share of its values that differ, ``close`` 1 where all differ by no more than 1e-8 + 1e-5 times the value
    (0 where one is NaN). ``change`` is NaN where no value is finite in both.
    """

    step: float
    kind: str
    name: str
    layer: str = ""
    order: int = 0
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    worker: str = ""
    mode: str = ""
    function: str = ""
    file: str = ""
    time: float = UNKNOWN
    count: float = UNKNOWN
    nan: float = UNKNOWN
    inf: float = UNKNOWN
    negative_inf: float = UNKNOWN
    zero: float = UNKNOWN
    mean: float = UNKNOWN
    std: float = UNKNOWN
    min: float = UNKNOWN
    max: float = UNKNOWN
    abs_mean: float = UNKNOWN
    l2: float = UNKNOWN
    quantiles: tuple[float, ...] = _NO_QUANTILES
    units: float = UNKNOWN
    samples: float = UNKNOWN
    dead: float = UNKNOWN
    saturated: float = UNKNOWN
    saturated_values: float = UNKNOWN
    constant: float = UNKNOWN
    twin: float = UNKNOWN
    unit_variance: float = UNKNOWN
    sums_to_one: float = UNKNOWN
    feature_offset: float = UNKNOWN
    feature_spread: float = UNKNOWN
    constant_features: float = UNKNOWN
    change: float = UNKNOWN
    change_steps: float = UNKNOWN
    changed: float = UNKNOWN
    close: float = UNKNOWN


TEXTS = ("kind", "name", "layer", "dtype", "worker", "mode", "function", "file")
_APART = {*TEXTS, "shape", "quantiles"}
NUMBERS = tuple(item.name for item in fields(TensorRow) if item.name not in _APART)


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How often each class occurs among the labels of one step. ``values`` ascend; one count each.

    ``sequence``: the labels are tokens of sequences or pixels, not one a sample.
    """

    step: float
    name: str
    values: tuple[float, ...]
    counts: tuple[int, ...]
    sequence: bool = False
    mode: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Labels against predicted classes at one step: ``matrix[i, j]`` samples of class i were taken for class j."""

    step: float
    name: str
    matrix: npt.NDArray[np.int64]
    sequence: bool = False
    mode: str = ""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens of one integer input of shape (batch, length).

    ``padding`` is the token that fills the ends (or beginnings) of rows, and ``padding_share`` the share of
    positions in such a run of at least two; ``shares`` are those of the ten most frequent tokens.
    """

    step: float
    name: str
    positions: int
    vocabulary: int
    padding: int | None
    padding_share: float
    shares: Mapping[int, float]
    mode: str = ""


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """A boosted model at one step: the largest depth of its trees, and the importance of each feature."""

    step: float
    depth: float
    importance: Mapping[str, float]
    importance_type: str = "weight"


@dataclass(frozen=True, slots=True, eq=False)
class TensorStats:
    """The rows as columns: ``texts`` and ``numbers`` (float64) hold arrays of shape (n,) by field name.

    Rows ascend by step, then by their order in the dump. ``quantiles`` is (n, 7), ``shape`` has n entries.
    ``trusted_order``: the dump keeps the order of the layers (an alphabetical one does not).
    ``notes`` say what could not be read.
    """

    texts: Mapping[str, npt.NDArray[np.object_]]
    numbers: Mapping[str, FloatArray]
    quantiles: FloatArray
    shape: tuple[tuple[int, ...] | None, ...]
    labels: tuple[LabelCounts, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    tokens: tuple[TokenCounts, ...] = ()
    trees: tuple[TreeFacts, ...] = ()
    trusted_order: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.shape)

    def text(self, name: str) -> npt.NDArray[np.object_]:
        """The column ``name`` of ``TEXTS``."""
        return self.texts[name]

    def number(self, name: str) -> FloatArray:
        """The column ``name`` of ``NUMBERS``."""
        return self.numbers[name]

    @property
    def steps(self) -> FloatArray:
        """The dumped steps, ascending, each once."""
        return np.unique(self.numbers["step"])

    def rows(self) -> Iterator[TensorRow]:
        """The rows again, one by one."""
        for index in range(len(self)):
            values: dict[str, Any] = {name: column[index] for name, column in self.texts.items()}
            values |= {name: float(column[index]) for name, column in self.numbers.items()}
            values["order"] = int(values["order"])
            yield TensorRow(**values, shape=self.shape[index], quantiles=tuple(self.quantiles[index].tolist()))

    def noting(self, *notes: str) -> TensorStats:
        """The same statistics with further notes."""
        return replace(self, notes=self.notes + notes)


@dataclass(slots=True)
class Collection:
    """Rows on their way to columns, and what was counted beside them."""

    rows: list[TensorRow] = field(default_factory=list)
    labels: list[LabelCounts] = field(default_factory=list)
    confusions: list[Confusion] = field(default_factory=list)
    tokens: list[TokenCounts] = field(default_factory=list)
    trees: list[TreeFacts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trusted_order: bool = True

    def stats(self) -> TensorStats:
        """Everything collected so far."""
        built = stats_of(self.rows)
        return replace(
            built,
            labels=tuple(sorted(self.labels, key=lambda one: one.step)),
            confusions=tuple(sorted(self.confusions, key=lambda one: one.step)),
            tokens=tuple(sorted(self.tokens, key=lambda one: one.step)),
            trees=tuple(sorted(self.trees, key=lambda one: one.step)),
            trusted_order=self.trusted_order,
            notes=tuple(dict.fromkeys(self.notes)),
        )


def stats_of(rows: Iterable[TensorRow]) -> TensorStats:
    """``rows`` as columns, by step and then in their order in the dump."""
    ordered: Sequence[TensorRow] = sorted(rows, key=lambda row: (row.step, row.order))
    texts = {name: np.array([getattr(row, name) for row in ordered], dtype=object) for name in TEXTS}
    numbers = {name: np.array([getattr(row, name) for row in ordered], dtype=np.float64) for name in NUMBERS}
    quantiles = np.array([row.quantiles for row in ordered], dtype=np.float64).reshape(len(ordered), len(QUANTILES))
    return TensorStats(texts, numbers, quantiles, tuple(row.shape for row in ordered))
