"""Where a trial is kept: a new folder for each, never inside the run that was judged."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.printable import printable
from convergence_cli.streams import STANDARD_INPUT

DEFAULT_FOLDER = "ct-trials"
RUN_FOLDER = "run"
_NUMBERED = re.compile(r"(\d{1,6})-")
_LONGEST_NAME = 60
_MOST_FILES = 2000


def keeping_place(keep: str | None, run: str) -> Path:
    """The folder for all trials of ``run`` (its path as given), named after it; not made yet.

    Raises ``UsageError`` where it would lie inside the run folder.
    """
    name = "stdin" if run in STANDARD_INPUT else os.path.basename(os.path.realpath(run))
    place = Path(keep) if keep else Path(DEFAULT_FOLDER) / _plain(name)
    if run not in STANDARD_INPUT and os.path.isdir(run):
        inside = os.path.realpath(run)
        if os.path.commonpath([inside, os.path.realpath(place)]) == inside:
            raise UsageError(
                f"The trials would be kept in {printable(place)}, inside the run {printable(run)}, "
                "which is never written to.",
                "Name another folder with --keep, for example: --keep ../ct-trials",
            )
    return place


def new_folder(place: Path, remedy: str, seed: int | None) -> tuple[Path, Path]:
    """A new ``N-remedy`` in ``place``, and in it the folder for what the command itself writes.

    Raises ``CtroubleshootError`` where it cannot be made.
    """
    ending = "" if seed is None else f"-seed-{seed}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        numbers = [int(found[1]) for item in os.listdir(place) if (found := _NUMBERED.match(item))]
        folder = (place / f"{max(numbers, default=0) + 1}-{_plain(remedy)}{ending}").absolute()
        run_folder = folder / RUN_FOLDER
        run_folder.mkdir(parents=True)
    except OSError as error:
        raise CtroubleshootError(
            f"No folder for the trial can be made in {printable(place)}: {error.strerror or error}.",
            "Name another folder with --keep.",
        ) from error
    return folder, run_folder


def _plain(name: str) -> str:
    """``name`` as one part of a path, whatever stands in it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_LONGEST_NAME] or "run"


def fingerprints(path: str) -> Mapping[str, tuple[int, int]]:
    """Time of writing (nanoseconds) and size (bytes) of the file ``path``, or of the first 2,000 files in it."""
    found: dict[str, tuple[int, int]] = {}
    for name in _files(path):
        try:
            status = os.stat(name)
        except (OSError, ValueError):
            continue
        found[name] = (status.st_mtime_ns, status.st_size)
    return found


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    found: list[str] = []
    for folder, _, names in os.walk(path):
        found += [os.path.join(folder, name) for name in names]
        if len(found) >= _MOST_FILES:
            break
    return found[:_MOST_FILES]
