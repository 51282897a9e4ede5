"""The one door for untrusted text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.printable import printable


@given(st.text(st.characters()))
@settings(deadline=None)
def test_nothing_that_a_terminal_acts_on_gets_through(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=50))
@settings(deadline=None)
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.characters()), st.integers(1, 20))
@settings(deadline=None)
def test_no_more_of_the_text_is_shown_than_asked_for(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown == printable(text, len(text) + 1) or shown.endswith("…")
    assert len(shown) <= 10 * limit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb", "a\\x0ab"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        ("loss ✓ 损失", "loss ✓ 损失"),
    ],
)
def test_escapes_are_readable(text: str, shown: str) -> None:
    assert printable(text) == shown
