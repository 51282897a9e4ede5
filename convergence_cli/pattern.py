"""The user's regular expression for text logs: compiled, and refused where a line could keep it busy for ever."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any

from convergence_cli.errors import SettingsError
from convergence_cli.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = r"Write for example 'step (?P<step>\d+) loss (?P<loss>\S+)'."
# Seconds that may be spent on a log, and for each of its lines beside them.
BUDGET_SECONDS = 5.0
LINE_SECONDS = 50e-6
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_FAULTS = (re.error, RecursionError, OverflowError)


def compiled(text: str, place: str = "--pattern") -> re.Pattern[str]:
    """``text`` as a regular expression; ``place`` says where it was written.

    Raises ``SettingsError`` where it is none, names no series, or repeats a repetition without end: such an
    expression can take exponential time on one line, and nothing can interrupt it there.
    """
    try:
        pattern = re.compile(text)
        repeated = _nested(_parsed(text))
    except _FAULTS as error:
        position = getattr(error, "pos", None)
        where = f" at position {position}" if position is not None else ""
        reason = printable(getattr(error, "msg", str(error)))
        raise SettingsError(
            f"{place}: '{printable(text)}' is not a regular expression: {reason}{where}.", HINT
        ) from error
    if repeated:
        part = next((part for part in _groups(text) if _unbounded_in(part)), text)
        raise SettingsError(
            f"{place}: '{printable(part)}' repeats a part that itself repeats, which can take for ever on one line.",
            "Write one repetition instead, for example .*? for anything between two numbers.",
        )
    if not set(pattern.groupindex) - {"step", "epoch"}:
        raise SettingsError(f"{place}: the pattern names no series: it has no named group but step and epoch.", HINT)
    return pattern


class Stopwatch:
    """A pattern in use on one log: it is given up where it has taken far longer than reading the log can."""

    def __init__(self, pattern: re.Pattern[str], shown: str) -> None:
        self.pattern = pattern
        self.shown = shown
        self.spent = 0.0
        self.lines = 0

    def search(self, text: str) -> re.Match[str] | None:
        """The first match in ``text``. Raises ``SettingsError`` once the time is spent."""
        begun = monotonic()
        match = self.pattern.search(text)
        self.spent += monotonic() - begun
        self.lines += 1
        if self.spent > BUDGET_SECONDS + self.lines * LINE_SECONDS:
            raise SettingsError(
                f"The pattern took {self.spent:.0f} s for {counted(self.lines, 'line')} of {printable(self.shown)}.",
                "Make it more definite, for example with words of the log before each number.",
            )
        return match


def _parsed(text: str) -> Any:
    return import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse").parse(text)


def _nested(node: Any, within: bool = False) -> bool:
    """Whether an unbounded repetition lies in one that runs more than once."""
    for name, arguments in _operations(node):
        inside = within
        if name in _REPEATS:
            _, most, _ = arguments
            if within and _is_unbounded(most):
                return True
            inside = within or int(most) > 1
        if _nested(arguments, inside):
            return True
    return False


def _operations(node: Any) -> Iterator[tuple[str, Any]]:
    """The operations at the top of ``node``: a parsed part, or the arguments of an operation that hold parts."""
    if hasattr(node, "data"):
        yield from ((str(name), arguments) for name, arguments in node.data)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _operations(item)


def _is_unbounded(most: Any) -> bool:
    return str(most) == "MAXREPEAT"


def _unbounded_in(part: str) -> bool:
    try:
        return _nested(_parsed(f"(?:{part}){{2}}"))
    except _FAULTS:
        # A reference to a group outside of the part.
        return False


def _groups(text: str) -> Iterator[str]:
    """Each repeated group of ``text`` with its quantifier left out, the innermost first."""
    opened: list[int] = []
    position, in_class = 0, False
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == "(":
            opened.append(position)
        elif char == ")" and opened:
            start = opened.pop()
            if text[position + 1 : position + 2] in tuple("*+{"):
                yield text[start : position + 1]
        position += 1
