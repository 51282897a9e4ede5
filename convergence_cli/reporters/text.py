"""The default: one screen a run. Plain string building, so that a small log needs no further import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from convergence_cli.printable import counted, printable
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._fleet_text import fleet_lines
from convergence_cli.reporters._layout import UNICODE, glyphs, painter
from convergence_cli.reporters._run_text import Page, run_lines
from convergence_cli.reporters._tensor_text import tensor_lines
from convergence_cli.reporters._wording import MAX_SENTENCE, sentence, titles, totals, unread
from convergence_cli.row import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.model import Report, RunError
    from convergence_cli.row import RunRow

# Of so many runs with something wrong each is shown in full; of more the table has to do.
FULL_RUNS = 3


def render(report: Report, look: Look = PLAIN) -> str:
    """A table where there are several runs, then each run, then what could not be read, then the total."""
    if not look.unicode:
        report = _ascii_but_for_runs(report)
    page = Page(look, glyphs(look), painter(look))
    rows = rows_of(report.runs)
    names = titles(rows)
    if not look.unicode:
        rows, names = [_ascii(row) for row in rows], _ascii(names)
    blocks = []
    inspected = any(row.tensors is not None for row in rows)
    if len(rows) > 1 and not inspected:
        blocks.append(list(fleet_lines(rows, names, report.fleet, page)))
    shown = _in_full(rows, look)
    for number in shown:
        run = report.runs[number] if look.unicode else _ascii(report.runs[number])
        lines_of = run_lines if run.tensors is None else tensor_lines
        blocks.append(list(lines_of(run, names[number], replace(page))))
    if len(shown) < len(rows):
        blocks.append(page.wrap(_unshown(rows, len(shown), names), ""))
    for title, errors in zip(("Not read", "Not judged"), unread(report), strict=True):
        if errors:
            blocks.append(list(_errors(title, errors, page)))
    blocks.append([page.paint(line, "bold") for line in page.wrap(totals(report), "")])
    text = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    return text if look.unicode else text.replace(UNICODE.more, "~")


def _in_full(rows: Sequence[RunRow], look: Look) -> list[int]:
    """The places of runs to show beyond their line of the table: of several, the few with something wrong."""
    wrong = [number for number, row in enumerate(rows) if _wrong(row)]
    few = wrong if len(wrong) <= FULL_RUNS else []
    whole = len(rows) == 1 or look.detail > 0
    return [number for number, row in enumerate(rows) if whole or row.tensors is not None or number in few]


def _wrong(row: RunRow) -> bool:
    return any(count for name, count in row.found.items() if name != "note")


def _unshown(rows: Sequence[RunRow], shown: int, names: Sequence[str]) -> str:
    wrong = sum(map(_wrong, rows))
    if wrong > FULL_RUNS and not shown:
        return (
            f"Each run in full: --verbose, or name one: ctroubleshoot analyze {printable(rows[0].path, MAX_SENTENCE)}"
        )
    return f"{counted(len(rows) - shown, 'run')} without a warning or error: in full with --verbose"


def _ascii_but_for_runs(report: Report) -> Report:
    return replace(report, errors=_ascii(report.errors), fleet=_ascii(report.fleet))


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


def _errors(title: str, errors: Sequence[RunError], page: Page) -> Iterator[str]:
    yield page.paint(title, "bold red")
    for error in errors:
        yield from page.wrap(sentence(error.message), "  ")
        if error.hint:
            yield from page.wrap(sentence(error.hint), "    ")
