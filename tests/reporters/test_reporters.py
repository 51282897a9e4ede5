"""What holds of every output, whatever the names and messages in it."""

from __future__ import annotations

import json
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convergence_cli
from convergence_cli.codec import from_data
from convergence_cli.model import (
    Cause,
    Finding,
    Remedy,
    Report,
    RunError,
    RunReport,
    Skipped,
    Verdict,
    Where,
)
from convergence_cli.reporters import Look, render
from convergence_cli.reporters.markdown import escaped
from convergence_cli.settings import FORMATS

SCHEMA = json.loads((Path(convergence_cli.__file__).parent / "report.schema.json").read_text())
ANY_TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(
    ["\x1b]52;c;aGk=\x07", "a\n::error::b", "\x9b2J", "[/b]", "|`<@#x", "%0A::add-mask::x", "]]>", "\ud800", "=1+1"]
)
PLAIN_FORMATS = ("text", "concise", "markdown", "github", "junit")


def hostile(texts: list[str]) -> Report:
    """A report with foreign text in every place that can hold some."""
    a, b, c, d = texts
    finding = Finding("LC001", "non-finite-loss", "error", 0.9, a, Where(b, c, 1.0, 2.0, d, 3), {a: b, c: [d]}, a)
    run = RunReport(
        a,
        b,
        c,
        {
            "points": 3,
            "first_step": 0,
            "last_step": 2,
            "x": d,
            "series": {a: b},
            "series_total": 4,
            "unread": [c, d],
            "config": {d: a},
            "curves": {"train_loss": {"mean": [1.0, None, 3.0]}},
        },
        Verdict("diverging", 0.9, d, a),
        (finding,),
        (Cause(b, 0.5, c, (d,), (a,), (b,)),),
        (Remedy(a, b, {c: d}, a, 0.5, {c: a}, b, f"{c}\n{d}", (a,)),),
        (Skipped(a, b),),
        (c, d),
    )
    return Report((run, replace(run, verdict=Verdict("undetermined", 0.0, a, b))), (RunError(c, d, a),), "0.1.0")


@given(st.lists(ANY_TEXT, min_size=4, max_size=4), st.integers(-1, 1), st.booleans())
@settings(deadline=None, max_examples=60)
def test_no_output_has_a_control_character(texts: list[str], detail: int, unicode: bool) -> None:
    for name in PLAIN_FORMATS:
        shown = render(hostile(texts), name, Look(detail=detail, unicode=unicode))
        assert all(line.isprintable() for line in shown.split("\n"))


@given(st.lists(ANY_TEXT, min_size=4, max_size=4), st.integers(40, 120), st.integers(-1, 1), st.booleans())
@settings(deadline=None, max_examples=60)
def test_text_is_never_wider_than_the_terminal(texts: list[str], width: int, detail: int, unicode: bool) -> None:
    shown = render(hostile(texts), "text", Look(width=width, detail=detail, unicode=unicode))
    assert max(map(columns, shown.split("\n"))) <= width
    if not unicode:
        assert shown.isascii()


def columns(line: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in line)
    return len(line) + wide - sum(unicodedata.combining(char) > 0 for char in line)


@given(st.lists(ANY_TEXT, min_size=4, max_size=4))
@settings(deadline=None, max_examples=60)
def test_json_forms_are_ascii_json_without_bare_nan(texts: list[str]) -> None:
    for name in ("json", "sarif", "gitlab"):
        shown = render(hostile(texts), name)
        assert shown.isascii()
        json.loads(shown, parse_constant=pytest.fail)
    lines = render(hostile(texts), "jsonl").splitlines()
    assert [json.loads(line)["type"] for line in lines][-1] == "summary"


@given(st.lists(ANY_TEXT, min_size=4, max_size=4))
@settings(deadline=None, max_examples=60)
def test_each_line_for_github_is_one_command(texts: list[str]) -> None:
    lines = render(hostile(texts), "github").splitlines()
    assert len(lines) == 5
    for line in lines:
        _, head, _ = line.split("::", 2)
        properties = dict(item.split("=", 1) for item in head.split(" ", 1)[1].split(","))
        assert set(properties) <= {"file", "line", "title"}


@given(st.lists(ANY_TEXT, min_size=4, max_size=4))
@settings(deadline=None, max_examples=60)
def test_junit_is_well_formed(texts: list[str]) -> None:
    root = ET.fromstring(render(hostile(texts), "junit"))
    assert root.tag == "testsuites"
    assert len(root) == 3


