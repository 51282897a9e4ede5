"""Reader of plain-text logs: what a training program printed to its console or its log file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convergence_cli.errors import NoLossError
from convergence_cli.pattern import Stopwatch, compiled
from convergence_cli.printable import printable
from convergence_cli.readers._guard import HEAD_BYTES
from convergence_cli.readers._text_decimal import comma_to_point, with_points, writes_decimal_commas
from convergence_cli.readers._text_fast import feed_block
from convergence_cli.readers._text_lines import NUMBER, clean, states, to_float
from convergence_cli.readers._text_log import LogReader
from convergence_cli.readers._text_pairs import Templates, split
from convergence_cli.readers._text_panels import Panel, catboost
from convergence_cli.readers._text_record import Record
from convergence_cli.readers._text_runs import Assembler
from convergence_cli.readers._text_sections import Sections, is_fence
from convergence_cli.readers._text_table import Table
from convergence_cli.readers._text_words import is_metric, is_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import Run
    from convergence_cli.readers._guard import ReadOptions, Source

FORMAT = "text"
PATTERN_LINE = 4096
_TABLE_ROWS = 5
_JSON_START = re.compile(rb"\s*(?:\{\s*(?:\"|\}|$)|\[\s*(?:[\[{\"\]]|$))")
_NOT_LOGS = [
    ".py",
    ".pyi",
    ".ipynb",
    ".md",
    ".rst",
    ".html",
    ".htm",
    ".xml",
    ".json",
    ".yaml",
    ".yml",
    ".toml",
    ".ini",
    ".cfg",
    ".css",
    ".js",
    ".ts",
    ".c",
    ".cc",
    ".cpp",
    ".cu",
    ".h",
    ".hpp",
    ".rs",
    ".go",
    ".java",
    ".sh",
    ".tex",
    ".bib",
    ".svg",
    ".prototxt",
    ".lock",
    ".patch",
    ".diff",
]
_HINT = "Give a log with lines such as 'step 10 loss 2.31', or say how to read it with --pattern."


def sniff(source: Source) -> float:
    """0.3 to 0.6 for text in which lines name a measured value, 0.15 where that may come after the head."""
    head = source.head
    if not head or _JSON_START.match(head) or not _printable(head):
        return 0.0
    lines = head.decode("utf-8", "replace").split("\n")
    if len(head) >= HEAD_BYTES - 4:
        lines.pop()
    templates, seen = Templates(), set()
    table, panel, sections = Table(), Panel(), Sections()
    measured = anchored = rows = total = 0
    for raw in lines:
        for state in states(raw)[-2:]:
            total += 1
            shown = clean(state).text
            known = catboost(shown) or panel.record(shown)
            if known is not None:
                measured += bool(known.values)
                anchored += known.step is not None
                continue
            anchored += sections.place(shown) is not None
            rows += table.record(shown) is not None or table.heads(shown)
            found = templates.match(shown)
            if found is None or found[0].positions_only:
                continue
            measured += 1
            anchored += found[0].step is not None or found[0].epoch is not None
            seen.add(found[0].gaps)
    suffix = source.path.suffix.lower()
    # A page that shows a table of its training is a log, too.
    if suffix in _NOT_LOGS and measured < 0.2 * total and rows < max(_TABLE_ROWS, 0.3 * total):
        return 0.0
    if measured > len(seen) and (anchored > 1 or measured >= 0.2 * total):
        return 0.6 if measured >= 5 else 0.45
    if anchored or rows > 1 or measured >= max(2, 0.2 * total):
        return 0.3
    return 0.15 if source.size > HEAD_BYTES and suffix not in _NOT_LOGS else 0.0


def _printable(head: bytes) -> bool:
    """Whether at most one byte in a hundred is a control character no text has."""
    controls = len(head) - len(head.translate(None, bytes([*range(7), *range(14, 27), *range(28, 32), 127])))
    return controls * 100 <= len(head) and b"\x00\x00\x00" not in head


def read(sources: Sequence[Source], options: ReadOptions) -> list[Run]:
    """The runs of each file; a file that goes back to the start holds several.

    Raises NoLossError where no series is measured, SettingsError where the user's pattern is wrong.
    """
    pattern = compiled(options.pattern) if options.pattern is not None else None
    return [
        run
        for source in sources
        for run in _read_one(source, Stopwatch(pattern, source.shown) if pattern is not None else None)
    ]


def _read_one(source: Source, pattern: Stopwatch | None) -> list[Run]:
    runs = Assembler(source.path.stem or source.shown, source.shown)
    log = LogReader(runs)
    before = len(source.notes)
    tail = b""
    commas: bool | None = None
    for block in source.line_blocks():
        if commas is None:
            commas = pattern is None and writes_decimal_commas(block)
            log.markdown = pattern is None and _is_markdown(block)
        tail = _block(log, tail + (with_points(block) if commas else block), pattern)
    torn = False
    if tail:
        torn = pattern is None and _is_torn(tail, log)
        if not torn:
            _feed(log, tail.decode("utf-8", "replace"), pattern)
    notes = tuple(dict.fromkeys(source.notes[before:]))
    if torn:
        notes += ("the last line is cut off and was left out",)
    found = [run for run in runs.finish(notes) if _judged(run, pattern is not None)]
    if not found:
        what = (
            "has no line that the pattern matches with a number."
            if pattern is not None
            else "has no line that names a loss or another measured value."
        )
        raise NoLossError(source.shown, f"{printable(source.shown)} {what}", _HINT)
    return found


def _is_markdown(block: bytes) -> bool:
    """Whether a text quotes its log in blocks of code: almost all lines that come again stand inside of them.

    A log may show code as well: samples of the model it trains. Prose measures things, too, but never twice alike.
    """
    if block.count(b"```", 0, HEAD_BYTES) + block.count(b"~~~", 0, HEAD_BYTES) < 2:
        return False
    templates, fenced, inside, outside = Templates(), False, 0, 0
    seen: set[tuple[str, ...]] = set()
    for raw in block[:HEAD_BYTES].decode("utf-8", "replace").split("\n"):
        if is_fence(raw):
            fenced = not fenced
            continue
        for state in states(raw)[-1:]:
            found = templates.match(clean(state).text)
            if found is not None and not found[0].positions_only:
                again = found[0].gaps in seen
                seen.add(found[0].gaps)
                inside, outside = inside + fenced, outside + (again and not fenced)
    return inside > 1 and 4 * outside <= inside


def _block(log: LogReader, block: bytes, pattern: Stopwatch | None) -> bytes:
    """Read the whole lines of ``block``; what stands after the last line end is handed back."""
    cut = block.rfind(b"\n") + 1
    whole, tail = block[:cut], block[cut:]
    if pattern is None:
        feed_block(log, whole)
    else:
        for line in whole.decode("utf-8", "replace").split("\n")[:-1]:
            _feed(log, line, pattern)
    if len(tail) > len(block) // 2 and tail.count(b"\r") > 1:
        # A bar that never ends its line: read what is complete of it, so that memory stays flat.
        stop = tail.rfind(b"\r") + 1
        _feed(log, tail[:stop].decode("utf-8", "replace"), pattern)
        log.line -= 1
        tail = tail[stop:]
    return tail


def _feed(log: LogReader, line: str, pattern: Stopwatch | None) -> None:
    if pattern is None:
        log.feed(line)
        return
    log.line += 1
    for state in states(line):
        record = _by_pattern(pattern, state)
        if record is not None:
            log.runs.add(record, log.line)


def _is_torn(tail: bytes, log: LogReader) -> bool:
    """Whether a last line without a line end stops inside its last number.

    It does unless it looks like the line before it: the same skeleton, and as many digits behind the point.
    """
    shown = states(tail.decode("utf-8", "replace"))
    if not shown:
        return False
    cleaned = clean(shown[-1]).text
    gaps, tokens = split(cleaned)
    latest = log.latest
    if latest is None or not tokens:
        return False
    if gaps == latest.gaps:
        finished = gaps[-1] != "" or tokens[-1].lower() in ("nan", "inf", "-inf")
        return not finished and len(tokens[-1]) < log.latest_width
    found = log.templates.match(cleaned)
    if found is None or found[0].positions_only:
        return gaps[0].strip() != "" and gaps[0] == latest.gaps[0]
    return gaps[-1] == "" or gaps[-1] != latest.gaps[-1]


def _judged(run: Run, by_pattern: bool) -> bool:
    """Whether something was measured, and more than a sentence that mentions it once."""
    if by_pattern:
        return True
    return any(
        is_metric(curve.name) and not is_rate(curve.name) and (curve.points > 1 or curve.step[0] != 0.0)
        for curve in run.curves
    )


def _by_pattern(pattern: Stopwatch, text: str) -> Record | None:
    match = pattern.search(text[:PATTERN_LINE])
    if match is None:
        return None
    values = {name: _number(token) for name, token in match.groupdict().items() if token is not None}
    numbers = {name: value for name, value in values.items() if value is not None}
    step, epoch = numbers.pop("step", None), numbers.pop("epoch", None)
    return Record(numbers, step=step, epoch=epoch) if numbers else None


def _number(text: str) -> float | None:
    match = NUMBER.search(comma_to_point(text.strip()))
    return to_float(match[1]) if match else None
