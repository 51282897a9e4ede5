"""Text in terminal cells: how lines are broken and cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.reporters._layout import cells, pack, wrap, wrap_items


def test_a_per_cent_sign_or_a_count_stays_with_the_word_before() -> None:
    assert wrap("a fall of 97 % in all", 12) == ["a fall of", "97 % in all"]
    assert wrap("it fell 97 %) in", 12, limit=1) == ["it fell …"]
    assert wrap("needs a rate (1), a loss (2)", 15) == ["needs a", "rate (1), a", "loss (2)"]
    assert wrap("it fell (in 3 steps)", 11) == ["it fell (in", "3 steps)"]
    assert wrap("97 % % %", 3) == ["97", "% %", "%"]


@given(st.text(st.sampled_from("ab %,世"), max_size=60), st.integers(4, 20), st.integers(1, 3))
@settings(deadline=None)
def test_lines_fit_and_lose_no_word(text: str, width: int, limit: int) -> None:
    whole = wrap(text, width)
    assert "".join("".join(whole).split()) == "".join(text.split())
    cut = wrap(text, width, limit=limit)
    assert len(cut) == min(len(whole), limit)
    assert all(cells(line) <= width for line in whole + cut)


def test_items_are_left_out_whole() -> None:
    items = ["needs a validation loss (3)", "needs 8 points of a loss (2)", "needs a rate (1)"]
    lead = "6 rules could not look: "
    assert wrap_items(items, 70, lead=lead, limit=2) == wrap(lead + ", ".join(items), 70)
    assert wrap_items(items, 60, lead=lead, limit=1) == ["6 rules could not look: needs a validation loss (3), …"]
    assert wrap_items(items, 30, lead=lead, limit=1) == ["6 rules could not look: …"]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (30, ["name · csv · 100 points"]),
        (14, ["name · csv", "  100 points"]),
        (8, ["name", "  csv", "  100 p…"]),
    ],
)
def test_parts_go_to_the_next_line_whole(width: int, lines: list[str]) -> None:
    assert pack(["name", "csv", "100 points"], " · ", width, indent="  ") == lines
