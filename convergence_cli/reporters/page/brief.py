"""One run among very many, in brief: its curve, and findings, causes and changes as single lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.reporters._wording import changes, worst_first
from convergence_cli.reporters.page.markup import code, items, pill, share, text
from convergence_cli.row import likely_causes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convergence_cli.model import RunReport

BUCKETS = 40
SHOWN = 5


def brief_parts(run: RunReport) -> Iterator[tuple[str, str]]:
    """Heads and bodies of what is told of ``run``."""
    found = worst_first(run.findings)
    yield (
        "Findings",
        _some(
            [
                f"{pill(one.severity)} {code(one.rule, 20)} {text(one.name, 80)}: {text(one.message, 300)}"
                for one in found
            ],
            "finding",
        ),
    )
    causes = likely_causes(run)
    yield "Likely causes", _some([f"{share(one.probability)} {text(one.name, 80)}" for one in causes], "cause")
    told = [f"{'; '.join(map(text, changes(one, '→'))) or text(one.name, 80)}" for one in run.remedies]
    yield "What to change", _some(told, "remedy") + _where(run)


def _some(lines: Sequence[str], thing: str) -> str:
    if not lines:
        return ""
    plural = {"remedy": "remedies"}.get(thing, f"{thing}s")
    more = len(lines) - SHOWN
    rest = [f'<span class="quiet">and {more} more {thing if more == 1 else plural}</span>'] if more > 0 else []
    return items([*lines[:SHOWN], *rest])


def _where(run: RunReport) -> str:
    return f'<p class="quiet">In brief, as one of very many. All of it: analyse {code(run.path, 200)} by itself.</p>'
