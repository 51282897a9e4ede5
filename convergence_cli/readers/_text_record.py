"""What one line of a log measured, and the form of the lines that measure the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.readers._text_lines import to_float

if TYPE_CHECKING:
    from collections.abc import Sequence

# A rate of 0.0000 is one below the last digit; a rate of nothing is 0, 0.0 or 0e+00.
ROUNDED_ZERO = re.compile(r"^[-+]?0?\.00+$")


@dataclass(frozen=True, slots=True)
class Record:
    """What one line measured. ``bare`` says that the step came from an unnamed ``n/total``.

    ``display``: what it shows of an evaluation stands there until the next one.
    """

    values: dict[str, float]
    step: float | None = None
    epoch: float | None = None
    total: float | None = None
    bare: bool = False
    rates_only: bool = False
    display: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """Which number of a skeleton is what: indices into the line's numbers.

    ``pairs`` are (series name, number, divisor or None). Without pairs that measure something the line
    only says where the run is (``positions_only``). After the numbers ``listed`` a comma and another number
    follow at once: a whole number there may be the first half of one with a decimal comma. A ``nameless``
    line tells the set ("Train: 0.1, Valid: 0.2") and not the measure, which is called a loss. ``means`` are the
    running means in brackets behind a number (``4.28 (4.25)``), by the number's index; ``rates`` are learning rates.
    """

    gaps: tuple[str, ...]
    pairs: tuple[tuple[str, int, int | None], ...]
    step: int | None
    epoch: int | None
    total: int | None
    bare: bool
    rates_only: bool
    positions_only: bool
    listed: frozenset[int] = frozenset()
    nameless: bool = False
    means: tuple[tuple[int, int], ...] = ()
    rates: frozenset[int] = frozenset()


def apply(form: Template, tokens: Sequence[str]) -> Record:
    """The record of a line of ``form`` whose numbers are ``tokens``."""
    values: dict[str, float] = {}
    for name, index, divisor in form.pairs:
        if index in form.listed and tokens[index].lstrip("+-").isdigit():
            continue
        if index in form.rates and ROUNDED_ZERO.match(tokens[index]):
            continue
        value = to_float(tokens[index])
        if divisor is not None:
            total = to_float(tokens[divisor])
            value = value / total if total else float("nan")
        values[name] = value
    return Record(
        values,
        _finite(tokens, form.step),
        _finite(tokens, form.epoch),
        _finite(tokens, form.total),
        form.bare,
        form.rates_only,
    )


def mean_of(form: Template, tokens: Sequence[str], values: dict[str, float]) -> dict[str, float]:
    """``values`` with the running mean of each that has one: at the end of an evaluation it is its result."""
    means = dict(form.means)
    places = {name: means[index] for name, index, divisor in form.pairs if index in means and divisor is None}
    return {name: to_float(tokens[places[name]]) if name in places else value for name, value in values.items()}


def _finite(tokens: Sequence[str], index: int | None) -> float | None:
    if index is None:
        return None
    value = to_float(tokens[index])
    return value if abs(value) < 1e15 else None
