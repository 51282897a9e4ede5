"""What the user asks for: flags > environment > settings file > default.

A settings file is the nearest ``ctroubleshoot.toml``, or ``pyproject.toml`` with a
``[tool.ctroubleshoot]`` table, upward from the run and then from the working directory.
It can choose rules, metrics and presentation; it cannot name a file to write, nor give a regular expression.
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import SettingsError, UsageError
from convergence_cli.model import DEFAULT_PROFILE, PROFILES
from convergence_cli.printable import printable
from convergence_cli.selection import did_you_mean
from convergence_cli.streams import STANDARD_INPUT, STANDARD_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FORMATS = ("text", "concise", "json", "jsonl", "markdown", "sarif", "junit", "github", "gitlab", "html")
COLORS = ("auto", "always", "never")
FAIL_ON = ("error", "warning", "note", "never")
ENVIRONMENT_PREFIX = "CTROUBLESHOOT_"
OWN_FILE, SHARED_FILE = "ctroubleshoot.toml", "pyproject.toml"
MAX_FILE_BYTES = 1 << 20
_CHOICES = {"format": FORMATS, "color": COLORS, "fail_on": FAIL_ON, "profile": PROFILES}
_LISTS = ("select", "ignore", "extend_select")
# What a file, found in a folder that somebody sent, must not choose: where to write, and what could run for ever.
_NOT_IN_FILES = ("output", "pattern")
# The table of lr-find has keys of its own, which it reads itself.
LR_FIND = "lr_find"
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a command can be told; ``metrics`` maps a role to the series name that plays it.

    ``as_of``, in steps of the run's own axis, has runs judged as their logs were when training first passed it.
    """

    profile: str = DEFAULT_PROFILE
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    fail_on: str = "error"
    exit_zero: bool = False
    metrics: Mapping[str, str] = field(default_factory=dict)
    pattern: str | None = None
    as_of: float | None = None
    color: str = "auto"
    format: str = "text"
    output: str | None = None


KEYS = tuple(item.name for item in fields(Settings))
_FILE_KEYS = tuple(key for key in KEYS if key not in _NOT_IN_FILES)


