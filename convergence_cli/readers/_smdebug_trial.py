"""The layout of a SageMaker Debugger trial folder (smdebug 1.0.34): manifests, index files, event files.

    collections/<9 digits>/<worker>_collections.json    which tensors belong to which collection
    index/<step // 1000>/<step>_<worker>.json           where each tensor lies in the event file, and shapes
    events/<step>/<step>_<worker>.tfevents              one record a tensor

``step`` is global. Nothing outside the folder is read, whatever an index says.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convergence_cli.errors import SourceError
from convergence_cli.printable import counted, printable
from convergence_cli.readers._guard import Source, parse_json

# What a trial is made of; ``tensorboard`` holds copies of it.
TRIAL_FOLDERS = frozenset({"events", "index", "collections", "tensorboard"})
MAX_SAVED = 200_000
MAX_INDEX_BYTES = 8 << 20
MAX_MANIFESTS = 64
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

    first: dict[str, tuple[str, str]] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, where: object, detail: str = "") -> None:
        """Note that ``reason`` held at ``where``; the ``detail`` of the first is told."""
        self.first.setdefault(reason, (printable(where), f" ({printable(detail)})" if detail else ""))
        self.times[reason] += 1

    def notes(self) -> list[str]:
        """One sentence a reason."""
        return [
            f"{where}: {reason}{detail}"
            + (f"; {counted(self.times[reason] - 1, 'other place')} like it" if self.times[reason] > 1 else "")
            for reason, (where, detail) in self.first.items()
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
    if folder.is_symlink():
        troubles.add("is a link, which is not followed", folder)
        return
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
        troubles.add("cannot be opened", folder, error.strerror or str(error))
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
            troubles.add("the manifest of collections is not read", path, _reason(error, path))
            continue
        collections = content.get("collections") if isinstance(content, dict) else None
        for name, one in collections.items() if isinstance(collections, dict) else ():
            if isinstance(one, dict):
                names.setdefault(name, set()).update(_texts(one.get("tensor_names")))
                patterns.setdefault(name, _texts(one.get("include_regex")))
    if not manifests:
        troubles.add("there is no manifest of collections; kinds are read from the names of tensors", root)
    return {name: Collected(frozenset(members), patterns[name]) for name, members in names.items()}


def _reason(error: SourceError, path: Path) -> str:
    return error.message.removeprefix(printable(path)).strip().rstrip(".")


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
