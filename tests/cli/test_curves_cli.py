"""``--curves``: the chart from the command line, on whatever the output can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convergence_cli.cli._output import carries_unicode

if TYPE_CHECKING:
    import io

    from tests.cli.process import Program


class Stream:
    """A stream of some encoding, as far as it is asked."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding


@pytest.mark.parametrize(("encoding", "glyphs", "dots"), [("utf-8", 1, 1), ("gbk", 1, 0), ("ascii", 0, 0)])
def test_dots_are_drawn_only_where_they_can_be_encoded(encoding: str, glyphs: int, dots: int) -> None:
    stream: io.TextIOWrapper = Stream(encoding)  # type: ignore[assignment]
    assert carries_unicode(stream) is bool(glyphs)
    assert carries_unicode(stream, "⠀") is bool(dots)


def test_a_saved_report_has_the_chart_of_the_run(program: Program) -> None:
    drawn = program("analyze", "broken.csv", "--curves").stdout
    assert "┤" in drawn
    assert "×××" in drawn
    program("analyze", "broken.csv", "--format", "json", "--output", "saved.json")
    again = program("report", "saved.json", "--curves").stdout
    assert again == drawn
    assert "┤" not in program("analyze", "broken.csv").stdout


def test_the_demonstration_is_drawn_in_ascii_where_nothing_else_can_be_shown(program: Program) -> None:
    for encoding in ("ascii", "gbk"):
        drawn = program("demo", "--curves", PYTHONIOENCODING=encoding).stdout
        assert "+----" in drawn
        assert "xxx" in drawn
        assert "\\u28" not in drawn


def test_who_asks_for_the_chart_gets_it_with_quiet_too(program: Program) -> None:
    drawn = program("analyze", "broken.csv", "--curves", "--quiet").stdout
    assert "┤" in drawn
    assert "Likely causes" not in drawn
    assert "read " not in drawn
