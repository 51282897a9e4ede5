"""The page: what stands in it, that foreign text stays text, that it is small and needs nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reporters.pages import EVIL, Page, full, is_inert

import convergence_cli
from convergence_cli.codec import from_data, to_data
from convergence_cli.model import (
    Fleet,
    Report,
    RunError,
)
from convergence_cli.pipeline import analyze_paths
from convergence_cli.reporters import Look, html, render
from convergence_cli.reporters.page.skeleton import asset
from convergence_cli.settings import Settings

ROOT = Path(convergence_cli.__file__).parent.parent
ANY_TEXT = st.sampled_from(EVIL) | st.text(st.characters(), max_size=40)


def report_of(*paths: str) -> Report:
    return analyze_paths([str(ROOT / path) for path in paths], Settings())


@pytest.fixture(scope="module")
def demo() -> Report:
    return report_of("convergence_cli/demo/char-rnn")


@pytest.fixture(scope="module")
def dumped() -> Report:
    return report_of("fixtures/tensors/dead-relu")


@given(st.lists(ANY_TEXT, min_size=4, max_size=4), st.integers(-1, 1))
@settings(deadline=None, max_examples=40)
def test_foreign_text_stays_text_wherever_it_stands(texts: list[str], detail: int) -> None:
    report = full(texts)
    is_inert(render(report, "html", Look(detail=detail)))
    is_inert(render(replace(report, runs=report.runs[:1]), "html"))
    is_inert(html.part(report))
    is_inert(html.run_part(report.runs[0]))
    is_inert(html.reading_part(report.runs[0]))


def test_every_text_of_a_report_is_among_those_that_are_tried() -> None:
    """A text field that is added to the model has to be filled in ``full``, too."""
    filled: dict[tuple[str, str], bool] = {}

    def walk(value: Any) -> None:
        if isinstance(value, (list, tuple)):
            for item in value:
                walk(item)
        elif is_dataclass(value):
            for item in fields(value):
                one = getattr(value, item.name)
                key = (type(value).__name__, item.name)
                if str(item.type) in ("str", "str | None", "tuple[str, ...]"):
                    filled[key] = filled.get(key, False) or bool(one)
                walk(one)

    walk(full(["a", "b", "c", "d"]))
    lacking = {key for key, there in filled.items() if not there}
    assert lacking <= {("Group", "best_run")}


@pytest.mark.parametrize("evil", EVIL)
def test_each_attack_is_inert(evil: str) -> None:
    page = is_inert(render(full([evil] * 4), "html"))
    assert "alert(1)" not in "".join(body for attributes, body in page.scripts if not attributes)


@pytest.mark.parametrize("evil", EVIL)
def test_each_attack_is_inert_in_brief_too(evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "FULL", 0)
    monkeypatch.setattr(html, "BUDGET", 0)
    is_inert(render(full([evil] * 4), "html"))


def test_two_hundred_failing_runs_with_tensors_stay_small(demo: Report, dumped: Report) -> None:
    for report in (demo, dumped):
        (run,) = report.runs
        runs = tuple(replace(run, name=f"{n}/log.csv", path=f"x/{n}/log.csv") for n in range(200))
        text = render(Report(runs, (), "1"), "html")
        assert len(text) < 5_000_000
        assert text.count("In brief, as one of very many") > 50
        page = is_inert(text)
        ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
        targets = {(attributes.get("href") or "").removeprefix("#") for tag, attributes in page.elements if tag == "a"}
        assert {target for target in targets if not target.startswith("https:")} <= ids
        # The last of them still says what is wrong and what to change.
        last = text[text.rindex('<details class="run"') :]
        assert run.findings[0].rule in last
        assert run.remedies[0].name in last or all(key in last for key in run.remedies[0].change)


def test_the_policy_admits_the_style_and_the_script_of_the_page_alone(demo: Report) -> None:
    text = render(demo, "html")
    page = Page(text)
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for kind, body in (("script", asset("script.js")), ("style", page.styles[0])):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_nothing_is_asked_for_from_anywhere(demo: Report) -> None:
    text = render(demo, "html")
    assert text.isascii()
    assert not re.findall(r"""(?:src|srcset|action|poster|data)=["']""", text)
    assert "@import" not in text
    assert "url(" not in asset("style.css")
    assert not re.search(r"fetch|XMLHttp|WebSocket|import\(|eval|innerHTML|document\.write", asset("script.js"))


