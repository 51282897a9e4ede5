"""Causes with what speaks for and against each, and remedies with old and new values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convergence_cli.model import FAILING
from convergence_cli.reporters._wording import sentence, value
from convergence_cli.reporters.page.markup import code, fold, items, lines, share, text
from convergence_cli.row import likely_causes

if TYPE_CHECKING:
    from convergence_cli.model import Cause, Remedy, RunReport

SHOWN = 3
# The only addresses that become links: any other stays text.
_PAPER = re.compile(r"(?<![\w./])(arxiv\.org/abs/[0-9]{4}\.[0-9]{4,5})(?![\w/])")


def causes_section(run: RunReport, uid: str) -> str:
    """The likely causes in full, the others in a line; where a failing run has none, that it has none."""
    likely = likely_causes(run)
    rest = [cause for cause in run.causes if cause not in likely]
    if likely:
        found = "".join(_cause(cause, uid, run) for cause in likely[:SHOWN])
        rest = [*likely[SHOWN:], *rest]
    elif run.verdict.label in FAILING:
        found = "<p>No cause stands out from what is logged.</p>"
        wanted = dict.fromkeys(one for cause in run.causes for one in cause.would_confirm[-1:])
        found += f'<p class="quiet">What would settle it:</p>{items(map(text, wanted), "plain")}' if wanted else ""
    else:
        return ""
    if rest:
        named = items(f"{text(one.name, 80)}, {share(one.probability)}: {text(one.explanation)}" for one in rest)
        found += fold(f"Less likely: {len(rest)}", named, "more")
    return found


def _cause(cause: Cause, uid: str, run: RunReport) -> str:
    fired = {finding.rule for finding in run.findings}
    wide = round(100 * min(max(cause.probability, 0.0), 1.0))
    return (
        f'<article class="card cause"><h4><span class="share">{share(cause.probability)}</span> '
        f'{text(cause.name, 80)}</h4><svg class="bar" aria-hidden="true" width="100%" height="4">'
        f'<rect class="rest" width="100%" height="4" rx="2"/><rect width="{wide}%" height="4" rx="2"/></svg>'
        f'<p>{text(cause.explanation)}</p><div class="two">'
        f"{_side('For it', cause.because, _codes(cause.supported_by, uid, fired), 'found by')}"
        f"{_side('Against it', cause.despite, _codes(cause.contradicted_by, uid, fired), 'spoken against by')}"
        f"{_side('Would settle it', cause.would_confirm, '', '')}</div></article>"
    )


def _codes(rules: Sequence[str], uid: str, fired: set[str]) -> str:
    shown = [
        f'<a href="#{uid}-{text(rule, 20)}">{code(rule, 20)}</a>' if rule in fired else code(rule, 20) for rule in rules
    ]
    return ", ".join(shown)


def _side(head: str, clauses: Sequence[str], codes: str, by: str) -> str:
    found = [*map(text, clauses), *([f"{by} {codes}"] if codes else [])]
    return f"<div><h5>{head}</h5>{items(found)}</div>" if found else ""


def remedies_section(run: RunReport) -> str:
    """What to change, the surest first; further ones behind a line."""
    cards = [_remedy(remedy, place) for place, remedy in enumerate(run.remedies)]
    more = len(cards) - SHOWN
    head = f"{more} more that may help" if more > 1 else "One more that may help"
    return "".join(cards[:SHOWN]) + fold(head, "".join(cards[SHOWN:]), "more")


def _remedy(remedy: Remedy, place: int) -> str:
    head = "".join(_change(remedy, key) for key in remedy.change)
    parts = [f'<div class="change">{head or text(remedy.name, 80)}</div>', f"<p>{text(remedy.why)}</p>"]
    told = f"For {text(remedy.addresses, 80)}; cures with {share(remedy.confidence)}."
    if remedy.risk:
        told += f" Risk: {text(remedy.risk)}."
    parts.append(f'<p class="quiet">{told}</p>')
    if remedy.snippet:
        body = f'<pre tabindex="0">{lines(remedy.snippet)}</pre>'
        parts.append(
            f'<div class="snippet">{body}</div>' if not place else fold("Code", f'<div class="snippet">{body}</div>')
        )
    if remedy.search:
        body = f'<pre tabindex="0">{lines(remedy.search)}</pre>'
        parts.append(f'<p class="quiet">Or measure it:</p><div class="snippet">{body}</div>')
    parts.append(fold("References", items(map(_reference, remedy.references)), "references"))
    return f'<article class="card remedy"><h4>{text(remedy.name, 80)}</h4>{"".join(parts)}</article>'


def _change(remedy: Remedy, key: str) -> str:
    old = remedy.from_.get(key)
    before = f'<del>{text(value(old), 80)}</del> <span aria-hidden="true">→</span> ' if old is not None else ""
    return f"<div>{code(key, 60)} {before}<ins>{text(value(remedy.change[key]), 80)}</ins></div>"


def _reference(reference: str) -> str:
    return _PAPER.sub(r'<a href="https://\1" rel="noreferrer noopener">\1</a>', text(sentence(reference)))
