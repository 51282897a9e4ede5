"""What tidy rows say once a run: where it came from, its settings and its notes; checked as it is read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from convergence_cli.codec import plain
from convergence_cli.printable import printable

if TYPE_CHECKING:
    from convergence_cli.model import Run

VERSION = 1
# A spreadsheet keeps 32,767 characters of a cell.
LONGEST_PART = 30_000
MAX_KEYS = 1000
MAX_NOTES = 200
_LONGEST_NAME = 1400
_LONGEST_NOTE = 2000
_NOT_JSON = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


@dataclass(slots=True)
class About:
    """What is known of a run. ``complete``: something was said, so that its settings need not be guessed."""

    format: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    goes_on: bool = False
    complete: bool = False

    def add(self, told: object) -> None:
        """Take one part, JSON text or what it stands for; what has a wrong type is left out."""
        found = _loaded(told) if isinstance(told, (str, bytes)) else told
        if not isinstance(found, dict):
            return
        self.complete = True
        if isinstance(found.get("format"), str):
            self.format = printable(found["format"], 60)
        self.goes_on |= found.get("goes_on") is True
        config, notes = found.get("config"), found.get("notes")
        for key, value in islice(config.items(), MAX_KEYS) if isinstance(config, dict) else ():
            if len(self.config) < MAX_KEYS and len(key) <= _LONGEST_NAME and _is_setting(value):
                self.config[key] = _NOT_JSON.get(value, value) if isinstance(value, str) else value
        if isinstance(notes, list):
            room = MAX_NOTES - len(self.notes)
            self.notes += [note[:_LONGEST_NOTE] for note in notes[:room] if isinstance(note, str)]


def about_data(run: Run) -> dict[str, Any]:
    """What is said of ``run``, as plain JSON data."""
    told: dict[str, Any] = {"ctroubleshoot": VERSION, "format": run.format, "path": run.path}
    told |= {"config": plain(run.config), "notes": list(run.notes)}
    return told | {"goes_on": True} if run.goes_on else told


def about_parts(run: Run, most: int) -> Iterator[dict[str, Any]]:
    """``about_data`` in at most ``most`` parts, each of them short enough for a cell unless it is the last."""
    whole = about_data(run)
    if most < 2 or len(json.dumps(whole)) <= LONGEST_PART:
        yield whole
        return
    config, notes = whole.pop("config"), whole.pop("notes")
    pieces = [("config", {key: value}) for key, value in config.items()] + [("notes", [note]) for note in notes]
    size, given = len(json.dumps(whole)) + 40, 1
    for name, piece in pieces:
        more = len(json.dumps(piece))
        if size + more > LONGEST_PART and given < most:
            yield whole
            whole, size, given = {}, 40, given + 1
        held = whole.setdefault(name, type(piece)())
        held.update(piece) if isinstance(held, dict) else held.extend(piece)
        size += more
    yield whole


def _loaded(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_setting(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_NAME
    return isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 1 << 63)
