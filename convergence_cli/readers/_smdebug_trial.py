"""The layout of a SageMaker Debugger trial folder (smdebug 1.0.34): manifests, index files, event files.

    collections/<9 digits>/<worker>_collections.json    which tensors belong to which collection
    index/<step // 1000>/<step>_<worker>.json           where each tensor lies in the event file, and shapes
    events/<step>/<step>_<worker>.tfevents              one record a tensor

``step`` is global. Nothing outside the folder is read, whatever an index says.
"""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from convergence_cli.errors import SourceError
from convergence_cli.printable import counted, printable
from convergence_cli.readers._guard import Source, parse_json
from convergence_cli.readers._smdebug_record import MODE_NAMES, Message, checksum_fits, parse_record
from convergence_cli.readers._tfrecord import HEADER_BYTES, OVERHEAD_BYTES, record_length

# What a trial is made of; ``tensorboard`` holds copies of it.
TRIAL_FOLDERS = frozenset({"events", "index", "collections", "tensorboard"})
MAX_SAVED = 200_000
MAX_RECORDS = 200_000
MAX_INDEX_BYTES = 8 << 20
MAX_MANIFESTS = 64
# A record up to this size is read whole and checked; of a larger one only its beginning, where its place is told.
WHOLE_BYTES = 4 << 20
_PREFIX_BYTES = 1 << 16
_SAVED_NAME = re.compile(r"^(\d{1,15})_(.+)\.(json|csv|tfevents)$", re.DOTALL)
_MANIFEST = re.compile(r"^(.+)_collections\.json$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Collected:
    """One collection of the manifest: the tensors it took, and the patterns by which it takes them."""

    names: frozenset[str]
    patterns: tuple[str, ...]


@dataclass(slots=True)
class Troubles:
    """What could not be read, gathered so that a thousand damaged records make one note."""

    first: dict[str, str] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, where: object) -> None:
        """Note that ``reason`` held at ``where``."""
        self.first.setdefault(reason, printable(where))
        self.times[reason] += 1

    def notes(self) -> list[str]:
        """One sentence a reason."""
        return [
            f"{where}: {reason}" + (f" ({self.times[reason] - 1:,} more like it)" if self.times[reason] > 1 else "")
            for reason, where in self.first.items()
        ]


@dataclass(frozen=True, slots=True)
class Saved:
    """What one worker saved at one global step: its index file and its event file, below the root."""

    step: int
    worker: str
    index: Path | None
    events: Path | None


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial folder, its tensors not yet read. ``saved`` ascends by step; ``workers`` are sorted."""

    root: Path
    collections: Mapping[str, Collected]
    saved: tuple[Saved, ...]
    workers: tuple[str, ...]
    troubles: Troubles


@dataclass(frozen=True, slots=True)
class Record:
    """One tensor: what its message says, and the file in which its values begin at byte ``offset``."""

    message: Message
    mode: str
    source: Source
    offset: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The event file of one worker and step with the places of its records, and the shapes told beside them."""

    saved: Saved
    mode: str | None
    source: Source | None
    places: tuple[tuple[int, int], ...]
    shapes: Mapping[str, tuple[int, ...]]


def is_trial(folder: Path) -> bool:
    """Whether ``folder`` has the sub-folders of a trial, none of them a link."""
    parts = [folder / part for part in ("events", "index", "collections")]
    there = [part for part in parts if part.is_dir() and not part.is_symlink()]
    if parts[0] not in there or len(there) < 2:
        return False
    return any(entry.name.isdigit() for part in there for entry in _entries(part, Troubles()))


