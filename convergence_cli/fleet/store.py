"""Answers kept by the content of the files, so that a run that has not changed is not judged again."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import suppress
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import convergence_cli
from convergence_cli.codec import plain
from convergence_cli.errors import SourceError
from convergence_cli.fleet.judging import Judged, line_data, line_from
from convergence_cli.model import RunError
from convergence_cli.readers._guard import Source
from convergence_cli.readers.config import files_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from convergence_cli.fleet.judging import Job
    from convergence_cli.settings import Settings

MAX_BYTES = 512 << 20
# What an interrupted call loses at most.
_COMMIT_SECONDS = 2.0
_SHARE_KEPT = 0.7
# A judgement depends on these settings and on no others.
_SETTINGS = ("profile", "select", "ignore", "extend_select", "metrics", "pattern", "as_of")
_LAYOUT = 1


def cache_file() -> Path:
    """Where answers are kept: below ``XDG_CACHE_HOME``, or what the platform has for that."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    return Path(base).expanduser() / "ctroubleshoot" / f"judged-{_LAYOUT}.sqlite"


class Store:
    """Answers by key in one SQLite file. A file that cannot be used is as good as none: nothing here raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._committed = time.monotonic()

    def __enter__(self) -> Store:
        with suppress(OSError, sqlite3.Error):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._connection = _opened(self._path)
            except sqlite3.DatabaseError:
                self._path.unlink()
                self._connection = _opened(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is None:
            return
        with suppress(sqlite3.Error):
            self._trim(self._connection)
            self._connection.commit()
        self._connection.close()
        self._connection = None

    def keys(self, settings: Settings) -> Keys:
        """Makes the keys of jobs with ``settings``."""
        return Keys(settings)

    def get(self, key: bytes) -> Judged | None:
        """The answer under ``key``; None where there is none."""
        if self._connection is None:
            return None
        try:
            found = self._connection.execute("SELECT lines, reports FROM judged WHERE key = ?", (key,)).fetchone()
            if found is None:
                return None
            data = json.loads(found[0])
            reports = _split(found[1], data["sizes"])
            runs = tuple(line_from(line, next(reports)) for line in data["runs"])
            return Judged(runs, tuple(RunError(**error) for error in data["errors"]))
        except (sqlite3.Error, ValueError, KeyError, TypeError, StopIteration, RuntimeError):
            return None

    def put(self, key: bytes, answer: Judged) -> None:
        """Keep ``answer`` under ``key``."""
        if self._connection is None:
            return
        reports = [run.report for run in answer.runs if isinstance(run.report, bytes)]
        lines = {
            "runs": [line_data(run) for run in answer.runs],
            "sizes": [len(report) for report in reports],
            "errors": [plain(error) for error in answer.errors],
        }
        row = (key, json.dumps(lines), b"".join(reports), int(time.time()))
        with suppress(sqlite3.Error):
            self._connection.execute("INSERT OR REPLACE INTO judged VALUES (?, ?, ?, ?)", row)
            if time.monotonic() - self._committed > _COMMIT_SECONDS:
                self._connection.commit()
                self._committed = time.monotonic()

    def _trim(self, connection: sqlite3.Connection) -> None:
        """Forget the oldest where the file has grown too large."""
        (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
        if pages * size <= MAX_BYTES:
            return
        (count,) = connection.execute("SELECT count(*) FROM judged").fetchone()
        drop = count - int(count * _SHARE_KEPT)
        connection.execute("DELETE FROM judged WHERE key IN (SELECT key FROM judged ORDER BY at LIMIT ?)", (drop,))
        connection.commit()
        connection.execute("VACUUM")


class Keys:
    """The key of each job: a digest of all that its answer depends on."""

    def __init__(self, settings: Settings) -> None:
        chosen = [repr(getattr(settings, name)) for name in _SETTINGS]
        self._start = blake2b(f"{_LAYOUT}\0{convergence_cli.__version__}\0{chosen}".encode("utf-8", "replace"))
        self._start.update(self._program)

    @cached_property
    def _program(self) -> bytes:
        """The program itself: one that has been changed judges anew, also where its version has not."""
        root = Path(convergence_cli.__file__).parent
        digest = blake2b(digest_size=16)
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".py", ".json")):
                    status = os.stat(os.path.join(folder, name))
                    digest.update(f"{name}{status.st_size}{status.st_mtime_ns}".encode())
        return digest.digest()

    def key(self, job: Job) -> bytes | None:
        """The key of ``job``; None where its answer depends on more than the files of its logs."""
        digest = self._start.copy()
        digest.update(repr(len(job.units)).encode())
        for unit in job.units:
            if unit.dumps or unit.source is not None or any(group.trial for group in unit.groups):
                return None
            digest.update(f"\0{unit.path}\0{unit.alone}\0{unit.tensors}".encode("utf-8", "replace"))
            folders = {}
            for group in unit.groups:
                folders[group.folder] = group.members[0]
                for path in group.members:
                    folders[path.parent] = path
                    if not _digest_file(digest, path):
                        return None
            for folder, beside in folders.items():
                for path in files_beside(folder, beside):
                    if not _digest_file(digest, path):
                        return None
        return digest.digest()[:24]


def _digest_file(digest: blake2b, path: Path) -> bool:
    own = blake2b(digest_size=32)
    try:
        for block in Source(path, str(path), follow_links=False).blocks(1 << 20, raw=True):
            own.update(block)
    except (SourceError, OSError):
        return False
    digest.update(f"\0{path}\0".encode("utf-8", "replace") + own.digest())
    return True


def _split(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=1)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS judged (key BLOB PRIMARY KEY, lines TEXT, reports BLOB, at INTEGER) WITHOUT ROWID"
    )
    return connection
