"""A block of JSON lines to records: fast where the lines are clean, without loss where they are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_BARE = (b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"-inf")
# f-strings write nan and inf in lower case; a string is skipped whole, so that its text is left alone.
_LENIENT = re.compile(rb'"(?:[^"\\]|\\.)*"|(?<![\w.])([-+]?(?:nan|inf(?:inity)?))(?![\w.])', re.IGNORECASE)
_LONGEST_INTEGER = 300
_MOST_BRACKETS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """``records`` (dictionaries only) and the 0-based ``lines`` in the block they stand on (float64).

    ``total`` counts all lines, ``bad`` those that hold no JSON object.
    """

    records: list[dict[str, Any]]
    lines: np.ndarray[Any, np.dtype[np.float64]]
    total: int
    bad: int


def parse_lines(block: bytes) -> Block:
    """The JSON object of each line. Blank lines and lines that hold ``null`` are no records and not bad."""
    body = block.rstrip()
    if b"\r" not in body:
        total = body.count(b"\n") + 1
        for text in _spellings(body):
            records = _loads(text)
            if records is not None:
                if len(records) == total and set(map(type, records)) == {dict}:
                    return Block(records, np.arange(total, dtype=np.float64), total, 0)
                break
    found: list[dict[str, Any]] = []
    lines, bad = [], 0
    split = block.splitlines()
    for index, line in enumerate(split):
        if line.isspace() or not line:
            continue
        try:
            record = parse_line(line)
        except ValueError:
            bad += 1
            continue
        if isinstance(record, dict):
            found.append(record)
            lines.append(index)
        elif record is not None:
            bad += 1
    return Block(found, np.array(lines, dtype=np.float64), len(split), bad)


def _loads(body: bytes) -> list[Any] | None:
    import orjson

    try:
        records: list[Any] = orjson.loads(b"[" + body.replace(b"\n", b",") + b"]")
    except orjson.JSONDecodeError:
        return None
    return records


def parse_line(line: bytes) -> Any:
    """One JSON value, bare NaN, Infinity, nan and inf included; ValueError for anything else."""
    import orjson

    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    if line.count(b"[") + line.count(b"{") > _MOST_BRACKETS:
        raise ValueError("nested too deeply")
    import json

    try:
        return json.loads(line, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError:
        quoted = _LENIENT.sub(_quoted, line)
        if quoted == line:
            raise
    return orjson.loads(quoted)


def _spellings(block: bytes) -> Iterator[bytes]:
    """``block`` as it is, then with bare NaN and then Infinity as strings, which are read as numbers.

    A replacement inside a string ends that string early: the block is then no JSON and is read line by
    line, so text is never changed. What json.dumps writes comes first, since each pass costs time.
    """
    yield block
    block = block.replace(b": NaN", b': "NaN"')
    yield block
    for token in _BARE:
        for before in (b": ", b":"):
            block = block.replace(before + token, before + b'"' + token + b'"')
    yield block


def _quoted(match: re.Match[bytes]) -> bytes:
    token = match.group(1)
    return match.group() if token is None else b'"' + token + b'"'


def _integer(digits: str) -> int | float:
    # int() refuses more than 4300 digits, and float() of that many is infinite, which is what it is here.
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)
