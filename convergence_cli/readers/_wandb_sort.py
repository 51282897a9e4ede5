"""The records of a ``.wandb`` file sorted by their first bytes: history, such as say nothing of curves, and others.

Since W&B 0.28 there are two summaries to each history record: most records are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.readers._wandb_record import CONFIG, HISTORY

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.readers._wandb_frames import Batch, Places
    from convergence_cli.readers._wandb_keys import IndexArray

    Flags = npt.NDArray[np.bool_]

_MANY = 0x80
_HISTORY_TAG, _NUMBER_TAG = 0x12, 0x08
# Control, uuid and _info of a Record: fields 16, 19 and 200.
_EXTRA_TAGS = (0x0182, 0x019A, 0x0CC2)
# Fields of a Record that say nothing of its curves, by the byte that begins them: 1 to 15, as bytes, but for two.
_SILENT = np.zeros(256, np.bool_)
_SILENT[[number << 3 | 2 for number in range(1, 16) if number not in (HISTORY, CONFIG)]] = True


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """The records of a batch by what is to be done with them, as ascending indices.

    The items of those in ``history`` lie from ``start`` to ``stop``; the ones in ``others`` are taken one at a time.
    """

    history: IndexArray
    start: Places
    stop: Places
    others: IndexArray


def sort_records(batch: Batch) -> Sorted:
    """Tell history records, records that say nothing, and others apart by their first bytes."""
    start, stop = batch.start, batch.stop
    head = np.ndarray((len(batch.octets) - 7,), "<i8", batch.octets, strides=(1,))
    at, words, longer = _past_numbers(head, start)
    if (words & 0x80).any():
        # Extras have tags of two bytes.
        words = _past_extras(head, at, stop)
    tag, length, more = words & 0xFF, words >> 8 & 0xFF, words >> 16 & 0xFF
    body = at + 2
    # A length of two bytes; one of three is rare enough for one at a time.
    wide = length >= _MANY
    length += wide * ((more << 7) - _MANY)
    body += wide
    body_end = body + length
    whole = ~(wide & (more >= _MANY) | longer)
    ends = body_end == stop
    if not ends.all():
        whole &= body_end <= stop
        end = np.where(whole, body_end, stop)
        _past_extras(head, end, stop)
        whole &= end == stop
    history = whole & (tag == _HISTORY_TAG)
    others = ~history & ~(whole & _SILENT.take(tag))
    rows = np.flatnonzero(history)
    return Sorted(rows, body[rows], body_end[rows], np.flatnonzero(others))


def _past_numbers(head: IndexArray, start: Places) -> tuple[Places, Places, Flags | bool]:
    """Where the number ends that most records begin with, four bytes from there, and whose number is too long."""
    words = head[start]
    # Neighbours have numbers of one length: a tag, bytes that say that more follow, and one that does not.
    size = next((size for size in range(1, 5) if not words[0] >> 8 * size & 0x80), 0)
    others = sum(0x80 << 8 * byte for byte in range(1, size))
    if size and ((words & (others | 0x80 << 8 * size | 0xFF)) == (others | _NUMBER_TAG)).all():
        return start + (1 + size), (words >> 8 * (1 + size)).astype(np.int32), False
    numbered = (words & 0xFF) == _NUMBER_TAG
    at = start + np.where(numbered, 2, 0).astype(np.int32)
    longer = numbered
    for byte in range(1, 7):
        longer = longer & (words & (0x80 << 8 * byte) != 0)
        at += longer
    return at, head[at].astype(np.int32), longer


def _past_extras(head: IndexArray, at: Places, stop: Places) -> Places:
    """Move ``at`` past the fields that go with any record: control, identifier, stream. Returns four bytes there."""
    words = head[at].astype(np.int32)
    for _ in range(len(_EXTRA_TAGS)):
        tags = words & 0xFFFF
        extra = (tags == _EXTRA_TAGS[0]) | (tags == _EXTRA_TAGS[1]) | (tags == _EXTRA_TAGS[2])
        if not extra.any():
            break
        rest = np.flatnonzero(extra)
        size = words[rest] >> 16 & 0xFF
        after = at[rest] + 3 + size
        fits = (size < _MANY) & (after <= stop[rest])
        at[rest[fits]] = after[fits]
        words = head[at].astype(np.int32)
    return words
