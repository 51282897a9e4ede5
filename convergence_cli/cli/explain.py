"""``explain``: the page of one rule or cause."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Annotated

import typer

from convergence_cli.cli._output import width, write
from convergence_cli.diagnosis.causes import CAUSES, CauseModel
from convergence_cli.errors import UsageError
from convergence_cli.model import DEFAULT_PROFILE
from convergence_cli.printable import printable
from convergence_cli.reporters._layout import wrap
from convergence_cli.rules import Rule, all_rules
from convergence_cli.rules._registry import PARAMETERS
from convergence_cli.selection import did_you_mean

# Longer lines are hard to read, however wide the terminal.
WIDEST = 100
_INDENT = "    "


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Code or name of a rule, or name of a cause.")],
) -> int:
    """Show the page of one rule or cause."""
    wanted = name.strip().lower()
    rules = all_rules()
    columns = min(width(sys.stdout), WIDEST)
    pages = [_rule_page(rule, columns) for rule in rules if wanted in (rule.code.lower(), rule.name.lower())]
    pages += [_cause_page(cause, rules, columns) for cause in CAUSES if wanted == cause.name]
    if not pages:
        known = [word for rule in rules for word in (rule.code, rule.name)] + [cause.name for cause in CAUSES]
        raise UsageError(
            f"There is no rule or cause '{printable(name)}'.",
            f"{did_you_mean(name, known)}List the rules with: ctroubleshoot rules",
        )
    write("\n".join("".join(f"{line}\n" for line in page) for page in pages), None)
    return 0


def _rule_page(rule: Rule, columns: int) -> Iterator[str]:
    only = "" if rule.profile == DEFAULT_PROFILE else f", with --profile {rule.profile}"
    yield from (f"{rule.code} {rule.name} ({rule.severity}, since {rule.since}{only})", "")
    yield from _wrapped(rule.doc, columns)
    yield from ("", "Evidence needed")
    yield from wrap(f"{words_for(rule.needs)}.", columns, indent=_INDENT)
    known = {PARAMETERS[name] for name in rule.needs}
    further = [name for name in rule.optional if PARAMETERS[name] not in known]
    if further:
        yield from wrap(f"Also used where the log has it: {words_for(further)}.", columns, indent=_INDENT)


def words_for(parameters: Sequence[str]) -> str:
    """What a run must log for a rule with ``parameters``."""
    # A verdict needs a loss, and says nothing beyond a parameter that names one.
    names = [name for name in parameters if name != "verdict"] or parameters
    return ", ".join(dict.fromkeys(PARAMETERS[name] for name in names))


def _cause_page(cause: CauseModel, rules: Iterable[Rule], columns: int) -> Iterator[str]:
    names = {rule.code: rule.name for rule in rules}
    yield from (f"{cause.name} (cause)", "")
    yield from wrap(cause.explanation, columns)
    for title, items in (
        ("What speaks for it", [_evidence(key, names) for key in cause.supports]),
        ("What speaks against it", [_evidence(key, names) for key in cause.against]),
        ("What would settle it", [one.what for one in cause.would_confirm]),
    ):
        if items:
            yield from ("", title)
        for item in items:
            first, *further = wrap(item, columns, indent=f"{_INDENT}  ")
            yield from (f"{_INDENT}- {first.lstrip()}", *further)


def _wrapped(doc: str, columns: int) -> Iterator[str]:
    """The lines of ``doc`` broken anew: indented ones in a row are one paragraph."""
    for indented, lines in groupby(doc.strip().splitlines(), key=lambda line: line.startswith(_INDENT)):
        if indented:
            yield from wrap(" ".join(lines), columns, indent=_INDENT)
        else:
            for line in lines:
                yield from wrap(line, columns) or [""]


def _evidence(key: str, names: dict[str, str]) -> str:
    """``LC101 rising-loss (from-start)`` for ``LC101:from-start``."""
    code, _, side = key.partition(":")
    return f"{code} {names.get(code, '')}".rstrip() + (f" ({side})" if side else "")
