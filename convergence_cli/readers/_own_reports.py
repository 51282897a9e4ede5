"""Reports of this program: saved in a run's folder, they are no log of the run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

_BEGINNINGS = re.compile(
    rb'\s*\{\s*"schema_version":\s*\d+,\s*"tool":\s*\{\s*"name":\s*"ctroubleshoot"'
    rb'|\{"type": "run", "name": "[^\n]{0,2000}"path": "'
    rb"|\*\*ctroubleshoot\*\*: "
    rb"|<\?xml [^\n]{0,100}\n<testsuites name=\"ctroubleshoot\""
    rb"|::(?:error|warning|notice) (?:file=|title=)"
    rb"|<!doctype html>\n<html lang=\"en\">\n<head>\n[^\n]*\n"
    rb"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"
)
_CONCISE = re.compile(
    rb"[^\n]{1,2000}: (?:VERDICT (?:converging|diverging|stuck|overfitting|undetermined)"
    rb"|[A-Z]{2}\d{3} (?:error|warning|note) )"
)
_TOTAL = re.compile(
    rb"(?:^|\n)\d[\d,]* runs?: \d[^\n]{0,200}\n?[^\n]{0,200}(?:error|warning|note|finding)s?[^\n]{0,80}\n?$"
)
_TAIL = 600


def is_own_report(source: Source) -> bool:
    """Whether ``source`` was written by ``analyze``, in any of its formats that could be taken for a log."""
    head = source.head
    if _BEGINNINGS.match(head) or _CONCISE.match(head):
        return True
    # A report in text says at its end what it has found.
    return len(head) == source.size and _TOTAL.search(head[-_TAIL:]) is not None