def test_the_page_says_what_the_report_says(demo: Report) -> None:
    said = Page(render(demo, "html")).text
    run = demo.runs[0]
    for part in (
        run.verdict.label,
        run.verdict.reason,
        *(finding.message for finding in run.findings),
        *(finding.rule for finding in run.findings),
        *(cause.explanation for cause in run.causes),
        *(one for cause in run.causes for one in (*cause.because, *cause.despite) if cause.probability > 0.15),
        *(remedy.why for remedy in run.remedies),
        *(" ".join((remedy.snippet or "").split()) for remedy in run.remedies),
        *(skip.reason for skip in run.skipped),
        *run.passed,
        *run.notes,
        *run.summary["series"].values(),
    ):
        assert " ".join(part.split()) in said
    assert "0.6 → 0.2" in said


def test_headings_go_down_one_step_at_a_time_and_ids_are_unique(demo: Report, dumped: Report) -> None:
    both = Report((*demo.runs, *dumped.runs, *demo.runs), (), "1")
    for report in (demo, dumped, both, Report((), (), "1")):
        page = Page(render(report, "html"))
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        targets = {(attributes.get("href") or "").removeprefix("#") for tag, attributes in page.elements if tag == "a"}
        assert {target for target in targets if not target.startswith("https:")} <= set(ids)


def test_every_picture_has_a_title_and_a_description(dumped: Report) -> None:
    page = Page(render(dumped, "html"))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    pictures = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img"]
    assert len(pictures) > 15
    for picture in pictures:
        assert set((picture["aria-labelledby"] or "").split()) <= ids
    others = [a for tag, a in page.elements if tag == "svg" and "role" not in a and a.get("aria-hidden") != "true"]
    assert all("viewbox" in attributes for attributes in others)


def test_the_steps_and_thresholds_of_findings_are_marked(demo: Report, dumped: Report) -> None:
    said = Page(render(demo, "html")).text
    assert "diverging since step 734" in said
    assert "steps 734–1,000" in said
    assert "level before 2.381" in said
    assert "267 not finite" in said
    assert "best 1.929" in said
    text = render(dumped, "html")
    said = Page(text).text
    assert "threshold dead share 0.65" in said
    assert "relu2: share of dead units" in said
    assert text.count('class="frame error"') >= 6
    for title in ("Gradient norm", "Update ratio", "Dead units", "weight fc1.weight", "activation relu1"):
        assert title in said


def with_summary(report: Report, **changed: Any) -> Report:
    """``report`` with one run and other parts of its summary."""
    run = report.runs[0]
    return replace(report, runs=(replace(run, summary={**run.summary, **changed}),))


def test_cells_without_a_dump_are_told_from_zero(dumped: Report) -> None:
    layers = dumped.runs[0].summary["layers"]
    assert "not dumped" not in Page(render(dumped, "html")).text
    norms = [[None, None, *row[2:]] for row in layers["gradient_norm"]]
    page = render(with_summary(dumped, layers={**layers, "gradient_norm": norms, "nonfinite": [[0, 1]]}), "html")
    heat = page[page.index('data-measure="gradient_norm"') : page.index('data-measure="update_ratio"')]
    assert '<span class="gap-key">not dumped</span>' in heat
    assert '<span class="bad-key">not finite</span>' in heat
    assert '<path class="gap" d="M0 0.5h1M0 1.5h2M0 2.5h2"/>' in heat


def test_the_ends_of_a_legend_are_short(dumped: Report) -> None:
    page = render(dumped, "html")
    ends = re.findall(r'<span class="shades">([^<]*)<svg.*?</svg>([^<]*)</span>', page)
    assert ends == [("0.075", "0.94, log"), ("4.9e-8", "4.9, log"), ("0 %", "100 %")]


def test_spreads_are_in_the_order_of_the_model(dumped: Report) -> None:
    spreads = dumped.runs[0].summary["spreads"]
    right = re.findall(r'<figure class="spread"><figcaption>(.*?)<', render(dumped, "html"))
    assert [one.split()[0] for one in right] == [*["weight"] * 3, *["gradient"] * 3, *["activation"] * 2]
    mixed = [spreads[at] for at in (2, 0, 1, 4, 5, 3, 7, 6)]
    page = render(with_summary(dumped, spreads=mixed), "html")
    assert re.findall(r'<figure class="spread"><figcaption>(.*?)<', page) == right


