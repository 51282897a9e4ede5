"""``explain``: the page of one rule or cause."""

from typing import Annotated

import typer

from convergence_cli.cli._output import write
from convergence_cli.errors import UsageError
from convergence_cli.printable import printable
from convergence_cli.rules import Rule, all_rules
from convergence_cli.selection import did_you_mean


def command(
    name: Annotated[str, typer.Argument(metavar="RULE", help="Code or name of a rule, or name of a cause.")],
) -> int:
    """Say what a rule checks, how it decides, and when it is wrong."""
    wanted = name.strip().lower()
    rules = all_rules()
    found = next((rule for rule in rules if wanted in (rule.code.lower(), rule.name.lower())), None)
    if found is not None:
        write(_page(found), None)
        return 0
    raise UsageError(
        f"There is no rule or cause '{printable(name)}'.",
        f"{did_you_mean(name, [word for rule in rules for word in (rule.code, rule.name)])}"
        "List the rules with: ctroubleshoot rules",
    )


def _page(rule: Rule) -> str:
    needs = ", ".join(rule.needs) or "nothing beyond the log"
    uses = f"; uses {', '.join(rule.optional)} where the log has it" if rule.optional else ""
    head = f"{rule.code} {rule.name} ({rule.severity}, since {rule.since})"
    return f"{head}\n\n{rule.doc.strip()}\n\nEvidence needed: {needs}{uses}.\n"
