"""Cells of a table as numbers: a value, not logged, or text. Never mixes *not logged* with *logged as NaN*."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from convergence_cli.model import FloatArray

    BoolArray = npt.NDArray[np.bool_]

ABSENT = frozenset({"", "na", "n/a", "<na>", "none", "null", "nil", "-", "--"})
# What C runtimes print for non-finite doubles beside the spellings that float() knows.
_NON_FINITE = {
    **dict.fromkeys(("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "1.#snan", "-1.#snan"), float("nan")),
    **dict.fromkeys(("nan(ind)", "-nan(ind)", "nan(snan)", "-nan(snan)"), float("nan")),
    "1.#inf": float("inf"),
    "+1.#inf": float("inf"),
    "-1.#inf": float("-inf"),
}
_WRAPPED = re.compile(r"(?:tensor|array|(?:np|numpy|jnp)\.\w+|float\d*)\(\s*([^,()\[\]]+?)\s*(?:,.*)?\)", re.DOTALL)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_LONGEST_NUMBER = 200
# So many different cells without any number among them: the rest need no look.
_SURELY_TEXT = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a block: ``values`` (float64), where they are ``present`` (None: everywhere), and how
    many cells were ``text``."""

    values: FloatArray
    present: BoolArray | None = None
    text: int = 0

    @property
    def count(self) -> int:
        """How many cells hold a number, NaN and infinities included."""
        return len(self.values) if self.present is None else int(np.count_nonzero(self.present))

    @property
    def numeric(self) -> bool:
        """Whether this is a column of numbers, not of text with a few numbers in it."""
        return self.count > self.text

    def where(self, rows: BoolArray | slice) -> Column:
        """The same column on some of its rows."""
        return Column(self.values[rows], None if self.present is None else self.present[rows], self.text)


def parse_number(cell: str, decimal: str = ".") -> float | None:
    """The number in ``cell``, None where nothing was logged; raises ValueError for text."""
    if len(cell) > _LONGEST_NUMBER:
        raise ValueError("text")
    text = cell.strip().strip("\"'").strip().lower()
    if text in ABSENT:
        return None
    if text in _NON_FINITE:
        return _NON_FINITE[text]
    if wrapped := _WRAPPED.fullmatch(text):
        text = wrapped.group(1)
        if text in _NON_FINITE:
            return _NON_FINITE[text]
    text = text.removesuffix("%").rstrip()
    if "," in text:
        if decimal == ",":
            text = text.replace(".", "").replace(",", ".")
        elif _THOUSANDS.fullmatch(text):
            text = text.replace(",", "")
    if "_" in text:
        raise ValueError("text")
    return float(text)


def parse_column(cells: Sequence[str], decimal: str = ".") -> Column:
    """The cells of one column, one value a cell."""
    try:
        column = Column(np.fromiter(map(float, cells), np.float64, len(cells)))
    except ValueError:
        # The common case of sparse rows: empty cells among numbers.
        present = np.fromiter(map(bool, cells), np.bool_, len(cells))
        filled = list(filter(None, cells))
        values = np.full(len(cells), np.nan)
        try:
            values[present] = np.fromiter(map(float, filled), np.float64, len(filled))
        except ValueError:
            return _parse_mixed(cells, decimal)
        column = Column(values, present)
    # float() reads "2024_1" as 20241.
    return _parse_mixed(cells, decimal) if "_" in "".join(cells) else column


def _parse_mixed(cells: Sequence[str], decimal: str) -> Column:
    known: dict[str, float | None] = {"": None}
    texts: set[str] = set()
    values: list[float] = []
    present: list[bool] = []
    text = 0
    for index, cell in enumerate(cells):
        number: float | None
        if len(texts) >= _SURELY_TEXT and len(texts) == len(known) - 1:
            rest = len(cells) - index
            return Column(np.full(len(cells), np.nan), np.zeros(len(cells), dtype=np.bool_), text + rest)
        if cell in known:
            number = known[cell]
            text += cell in texts
        else:
            try:
                number = parse_number(cell, decimal)
            except ValueError:
                number = None
                text += 1
                texts.add(cell)
            known[cell] = number
        present.append(number is not None)
        values.append(np.nan if number is None else number)
    return Column(np.array(values, dtype=np.float64), np.array(present, dtype=np.bool_), text)
