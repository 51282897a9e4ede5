"""History records of a ``.wandb`` file walked item by item, all records of a batch side by side.

Records that are laid out otherwise than W&B's writers do it are left to the reader that takes one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.readers._wandb_keys import UNKNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.readers._wandb_frames import Batch
    from convergence_cli.readers._wandb_keys import ByteArray, IndexArray, Keys, Words

    Flags = npt.NDArray[np.bool_]

WINDOW = 32
_MANY = 0x80
_MAX_PARTS = 8
_MAX_ITEMS = 1 << 14
_ROWS_AT_ONCE = 1 << 11
# As many comparisons are quicker than sorting.
_FEW_NUMBERS = 16
_NOWHERE = -1
# Fewer records are quicker taken one at a time.
_FEWEST = 16
_HISTORY_TAG, _ITEM_TAG, _STEP_TAG, _NUMBER_TAG, _KEY_TAG, _NESTED_TAG = 0x12, 0x0A, 0x12, 0x08, 0x0A, 0x12
_TEXT_TAG = 0x0182
# Control, uuid and _info of a Record: fields 16, 19 and 200.
_EXTRA_TAGS = (0x0182, 0x019A, 0x0CC2)
# Fields of a Record that say nothing of its curves, by the byte that begins them: 1 to 15, as bytes, but for two.
_SILENT = np.zeros(256, np.bool_)
_SILENT[[number << 3 | 2 for number in range(1, 16) if number not in (2, 5)]] = True
# By first byte: an object may hold series; a string, a list, null, a switch or a bare NaN; a number.
_ODD, _FLAT, NUMERIC = 0, 1, 2
_KINDS = np.zeros(256, np.uint8)
_KINDS[list(b'"NItfn[')] = _FLAT
_KINDS[list(b"-0123456789")] = NUMERIC
# By the size of a step, its tag included: which bytes of the varint are kept.
_FIRST_BYTES = np.array([0, 0, *((1 << 8 * count) - 1 for count in range(1, 6))], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """The records of a batch by what is to be done with them, as ascending indices.

    The items of those in ``history`` lie from ``start`` to ``stop``; the ones in ``others`` are taken one at a time.
    """

    history: IndexArray
    start: IndexArray
    stop: IndexArray
    others: IndexArray


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Items of one name that stand at the same ``turn`` in their records.

    (n,) each: the ``rows``, the ``place`` and ``length`` of the texts, and what ``kind`` of text the first byte shows.
    """

    turn: int
    rows: IndexArray
    place: IndexArray
    length: IndexArray
    kind: ByteArray

    def among(self, wanted: Flags, where: IndexArray | None) -> Part:
        """Those of the items whose row is ``wanted``, at the place that ``where`` gives it (-1: none)."""
        rows = self.rows if where is None else where[self.rows]
        at = np.flatnonzero(wanted[rows] & (rows >= 0))
        return Part(self.turn, *(column.take(at) for column in (self.rows, self.place, self.length, self.kind)))


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """``columns`` by number of the name; ``steps``: rows, varints and which of them hold, for ``step_fields``.

    Rows marked in ``odd`` (n,) are not to be believed: they are to be taken one at a time.
    """

    columns: dict[int, list[Part]]
    steps: list[tuple[IndexArray, IndexArray, Flags]]
    odd: Flags


def sort_records(batch: Batch) -> Sorted:
    """Tell history records, records that say nothing, and others apart by their first bytes."""
    octets, start, stop = batch.octets, batch.start, batch.stop
    head = np.ndarray((len(octets) - 7,), "<i8", octets, strides=(1,))
    words = head[start]
    # Most records begin with their number in the file: one byte and a varint.
    numbered = (words & 0xFF) == _NUMBER_TAG
    at = start + (2 if numbered.all() else 2 * numbered)
    longer = numbered
    for byte in range(1, 7):
        longer = longer & (words & (0x80 << 8 * byte) != 0)
        if not longer.any():
            break
        at += longer
    words = _past_extras(head, at, stop)
    tag, length, more = words & 0xFF, words >> 8 & 0xFF, words >> 16 & 0xFF
    body = at + 2
    # A length of two bytes; one of three is rare enough for one at a time.
    wide = length >= _MANY
    length += wide * ((more << 7) - _MANY)
    body += wide
    body_end = body + length
    whole = ~(wide & (more >= _MANY) | longer) & (body_end <= stop)
    if not (body_end == stop).all():
        end = np.where(whole, body_end, stop)
        _past_extras(head, end, stop)
        whole &= end == stop
    history = whole & (tag == _HISTORY_TAG)
    others = ~history & ~(whole & _SILENT.take(tag))
    rows = np.flatnonzero(history)
    return Sorted(rows, body[rows], body_end[rows], np.flatnonzero(others))


