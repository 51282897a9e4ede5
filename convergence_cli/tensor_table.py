"""The rows of the table of tensors: what ``TensorStats`` knows, a line a tensor and step, and which lines to show."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from convergence_cli.model import TensorLine, TensorTable
from convergence_cli.tensor_stats import KINDS

if TYPE_CHECKING:
    from convergence_cli.model import Finding
    from convergence_cli.tensor_stats import TensorRow, TensorStats

COLUMNS = tuple(item.name for item in fields(TensorLine))
# The kinds of tensor that a family of rules speaks of; other families speak of any.
_FAMILY_KINDS = {
    "GR": ("gradient",),
    "AC": ("activation",),
    "WT": ("weight", "update"),
    "IN": ("weight",),
    "DA": ("input", "label", "output"),
}
# Longer ones name no layer, and Python refuses to read those of thousands.
_DIGITS = re.compile(r"([0-9]{1,18})")
_COPIED = ("step", "kind", "name", "layer", "worker", "mode", "dtype", "shape")


@dataclass(frozen=True, slots=True)
class View:
    """Which lines to show, and in which order.

    ``layers`` are globs for the layer, the name, or kind and name (``gradient/fc1.*``); ``kinds`` as in
    ``tensor_stats.KINDS``; no pattern and no kind mean all. ``steps`` is ``first`` or ``last`` (of each tensor),
    ``all``, or a closed interval. ``sort`` is one of ``COLUMNS`` (unknown values last), else layer by layer.
    """

    layers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    steps: str | tuple[float, float] = "last"
    sort: str | None = None
    descending: bool = False
    limit: int | None = None


def table_of(stats: TensorStats, findings: Sequence[Finding] = ()) -> TensorTable:
    """Every row of ``stats``, layer by layer, tensor by tensor, step by step."""
    rows = list(stats.rows())
    weights = {_place(row): row.l2 for row in rows if row.kind == "weight"}
    lines = [_line(row, weights) for row in rows]
    flags = _flags(lines, findings)
    lines = [replace(line, flags=flags[_title(line)]) if _title(line) in flags else line for line in lines]
    layers = dict.fromkeys(line.layer for line in lines)
    names = dict.fromkeys(line.name for line in lines)
    if not stats.trusted_order:
        layers, names = (dict.fromkeys(sorted(found, key=_natural)) for found in (layers, names))
    layer_rank, name_rank, kind_rank = (
        {word: rank for rank, word in enumerate(found)} for found in (layers, names, KINDS)
    )
    lines.sort(
        key=lambda line: (
            layer_rank[line.layer],
            name_rank[line.name],
            kind_rank.get(line.kind, len(KINDS)),
            line.mode,
            line.worker,
            line.step,
        )
    )
    return TensorTable(tuple(lines), len(lines))


def viewed(table: TensorTable, view: View) -> TensorTable:
    """The rows of ``table`` that ``view`` asks for; the total stays that of the dump."""
    rows = [line for line in table.rows if _wanted(line, view)]
    if isinstance(view.steps, tuple):
        first, last = view.steps
        rows = [line for line in rows if first <= line.step <= last]
    elif view.steps != "all":
        rows = _outermost(rows, latest=view.steps == "last")
    if view.sort is not None:
        rows = _sorted(rows, view.sort, view.descending)
    return TensorTable(tuple(rows[: view.limit]), table.total)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which ``h.2`` comes before ``h.10``."""
    parts = _DIGITS.split(name)
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)]


def _line(row: TensorRow, weights: dict[tuple[Any, ...], float]) -> TensorLine:
    return TensorLine(
        **{name: getattr(row, name) for name in _COPIED},
        count=_known(row.count),
        mean=_known(row.mean),
        std=_known(row.std),
        norm=_known(row.l2),
        min=_known(row.min),
        max=_known(row.max),
        zero=_known(_ratio(row.zero, row.count)),
        nan=_known(row.nan),
        inf=_known(row.inf),
        dead=_known(row.dead),
        saturated=_known(row.saturated),
        update_ratio=_known(_update_ratio(row, weights)),
    )


def _update_ratio(row: TensorRow, weights: dict[tuple[Any, ...], float]) -> float:
    if row.kind == "weight":
        return _ratio(row.change, row.l2 * row.change_steps)
    return _ratio(row.l2, weights.get(_place(row), math.nan)) if row.kind == "update" else math.nan


def _place(row: TensorRow) -> tuple[Any, ...]:
    """What a weight and its update of one step have in common."""
    return row.step, row.name, row.worker, row.mode


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _title(line: TensorLine) -> tuple[str, str]:
    return line.kind, line.name


def _tensor(line: TensorLine) -> tuple[str, ...]:
    return line.kind, line.name, line.mode, line.worker


def _flags(lines: Sequence[TensorLine], findings: Sequence[Finding]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The codes of ``findings`` by kind and name of the tensors they speak of."""
    tensors = {_title(line): line.layer for line in lines}
    codes: dict[tuple[str, str], dict[str, None]] = {}
    for finding in findings:
        series, layer = finding.where.series, finding.where.layer
        named = [title for title in tensors if series is not None and series in (title[1], "/".join(title))]
        if not named and layer is not None:
            named = [title for title, own in tensors.items() if layer in (own, title[1], "/".join(title))]
        kinds = _FAMILY_KINDS.get(finding.rule[:2], ())
        for title in [title for title in named if title[0] in kinds] or named:
            codes.setdefault(title, {})[finding.rule] = None
    return {title: tuple(found) for title, found in codes.items()}


def _wanted(line: TensorLine, view: View) -> bool:
    if view.kinds and line.kind not in view.kinds:
        return False
    names = (line.layer, line.name, f"{line.kind}/{line.name}")
    return not view.layers or any(
        name == pattern or fnmatchcase(name, pattern) for pattern in view.layers for name in names
    )


def _outermost(rows: Sequence[TensorLine], *, latest: bool) -> list[TensorLine]:
    """One line a tensor: that of its first or its last step. Of a step dumped twice the later one counts."""
    kept: dict[tuple[str, ...], TensorLine] = {}
    for line in rows:
        held = kept.get(_tensor(line))
        if held is None or line.step == held.step or (line.step > held.step) == latest:
            kept[_tensor(line)] = line
    return list(kept.values())


def _sorted(rows: Sequence[TensorLine], column: str, descending: bool) -> list[TensorLine]:
    key = _KEYS.get(column, lambda value: value)
    known = [line for line in rows if getattr(line, column) is not None]
    unknown = [line for line in rows if getattr(line, column) is None]
    return [*sorted(known, key=lambda line: key(getattr(line, column)), reverse=descending), *unknown]


_KEYS: dict[str, Callable[[Any], Any]] = {
    "shape": lambda shape: (math.prod(shape), shape),
    "flags": lambda flags: (len(flags), flags),
}
