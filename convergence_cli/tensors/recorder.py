"""The tensors of a record, whose statistics the recorder took while the training ran (``docs/recorder.md``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import counted
from convergence_cli.readers._record_lines import RecordLines, Session, number, rank_of, step_of
from convergence_cli.tensor_stats import Collection, TensorRow, TensorStats
from convergence_cli.tensors.read import MAX_ROWS, MAX_TENSORS
from convergence_cli.tensors.record_counts import confusion_of, labels_of, tokens_of, trees_of
from convergence_cli.tensors.record_rows import Declared, Place, declared_by, row_of

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source
    from convergence_cli.readers._record_lines import Piece

# Classes, cells of confusions, tokens and features, of all steps together: 256 MiB of confusions.
MAX_COUNTED = 1 << 25
_LEAST_COUNTED = 32
BINS = 16
_DIGITS = {digit: place for place, digit in enumerate("0123456789abcdefghijklmnopqrstuvwxyz")}
_ENOUGH = "were not read: that is enough for any verdict"


def read_record(sources: Sequence[Source], config: Mapping[str, Any]) -> TensorStats | None:
    """The tensors in the files of one record, one file a worker; None where it holds none.

    ``config`` does not matter: a record says itself which function a layer has. Raises ``SourceError`` where a file
    cannot be read.
    """
    del config
    collection, left = Collection(), _Left()
    for place, source in enumerate(sorted(sources, key=lambda one: rank_of(one.path.name) or 0)):
        rank = str(rank_of(source.path.name) or 0) if len(sources) > 1 else ""
        reading = _Reading(collection, left, source.shown, rank, place == 0, len(sources))
        lines = RecordLines(source, of_tensors=True)
        for piece in lines.pieces():
            if not reading.take(piece):
                break
        left.lines += lines.bad
    facts = (*collection.labels, *collection.confusions, *collection.tokens, *collection.trees)
    if not collection.rows and not facts:
        return None
    collection.notes += left.notes()
    return collection.stats()


def histogram(digits: str) -> tuple[float, ...]:
    """The shares of the values in 16 bins of equal width from ``min`` to ``max``, which add up to 1.

    ``digits`` is ``hist`` of a row; empty for an empty text, and for one that is no histogram.
    """
    places = [_DIGITS[digit] for digit in digits if digit in _DIGITS]
    total = sum(place * place for place in places)
    if len(places) != len(digits) or len(places) != BINS or not total:
        return ()
    return tuple(place * place / total for place in places)


@dataclass(slots=True)
class _Left:
    """What was left out: lines that are not as they must be, rows without a declaration, and what is too much."""

    lines: int = 0
    undeclared: int = 0
    rows_from: float | None = None
    counts_from: float | None = None

    def notes(self) -> list[str]:
        found = []
        if self.lines:
            found.append(f"left out {counted(self.lines, 'line')} on tensors that a recorder does not write")
        if self.undeclared:
            found.append(f"left out {counted(self.undeclared, 'row')} of tensors that are not declared")
        if self.rows_from is not None:
            found.append(f"tensors of steps from {self.rows_from:g} on {_ENOUGH}")
        if self.counts_from is not None:
            found.append(f"classes and tokens of steps from {self.counts_from:g} on {_ENOUGH}")
        return found


@dataclass(slots=True)
class _Reading:
    """One of ``files`` files on its way into ``collection``; ``rank`` is empty where there is only one."""

    collection: Collection
    left: _Left
    file: str
    rank: str
    is_first: bool
    files: int
    session: Session = field(default_factory=Session)
    declared: dict[str, Declared] = field(default_factory=dict)
    step: float = math.nan
    time: float = math.nan
    rows: int = 0
    counted: int = 0
    # The tensors of the newest step that counts.
    newest: float = math.nan
    met: set[str] = field(default_factory=set)
    # By name: step and checksum of the weight before, and step and share of the values that an update changed.
    weights: dict[str, tuple[float, str]] = field(default_factory=dict)
    updates: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, piece: Piece) -> bool:
        """Take the lines of ``piece``; False where nothing more is wanted."""
        if piece.begins:
            self.session = piece.session
            self.weights.clear()
            self.updates.clear()
        if self.session.kept_until == -math.inf:
            return True
        for record in piece.records:
            if self.rows >= MAX_ROWS // self.files:
                step = step_of(record.get("step"))
                self.left.rows_from = self.newest if step is None else step
                return False
            self.left.lines += not self._take(record)
        return True

    def _take(self, record: dict[str, Any]) -> bool:
        """Whether the line is understood."""
        what = next(iter(record), "")
        if what == "tensor":
            return self._take_row(record)
        if what == "declare":
            found = declared_by(record)
            if found is None:
                return False
            if record[what] in self.declared or len(self.declared) < MAX_TENSORS:
                self.declared[record[what]] = found
            return True
        if what == "sampled":
            step, seconds = step_of(record.get(what)), number(record.get("time"))
            if step is None or seconds is None:
                return False
            self.step, self.time = step, seconds
            return True
        return what == "layers" or self._take_counts(what, record)

    def _take_row(self, record: dict[str, Any]) -> bool:
        title = record["tensor"]
        declared = self.declared.get(title) if isinstance(title, str) else None
        if declared is None:
            self.left.undeclared += isinstance(title, str)
            return isinstance(title, str)
        bits = record.get("bits", "")
        # Pauses tell something within the latest session alone: before it the training was not running.
        known = self.session.is_last and step_of(record.get("step")) == self.step
        time = self.session.started + self.time if known else math.nan
        row = row_of(record, declared, Place(self._worker(), self.file, time))
        if row is None or not isinstance(bits, str):
            return False
        if row.step > self.session.kept_until:
            return True
        if row.kind == "weight":
            row = self._compared(row, bits)
        elif row.kind == "update" and row.count:
            self.updates[row.name] = row.step, 1.0 - row.zero / row.count
        if row.step != self.newest:
            self.newest = row.step
            self.met.clear()
        # A session that goes on records its first weights at the last step of the one before.
        if title not in self.met:
            self.met.add(title)
            self.collection.rows.append(row)
            self.rows += 1
        return True

    def _worker(self) -> str:
        return (self.session.worker or self.rank) if self.rank else ""

    def _compared(self, row: TensorRow, bits: str) -> TensorRow:
        """``row`` of a weight with what its checksum tells beside that of the row before."""
        step, before = self.weights.get(row.name, (math.nan, ""))
        self.weights[row.name] = row.step, bits
        since = step if math.isnan(row.change_steps) else row.step - row.change_steps
        changed = row.changed
        if bits and before and step == since < row.step:
            if math.isnan(changed):
                updated, changed = self.updates.get(row.name, (math.nan, 0.0))
                changed = changed if updated == step else 0.0
            # Of a large weight the share is that of a sample, which may have missed what changed.
            changed = 0.0 if bits == before else max(1.0 / max(row.count, 1.0), changed)
        if math.isnan(changed):
            return row
        # A weight is recorded before its step: none lies between the beginning and the first one.
        none_between = changed == 0 and since == self.session.first_step
        return replace(row, changed=changed, change_steps=row.step - since - none_between)

    def _take_counts(self, what: str, record: dict[str, Any]) -> bool:
        collection = self.collection
        step = step_of(record.get("trees" if what == "trees" else "step"))
        if step is None:
            return False
        if step > self.session.kept_until:
            return True
        if self.counted >= MAX_COUNTED // self.files:
            self.left.counts_from = step if self.left.counts_from is None else self.left.counts_from
            return True
        # Each takes some memory, however little it holds.
        self.counted += _LEAST_COUNTED
        if what == "labels" and (labels := labels_of(record)) is not None:
            collection.labels.append(labels)
            self.counted += len(labels.values)
        elif what == "confusion" and (confusion := confusion_of(record)) is not None:
            collection.confusions.append(confusion)
            self.counted += confusion.matrix.size
        elif what == "tokens" and (tokens := tokens_of(record)) is not None:
            collection.tokens.append(tokens)
            self.counted += len(tokens.shares)
        elif what == "trees" and (trees := trees_of(record)) is not None:
            self.counted += len(trees.importance)
            if self.is_first:
                collection.trees.append(trees)
        else:
            return False
        return True
