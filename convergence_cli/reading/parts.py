"""Parts of one run that was stopped and resumed into a new file: told by steps, names and level, and joined."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.buckets import concatenate, reduce_points
from convergence_cli.printable import counted

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from convergence_cli.model import Buckets, Curve, FloatArray, Run

# A run of its own begins at its first logged step; a resumed one later than so many of its own steps between points.
_LATE = 3
# Between the end of a part and the beginning of the next one, in steps between points.
_WIDEST_GAP = 3
# The level of the loss where a part goes on, against its whole range so far.
_NEAREST_LEVEL = 0.35
# Settings that a resumed run keeps.
_KEPT_SETTINGS = frozenset({"learning_rate", "batch_size", "optimizer", "weight_decay", "momentum", "dropout"})
_JUDGED = ("train_loss", "val_loss", "reward", "adversarial_loss")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a run begins and ends: what tells whether another goes on from there.

    ``folder`` is that in which its parts may lie beside it; ``series`` and ``settings`` are equal in parts of one run;
    ``step`` and ``level`` are a thumbnail of its loss, ``apart`` the usual number of steps between points.
    """

    folder: str
    series: Hashable
    settings: Hashable
    first: float
    last: float
    apart: float
    step: tuple[float, ...]
    level: tuple[float, ...]

    @property
    def late(self) -> bool:
        """Whether it begins where no run begins."""
        return self.first > _LATE * self.apart and self.first > 1


def span_of(run: Run, above: str = "") -> Span | None:
    """Where ``run`` begins and ends, ``above`` the folder in which its parts may lie beside it.

    None where it has no loss of two points, or comes from a file of several runs.
    """
    curve = next((found for role in _JUDGED if (found := run.curve(role)) is not None), None)
    if curve is None or "#" in run.name or len(curve.value) < 2:
        return None
    finite = np.isfinite(curve.value)
    if np.count_nonzero(finite) < 2:
        return None
    step, value = curve.step[finite], curve.value[finite]
    few = np.unique(np.linspace(0, len(step) - 1, 40).astype(int))
    first = float(curve.step[0] if curve.buckets is None else curve.buckets.first_step[0])
    apart = max(float(curve.step[-1] - first) / max(curve.points - 1, 1), 0.0)
    return Span(
        folder=above,
        series=(run.format, tuple(sorted(c.name for c in run.curves if c.role))),
        settings=tuple(sorted((key, str(item)) for key, item in run.config.items() if key in _KEPT_SETTINGS)),
        first=first,
        last=float(np.max(curve.step)),
        apart=apart,
        step=tuple(step[few].tolist()),
        level=tuple(value[few].tolist()),
    )


def chains(spans: Sequence[Span | None]) -> list[tuple[int, ...]]:
    """Which of ``spans`` follow one another, as positions in order; those that stand alone are left out.

    A part has one that goes on from it, and goes on from one: where several could be meant, none is.
    """
    families: dict[Hashable, list[int]] = defaultdict(list)
    for number, span in enumerate(spans):
        if span is not None:
            families[span.folder, span.series, span.settings].append(number)
    before: dict[int, int] = {}
    after: dict[int, list[int]] = defaultdict(list)
    for family in families.values():
        for number in family:
            span = spans[number]
            if span is None or not span.late:
                continue
            found = [one for one in family if one != number and _goes_on(spans[one], span)]
            # Of parts that all end there, the one that itself begins last is the part before.
            if found:
                latest = max(found, key=lambda one: _first(spans[one]))
                if sum(_first(spans[one]) == _first(spans[latest]) for one in found) == 1:
                    before[number] = latest
                    after[latest].append(number)
    starts = [number for number in after if number not in before]
    return [chain for number in starts if len(chain := _followed(number, after)) > 1]


def _followed(number: int, after: Mapping[int, list[int]]) -> tuple[int, ...]:
    chain = [number]
    while len(following := after.get(chain[-1], [])) == 1:
        chain.append(following[0])
    return tuple(chain)


def _first(span: Span | None) -> float:
    return span.first if span is not None else 0.0


def _goes_on(part: Span | None, following: Span) -> bool:
    if part is None or part.first >= following.first or part.last >= following.last:
        return False
    if part.last < following.first - _WIDEST_GAP * max(part.apart, following.apart):
        return False
    known = float(np.interp(following.first, part.step, part.level))
    size = float(np.ptp(part.level))
    return abs(following.level[0] - known) <= max(_NEAREST_LEVEL * size, 1e-12)


def joined(runs: Sequence[Run]) -> Run:
    """``runs``, parts of one in order, as one; where a part goes back before the end of the last, its step does so."""
    first = runs[0]
    names = list(dict.fromkeys(curve.name for run in runs for curve in run.curves))
    curves = tuple(_joined_curve([c for run in runs for c in run.curves if c.name == name]) for name in names)
    config: dict[str, Any] = {}
    for run in runs:
        config.update(run.config)
    notes = list(dict.fromkeys(note for run in runs for note in run.notes))
    dumped = [run.tensors for run in runs if run.tensors is not None]
    told = (
        f"{counted(len(runs), 'part')} of one run are joined: it was resumed in {', '.join(r.name for r in runs[1:])}"
    )
    return replace(first, curves=curves, config=config, notes=(*notes, told), tensors=dumped[-1] if dumped else None)


def with_parts_joined(runs: Sequence[Run], above: Sequence[str] = ()) -> list[Run]:
    """``runs`` with those that are parts of one joined, at the place of the first.

    ``above`` are the folders in which parts lie beside each; without it all may be parts of one.
    """
    folders = above or [""] * len(runs)
    found = {chain[0]: chain for chain in chains(list(map(span_of, runs, folders)))}
    inner = {number for chain in found.values() for number in chain[1:]}
    return [
        joined([runs[one] for one in found[number]]) if number in found else run
        for number, run in enumerate(runs)
        if number not in inner
    ]


def _joined_curve(curves: Sequence[Curve]) -> Curve:
    first = curves[0]
    if len(curves) == 1:
        return first
    if any(curve.buckets is not None for curve in curves):
        whole = concatenate([_buckets(curve) for curve in curves])
        return replace(
            first, step=whole.last_step, value=whole.mean, restarts=_restarts(curves), buckets=whole,
            epoch=None, time=None, line=None,
        )  # fmt: skip
    one_file = len({curve.file for curve in curves}) == 1
    lines = [curve.line for curve in curves]
    return replace(
        first,
        step=np.concatenate([curve.step for curve in curves]),
        value=np.concatenate([curve.value for curve in curves]),
        epoch=_extra([curve.epoch for curve in curves]),
        time=_extra([curve.time for curve in curves]),
        line=np.concatenate([line for line in lines if line is not None]) if one_file and None not in lines else None,
        restarts=_restarts(curves),
    )


def _restarts(curves: Iterable[Curve]) -> tuple[int, ...]:
    found: list[int] = []
    offset, last = 0, -np.inf
    for curve in curves:
        if curve.step[0] < last:
            found.append(offset)
        found.extend(offset + index for index in curve.restarts)
        offset, last = offset + len(curve.step), float(curve.step[-1])
    return tuple(found)


def _extra(columns: Sequence[FloatArray | None]) -> FloatArray | None:
    known = [column for column in columns if column is not None]
    return np.concatenate(known) if len(known) == len(columns) else None


def _buckets(curve: Curve) -> Buckets:
    return curve.buckets if curve.buckets is not None else reduce_points(curve.step, curve.value, 1)