def test_charts_of_a_finding_follow_its_text_and_say_how_many_more_there_are(dumped: Report) -> None:
    page = render(dumped, "html")
    for rule, measure, more in (("AC101", "share of dead units", 0), ("WT102", "update ratio", 1)):
        card = re.search(rf'<article[^>]*-{rule}">.*?</article>', page)
        assert card is not None
        layers = [one.where.layer for one in dumped.runs[0].findings if one.rule == rule]
        assert re.findall(rf">([^<>]*): {measure}</span>", card[0]) == layers[:2]
        assert ("and 1 more place" in card[0]) == bool(more)


def test_a_finding_that_is_not_drawn_says_so(demo: Report, dumped: Report) -> None:
    assert "Not drawn" not in Page(render(dumped, "html")).text
    many = Report(tuple(replace(dumped.runs[0], name=f"run-{n}") for n in range(21)), (), "1")
    assert Page(render(many, "html")).text.count("Not drawn: the findings above are.") >= 21


def test_it_is_the_same_from_a_saved_report(demo: Report, dumped: Report) -> None:
    for report in (demo, dumped):
        saved = from_data(json.loads(json.dumps(to_data(report))), "saved.json")
        assert render(saved, "html") == render(report, "html")


def test_many_runs_are_a_table_with_a_section_each(demo: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    run = demo.runs[0]
    many = Report(tuple(replace(run, name=f"run-{n}", path=f"{n}/log.csv") for n in range(30)), (), "1", Fleet(30))
    page = Page(render(many, "html"))
    rows = [
        attributes for tag, attributes in page.elements if tag == "a" and re.fullmatch(r"#r\w{8}", attributes["href"])
    ]
    assert len(rows) == len({attributes["href"] for attributes in rows}) == 30
    assert page.text.count("Likely causes") == 30
    monkeypatch.setattr(html, "SECTIONS", 10)
    page = Page(render(many, "html"))
    assert page.text.count("Likely causes") == 10
    assert all(f"run-{n} " in page.text for n in range(30))


def test_a_single_point_is_seen_and_huge_values_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,train_loss,val_loss\n1,0.5,0.6\n")
    page = render(analyze_paths([str(path)], Settings()), "html")
    assert page.count('<circle class="dot') >= 2
    # The sum of two of them is infinite.
    path.write_text("step,train_loss,val_loss\n" + "".join(f"{n},{1.7e308 * (-1) ** n},1.7e308\n" for n in range(300)))
    report = analyze_paths([str(path)], Settings())
    assert "nan" not in re.sub(r"<desc.*?</desc>", "", render(replace(report, runs=report.runs * 30), "html").lower())


def test_many_inputs_without_a_verdict_are_folded(demo: Report) -> None:
    errors = tuple(RunError(f"{number}.csv", f"{number}.csv is empty.", "Give another.") for number in range(9))
    page = render(replace(demo, errors=errors), "html")
    assert page.index("2.csv is empty.") < page.index("<summary>6 more</summary>") < page.index("3.csv is empty.")
    assert "more</summary>" not in render(replace(demo, errors=errors[:4]), "html")[: page.index("3.csv is empty.")]


def test_quiet_leaves_verdict_and_findings(demo: Report) -> None:
    said = Page(render(demo, "html", Look(detail=-1))).text
    assert "non-finite-loss" in said
    assert "Likely causes" not in said
    assert "What to change" not in said


def test_colours_can_be_read() -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text on what it stands on, 3 to 1 for curves."""
    light, dark = re.findall(r"--page:#.*?}", asset("style.css"), re.DOTALL)[:2]
    for block in (light, dark):
        color = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", block))
        for ground in ("page", "card", "code"):
            for name in ("ink", "quiet", "link", "red", "amber", "green", "violet", "blue"):
                assert contrast(color[name], color[ground]) >= 4.5, (name, ground)
        for name in ("red", "amber", "green", "violet", "blue"):
            assert contrast(color[name], color[f"{name}-wash"]) >= 4.5, name
        for number in range(6):
            assert contrast(color[f"c{number}"], color["card"]) >= 3, number
        shades = [luminance(color[f"q{number}"]) for number in range(8)]
        assert shades in (sorted(shades), sorted(shades, reverse=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
