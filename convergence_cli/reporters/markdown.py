"""Tables for a pull request comment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convergence_cli.printable import counted
from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._layout import glyphs
from convergence_cli.reporters._tensor_cells import TEXTS, cell, head, telling
from convergence_cli.reporters._wording import (
    changes,
    could_not_look,
    dumped,
    percent,
    place,
    sentence,
    titles,
    totals,
    unread,
    worst_first,
)
from convergence_cli.row import likely_causes, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.model import Report, RunReport, TensorLine

# An underscore between letters is no markup, and brackets escaped leave parentheses and "!" without meaning.
_MARKUP = re.compile(r"([\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_]))")
# GitHub links mentions and issues after it has decoded entities; an invisible space keeps them apart.
_LINKED = {"@": "@&#8203;", "#": "#&#8203;"}

# A comment on a pull request may have 64 KiB.
SHOWN_RUNS = 20


def escaped(text: object) -> str:
    """``text`` so that Markdown, HTML and mentions in it stay text, on one line."""
    safe = sentence(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _MARKUP.sub(r"\\\1", safe)
    return "".join(_LINKED.get(char, char) for char in safe)


def render(report: Report, look: Look = PLAIN) -> str:
    """A table of verdicts, then the findings, causes and remedies of each run that has any."""
    names = titles(rows_of(report.runs))
    most = len(names) if look.detail > 0 else SHOWN_RUNS
    runs = list(zip(names[:most], report.runs[:most], strict=True))
    lines = [f"**ctroubleshoot**: {escaped(totals(report))}"]
    if any(run.tensors is None for run in report.runs):
        lines += ["", "| run | verdict | why |", "| --- | --- | --- |"]
        lines += [_verdict_row(title, run) for title, run in runs if run.tensors is None]
    if len(names) > most:
        lines += ["", f"{counted(len(names) - most, 'more run')}."]
    if report.fleet is not None and report.fleet.traits:
        lines += ["", "**What they have in common**", ""]
        lines += [f"- {escaped(trait.statement)}" for trait in report.fleet.traits]
    for title, run in runs:
        lines.extend(_details(title, run, look))
    for title, errors in zip(("Not read", "Not judged"), unread(report), strict=True):
        if errors:
            lines += ["", f"**{title}**", ""]
            lines += [f"- {escaped(item.message)} {escaped(item.hint or '')}".rstrip() for item in errors]
    return "\n".join(lines) + "\n"


def _verdict_row(title: str, run: RunReport) -> str:
    verdict = run.verdict
    sure = "" if verdict.label == "undetermined" else f" ({percent(verdict.confidence)})"
    return f"| {escaped(title)} | **{verdict.label}**{sure} | {escaped(verdict.reason)} |"


def _details(title: str, run: RunReport, look: Look) -> Iterator[str]:
    full = look.detail >= 0
    tensors = dumped(run.summary.get("tensors"))
    if not (run.findings or (full and (run.causes or run.remedies or run.tensors or tensors))):
        return
    yield from ("", f"### {escaped(title)}")
    if full and tensors:
        yield from ("", escaped(f"tensors: {', '.join(tensors)}"))
    if full and run.tensors is not None and run.tensors.rows:
        yield ""
        yield from _tensor_rows(run.tensors.rows)
    if run.findings:
        yield from ("", "| severity | rule | where | finding |", "| --- | --- | --- | --- |")
        for item in worst_first(run.findings):
            rule = f"{escaped(item.rule)} {escaped(item.name)}"
            where = escaped(place(item.where, run))
            yield f"| {item.severity} | {rule} | {where} | {escaped(item.message)} |"
    causes = likely_causes(run) if full else ()
    if causes:
        yield from ("", "**Likely causes**", "")
        for cause in causes:
            support = f" (from {escaped(', '.join(cause.supported_by))})" if cause.supported_by else ""
            name, explanation = escaped(cause.name), escaped(cause.explanation)
            yield f"- {percent(cause.probability)} {name}{support}: {explanation}"
    arrow = glyphs(look).arrow
    if full and run.remedies:
        yield from ("", "**What to change**", "")
        for remedy in run.remedies:
            change = "; ".join(changes(remedy, arrow)) or remedy.name
            yield f"- **{escaped(change)}** for {escaped(remedy.addresses)}: {escaped(remedy.why)}"
    if full and run.skipped:
        reasons = escaped(", ".join(could_not_look(run)))
        yield from ("", f"{counted(len(run.skipped), 'rule')} could not look: {reasons}.")


def _tensor_rows(rows: Sequence[TensorLine]) -> Iterator[str]:
    columns = [column for column in telling(rows) if column not in ("layer", "dtype", "count")]
    yield f"| {' | '.join(map(head, columns))} |"
    yield f"| {' | '.join('---' if column in TEXTS else '---:' for column in columns)} |"
    for line in rows:
        yield f"| {' | '.join(escaped(cell(line, column)) for column in columns)} |"
