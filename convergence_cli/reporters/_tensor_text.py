"""The tensors of one run as lines of text: the table in the columns there are, then what the rules found in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from convergence_cli.model import SEVERITIES
from convergence_cli.printable import counted, printable
from convergence_cli.reporters._layout import cells, cut_middle
from convergence_cli.reporters._run_text import SEVERITY_STYLE, finding_lines, small_print
from convergence_cli.reporters._tensor_cells import TEXTS, cell, head, telling
from convergence_cli.reporters._wording import SEVERITY_RANK, dumped, number, worst_first

if TYPE_CHECKING:
    from convergence_cli.model import RunReport, TensorLine, TensorTable
    from convergence_cli.reporters._run_text import Page

# What gives way first where the terminal is narrow stands last; what stands together goes together.
IMPORTANCE: tuple[tuple[str, ...], ...] = (
    ("kind",),
    ("step",),
    ("worker",),
    ("mode",),
    ("nan",),
    ("flags",),
    ("inf",),
    ("mean",),
    ("std",),
    ("norm",),
    ("update_ratio",),
    ("zero",),
    ("dead",),
    ("saturated",),
    ("min", "max"),
    ("shape",),
    ("dtype",),
    ("count",),
)
ORDER = (
    *("name", "kind", "worker", "mode", "step", "shape", "dtype", "count", "mean", "std", "norm", "min", "max"),
    *("zero", "nan", "inf", "dead", "saturated", "update_ratio", "flags"),
)
# Names may take this share of the line before they are shortened.
_NAME_SHARE = 0.3
# Codes of so many columns are shown in full; of more, the first and how many others.
_FLAG_SHARE = 0.15
# Below so many columns kinds are shown by so many letters, and columns are closer to each other.
_NARROW, _SHORT_KIND = 60, 4
# What all names begin with is left out of a table that has no room, where it is longer than this.
_LEAST_STEM = 3


def tensor_lines(run: RunReport, title: str, page: Page) -> Iterator[str]:
    """Head, table, findings and small print of ``run``, which has a table."""
    table = run.tensors
    if table is None:
        return
    facts = [printable(run.format), *dumped(run.summary.get("tensors"), page.glyphs.dash)]
    yield from (page.paint(line, "bold") for line in page.parts([title, *facts]))
    if page.look.detail >= 0:
        yield from page.wrap(_which(table), "  ")
        if table.rows:
            yield from _table(table.rows, run, page)
    if run.findings:
        yield from ("", page.paint("Findings", "bold"))
        for finding in worst_first(run.findings):
            yield from finding_lines(finding, run, page)
    if page.look.detail < 0:
        return
    yield ""
    told = f"{counted(len(run.passed), 'rule')} passed"
    yield from (page.paint(line, "dim") for line in [*page.wrap(told, "  "), *small_print(run, page)])


def _which(table: TensorTable) -> str:
    """``step 70: 14 of 112 rows``."""
    steps = sorted({line.step for line in table.rows})
    if not steps:
        return f"none of {counted(table.total, 'row')}"
    at = f"step {number(steps[0])}" if len(steps) == 1 else f"steps {number(steps[0])} to {number(steps[-1])}"
    shown = f"{len(table.rows):,} of " if len(table.rows) < table.total else ""
    return f"{at}: {shown}{counted(table.total, 'row')}"


def _table(rows: Sequence[TensorLine], run: RunReport, page: Page) -> Iterator[str]:
    width, more = page.look.width, page.glyphs.more
    texts = {column: [cell(line, column) for line in rows] for column in telling(rows) if column in ORDER}
    gap = " " if width < _NARROW else "  "
    if width < _NARROW:
        texts["kind"] = [cell(line, "kind")[:_SHORT_KIND] for line in rows]
    if "flags" in texts:
        texts["flags"] = _short_flags(rows, texts["flags"], int(width * _FLAG_SHARE))
    names = texts.pop("name", [""] * len(rows))
    stem = _stem(names) if max(map(cells, names)) > width * _NAME_SHARE else ""
    if stem:
        names = [more + name[len(stem) :] for name in names]
        yield from page.wrap(f"{more} before a name stands for {stem}", "  ")
    widths = {column: max(cells(head(column)), *map(cells, shown)) for column, shown in texts.items()}
    kept = _columns_that_fit(widths, width - _least_name(names, rows, width, more), gap)
    room = width - sum(len(gap) + widths[column] for column in kept)
    names = [cut_middle(name, room, more) for name in names]
    widths["name"] = max(cells("name"), *map(cells, names))
    texts["name"] = names
    kept = ["name", *kept]
    yield ""
    yield page.paint(gap.join(_padded(head(column), widths[column], column) for column in kept).rstrip(), "bold")
    severities = {found.rule: found.severity for found in reversed(worst_first(run.findings))}
    for index, line in enumerate(rows):
        shown = []
        for column in kept:
            text = _padded(texts[column][index], widths[column], column)
            style = _style(line, column, severities)
            shown.append(page.paint(text.rstrip() if column == kept[-1] else text, style) if style else text)
        yield gap.join(shown).rstrip()


def _short_flags(rows: Sequence[TensorLine], texts: Sequence[str], most: int) -> list[str]:
    """``GR101+2`` for the codes that take more than ``most`` columns."""
    return [
        text if cells(text) <= most or len(line.flags) < 2 else f"{printable(line.flags[0])}+{len(line.flags) - 1}"
        for line, text in zip(rows, texts, strict=True)
    ]


def _stem(names: Sequence[str]) -> str:
    """The layers above all of ``names``, worth leaving out: ``transformer.h.``."""
    first, last = min(names), max(names)
    same = next((index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    stem = first[: first.rfind(".", 0, same) + 1]
    return stem if len(stem) > _LEAST_STEM and first != last else ""


def _least_name(names: Sequence[str], rows: Sequence[TensorLine], width: int, more: str) -> int:
    """The fewest columns in which shortened names still tell the rows apart; at most half the line."""
    whole = max(*map(cells, names), cells("name"))
    if whole <= width * _NAME_SHARE:
        return whole
    beside = [(line.kind, line.step, line.mode, line.worker) for line in rows]
    different = len(set(zip(names, beside, strict=True)))
    most = min(whole, width // 2)
    for room in range(min(int(width * _NAME_SHARE), most), most):
        if (
            len({(cut_middle(name, room, more), *others) for name, others in zip(names, beside, strict=True)})
            == different
        ):
            return room
    return most


def _columns_that_fit(widths: Mapping[str, int], room: int, gap: str) -> list[str]:
    kept: set[str] = set()
    for group in IMPORTANCE:
        there = [column for column in group if column in widths]
        taken = sum(len(gap) + widths[column] for column in there)
        if taken <= room:
            room -= taken
            kept.update(there)
    return [column for column in ORDER if column in kept]


def _padded(text: str, width: int, column: str) -> str:
    space = " " * (width - cells(text))
    return text + space if column in TEXTS else space + text


def _style(line: TensorLine, column: str, severities: Mapping[str, str]) -> str:
    value = getattr(line, column)
    if column in ("nan", "inf") and value:
        return "bold red"
    if column == "flags" and value:
        worst = min((SEVERITY_RANK[severities[code]] for code in value if code in severities), default=len(SEVERITIES))
        return SEVERITY_STYLE[SEVERITIES[worst]] if worst < len(SEVERITIES) else "bold"
    return "dim" if value is None and column not in TEXTS else ""
