"""One line on each run: all that tables, totals and exit codes need of a report, and little memory."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convergence_cli.model import FAILING, SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from convergence_cli.model import Cause, RunReport

SPARK = 24
# A cause from here on is named.
LIKELY_FROM = 0.15
_LABEL_RANK = {"diverging": 0, "stuck": 1, "overfitting": 2, "undetermined": 3, "converging": 4}
# A run fails by verdict, or by an error that a rule found; a verdict that is not sure enough comes after both.
_FAILS, _ERRS, _MAY_FAIL, _WARNS, _FINE = range(5)


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a table shows of one run.

    ``found`` is the number of its findings by severity. ``best`` is the best loss, ``best_step`` its step and
    ``best_role`` its role, ``spark`` the loss in at most 24 parts (None where it is not finite). ``cause`` is the
    likeliest one, ``change`` the first that its remedies make, as (key, old, new). ``tensors`` are rows shown, and all.
    """

    name: str
    path: str
    label: str
    confidence: float
    state: str
    fails: bool
    found: Mapping[str, int] = field(default_factory=dict)
    best: float | None = None
    best_step: float | None = None
    best_role: str | None = None
    spark: tuple[float | None, ...] = ()
    cause: str | None = None
    change: tuple[str, Any, Any] | None = None
    counted_in: str = "step"
    tensors: tuple[int, int] | None = None

    @property
    def trouble(self) -> tuple[int, int, float]:
        """Sorts the worst first."""
        rank = _FINE
        if self.fails:
            rank = _FAILS
        elif self.found.get("error"):
            rank = _ERRS
        elif self.label in FAILING:
            rank = _MAY_FAIL
        elif self.found.get("warning"):
            rank = _WARNS
        sure = self.confidence if self.label in FAILING else -self.confidence
        return rank, _LABEL_RANK[self.label], -sure


class RowedReports(Sequence["RunReport"]):
    """Reports on runs that are told of by ``rows`` without being there themselves."""

    rows: Sequence[RunRow]

    @abstractmethod
    def each_data(self) -> Iterator[dict[str, Any]]:
        """Each report as plain data, as ``codec.run_data`` gives it."""
        ...


def rows_of(runs: Sequence[RunReport]) -> Sequence[RunRow]:
    """One line on each of ``runs``, in their order."""
    return runs.rows if isinstance(runs, RowedReports) else tuple(map(row_of, runs))


def row_of(run: RunReport) -> RunRow:
    """The line on ``run``."""
    best = run.summary.get("best") or {}
    causes = likely_causes(run)
    change = next(((key, rem.from_.get(key), new) for rem in run.remedies for key, new in rem.change.items()), None)
    return RunRow(
        name=run.name,
        path=run.path,
        label=run.verdict.label,
        confidence=run.verdict.confidence,
        state=run.verdict.state,
        fails=run.verdict.fails,
        found=_counted(run),
        best=best.get("value"),
        best_step=best.get("step"),
        best_role=best.get("role"),
        spark=_spark(run.summary),
        cause=causes[0].name if causes else None,
        change=change,
        counted_in=str(run.summary.get("x") or "step"),
        tensors=None if run.tensors is None else (len(run.tensors.rows), run.tensors.total),
    )


def likely_causes(run: RunReport) -> tuple[Cause, ...]:
    """The causes that are worth naming; none of a run with which nothing seems to be wrong."""
    sick = run.verdict.label in FAILING or bool(run.remedies)
    return tuple(cause for cause in run.causes if cause.probability >= LIKELY_FROM) if sick else ()


def _counted(run: RunReport) -> Mapping[str, int]:
    found = [finding.severity for finding in run.findings]
    return {name: found.count(name) for name in SEVERITIES if name in found}


def worst_first(rows: Iterable[RunRow]) -> list[int]:
    """The positions of ``rows``, those in trouble first, equal ones as they came."""
    return [number for number, _ in sorted(enumerate(rows), key=lambda item: item[1].trouble)]


def _spark(summary: Mapping[str, Any]) -> tuple[float | None, ...]:
    curves = summary.get("curves") or {}
    curve = next((curves[role] for role in ("train_loss", "val_loss", "reward") if role in curves), None)
    return () if curve is None else tuple(thinned([finite(mean) for mean in curve.get("mean", ())], SPARK))


def thinned(means: Sequence[float | None], most: int) -> list[float | None]:
    """``means`` in at most ``most`` parts: the highest of each, so that no spike is lost; None where any is None."""
    if not means or most <= 0:
        return []
    count = min(most, len(means))
    parts = (means[part * len(means) // count : (part + 1) * len(means) // count] for part in range(count))
    return [None if None in part else max(mean for mean in part if mean is not None) for part in parts]


def finite(value: Any) -> float | None:
    """``value`` as a float where it is a finite number; else None."""
    try:
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
    except OverflowError:
        # A whole number, of a report that somebody wrote, beyond any float.
        return None