@given(st.lists(ANY_TEXT, min_size=4, max_size=4))
@settings(deadline=None, max_examples=60)
def test_a_markdown_table_row_keeps_its_columns(texts: list[str]) -> None:
    for line in render(hostile(texts), "markdown").splitlines():
        if line.startswith("|"):
            bars = line.replace("\\\\", "").replace("\\|", "").count("|")
            assert bars in (4, 5)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("`x`", "\\`x\\`"),
        ("<img>", "&lt;img&gt;"),
        ("@team", "@&#8203;team"),
        ("a\nb", "a b"),
        ("val_loss rose (to 3)!", "val_loss rose (to 3)!"),
        ("_it_ is __bold__", "\\_it\\_ is \\_\\_bold\\_\\_"),
        ("![x](y)", "!\\[x\\](y)"),
        ("\x1b[m", "\\\\x1b\\[m"),
    ],
)
def test_markdown_escapes(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_json_fits_the_schema_and_renders_the_same_text_again(world: Report) -> None:
    data = json.loads(render(world, "json"))
    jsonschema.validate(data, SCHEMA)
    for name in FORMATS:
        assert render(from_data(data, "saved.json"), name) == render(world, name)


def test_only_text_carries_colour(world: Report) -> None:
    with_escapes = {name for name in FORMATS if "\x1b" in render(world, name, Look(color=True))}
    assert with_escapes == {"text"}


def test_colour_changes_nothing_but_colour(world: Report) -> None:
    import re

    colored = render(world, "text", Look(color=True))
    assert re.sub("\x1b\\[[0-9;]*m", "", colored) == render(world, "text")


def test_a_finding_takes_at_most_four_lines(diverging: RunReport) -> None:
    long = replace(diverging.findings[0], message="word " * 200, evidence={f"number_{i}": i for i in range(50)})
    shown = render(Report((replace(diverging, findings=(long,), causes=(), remedies=()),)), "text").splitlines()
    start = shown.index("Findings") + 1
    assert shown.index("", start) - start == 4


def test_findings_come_worst_first(diverging: RunReport) -> None:
    shown = render(Report((diverging,)), "concise")
    assert shown.index("LC001") < shown.index("LR001")


def test_a_rule_that_was_asked_for_and_found_nothing_has_passed(diverging: RunReport, page: Any) -> None:
    root = ET.fromstring(render(Report((diverging,)), "junit", Look(rules=(page,), failing=frozenset())))
    case = root.find("testsuite/testcase[@name='LC999 quiet-rule']")
    assert case is not None
    assert len(case) == 0
    assert root.find("testsuite").get("failures") == "0"


def test_junit_tells_rules_and_series_apart(diverging: RunReport, page: Any) -> None:
    twice = tuple(replace(diverging.findings[1], where=Where(series=name)) for name in ("loss", "val_loss"))
    run = replace(diverging, findings=twice, skipped=(Skipped("LC999", "needs gradients"),))
    root = ET.fromstring(render(Report((run,)), "junit", Look(rules=(page,))))
    names = [case.get("name") for case in root.iter("testcase")]
    assert names == ["LC001 non-finite-loss (loss)", "LC001 non-finite-loss (val_loss)", "LC999 quiet-rule"]


def test_sarif_names_the_place_and_quotes_the_page(diverging: RunReport, page: Any) -> None:
    known = replace(page, code="LC001", name="non-finite-loss")
    run = json.loads(render(Report((diverging,)), "sarif", Look(rules=(known,))))["runs"][0]
    first = run["results"][0]
    location = first["locations"][0]["physicalLocation"]
    assert location == {"artifactLocation": {"uri": "runs/lenet-hot.csv"}, "region": {"startLine": 902}}
    rule = run["tool"]["driver"]["rules"][first["ruleIndex"]]
    assert (rule["id"], rule["help"]["text"]) == ("LC001", "The whole page.")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/work/repo/runs/a b.csv", "runs/a%20b.csv"),
        ("./runs/a.csv", "runs/a.csv"),
        ("runs/../a.csv", "a.csv"),
        ("../a.csv", "../a.csv"),
        ("/work/repository/a.csv", "file:///work/repository/a.csv"),
        ("<stdin>", "%3Cstdin%3E"),
    ],
)
def test_places_are_seen_from_the_working_directory(diverging: RunReport, path: str, uri: str) -> None:
    where = Where(file=path, line=3)
    run = replace(diverging, path=path, findings=(replace(diverging.findings[0], where=where),))
    look = Look(base="/work/repo")
    result = json.loads(render(Report((run,)), "sarif", look))["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri
    if "%" not in uri:
        shown = uri.removeprefix("file://")
        assert f"::warning file={shown},line=3," in render(Report((run,)), "github", look)
        assert json.loads(render(Report((run,)), "gitlab", look))[0]["location"]["path"] == shown
        kept = json.loads(render(Report((run,)), "json", look))["runs"][0]
        assert (kept["path"], kept["findings"][0]["where"]["file"]) == (path, shown)


def test_quiet_markdown_has_verdicts_and_findings_only(world: Report) -> None:
    shown = render(world, "markdown", Look(detail=-1))
    assert "LC001 non-finite-loss" in shown
    assert "Likely causes" not in shown
    assert "What to change" not in shown


def test_sarif_reports_what_could_not_be_read(world: Report) -> None:
    invocation = json.loads(render(world, "sarif"))["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert "notes.bin" in invocation["toolExecutionNotifications"][0]["message"]["text"]
