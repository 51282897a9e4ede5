"""Files beside a log that tell the same run again, by the names that one program gives to all of them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from convergence_cli.errors import SourceError
from convergence_cli.readers._guard import Source
from convergence_cli.readers.unreadable import CHECKPOINT_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OFFLINE_ARCHIVE = re.compile(r"^offline-[0-9a-f]{32}\.zip$")
COMET_FOLDER = ".cometml-runs"
_SACRED_LOSS = re.compile(
    rb'"[^"\n]{0,100}loss[^"\n]{0,100}"\s*:\s*\{\s*"(?:steps|values)"\s*:\s*\[\s*[-\dN"{]', re.IGNORECASE
)
_RAY = re.compile(rb'"training_iteration": ?\d[^\n]*\}\r?\n')
_RAY_EVENTS = re.compile(rb"ray/tune/")
_MONITOR = re.compile(r"(^|\.)monitor\.csv$")
_BASELINES = re.compile(rb"(?m)^[^\n]{0,4000}\b(?:time/total_timesteps|time/iterations|time/episodes)\b")


def is_offline_archive(path: Path) -> bool:
    """Whether it is named like an archive of ClearML, or lies where Comet puts its own."""
    return OFFLINE_ARCHIVE.match(path.name) is not None or (path.suffix == ".zip" and path.parent.name == COMET_FOLDER)


def told_again(files: Iterable[Path]) -> set[Path]:
    """Those of ``files`` that are no log of their own.

    Sacred's ``cout.txt`` is the console of the run whose ``metrics.json`` has a loss; ClearML's ``log.jsonl`` and
    ``task.json`` go with ``metrics.jsonl``, and its archive with the folder it was made of; Ray's ``progress.csv`` and
    event file hold what ``result.json`` does; Stable-Baselines3 writes one table into several files, and its monitor a
    row an episode.
    """
    folders: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in files:
        folders[path.parent][path.name] = path
    again: set[Path] = set()
    for folder, names in folders.items():
        again.update(names[name] for name in _told_again(names) if name in names)
        for name in filter(OFFLINE_ARCHIVE.match, names):
            if "metrics.jsonl" in folders.get(folder / name.removesuffix(".zip"), {}):
                again.add(names[name])
    return again


def _told_again(names: dict[str, Path]) -> Iterable[str]:
    if {"metrics.json", "run.json"} <= names.keys():
        yield "run.json"
        if _holds(names["metrics.json"], _SACRED_LOSS, whole=True):
            yield from ("cout.txt", "info.json")
    if {"metrics.jsonl", "task.json"} <= names.keys():
        yield from ("log.jsonl", "task.json")
    if "result.json" in names and _holds(names["result.json"], _RAY):
        yield "progress.csv"
        yield from (name for name in names if "tfevents" in name and _holds(names[name], _RAY_EVENTS))
    if names.keys() & CHECKPOINT_FILES:
        # What Orbax says of a checkpoint in JSON has lists of numbers, and is no log.
        yield from (*CHECKPOINT_FILES, "_METADATA", "_sharding")
    table = next((name for name in ("progress.csv", "progress.json") if name in names), None)
    if table is not None and _holds(names[table], _BASELINES):
        yield from {"progress.json", "log.txt"} - {table}
        yield from (name for name in names if _MONITOR.search(name))


def _holds(path: Path, pattern: re.Pattern[bytes], *, whole: bool = False) -> bool:
    """Whether the beginning (or all) of a file has ``pattern``; not where it cannot be read."""
    source = Source(path, str(path), follow_links=False)
    try:
        return pattern.search(source.read_all() if whole else source.head) is not None
    except SourceError:
        return False
