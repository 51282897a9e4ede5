"""What ``inspect`` was told of rows, columns and order, as a ``View``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.errors import UsageError
from convergence_cli.printable import counted, printable
from convergence_cli.selection import did_you_mean
from convergence_cli.tensor_stats import KINDS
from convergence_cli.tensor_table import COLUMNS, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import TensorTable

STEPS = ("first", "last", "all")
MAX_SHOWN = 8


def view_from(
    *,
    layers: Sequence[str] | None,
    kinds: Sequence[str] | None,
    step: str | None,
    sort: str | None,
    limit: str | None,
) -> View:
    """The view that the options describe. Raises ``UsageError`` with the nearest word for one that is not known."""
    column, descending = _column(sort) if sort else (None, False)
    return View(
        layers=tuple(layers or ()),
        kinds=tuple(_kind(word.strip()) for text in kinds or () for word in text.split(",") if word.strip()),
        steps=_steps(step or "last"),
        sort=column,
        descending=descending,
        limit=_limit(limit) if limit is not None else None,
    )


def nothing_shown(tables: Sequence[TensorTable]) -> UsageError:
    """The error for a view that leaves no row of ``tables``: what there is to choose from."""
    rows = [line for table in tables for line in table.rows]
    steps = sorted({line.step for line in rows})
    kinds = [kind for kind in KINDS if any(line.kind == kind for line in rows)]
    layers = list(dict.fromkeys(printable(line.layer, 40) for line in rows))
    more = f" and {len(layers) - MAX_SHOWN} more" if len(layers) > MAX_SHOWN else ""
    dumped = f"{counted(len(steps), 'step')}" + (f" from {steps[0]:.12g} to {steps[-1]:.12g}" if steps else "")
    return UsageError(
        "No tensor is left by --layer, --kind and --step.",
        f"Dumped are {dumped}; kinds: {', '.join(kinds)}; layers: {', '.join(layers[:MAX_SHOWN])}{more}.",
    )


def _column(text: str) -> tuple[str, bool]:
    descending = text.startswith("-")
    word = text.removeprefix("-").lower()
    begun = [column for column in COLUMNS if word and column.startswith(word)]
    if word in COLUMNS or len(begun) == 1:
        return (word if word in COLUMNS else begun[0]), descending
    raise UsageError(
        f"--sort: '{printable(text)}' is not a column.",
        f"{did_you_mean(word, COLUMNS)}Choose from: {', '.join(COLUMNS)}; with - before it, the largest come first.",
    )


def _kind(word: str) -> str:
    kind = word.lower()
    if kind not in KINDS and kind.removesuffix("s") in KINDS:
        return kind.removesuffix("s")
    if kind not in KINDS:
        raise UsageError(
            f"--kind: '{printable(word)}' is not a kind of tensor.",
            f"{did_you_mean(kind, KINDS)}Choose from: {', '.join(KINDS)}.",
        )
    return kind


def _steps(text: str) -> str | tuple[float, float]:
    if text in STEPS:
        return text
    first, colon, last = text.partition(":")
    try:
        low = float(first) if first.strip() or not colon else float("-inf")
        high = (float(last) if last.strip() else float("inf")) if colon else low
    except ValueError:
        low = high = float("nan")
    if not low <= high:
        raise UsageError(
            f"--step: '{printable(text)}' is not a step.",
            f"{did_you_mean(text, STEPS)}Write first, last, all, a number, or two with a colon between: 100:200.",
        )
    return low, high


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):
        raise UsageError(f"--limit: '{printable(text)}' is not a number of rows.", "Write a whole number above 0.")
    return int(text)
