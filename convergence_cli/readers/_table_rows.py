"""Lines of a table as rows of cells: quoting, comments, and the lines that are no rows."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A quote that is still open after so many lines was a stray character, not a cell with line ends in it.
MAX_QUOTED_LINES = 64
_RULE = re.compile(r"[-+=|: \t]*[-=][-+=|: \t]*")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of cells, the index of the line each begins on, and how many lines are dealt with."""

    cells: list[list[str]]
    at: list[int]
    consumed: int
    nul: int = 0


def split_lines(text: str) -> list[str]:
    """``text`` cut at LF, CR LF and CR (and at nothing else); a last line end gives no empty line."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def is_comment(line: str) -> bool:
    """Whether a line is a remark, a ruler (``+----+``, ``|---|``) or a spreadsheet's ``sep=``."""
    start = line.lstrip()[:4]
    if not start or start[0] in "#%" or start.startswith("//") or start.lower() == "sep=":
        return True
    return start[0] in "-+=|:" and _RULE.fullmatch(line) is not None


def split_cells(line: str, delimiter: str) -> list[str]:
    """The cells of one record, not stripped. ``delimiter`` is one character; a space stands for any run
    of blanks, an empty one for a single column. Raises csv.Error."""
    if not delimiter or '"' not in line:
        return _plain(line, delimiter)
    if delimiter == "|" and line.lstrip().startswith("|"):
        line = line.strip().strip("|")
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def split_rows(lines: Sequence[str], delimiter: str, *, final: bool = True) -> Rows:
    """The rows in ``lines``; blank lines, comments and lines with NUL bytes are left out.

    Where the block ends inside a quoted cell and is not the ``final`` one, the rest is not consumed.
    """
    cells: list[list[str]] = []
    at: list[int] = []
    nul = index = 0
    count = len(lines)
    while index < count:
        line = lines[index]
        start = index
        index += 1
        if "\0" in line:
            nul += 1
            continue
        if (line[:1] in "#%-+=|:/sS \t" and is_comment(line)) or not line:
            continue
        if '"' not in line:
            cells.append(_plain(line, delimiter))
            at.append(start)
            continue
        if line.count('"') % 2:
            end = _closing(lines, start)
            if end is None and not final and count - start < MAX_QUOTED_LINES:
                return Rows(cells, at, start, nul)
            if end is not None:
                line = "\n".join(lines[start:end])
                index = end
        try:
            cells.append(split_cells(line, delimiter))
        except csv.Error:
            cells.append(_plain(lines[start], delimiter))
            index = start + 1
        at.append(start)
    return Rows(cells, at, count, nul)


def _plain(line: str, delimiter: str) -> list[str]:
    if delimiter == "|" and line.lstrip().startswith("|"):
        line = line.strip().strip("|")
    if delimiter == " ":
        return line.split()
    return line.split(delimiter) if delimiter else [line]


def _closing(lines: Sequence[str], start: int) -> int | None:
    for end in range(start + 1, min(len(lines), start + MAX_QUOTED_LINES)):
        if lines[end].count('"') % 2:
            return end + 1
    return None
