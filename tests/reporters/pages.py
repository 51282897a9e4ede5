"""Pages taken apart, and reports with foreign text in every place that can hold some."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from convergence_cli.model import (
    Cause,
    Finding,
    Fleet,
    Group,
    Remedy,
    Report,
    RunError,
    RunReport,
    Skipped,
    TensorLine,
    TensorTable,
    Trait,
    Verdict,
    Where,
)
from convergence_cli.reporters.page.skeleton import asset

VOID = {"meta", "link", "br", "input", "img", "hr"}
EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "</title></desc></svg></script><b>",
    "<!--",
    "]]>",
    "&lt;b&gt;&#60;b&#62;",
    "a\u202eb\u200fc\u2066d",
    "\ud800",
    "\x00\x1b]52;c;aGk=\x07",
    "url(https://example.org)",
    "r1-findings",
    'https://arxiv.org/abs/2103.00065" onclick="alert(1)',
    "{{7*7}}${7*7}",
    "x" * 3000,
]


class Page(HTMLParser):
    """The elements of a page, checked to be closed in order; texts by element."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\u00a0", " ").split())

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


ALLOWED_TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "link",
    "style",
    "body",
    "header",
    "main",
    "footer",
    "section",
    "article",
    "figure",
    "figcaption",
    "div",
    "span",
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "code",
    "pre",
    "a",
    "del",
    "ins",
    "strong",
    "details",
    "summary",
    "svg",
    "desc",
    "g",
    "path",
    "rect",
    "line",
    "circle",
    "text",
    "tspan",
    "use",
    "script",
}
ALLOWED_ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "rel",
    "href",
    "class",
    "id",
    "role",
    "aria-labelledby",
    "aria-label",
    "aria-hidden",
    "tabindex",
    "scope",
    "open",
    "type",
    "viewbox",
    "preserveaspectratio",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "cx",
    "cy",
    "r",
    "rx",
    "d",
    "dx",
    "text-anchor",
    "data-panel",
    "data-plot",
    "data-told",
    "data-at",
    "data-measure",
    "data-rows",
    "data-sort",
    "data-v",
}


def full(texts: list[str]) -> Report:
    """A report with foreign text in every place that can hold some."""
    a, b, c, d = texts
    curve = {
        "step": [0.0, 1.0, 2.0, 3.0],
        "mean": [1.0, None, 3.0, 2.0],
        "low": [1.0, None, 2.0, 1.0],
        "high": [1.0, None, 9.0, 3.0],
        "points": 400,
        "nonfinite": [[1.0, 1.0, 3]],
        "restarts": [{"bucket": 2, "from": 1.0, "to": 0.5}],
    }
    findings = tuple(
        Finding(rule, c, "error", 0.9, a, Where(series, layer, 1.0, last, d, 3), {a: b, "best": 1.5, c: [d]}, a)
        for rule, series, layer, last in (
            ("LC101", b, None, 2.0), (a, b, None, None), ("AC101", None, c, 1.0), ("GR101", None, c, None),
        )
    )  # fmt: skip
    run = RunReport(
        a,
        b,
        c,
        {
            "points": 3,
            "first_step": 0,
            "last_step": 3,
            "x": d,
            "series": {"train_loss": b, a: c},
            "series_total": 4,
            "series_read": 2,
            "unread": [c, d],
            "config": {d: a},
            "best": {"series": b, "value": 1.0, "step": 0.0},
            "curves": {"train_loss": curve, a: curve, "val_loss": {"mean": [1.0, 2.0]}},
            "tensors": {"steps": 2, "first_step": 0.0, "last_step": 1.0, "layers": 1, "kinds": {d: 1}},
            "layers": {
                "names": [c, d],
                "layers": 2,
                "steps": [0.0, 1.0],
                "gradient_norm": [[1.0, 2.0], [None, 0.0]],
                "dead": [[0.5, 0.7], [None, None]],
                "nonfinite": [[1, 0]],
            },
            "spreads": [
                {
                    "kind": a,
                    "name": b,
                    "layer": c,
                    "steps": [0.0, 1.0],
                    "at": [0.1, 0.5, 0.9],
                    "quantiles": [[1, 2, 3]] * 2,
                }
            ],
        },
        Verdict("diverging", 0.9, d, a, {"diverging": 0.9}, 1.0, 0.0),
        findings,
        (Cause(b, 0.5, c, (d, "LC101"), (a,), (b,), (c,), (d,)), Cause(a, 0.01, b)),
        tuple(Remedy(a, b, {c: d, d: 1.5}, a, 0.5, {c: a}, b, f"{c}\n\t{d}", (a,), d) for _ in range(4)),
        (Skipped(a, b),),
        (c, d),
        (a,),
        TensorTable((TensorLine(1.0, "weight", a, b, c, d, a, (2, 3), mean=0.5, flags=(b,)),), 1),
    )
    fleet = Fleet(2, {a: [b, c], d: 1.0}, (Trait("failing", a, b, 1, 1, 0, 1, 0.1),), (c,), (Group({c: d}, 1, {a: 1}),))
    return Report((run, replace(run, name=b)), (RunError(c, d, a), RunError(a, b)), "0.1.0", fleet)


def is_inert(text: str) -> Page:
    """What holds of any page: no element or attribute that is not the report's own, no way out, no other script."""
    page = Page(text)
    assert page.tags() <= ALLOWED_TAGS
    for tag, attributes in page.elements:
        assert attributes.keys() <= ALLOWED_ATTRIBUTES, (tag, attributes)
        target = attributes.get("href") or ""
        if tag == "a":
            assert target.startswith("#") or re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", target)
        elif tag == "use":
            assert re.fullmatch(r"#r[0-9a-f]{8}-k\d+-\d+", target)
        elif target:
            assert (tag, target) == ("link", "data:,")
    for attributes, body in page.scripts:
        if attributes.get("type") == "application/json":
            json.loads(body, parse_constant=pytest.fail)
        else:
            assert body == asset("script.js")
    assert all(style == asset("style.css") for style in page.styles)
    # Nothing that a person could not see, or that turns the direction of what follows.
    assert all(char.isprintable() or char in "\n\u00a0" for char in "".join(page.texts))
    return page
