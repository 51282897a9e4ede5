"""One tensor over the dumped steps: the columns of ``TensorStats`` cut into time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# Modes in which a network trains; the activations of an evaluation differ by dropout and normalisation.
_TRAINING = ("", "train", "TRAIN", "global", "GLOBAL")


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One tensor: ``step`` and every ``number`` have shape (t,), ascending by step, one entry a dump."""

    kind: str
    name: str
    layer: str
    function: str
    shape: tuple[int, ...] | None
    step: FloatArray
    stats: TensorStats
    rows: npt.NDArray[np.intp]

    def number(self, column: str) -> FloatArray:
        """The column of that name (see ``TensorRow``), NaN where the dump does not tell."""
        return self.stats.number(column)[self.rows]

    def quantile(self, index: int) -> FloatArray:
        """(t,): the quantile at ``QUANTILES[index]``."""
        values: FloatArray = self.stats.quantiles[self.rows, index]
        return values

    @property
    def title(self) -> str:
        """Kind and name, as in the dump layout: ``gradient/fc1.weight``."""
        return f"{self.kind}/{self.name}"

    @property
    def leaf(self) -> str:
        """The last part of the name: ``weight``, ``bias``, ``kernel``, ..."""
        return self.name.rsplit(".", 1)[-1].lower()

    @property
    def is_matrix(self) -> bool:
        """Whether it mixes features: a weight of two dimensions and more, or, of unknown shape, no bias or scale."""
        if self.shape is not None:
            return len(self.shape) >= 2 and min(self.shape) >= 1
        return not any(word in self.leaf for word in ("bias", "beta", "gamma", "scale"))

    @property
    def is_embedding(self) -> bool:
        """A table that is looked up: its rows take part only where their token occurs."""
        lowered = self.name.lower()
        words = (
            "embed",
            "emb_",
            "_emb",
            "emb.",
            "wte",
            "wpe",
            "tok_",
            "token",
            "position",
            "pos_",
            "rel_bias",
            "rel_pos",
        )
        return lowered in {"emb", "pos", "rel"} or any(word in lowered for word in words)


def series_of(stats: TensorStats, kind: str, *, mode: str | None = None) -> tuple[Series, ...]:
    """The tensors of ``kind`` in the order of the dump, of the first worker.

    ``mode`` None: those of training, or of the first mode there is. Where a step was dumped twice (a restart),
    the later dump counts. Statistics buffers of normalisation layers are left out.
    """
    wanted = stats.text("kind") == kind
    if not wanted.any():
        return ()
    wanted &= stats.text("worker") == min(stats.text("worker")[wanted])
    wanted &= stats.text("function") != "buffer"
    modes = stats.text("mode")
    if mode is not None:
        wanted &= modes == mode
    elif (wanted & np.isin(modes, _TRAINING)).any():
        wanted &= np.isin(modes, _TRAINING)
    elif wanted.any():
        wanted &= modes == modes[np.flatnonzero(wanted)[0]]
    names = stats.text("name")
    places: dict[str, list[int]] = {}
    for row in _fullest_first(np.flatnonzero(wanted), stats.number("step")):
        places.setdefault(names[row], []).append(row)
    return tuple(_series(stats, kind, name, rows) for name, rows in places.items())


def _fullest_first(rows: npt.NDArray[np.intp], step: FloatArray) -> list[int]:
    """``rows`` with those of the dump that has most of them first: layers that come later keep their place."""
    if not len(rows):
        return []
    steps, counts = np.unique(step[rows], return_counts=True)
    fullest = step[rows] == steps[np.argmax(counts)]
    return [*rows[fullest].tolist(), *rows[~fullest].tolist()]


def matrices_of(found: tuple[Series, ...]) -> tuple[Series, ...]:
    """Those of ``found`` that mix features: of unknown shape, one with as many values as its layer's bias does not."""
    biases = {one.layer: float(one.number("count")[-1]) for one in found if "bias" in one.leaf or "beta" in one.leaf}
    return tuple(
        one
        for one in found
        if one.is_matrix and (one.shape is not None or float(one.number("count")[-1]) != biases.get(one.layer))
    )


def _series(stats: TensorStats, kind: str, name: str, found: list[int]) -> Series:
    latest = {float(stats.number("step")[row]): row for row in sorted(found)}
    rows = np.array(list(latest.values()), dtype=np.intp)
    last = int(rows[-1])
    return Series(
        kind=kind,
        name=name,
        layer=stats.text("layer")[last] or name,
        function=stats.text("function")[last],
        shape=stats.shape[last],
        step=stats.number("step")[rows],
        stats=stats,
        rows=rows,
    )
