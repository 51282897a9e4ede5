"""What a delimited table looks like: its delimiter, decimal sign and header, found by content."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.readers._table_axes import is_axis
from convergence_cli.readers._table_cells import ABSENT, parse_number
from convergence_cli.readers._table_rows import Rows, is_comment, split_cells, split_lines, split_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

DELIMITERS = (",", "\t", ";", "|", " ")
SAMPLED_ROWS = 120
MAX_COLUMNS = 4096
# A blank or a bar also parts words: there most cells must be numbers before it is a table.
_NUMERIC_SHARE = {" ": 0.9, "|": 0.5, "": 0.9}
_MEASURE = re.compile(
    r"loss|acc|err|(?:^|[^a-z])lr|learning|reward|map|auc|score|ppl|perplex|mse|mae|iou|dice|bleu|nll|grad|ssim|f1"
)
_NOT_A_NAME = re.compile(r"\d\d:\d\d|[:=]\s*[-+]?\.?\d|^[^\w]*$|[{}]|://")
# CatBoost adds settings of a measure and the number of a set to its name: NDCG:top=10, AUC:0.
_CATBOOST_NAME = re.compile(r"[A-Za-z]\w*(?:[:;][\w.=~+-]+)+")
_COMMA_NUMBER = re.compile(r"\s*[-+]?(\d*),(\d+)(?:[eE][-+]?\d+)?\s*")
_DOT_NUMBER = re.compile(r"\s*[-+]?\d*\.\d+(?:[eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Layout:
    """One table: stripped ``names`` (made unique), and how its rows are cut into cells.

    ``begin`` is the index of the line of the first row; without a ``header`` the names are empty strings.
    Of the ``rows`` that were seen, ``fit`` is the share as wide as the header; ``numbers`` holds the
    indices of the columns with numbers.
    """

    names: tuple[str, ...]
    delimiter: str
    decimal: str
    header: bool
    begin: int
    rows: int
    fit: float
    numbers: frozenset[int]

    @property
    def score(self) -> float:
        """How likely this is a table of a training run, 0 to 0.8."""
        lower = [name.lower() for name in self.names]
        known = any(is_axis(name) or _MEASURE.search(name) for name in lower)
        if not self.rows:
            return 0.3 if known and len(self.names) > 1 else 0.0
        if len(self.names) == 1:
            return 0.3 if known or not self.header else 0.15
        if not self.header:
            return 0.5 * self.fit
        return (0.8 if known else 0.4) * self.fit * (0.6 + 0.4 * len(self.numbers) / len(self.names))


def detect(text: str, *, complete: bool) -> Layout | None:
    """The layout of the table that begins in ``text``, or None where it is no table.

    ``complete`` says that ``text`` ends with the file; else its last line is taken to be cut.
    """
    lines = split_lines(text[: 1 << 20])
    if (not complete or not text.endswith(("\n", "\r"))) and len(lines) > 1:
        lines.pop()
    first = next((line.lstrip() for line in lines if line.strip() and not is_comment(line)), "")
    if not first or first[0] in "{[<":
        return None
    layouts = [layout for delimiter in DELIMITERS if (layout := _fit(lines, delimiter, complete)) is not None]
    if not layouts:
        return _fit(lines, "", complete)
    return max(layouts, key=lambda found: (found.fit * (found.rows > 0), len(found.numbers), len(found.names)))


def named(cells: Sequence[str]) -> tuple[str, ...]:
    """Stripped, unique column names: the second ``loss`` is ``loss.1``."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    taken = {cell.strip().strip('"').strip() for cell in cells}
    for cell in cells[:MAX_COLUMNS]:
        name = cell.strip().strip('"').strip()
        unique = name
        while name and seen[name] and (unique in taken or unique == name):
            unique = f"{name}.{seen[name]}"
            seen[name] += 1
        seen[name] = max(seen[name], 1)
        taken.add(unique)
        names.append(unique)
    return tuple(names)


def is_header(cells: Sequence[str]) -> bool:
    """Whether a row holds column names: text in every cell but a few empty ones, and no number."""
    filled = [cell for cell in cells if cell.strip()]
    if not filled or 2 * len(filled) < len(cells):
        return False
    if (
        not cells[0].strip()
        and len(cells) > 1
        and [cell.strip() for cell in cells[1:]] == [str(index) for index in range(len(cells) - 1)]
    ):
        return True  # pandas writes the positions of unnamed columns
    catboost = cells[0] == "iter"
    # Under steps one odd name does not make a header prose.
    steps = is_axis(cells[0].strip().lower())
    return all(
        (len(cell) <= 200 and (_is_name(cell) or (catboost and _CATBOOST_NAME.fullmatch(cell) is not None)))
        or (steps and (len(cell) > 200 or not cell.isprintable()) and any(map(str.isalpha, cell[:200])))
        for cell in filled
    )


