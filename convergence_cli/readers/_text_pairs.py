"""Name-and-number pairs in a line, found from the text between its numbers.

The text between the numbers (the skeleton) decides what each number is, so one analysis serves every
line of that skeleton.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.readers._text_lines import NUMBER, is_code, to_float
from convergence_cli.readers._text_words import (
    EPOCHS,
    OWN_CONTEXT,
    SINGULAR_STEPS,
    STEP_RANK,
    context_in,
    is_context,
    is_junk,
    is_metric,
    is_rate,
    is_scale,
    key_before,
    series_name,
    step_word,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NUMBERS = 400
_TOTAL = re.compile(r"^\s*/\s*$")
_OF = re.compile(r"^ of $")
_UNIT = re.compile(r"^(?:[A-Za-z_]|\.\w|%?\|)")
_LEADING_UNIT = re.compile(r"^[A-Za-z/]+")
_OPENS_BATCH = re.compile(r"^ \[ *$")
_PLACE_OPENS = re.compile(r"^\s*\[ *$")
_PLACE_GOES_ON = re.compile(r"^(?:,|\]\s*\[) *$")
_POSITION = re.compile(r"(?:^|[ _-])(?:step|iter|iteration|epoch)$")
_DATE_OR_CLOCK = re.compile(r"^[/:-]$")
_LEADING_INDEX = re.compile(r"^\s*\[?\s*$")
_ASIDE = re.compile(r"^\s*\(\s*\w+\s*[:=]\s*$")
_INDEX_END = re.compile(r"^\s*\]\s|^:\s")


@dataclass(frozen=True, slots=True)
class Record:
    """What one line measured. ``bare`` says that the step came from an unnamed ``n/total``."""

    values: dict[str, float]
    step: float | None = None
    epoch: float | None = None
    total: float | None = None
    bare: bool = False
    rates_only: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """Which number of a skeleton is what: indices into the line's numbers.

    ``pairs`` are (series name, number, divisor or None). Without pairs that measure something the line
    only says where the run is (``positions_only``). After the numbers ``listed`` a comma and another number
    follow at once: a whole number there may be the first half of one with a decimal comma. A ``nameless``
    line tells the set ("Train: 0.1, Valid: 0.2") and not the measure, which is called a loss.
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


def split(text: str) -> tuple[tuple[str, ...], list[str]]:
    """The texts around the numbers of a line, and the numbers: always one text more than numbers."""
    parts = NUMBER.split(text, maxsplit=MAX_NUMBERS)
    gaps, tokens = parts[0::2], parts[1::2]
    at = 0
    while at < len(tokens):
        # The word nan in "number of nan iterations" is no value: only a named number can be one.
        if tokens[at][-1] in "nNfFyY" and not _names_a_value(gaps[at]):
            gaps[at : at + 2] = [gaps[at] + tokens[at] + gaps[at + 1]]
            del tokens[at]
        else:
            at += 1
    return tuple(gaps), tokens


def _names_a_value(gap: str) -> bool:
    if gap.endswith(", "):
        return True
    key, tied = key_before(gap)
    return tied or (bool(key) and is_metric(key.split()[-1]))


def template(gaps: Sequence[str]) -> Template | None:
    """What the numbers between ``gaps`` are; None where nothing among them was measured or places the run."""
    # What touches the number before it is its unit, and no part of the next name.
    keys = [key_before(gap if index == 0 else _LEADING_UNIT.sub("", gap)) for index, gap in enumerate(gaps[:-1])]
    steps: list[tuple[int, int, str]] = []
    bare: list[int] = []
    epoch: int | None = None
    pairs: list[tuple[str, int, int | None]] = []
    context: str | None = None
    measured = evidence = False
    for index, (key, tied) in enumerate(keys):
        context = context_in(gaps[index]) or context
        after = gaps[index + 1]
        has_total = _is_total(after, index, len(keys))
        if not key:
            if has_total and not _DATE_OR_CLOCK.match(gaps[index]) and not _triple(gaps, index):
                bare.append(index)
            continue
        word = "epoch" if tied and is_context(key) and _OPENS_BATCH.match(after) else step_word(key)
        if word is not None:
            if word in EPOCHS:
                epoch = index if epoch is None else epoch
            else:
                steps.append((STEP_RANK[word], index, word))
            continue
        if (_UNIT.match(after) and not after.startswith("%|")) or len(key.split()) > 5 or is_junk(key):
            continue
        metric = is_metric(key)
        if has_total and tied and not metric and not _triple(gaps, index):
            bare.append(index)
            continue
        if not metric and _POSITION.search(key):
            continue
        if not tied and not (metric and is_metric(key.split()[-1]) and len(key.split()) <= 3) and not is_scale(key):
            continue
        name = series_name(key, context)
        if is_context(key) and pairs and index == pairs[-1][1] + 1 and _ASIDE.match(gaps[index]):
            # "loss = 2.3 (val = 2.4)"
            name = series_name(OWN_CONTEXT.sub("", pairs[-1][0]).lstrip("_/. -"), context)
            metric = is_metric(name)
        pairs.append((name, index, index + 1 if has_total and metric else None))
        measured |= metric
        evidence |= metric and not is_rate(name)
    nameless = False
    if not measured:
        sets = {context_in(keys[index][0]): index for _, index, _ in pairs if is_context(keys[index][0])}
        nameless = len(sets) > 1 and "train" in sets and (bool(steps) or epoch is not None)
        pairs = [(f"{name}_loss", index, None) for name, index in sets.items()] if nameless else []
    return _assembled(gaps, pairs, steps, epoch, bare, evidence or nameless, nameless=nameless)


