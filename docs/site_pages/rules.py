"""The page of each rule: its docstring, a picture of a run that fires it and one of a run that nearly does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from generate import _FAMILIES

from convergence_cli.axis import axis_of
from convergence_cli.cli.explain import words_for
from convergence_cli.diagnosis.causes import CAUSES
from convergence_cli.model import DEFAULT_PROFILE
from convergence_cli.reporters._wording import percent, value
from convergence_cli.reporters.page.markup import text
from convergence_cli.rules import Rule, all_rules
from convergence_cli.rules._registry import SECTIONS
from site_pages.examples import Example, chosen, examples_of
from site_pages.pictures import pictures
from site_pages.sources import cases_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEVER_LOOKS = "It looks at nothing with the defaults that it has, so that there is no run to show."
_SHOWN_NUMBERS = 10
# How a docstring names a page.
_DOCUMENT = re.compile(r"\bdocs/([\w-]+)\.md")
_HEIGHT = re.compile(r'(<svg\b[^>]*?\bheight="(\d+)")')


def file_of(rule: Rule) -> str:
    """The name of the page of ``rule`` in ``rules/``."""
    return f"{rule.code}-{rule.name}.md"


def rule_page(rule: Rule) -> str:
    """The page as Markdown with the pictures in it."""
    lines = _DOCUMENT.sub(r"[\1](../\1.md)", rule.doc.replace("<", "&lt;").replace("*", "\\*")).splitlines()
    only = "" if rule.profile == DEFAULT_PROFILE else f", with `--profile {rule.profile}`"
    parts = [
        f"# {rule.code} {rule.name}\n",
        f'<p class="rule-line"><span class="rule-severity {rule.severity}">{rule.severity}</span> '
        f"at most, since {rule.since}</p>\n".replace("</p>", f"{_markup(only)}</p>"),
        f"{lines[0]}\n",
        *_examples(rule),
    ]
    parts += [f"\n## {line}\n" if line in SECTIONS else line.strip() for line in lines[1:]]
    parts += ["\n## Evidence needed\n", f"{words_for(rule.needs)}.\n", *_causes(rule), *_tests(rule)]
    parts.append(f"\nOn the terminal: `ctroubleshoot explain {rule.code}`.\n")
    return "\n".join(parts)


def _markup(words: str) -> str:
    first, *rest = words.split("`")
    return first + "".join(f"<code>{one}</code>" if place % 2 == 0 else one for place, one in enumerate(rest))


def _examples(rule: Rule) -> Iterator[str]:
    if rule.code not in chosen():
        yield f"{NEVER_LOOKS}\n"
        return
    fires, nearly = examples_of(rule)
    assert fires.finding is not None
    yield _card("A run that fires it", rule, fires, fires, "fires")
    yield _card("A run that nearly does", rule, nearly, fires, "nearly")


def _card(title: str, rule: Rule, example: Example, fires: Example, side: str) -> str:
    assert fires.finding is not None
    drawn = pictures(rule, example, fires.finding, f"{rule.code}-{side}")
    # The theme gives pictures a height by their width; these have their own.
    drawn = _HEIGHT.sub(r'\1 style="height:\2px"', drawn)
    if not drawn:
        raise ValueError(f"{rule.code}: nothing is drawn of the run that {side}")
    finding, verdict = example.finding, example.report.verdict
    said, decided = f"<p>{_plain(example.said)}</p>", ""
    if finding is not None:
        numbers = "".join(
            f"<div><dt>{text(name.replace('_', ' '), 60)}</dt><dd>{text(value(item), 60)}</dd></div>"
            for name, item in list(finding.evidence.items())[:_SHOWN_NUMBERS]
        )
        head = (
            f'<span class="pill {finding.severity}">{finding.severity}</span> <strong>{text(finding.message)}</strong>'
        )
        said = f"<p>{head}</p>{said}"
        decided = f'<dl class="evidence">{numbers}</dl>'
    sure = f", {percent(verdict.confidence)}" if verdict.label != "undetermined" else ""
    unit = axis_of(example.run)
    steps = example.report.summary
    span = f"{unit}s {steps['first_step']:g} to {steps['last_step']:g}" if steps.get("last_step") is not None else ""
    judged = " · ".join(filter(None, (f"{verdict.label}{sure}", text(span))))
    return (
        f'\n## {title} {{ #{side} }}\n\n<div class="ctr docs" data-real="{str(example.real).lower()}">'
        f'<div class="told">{said}<p class="quiet">{judged}</p></div><div class="drawn">{drawn}</div>{decided}</div>\n'
    )


def _plain(words: str) -> str:
    """Markdown of one line, with code only, as HTML."""
    return _markup(text(words, 2000).replace("&#x60;", "`"))


def _causes(rule: Rule) -> Iterator[str]:
    names = [cause.name for cause in CAUSES if any(key.partition(":")[0] == rule.code for key in cause.supports)]
    if names:
        yield "\n## Causes it speaks for\n"
        yield ", ".join(f"[{name}](../causes-listed.md#{name})" for name in names) + ". See [causes](../causes.md).\n"


def _tests(rule: Rule) -> Iterator[str]:
    found = cases_of(rule.code)
    titles = {"fires": "fires", "silent": "is silent"}
    for side, title in titles.items():
        whys = [case["why"] for case in found.get(side, [])]
        if whys:
            yield f"\n## Cases of its test: {title} {{ #cases-{side} }}\n"
            yield "\n".join(f"- {_escaped(why)}" for why in whys) + "\n"


def _escaped(words: str) -> str:
    return words.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def index_page() -> str:
    """All rules by family, each with a link to its page."""
    parts = [
        "# What it checks\n",
        "One page a rule: what it checks and why, how it decides, its known false alarms, and a picture of a run that "
        "fires it beside one that nearly does. The severity is the highest that a rule gives: `error` means that the "
        "run is failing, `warning` that it will or that it wastes time, `note` is a fact worth knowing. A rule that "
        "lacks its evidence is listed as *could not look*, with what it needs. All on one page: "
        "[rules](../rules.md).\n",
    ]
    for family, title in _FAMILIES.items():
        rules = [rule for rule in all_rules() if rule.code.startswith(family)]
        parts += [f"## {title.replace('`', '')}\n", "| rule | severity | what it says |", "| --- | --- | --- |"]
        parts += [
            f"| [{one.code} {one.name}]({file_of(one)}) | {one.severity} | {_escaped(one.summary)} |" for one in rules
        ]
        parts.append("")
    return "\n".join(parts)


def menu() -> list[dict[str, list[dict[str, str]]]]:
    """The pages of the rules by family, for the menu of the site."""
    return [
        {
            title.replace("`", ""): [
                {f"{one.code} {one.name}": f"rules/{file_of(one)}"}
                for one in all_rules()
                if one.code.startswith(family)
            ]
        }
        for family, title in _FAMILIES.items()
    ]


def causes_page() -> str:
    """Every cause with what speaks for it, against it, and what would settle it."""
    pages = {rule.code: rule for rule in all_rules()}
    parts = [
        "# All causes\n",
        "What the findings can be put down to. How they are ranked, and how often that is right: "
        "[causes](causes.md). What to change: [remedies](remedies.md).\n",
    ]
    for cause in CAUSES:
        parts += [f"## {cause.name}\n", f"{_escaped(cause.explanation)}\n"]
        for title, keys in (("What speaks for it", cause.supports), ("What speaks against it", cause.against)):
            if keys:
                parts += [f"{title}: {_listed(list(keys), pages)}.\n"]
        if cause.would_confirm:
            parts += ["What would settle it:\n", *(f"- {_escaped(one.what)}" for one in cause.would_confirm), ""]
    return "\n".join(parts) + "\n"


def _listed(keys: Sequence[str], pages: dict[str, Rule]) -> str:
    found = []
    for key in keys:
        code, _, side = key.partition(":")
        shown = f" ({side})" if side else ""
        rule = pages.get(code)
        found.append(f"[{code} {rule.name}](rules/{file_of(rule)}){shown}" if rule else f"`{key}`")
    return ", ".join(found)