def _past_extras(head: IndexArray, at: IndexArray, stop: IndexArray) -> IndexArray:
    """Move ``at`` past the fields that go with any record: control, identifier, stream. Returns the bytes there."""
    words = head[at]
    for _ in range(len(_EXTRA_TAGS)):
        # They all have tags of two bytes.
        if not (words & 0x80).any():
            break
        tags = words & 0xFFFF
        extra = (tags == _EXTRA_TAGS[0]) | (tags == _EXTRA_TAGS[1]) | (tags == _EXTRA_TAGS[2])
        if not extra.any():
            break
        rest = np.flatnonzero(extra)
        size = words[rest] >> 16 & 0xFF
        after = at[rest] + 3 + size
        fits = (size < _MANY) & (after <= stop[rest])
        at[rest[fits]] = after[fits]
        words = head[at]
    return words


def walk(octets: ByteArray, start: IndexArray, stop: IndexArray, keys: Keys) -> Walked:
    """The items of history records that lie from ``start`` to ``stop``; those of system metrics are passed over."""
    walked = Walked({}, [], np.zeros(len(start), np.bool_))
    for first in range(0, len(start), _ROWS_AT_ONCE):
        chosen = slice(first, first + _ROWS_AT_ONCE)
        _walk_some(
            octets, np.arange(first, min(first + _ROWS_AT_ONCE, len(start))), start[chosen], stop[chosen], keys, walked
        )
    _single(walked)
    return walked


def _walk_some(
    octets: ByteArray, rows: IndexArray, pos: IndexArray, stop: IndexArray, keys: Keys, walked: Walked
) -> None:
    windows = np.ndarray((len(octets) - WINDOW + 1,), f"V{WINDOW}", octets, strides=(1,))
    for turn in range(_MAX_ITEMS):
        going = pos < stop
        if not going.all():
            rows, pos, stop = rows[going], pos[going], stop[going]
        if len(rows) < _FEWEST:
            break
        window = windows[pos].view("<u8").reshape(-1, 4)
        first = window[:, 0].astype(np.int64)
        items = (first & 0xFF) == _ITEM_TAG
        if items.all():
            pos = _items(octets, pos, stop, window, first, rows, turn, keys, walked)
        elif not items.any():
            pos = _steps(first, rows, pos, stop, walked)
        else:
            at, rest = np.flatnonzero(items), np.flatnonzero(~items)
            after = np.empty(len(rows), np.int64)
            after[at] = _items(octets, pos[at], stop[at], window[at], first[at], rows[at], turn, keys, walked)
            after[rest] = _steps(first[rest], rows[rest], pos[rest], stop[rest], walked)
            pos = after
        # What is no item and no step ends the row: it is not to be believed.
        if int(pos.min()) == _NOWHERE:
            bad = pos == _NOWHERE
            walked.odd[rows[bad]] = True
            rows, pos, stop = rows[~bad], pos[~bad], stop[~bad]
    walked.odd[rows] = True


