"""What the failing runs of a sweep have in common and the others do not, and how groups of runs compare.

A setting is told of where a split of it holds for nearly all failing runs and for few others, more often than chance
would have it: Fisher's exact test (Fisher 1922), one-sided, corrected for the number of splits tried (Bonferroni).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convergence_cli.model import FAILING, Group, Trait
from convergence_cli.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from convergence_cli.fleet.columns import Columns
    from convergence_cli.row import RunRow

# Of so few runs nothing is said.
FEWEST = 3
MOST_CHANCE = 0.01
# A split holds for nearly all of them and for less than so many of the others.
_LEAST_SHARE, _MOST_ELSEWHERE = 0.9, 0.5
MOST_TRAITS = 3
# Settings that differ from run to run whatever is tried.
_NAMES_OF_RUNS = frozenset(
    {"seed", "name", "dir", "path", "file", "id", "time", "date", "port", "host", "uuid", "hash", "started", "run"}
)
_SHOWN_VALUES = 8
# Stands for the value of a setting that a run does not tell.
UNSET = "unset"


@dataclass(frozen=True, slots=True)
class _Split:
    key: str
    clause: str
    members: frozenset[int]


def varied(columns: Columns) -> dict[str, Any]:
    """Each setting that differs between the runs, with its values, or the lowest and highest of many numbers.

    Settings with several values come before those that only some of the runs tell.
    """
    found: dict[str, Any] = {}
    told_by_some: set[str] = set()
    seen: list[list[Any]] = []
    for key in columns.differing():
        column = columns.values(key)
        # The usual name of a setting comes first, and with the same values the run's own.
        if column in seen:
            continue
        seen.append(column)
        values = {value for value in column if value is not None}
        numbers = [value for value in values if _is_number(value)]
        if len(values) <= _SHOWN_VALUES:
            found[key] = sorted(
                values, key=lambda value: (not _is_number(value), value if _is_number(value) else str(value))
            )
        elif len(numbers) == len(values):
            found[key] = [min(numbers), max(numbers)]
        else:
            found[key] = [counted(len(values), "value")]
        if None in column:
            found[key].append(UNSET)
        if len(values) < 2:
            told_by_some.add(key)
    return {key: found[key] for key in sorted(found, key=told_by_some.__contains__)}


def traits(rows: Sequence[RunRow], columns: Columns) -> tuple[Trait, ...]:
    """What runs of each failing verdict, and failing runs as a whole, have in common, the surest first."""
    labels = {label: {n for n, row in enumerate(rows) if row.fails and row.label == label} for label in sorted(FAILING)}
    failing = set().union(*labels.values())
    well = {n for n, row in enumerate(rows) if row.label == "converging"}
    kinds = [(label, members) for label, members in labels.items() if members]
    if len(kinds) > 1:
        kinds.append(("failing", failing))
    keys = [key for key in columns.differing() if not _NAMES_OF_RUNS.intersection(re.split(r"[^a-z]+", key.lower()))]
    columns_of = {key: columns.values(key) for key in keys}
    found: list[Trait] = []
    for label, members in kinds:
        others = well if label == "failing" else well | (failing - members)
        if len(members) < FEWEST or len(others) < FEWEST:
            continue
        splits = [split for key, values in columns_of.items() for split in _splits(key, values, members)]
        found.extend(_of_label(label, members, others, splits, len(keys)))
    return tuple(found)


def _of_label(label: str, members: set[int], others: set[int], splits: Sequence[_Split], settings: int) -> list[Trait]:
    told: list[tuple[Trait, frozenset[int]]] = []
    for split in splits:
        holds, elsewhere = len(split.members & members), len(split.members & others)
        if holds < _LEAST_SHARE * len(members) or elsewhere > _MOST_ELSEWHERE * len(others):
            continue
        chance = min(fisher(holds, len(members), elsewhere, len(others)) * 4 * settings, 1.0)
        if chance <= MOST_CHANCE:
            which = f"all {holds}" if holds == len(members) else f"{holds} of {len(members)}"
            besides = "none" if not elsewhere else str(elsewhere)
            statement = f"{which} {label} runs have {split.clause}, {besides} of the {len(others)} others"
            told.append((Trait(label, split.key, statement, holds, len(members), elsewhere, len(others), chance),
                         split.members))  # fmt: skip
    told.sort(key=lambda item: (item[0].elsewhere / item[0].others - item[0].holds / item[0].of, item[0].chance))
    best = {trait.key: (trait, where) for trait, where in reversed(told)}
    kept: list[tuple[Trait, frozenset[int]]] = []
    for trait, where in told:
        # Two names of one setting say the same.
        if best[trait.key][0] is trait and all(where != there for _, there in kept):
            kept.append((trait, where))
    return [trait for trait, _ in kept[:MOST_TRAITS]]


def fisher(holds: int, of: int, elsewhere: int, others: int) -> float:
    """The chance that ``holds`` or more of ``of`` fall on a property that ``holds + elsewhere`` of all runs have."""
    have, total = holds + elsewhere, of + others
    top = min(have, of)
    logs = [_log_choose(have, k) + _log_choose(total - have, of - k) for k in range(holds, top + 1)]
    peak = max(logs)
    return min(math.exp(peak - _log_choose(total, of)) * sum(math.exp(one - peak) for one in logs), 1.0)


def _log_choose(n: int, k: int) -> float:
    if k < 0 or k > n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _splits(key: str, values: Sequence[Any], members: set[int]) -> Iterable[_Split]:
    """Ways to cut ``values`` in two so that ``members`` lie on one side: by a threshold, or by one value."""
    numeric = {n: value for n, value in enumerate(values) if _is_number(value)}
    shown = printable(key, 60)
    if len(numeric) == sum(value is not None for value in values) and len(set(numeric.values())) > 2:
        own = sorted(numeric[n] for n in members if n in numeric)
        spare = len(own) - math.ceil(_LEAST_SHARE * len(members))
        for left_out in sorted({0, max(spare, 0)}) if own else ():
            yield from _thresholds(key, shown, numeric, own[left_out], own[len(own) - 1 - left_out])
        return
    texts = Counter(values[n] for n in members if values[n] is not None)
    for text, count in texts.items():
        if count >= _LEAST_SHARE * len(members):
            holders = frozenset(n for n, value in enumerate(values) if value == text)
            yield _Split(key, f"{shown} {_shown(text)}", holders)


def _thresholds(key: str, shown: str, numeric: Mapping[int, float], low: float, high: float) -> Iterable[_Split]:
    below = [value for value in numeric.values() if value < low]
    above = [value for value in numeric.values() if value > high]
    if below:
        yield _Split(key, f"{shown} above {_shown(max(below))}", frozenset(n for n, v in numeric.items() if v >= low))
    if above:
        yield _Split(key, f"{shown} below {_shown(min(above))}", frozenset(n for n, v in numeric.items() if v <= high))


def groups(rows: Sequence[RunRow], columns: Columns, keys: Sequence[str]) -> tuple[Group, ...]:
    """The runs by their values of ``keys``, most failing ones first."""
    series = Counter(row.best_role for row in rows if row.best is not None).most_common(1)
    judged = series[0][0] if series else None
    members: dict[tuple[Hashable, ...], list[RunRow]] = {}
    for number, row in enumerate(rows):
        members.setdefault(tuple(columns.value(key, number) for key in keys), []).append(row)
    found = []
    for values, own in members.items():
        known = [(row.best, row.name) for row in own if row.best is not None and row.best_role == judged]
        best = min(known, default=None)
        found.append(
            Group(
                settings=dict(zip(keys, values, strict=True)),
                runs=len(own),
                labels=dict(Counter(row.label for row in own)),
                best=None if best is None else best[0],
                best_run=None if best is None else best[1],
                median=_median([value for value, _ in known]) if known else None,
            )
        )
    failing = {id(group): sum(count for label, count in group.labels.items() if label in FAILING) for group in found}
    return tuple(
        sorted(
            found, key=lambda group: (-failing[id(group)] / group.runs, str(sorted(map(str, group.settings.values()))))
        )
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return printable(value, 40)
    return f"{value:.4g}"