def open_trial(root: Path) -> Trial:
    """The trial at ``root``; raises ``SourceError`` where nothing has been saved yet."""
    troubles = Troubles()
    found: dict[tuple[int, str], dict[str, Path]] = {}
    for part in ("index", "events"):
        for path in _files(root / part, troubles):
            match = _SAVED_NAME.match(path.name)
            if match is None or (match[3] == "tfevents") != (part == "events"):
                continue
            if match[3] == "csv":
                troubles.add("index files in CSV are not read; the event files are, record by record", path)
                continue
            found.setdefault((int(match[1]), match[2]), {})[part] = path
    if not found:
        shown = printable(root)
        raise SourceError(
            str(root),
            f"{shown} is a SageMaker Debugger trial in which nothing has been saved yet.",
            "Try again after its first saved step, or check that its events/ folder was copied.",
        )
    saved = tuple(Saved(*key, parts.get("index"), parts.get("events")) for key, parts in sorted(found.items()))
    workers = tuple(sorted({one.worker for one in saved}, key=_natural))
    return Trial(root, _collections(root, troubles), saved, workers, troubles)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() and len(part) < 16 else (-1, part) for part in re.split(r"(\d+)", name)]


def _files(folder: Path, troubles: Troubles) -> Iterator[Path]:
    """Regular files in the sub-folders of ``folder``, in a stable order, no link followed."""
    count = 0
    for child in _entries(folder, troubles):
        if not child.is_dir(follow_symlinks=False):
            continue
        for entry in _entries(Path(child.path), troubles):
            if entry.is_file(follow_symlinks=False):
                count += 1
                if count > MAX_SAVED:
                    troubles.add(f"only the first {MAX_SAVED:,} files are read", folder)
                    return
                yield Path(entry.path)


def _entries(folder: Path, troubles: Troubles) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        troubles.add(f"cannot be opened: {error.strerror or error}", folder)
        return []


def _collections(root: Path, troubles: Troubles) -> dict[str, Collected]:
    """The collections of all workers' manifests, joined by name."""
    names: dict[str, set[str]] = {}
    patterns: dict[str, tuple[str, ...]] = {}
    manifests = [path for path in _files(root / "collections", troubles) if _MANIFEST.match(path.name)]
    for path in manifests[:MAX_MANIFESTS]:
        try:
            source = Source(path, str(path), follow_links=False)
            content = parse_json(source, source.read_all(MAX_INDEX_BYTES))
        except SourceError as error:
            troubles.add(f"the manifest of collections is not read: {error.message}", path)
            continue
        collections = content.get("collections") if isinstance(content, dict) else None
        for name, one in collections.items() if isinstance(collections, dict) else ():
            if isinstance(one, dict):
                names.setdefault(name, set()).update(_texts(one.get("tensor_names")))
                patterns.setdefault(name, _texts(one.get("include_regex")))
    if not manifests:
        troubles.add("there is no manifest of collections; kinds are read from the names of tensors", root)
    return {name: Collected(frozenset(members), patterns[name]) for name, members in names.items()}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def open_saved(trial: Trial, saved: Saved) -> Opened:
    """Where the records of one worker and step lie: by its index, or else by walking its event file."""
    troubles = trial.troubles
    index: dict[str, Any] = {}
    if saved.index is not None:
        try:
            read = Source(saved.index, str(saved.index), follow_links=False)
            content = parse_json(read, read.read_all(MAX_INDEX_BYTES))
            index = content if isinstance(content, dict) else {}
        except SourceError as error:
            troubles.add(f"the index is not read: {printable(error.message)}", saved.index)
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
                    troubles.add("the index does not fit its event file, which is read record by record", saved.index)
                places = _walked(handle, source.size, path, troubles)
    except SourceError as error:
        troubles.add(f"is not read: {printable(error.message)}", path)
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
            troubles.add(f"{size - pos:,} bytes at its end are damaged or incomplete and were left out", path)
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
                    trial.troubles.add(f"a record was left out: {printable(reason)}", opened.source.path)
                    continue
                if opened.mode is None and message.mode is not None:
                    mode = message.mode
                yield Record(message, mode or "", opened.source, start + HEADER_BYTES + message.start)
    except SourceError as error:
        trial.troubles.add(f"is not read: {printable(error.message)}", opened.source.path)
    except OSError as error:
        trial.troubles.add(f"is not read: {error.strerror or error}", opened.source.path)


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
