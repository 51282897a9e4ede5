"""Text in terminal cells: width, wrapping, cutting and ANSI styles."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.reporters import Look

_SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "magenta": "35"}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The few characters beyond ASCII, or what stands for them."""

    arrow: str
    dot: str
    dash: str
    more: str
    bad: str
    levels: str


UNICODE = Glyphs("→", "·", "–", "…", "×", "▁▂▃▄▅▆▇█")
ASCII = Glyphs("->", "|", "-", "...", "x", "_.-=+*#@")


def glyphs(look: Look) -> Glyphs:
    """The glyphs that the output can carry."""
    return UNICODE if look.unicode else ASCII


def painter(look: Look) -> Callable[[str, str], str]:
    """``paint(text, "bold red")``: the text in that style where colour is on, as it is otherwise."""
    if not look.color:
        return lambda text, style: text

    def paint(text: str, style: str) -> str:
        codes = ";".join(_SGR[word] for word in style.split())
        return f"\x1b[{codes}m{text}\x1b[0m" if text else text

    return paint


def cells(text: str) -> int:
    """How many terminal columns ``text`` takes: East Asian wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(map(_cell, text))


def _cell(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int, more: str = "…") -> str:
    """``text`` in at most ``width`` columns."""
    if cells(text) <= width:
        return text
    room = width - cells(more)
    if room < 0:
        return ""
    return _head(text, room) + more


def cut_middle(text: str, width: int, more: str = "…") -> str:
    """``text`` in at most ``width`` columns, its beginning and its end kept: runs often differ in the last letters."""
    if cells(text) <= width:
        return text
    room = max(width - cells(more), 0)
    tail = _head(text[::-1], room * 2 // 3)[::-1]
    return _head(text, room - cells(tail)) + more + tail


def _head(text: str, width: int) -> str:
    taken = 0
    for index, char in enumerate(text):
        taken += _cell(char)
        if taken > width:
            return text[:index]
    return text


def wrap(text: str, width: int, *, indent: str = "", limit: int | None = None, more: str = "…") -> list[str]:
    """``text`` in lines of at most ``width`` columns, indent included, and at most ``limit`` lines."""
    room = max(width - len(indent), 2)
    lines: list[str] = []
    line = ""
    for word in _words(text, room):
        rest = word
        if line and cells(line) + 1 + cells(rest) <= room:
            line = f"{line} {rest}"
            continue
        if line:
            lines.append(line)
        while cells(rest) > room:
            head = _head(rest, room) or rest[0]
            lines.append(head)
            rest = rest[len(head) :]
        line = rest
    if line:
        lines.append(line)
    if limit is not None and len(lines) > limit:
        lines = [*lines[: limit - 1], _shortened(f"{lines[limit - 1]} {lines[limit]}", room, more)]
    return [indent + item for item in lines]


def _words(text: str, room: int) -> list[str]:
    """The words of ``text``; ``%`` and ``(3)`` stay with the word before where ``room`` columns hold both."""
    words: list[str] = []
    for word in text.split():
        if words and _belongs_to_the_last(word) and cells(words[-1]) + 1 + cells(word) <= room:
            words[-1] = f"{words[-1]} {word}"
        else:
            words.append(word)
    return words


def _belongs_to_the_last(word: str) -> bool:
    return word.startswith("%") or (word.startswith("(") and word.rstrip(",;.")[1:-1].isdecimal() and ")" in word)


def _shortened(text: str, room: int, more: str) -> str:
    """The whole words of ``text`` that fit beside ``more``; part of a word where not even one fits."""
    kept = _head(text, room - cells(more))
    left_out = text[len(kept) :].lstrip()
    if " " in kept and (not text[len(kept)].isspace() or left_out.startswith("%")):
        kept = kept.rstrip().rpartition(" ")[0] + " "
    return kept + more


def wrap_items(
    items: Sequence[str], width: int, *, lead: str = "", indent: str = "", limit: int | None = None, more: str = "…"
) -> list[str]:
    """``lead`` and ``items`` with commas between, in lines; as many whole items as ``limit`` lines hold."""
    if limit is None:
        return wrap(lead + ", ".join(items), width, indent=indent)
    most = min(len(items), limit * width)
    for count in range(most, -1 if lead else 0, -1):
        shown = items[:count] if count == len(items) else [*items[:count], more]
        lines = wrap(lead + ", ".join(shown), width, indent=indent)
        if len(lines) <= limit:
            return lines
    return wrap(lead + ", ".join(items[:most]), width, indent=indent, limit=limit, more=more)


def pack(parts: Sequence[str], joint: str, width: int, *, indent: str = "", more: str = "…") -> list[str]:
    """Whole ``parts`` in as few lines as they need, further lines indented; a part wider than a line is cut."""
    lines: list[str] = []
    line = ""
    for part in parts:
        longer = f"{line}{joint}{part}" if line else part
        if line and cells(longer) > width:
            lines.append(line)
            longer = indent + part
        line = cut(longer, width, more)
    return [*lines, line]
