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

    from convergence_cli.readers._wandb_frames import Places
    from convergence_cli.readers._wandb_keys import ByteArray, IndexArray, Keys, Words

    Flags = npt.NDArray[np.bool_]

WINDOW = 32
_MANY = 0x80
_MAX_PARTS = 8
_MAX_ITEMS = 1 << 14
# As many comparisons are quicker than sorting.
_FEW_NUMBERS = 16
_NOWHERE = -1
# Fewer records are quicker taken one at a time.
_FEWEST = 16
_ITEM_TAG, _STEP_TAG, _NUMBER_TAG, _KEY_TAG, _NESTED_TAG = 0x0A, 0x12, 0x08, 0x0A, 0x12
_TEXT_TAG = 0x0182
# By first byte: an object may hold series; a string, a list, null, a switch or a bare NaN; a number.
_ODD, _FLAT, NUMERIC = 0, 1, 2
_KINDS = np.zeros(256, np.uint8)
_KINDS[list(b'"NItfn[')] = _FLAT
_KINDS[list(b"-0123456789")] = NUMERIC
# By the size of a step, its tag included: which bytes of the varint are kept.
_FIRST_BYTES = np.array([0, 0, *((1 << 8 * count) - 1 for count in range(1, 6))], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Items of one name that stand at the same ``turn`` in their records.

    (n,) each: the ``rows``, the ``place`` and ``length`` of the texts, and what ``kind`` of text the first byte shows.
    """

    turn: int
    rows: Places
    place: Places
    length: Places
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
    steps: list[tuple[Places, IndexArray, Flags]]
    odd: Flags


def walk(octets: ByteArray, start: Places, stop: Places, keys: Keys) -> Walked:
    """The items of history records that lie from ``start`` to ``stop``; those of system metrics are passed over."""
    count = len(start)
    walked = Walked({}, [], np.zeros(count, np.bool_))
    rows, pos = np.arange(count, dtype=np.int32), start
    windows = np.ndarray((len(octets) - WINDOW + 1,), f"V{WINDOW}", octets, strides=(1,))
    for turn in range(_MAX_ITEMS):
        going = pos < stop
        if not going.all():
            rows, pos, stop = rows[going], pos[going], stop[going]
        if len(rows) < _FEWEST:
            break
        window = windows[pos].view("<u8").reshape(-1, 4)
        first = window.view("<i4")[:, 0].copy()
        items = (first & 0xFF) == _ITEM_TAG
        if items.all():
            pos = _items(octets, pos, stop, window, first, rows, turn, keys, walked)
        elif not items.any():
            pos = _steps(window, rows, pos, stop, walked)
        else:
            at, rest = np.flatnonzero(items), np.flatnonzero(~items)
            after = np.empty(len(rows), np.int32)
            after[at] = _items(octets, pos[at], stop[at], window[at], first[at], rows[at], turn, keys, walked)
            after[rest] = _steps(window[rest], rows[rest], pos[rest], stop[rest], walked)
            pos = after
        # What is no item and no step ends the row: it is not to be believed.
        if int(pos.min()) == _NOWHERE:
            bad = pos == _NOWHERE
            walked.odd[rows[bad]] = True
            rows, pos, stop = rows[~bad], pos[~bad], stop[~bad]
    walked.odd[rows] = True
    _single(walked)
    return walked


def _items(
    octets: ByteArray,
    pos: Places,
    stop: Places,
    window: Words,
    first: Places,
    rows: Places,
    turn: int,
    keys: Keys,
    walked: Walked,
) -> Places:
    """Take in one item of each row: tag, length, keys, text. Returns where the next begins, or ``_NOWHERE``."""
    after = pos + (first >> 8 & 0xFF)
    after += 2
    # Where the text's tag, length and first byte lie, after as many bytes of the item.
    before = first >> 24 & 0xFF
    before += 4
    place = pos + before
    shape = first & 0xFF8000
    good = (after <= stop) & ((shape == _NESTED_TAG << 16) | (shape == _KEY_TAG << 16))
    texts = np.ndarray((len(octets) - 3,), "<i4", octets, strides=(1,))
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
    place += 3
    for number, at in _by_number(numbers, keys):
        if number == UNKNOWN:
            walked.odd[rows[at]] = True
            continue
        kind = _KINDS.take(text[at] >> 24 & 0xFF)
        part = Part(turn, rows[at], place[at], length[at], kind)
        if int(kind.min()) == _ODD:
            walked.odd[part.rows[kind == _ODD]] = True
        walked.columns.setdefault(number, []).append(part)
    made: Places = after
    return made


def _past_more_keys(texts: Places, place: Places, text: Places, inside: Flags) -> tuple[Places, Places]:
    """``place``, and the four bytes there, beyond the further keys of those items that have several."""
    for _ in range(_MAX_PARTS):
        more = inside & ((text & 0xFF) == _NESTED_TAG)
        if not more.any():
            break
        # A length of several bytes is left to those who take one at a time.
        inside = more & ((text >> 8 & 0xFF) < _MANY)
        place = place + np.where(inside, 2 + (text >> 8 & 0xFF), 0).astype(np.int32)
        text = texts[place]
    return place, text


def _by_number(numbers: Places, keys: Keys) -> Iterator[tuple[int, IndexArray | slice]]:
    """Each number of a name that is wanted, or of none, and the ascending indices at which it stands."""
    if not len(numbers):
        return
    low, high = int(numbers.min()), int(numbers.max())
    if low == high:
        if low == UNKNOWN or not keys.silent[low]:
            yield low, slice(None)
        return
    if len(keys.wanted) <= _FEW_NUMBERS:
        for number in ([UNKNOWN] if low == UNKNOWN else []) + keys.wanted:
            at = np.flatnonzero(numbers == number)
            if len(at):
                yield number, at
        return
    order = np.argsort(numbers, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        number = int(numbers[at[0]])
        if number == UNKNOWN or not keys.silent[number]:
            yield number, at


def _steps(window: Words, rows: Places, pos: Places, stop: Places, walked: Walked) -> Places:
    """Take in the step of each row, from the first eight bytes at ``pos``. Returns where it ends, or ``_NOWHERE``."""
    first = window[:, 0].astype(np.int64)
    size = first >> 8 & 0xFF
    after = pos + 2 + size.astype(np.int32)
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
