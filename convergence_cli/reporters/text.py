"""The default: one screen a run. Plain string building, so that a small log needs no further import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._layout import UNICODE, cells, cut, cut_middle, glyphs, painter
from convergence_cli.reporters._run_text import Page, run_lines
from convergence_cli.reporters._wording import percent, sentence, severities, totals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Report, RunReport

_NAME_COLUMN = 30


def render(report: Report, look: Look = PLAIN) -> str:
    """A table where there are several runs, then each run, then what could not be read, then the total."""
    if not look.unicode:
        report = _ascii(report)
    page = Page(look, glyphs(look), painter(look))
    blocks = []
    if len(report.runs) > 1:
        blocks.append(list(_table(report.runs, page)))
    shown = _in_full(report.runs, look)
    blocks.extend(list(run_lines(run, page)) for run in shown)
    if len(shown) < len(report.runs):
        unseen = len(report.runs) - len(shown)
        blocks.append(page.wrap(f"{unseen} run(s) without a warning or error: in full with --verbose", ""))
    if report.errors:
        blocks.append(list(_errors(report, page)))
    blocks.append([page.paint(line, "bold") for line in page.wrap(totals(report), "")])
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    return text if look.unicode else text.replace(UNICODE.more, "~")


def _in_full(runs: tuple[RunReport, ...], look: Look) -> list[RunReport]:
    """The runs to show beyond their line in the table: of several, those with something wrong."""
    if len(runs) == 1 or look.detail > 0:
        return list(runs)
    return [run for run in runs if any(found.severity != "note" for found in run.findings)]


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


def _table(runs: tuple[RunReport, ...], page: Page) -> Iterator[str]:
    more = page.glyphs.more
    names = [cut_middle(printable(run.name), _NAME_COLUMN, more) for run in runs]
    wide = max(cells(name) for name in names)
    for run, name in zip(runs, names, strict=True):
        verdict = run.verdict
        sure = "" if verdict.label == "undetermined" else percent(verdict.confidence)
        head = f"{name}{' ' * (wide - cells(name))}  "
        rest = f"{verdict.label:<12}  {sure:>5}  {printable(verdict.state)}, {severities([run])}"
        rest = cut(rest, page.look.width - cells(head), more)
        yield head + rest.replace(verdict.label, page.paint(verdict.label, page.style(verdict.label)), 1)


def _errors(report: Report, page: Page) -> Iterator[str]:
    yield page.paint("Not read", "bold red")
    for error in report.errors:
        yield from page.wrap(sentence(error.message), "  ")
        if error.hint:
            yield from page.wrap(sentence(error.hint), "    ")
