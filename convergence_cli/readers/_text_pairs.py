"""Name-and-number pairs in a line, found from the text between its numbers.

The text between the numbers (the skeleton) decides what each number is, so one analysis serves every
line of that skeleton.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convergence_cli.readers._text_lines import NUMBER, is_code
from convergence_cli.readers._text_record import Template
from convergence_cli.readers._text_words import (
    EPOCHS,
    OWN_CONTEXT,
    SINGULAR_STEPS,
    STEP_RANK,
    context_in,
    is_context,
    is_junk,
    is_learning_rate,
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
# "trainer:260 - ", "(trainer:732) ", "callbacks:143 >> ": where in the source a logger was called.
_LOCATION = re.compile(r"[A-Za-z_]\w*:$")
_LOCATION_END = re.compile(r"^(?: - | >> |\) |\] )")
# A pipe at once behind a number is a bar of tqdm, unless the next name follows it.
_NEXT_COLUMN = re.compile(r"^\| *[A-Za-z]")
_LEARNING_RATE = re.compile(r"^learning[ _]rate$", re.IGNORECASE)
_MEAN_OPENS = re.compile(r"^\s?\(\s*$")
_INDEX_END = re.compile(r"^\s*\]\s|^:\s")


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
        word = "epoch" if tied and _OPENS_BATCH.match(after) and is_context(key.split()[-1]) else step_word(key)
        if word is not None:
            if word in EPOCHS:
                epoch = index if epoch is None else epoch
            else:
                steps.append((STEP_RANK[word], index, word))
            continue
        metric = is_metric(key)
        if _is_of_no_series(key, gaps[index], after, metric=metric):
            continue
        if has_total and tied and not metric and not _triple(gaps, index):
            bare.append(index)
            continue
        if not metric and _POSITION.search(key):
            continue
        if not tied and not (_is_phrase(key) if metric else is_scale(key)):
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
    means = ((index, index + 1) for _, index, _ in pairs if _has_mean(gaps, index))
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
        means=tuple(means),
        rates=frozenset(index for name, index, _ in names.values() if is_learning_rate(name)),
    )


def _is_of_no_series(key: str, before: str, after: str, *, metric: bool) -> bool:
    """Whether a named number has a unit, or its name is of a sentence, a clock, a speed or a place in the source."""
    if (_UNIT.match(after) and not after.startswith("%|")) and not (metric and _NEXT_COLUMN.match(after)):
        return True
    return len(key.split()) > 5 or is_junk(key) or (not metric and _is_location(before, after))


def _is_phrase(key: str) -> bool:
    """Whether words before a number name it although neither ``:`` nor ``=`` ties them to it."""
    words = key.split()
    return (is_metric(words[-1]) and len(words) <= 3) or _LEARNING_RATE.match(key) is not None


def _is_location(before: str, after: str) -> bool:
    return _LOCATION.search(before) is not None and _LOCATION_END.match(after) is not None


def _has_mean(gaps: Sequence[str], index: int) -> bool:
    return index + 2 < len(gaps) and _MEAN_OPENS.match(gaps[index + 1]) is not None and gaps[index + 2][:1] == ")"


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
    """Whether the number starts a date such as 09/02/20, or 09/02 before a clock."""
    if index + 2 >= len(gaps) - 1:
        return False
    before_clock = index == 0 and gaps[0].strip() in ("", "[") and gaps[2] == " " and gaps[3] == ":"
    return before_clock or gaps[index + 2].strip() == "/"


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
