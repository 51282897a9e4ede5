"""One self-contained page to look at: no network, no script needed, light and dark, on a phone and on paper."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from convergence_cli.printable import counted
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._wording import heading, severities, titles, unread
from convergence_cli.reporters.page.fleet import differing, runs_table, shared
from convergence_cli.reporters.page.markup import fold, items, text
from convergence_cli.reporters.page.panels import charts_of, overview
from convergence_cli.reporters.page.reading import reading_section
from convergence_cli.reporters.page.run import Manner, run_section, uid_of
from convergence_cli.reporters.page.skeleton import embedded, page
from convergence_cli.row import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.model import Report, RunError, RunReport
    from convergence_cli.row import RunRow

# So many runs are told of in full, and of so many more there is a section each; the others are in the table.
FULL, OPEN, SECTIONS = 20, 1, 200
SHOWN_ERRORS = 3
# Characters of all sections of a page, and of one in brief, at most.
BUDGET, BRIEF = 4_000_000, 14_000
_LABELS = ("diverging", "stuck", "overfitting", "undetermined", "converging")


def render(report: Report, look: Look = PLAIN) -> str:
    """The whole page."""
    rows = rows_of(report.runs)
    names = titles(rows)
    head = heading(rows[0]) if len(names) == 1 else counted(len(names), "run") if names else "No verdict"
    body = _header(report, head, rows) + f"<main>{_main(report, names, look, scripted=True)}</main>" + _footer()
    return page(f"{head} · ctroubleshoot", body)


def part(report: Report) -> str:
    """The same for a notebook: a part of a page, without script."""
    names = titles(rows_of(report.runs))
    return embedded(_main(report, names, PLAIN, scripted=False))


def run_part(run: RunReport) -> str:
    """One run for a notebook."""
    body = f"<h2>{text(heading(run))}</h2>{run_section(run, uid_of(run), Manner(scripted=False))}"
    return embedded(f'<section class="run">{body}</section>')


def reading_part(run: RunReport) -> str:
    """The curves of a run and what was read of it, for a notebook; nothing of a verdict."""
    charts = charts_of(run, uid_of(run))
    body = f'<h2>{text(heading(run))}</h2><div class="curves">{overview(charts)}</div>'
    return embedded(f'<section class="run">{body}<h3>What was read</h3>{reading_section(charts)}</section>')


def _header(report: Report, head: str, rows: Sequence[RunRow]) -> str:
    version = f" {text(report.version, 40)}" if report.version else ""
    more = (
        ""
        if len(rows) == 1
        else f'<p class="counts">{_counts(rows)}</p><p class="quiet">{text(_found(report, rows))}</p>'
    )
    return f'<header><p class="tool">ctroubleshoot{version}</p><h1>{text(head)}</h1>{more}</header>'


def _found(report: Report, rows: Sequence[RunRow]) -> str:
    lacking = sum(map(len, unread(report)))
    return severities(rows) + (f"; {counted(lacking, 'input')} without a verdict" if lacking else "")


def _counts(rows: Sequence[RunRow]) -> str:
    labels = Counter(row.label for row in rows)
    return " ".join(f'<span class="tag {label}">{labels[label]:,} {label}</span>' for label in _LABELS if labels[label])


def _footer() -> str:
    said = "This page holds everything it shows and asks no server for anything."
    return f"<footer><p>Made by ctroubleshoot. {said}</p></footer>"


def _main(report: Report, names: Sequence[str], look: Look, *, scripted: bool) -> str:
    rows = rows_of(report.runs)
    manner = Manner(len(rows) <= FULL, len(rows) == 1, scripted, look.detail, look.rules)
    shown = [report.runs[place] for place in range(min(len(rows), SECTIONS))]
    uids = [uid_of(run, place) for place, run in enumerate(shown)]
    sections = list(_sections(shown, uids, manner))
    missing, unjudged = unread(report)
    parts = [_errors("Not read", missing), _errors("Not judged", unjudged)]
    if len(rows) == 1:
        heading = f'<h2 class="hidden">{text(names[0])}</h2>' if scripted else f"<h2>{text(names[0])}</h2>"
        parts.append(f'<section class="run">{heading}{sections[0]}</section>')
    elif rows:
        targets: list[str | None] = [*uids, *[None] * (len(rows) - len(uids))]
        parts.append(
            f'<section class="all" aria-labelledby="all"><h2 id="all">All runs</h2>'
            f"{shared(report.fleet)}{runs_table(rows, names, targets)}{differing(report.fleet)}</section>"
        )
        for place, (uid, section) in enumerate(zip(uids, sections, strict=True)):
            label = shown[place].verdict.label
            parts.append(
                f'<details class="run"{" open" if place < OPEN else ""}><summary><h2>{text(names[place])}</h2>'
                f'<span class="tag {label}">{label}</span></summary><div id="{uid}">{section}</div></details>'
            )
    return "".join(parts)


def _sections(runs: Sequence[RunReport], uids: Sequence[str], manner: Manner) -> Iterator[str]:
    """A section each; in brief from where on the page would grow too large to be sent."""
    room, brief = BUDGET, False
    for place, (run, uid) in enumerate(zip(runs, uids, strict=True)):
        brief = brief or (not manner.full and room < BRIEF * (len(runs) - place))
        section = run_section(run, uid, replace(manner, brief=brief))
        room -= len(section)
        yield section


def _errors(title: str, errors: Sequence[RunError]) -> str:
    if not errors:
        return ""
    told = [f'{text(one.message)} <span class="quiet">{text(one.hint or "")}</span>' for one in errors]
    # Many would push the runs themselves off the first screen.
    most = len(told) if len(told) <= SHOWN_ERRORS + 1 else SHOWN_ERRORS
    rest = fold(f"{len(told) - most} more", items(told[most:], "plain"))
    return (
        f'<section class="unread" role="note" aria-label="{title}"><h2>{title}</h2>{items(told[:most], "plain")}{rest}'
        "</section>"
    )
