"""From dumps to statistics: every tensor is named, measured and compared with itself in the dump before."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import SourceError
from convergence_cli.printable import counted, printable
from convergence_cli.tensor_stats import Collection, TensorRow, TensorStats
from convergence_cli.tensors.classes import count_classes
from convergence_cli.tensors.difference import difference
from convergence_cli.tensors.names import Named, function_of, named, without_shared_prefix
from convergence_cli.tensors.statistics import measure
from convergence_cli.tensors.unit_axis import Widths, unit_axis

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Dump, StoredTensor

MAX_TENSORS = 20_000
MAX_ROWS = 2_000_000
NO_KIND = "no kind in the name (gradient/fc1.weight has one)"
TWICE = "another tensor of the dump has the same name"
_UNREADABLE = "values that cannot be read"
# Modules whose name says that they are the model's activation function, and not which.
_SOME_FUNCTION = re.compile(r"(?i)(?:.*[._])?(?:act|act_fn|activation|activation_fn|nonlin|nonlinearity)\d*")
_CONFIG_KEYS = ("activation", "hidden_act", "activation_function", "act_fn", "nonlinearity")


@dataclass(slots=True)
class _Reading:
    """What is known while the dumps are read in the order of their steps."""

    function: str
    collection: Collection = field(default_factory=Collection)
    widths: Widths = field(default_factory=Widths)
    # By worker and mode: the weights of the last dump that had any, with its step.
    before: dict[tuple[str, str], tuple[float, dict[str, StoredTensor]]] = field(default_factory=dict)
    troubles: dict[str, list[str]] = field(default_factory=dict)

    def left_out(self, trouble: str, key: str, dump: Dump) -> None:
        self.troubles.setdefault(trouble, []).append(f"{printable(key)} in {printable(dump.path)}")


def read_dumps(dumps: Sequence[Dump], config: Mapping[str, Any] | None = None) -> TensorStats:
    """The statistics of ``dumps``, with a note for what could not be read.

    ``config`` is what the run says of itself: it may name the activation function. Memory is that of the
    statistics, whatever the size of the tensors. Raises ``SourceError`` where no dump can be read.
    """
    reading = _Reading(_configured_function(config or {}))
    ordered = sorted(dumps, key=lambda dump: dump.step)
    failures: list[tuple[Dump, SourceError]] = []
    for dump in ordered:
        try:
            tensors = dump.tensors()
        except SourceError as error:
            failures.append((dump, error))
            continue
        if len(reading.collection.rows) >= MAX_ROWS:
            reading.collection.notes.append(
                f"steps from {dump.step:g} on were not read: that is enough for any verdict"
            )
            break
        _read(reading, dump, tensors)
    if failures and len(failures) == len(ordered):
        raise failures[-1][1]
    if not reading.collection.rows:
        raise _nothing_read(ordered, reading)
    reading.collection.trusted_order = all(dump.ordered for dump in ordered)
    reading.collection.notes += [*_failed(failures, ordered), *_left_out(reading)]
    return reading.collection.stats()


def _read(reading: _Reading, dump: Dump, tensors: list[StoredTensor]) -> None:
    if len(tensors) > MAX_TENSORS:
        reading.collection.notes.append(
            f"read {MAX_TENSORS:,} of {len(tensors):,} tensors of {printable(dump.path)}: dump fewer at once"
        )
        tensors = tensors[:MAX_TENSORS]
    pairs = list(zip(without_shared_prefix([named(one.key) for one in tensors]), tensors, strict=True))
    readable = [pair for pair in pairs if _is_readable(reading, dump, *pair)]
    reading.widths.learn((name, tensor.shape) for name, tensor in readable if name.kind in ("weight", "gradient"))
    seen: set[tuple[str, str]] = set()
    taken: dict[str, list[tuple[str, StoredTensor]]] = {}
    for order, (name, tensor) in enumerate(readable):
        if (name.kind, name.name) in seen:
            reading.left_out(TWICE, tensor.key, dump)
            continue
        seen.add((name.kind, name.name))
        try:
            row = _row(reading, dump, name, tensor, order)
        except SourceError as error:
            reading.left_out(_UNREADABLE, f"{tensor.key} ({error.message.rstrip('.')})", dump)
            continue
        reading.collection.rows.append(row)
        taken.setdefault(name.kind, []).append((name.name, tensor))
    _keep_weights(reading, dump, dict(taken.get("weight", ())))
    _count(reading, dump, taken)


def _is_readable(reading: _Reading, dump: Dump, name: Named, tensor: StoredTensor) -> bool:
    if tensor.trouble:
        reading.left_out(tensor.trouble, tensor.key, dump)
    elif not name.kind:
        reading.left_out(NO_KIND, tensor.key, dump)
    return bool(name.kind) and not tensor.trouble


def _row(reading: _Reading, dump: Dump, name: Named, tensor: StoredTensor, order: int) -> TensorRow:
    function = name.function
    if not function and name.kind == "activation" and _SOME_FUNCTION.fullmatch(name.layer):
        function = reading.function
    axis = unit_axis(name, tensor.shape, reading.widths)
    row = TensorRow(
        dump.step,
        name.kind,
        name.name,
        name.layer,
        order,
        tensor.dtype,
        tensor.shape,
        dump.worker,
        dump.mode,
        function,
        dump.path,
        dump.time,
        **measure(tensor, name.kind, unit_axis=axis, function=function),
    )
    step, weights = reading.before.get((dump.worker, dump.mode), (dump.step, {}))
    former = weights.get(name.name) if name.kind == "weight" else None
    if former is None or step >= dump.step or former.shape != tensor.shape:
        return row
    try:
        change: dict[str, Any] = dict(difference(tensor, former))
        return replace(row, change_steps=dump.step - step, **change) if change else row
    except SourceError:
        # The dump before was removed or overwritten meanwhile.
        return row


def _keep_weights(reading: _Reading, dump: Dump, weights: dict[str, StoredTensor]) -> None:
    if weights:
        step, before = reading.before.get((dump.worker, dump.mode), (dump.step, {}))
        reading.before[dump.worker, dump.mode] = (dump.step, before | weights if step == dump.step else weights)


def _count(reading: _Reading, dump: Dump, taken: Mapping[str, list[tuple[str, StoredTensor]]]) -> None:
    inputs, labels, outputs = (taken.get(kind, []) for kind in ("input", "label", "output"))
    if not (inputs or labels):
        return
    try:
        count_classes(reading.collection, dump.step, dump.mode, inputs, labels, outputs)
    except SourceError as error:
        reading.collection.notes.append(f"classes of step {dump.step:g} were not counted: {error.message}")


def _configured_function(config: Mapping[str, Any]) -> str:
    told = next((config[key] for key in _CONFIG_KEYS if isinstance(config.get(key), str)), "")
    return function_of(told)


def _failed(failures: Sequence[tuple[Dump, SourceError]], ordered: Sequence[Dump]) -> list[str]:
    """One sentence on the newest dump, which may still be on its way, and one on all others."""
    if not failures:
        return []
    newest = ordered[-1].step
    notes = [f"the newest dump was not read: {error.message}" for dump, error in failures if dump.step == newest][:1]
    older = [error for dump, error in failures if dump.step != newest]
    if older:
        notes.append(f"{counted(len(older), 'dump')} could not be read; the first: {older[0].message}")
    return notes


def _left_out(reading: _Reading) -> list[str]:
    return [
        f"left out {counted(len(keys), 'tensor')}: {trouble}; the first is {keys[0]}"
        for trouble, keys in reading.troubles.items()
    ]


def _nothing_read(ordered: Sequence[Dump], reading: _Reading) -> SourceError:
    path = ordered[0].path if ordered else ""
    reasons = "; ".join(_left_out(reading)[:3]) or "they are empty"
    return SourceError(
        path,
        f"No tensor was read from {counted(len(ordered), 'dump')}: {reasons}.",
        "Dump tensors under names such as weight/fc1.weight, gradient/fc1.weight or activation/relu1.",
    )
