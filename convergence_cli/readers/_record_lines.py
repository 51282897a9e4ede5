"""The lines of a record, session by session (``docs/recorder.md``), for who reads its scalars and who its tensors.

A session that goes on after step s writes again whatever lies after s; one from step 0 starts the training over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.readers._json_lines import parse_line, parse_lines

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray
    from convergence_cli.readers._guard import Source

# The records of one block stay in the processor's cache.
_BLOCK_BYTES = 1 << 19
_FIRST_LINE = re.compile(rb'\{"recorder": ?1(?![\d.eE])')
_SESSION = b'{"recorder"'
_OF_TENSORS = tuple(
    b'{"%s"' % word
    for word in (b"tensor", b"declare", b"sampled", b"layers", b"labels", b"confusion", b"tokens", b"trees")
)
_FILE = re.compile(r"record(?:\.rank(?P<rank>\d{1,9}))?\.jsonl")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MOST = float(1 << 53)


@dataclass(frozen=True, slots=True)
class Session:
    """One session: ``about`` is its first line, ``first_step`` the step before its first, ``started`` since 1970.

    What it holds of steps after ``kept_until`` was written again by a later one; -inf: nothing of it counts.
    """

    first_step: float = 0.0
    started: float = math.nan
    worker: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    kept_until: float = math.inf
    is_last: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Consecutive records of one session; ``begins``: its first. ``line`` (n,) is where each stands, from 1 on."""

    session: Session
    begins: bool
    records: Sequence[dict[str, Any]]
    line: FloatArray


@dataclass(slots=True)
class RecordLines:
    """The lines of ``source``: those ``of_tensors``, or all others. Sessions are told to both.

    ``bad`` counts lines that are no JSON object, ``torn`` says that the last one was cut off. Both are known, like
    ``sessions``, once the pieces are through. Lines of the other sort are not even parsed.
    """

    source: Source
    of_tensors: bool
    sessions: tuple[Session, ...] = ()
    bad: int = 0
    torn: bool = False

    def pieces(self) -> Iterator[Piece]:
        """All records, piece by piece. Raises ``SourceError`` where the file cannot be read."""
        before, *sessions = _sessions(self.source)
        self.sessions = tuple(sessions)
        coming, current, begins = iter(sessions), before, True
        for records, line, starts in self._parsed(self._is_mine):
            at = 0
            for start in starts:
                if start > at or begins:
                    yield Piece(current, begins, records[at:start], line[at:start])
                begins = False
                at = start + 1
                if session_of(records[start]) is None:
                    # That of a session is counted with the scalars.
                    self.bad += not self.of_tensors
                    continue
                following = next(coming, None)
                if following is None:
                    # It was begun while the file was read.
                    return
                current, begins = following, True
            yield Piece(current, begins, records[at:], line[at:])
            begins = False

    def _is_mine(self, line: bytes) -> bool:
        return line.startswith(_OF_TENSORS) == self.of_tensors or line.startswith(_SESSION)

    def _parsed(
        self, wanted: Callable[[bytes], bool]
    ) -> Iterator[tuple[list[dict[str, Any]], FloatArray, Sequence[int]]]:
        """The records of the wanted lines of each block, their lines, and which of them may begin a session."""
        passed = 0
        for data in self.source.line_blocks(_BLOCK_BYTES):
            lines = data.splitlines()
            if lines and not data.endswith((b"\n", b"\r")) and not _is_whole(lines[-1]):
                self.torn = lines.pop().strip() != b""
            places = [place for place, line in enumerate(lines) if wanted(line)]
            block = parse_lines(b"\n".join([lines[place] for place in places]))
            found = block.lines.astype(np.intp)
            starts: Sequence[int] = ()
            if _SESSION in data:
                starts = [at for at, index in enumerate(found) if lines[places[index]].startswith(_SESSION)]
            self.bad += block.bad
            if block.bad and self.of_tensors:
                missing = set(range(len(places))).difference(found.tolist())
                self.bad -= sum(lines[places[index]].startswith(_SESSION) for index in missing)
            yield block.records, np.array(places, dtype=np.float64)[found] + (passed + 1), starts
            passed += len(lines)


def begins_record(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a record."""
    return _FIRST_LINE.match(head) is not None


def rank_of(name: str) -> int | None:
    """The rank whose record has the file name ``name`` (0 for the first); None where it is no such name."""
    match = _FILE.fullmatch(name)
    return None if match is None else int(match["rank"] or 0)


def number(value: object) -> float | None:
    """A number of a record, with the texts for those that are not finite; None for anything else."""
    if isinstance(value, str):
        return _NOT_FINITE.get(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def whole(value: object) -> int | None:
    """A count: an integer from 0 on that a float holds; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else None


def step_of(value: object) -> float | None:
    """A step: a finite number; None for anything else."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def session_of(record: Mapping[str, Any]) -> Session | None:
    """The session that ``record`` begins; None where its fields are not what they must be."""
    first, started, worker = step_of(record.get("first_step")), step_of(record.get("started")), record.get("worker")
    version = record.get("recorder")
    if version != 1 or isinstance(version, bool) or first is None or first < 0 or started is None:
        return None
    return Session(first, started, worker, record) if isinstance(worker, str) else None


def _sessions(source: Source) -> list[Session]:
    """Every session, and before them one for what precedes all."""
    found = [Session()]
    for data in source.line_blocks(_BLOCK_BYTES):
        if _SESSION not in data:
            continue
        lines = [line for line in data.splitlines() if line.startswith(_SESSION)]
        records = parse_lines(b"\n".join(lines)).records
        found += [session for record in records if (session := session_of(record)) is not None]
    until = math.inf
    for place in range(len(found) - 1, -1, -1):
        first = found[place].first_step
        found[place] = replace(found[place], kept_until=until, is_last=place == len(found) - 1)
        until = min(until, first if first > 0 else -math.inf)
    return found


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(parse_line(line), dict)
    except ValueError:
        return False
