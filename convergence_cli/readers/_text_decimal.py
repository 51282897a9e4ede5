"""Logs that write numbers with a decimal comma, as programs do under a German or French locale."""

from __future__ import annotations

import re

from convergence_cli.readers._text_words import is_metric

_LOOKED_AT = 1 << 18
_NAMED = re.compile(rb"([A-Za-z][\w./-]{0,60})[\"']?[ \t:=]{1,6}[-+]?(\d+)([.,])(\d+)(?![\d.]|,\d)")
# "1.234,5" groups thousands with points.
_DECIMAL = re.compile(rb"(?<![\w.,])([-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)),(\d+)(?!\d|,\d)")
_GROUPED = re.compile(rb"(?<![\w.,])[1-9]\d{0,2}(?:\.\d{3})+(?![\w.]|,\d)")
_TOKEN = re.compile(r"[-+]?(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?:[eE][-+]?\d+)?")


def writes_decimal_commas(block: bytes) -> bool:
    """Whether the measured values at the start of ``block`` have commas, and none of them a point.

    At least two must be no ``1,234``: other than three digits behind the comma, or a zero before it.
    """
    certain = 0
    for match in _NAMED.finditer(block, 0, _LOOKED_AT):
        if not is_metric(match[1].decode("utf-8", "replace")):
            continue
        if match[3] == b".":
            return False
        certain += len(match[4]) != 3 or match[2] == b"0"
    return certain > 1


def with_points(block: bytes) -> bytes:
    """``block`` with its decimal commas as points, and without the points that group thousands."""
    block = _GROUPED.sub(lambda match: match[0].replace(b".", b""), block)
    return _DECIMAL.sub(lambda match: match[1].replace(b".", b"") + b"." + match[2], block)


def comma_to_point(token: str) -> str:
    """A number whose comma cannot group thousands, with a point; any other text as it is."""
    return token.replace(",", ".") if _TOKEN.fullmatch(token) else token
