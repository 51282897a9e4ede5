"""The record of our own recorder: the scalars of its steps as series (``docs/recorder.md`` has the format)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.model import Run
from convergence_cli.printable import counted, printable
from convergence_cli.readers._collect import Collector
from convergence_cli.readers._record_lines import RecordLines, begins_record, number, rank_of, step_of
from convergence_cli.readers.config import canonical

if TYPE_CHECKING:
    import numpy.typing as npt

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._guard import ReadOptions, Source
    from convergence_cli.readers._record_lines import Piece, Session

FORMAT = "recorder"
MAX_NOTES = 20
_MAX_SETTINGS = 5000
# What ``end`` says where no exception ended the training: it was closed, or the program ended without that.
_ENDED_WELL = ("finished", "exit")
# Keys of a session that are told beside the hyperparameters.
_TOLD = ("first_step", "every", "model", "parameters", "trainable")
_AXES = ("step", "time")


def sniff(source: Source) -> float:
    """1 where the first line begins a session."""
    return 1.0 if begins_record(source.head) else 0.0


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """One run: the scalars of the first worker's file. ``sources`` are the files of all workers."""
    del options
    source = min(sources, key=lambda one: rank_of(one.path.name) or 0)
    lines = RecordLines(source, of_tensors=False)
    state = _State(Collector(source.shown))
    for piece in lines.pieces():
        _take(piece, state)
    curves = state.collector.curves()
    notes = list(dict.fromkeys((*source.notes, *_notes(state, lines))))
    if not curves:
        notes.append("no scalars have been recorded yet")
    if len(sources) > 1:
        notes.append(f"the series are those of the first of {len(sources):,} workers")
    return [Run(source.path.stem, source.shown, FORMAT, curves, _config(state), tuple(notes))]


@dataclass(slots=True)
class _State:
    """What the lines have told so far; ``about`` is the first line of the latest session."""

    collector: Collector
    about: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    more_notes: int = 0
    ended: str = ""
    bad: int = 0


def _take(piece: Piece, state: _State) -> None:
    session = piece.session
    if piece.begins:
        state.about = dict(session.about)
        state.ended = ""
    shapes: dict[tuple[str, ...], list[int]] = {}
    for index, record in enumerate(piece.records):
        shapes.setdefault(tuple(record), []).append(index)
    points = _Points(piece)
    others: list[int] = []
    for keys, members in shapes.items():
        if keys[:1] == ("step",):
            state.bad += points.add(keys, members)
        else:
            others += members
    points.collect(state.collector)
    for index in sorted(others):
        state.bad += not _is_understood(piece.records[index], session, state)


class _Points:
    """The scalars of one piece, column by column: records with the same keys are taken together."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        count = len(piece.records)
        self._axes = {name: np.full(count, np.nan) for name in _AXES}
        self._series: dict[str, list[tuple[npt.NDArray[np.intp], FloatArray]]] = {}

    def add(self, keys: tuple[str, ...], members: list[int]) -> int:
        """Take the records ``members``, which have ``keys``; how many of them are no lines of a step."""
        records = [self._piece.records[index] for index in members]
        sound = np.ones(len(records), dtype=bool)
        columns: dict[str, tuple[FloatArray, npt.NDArray[np.bool_]]] = {}
        for key in keys:
            values, logged, known = _column([record[key] for record in records])
            sound &= known
            columns[key] = values, logged
        steps, logged = columns["step"]
        sound &= logged & np.isfinite(steps)
        at = np.array(members, dtype=np.intp)
        for name in _AXES:
            if name in columns:
                self._axes[name][at] = columns[name][0]
        kept = sound & (steps <= self._piece.session.kept_until)
        for key, (values, logged) in columns.items():
            wanted = kept & logged
            if key not in _AXES and wanted.any():
                self._series.setdefault(key, []).append((at[wanted], values[wanted]))
        return len(records) - int(np.count_nonzero(sound))

    def collect(self, collector: Collector) -> None:
        """Hand the points to ``collector``, in the order of the log."""
        times = self._axes["time"] + self._piece.session.started
        for name, parts in self._series.items():
            at, values = parts[0]
            if len(parts) > 1:
                at = np.concatenate([places for places, _ in parts])
                order = np.argsort(at, kind="stable")
                at, values = at[order], np.concatenate([found for _, found in parts])[order]
            collector.add(name, self._axes["step"][at], values, time=times[at], line=self._piece.line[at])


def _column(raw: list[Any]) -> tuple[FloatArray, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Values, which of them were logged (a null was not), and which are numbers or nulls at all; each (n,)."""
    if set(map(type, raw)) <= {float, int}:
        try:
            always = np.ones(len(raw), dtype=bool)
            return np.array(raw, dtype=np.float64), always, always
        except OverflowError:
            pass
    found = [number(value) for value in raw]
    logged = np.array([value is not None for value in found], dtype=bool)
    values = np.array([np.nan if value is None else value for value in found], dtype=np.float64)
    return values, logged, logged | np.array([value is None for value in raw], dtype=bool)


def _is_understood(record: dict[str, Any], session: Session, state: _State) -> bool:
    """Take a line that is none of a step; False where it is not what it must be."""
    what = next(iter(record), "")
    counts = session.kept_until > -np.inf
    value = record.get(what)
    if what == "config":
        if not isinstance(value, dict):
            return False
        if counts and len(state.config) + len(value) <= _MAX_SETTINGS:
            state.config |= value
        return True
    if what == "note":
        if counts and isinstance(value, str):
            _note(printable(value), state)
        return isinstance(value, str)
    if what == "end":
        if not isinstance(value, str):
            return False
        step = step_of(record.get("step"))
        at = "" if step is None else f" after step {step:.12g}"
        state.ended = "" if value in _ENDED_WELL else f"the training was ended by {printable(value)}{at}"
        return True
    return False


def _note(text: str, state: _State) -> None:
    if text in state.notes:
        return
    if len(state.notes) < MAX_NOTES:
        state.notes[text] = None
    else:
        state.more_notes += 1


def _config(state: _State) -> dict[str, Any]:
    told = {key: state.about[key] for key in _TOLD if key in state.about}
    return canonical({**state.config, "recorder": told})


def _notes(state: _State, lines: RecordLines) -> list[str]:
    notes = [*state.notes]
    if state.more_notes:
        notes.append(f"the record has {counted(state.more_notes, 'further note')}")
    notes += _of_sessions(lines.sessions)
    if state.ended:
        notes.append(state.ended)
    if bad := state.bad + lines.bad:
        notes.append(f"skipped {counted(bad, 'line')} that a recorder does not write")
    if lines.torn:
        notes.append("dropped the last line, which was cut off")
    if state.collector.dropped:
        notes.append(f"there are too many series: {len(state.collector.dropped):,} were left out")
    return notes


def _of_sessions(sessions: Sequence[Session]) -> list[str]:
    """What became of earlier sessions: started over, or gone on with."""
    notes = []
    over = sum(one.kept_until == -np.inf for one in sessions)
    if over:
        notes.append(f"left out {counted(over, 'earlier session')}: the training was started again from step 0")
    if resumed := sessions[over + 1 :]:
        times = "once" if len(resumed) == 1 else f"{len(resumed):,} times, last"
        notes.append(
            f"the training was resumed {times} after step {resumed[-1].first_step:.12g}: of steps that were recorded "
            "twice the later count"
        )
    return notes
