"""``rules``: the list of all checks."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from convergence_cli.cli import _options as options
from convergence_cli.cli._output import write
from convergence_cli.errors import UsageError
from convergence_cli.printable import printable
from convergence_cli.rules import Rule, all_rules

FORMATS = ("text", "json", "markdown")


def command(
    format: Annotated[str, typer.Option("--format", "-f", metavar="|".join(FORMATS), help="How to write it.")] = "text",
    output: options.Output = None,
) -> int:
    """List the rules."""
    if format not in FORMATS:
        raise UsageError(f"'{printable(format)}' is not a format of rules.", f"Choose from: {', '.join(FORMATS)}.")
    render = {"text": _as_text, "json": _as_json, "markdown": _as_markdown}[format]
    write(render(all_rules()), output)
    return 0


def _as_text(rules: Sequence[Rule]) -> str:
    wide = max((len(rule.name) for rule in rules), default=0)
    lines = (f"{rule.code}  {rule.name:<{wide}}  {rule.severity:<7}  {rule.summary}\n" for rule in rules)
    return "".join(lines)


def _as_markdown(rules: Sequence[Rule]) -> str:
    head = "| rule | name | severity | what it checks |\n| --- | --- | --- | --- |\n"
    rows = (f"| {rule.code} | {rule.name} | {rule.severity} | {rule.summary} |\n" for rule in rules)
    return head + "".join(row for row in rows)


def _as_json(rules: Sequence[Rule]) -> str:
    return json.dumps([as_data(rule) for rule in rules], indent=2) + "\n"


def as_data(rule: Rule) -> dict[str, Any]:
    """A rule as plain data."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "since": rule.since,
        "summary": rule.summary,
        "needs": list(rule.needs),
        "optional": list(rule.optional),
        "doc": rule.doc,
    }
