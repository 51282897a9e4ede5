"""Several runs as a table, the worst first: verdict, best, curve, first cause and first remedy; and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.model import FAILING
from convergence_cli.printable import counted, printable
from convergence_cli.reporters._layout import cells, cut, cut_middle
from convergence_cli.reporters._sparkline import sparkline
from convergence_cli.reporters._wording import number, percent, sentence, split_by_label, value
from convergence_cli.row import thinned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convergence_cli.model import Fleet, Group
    from convergence_cli.reporters._run_text import Page
    from convergence_cli.row import RunRow

# Lines that fit on a screen with what comes after the table.
SHOWN_ROWS = 15
SHOWN_GROUPS = 12
SHOWN_VARIED = 4
_LEAST_NAME, _LEAST_NAME_SHARE = 12, 0.3
# "overfitting   97 %", and a number such as 1.234e-05.
_VERDICT, _BEST = 18, 10
_GAP = "  "
_WIDE, _NARROW = 110, 60


def fleet_lines(rows: Sequence[RunRow], titles: Sequence[str], fleet: Fleet | None, page: Page) -> Iterator[str]:
    """The table of ``rows``, and what is said of them together."""
    most = len(rows) if page.full else SHOWN_ROWS
    yield from _table(rows[:most], titles[:most], page)
    if len(rows) > most:
        rest = f"{counted(len(rows) - most, 'more run')}: {split_by_label(rows[most:])}"
        yield page.paint(cut(f"{rest} (all with --verbose)", page.look.width, page.glyphs.more), "dim")
    if fleet is None:
        return
    if fleet.varied:
        yield from ("", *page.wrap(f"They differ in {_varied(fleet.varied)}.", ""))
    if fleet.traits:
        yield from ("", page.paint("What they have in common", "bold"))
        for trait in fleet.traits:
            yield from page.wrap(sentence(trait.statement), "  ")
    if fleet.groups:
        yield ""
        yield from _groups(fleet, page)


def _table(rows: Sequence[RunRow], titles: Sequence[str], page: Page) -> Iterator[str]:
    width = page.look.width
    spark = 24 if width >= _WIDE else 10
    drawn = width >= _NARROW and any(row.spark for row in rows)
    # On a narrow terminal the curve goes first, then how sure a verdict is; the numbers stay.
    verdict = _VERDICT if width >= _NARROW else _VERDICT - 5
    fixed = verdict + len(_GAP) * 2 + _BEST + (spark + len(_GAP) if drawn else 0)
    names = _told_apart(without_shared_end(titles), max(width - fixed, int(width * _LEAST_NAME_SHARE)), page)
    wide = max(_LEAST_NAME, *map(cells, names))
    head = f"{'run':<{wide}}{_GAP}{'verdict':<{verdict}}{_GAP}{'best loss':>{_BEST}}{_GAP}{'loss' if drawn else ''}"
    yield page.paint(cut(head.rstrip(), width, page.glyphs.more), "dim")
    for name, row in zip(names, rows, strict=True):
        best = "" if row.best is None else number(row.best)
        sure = "" if row.label == "undetermined" else percent(row.confidence)
        said = f"{row.label:<{_VERDICT - 5}}{sure:>5}"[:verdict]
        parts = [f"{name}{' ' * (wide - cells(name))}", said, f"{best:>{_BEST}}"]
        if drawn:
            parts.append(_spark(row, spark, page))
        line = cut(_GAP.join(parts), width, page.glyphs.more).rstrip()
        yield line.replace(row.label, page.paint(row.label, page.style(row.label)), 1)
        told = _why(row, page)
        if told:
            yield page.paint(f"  {cut(told, width - 2, page.glyphs.more)}", "dim")


def _spark(row: RunRow, width: int, page: Page) -> str:
    return sparkline(thinned(row.spark, width), page.glyphs.levels, page.glyphs.bad)


def _why(row: RunRow, page: Page) -> str:
    """State, first cause and first remedy of a run with which something is wrong; nothing of any other."""
    wrong = row.label in FAILING or row.found.get("error") or row.found.get("warning")
    if not wrong:
        return "" if row.label != "undetermined" else printable(row.state)
    arrow, dot = page.glyphs.arrow, page.glyphs.dot
    parts = [printable(row.state)]
    if row.cause is not None:
        parts.append(printable(row.cause, 60))
    if row.change is not None:
        key, old, new = row.change
        before = "" if old is None else f"{value(old)} {arrow} "
        parts.append(f"{printable(key, 40)}: {before}{value(new)}")
    if len(parts) == 1:
        parts += [counted(row.found[name], name) for name in ("error", "warning") if row.found.get(name)]
    return f" {dot} ".join(parts)


def _told_apart(titles: Sequence[str], room: int, page: Page) -> list[str]:
    """``titles`` cut to ``room`` columns, or to as few more as keep different ones different."""
    different = len(set(titles))
    for most in (room, room + 8, room + 16):
        names = [cut_middle(title, most, page.glyphs.more) for title in titles]
        if len(set(names)) == different:
            return names
    return [cut_middle(title, room, page.glyphs.more) for title in titles]


def without_shared_end(titles: Sequence[str]) -> list[str]:
    """``titles`` without the last names of their paths that are the same everywhere, or that tell no run apart."""
    parts = [title.split("/") for title in titles]
    if all(len(own) > 1 for own in parts) and len({tuple(own[:-1]) for own in parts}) == len(parts):
        # Each has a folder of its own.
        parts = [own[:-1] for own in parts]
    shared = 0
    while all(len(own) > shared + 1 for own in parts) and len({own[-1 - shared] for own in parts}) == 1:
        shared += 1
    return ["/".join(own[: len(own) - shared]) for own in parts] if len(parts) > 1 else list(titles)


def _varied(varied: Mapping[str, object]) -> str:
    shown = []
    for key, values in list(varied.items())[:SHOWN_VARIED]:
        several = values if isinstance(values, (list, tuple)) else [values]
        shown.append(f"{printable(key, 40)} ({', '.join(value(one) for one in several)})")
    more = len(varied) - len(shown)
    return ", ".join(shown) + (f" and {counted(more, 'more setting')}" if more else "")


def _groups(fleet: Fleet, page: Page) -> Iterator[str]:
    most = len(fleet.groups) if page.full else SHOWN_GROUPS
    shown = fleet.groups[:most]
    heads = [*(printable(key, 30) for key in fleet.group_by), "runs", "failing", "best", "median"]
    lines = [heads, *(_group_cells(group) for group in shown)]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(heads))]
    for position, line in enumerate(lines):
        text = _GAP.join(f"{' ' * (wide - cells(cell))}{cell}" for cell, wide in zip(line, widths, strict=True))
        text = cut(text, page.look.width, page.glyphs.more)
        yield page.paint(text, "dim") if position == 0 else text
    if len(fleet.groups) > most:
        yield page.paint(f"{counted(len(fleet.groups) - most, 'more group')} with --verbose", "dim")


def _group_cells(group: Group) -> list[str]:
    failing = sum(count for label, count in group.labels.items() if label in FAILING)
    best, median = ("" if item is None else number(item) for item in (group.best, group.median))
    settings = ["-" if item is None else value(item) for item in group.settings.values()]
    return [*settings, str(group.runs), str(failing), best, median]