def _items(
    octets: ByteArray,
    pos: IndexArray,
    stop: IndexArray,
    window: Words,
    first: IndexArray,
    rows: IndexArray,
    turn: int,
    keys: Keys,
    walked: Walked,
) -> IndexArray:
    """Take in one item of each row: tag, length, keys, text. Returns where the next begins, or ``_NOWHERE``."""
    after = pos + (first >> 8 & 0xFF)
    after += 2
    # Where the text's tag, length and first byte lie, after as many bytes of the item.
    before = first >> 24 & 0xFF
    before += 4
    place = pos + before
    shape = first & 0xFF8000
    good = (after <= stop) & ((shape == _NESTED_TAG << 16) | (shape == _KEY_TAG << 16))
    texts = np.ndarray((len(octets) - 7,), "<i8", octets, strides=(1,))
    # A malformed length is at most 255, and so is looked at within the margin.
    text = texts[place]
    length = after - place
    length -= 3
    right = (text & 0xFFFFFF) == (length << 16 | _TEXT_TAG)
    if not right.all():
        place, text = _past_more_keys(texts, place, text, good & (place < after))
        before = place - pos
        length = after - place - 3
        right = (text & 0xFFFFFF) == (length << 16 | _TEXT_TAG)
    good &= right
    if not good.all():
        after[~good] = _NOWHERE
        pos, window, rows, before, length, text = (column[good] for column in (pos, window, rows, before, length, text))
        place = pos + before
    numbers = keys.numbers(octets, pos, window, before)
    kind = _KINDS.take(text >> 24 & 0xFF)
    place += 3
    for number, at in _by_number(numbers):
        if number == UNKNOWN:
            walked.odd[rows[at]] = True
            continue
        if keys.silent[number]:
            continue
        part = Part(turn, rows, place, length, kind)
        if not isinstance(at, slice):
            part = Part(turn, *(column.take(at) for column in (rows, place, length, kind)))
        if int(part.kind.min()) == _ODD:
            walked.odd[part.rows[part.kind == _ODD]] = True
        walked.columns.setdefault(number, []).append(part)
    return after


def _past_more_keys(
    texts: IndexArray, place: IndexArray, text: IndexArray, inside: Flags
) -> tuple[IndexArray, IndexArray]:
    """``place``, and the eight bytes there, beyond the further keys of those items that have several."""
    for _ in range(_MAX_PARTS):
        more = inside & ((text & 0xFF) == _NESTED_TAG)
        if not more.any():
            break
        # A length of several bytes is left to those who take one at a time.
        inside = more & ((text >> 8 & 0xFF) < _MANY)
        place = place + np.where(inside, 2 + (text >> 8 & 0xFF), 0)
        text = texts[place]
    return place, text


def _by_number(numbers: IndexArray) -> Iterator[tuple[int, IndexArray | slice]]:
    """Each number, and the ascending indices at which it stands."""
    if not len(numbers):
        return
    low, high = int(numbers.min()), int(numbers.max())
    if low == high:
        yield low, slice(None)
        return
    present = np.flatnonzero(np.bincount(numbers - low)) + low
    if len(present) <= _FEW_NUMBERS:
        for number in present.tolist():
            yield number, np.flatnonzero(numbers == number)
        return
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    yield from zip(present.tolist(), np.split(order, cuts), strict=True)


def _steps(first: IndexArray, rows: IndexArray, pos: IndexArray, stop: IndexArray, walked: Walked) -> IndexArray:
    """Take in the step of each row, from the first eight bytes at ``pos``. Returns where it ends, or ``_NOWHERE``."""
    size = first >> 8 & 0xFF
    after = pos + size
    after += 2
    shape = first & 0xFF00FF == _NUMBER_TAG << 16 | _STEP_TAG
    # None, or one number of one to five bytes: all but the last say that more follow.
    shape &= (size >= 2) & (size <= 6)
    kept = _FIRST_BYTES.take(size, mode="clip")
    shape &= first >> 24 & kept & 0x8080808080 == _FIRST_BYTES.take(size - 1, mode="clip") & 0x8080808080
    good = (after <= stop) & (shape | (first & 0xFFFF == _STEP_TAG))
    walked.steps.append((rows, np.where(shape, first >> 24 & kept, 0), good))
    if not good.all():
        after[~good] = _NOWHERE
    return after


def step_fields(walked: Walked) -> npt.NDArray[np.float64]:
    """(n,): the step that stands outside the items of each row; NaN where none does."""
    steps = np.full(len(walked.odd), np.nan)
    for rows, bits, good in walked.steps:
        number = sum(((bits >> 8 * byte & 0x7F) << 7 * byte for byte in range(5)), np.zeros(len(bits), np.int64))
        steps[rows[good]] = number[good]
    return steps


def _single(walked: Walked) -> None:
    """Mark the rows that give a name twice: the later one holds, at the place of the former."""
    for parts in walked.columns.values():
        if len(parts) > 1:
            hits = np.zeros(len(walked.odd), np.bool_)
            for part in parts:
                hits[part.rows] = True
            if int(hits.sum()) < sum(len(part.rows) for part in parts):
                rows = np.concatenate([part.rows for part in parts])
                walked.odd[np.bincount(rows, minlength=len(walked.odd)) > 1] = True