def _assembled(
    gaps: Sequence[str],
    pairs: list[tuple[str, int, int | None]],
    steps: list[tuple[int, int, str]],
    epoch: int | None,
    bare: list[int],
    evidence: bool,
    *,
    nameless: bool,
) -> Template | None:
    count = len(gaps) - 1
    step = total = None
    unnamed = False
    if epoch is None and not steps and pairs:
        epoch, bare = _bracketed(gaps, bare)
    if steps:
        _, step, word = min(steps)
        if not pairs and word not in SINGULAR_STEPS:
            step = None
        elif _is_total(gaps[step + 1], step, count):
            total = step + 1
        elif epoch is not None and bare and word == "batch":
            total = None
    elif bare and pairs:
        step, unnamed = bare[0], True
        total = step + 1 if _is_total(gaps[step + 1], step, count) else None
    elif epoch is not None and epoch + 1 < count and gaps[epoch + 1].rstrip() == "][":
        step, unnamed = epoch + 1, True
    elif epoch is None and pairs and _LEADING_INDEX.match(gaps[0]) and _INDEX_END.match(gaps[1]):
        step = 0
    if not pairs and step is None and epoch is None:
        return None
    names: dict[str, tuple[str, int, int | None]] = {}
    for pair in pairs:
        if pair[1] not in (step, epoch):
            names.setdefault(pair[0], pair)
    listed = frozenset(index for index in range(count - 1) if gaps[index + 1] == ",")
    return Template(
        gaps=tuple(gaps),
        pairs=tuple(names.values()),
        step=step,
        epoch=epoch,
        total=total,
        bare=unnamed,
        rates_only=not evidence,
        positions_only=not names,
        listed=listed,
        nameless=nameless,
    )


def _bracketed(gaps: Sequence[str], bare: list[int]) -> tuple[int | None, list[int]]:
    """The epoch and the batch of lines that begin ``[3, 200]`` or ``[3/5][200/1583]``."""
    if not _PLACE_OPENS.match(gaps[0]) or len(gaps) < 4:
        return None, bare
    second = 2 if 0 in bare else 1
    if not _PLACE_GOES_ON.match(gaps[second]):
        return None, bare
    return 0, [index for index in bare if index == second] or [second]


def _is_total(after: str, index: int, count: int) -> bool:
    return index + 1 < count and (_TOTAL.match(after) is not None or _OF.match(after) is not None)


def _triple(gaps: Sequence[str], index: int) -> bool:
    """Whether the number starts a date such as 09/02/20."""
    return index + 2 < len(gaps) - 1 and gaps[index + 2].strip() == "/"


def apply(form: Template, tokens: Sequence[str]) -> Record:
    """The record of a line of ``form`` whose numbers are ``tokens``."""
    values: dict[str, float] = {}
    for name, index, divisor in form.pairs:
        if index in form.listed and tokens[index].lstrip("+-").isdigit():
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


def _finite(tokens: Sequence[str], index: int | None) -> float | None:
    if index is None:
        return None
    value = to_float(tokens[index])
    return value if abs(value) < 1e15 else None


class Templates:
    """The skeletons met so far, at most 2,048: progress bars make a new one at every state."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Template | None] = {}

    def match(self, text: str) -> tuple[Template, list[str]] | None:
        """The template of ``text`` and its numbers; None where it neither measures nor places anything."""
        gaps, tokens = split(text)
        if not tokens:
            return None
        try:
            form = self._known[gaps]
        except KeyError:
            form = None if is_code("0".join(gaps)) else template(gaps)
            if len(self._known) >= 2048:
                self._known.clear()
            self._known[gaps] = form
        return None if form is None else (form, tokens)
