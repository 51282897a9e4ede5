"""Where the records of a SageMaker Debugger trial lie, and what they hold: by the index, or by walking the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.printable import counted
from convergence_cli.readers._guard import Source, parse_json
from convergence_cli.readers._smdebug_record import MODE_NAMES, Message, checksum_fits, parse_record
from convergence_cli.readers._smdebug_trial import MAX_INDEX_BYTES, Saved, Trial, Troubles
from convergence_cli.readers._tfrecord import HEADER_BYTES, OVERHEAD_BYTES, record_length

if TYPE_CHECKING:
    from convergence_cli.model import FloatArray

MAX_RECORDS = 200_000
# A record up to this size is read whole and checked; of a larger one only its beginning, where its place is told.
WHOLE_BYTES = 4 << 20
_PREFIX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Record:
    """One tensor: what its message says, and the file in which its values begin at byte ``offset``."""

    message: Message
    mode: str
    source: Source
    offset: int

    def numbers(self) -> FloatArray | None:
        """All values as float64, for small records; None where they are no real numbers.

        Raises ``SourceError`` where the file is gone.
        """
        message = self.message
        if message.dtype in ("", "complex64", "complex128", "bfloat16"):
            return None
        try:
            with self.source.open_raw() as handle:
                handle.seek(self.offset)
                data = handle.read(message.length)
        except OSError:
            return None
        if len(data) != message.length:
            return None
        with np.errstate(all="ignore"):
            return np.frombuffer(data, np.dtype(message.dtype).newbyteorder("<")).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Opened:
    """The event file of one worker and step with the places of its records, and the shapes told beside them."""

    saved: Saved
    mode: str | None
    source: Source | None
    places: tuple[tuple[int, int], ...]
    shapes: Mapping[str, tuple[int, ...]]


def open_saved(trial: Trial, saved: Saved) -> Opened:
    """Where the records of one worker and step lie: by its index, or else by walking its event file."""
    troubles = trial.troubles
    index: dict[str, Any] = {}
    if saved.index is not None:
        try:
            read = Source(saved.index, str(saved.index), follow_links=False)
            content = parse_json(read, read.read_all(MAX_INDEX_BYTES))
            index = content if isinstance(content, dict) else {}
        except SourceError:
            # Its event file is walked, which is told below.
            index = {}
    meta = index.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    mode = meta.get("mode")
    mode = MODE_NAMES.get(mode) if isinstance(mode, str) else None
    path = _event_path(trial, saved, meta.get("event_file_name"))
    shapes = _shapes(index.get("shape_payload"))
    if path is None:
        if index.get("tensor_payload"):
            troubles.add("its event file is missing", saved.index)
        return Opened(saved, mode, None, (), shapes)
    source = Source(path, str(path), follow_links=False)
    try:
        with source.open_raw() as handle:
            places = _indexed(handle, source.size, index.get("tensor_payload"))
            if places is None:
                if saved.index is not None:
                    troubles.add(
                        "is damaged or does not fit its event file, which is read record by record", saved.index
                    )
                places = _walked(handle, source.size, path, troubles)
    except SourceError as error:
        troubles.add("is not read", path, error.message)
        return Opened(saved, mode, None, (), shapes)
    return Opened(saved, mode, source, places, shapes)


def _event_path(trial: Trial, saved: Saved, named: Any) -> Path | None:
    """The event file that the index names, if it lies in the trial; else the one in its usual place."""
    if not isinstance(named, str):
        return saved.events
    relative = PurePosixPath(named)
    parts = relative.parts
    refused = relative.is_absolute() or ".." in parts or "\0" in named or "\\" in named or not parts
    path = trial.root
    for part in () if refused else parts:
        path = path / part
        try:
            refused = refused or path.is_symlink()
        except OSError:
            refused = True
    if refused:
        trial.troubles.add("the index names an event file outside the trial, which is not opened", saved.index)
        return saved.events
    if path == saved.events:
        return path
    try:
        return path if path.is_file() else saved.events
    except OSError:
        return saved.events


def _indexed(handle: IO[bytes], size: int, payload: Any) -> tuple[tuple[int, int], ...] | None:
    """(start, length) of the records that the index names; None where one is not where it should be."""
    if not isinstance(payload, list) or len(payload) > MAX_RECORDS:
        return None
    places: list[tuple[int, int]] = []
    end = 0
    for item in payload:
        start, length = (item.get("start_idx"), item.get("length")) if isinstance(item, dict) else (None, None)
        if not isinstance(start, int) or not isinstance(length, int) or start < end or length < OVERHEAD_BYTES:
            return None
        end = start + length
        if end > size:
            return None
        handle.seek(start)
        if record_length(handle.read(HEADER_BYTES)) != length - OVERHEAD_BYTES:
            return None
        places.append((start, length))
    return tuple(places)


def _walked(handle: IO[bytes], size: int, path: Path, troubles: Troubles) -> tuple[tuple[int, int], ...]:
    """(start, length) of the records of an event file, one after the other, until one is damaged."""
    places: list[tuple[int, int]] = []
    pos = 0
    while pos < size:
        handle.seek(pos)
        payload = record_length(handle.read(HEADER_BYTES))
        if payload is None or pos + payload + OVERHEAD_BYTES > size:
            troubles.add("its end is damaged or incomplete and was left out", path, f"{size - pos:,} bytes")
            break
        if len(places) >= MAX_RECORDS:
            troubles.add(f"only its first {counted(MAX_RECORDS, 'record')} are read", path)
            break
        places.append((pos, payload + OVERHEAD_BYTES))
        pos += payload + OVERHEAD_BYTES
    return tuple(places)


def _shapes(payload: Any) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for item in payload[:MAX_RECORDS] if isinstance(payload, list) else ():
        if not isinstance(item, dict):
            continue
        name, shape = item.get("tensorname"), item.get("shape")
        if isinstance(name, str) and isinstance(shape, list) and len(shape) <= 64:
            sizes = tuple(size for size in shape if isinstance(size, int) and size >= 0)
            if len(sizes) == len(shape):
                shapes[name] = sizes
    return shapes


def records(trial: Trial, opened: Opened, *, largest: int | None = None) -> Iterator[Record]:
    """The tensors of one worker and step, in the order in which they were written.

    ``largest`` leaves out longer records unread. Damaged ones are left out with a note.
    """
    if opened.source is None:
        return
    mode = opened.mode
    try:
        with opened.source.open_raw() as handle:
            for start, length in opened.places:
                if largest is not None and length > largest:
                    continue
                try:
                    message = _message(handle, start, length - OVERHEAD_BYTES)
                except (ValueError, struct.error) as error:
                    reason = str(error) if isinstance(error, ValueError) else "it is cut off"
                    trial.troubles.add("a damaged record was left out", opened.source.path, reason)
                    continue
                if opened.mode is None and message.mode is not None:
                    mode = message.mode
                yield Record(message, mode or "", opened.source, start + HEADER_BYTES + message.start)
    except SourceError as error:
        trial.troubles.add("is not read", opened.source.path, error.message)
    except OSError as error:
        trial.troubles.add("is not read", opened.source.path, error.strerror or str(error))


def _message(handle: IO[bytes], start: int, size: int) -> Message:
    handle.seek(start + HEADER_BYTES)
    if size > WHOLE_BYTES:
        return parse_record(handle.read(_PREFIX_BYTES), size)
    framed = handle.read(size + 4)
    if len(framed) < size + 4:
        raise ValueError("it is cut off")
    payload = framed[:size]
    if not checksum_fits(payload, int.from_bytes(framed[size:], "little")):
        raise ValueError("its checksum is wrong")
    return parse_record(payload, size)
