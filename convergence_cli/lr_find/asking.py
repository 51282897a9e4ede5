"""What ``lr-find`` was asked for: on the command line, in the settings file, or by a lone ``setup()`` here."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from convergence_cli.errors import SettingsError, UsageError
from convergence_cli.learning_rate import FEWEST_STEPS, PRECISIONS, SCHEDULES
from convergence_cli.lr_find.answering import METHODS
from convergence_cli.lr_find.search import BOUNDS
from convergence_cli.lr_find.target import example, factories
from convergence_cli.printable import printable
from convergence_cli.selection import did_you_mean
from convergence_cli.settings import line_of, lr_find_table
from convergence_cli.streams import STANDARD_INPUT

Kind = Literal["factory", "command", "record"]
DEFAULT_STEPS, COMMAND_STEPS = 600, 100
DEMO = Path(__file__).parent.parent / "demo" / "_lr_find.py"
WHAT_TO_WRITE = (
    "Nothing here says what to train. Write in train.py:\n"
    "  def setup():\n"
    '      return {"model": model, "loss": loss, "loader": loader, "optimizer": optimizer}\n'
    f"and run: ctroubleshoot lr-find {example()}\n"
    "or, for a script: ctroubleshoot lr-find -- python train.py --lr {learning_rate} --max-steps {steps}"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """All that can be asked for; None where the user left it open."""

    schedule: str | None = None
    method: str = METHODS[0]
    steps: int | None = None
    seed: int | None = None
    accumulate: int = 1
    amp: str = ""
    device: str = "auto"
    min_lr: float = BOUNDS[0]
    max_lr: float = BOUNDS[1]


@dataclass(frozen=True, slots=True)
class Target:
    """What to search: ``words`` are the command, or one target or path."""

    kind: Kind
    words: tuple[str, ...]


KEYS = ("target", "command", *Asked.__dataclass_fields__)


def asked(
    words: Sequence[str],
    dashed: bool,
    flags: Mapping[str, Any],
    *,
    config: str | None = None,
    isolated: bool = False,
) -> tuple[Target, Asked]:
    """The target and the settings. ``dashed``: the words stood behind ``--``; flags that were not given are None.

    ``config`` names the one settings file to read, ``isolated`` reads none.
    Raises ``UsageError`` where nothing says what to train, or a value cannot be.
    """
    table = lr_find_table(config, isolated)
    values: dict[str, Any] = {}
    written: tuple[str, ...] = ()
    if table is not None:
        path, text, found = table
        for key, value in found.items():
            place = f"{printable(path)}:{_line_of(text, key)}"
            name = key.replace("-", "_")
            if name not in KEYS:
                raise SettingsError(
                    f"{place}: unknown key '{printable(key)}' of lr-find.",
                    f"{did_you_mean(name, KEYS)}Known keys: {', '.join(KEYS)}.",
                )
            if name == "target":
                written = (_from_table(path, value, place),)
            elif name == "command":
                written = _words(value, place)
            else:
                values[name] = _checked(name, value, place)
    if table is not None and "target" in table[2] and "command" in table[2]:
        raise SettingsError(
            f"{printable(table[0])} names both a target and a command for lr-find.", "Keep the one that is meant."
        )
    for key, value in flags.items():
        if value is not None:
            values[key] = _checked(key, value, f"--{key.replace('_', '-')}")
    settings = replace(Asked(), **values)
    if not 0 < settings.min_lr < settings.max_lr:
        raise UsageError(
            f"No rate lies between {settings.min_lr:g} and {settings.max_lr:g}.", "Give --min-lr below --max-lr."
        )
    if words:
        return _target(words, dashed), settings
    if written:
        return _target(written, "command" in (table[2] if table else ())), settings
    return _alone(), settings


def _from_table(path: Path, value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{place}: target must be text.", f'Write for example: target = "{example()}"')
    relative = os.path.relpath(path.parent / value)
    return relative if not relative.startswith(os.pardir) else str(path.parent / value)


def _line_of(text: str, key: str) -> int:
    """The line of ``key`` in the table of lr-find: other tables may have a key of that name."""
    lines = text.splitlines(keepends=True)
    heads = (
        number
        for number, line in enumerate(lines)
        if line.strip().startswith("[") and "lr-find" in line.replace("_", "-")
    )
    above = next(heads, 0)
    return above + line_of("".join(lines[above:]), key)


def _words(value: Any, place: str) -> tuple[str, ...]:
    if not (isinstance(value, list) and value and all(isinstance(one, str) for one in value)):
        raise SettingsError(
            f"{place}: command must be a list of words.",
            'Write for example: command = ["python", "train.py", "--lr", "{learning_rate}"]',
        )
    return tuple(value)


def _target(words: Sequence[str], dashed: bool) -> Target:
    if dashed:
        return Target("command", tuple(words))
    if len(words) > 1:
        raise UsageError(
            f"lr-find takes one target, not {len(words)}.",
            f"Before a command of your own put --: ctroubleshoot lr-find -- {printable(' '.join(words), 200)}",
        )
    word = words[0]
    path = word.rpartition(":")[0] or word
    if path.endswith(".py") or word.endswith(".py"):
        return Target("factory", (word,))
    if word in STANDARD_INPUT or os.path.exists(word):
        return Target("record", (word,))
    raise UsageError(
        f"{printable(word)} is neither a Python file nor a log.",
        f"Name a function ({example()}), a recorded sweep (sweep.csv), or put -- before a command.",
    )


def _alone() -> Target:
    found = factories(Path())
    if len(found) == 1:
        return Target("factory", (found[0],))
    if found:
        raise UsageError(
            f"{len(found)} files here have a setup(): {', '.join(map(printable, found[:5]))}.",
            f"Name one: ctroubleshoot lr-find {printable(found[0])}",
        )
    raise UsageError(WHAT_TO_WRITE, "\nTo see it work: ctroubleshoot lr-find --demo")


def _checked(key: str, value: Any, place: str) -> Any:
    choices = {"schedule": SCHEDULES, "method": METHODS, "amp": PRECISIONS}.get(key)
    if choices is not None:
        if value not in choices:
            raise UsageError(
                f"{place}: '{printable(value)}' is no {'precision' if key == 'amp' else key}.",
                f"{did_you_mean(str(value), choices)}Choose from: {', '.join(choices)}.",
            )
        return value
    if key == "device":
        if not isinstance(value, str):
            raise UsageError(f"{place}: a device is text.", "Write auto, cpu or cuda:0.")
        return value
    if key in ("min_lr", "max_lr"):
        return _rate(value, place)
    least = {"steps": FEWEST_STEPS, "accumulate": 1}.get(key, 0)
    try:
        number = -1 if isinstance(value, (bool, float)) else int(value)
    except (TypeError, ValueError):
        number = -1
    if not least <= number <= 10**9:
        raise UsageError(f"{place}: '{printable(value)}' will not do.", f"Give a whole number from {least} up.")
    return number


def _rate(value: Any, place: str) -> float:
    try:
        rate = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        rate = math.nan
    if not 0 < rate <= 1e6:
        raise UsageError(f"{place}: '{printable(value)}' is no learning rate.", "Give a positive number, such as 1e-5.")
    return rate
