"""Numbers, places and changes in words, the same in every reporter."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import counted, printable
from convergence_cli.row import RunRow, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convergence_cli.model import Finding, Remedy, Report, Run, RunError, RunReport, Where

MAX_SENTENCE = 2000
_NUMBERED = re.compile(r"(?s)(.*)(#\d+)")
# A cause from here on has its consequences folded under it.
FOLDED_FROM = 0.5
SEVERITY_RANK = {"error": 0, "warning": 1, "note": 2}


def sentence(text: object, limit: int = MAX_SENTENCE) -> str:
    """``text`` on one line, safe to show."""
    return printable(" ".join(str(text).split()), limit)


def number(value: float) -> str:
    """Four significant digits; whole numbers up to a billion in full, with separators."""
    if isinstance(value, bool) or not math.isfinite(value):
        return str(value).lower()
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}"


def value(item: Any) -> str:
    """An evidence or hyperparameter value, whatever its type (numpy scalars included)."""
    if hasattr(item, "item"):
        item = item.item()
    if isinstance(item, (bool, int, float)):
        return number(item)
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(value(part) for part in item) + "]"
    return printable(item, 80)


def percent(share: float) -> str:
    """A probability as whole percent, never rounded up to certainty."""
    return f"{min(round(100 * share), 99) if share < 1 else 100} %"


def pairs(items: Mapping[str, Any], joint: str = "=") -> list[str]:
    """``name=value`` of each item."""
    return [f"{printable(name, 60)}{joint}{value(item)}" for name, item in items.items()]


def changes(remedy: Remedy, arrow: str = "->") -> list[str]:
    """``key: old -> new`` of each change, without the old value where the run does not say it."""
    lines = []
    for key, new in remedy.change.items():
        old = remedy.from_.get(key)
        before = "" if old is None else f"{value(old)} {arrow} "
        lines.append(f"{printable(key, 60)}: {before}{value(new)}")
    return lines


def unit(run: RunReport) -> str:
    """What the run counts: ``step``, ``epoch`` or ``row``."""
    return printable(run.summary.get("x") or "step", 20)


def steps(where: Where, counted_in: str = "step", dash: str = "-") -> str:
    """The steps (epochs, rows) a finding speaks of, or nothing."""
    first, last = where.first_step, where.last_step
    if first is None and last is None:
        return ""
    if first is None or last is None or first == last:
        return f"{counted_in} {number(_known(first, last))}"
    return f"{counted_in}s {number(first)}{dash}{number(last)}"


def _known(first: float | None, last: float | None) -> float:
    return first if first is not None else last if last is not None else math.nan


def place(where: Where, run: RunReport, dash: str = "-") -> str:
    """Series, layer, steps and line of a finding, in words; the file only where it is not that of ``run``."""
    line = "" if where.line is None else f"line {where.line}"
    if line and where.file is not None and not f"/{run.path}".endswith(f"/{where.file}"):
        line = f"{printable(where.file, 80)}:{where.line}"
    named = [printable(name, 80) for name in (where.series, where.layer) if name]
    return ", ".join([*named, *filter(None, (steps(where, unit(run), dash), line))])


def titles(runs: Sequence[RunReport | RunRow]) -> list[str]:
    """What to call each of ``runs``: its name; where names repeat, the shortest end of its path that tells it apart."""
    # Runs of one file have its name and a number; what tells files apart goes before the number.
    parts = [_NUMBERED.fullmatch(run.name) for run in runs]
    names = [(part[1], part[2]) if part else (run.name, "") for part, run in zip(parts, runs, strict=True)]
    files = dict.fromkeys((name, run.path) for (name, _), run in zip(names, runs, strict=True))
    shown = {file: file[0] for file in files}
    deepest = max((path.count("/") for _, path in files), default=0)
    for depth in range(1, deepest + 2):
        counts = Counter(shown.values())
        if len(counts) == len(shown):
            break
        for file, title in shown.items():
            if counts[title] > 1:
                shown[file] = "/".join(file[1].split("/")[-depth:])
    return [printable(shown[name, run.path] + number) for (name, number), run in zip(names, runs, strict=True)]


def heading(run: Run | RunReport | RunRow) -> str:
    """What to call a run that stands alone: with its folder, as most logs are called metrics.csv."""
    folder = os.path.basename(os.path.dirname(run.path))
    return printable(f"{folder}/{run.name}" if folder and "/" not in run.name else run.name)


def unread(report: Report) -> tuple[list[RunError], list[RunError]]:
    """The errors on what could not be read, and those on runs that were read but hold nothing to judge."""
    read = {row.path for row in rows_of(report.runs)}
    return (
        [error for error in report.errors if error.path not in read],
        [error for error in report.errors if error.path in read],
    )


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors before warnings before notes, the surest first."""
    return sorted(findings, key=lambda item: (SEVERITY_RANK[item.severity], -item.confidence, item.rule))


def dumped(tensors: Any, dash: str = "-") -> list[str]:
    """``summary["tensors"]`` in parts: ``8 dumped steps 0-70``, ``12 layers``, ``14 weights, 14 gradients``."""
    if not isinstance(tensors, Mapping) or not tensors.get("steps"):
        return []
    first, last = tensors.get("first_step"), tensors.get("last_step")
    parts = [counted(tensors["steps"], "dumped step")]
    if first is not None and last is not None and first != last:
        parts[0] += f" {number(first)}{dash}{number(last)}"
    if tensors.get("layers"):
        parts.append(counted(tensors["layers"], "layer"))
    kinds = tensors.get("kinds") or {}
    return [*parts, *(counted(count, printable(kind, 20)) for kind, count in kinds.items())]


def could_not_look(run: RunReport) -> list[str]:
    """Why rules could not look at ``run``, the commonest reason first, each with the number of rules."""
    reasons = Counter(printable(skip.reason) for skip in run.skipped)
    return [f"{reason} ({count})" for reason, count in reasons.most_common()]


def severities(rows: Iterable[RunRow]) -> str:
    """``2 errors, 1 note``, or ``no findings``."""
    found = Counter[str]()
    for row in rows:
        found.update(row.found)
    return ", ".join(counted(found[name], name) for name in SEVERITY_RANK if found[name]) or "no findings"


def split_by_label(rows: Iterable[RunRow]) -> str:
    """``1 converging, 2 diverging``."""
    labels = Counter(row.label for row in rows)
    return ", ".join(f"{labels[label]:,} {label}" for label in sorted(labels))


def totals(report: Report) -> str:
    """The whole report in one line."""
    rows = rows_of(report.runs)
    split = split_by_label(rows)
    tables = [row.tensors for row in rows if row.tensors is not None]
    if tables:
        split = f"{sum(shown for shown, _ in tables):,} of {counted(sum(total for _, total in tables), 'row')}"
    missing, unjudged = unread(report)
    rest = f"; {counted(len(missing), 'input')} not read" if missing else ""
    rest += f"; {counted(len(unjudged), 'run')} not judged" if unjudged else ""
    if not rows:
        return f"no verdict{rest}"
    return f"{counted(len(rows), 'run')}: {split}; {severities(rows)}{rest}"


def verdict_line(run: RunReport) -> str:
    """``diverging (97 %): non-finite``."""
    verdict = run.verdict
    sure = "" if verdict.label == "undetermined" else f" ({percent(verdict.confidence)})"
    return f"{verdict.label}{sure}: {printable(verdict.state)}"
