"""What can be said of a tensor of any kind: not finite, growing without bound, all zero, constant, unchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import median
from convergence_cli.features.tensors.series import Series, series_of
from convergence_cli.features.tensors.weights import apart, is_still, unchanged
from convergence_cli.tensor_stats import KINDS

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.tensor_stats import FloatArray, TensorStats

# Where a value that is not finite shows first, of the dumps of one step: on the way forward, then back.
_ORDER = ("input", "label", "activation", "output", "gradient", "update", "weight")
_LARGEST = {"float16": 65504.0, "bfloat16": 3.39e38, "float32": 3.4e38, "float64": 1.8e308}
MIN_SAMPLES = 8
MIN_UNCHANGED = 3


@dataclass(frozen=True, slots=True, eq=False)
class NonFiniteTensor:
    """A tensor with NaN or infinite values: how many at its first such dump, since when, and whether to the end.

    ``masked``: it has no NaN and only negative infinities, as the scores of masked positions have.
    """

    series: Series
    nan: float
    inf: float
    count: float
    first_step: float
    dumps: int
    lasting: bool
    masked: bool


@dataclass(frozen=True, slots=True, eq=False)
class Growing:
    """The largest magnitude of a tensor: its early level, its end, whether it rose at each of the last dumps."""

    series: Series
    early: float
    end: float
    rising: bool
    limit: float


@dataclass(frozen=True, slots=True, eq=False)
class Lasting:
    """A tensor of which something holds at the last ``dumps`` dumps, since ``since``; ``of`` dumps in all.

    ``gradient``: of a weight, the largest gradient norm in these dumps, NaN where no gradient of it is dumped.
    """

    series: Series
    dumps: int
    of: int
    since: float
    share: float
    gradient: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """Facts of all tensors. ``nonfinite`` begins with the one where it began."""

    series: tuple[Series, ...]
    nonfinite: tuple[NonFiniteTensor, ...]
    growing: tuple[Growing, ...]
    zero: tuple[Lasting, ...]
    constant: tuple[Lasting, ...]
    unchanged: tuple[Lasting, ...]


def tensors_of(stats: TensorStats, evidence: Evidence) -> Tensors:
    """The facts of every tensor of the dump."""
    series = tuple(one for kind in KINDS for one in series_of(stats, kind))
    still = {one.name for one in series if one.kind == "weight" and is_still(one)}
    begun = sorted(
        (found for item in series if (found := _nonfinite(item)) is not None),
        key=lambda one: (one.first_step, _ORDER.index(one.series.kind)),
    )
    return Tensors(
        series=series,
        nonfinite=tuple(begun),
        growing=tuple(grown for item in series if (grown := _growing(item)) is not None),
        zero=tuple(fact for item in series if (fact := _zero(item, still)) is not None),
        constant=tuple(fact for item in series if (fact := _constant(item)) is not None),
        unchanged=tuple(fact for item in series if (fact := _unchanged(item, series)) is not None),
    )


def _nonfinite(series: Series) -> NonFiniteTensor | None:
    nan, inf = np.nan_to_num(series.number("nan")), np.nan_to_num(series.number("inf"))
    bad = np.flatnonzero(nan + inf > 0)
    if not len(bad):
        return None
    negative = np.nan_to_num(series.number("negative_inf"))
    return NonFiniteTensor(
        series=series,
        nan=float(nan[bad[0]]),
        inf=float(inf[bad[0]]),
        count=float(series.number("count")[bad[0]]),
        first_step=float(series.step[bad[0]]),
        dumps=len(bad),
        lasting=bool(bad[-1] == len(nan) - 1),
        masked=not nan.any() and bool((negative == inf).all()),
    )


def _magnitude(series: Series) -> FloatArray:
    with np.errstate(all="ignore"):
        largest: FloatArray = np.fmax(np.abs(series.number("min")), np.abs(series.number("max")))
    return largest


def _growing(series: Series) -> Growing | None:
    size = _magnitude(series)
    known = size[np.isfinite(size)]
    if len(known) < 4 or series.kind in {"label", "input"}:
        return None
    early = median(known[: max(len(known) // 3, 1)])
    if early <= 0:
        return None
    dtype = series.stats.text("dtype")[series.rows[-1]]
    return Growing(
        series=series,
        early=early,
        end=float(known[-1]),
        rising=bool((np.diff(known[-4:]) > 0).all()),
        limit=_LARGEST.get(dtype, _LARGEST["float32"]),
    )


def _zero(series: Series, still: set[str]) -> Lasting | None:
    if series.kind == "label" or series.stats.text("dtype")[series.rows[-1]].startswith(("int", "uint", "bool")):
        return None
    # A bias may start, and stay, at zero; a frozen layer has no gradient.
    if not series.is_matrix and series.kind in {"weight", "gradient", "update"}:
        return None
    if series.kind in {"gradient", "update"} and series.name in still:
        return None
    count = series.number("count")
    return _lasting(series, (count > 0) & (series.number("zero") == count), 1.0)


def _constant(series: Series) -> Lasting | None:
    if series.kind not in {"activation", "output"}:
        return None
    enough = series.number("samples") >= MIN_SAMPLES
    same = series.number("constant")
    spread = np.fmax(np.abs(series.number("max")), np.abs(series.number("min"))) > 0
    return _lasting(series, enough & (same >= 0.999) & spread, float(np.nan_to_num(same[-1])))


def _lasting(series: Series, holds: np.ndarray[tuple[int], np.dtype[np.bool_]], share: float) -> Lasting | None:
    """How long ``holds`` (t,) has been true to the end; None where it is not so at the last dump."""
    fails = np.flatnonzero(~holds)
    since = int(fails[-1]) + 1 if len(fails) else 0
    if since >= len(holds):
        return None
    return Lasting(series, len(holds) - since, len(holds), float(series.step[since]), share)


def _unchanged(series: Series, others: tuple[Series, ...]) -> Lasting | None:
    """A weight that stays the same, or an activation, output or gradient that does while the inputs differ."""
    if len(series.step) < 3 or series.kind in {"label", "input"}:
        return None
    if series.kind == "weight" and not series.is_matrix:
        return None
    same = unchanged(series) & apart(series)
    if series.kind != "weight":
        spread = series.number("std")[1:] > 0
        inputs = [unchanged(one) for one in others if one.kind == "input" and len(one.step) == len(series.step)]
        if not inputs:
            return None
        same = same & spread & ~np.logical_and.reduce(inputs)
    found = _lasting(series, np.concatenate([same[:1], same]), 1.0)
    if found is None or found.dumps < MIN_UNCHANGED:
        return None
    gradient = next((one for one in others if one.kind == "gradient" and one.name == series.name), None)
    if series.kind != "weight" or gradient is None:
        return found
    norm = gradient.number("l2")[gradient.step >= found.since]
    return replace(found, gradient=float(np.nanmax(norm)) if np.isfinite(norm).any() else float("nan"))
