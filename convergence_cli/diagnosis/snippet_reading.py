"""The sheets of ``snippets_data`` as objects: read when they are first asked for, and once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("snippets_data")
_CONDITIONS = frozenset({"value", "with", "given", "known"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One way to write one key: when it fits, and its lines by stage."""

    value: tuple[str, ...]
    with_: tuple[str, ...]
    given: tuple[str, ...]
    known: tuple[str, ...]
    lines: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one framework can write (``snippet_sheets`` tells what the parts mean)."""

    stages: tuple[str, ...]
    calls: Mapping[str, str]
    carry: Mapping[str, tuple[str, ...]]
    derived: Mapping[str, tuple[str, ...]]
    names: Mapping[str, Mapping[str, str]]
    default: Mapping[str, Any]
    keys: Mapping[str, tuple[Entry, ...]]


@cache
def sheet_of(name: str) -> Sheet | None:
    """The sheet ``name``, with what it inherits; None where there is none of that name."""
    # The name may come from a log: only a sheet that lies there is opened.
    path = next((path for path in FOLDER.glob("*.toml") if path.stem == name), None)
    if path is None:
        return None
    data = _toml().loads(path.read_text(encoding="utf-8"))
    calls: dict[str, str] = {}
    derived: dict[str, tuple[str, ...]] = {}
    names: dict[str, Mapping[str, str]] = {}
    keys: dict[str, tuple[Entry, ...]] = {}
    for other, wanted in data.get("inherits", {}).items():
        parent = sheet_of(other)
        assert parent is not None, f"{path.name} inherits from {other}, which does not exist"
        calls |= parent.calls
        derived |= parent.derived
        names |= parent.names
        keys |= {key: entries for key, entries in parent.keys.items() if wanted == ["*"] or key in wanted}
    return Sheet(
        tuple(data.get("stages", ())),
        calls | {stage: call.strip("\n") for stage, call in data.get("calls", {}).items()},
        {stage: tuple(carried) for stage, carried in data.get("carry", {}).items()},
        derived | {key: tuple(texts) for key, texts in data.get("derived", {}).items()},
        names | data.get("names", {}),
        data.get("default", {}),
        keys | {key: tuple(map(_entry, entries)) for key, entries in data["keys"].items()},
    )


def _entry(data: Mapping[str, Any]) -> Entry:
    lines = {
        stage: tuple(x.strip("\n") for x in _many(text)) for stage, text in data.items() if stage not in _CONDITIONS
    }
    value, with_, given, known = (_many(data.get(name, ())) for name in ("value", "with", "given", "known"))
    return Entry(value, with_, given, known, lines)


def _many(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _toml() -> Any:
    return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
