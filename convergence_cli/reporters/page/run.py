"""One run as a section: verdict and why, curves, findings, causes, remedies, tensors, what was read, rules."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.reporters._wording import number, unit, value
from convergence_cli.reporters.page import brief
from convergence_cli.reporters.page.causes import causes_section, remedies_section
from convergence_cli.reporters.page.findings import PICTURES, finding_cards
from convergence_cli.reporters.page.heat import layers_of
from convergence_cli.reporters.page.markup import code, data_block, share, text
from convergence_cli.reporters.page.panels import Charts, charts_of, overview, readings
from convergence_cli.reporters.page.reading import reading_section, rules_section
from convergence_cli.reporters.page.tensors import tensor_section
from convergence_cli.reporters.page.trace import number as checked
from convergence_cli.row import likely_causes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convergence_cli.model import RunReport
    from convergence_cli.reporters import RulePage

# Buckets of each curve, and pictures of findings, of one among many runs.
FEW_BUCKETS, FEW_PICTURES = 80, 3
_PAGE_LABELS = ("converging", "diverging", "stuck", "overfitting")


@dataclass(frozen=True, slots=True)
class Manner:
    """How much is told of each run: in ``full`` of a few. ``alone``: the page has no other run.

    ``scripted``: with numbers for the page's script. ``brief``: one of very many.
    """

    full: bool = True
    alone: bool = True
    scripted: bool = True
    detail: int = 0
    rules: Sequence[RulePage] = ()
    brief: bool = False


def uid_of(run: RunReport, place: int = 0) -> str:
    """A short name for the ids within the section of ``run``, the same for the same report."""
    said = f"{run.path}\0{run.name}\0{run.verdict}\0{place}"
    return f"r{hashlib.sha256(said.encode(errors='replace')).hexdigest()[:8]}"


def run_section(run: RunReport, uid: str, manner: Manner) -> str:
    """The parts of ``run`` with headings of the third level on."""
    if manner.brief:
        charts = charts_of(run, uid, brief.BUCKETS)
        parts = [verdict(run, uid), f'<div class="curves">{overview(charts)}</div>']
        return "".join([*parts, *(_part(uid, head, body, manner) for head, body in brief.brief_parts(run) if body)])
    charts = charts_of(run, uid, None if manner.full else FEW_BUCKETS)
    parts = [verdict(run, uid), f'<div class="curves">{overview(charts)}</div>']
    parts += [_part(uid, head, body, manner) for head, body in _parts(charts, manner) if body]
    if manner.scripted and (data := readings(charts, full=manner.full)):
        layers = layers_of(run.summary)
        if layers is not None:
            data["layers"] = {"names": layers.names, "steps": layers.steps, **layers.found}
        parts.append(data_block(data, "readings"))
    return "".join(parts)


def _parts(charts: Charts, manner: Manner) -> Iterator[tuple[str, str]]:
    run = charts.run
    yield "Findings", finding_cards(charts, PICTURES if manner.full else FEW_PICTURES) or _nothing_found(run)
    if manner.detail < 0:
        return
    yield "Likely causes", causes_section(run, charts.uid)
    yield "What to change", remedies_section(run)
    yield "Tensors, layer by layer", tensor_section(charts)
    yield "What was read", reading_section(charts)
    yield "Rules", rules_section(run, manner.rules, full=manner.full)


def _part(uid: str, head: str, body: str, manner: Manner) -> str:
    slug = head.split(",", maxsplit=1)[0].lower().replace(" ", "-")
    # Landmarks are to be few and of different names: those of many runs are found by their headings.
    named = f' aria-labelledby="{uid}-{slug}"' if manner.alone else ""
    return f'<section class="part {slug}"{named}><h3 id="{uid}-{slug}">{head}</h3>{body}</section>'


def _nothing_found(run: RunReport) -> str:
    return "<p>No rule found anything wrong.</p>" if run.passed else ""


def verdict(run: RunReport, uid: str) -> str:
    """The judgement: label, how sure, why, the likeliest cause and the first thing to change."""
    said = run.verdict
    sure = f'<span class="sure">{share(said.confidence)}</span>' if said.label != "undetermined" else ""
    counted_in = text(unit(run))
    told = [text(said.state, 60)]
    for word, step in (("since", said.since_step), ("best at", said.best_step)):
        if (at := checked(step)) is not None:
            told.append(f"{word} {counted_in} {number(at)}")
    return (
        f'<div class="verdict {said.label}"><div class="judged">'
        f'<p class="label"><strong>{said.label}</strong>{sure}</p>'
        f'<p class="why">{text(said.reason)}</p><p class="quiet">{" · ".join(told)}</p>{_next(run, uid)}</div>'
        f"{_probabilities(run)}</div>"
    )


def _next(run: RunReport, uid: str) -> str:
    rows = []
    for cause in likely_causes(run)[:1]:
        rows.append(
            f'<div><dt>Likeliest cause</dt><dd><a href="#{uid}-likely-causes">{text(cause.name, 80)}</a> '
            f"{share(cause.probability)}</dd></div>"
        )
    for remedy in run.remedies[:1]:
        change = "; ".join(f"{code(key, 60)} {_to(remedy.from_.get(key), new)}" for key, new in remedy.change.items())
        rows.append(
            f"<div><dt>First to change</dt><dd>{change or text(remedy.name, 80)} "
            f'<a href="#{uid}-what-to-change">how</a></dd></div>'
        )
    return f'<dl class="next">{"".join(rows)}</dl>' if rows else ""


def _to(old: object, new: object) -> str:
    before = "" if old is None else f"{text(value(old), 40)} → "
    return f"{before}<strong>{text(value(new), 60)}</strong>"


def _probabilities(run: RunReport) -> str:
    shares = run.verdict.probabilities
    if not shares:
        return ""
    rows = ""
    for label in _PAGE_LABELS:
        part = min(max(checked(shares.get(label)) or 0.0, 0.0), 1.0)
        rows += (
            f'<div class="{label}"><dt>{label}</dt><dd>{share(part)}</dd>'
            f'<svg class="bar" aria-hidden="true" width="100%" height="4">'
            f'<rect class="rest" width="100%" height="4" rx="2"/>'
            f'<rect width="{100 * part:.1f}%" height="4" rx="2"/></svg></div>'
        )
    return f'<dl class="shares">{rows}</dl>'
