"""The default: one screen a run. Plain string building, so that a small log needs no further import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import counted, printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._layout import UNICODE, cells, cut, cut_middle, glyphs, join_cut, painter
from convergence_cli.reporters._run_text import Page, run_lines
from convergence_cli.reporters._tensor_text import tensor_lines
from convergence_cli.reporters._wording import percent, sentence, severities, titles, totals, unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.model import Report, RunError, RunReport

_LEAST_NAME_SHARE = 0.3
# Label and confidence, which every line of the table shows, and the spaces after them.
_VERDICT_COLUMNS = 21


def render(report: Report, look: Look = PLAIN) -> str:
    """A table where there are several runs, then each run, then what could not be read, then the total."""
    if not look.unicode:
        report = _ascii(report)
    page = Page(look, glyphs(look), painter(look))
    runs = list(zip(titles(report.runs), report.runs, strict=True))
    blocks = []
    inspected = any(run.tensors is not None for run in report.runs)
    if len(runs) > 1 and not inspected:
        blocks.append(list(_table(runs, page)))
    shown = [(title, run) for title, run in runs if _in_full(run, len(runs), look)]
    for title, run in shown:
        lines_of = run_lines if run.tensors is None else tensor_lines
        blocks.append(list(lines_of(run, title, replace(page))))
    if len(shown) < len(runs):
        unseen = counted(len(runs) - len(shown), "run")
        blocks.append(page.wrap(f"{unseen} without a warning or error: in full with --verbose", ""))
    for title, errors in zip(("Not read", "Not judged"), unread(report), strict=True):
        if errors:
            blocks.append(list(_errors(title, errors, page)))
    blocks.append([page.paint(line, "bold") for line in page.wrap(totals(report), "")])
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    return text if look.unicode else text.replace(UNICODE.more, "~")


def _in_full(run: RunReport, runs: int, look: Look) -> bool:
    """Whether to show more of ``run`` than its line in the table: of several, those with something wrong."""
    if runs == 1 or look.detail > 0 or run.tensors is not None:
        return True
    return any(found.severity != "note" for found in run.findings)


def _ascii(value: Any) -> Any:
    """``value`` with every string in ASCII, before lines are broken: escapes take more room."""
    if isinstance(value, str):
        return value.encode("ascii", "backslashreplace").decode()
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: _ascii(getattr(value, item.name)) for item in fields(value)})
    if isinstance(value, Mapping):
        return {_ascii(key): _ascii(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_ascii, value))
    return value


def _table(runs: Sequence[tuple[str, RunReport]], page: Page) -> Iterator[str]:
    width, more = page.look.width, page.glyphs.more
    rows = [_table_row(run) for _, run in runs]
    beside = max(cells(head) + cells(", ".join(facts)) for head, facts in rows)
    least = max(width - 2 - beside, int(width * _LEAST_NAME_SHARE))
    names = _told_apart([title for title, _ in runs], least, width - 2 - _VERDICT_COLUMNS, more)
    wide = max(map(cells, names))
    for name, (head, facts), (_, run) in zip(names, rows, runs, strict=True):
        left = width - wide - 2
        room = left - cells(head)
        # That nothing was found may be left unsaid; a hint at more would be wrong.
        said = facts[:1] if not run.findings and cells(", ".join(facts)) > room else facts
        rest = cut(head + join_cut(said, ", ", room, more), left, more)
        label = run.verdict.label
        yield f"{name}{' ' * (wide - cells(name))}  " + rest.replace(label, page.paint(label, page.style(label)), 1)


def _told_apart(titles: Sequence[str], least: int, most: int, more: str) -> list[str]:
    """``titles`` cut to the fewest columns from ``least`` to ``most`` that keep them different; else to ``least``."""
    different = len(set(titles))
    for room in (*range(least, most, 4), most):
        names = [cut_middle(title, room, more) for title in titles]
        if len(set(names)) == different:
            return names
    return [cut_middle(title, least, more) for title in titles]


def _table_row(run: RunReport) -> tuple[str, list[str]]:
    """The columns for verdict and confidence, and what follows them."""
    verdict = run.verdict
    sure = "" if verdict.label == "undetermined" else percent(verdict.confidence)
    return f"{verdict.label:<12}  {sure:>5}  ", [printable(verdict.state), severities([run])]


def _errors(title: str, errors: Sequence[RunError], page: Page) -> Iterator[str]:
    yield page.paint(title, "bold red")
    for error in errors:
        yield from page.wrap(sentence(error.message), "  ")
        if error.hint:
            yield from page.wrap(sentence(error.hint), "    ")
