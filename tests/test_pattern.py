"""Which regular expressions are taken, and when one is given up."""

from __future__ import annotations

import pytest

from convergence_cli import pattern
from convergence_cli.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("(?P<loss>(a+)+)$", "(a+)"),
        (r"step (?P<step>\d+)( \w+=\S*)* loss=(?P<loss>\S+)", r"( \w+=\S*)"),
        (r"\((?:[)]x|y*){2,} (?P<loss>\S+)", "(?:[)]x|y*)"),
        (r"(?P<loss>\d)(?:(?:ab?c*?)?d)*?", "(?:(?:ab?c*?)?d)"),
        (r"(?P<loss>\d)(?:(?=b+)c)*", "(?:(?=b+)c)"),
    ],
)
def test_a_repetition_within_a_repetition_is_refused_and_shown(text: str, part: str) -> None:
    with pytest.raises(SettingsError) as caught:
        pattern.compiled(text)
    assert f"--pattern: '{part}' repeats" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        r"step (?P<step>\d+) loss (?P<loss>\S+)",
        r"(?:epoch (?P<epoch>\d+) )?loss (?P<loss>[-+.\deE]+)",
        r".*? loss (?P<loss>\d+(?:\.\d+)?)",
        r"(?:\d{3},){2}(?P<loss>\d+)[(a+)+]*",
        r"\(a+\)+ (?P<loss>x)",
    ],
)
def test_ordinary_patterns_are_taken(text: str) -> None:
    assert pattern.compiled(text).pattern == text


@pytest.mark.parametrize("text", ["(", "(?P<loss>x", "(?P<loss>a{99999999999})", r"(?P<loss>\1)", "a", "(?P<step>a)"])
def test_what_is_no_expression_or_names_no_series_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="CTROUBLESHOOT_PATTERN"):
        pattern.compiled(text, "CTROUBLESHOOT_PATTERN")


def test_a_pattern_is_given_up_once_its_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = pattern.Stopwatch(pattern.compiled("loss (?P<loss>.*)"), "a.log")
    assert [watch.search("loss 1") is None, watch.search("lost") is None] == [False, True]
    monkeypatch.setattr(pattern, "BUDGET_SECONDS", 0.0)
    monkeypatch.setattr(pattern, "LINE_SECONDS", 0.0)
    with pytest.raises(SettingsError, match=r"for 3 lines of a\.log"):
        watch.search("loss 2")
