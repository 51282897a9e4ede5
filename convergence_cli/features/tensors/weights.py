"""Weights over the dumps: how much they grow, and which never move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.tensors.fans import gain_of
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.model import Missing

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import TensorStats

_EXACT = ("mean", "std", "min", "max", "l2", "zero")


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """The norm of one weight: at the first and last dump, and how much it grew in the last third.

    ``gain`` is its root mean square at the end times the square root of its fan-in, about 1 where signals keep
    their size; NaN where the shape is not known.
    """

    series: Series
    first: float
    end: float
    late_rise: float
    gain: float


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A weight that is the same at every dump.

    ``gradient`` is the largest gradient norm that it was dumped with, NaN where none of it is dumped; ``share`` is
    its root mean square beside the largest of any weight: a tiny part is lost in the digits of the weights.
    ``passed``: a matrix before it in the dump has a gradient that is not zero.
    """

    series: Series
    gradient: float
    share: float
    passed: bool
    since: float
    until: float


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """``comparisons``: how many pairs of dumps, with a step between them, the judgement of ``still`` rests on.

    ``gradients_dumped``: whether any gradient is, so that the absence of one tells something. ``last`` is the
    name of the last matrix in the dump.
    """

    series: tuple[Series, ...]
    growth: tuple[Growth, ...]
    still: tuple[Still, ...]
    comparisons: int
    gradients_dumped: bool
    last: str


def weights_of(stats: TensorStats, evidence: Evidence) -> Weights | Missing:
    """Growth and standstill of every weight, in the order of the dump."""
    found = series_of(stats, "weight")
    if not found:
        return Missing("needs weights in a tensor dump")
    gradients = {one.name: one for one in series_of(stats, "gradient")}
    compared = [one for one in found if apart(one).any()]
    reached = [one.name for one in found if one.is_matrix and _largest(gradients.get(one.name)) > 0][:1]
    top = max((_rms(gradients.get(one.name)) for one in found if one.is_matrix), default=0.0)
    order = {one.name: place for place, one in enumerate(found)}
    still = [
        Still(
            series=one,
            gradient=_largest(gradients.get(one.name)),
            share=_rms(gradients.get(one.name)) / top if top > 0 else float("nan"),
            passed=bool(reached) and order[one.name] > order[reached[0]],
            since=float(one.step[0]),
            until=float(one.step[-1]),
        )
        for one in compared
        if is_still(one)
    ]
    return Weights(
        series=found,
        growth=tuple(one for series in found if (one := _growth(series)) is not None),
        still=tuple(still),
        comparisons=max(int(np.count_nonzero(apart(one))) for one in found),
        gradients_dumped=bool(gradients),
        last=next((one.name for one in reversed(found) if one.is_matrix), ""),
    )


def is_still(series: Series) -> bool:
    """Whether the tensor is the same at every dump; False below two dumps with a step between them."""
    between = apart(series)
    return bool(between.any() and unchanged(series)[between].all())


def apart(series: Series) -> npt.NDArray[np.bool_]:
    """(t - 1,): whether a training step lies between a dump and that before.

    None does between the weights before training and those of the first step, where they are dumped before it.
    """
    found: npt.NDArray[np.bool_] = series.number("change_steps")[1:] != 0
    return found


def unchanged(series: Series) -> npt.NDArray[np.bool_]:
    """(t - 1,): whether the tensor equals that of the dump before.

    A tensor that is not finite has no values left to compare. By its values where they were compared, else by
    its statistics: two tensors that agree in all digits of mean, spread, extremes and norm are taken for
    equal.
    """
    changed = series.number("changed")[1:]
    columns = np.stack([series.number(name) for name in _EXACT])
    known = np.isfinite(columns).any(axis=1)
    equal = (columns[known, 1:] == columns[known, :-1]) | (np.isnan(columns[known, 1:]) & np.isnan(columns[known, :-1]))
    by_statistics = equal.all(axis=0) if known.sum() >= 3 else np.zeros(len(changed), bool)
    broken = np.nan_to_num(series.number("nan"))[1:] + np.nan_to_num(series.number("inf"))[1:] > 0
    same: npt.NDArray[np.bool_] = np.where(np.isnan(changed), by_statistics, changed == 0) & ~broken
    return same


def _largest(gradient: Series | None) -> float:
    """The largest norm of a gradient, NaN where it is not dumped."""
    if gradient is None:
        return float("nan")
    norm = gradient.number("l2")
    norm = norm[np.isfinite(norm)]
    return float(norm.max()) if len(norm) else float("nan")


def _rms(gradient: Series | None) -> float:
    """The largest root mean square of a gradient, 0 where it is not dumped."""
    largest = _largest(gradient)
    if gradient is None or not np.isfinite(largest):
        return 0.0
    return largest / float(np.sqrt(np.maximum(np.nanmax(gradient.number("count")), 1)))


def _growth(series: Series) -> Growth | None:
    if not series.is_matrix or series.is_embedding or len(series.step) < 4:
        return None
    norm = series.number("l2")
    norm = norm[np.isfinite(norm)]
    if len(norm) < 4 or norm[0] <= 0:
        return None
    third = max(len(norm) // 3, 1)
    return Growth(
        series=series,
        first=float(norm[0]),
        end=float(norm[-1]),
        late_rise=float(norm[-1] / max(norm[-1 - third], 1e-300)),
        gain=gain_of(series, -1),
    )
