"""Lines of a table as rows of cells: quoting, comments, and the lines that are no rows."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A quote that is still open after so many lines was a stray character, not a cell with line ends in it.
MAX_QUOTED_LINES = 1024
NUMBER_STARTS = frozenset("0123456789+-.")
_REMARK_STARTS = frozenset("#%-+=|:/sS \t")
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


def split_columns(lines: Sequence[str], delimiter: str, width: int) -> list[list[str]] | None:
    """The cells of each of ``width`` columns, where every line is a plain row that begins with a number;
    else None. Much cheaper than ``split_rows``, which makes a list for each row."""
    if delimiter in ("", " ", "|") or not {line[:1] for line in lines} <= NUMBER_STARTS:
        return None
    joined = delimiter.join(lines)
    if '"' in joined or "\0" in joined or {line.count(delimiter) for line in lines} != {width - 1}:
        return None
    cells = joined.split(delimiter)
    return [cells[index::width] for index in range(width)]


def split_rows(lines: Sequence[str], delimiter: str, *, final: bool = True, width: int = 0, limit: int = 0) -> Rows:
    """The rows in ``lines`` (with a ``limit``, the first of them); blank lines, comments and lines with NUL
    bytes are left out.

    Where the block ends inside a quoted cell and is not the ``final`` one, the rest is not consumed. A
    quoted cell spans lines only if that gives a row of ``width`` cells or more.
    """
    count = len(lines)
    joined = "" if limit else "\n".join(lines)
    if not limit and '"' not in joined and "\0" not in joined:
        at = [i for i, line in enumerate(lines) if line and not (line[0] in _REMARK_STARTS and is_comment(line))]
        if delimiter in ("", " ", "|"):
            return Rows([_plain(lines[i], delimiter) for i in at], at, count)
        return Rows([lines[i].split(delimiter) for i in at], at, count)
    cells: list[list[str]] = []
    at = []
    nul = index = 0
    limit = limit or count
    while index < count and len(cells) < limit:
        line = lines[index]
        start = index
        index += 1
        if "\0" in line:
            nul += 1
            continue
        if not line or (line[0] in _REMARK_STARTS and is_comment(line)):
            continue
        if '"' not in line:
            cells.append(_plain(line, delimiter))
            at.append(start)
            continue
        end: int | None = index
        if line.count('"') % 2:
            end = _closing(lines, start)
            if end is None and not final and count - start < MAX_QUOTED_LINES:
                return Rows(cells, at, start, nul)
        row = _quoted("\n".join(lines[start:end]), delimiter) if end is not None else []
        if end is None or not row or (end > index and len(row) < width):
            row, end = _plain(line, delimiter), index
        cells.append(row)
        at.append(start)
        index = end
    return Rows(cells, at, index, nul)


def _quoted(record: str, delimiter: str) -> list[str]:
    try:
        return split_cells(record, delimiter)
    except csv.Error:
        return []


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
