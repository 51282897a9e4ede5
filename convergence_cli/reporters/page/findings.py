"""The findings of one run: one card a rule, the worst first, each with its curve and the numbers that decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convergence_cli.printable import counted
from convergence_cli.reporters._wording import place, value, worst_first
from convergence_cli.reporters.page.heat import Layers, layers_of
from convergence_cli.reporters.page.marks import finding_span, role_of
from convergence_cli.reporters.page.markup import code, facts, fold, items, pill, share, text
from convergence_cli.reporters.page.panels import finding_chart
from convergence_cli.reporters.page.tensors import has_layer_chart, layer_chart

if TYPE_CHECKING:
    from convergence_cli.model import Finding
    from convergence_cli.reporters.page.panels import Charts

# Of one rule so many places are drawn, and of one run so many pictures.
PICTURES_OF_A_RULE, PICTURES = 2, 24
_LISTED = 40


def finding_cards(charts: Charts, pictures: int = PICTURES) -> str:
    """All findings of the run of ``charts``, at most ``pictures`` of them drawn."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in worst_first(charts.run.findings):
        by_rule.setdefault(finding.rule, []).append(finding)
    layers = layers_of(charts.run.summary)
    cards = []
    for rule, found in by_rule.items():
        places = _places(charts, layers, found)
        most = min(PICTURES_OF_A_RULE, pictures)
        if places and not most:
            # Text alone, and it says so: a finding without a chart is not one that has none.
            cards.append(_card(charts, rule, found, [], '<p class="quiet">Not drawn: the findings above are.</p>'))
            continue
        drawn = [finding_chart(charts, one) or layer_chart(charts, layers, one) for one in places[:most]]
        pictures -= len(drawn)
        if drawn and len(places) > most:
            drawn.append(f'<p class="quiet">and {counted(len(places) - most, "more place")}</p>')
        cards.append(_card(charts, rule, found, drawn))
    return "".join(cards)


def _places(charts: Charts, layers: Layers | None, found: list[Finding]) -> list[Finding]:
    """Of ``found`` those that a chart can show, one for each place."""
    places: dict[object, Finding] = {}
    for finding in found:
        role = role_of(finding, charts.run)
        if role in charts.panels or has_layer_chart(layers, finding):
            places.setdefault((role, finding.where.layer, finding_span(finding)), finding)
    return list(places.values())


def _card(charts: Charts, rule: str, found: list[Finding], pictures: list[str], note: str = "") -> str:
    first, *others = found
    numbers = fold("Numbers that decided", _numbers(charts, first), "numbers")
    more = ""
    if others:
        rest = items((_line(charts, finding) for finding in others[:_LISTED]), "plain")
        beyond = f'<p class="quiet">and {len(others) - _LISTED} more</p>' if len(others) > _LISTED else ""
        head = f"{counted(len(others), 'more place')}"
        more = fold(head, rest + beyond, "more") if len(others) > 2 else rest
    drawn = f'<div class="pictures">{"".join(pictures)}</div>' if pictures else ""
    wide = "" if pictures else " bare"
    return (
        f'<article class="card finding {first.severity}{wide}" id="{charts.uid}-{text(rule, 20)}"><div class="said">'
        f"<h4>{pill(first.severity)} {code(rule, 20)} {text(first.name, 80)}</h4>"
        f"<p>{text(first.message)}</p>"
        f'<p class="quiet">{_where(charts, first)}</p>{note}{numbers}{more}</div>{drawn}</article>'
    )


def _line(charts: Charts, finding: Finding) -> str:
    told = f'<span class="quiet">{_where(charts, finding)}</span>'
    return f"{text(finding.message)} {told}{fold('Numbers', _numbers(charts, finding), 'numbers')}"


def _where(charts: Charts, finding: Finding) -> str:
    where = place(finding.where, charts.run, "–")
    return f"{text(where)}{' · ' if where else ''}{share(finding.confidence)} sure"


def _numbers(charts: Charts, finding: Finding) -> str:
    return facts((text(name, 60), text(value(item), 200)) for name, item in finding.evidence.items())
