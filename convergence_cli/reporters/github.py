"""GitHub Actions annotations, the worst first: a step shows only ten of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._location import relative
from convergence_cli.reporters._wording import SEVERITY_RANK, sentence, unread, verdict_line, worst_first

if TYPE_CHECKING:
    from convergence_cli.model import Report

_COMMAND = {"error": "error", "warning": "warning", "note": "notice"}


def render(report: Report, look: Look = PLAIN) -> str:
    """One workflow command a finding, unreadable input and verdict; nothing else, lest text be a command."""
    lines = [
        command("error", relative(item.path, look.base), None, title, f"{item.message} {item.hint or ''}")
        for title, errors in zip(("not read", "not judged"), unread(report), strict=True)
        for item in errors
    ]
    found = [(run, item) for run in report.runs for item in worst_first(run.findings)]
    for run, item in sorted(found, key=lambda pair: SEVERITY_RANK[pair[1].severity]):
        title = f"{item.rule} {item.name}"
        path = relative(item.where.file or run.path, look.base)
        lines.append(command(_COMMAND[item.severity], path, item.where.line, title, item.message))
    for run in report.runs:
        text = f"{verdict_line(run)}. {run.verdict.reason}"
        lines.append(command("notice", relative(run.path, look.base), None, f"verdict on {run.name}", text))
    return "".join(f"{line}\n" for line in lines)


def command(name: str, path: str, line: int | None, title: str, message: str) -> str:
    """``::name file=...,line=...,title=...::message`` with everything in it escaped."""
    at = "" if line is None else f",line={line}"
    return f"::{name} file={_property(path)}{at},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return sentence(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
