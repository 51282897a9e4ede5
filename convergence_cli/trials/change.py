"""The change put into a command: placeholders in its arguments, and environment variables."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import UsageError
from convergence_cli.printable import printable
from convergence_cli.selection import did_you_mean

if TYPE_CHECKING:
    from convergence_cli.model import Remedy, Run

PREFIX = "CT_"
RUN_DIR, SEED, MAX_STEPS = "run_dir", "seed", "max_steps"
# Only a name, or a name with a default, is a placeholder: JSON, {} and {epoch:02d} in arguments stay as they are.
_MARK = re.compile(r"\{\{|\}\}|\{(?P<key>[A-Za-z_][A-Za-z0-9_.]*)(?:=(?P<default>[^{}]*))?\}")
# "CT_" + key.upper() in a script takes any key.
_ANY_VARIABLE = re.compile(rb"\bCT_(?![A-Z0-9])")
_SCRIPT_BYTES = 1 << 20
_LONGEST_TEXT = 200


def filled(command: Sequence[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """``command`` with each ``{key}`` replaced by its value, ``{key=default}`` by that where there is none.

    ``{{`` and ``}}`` stand for braces. Raises ``UsageError`` for a key without a value.
    """

    def value(found: re.Match[str]) -> str:
        key, default = found["key"], found["default"]
        if key is None:
            return found[0][0]
        if key in values:
            return as_text(values[key])
        if default is None:
            raise _unknown(key, values)
        return str(default)

    return tuple(_MARK.sub(value, argument) for argument in command)


def placeholders(command: Sequence[str]) -> frozenset[str]:
    """The keys for which ``command`` has a place."""
    return frozenset(found["key"] for argument in command for found in _MARK.finditer(argument) if found["key"])


def _unknown(key: str, values: Mapping[str, Any]) -> UsageError:
    known = sorted(values)
    hint = did_you_mean(_canonical(key), known)
    return UsageError(
        f"The command has a placeholder {{{printable(key)}}}, and nothing is known to put there.",
        f"{hint}Known: {', '.join(printable(name, 40) for name in known)}. Give a default, {{{printable(key)}=VALUE}}, "
        f"or write {{{{{printable(key)}}}}} for the braces themselves.",
    )


def _canonical(key: str) -> str:
    from convergence_cli.readers.config import canonical

    return next((name for name in canonical({key: 1}) if name != key), key)


def variables(values: Mapping[str, Any]) -> dict[str, str]:
    """``values`` as environment variables: ``CT_LEARNING_RATE`` for ``learning_rate``."""
    return {variable(key): as_text(value) for key, value in values.items()}


def variable(key: str) -> str:
    """The name of the environment variable that carries ``key``."""
    return PREFIX + re.sub(r"[^A-Z0-9]", "_", key.upper())


def as_text(value: Any) -> str:
    """``value`` as a program would be given it: 20 and not 20.0, ``true``, JSON for lists and tables."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
        # int("20.0") fails in the user's script, float("20") does not.
        return str(int(value))
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, default=str)


def present(run: Run, remedies: Sequence[Remedy]) -> dict[str, Any]:
    """The settings that ``run`` had, as far as its log, its config and its remedies tell."""
    config = {key: value for key, value in run.config.items() if key != "x" and _is_plain(value)}
    rate = peak_rate(run)
    if rate is not None:
        config["learning_rate"] = rate
    for remedy in remedies:
        config.update({key: value for key, value in remedy.from_.items() if _is_plain(value)})
    return config


def peak_rate(run: Run) -> float | None:
    """The highest finite learning rate that ``run`` logged, or None."""
    curve = run.curve("learning_rate")
    if curve is None:
        return None
    high = curve.value if curve.buckets is None else curve.buckets.high
    finite = [value for value in high.tolist() if math.isfinite(value)]
    return max(finite, default=None)


def _is_plain(value: Any) -> bool:
    """Whether a setting that a log names may stand in a command line: a number, or a short printable text."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT and value.isprintable() and not value.startswith("-")
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def may_take(command: Sequence[str], keys: Sequence[str]) -> bool | None:
    """Whether ``command`` has a place for any of ``keys``, or a script in it names their variables.

    None where no script can be looked into (``python -m package``).
    """
    if placeholders(command) & set(keys):
        return True
    names = [variable(key).encode() for key in keys]
    texts = [text for argument in command[1:] if (text := _script(argument)) is not None]
    if any(_ANY_VARIABLE.search(text) or any(name in text for name in names) for text in texts):
        return True
    return False if texts else None


def _script(argument: str) -> bytes | None:
    """The beginning of the text file that ``argument`` names, or None."""
    try:
        if not stat.S_ISREG(os.stat(argument).st_mode):
            return None
        with open(argument, "rb") as handle:
            head = handle.read(_SCRIPT_BYTES)
    except (OSError, ValueError):
        return None
    return None if b"\0" in head else head
