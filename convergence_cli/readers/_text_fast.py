"""Reads stretches of lines that differ in their numbers alone, all numbers at once.

The result is that of the line-by-line path: a stretch is taken only where every line provably has
the texts of one template, in order, and nothing but numbers between them. Anything else is left to
``LogReader.feed``.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.readers._text_lines import MAX_LINE, STAMP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.model import FloatArray
    from convergence_cli.readers._text_log import LogReader
    from convergence_cli.readers._text_record import Template

SAMPLE = 256
SHORTEST = 128
PIECE = 1 << 19
_STAMP = re.compile(STAMP.pattern.encode(), re.MULTILINE)
_ROUNDED = re.compile(rb"(?<![\d.])0?\.00+(?![\d.eE])")
_NUMERIC = b"0123456789+-.eEnNaAiIfF"


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A template as bytes: what to blank out of a block, and what must be left of it.

    ``prefix`` matches what a logger puts before the first number that counts, with the ``skipped``
    numbers in it. ``rest`` is what one line becomes without the characters that numbers are made of. ``swaps`` are
    replacements of equal length, ``table`` translates every other text between numbers to blanks and
    one comma.
    """

    form: Template
    prefix: re.Pattern[bytes] | None
    skipped: int
    first: bytes
    last: bytes
    rest: bytes
    swaps: tuple[tuple[bytes, bytes], ...]
    table: bytes
    every: tuple[tuple[bytes, bytes], ...]
    numbers: int


