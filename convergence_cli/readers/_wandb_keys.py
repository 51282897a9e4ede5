"""The names of the items of history records, known again by their bytes, many items at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._wandb_record import key_and_text

if TYPE_CHECKING:
    import numpy.typing as npt

    ByteArray = npt.NDArray[np.uint8]
    IndexArray = npt.NDArray[Any]
    Words = npt.NDArray[Any]

MAX_KEYS = 1 << 14
# Of the names that begin with an underscore, those that say where a row belongs.
PLACING = ("_step", "_timestamp")
# An item that has no number for its name: too many names.
UNKNOWN = -1
_WINDOW = 32
# Before the keys: the tag and the length of the item.
_BEFORE = 2
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD], np.uint64
)
_SLOT_BITS = 12


class Keys:
    """The names met so far: a number for each, in the order in which they were met."""

    def __init__(self) -> None:
        self.names: list[str] = []
        # Those of W&B's own that give no series and place no point, and the numbers of the others.
        self.silent: list[bool] = []
        self.wanted: list[int] = []
        self._numbers: dict[str, int] = {}
        self._marks = np.empty(0, np.uint64)
        self._of_marks = np.empty(0, np.int32)
        self._slots = np.zeros(1 << _SLOT_BITS, np.uint64)
        self._of_slots = np.full(1 << _SLOT_BITS, UNKNOWN, np.int32)

    def numbers(self, octets: ByteArray, item: IndexArray, windows: Words, size: IndexArray) -> IndexArray:
        """(n,): the number of each name, or ``UNKNOWN``.

        ``item`` is where the items begin, ``windows`` (n, 4) their first 32 bytes, and ``size`` how many bytes go
        before their texts: tag and length, and then the keys.
        """
        marks = _marked(octets, item, windows, size)
        slot = (marks >> np.uint64(64 - _SLOT_BITS)).view(np.int64)
        found = self._of_slots.take(slot)
        missed = self._slots.take(slot) != marks
        if missed.any():
            rest = np.flatnonzero(missed)
            found[rest] = self._searched(octets, item[rest], marks[rest], size[rest])
        made: IndexArray = found
        return made

    def _searched(self, octets: ByteArray, item: IndexArray, marks: Words, size: IndexArray) -> IndexArray:
        """The numbers of names that no slot holds; those that are new get one."""
        order = np.argsort(marks, kind="stable")
        first = order[np.append(True, marks[order[1:]] != marks[order[:-1]])]
        for at in first.tolist():
            if len(self._marks) < MAX_KEYS and self._place(marks[at]) is None:
                keys = octets[int(item[at]) + _BEFORE : int(item[at]) + int(size[at])]
                self._learn(marks[at], key_and_text(keys.tobytes())[0])
        if not len(self._marks):
            return np.full(len(marks), UNKNOWN, np.int32)
        place = np.minimum(self._marks.searchsorted(marks), len(self._marks) - 1)
        return np.where(self._marks[place] == marks, self._of_marks[place], UNKNOWN)

    def _place(self, mark: np.uint64) -> int | None:
        place = int(self._marks.searchsorted(mark))
        return place if place < len(self._marks) and self._marks[place] == mark else None

    def _learn(self, mark: np.uint64, name: str) -> None:
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
            self.silent.append(name.startswith("_") and name not in PLACING)
            if not self.silent[-1]:
                self.wanted.append(number)
        place = self._marks.searchsorted(mark)
        self._marks = np.insert(self._marks, place, mark)
        self._of_marks = np.insert(self._of_marks, place, number)
        slot = int(mark) >> (64 - _SLOT_BITS)
        if self._of_slots[slot] == UNKNOWN:
            self._slots[slot], self._of_slots[slot] = mark, number


def _marked(octets: ByteArray, item: IndexArray, windows: Words, size: IndexArray) -> Words:
    """A 64-bit mark of the keys of each item, all of whose bytes count."""
    longest = int(size.max(initial=0))
    inside = size if longest <= _WINDOW else np.minimum(size, _WINDOW)
    marks = (windows[:, 0] & _INSIDE[0].take(inside)) * _FACTORS[0]
    for word in range(1, min(4, -(-longest // 8))):
        marks += (windows[:, word] & _INSIDE[word].take(inside)) * _FACTORS[word]
    done = _WINDOW
    while done < longest:
        rest = np.flatnonzero(size > done)
        more = np.ndarray((len(octets) - _WINDOW + 1,), f"V{_WINDOW}", octets, strides=(1,))[item[rest] + done]
        words = more.view("<u8").reshape(-1, 4)
        kept = _LATER.take(np.minimum(size[rest] - done, _WINDOW), axis=0)
        marks[rest] = marks[rest] * _FACTORS[4] + ((words & kept) * _FACTORS[:4]).sum(axis=1, dtype=np.uint64)
        done += _WINDOW
    made: Words = marks
    return made


def _kept(begin: int) -> Words:
    count = np.arange(_WINDOW + 1)[:, np.newaxis]
    place = np.arange(_WINDOW)
    made: Words = (((place >= begin) & (place < count)) * np.uint8(0xFF)).astype(np.uint8).view("<u8")
    return made


# (4, 33): by number of bytes, the words of a window whose bytes before that count, tag and length aside.
_INSIDE = np.ascontiguousarray(_kept(_BEFORE).T)
_LATER = _kept(0)
