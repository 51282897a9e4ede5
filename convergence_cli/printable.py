"""The one door for untrusted text: metric names, paths and log lines pass here before they are shown."""

from __future__ import annotations

MAX_SHOWN = 200
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_CELL = 32_000


def printable(text: object, limit: int = MAX_SHOWN) -> str:
    """``text`` with every character a terminal could act on replaced by its escape, cut to ``limit``.

    Control characters (C0, C1, DEL), bidirectional overrides, line separators and lone surrogates
    become ``\\xNN`` or ``\\uNNNN``: neither ``rich`` nor ``click`` removes them.
    """
    raw = str(text)
    cut = len(raw) > limit
    if cut:
        raw = raw[: max(limit - 1, 0)]
    if not raw.isprintable():
        raw = "".join(char if char.isprintable() else _escaped(char) for char in raw)
    return raw + "…" if cut else raw


def as_cell(text: object) -> str:
    """``text`` so that a spreadsheet takes it for text and not for a formula."""
    safe = printable(text, _LONGEST_CELL)
    return f"'{safe}" if safe.startswith(_FORMULA) and not _is_number(safe) else safe


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def counted(number: int, thing: str) -> str:
    """``number`` and ``thing``, in the plural where there is not just one: ``1 spike``, ``2 spikes``."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """``seconds`` as a person would say it: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{max(seconds, 0.1):.1f} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, 0 if whole >= 3600 else whole % 60
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if count)


def _escaped(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
