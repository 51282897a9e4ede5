"""The sources of the site: pages of rules with their pictures, links between all pages, the menu. mkdocs is not run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import convergence_cli
from convergence_cli.plots.door import KINDS
from convergence_cli.rules import Rule, all_rules
from tests.cli.process import clean_environment

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
build: Any = import_module("site_pages.build")
rules: Any = import_module("site_pages.rules")
examples: Any = import_module("site_pages.examples")
gallery: Any = import_module("site_pages.gallery")
sources: Any = import_module("site_pages.sources")
generate: Any = import_module("generate")
# It looks at nothing with the defaults it has.
IDLE = {"SM107"}
# Made from fixtures, or from a training of a kind each: the others are made in the same way by `make docs`.
TRAINED = {"AC105", "DA104", "DI101", "LG002", "TR101", "SM117", "WT101"}
_HEADING = re.compile(r"^#+ (.*?)\s*(?:\{ #([\w-]+) \})?$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def quick(rule: Rule) -> bool:
    entry = examples.chosen()[rule.code]
    return rule.code in TRAINED or all(
        entry[side].startswith(("fixture", "case", "demo", "before")) for side in ("fires", "nearly")
    )


MADE = [rule for rule in all_rules() if rule.code not in IDLE and quick(rule)]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    found: dict[str, str] = build.pages()
    return found


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return {rule.code: rules.rule_page(rule) for rule in MADE}


def slug(heading: str) -> str:
    words = re.sub(r"[`*\\]|\[([^]]*)\]\([^)]*\)", lambda found: found[1] or "", heading)
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", words).strip().lower())


def anchors(page: str) -> set[str]:
    return {own or slug(heading) for heading, own in _HEADING.findall(_FENCED.sub("", page))}


def test_every_rule_names_two_runs_that_there_are() -> None:
    assert set(examples.chosen()) == {rule.code for rule in all_rules()} - IDLE
    kinds: Counter[str] = Counter()
    for code, entry in examples.chosen().items():
        assert set(entry) <= {"fires", "nearly", "why"}, code
        for side in ("fires", "nearly"):
            kind, _, rest = entry[side].partition(" ")
            kinds[kind] += 1
            if kind == "fixture":
                assert (ROOT / "fixtures" / rest).exists(), (code, rest)
            elif kind == "lab":
                fault, architecture, _ = rest.split()
                known = fault == "twin" or architecture in sources.kind_of(fault).architectures
                assert known, (code, rest)
            elif kind == "training":
                assert rest in {*sources.PLANS, *sources.IMAGES, sources.LEARNED}, (code, rest)
            elif kind == "boosted":
                assert rest in sources.FORESTS, (code, rest)
            else:
                assert kind in ("case", "demo") or entry[side] == examples.BEFORE, (code, entry[side])
    # Numbers of a test stand in where no run can be had.
    assert kinds["case"] <= 3


def test_enough_pages_are_made_here() -> None:
    assert len(MADE) >= 20


@pytest.mark.parametrize("rule", MADE, ids=lambda rule: rule.code)
def test_a_page_has_a_run_that_fires_and_one_that_nearly_does(rule: Rule, made: dict[str, str]) -> None:
    cards = re.findall(r'^<div class="ctr docs".*$', made[rule.code], re.MULTILINE)
    assert len(cards) == 2
    for card in cards:
        tree = ElementTree.fromstring(card.replace("&nbsp;", "&#160;"))
        shown = [one for one in tree.iter("svg") if one.get("role") == "img"]
        assert shown
        for picture in shown:
            title, words = picture.find("title"), picture.find("desc")
            assert title is not None
            assert words is not None
            assert title.text
            assert words.text
        ids = [one.get("id") for one in tree.iter() if one.get("id")]
        assert len(ids) == len(set(ids))
        assert "http" not in card
    assert 'class="pill' in cards[0]
    assert 'class="pill' not in cards[1]
    assert all(f"## {section}" in made[rule.code] for section in rules.SECTIONS)


def test_the_log_before_it_fires_is_the_last_that_passes() -> None:
    rule = next(rule for rule in all_rules() if rule.code == "LC001")
    assert examples.last_silence(sources.run_from("demo"), rule) == (733.0, 734.0)


def test_a_rule_that_fires_from_the_first_look_on_has_no_log_before() -> None:
    rule = next(rule for rule in all_rules() if rule.code == "LR102")
    with pytest.raises(ValueError, match="as soon as it can look"):
        examples.last_silence(sources.run_from("fixture dvclive/learning-rate-zero"), rule)


@pytest.mark.parametrize("words", ["fixtures text/x", "nothing", ""])
def test_words_that_name_no_run_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match="begins with none of"):
        sources.run_from(words)


def test_links_lead_to_pages_and_headings(pages: dict[str, str], made: dict[str, str]) -> None:
    named = {f"rules/{rules.file_of(rule)}" for rule in all_rules()} | {build.NOTEBOOK_PAGE}
    whole = pages | {f"rules/{rules.file_of(rule)}": made[rule.code] for rule in MADE}
    for name, page in whole.items():
        for link in _LINK.findall(_FENCED.sub("", page)):
            if link.startswith("https://"):
                continue
            target, _, anchor = link.partition("#")
            path = (Path("/") / name).parent / target if target else Path("/") / name
            found = str(path.resolve().relative_to("/"))
            assert found in whole or found in named, (name, link)
            if anchor and found in whole:
                assert anchor in anchors(whole[found]), (name, link)


def test_links_lead_somewhere_on_a_code_host() -> None:
    for path in sorted((ROOT / "docs").glob("*.md")):
        for link in _LINK.findall(_FENCED.sub("", path.read_text(encoding="utf-8"))):
            target, _, anchor = link.partition("#")
            if link.startswith("https://") or not target:
                continue
            found = path.parent / target
            assert found.exists(), (path.name, link)
            if anchor:
                assert anchor in anchors(found.read_text(encoding="utf-8")), (path.name, link)


def test_the_menu_has_every_page(pages: dict[str, str]) -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed: list[str] = []

    def gather(item: Any) -> None:
        if isinstance(item, str):
            listed.append(item)
        else:
            for one in item.values() if isinstance(item, dict) else item:
                gather(one)

    gather(config["nav"])
    pages = {**pages, build.NOTEBOOK_PAGE: ""}
    assert sorted(listed) == sorted(pages)
    gather(json.loads(json.dumps(rules.menu())))
    assert sorted(listed) == sorted([*pages, *(f"rules/{rules.file_of(rule)}" for rule in all_rules())])
    assert config["theme"]["font"] is False


def test_the_style_is_dark_where_the_site_is() -> None:
    style = build.stylesheet()
    assert '[data-md-color-scheme="slate"] .ctr{' in style
    assert "prefers-color-scheme" not in style
    assert "http" not in style
    assert style.count("{") == style.count("}")


def test_the_reference_has_every_public_name(pages: dict[str, str]) -> None:
    for name in convergence_cli.__all__:
        if not name.startswith("__"):
            assert f"\n### {name}\n" in pages["python.md"], name
    assert "``" not in re.sub(r"```", "", pages["python.md"])


def test_sessions_shown_to_start_with_are_what_the_program_writes() -> None:
    for name in ("start.md", "pictures.md"):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        blocks = list(generate.console_blocks(page))
        assert blocks
        for command, shown in blocks:
            assert shown == generate.trimmed(shown, generate.output_of(command)), command


def test_pictures_are_drawn_where_they_are_asked_for() -> None:
    text = (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8")
    asked = list(gallery.asked(text))
    assert {which for what, which, _ in asked if what == "picture"} == {*KINDS, "sweep"}
    assert sum(what == "page" for what, _, _ in asked) == 3
    assert text.count("<!--") == len(asked)
    for _, which, source in asked:
        for part in source.split():
            assert source == gallery.TRAINING or which == "sweep" or (ROOT / part).exists(), part
    short = (
        "<!-- picture: importance of fixtures/recorder/xgboost-healthy -->\n<!-- picture: saliency of a training -->\n"
    )
    page, files = gallery.gallery(f"{short}<!-- page: a report of convergence_cli/demo/char-rnn -->")
    assert re.findall(r"\]\((.*?)\)", page) == list(files)
    assert [data[:8] for path, data in files.items() if path.endswith("png")] == [b"\x89PNG\r\n\x1a\n"] * 2
    assert b"char-rnn/metrics.csv" in files["assets/a-report.html"]
    with pytest.raises(RuntimeError, match="No importance of features"):
        gallery.made("picture", "importance", "convergence_cli/demo/char-rnn")


def test_published_figures_stand_on_the_pages_named() -> None:
    text = (ROOT / "docs" / "error-rates.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|") and "](" in line]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(rows) >= 15
    for figure, value, measured, page, target in rows:
        found = re.search(r"\]\(([\w-]+\.md)", page)
        assert found is not None
        told = (ROOT / "docs" / found[1]).read_text(encoding="utf-8")
        for number in re.findall(r"\d[\d,.]*\d|\d", f"{value} {measured}"):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d])", told), (figure, number)
        assert f"\n{target.strip('`').removeprefix('make ')}:" in makefile, target


def test_recipes_for_ci_are_well_formed() -> None:
    page = (ROOT / "docs" / "automation.md").read_text(encoding="utf-8")
    recipes = [yaml.safe_load(one) for one in re.findall(r"^```yml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]
    assert len(recipes) == 3
    commands = re.findall(
        r"ctroubleshoot (\w[\w-]*)((?: [^`\n;|>']+)?)", "\n".join(re.findall(r"```.*?```", page, re.DOTALL))
    )
    assert len(commands) > 12
    helps: dict[str, str] = {}
    for command, arguments in commands:
        if command not in helps:
            call = [sys.executable, "-m", "convergence_cli", command, "--help"]
            environment = clean_environment(COLUMNS="200", TERM="dumb")
            helps[command] = subprocess.run(call, capture_output=True, check=True, env=environment).stdout.decode()
        for option in re.findall(r"(?<=\s)--[a-z-]+", arguments):
            assert option in helps[command], (command, option)
