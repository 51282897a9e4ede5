"""The cells of a table of tensors as text: three significant digits, shares in percent, ``-`` for what is unknown."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from convergence_cli.model import TensorLine
from convergence_cli.printable import printable
from convergence_cli.reporters._wording import number

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = tuple(item.name for item in fields(TensorLine))
TEXTS = ("kind", "name", "layer", "worker", "mode", "dtype", "flags")
UNKNOWN = "-"
_LONGEST = 2000
_COUNTS = ("count", "nan", "inf")
_SHARES = ("zero", "dead", "saturated")
# Each is a beginning of the column's name, by which --sort knows it too.
_HEADS = {"update_ratio": "update", "saturated": "sat"}
# Columns that say nothing where all rows agree, or where every row holds this.
_SAME_SAYS_NOTHING = ("step", "worker", "mode", "dtype")
_EMPTY = {"inf": (None, 0.0)}


def head(column: str) -> str:
    """What stands over ``column``."""
    return _HEADS.get(column, column)


def cell(line: TensorLine, column: str) -> str:
    """What to show of ``line`` under ``column``, safe for a terminal."""
    value = getattr(line, column)
    if column in TEXTS:
        return printable(" ".join(value) if column == "flags" else value)
    if column == "shape":
        return shape(value)
    if value is None:
        return UNKNOWN
    if column == "step":
        return number(value)
    if column in _SHARES:
        return _share(value)
    return _count(value) if column in _COUNTS else figure(value)


def exact_cells(line: TensorLine) -> list[str]:
    """Every column of ``line`` to the last digit; empty where it is unknown."""
    return [_exact(getattr(line, column)) if column != "shape" else shape(line.shape, "") for column in COLUMNS]


def _exact(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return repr(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(value)
    return printable(" ".join(value) if isinstance(value, tuple) else value, _LONGEST)


def figure(value: float) -> str:
    """Three significant digits in few columns: ``0``, ``508``, ``0.0100``, ``1.23e-7``."""
    if not value or not math.isfinite(value):
        return f"{value if value else 0:g}"
    digits, e, exponent = f"{value:.2e}".partition("e")
    if -3 <= int(exponent) < 3:
        return f"{value:#.3g}".rstrip(".")
    return f"{digits}{e}{int(exponent)}"


def shape(value: tuple[int, ...] | None, unknown: str = UNKNOWN) -> str:
    """``64x3x3x3``; ``()`` for a single number."""
    if value is None:
        return unknown
    return "x".join(map(str, value)) or "()"


def telling(lines: Sequence[TensorLine]) -> list[str]:
    """The columns that tell something of ``lines``: not those that no row has, nor a step that all have."""
    return [column for column in COLUMNS if _tells([getattr(line, column) for line in lines], column)]


def _tells(values: Sequence[Any], column: str) -> bool:
    different = set(values)
    if column in _SAME_SAYS_NOTHING:
        return len(different) > 1
    return not different <= set(_EMPTY.get(column, (None, "", ())))


def _count(value: float) -> str:
    return f"{int(value):,}" if abs(value) < 1e6 else figure(value)


def _share(value: float) -> str:
    """Whole percent, never rounded to none or to all."""
    if not math.isfinite(value):
        return str(value)
    if 0 < value < 0.005:
        return "<1%"
    if 0.995 <= value < 1:
        return ">99%"
    return f"{100 * value:.0f}%"
