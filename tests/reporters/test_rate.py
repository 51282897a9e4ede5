"""A learning rate as text, as JSON and as a picture."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest

from convergence_cli.learning_rate import LearningRate, Probe, Refusal
from convergence_cli.plots.sweep import draw
from convergence_cli.reporters import Look, rate_json, rate_text

RATES = tuple(10 ** (-6 + place / 10) for place in range(60))
ANSWER = LearningRate(
    learning_rate=0.018,
    window=(0.01, 0.032),
    diverges_at=0.32,
    confidence=0.94,
    why="Of 4 rates, 0.032 came to the lowest loss after 100 steps (0.5).",
    steps=480,
    start_loss=2.0,
    range_rates=RATES,
    range_losses=(*[2.0 - place / 50 for place in range(50)], *[math.exp(place) for place in range(9)], math.nan),
    probes=(
        Probe(0.01, 1.5, 30, 1.4, 1.53),
        Probe(0.032, 1.2, 30),
        Probe(0.032, 0.5, 100),
        Probe(0.1, 1.9, 30),
        Probe(0.32, None, 30),
    ),
)
REFUSED = replace(
    ANSWER,
    learning_rate=None,
    window=None,
    diverges_at=None,
    confidence=0.0,
    why="",
    refused=Refusal("no-gradient", "The loss is detached.", "Look for .detach().", "frozen-parameters"),
)
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("answer", [ANSWER, REFUSED, LearningRate(0.1), replace(ANSWER, ratios=(1.0, 0.1))])
def test_no_line_is_wider_than_the_terminal(answer: LearningRate, width: int, unicode: bool) -> None:
    text = rate_text.render(answer, Look(width=width, unicode=unicode))
    assert max(map(len, text.splitlines())) <= width
    assert unicode or text.isascii()
    assert text.endswith("\n")


def test_the_table_has_the_number_and_what_it_rests_on() -> None:
    text = rate_text.render(ANSWER, Look(unicode=True))
    rows = dict(re.findall(r"^  (\S.*?\S)  +(\S.*)$", text, re.MULTILINE))
    assert rows["learning rate"] == "0.018"
    assert rows["window"].startswith("0.01 to 0.032")
    assert rows["diverges at"] == "0.32"
    assert rows["confidence"] == "94 %"
    assert "broke" in text
    bars = {rate: line.count("█") for rate, line in re.findall(r"^  (0\.\d+) +(.*)$", text, re.MULTILINE)}
    # Of the same number of steps, the best has the longest bar.
    assert bars["0.032"] > bars["0.01"] > bars["0.1"] > bars["0.32"] == 0


def test_the_rates_of_groups_are_told() -> None:
    text = rate_text.render(replace(ANSWER, ratios=(1.0, 0.1)), Look())
    assert "0.018, 0.0018" in text


def test_a_refusal_says_why_and_what_to_do() -> None:
    text = rate_text.render(REFUSED, Look())
    for said in ("none: no-gradient", "The loss is detached.", "Look for .detach().", "explain frozen-parameters"):
        assert said in text


def test_the_number_stands_alone() -> None:
    assert rate_text.number(ANSWER) == "0.018\n"
    assert rate_text.number(replace(ANSWER, learning_rate=3e-05)) == "3e-05\n"
    assert rate_text.number(REFUSED) == ""


@pytest.mark.parametrize("answer", [ANSWER, REFUSED])
def test_json_is_strict_and_complete(answer: LearningRate) -> None:
    def no_constant(name: str) -> Any:
        raise AssertionError(name)

    data = json.loads(rate_json.render(answer), parse_constant=no_constant)
    required = ("schema_version", "learning_rate", "window", "diverges_at", "confidence", "steps", "refused")
    assert [key for key in required if key not in data] == []
    assert data["window"] == (None if answer.window is None else list(answer.window))
    assert len(data["probes"]) == 5
    assert data["range_test"]["loss"][-1] in (None, "nan", "NaN")
    assert (data["refused"] is None) == (answer.refused is None)


@pytest.mark.parametrize("answer", [ANSWER, REFUSED, LearningRate(0.1, why=HOSTILE)])
def test_a_page_is_whole_and_inert(answer: LearningRate) -> None:
    page = draw(answer, "html").decode()
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#)", page)
    assert page.count("<svg") == 1


def test_the_same_answer_gives_the_same_picture() -> None:
    assert draw(ANSWER, "svg") == draw(ANSWER, "svg")
    assert draw(ANSWER, "png")[:4] == b"\x89PNG"


def test_hostile_text_reaches_no_terminal() -> None:
    answer = replace(REFUSED, refused=Refusal("no-gradient", HOSTILE, HOSTILE, ""), notes=(HOSTILE,))
    text = rate_text.render(answer, Look(unicode=True))
    assert "\x1b" not in text
    assert "\u202e" not in text
