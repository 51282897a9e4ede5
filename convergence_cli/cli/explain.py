"""``explain``: the page of one rule or cause."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from convergence_cli.cli._output import write
from convergence_cli.diagnosis.causes import CAUSES, CauseModel
from convergence_cli.errors import UsageError
from convergence_cli.printable import printable
from convergence_cli.rules import Rule, all_rules
from convergence_cli.selection import did_you_mean


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Code or name of a rule, or name of a cause.")],
) -> int:
    """Show the page of one rule or cause."""
    wanted = name.strip().lower()
    rules = all_rules()
    for rule in rules:
        if wanted in (rule.code.lower(), rule.name.lower()):
            write(_rule_page(rule), None)
            return 0
    for cause in CAUSES:
        if wanted == cause.name:
            write("\n".join(_cause_page(cause, rules)) + "\n", None)
            return 0
    known = [word for rule in rules for word in (rule.code, rule.name)] + [cause.name for cause in CAUSES]
    raise UsageError(
        f"There is no rule or cause '{printable(name)}'.",
        f"{did_you_mean(name, known)}List the rules with: ctroubleshoot rules",
    )


def _rule_page(rule: Rule) -> str:
    needs = ", ".join(rule.needs) or "nothing beyond the log"
    uses = f"; uses {', '.join(rule.optional)} where the log has it" if rule.optional else ""
    head = f"{rule.code} {rule.name} ({rule.severity}, since {rule.since})"
    return f"{head}\n\n{rule.doc.strip()}\n\nEvidence needed\n    {needs}{uses}\n"


def _cause_page(cause: CauseModel, rules: Iterable[Rule]) -> Iterator[str]:
    names = {rule.code: rule.name for rule in rules}
    yield from (f"{cause.name} (cause)", "", cause.explanation)
    for title, keys in (("What speaks for it", cause.supports), ("What speaks against it", cause.against)):
        if keys:
            yield from ("", title)
            yield from (f"    {_evidence(key, names)}" for key in keys)
    if cause.would_confirm:
        yield from ("", "What would settle it")
        yield from (f"    {text}" for text in cause.would_confirm)


def _evidence(key: str, names: dict[str, str]) -> str:
    """``LC101 rising-loss (from-start)`` for ``LC101:from-start``."""
    code, _, side = key.partition(":")
    return f"{code} {names.get(code, '')}".rstrip() + (f" ({side})" if side else "")