def _is_name(cell: str) -> bool:
    return not (cell.strip().lower() in ABSENT or _NOT_A_NAME.search(cell) or _is_number(cell))


def _is_number(cell: str) -> bool:
    try:
        parse_number(cell)
    except ValueError:
        return False
    return True


def _fit(lines: Sequence[str], delimiter: str, complete: bool) -> Layout | None:
    split = split_rows(lines, delimiter, limit=SAMPLED_ROWS, final=complete)
    if not split.cells:
        return None
    header, body, begin = _header(lines, split, delimiter)
    # Where another run was appended under its own header, the first table tells.
    body = body[: next((i for i, row in enumerate(body) if i and len(row) > 1 and is_header(row)), None)]
    names = header
    if names is None:
        names = [""] * Counter(map(len, body)).most_common(1)[0][0]
        while len(names) > 1 and not any("".join(row[len(names) - 1 :]).strip() for row in body):
            names.pop()
    elif body and 10 * sum(len(row) == len(names) + 1 and row[-1].strip() != "" for row in body) > 9 * len(body):
        names = ["", *names]  # R's write.table names no column for the row labels
    width = len(names)
    if width > MAX_COLUMNS or (width < 2 and delimiter) or (delimiter == " " and not body):
        return None
    # Between commas only a quoted cell can hold one: "2,3".
    decimal = _decimal(body)
    kinds = [_kinds([row[index] for row in body if len(row) > index], decimal) for index in range(width)]
    numbers = frozenset(index for index, (number, text) in enumerate(kinds) if number > text)
    found, texts = sum(kind[0] for kind in kinds), sum(kind[1] for kind in kinds)
    share = found / max(found + texts, 1)
    fit = sum(_width(row, width) == width for row in body) / len(body) if body else 1.0
    if header is None:
        good = fit >= 0.9 and share >= 0.95 and len(body) >= 2
    elif not body:
        good = width > 1
    else:
        good = fit >= 0.5 and bool(numbers) and share >= _NUMERIC_SHARE.get(delimiter, 0.0)
    if not good:
        return None
    return Layout(named(names), delimiter, decimal, header is not None, begin, len(body), fit, numbers)


def _header(lines: Sequence[str], split: Rows, delimiter: str) -> tuple[list[str] | None, list[list[str]], int]:
    """The header's cells, the rows under it, and the index of the first row's line."""
    cells, at = split.cells, split.at
    body = cells[1:]
    begin = at[1] if body else split.consumed
    if is_header(cells[0]) and (len(cells[0]) > 1 or not delimiter):
        header = cells[0]
        while len(header) > 1 and not header[-1].strip():
            header = header[:-1]
        return header, body, begin
    # np.savetxt writes the header as a remark; other writers cut header and rows differently.
    before = at[0] - 1
    if before >= 0 and lines[before].lstrip().startswith(("#", "%")):
        header = split_cells(lines[before].lstrip(" \t#%").replace('"', ""), delimiter)
        if len(header) == len(cells[0]) and is_header(header):
            return header, cells, at[0]
    usual = Counter(map(len, body)).most_common(1)[0][0] if body else 0
    for other in DELIMITERS[:-1]:
        header = split_cells(lines[at[0]].replace('"', "").rstrip(" \t|;,"), other)
        if other != delimiter and len(header) > 1 and is_header(header) and usual - len(header) in (0, 1):
            return header, body, begin
    return None, cells, at[0]


def _width(row: list[str], width: int) -> int:
    count = len(row)
    while count > width and not row[count - 1].strip():
        count -= 1
    return count


def _kinds(cells: list[str], decimal: str) -> tuple[int, int]:
    numbers = texts = 0
    for cell in cells:
        try:
            numbers += parse_number(cell, decimal) is not None
        except ValueError:
            texts += 1
    return numbers, texts


def _decimal(rows: list[list[str]]) -> str:
    """The decimal sign: a comma where numbers have one, none has a dot, and not all look like ``1,234``."""
    commas = [match for row in rows for cell in row if (match := _COMMA_NUMBER.fullmatch(cell))]
    if not commas or any(_DOT_NUMBER.fullmatch(cell) for row in rows for cell in row):
        return "."
    grouped = all(len(match[2]) == 3 and match[1] not in ("", "0") and len(match[1]) <= 3 for match in commas)
    return "." if grouped else ","
