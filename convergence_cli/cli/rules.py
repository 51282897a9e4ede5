"""``rules``: the list of all checks."""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any

from convergence_cli.cli import _options as options
from convergence_cli.cli._output import width, write
from convergence_cli.errors import UsageError
from convergence_cli.model import PROFILES
from convergence_cli.printable import printable
from convergence_cli.reporters._layout import wrap
from convergence_cli.rules import Rule, all_rules

FORMATS = ("text", "json", "markdown")
_LEAST_SUMMARY = 30


def command(
    format: Annotated[str, options.own_format(FORMATS)] = "text",
    output: options.Output = None,
) -> int:
    """List the rules."""
    if format not in FORMATS:
        raise UsageError(f"'{printable(format)}' is not a format of rules.", f"Choose from: {', '.join(FORMATS)}.")
    rules = all_rules()
    if format == "text":
        shown = _as_text(rules, width(None if output else sys.stdout))
    else:
        shown = _as_json(rules) if format == "json" else _as_markdown(rules)
    write(shown, output)
    return 0


def _as_text(rules: Sequence[Rule], columns: int) -> str:
    """A row a rule, its summary wrapped beside the other columns, or below them where those leave no room.

    The rules of other profiles follow below a line that says how to have them.
    """
    own, *others = (list(group) for _, group in _by_profile(rules))
    lines = _rows(own, columns)
    for group in others:
        lines += ["", f"With --profile {group[0].profile}:", *_rows(group, columns)]
    return "".join(f"{line}\n" for line in lines)


def _by_profile(rules: Sequence[Rule]) -> Iterator[tuple[str, Iterator[Rule]]]:
    ordered = sorted(rules, key=lambda rule: (PROFILES.index(rule.profile), rule.code))
    return groupby(ordered, key=lambda rule: rule.profile)


def _rows(rules: Sequence[Rule], columns: int) -> list[str]:
    wide = max(len(rule.name) for rule in rules)
    lines: list[str] = []
    for rule in rules:
        head = f"{rule.code}  {rule.name:<{wide}}  {rule.severity:<7}  "
        if columns - len(head) >= _LEAST_SUMMARY:
            first, *further = wrap(rule.summary, columns, indent=" " * len(head))
            lines += [head + first.lstrip(), *further]
        else:
            lines += [f"{rule.code}  {rule.name}  {rule.severity}", *wrap(rule.summary, columns, indent=" " * 7)]
    return lines


def _as_markdown(rules: Sequence[Rule]) -> str:
    head = "| rule | name | severity | profile | what it checks |\n| --- | --- | --- | --- | --- |\n"
    rows = (f"| {rule.code} | {rule.name} | {rule.severity} | {rule.profile} | {rule.summary} |\n" for rule in rules)
    return head + "".join(rows)


def _as_json(rules: Sequence[Rule]) -> str:
    return json.dumps([as_data(rule) for rule in rules], indent=2) + "\n"


def as_data(rule: Rule) -> dict[str, Any]:
    """A rule as plain data."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "profile": rule.profile,
        "since": rule.since,
        "summary": rule.summary,
        "needs": list(rule.needs),
        "optional": list(rule.optional),
        "doc": rule.doc,
    }
