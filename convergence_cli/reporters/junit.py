"""JUnit XML: a suite a run, a case a rule, so that a passed rule and one that could not look differ."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from convergence_cli.reporters import PLAIN, Look
from convergence_cli.reporters._wording import pairs, place, sentence, titles, verdict_line, worst_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Finding, Report, RunReport

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


def render(report: Report, look: Look = PLAIN) -> str:
    """The whole report as ASCII XML."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="ctroubleshoot">']
    for title, run in zip(titles(report.runs), report.runs, strict=True):
        lines.extend(_suite(title, run, look))
    if report.errors:
        count = len(report.errors)
        lines.append(f'  <testsuite name="inputs" tests="{count}" failures="0" errors="{count}" skipped="0">')
        for item in report.errors:
            text = escaped(f"{item.message} {item.hint or ''}")
            lines.append(f'    <testcase classname="input" name="{escaped(item.path)}">')
            lines += [f'      <error message="{text}"/>', "    </testcase>"]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def escaped(text: object) -> str:
    """``text`` for an attribute or element, in ASCII; what XML cannot hold is already escaped."""
    safe = "".join(_ENTITIES.get(char, char) for char in sentence(text))
    return safe.encode("ascii", "xmlcharrefreplace").decode()


def _suite(title: str, run: RunReport, look: Look) -> Iterator[str]:
    found = worst_first(run.findings)
    judged = {item.rule for item in found} | {item.rule for item in run.skipped}
    names = {rule.code: f"{rule.code} {rule.name}" for rule in look.rules}
    times = Counter(item.rule for item in found)
    passed = [rule for rule in look.rules if rule.code not in judged]
    failures = sum(item.severity in look.failing for item in found)
    tests = len(found) + len(run.skipped) + len(passed)
    counts = f'tests="{tests}" failures="{failures}" errors="0" skipped="{len(run.skipped)}"'
    yield f'  <testsuite name="{escaped(title)}" {counts}>'
    path = escaped(run.path)
    for item in found:
        # Two cases of one name are one to many readers.
        series = f" ({item.where.series or item.where.layer})" if times[item.rule] > 1 else ""
        yield f'    <testcase classname="{path}" name="{escaped(f"{item.rule} {item.name}{series}")}">'
        yield _outcome(item, run, look)
        yield "    </testcase>"
    for skip in run.skipped:
        yield f'    <testcase classname="{path}" name="{escaped(names.get(skip.rule, skip.rule))}">'
        yield f'      <skipped message="{escaped(skip.reason)}"/>'
        yield "    </testcase>"
    for rule in passed:
        yield f'    <testcase classname="{path}" name="{escaped(f"{rule.code} {rule.name}")}"/>'
    yield f"    <system-out>{escaped(f'{verdict_line(run)}. {run.verdict.reason}')}</system-out>"
    yield "  </testsuite>"


def _outcome(item: Finding, run: RunReport, look: Look) -> str:
    detail = escaped("; ".join(filter(None, [place(item.where, run), *pairs(item.evidence)])))
    if item.severity in look.failing:
        attributes = f'type="{item.severity}" message="{escaped(item.message)}"'
        return f"      <failure {attributes}>{detail}</failure>"
    return f"      <system-out>{item.severity}: {escaped(item.message)} {detail}</system-out>"