def resolve(
    flags: Mapping[str, Any],
    *,
    run: str | None = None,
    config: str | None = None,
    isolated: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from all sources; ``flags`` holds only what was given on the command line.

    ``config`` names the one settings file to read, ``isolated`` reads none.
    Raises ``SettingsError`` for an unknown key or a value of the wrong kind, wherever it stands.
    """
    environment = os.environ if environment is None else environment
    settings = Settings()
    found = _table_for(run, config, isolated, environment)
    if found is not None:
        settings = replace(settings, **_from_file(*found))
    for layer in (_from_environment(environment), _checked_flags(flags)):
        metrics = {**settings.metrics, **layer.get("metrics", {})}
        settings = replace(settings, **{**layer, "metrics": metrics})
    return settings


def find_table(run: str | None) -> tuple[Path, str, Mapping[str, Any]] | None:
    """The nearest settings file, its text and its table: upward from ``run``, then from here."""
    try:
        here = Path.cwd()
        starts = [here]
    except OSError:
        # A working directory that has been deleted holds no settings.
        here, starts = Path("/"), []
    if not (run is None or run in STANDARD_INPUT):
        path = here / run
        folder = path if path.is_dir() else path.parent
        # Not in the run folder itself: a run that somebody sent must not choose what is reported of it.
        if folder != here:
            starts.insert(0, folder.parent)
    for start in starts:
        for folder in (start, *start.parents):
            for name in (OWN_FILE, SHARED_FILE):
                found = _table(folder / name)
                if found is not None:
                    return found
    return None


def _named_table(path: Path) -> tuple[Path, str, Mapping[str, Any]]:
    found = _table(path, whole=path.name != SHARED_FILE)
    if found is not None:
        return found
    if not path.is_file():
        raise SettingsError(f"The settings file {printable(path)} cannot be read.", "Check the path.")
    raise SettingsError(f"{printable(path)} has no [tool.ctroubleshoot] table.", "Add one, or name another file.")


def _table(path: Path, *, whole: bool | None = None) -> tuple[Path, str, Mapping[str, Any]] | None:
    """The settings in ``path``, or None where it has none; ``whole``: the file is nothing else."""
    whole = path.name == OWN_FILE if whole is None else whole
    try:
        status = path.stat()
        # A FIFO or device under this name must not hang the start.
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > MAX_FILE_BYTES:
            if not whole:
                return None
            raise SettingsError(f"{printable(path)} is too large for a settings file.", "Check the path.")
        raw = path.read_bytes()
    except (OSError, ValueError):
        return None
    # Most files of this name hold no table of ours: spare them the parser.
    if not whole and not (b"tool.ctroubleshoot" in raw or (b"[tool]" in raw and b"ctroubleshoot" in raw)):
        return None
    text = raw.decode("utf-8", "replace")
    data = _parse(path, text)
    if whole:
        return path, text, data
    table = data.get("tool", {}).get("ctroubleshoot") if isinstance(data.get("tool"), dict) else None
    return (path, text, table) if isinstance(table, dict) else None


def _parse(path: Path, text: str) -> dict[str, Any]:
    import sys
    from importlib import import_module

    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(
            f"{printable(path)} is not valid TOML: {printable(error)}.", "Correct it, or pass --isolated."
        ) from error
    return data


def _table_for(
    run: str | None, config: str | None, isolated: bool, environment: Mapping[str, str]
) -> tuple[Path, str, Mapping[str, Any]] | None:
    config = config or environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    if isolated:
        return None
    return _named_table(Path(config)) if config else find_table(run)


def lr_find_table(config: str | None, isolated: bool) -> tuple[Path, str, Mapping[str, Any]] | None:
    """The settings file that holds here (see ``resolve``), its text, and its ``lr-find`` table; None without one."""
    found = _table_for(None, config, isolated, os.environ)
    if found is None:
        return None
    path, text, table = found
    own = table.get("lr-find", table.get(LR_FIND))
    return (path, text, own) if isinstance(own, dict) else None


def _from_file(path: Path, text: str, table: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for written, value in table.items():
        key = written.replace("-", "_")
        place = f"{printable(path)}:{line_of(text, written)}"
        if key == LR_FIND and isinstance(value, dict):
            continue
        if key in _NOT_IN_FILES:
            raise SettingsError(f"{place}: '{key}' cannot be set in a file.", f"Pass --{key} on the command line.")
        if key not in KEYS:
            raise SettingsError(
                f"{place}: unknown key '{printable(written)}'.",
                f"{did_you_mean(key, _FILE_KEYS)}Known keys: {', '.join(_FILE_KEYS)}.",
            )
        values[key] = _checked(key, value, place)
    return values


def line_of(text: str, key: str) -> int:
    """The line on which ``key`` is first written as a key or a table name, 1 where it cannot be told."""
    for number, line in enumerate(text.splitlines(), 1):
        head = line.split("=", 1)[0].strip().strip("[]").strip()
        if key in (head.strip("\"'"), head.rsplit(".", 1)[-1].strip("\"'")):
            return number
    return 1


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return dict(_environment_values(environment))


def _environment_values(environment: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for key in KEYS:
        name = f"{ENVIRONMENT_PREFIX}{key.upper()}"
        text = environment.get(name)
        if text is None or (not text and key != "exit_zero"):
            continue
        value: Any = text
        if key in _LISTS:
            value = [part.strip() for part in text.split(",") if part.strip()]
        elif key == "metrics":
            value = metric_pairs([part for part in text.split(",") if part.strip()], name)
        elif key == "exit_zero":
            value = _TRUTH.get(text.strip().lower(), text)
        yield key, _checked(key, value, name)


def _checked_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _checked(key, value, f"--{key.replace('_', '-')}") for key, value in flags.items()}


def metric_pairs(texts: Sequence[str], place: str) -> dict[str, str]:
    """Role to name, for each ``ROLE=NAME``. Raises ``UsageError`` where a role is given twice."""
    named: dict[str, str] = {}
    for role, name in (metric_pair(text, place) for text in texts):
        if role in named:
            raise UsageError(
                f"{place}: {printable(role)} is given twice, as {printable(named[role])} and as {printable(name)}.",
                "Name one series for each role.",
            )
        named[role] = name
    return named


def metric_pair(text: str, place: str) -> tuple[str, str]:
    """``ROLE=NAME`` taken apart at the first ``=``; ``place`` says where it was written."""
    role, equals, name = text.partition("=")
    if not (role.strip() and equals and name.strip()):
        raise SettingsError(
            f"{place}: '{printable(text)}' is not ROLE=NAME.", "Write for example: train_loss=loss/train"
        )
    return role.strip(), name.strip()


def _checked(key: str, value: Any, place: str) -> Any:
    """``value`` as the type that ``Settings`` has for ``key``."""
    if key in _LISTS:
        if isinstance(value, str):
            value = [value]
        if not (isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)):
            raise _wrong(key, place, "a list of rule codes or names")
        return tuple(value)
    if key == "metrics":
        if not (isinstance(value, dict) and all(isinstance(item, str) for item in value.values())):
            raise _wrong(key, place, "a table of role = series name")
        return dict(value)
    if key == "exit_zero":
        if not isinstance(value, bool):
            raise _wrong(key, place, "true or false")
        return value
    if key == "as_of":
        return _step(value, place)
    if not isinstance(value, str):
        raise _wrong(key, place, "text")
    if key in _CHOICES and value not in _CHOICES[key]:
        choices = _CHOICES[key]
        raise SettingsError(
            f"{place}: '{printable(value)}' is not a value of {key.replace('_', '-')}.",
            f"{did_you_mean(value, choices)}Choose from: {', '.join(choices)}.",
        )
    if key == "pattern":
        from convergence_cli.pattern import compiled

        compiled(value, place)
    return None if key == "output" and value in STANDARD_OUTPUT else value


def _step(value: Any, place: str) -> float:
    """``value``, a number or its text, as a step. Raises ``UsageError`` where it is none, or negative."""
    try:
        step = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        step = math.nan
    if not 0 <= step < math.inf:
        raise UsageError(
            f"{place}: '{printable(value)}' is not a step.",
            "Give a number from 0 up, counted as the log counts (steps or epochs), for example 120.",
        )
    return step


def _wrong(key: str, place: str, wanted: str) -> SettingsError:
    return SettingsError(f"{place}: {key.replace('_', '-')} must be {wanted}.", "Correct the value.")
