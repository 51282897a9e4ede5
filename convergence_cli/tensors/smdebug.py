"""The tensors of a SageMaker Debugger trial: raw ones are measured, saved reductions become one row a tensor."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.readers._smdebug_index import Opened, Record, open_saved, records
from convergence_cli.readers._smdebug_names import Contents, contents, reduction
from convergence_cli.readers._smdebug_trial import Trial, Troubles, open_trial
from convergence_cli.tensor_stats import TensorRow, TensorStats, stats_of
from convergence_cli.tensors.names import Named, named, without_shared_prefix
from convergence_cli.tensors.raw import numpy_type, opened_at, value_blocks
from convergence_cli.tensors.read import read_dumps
from convergence_cli.tensors.stored import ITEM_BYTES, Block, Dump, StoredTensor, left_out
from convergence_cli.tensors.trees import Trees

# A reduction is one number, and what XGBoost saves of a tree is short.
_SMALL_BYTES = 1 << 20
MAX_REDUCED = 500_000
_IDENTITY = ("worker", "kind", "name")
# What is no tensor of the model: read elsewhere, or not at all.
_APART = frozenset({"loss", "metric", "setting", "importance", "tree", "shap", "optimizer", "summary"})
_KINDS = frozenset({"weight", "gradient", "input", "output", "label"})
_SKIPPED = {"optimizer": "optimizer_variables", "shap": "of SHAP values"}
_GRADIENT_OF = re.compile(r"(:\d+)?Grad$")


@dataclass(slots=True)
class _Reduced:
    """The reductions of one tensor at one step: by name (``abs_mean``), and the ``shape`` told beside them."""

    opened: Opened
    time: float
    order: int
    values: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Surveyed:
    """What the small records tell: reductions, trees, and and the ``names`` of raw tensors."""

    dumps: list[Dump] = field(default_factory=list)
    reduced: dict[tuple[int, str, str], _Reduced] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    trees: Trees = field(default_factory=Trees)


def read_trial(root: Path, config: Mapping[str, Any]) -> TensorStats | None:
    """The tensors of all steps, modes and workers of the trial at ``root``; None where it holds none.

    Raises ``SourceError`` where nothing has been saved.
    """
    trial = open_trial(root)
    known = contents(trial.collections)
    survey = _surveyed(trial, known)
    stats = stats_of(())
    if survey.dumps:
        try:
            stats = read_dumps(survey.dumps, config)
        except SourceError as error:
            stats = stats.noting(error.message)
    rows = _rows(survey, stats, trial, known)
    if rows:
        whole = stats_of([*stats.rows(), *rows])
        stats = replace(stats, texts=whole.texts, numbers=whole.numbers, quantiles=whole.quantiles, shape=whole.shape)
    facts = survey.trees.facts()
    if not len(stats) and not facts:
        return None
    skipped = {what for what in known.known.values() if what in ("optimizer", "shap")}
    notes = [f"tensors of the collection {_SKIPPED[what]} are not read" for what in sorted(skipped)]
    return replace(stats, trees=facts).noting(*notes, *trial.troubles.notes())


def _surveyed(trial: Trial, known: Contents) -> _Surveyed:
    survey = _Surveyed()
    # What is damaged is told by the reader of the series, and when the tensors are read.
    quiet = replace(trial, troubles=Troubles())
    for saved in trial.saved:
        opened = open_saved(trial, saved)
        worker = saved.worker if len(trial.workers) > 1 else ""
        mode, time, large = opened.mode, float("nan"), any(length > _SMALL_BYTES for _, length in opened.places)
        raw = False
        for order, record in enumerate(records(quiet, opened, largest=_SMALL_BYTES)):
            name = record.message.name
            time = record.message.time if math.isnan(time) else time
            mode = record.mode if mode is None else mode
            reduced = reduction(name)
            if reduced is not None:
                _keep(survey, opened, record, order, reduced)
            elif known.of(name) in ("tree", "importance"):
                if saved.worker == trial.workers[0]:
                    survey.trees.add(saved.step, record)
            elif _is_tensor(record, known):
                raw = True
                survey.names.add(name)
        if raw or large:
            tensors = partial(_tensors, trial, opened, known)
            path = str(saved.events or saved.index)
            survey.dumps.append(Dump(float(saved.step), path, tensors, worker, mode or "", time))
    return survey


def _keep(survey: _Surveyed, opened: Opened, record: Record, order: int, reduced: tuple[str, str]) -> None:
    values = record.numbers()
    if values is not None and len(values) == 1:
        key = (opened.saved.step, opened.saved.worker, reduced[1])
        if key not in survey.reduced and len(survey.reduced) >= MAX_REDUCED:
            return
        one = survey.reduced.setdefault(key, _Reduced(opened, record.message.time, order))
        one.values[reduced[0]] = float(values[0])


def _is_tensor(record: Record, known: Contents) -> bool:
    name = record.message.name
    return reduction(name) is None and known.of(name) not in _APART and bool(record.message.dtype)


def _key(name: str, known: Contents) -> str:
    """``name`` in the spelling of our own layout where its collection tells a kind that it does not tell itself."""
    kind = known.of(name)
    if kind == "gradient":
        name = _GRADIENT_OF.sub("", name)
    return f"{kind}/{name}" if kind in _KINDS and named(name).kind != kind else name


def _tensors(trial: Trial, opened: Opened, known: Contents) -> list[StoredTensor]:
    found: dict[str, StoredTensor] = {}
    for record in records(trial, opened):
        if not _is_tensor(record, known):
            continue
        key = _key(record.message.name, known)
        if key in found:
            trial.troubles.add("a tensor is saved twice in one step: the later is read", opened.saved.events, key)
        found[key] = _stored(key, record)
    return list(found.values())


def _stored(key: str, record: Record) -> StoredTensor:
    message = record.message
    if message.dtype not in ITEM_BYTES:
        return left_out(key, "complex numbers are not read")
    dtype = numpy_type(message.dtype).newbyteorder("<")

    def blocks() -> Iterator[Block]:
        opening = partial(opened_at, record.source, record.offset)
        return value_blocks(record.source, opening, dtype, message.count)

    return StoredTensor(key, message.dtype, message.shape, blocks)


def _rows(survey: _Surveyed, stats: TensorStats, trial: Trial, known: Contents) -> list[TensorRow]:
    """One row for each tensor of which reductions alone were saved."""
    if not survey.reduced:
        return []
    keys = {name: _key(name, known) for _, _, name in survey.reduced}
    every = sorted({_key(name, known) for name in survey.names} | set(keys.values()))
    names = dict(zip(every, without_shared_prefix([named(key) for key in every]), strict=True))
    measured = set(zip(stats.number("step").tolist(), *(stats.text(one) for one in _IDENTITY), strict=True))
    rows: list[TensorRow] = []
    for (step, worker, name), one in survey.reduced.items():
        row = _row(one, names[keys[name]], name, worker if len(trial.workers) > 1 else "")
        if not row.kind:
            trial.troubles.add("a tensor was left out, since its name does not tell what it is", name)
        elif (float(step), row.worker, row.kind, row.name) not in measured:
            rows.append(row)
    return rows


def _row(one: _Reduced, what: Named, name: str, worker: str) -> TensorRow:
    shape = one.opened.shapes.get(name)
    row = TensorRow(
        float(one.opened.saved.step),
        what.kind,
        what.name,
        what.layer,
        one.order,
        shape=shape,
        worker=worker,
        mode=one.opened.mode or "",
        function=what.function,
        file=str(one.opened.saved.events or one.opened.saved.index),
        time=one.time,
    )
    numbers: dict[str, Any] = _fields(one.values, float(math.prod(shape)) if shape is not None else float("nan"))
    return replace(row, **numbers)


def _fields(values: Mapping[str, float], count: float) -> dict[str, float]:
    """The fields of ``TensorRow`` that reductions tell, ``count`` of values given.

    A reduction that is no finite number tells of at least one value that is none, and nothing else.
    """
    found = {name: values[name] for name in ("min", "max", "mean", "std", "l2", "abs_mean") if name in values}
    with np.errstate(all="ignore"):
        derived = {
            "std": float(np.sqrt(values.get("variance", math.nan))),
            "mean": values.get("sum", math.nan) / count if count else math.nan,
            "abs_mean": values.get("l1", math.nan) / count if count else math.nan,
        }
    found = {**{name: value for name, value in derived.items() if not math.isnan(value)}, **found}
    fields = {name: value for name, value in found.items() if math.isfinite(value)}
    fields["count"] = count
    if any(math.isnan(value) for value in found.values()):
        fields["nan"] = 1.0
    elif len(fields) == len(found) + 1 and {"mean", "l2", "max"} & found.keys():
        fields["nan"] = fields["inf"] = fields["negative_inf"] = 0.0
    ends = [found.get("min", 0.0) == -math.inf, found.get("max", 0.0) == math.inf]
    if any(ends):
        fields["inf"], fields["negative_inf"] = float(sum(ends)), float(ends[0])
    return fields