def feed_block(log: LogReader, block: bytes) -> None:
    """Whole lines, in order."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if block[10:11] == b"T" and _STAMP.match(block):
        block = _STAMP.sub(b"", block)
    if len(block) < 1 << 15 or b"\r" in block or b"\x1b" in block:
        _feed(log, block)
        return
    at, used = 0, Counter[int]()
    forms: dict[int, Template] = {}
    # A later block mostly goes on as the one before it did.
    for _ in range(SAMPLE if log.line == 0 else SAMPLE // 4):
        end = block.find(b"\n", at) + 1
        if not end:
            break
        _feed(log, block[at:end])
        at = end
        if log.latest is not None:
            used[id(log.latest)] += 1
            forms[id(log.latest)] = log.latest
    usual = forms[used.most_common(1)[0][0]] if used else None
    skeleton = _skeleton(usual) if usual is not None and log.has_no_table() else None
    rest = block[at:]
    if skeleton is None:
        _feed(log, rest)
    else:
        _feed_alike(log, rest, skeleton)


def _feed(log: LogReader, block: bytes) -> None:
    for line in block.decode("utf-8", "replace").split("\n")[:-1]:
        log.feed(line)


def _feed_alike(log: LogReader, block: bytes, skeleton: Skeleton) -> None:
    """Take stretches of lines that begin alike at once, the lines between them one by one."""
    first = skeleton.first
    at = 0
    while at < len(block):
        end = block.rfind(b"\n", at, at + PIECE) + 1 or block.find(b"\n", at) + 1
        piece = block[at:end]
        at = end
        _take_alike(log, piece, first, skeleton)


def _take_alike(log: LogReader, block: bytes, first: bytes, skeleton: Skeleton) -> None:
    count = block.count(b"\n")
    if _take_whole(log, block, count, skeleton):
        return
    if not first:
        _take(log, block, count, skeleton)
        return
    begins = bytes.startswith if skeleton.prefix is None else bytes.__contains__
    for alike, group in groupby(_lines(block), lambda line: begins(line, first)):
        lines = list(group)
        if alike:
            _take(log, b"".join(lines), len(lines), skeleton)
        else:
            _feed(log, b"".join(lines))


def _lines(block: bytes) -> Iterator[bytes]:
    return (line + b"\n" for line in block[:-1].split(b"\n"))


def _take(log: LogReader, block: bytes, count: int, skeleton: Skeleton) -> None:
    """Read ``count`` lines at once, in halves where that fails, one by one where too few are left."""
    if _take_whole(log, block, count, skeleton):
        return
    if count < SHORTEST:
        _feed(log, block)
        return
    middle = block.find(b"\n", len(block) // 2) + 1
    lines = block.count(b"\n", 0, middle)
    if lines == count:
        _feed(log, block)
        return
    _take(log, block[:middle], lines, skeleton)
    _take(log, block[middle:], count - lines, skeleton)


def _take_whole(log: LogReader, block: bytes, count: int, skeleton: Skeleton) -> bool:
    if count < SHORTEST or not log.has_no_table():
        return False
    # The last line takes the slow path, which leaves the state of the log as it has to be.
    cut = block.rfind(b"\n", 0, len(block) - 1) + 1
    columns = parse(block[:cut], count - 1, skeleton)
    if columns is None or _rounds_rates(block, columns, skeleton) or not _add(log, columns, skeleton):
        return False
    _feed(log, block[cut:])
    return True


def _rounds_rates(block: bytes, numbers: FloatArray, skeleton: Skeleton) -> bool:
    """Whether a learning rate stands there as 0.0000, which is no value."""
    rates = [index - skeleton.skipped for index in skeleton.form.rates]
    return bool(rates) and bool((numbers[:, rates] == 0).any()) and _ROUNDED.search(block) is not None


def parse(block: bytes, count: int, skeleton: Skeleton) -> FloatArray | None:
    """The numbers of ``count`` lines as a (count, numbers a line) array; None unless every line fits."""
    window = MAX_LINE // 2
    if any(block.find(b"\n", at, at + window) < 0 for at in range(0, len(block) - window, window)):
        return None
    if skeleton.prefix is not None:
        block, found = skeleton.prefix.subn(b"", block)
        if found != count:
            return None
    if block.translate(None, _NUMERIC) != skeleton.rest * count:
        return None
    body = skeleton.last + block[: len(block) - len(skeleton.last)]
    numbers = _as_json(body, skeleton)
    if numbers is None:
        numbers = _as_floats(body, skeleton)
    if numbers is None or len(numbers) != count * skeleton.numbers:
        return None
    return numbers.reshape(count, skeleton.numbers)


def _as_json(body: bytes, skeleton: Skeleton) -> FloatArray | None:
    """Blank the texts out and parse what is left as a JSON array: exact, strict, and without NaN."""
    import orjson

    for text, comma in skeleton.swaps:
        body = body.replace(text, comma)
    body = body.translate(skeleton.table)
    try:
        found = orjson.loads(b"[0" + body + b"]")
        return np.fromiter(found, dtype=np.float64, count=len(found))[1:]
    except (ValueError, TypeError, OverflowError):
        return None


def _as_floats(body: bytes, skeleton: Skeleton) -> FloatArray | None:
    """The same for lines with NaN, infinities, or forms that JSON does not have."""
    for text, comma in skeleton.every:
        body = body.replace(text, comma)
    tokens = body.split(b",")[1:]
    if b"" in tokens:
        return None
    text = b" ".join(tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            return None


def _add(log: LogReader, numbers: FloatArray, skeleton: Skeleton) -> bool:
    """Hand the columns to the assembler if they go on where the run is; False where they need more care."""
    form, skipped = skeleton.form, skeleton.skipped
    if form.step is None:
        return False
    step = np.ascontiguousarray(numbers[:, form.step - skipped])
    named = {name: index - skipped for name, index, _ in form.pairs}
    others = np.delete(numbers, list(named.values()), axis=1)
    if not np.isfinite(others).all() or not (np.diff(step) > 0).all() or abs(step).max() >= 1e15:
        return False
    if not log.runs.takes_columns(float(step[0])):
        return False
    line = np.arange(log.line + 1, log.line + 1 + len(step), dtype=np.float64)
    columns = {name: np.ascontiguousarray(numbers[:, index]) for name, index in named.items()}
    log.runs.add_columns(step, columns, line)
    log.line += len(step)
    return True


def _skeleton(form: Template) -> Skeleton | None:
    """``form`` as bytes; None where its texts do not tell the numbers apart or a step needs the slow path."""
    if form.step is None or form.bare or form.epoch is not None or form.rates_only:
        return None
    whole = "\n".join(form.gaps)
    if any(divisor is not None for *_, divisor in form.pairs) or " avg" in whole or "net output" in whole:
        return None
    if not form.pairs or "," in form.gaps[1:-1] or (form.gaps[0].strip() == "" and form.gaps[1].strip() == "/"):
        return None
    skipped = min(form.step, *(index for _, index, _ in form.pairs))
    gaps = [gap.encode() for gap in form.gaps[skipped:]]
    prefix = _prefix(form.gaps[:skipped]) if skipped else None
    texts = [gaps[-1] + b"\n" + gaps[0], *gaps[1:-1]]
    reduced = {text: text.translate(None, _NUMERIC) for text in texts}
    for text, rest in reduced.items():
        # Substring-free: the sequence of texts can then be told from the sequence of what is left of them.
        if not rest or any(other != text and rest in reduced[other] for other in reduced):
            return None
        if any(other != text and text in other for other in reduced):
            return None
    rest = b"".join(gap.translate(None, _NUMERIC) for gap in gaps) + b"\n"
    distinct = sorted(reduced, key=len, reverse=True)
    every = tuple((text, b",") for text in distinct)
    swaps, table = _table(distinct)
    last = gaps[-1] + b"\n"
    return Skeleton(form, prefix, skipped, gaps[0], last, rest, swaps, table, every, len(gaps) - 1)


def _prefix(gaps: Sequence[str]) -> re.Pattern[bytes]:
    """What stands before the first number that counts: dates, clocks, process numbers."""
    return re.compile(b"".join([b"(?m)^", *(re.escape(gap.encode()) + rb"\d[\d.,]*" for gap in gaps)]))


def _table(texts: Sequence[bytes]) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    """Which texts must be replaced first, and the translation that turns the others into one comma each.

    A text can be translated if it holds none of the characters of a number, and one character
    once that stands in no other text but where it is the comma too.
    """
    translate = bytearray(range(256))
    plain = [text for text in texts if not set(text) & set(_NUMERIC) and b"," not in text]
    comma = next((mark for mark in b"|;\n\t" if plain and all(text.count(mark) == 1 for text in plain)), None)
    kept = plain if comma is not None else []
    swaps = tuple((text, b"," + b" " * (len(text) - 1)) for text in texts if text not in kept)
    for char in set(b"".join(kept)):
        translate[char] = 0x2C if char == comma else 0x20
    return swaps, bytes(translate)
