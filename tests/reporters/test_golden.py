"""The exact output of each reporter on one small report.

After a wanted change, ``GOLDEN=write`` in the environment writes the files anew; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convergence_cli.reporters import Look, render
from convergence_cli.settings import FORMATS

if TYPE_CHECKING:
    from convergence_cli.model import Report

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    # A page is mostly style and script; what it says is tested in test_html.py and test_html_browser.py.
    **{name: (name, Look()) for name in FORMATS if name != "html"},
    "text-color": ("text", Look(color=True)),
    "text-ascii-narrow-verbose": ("text", Look(width=50, unicode=False, detail=1)),
    "text-quiet": ("text", Look(detail=-1)),
}


@pytest.mark.parametrize("case", CASES)
def test_output_is_exactly_as_before(case: str, world: Report) -> None:
    name, look = CASES[case]
    if os.environ.get("GOLDEN") == "write":
        (GOLDEN / f"{case}.txt").write_text(render(world, name, look), encoding="utf-8")
    assert render(world, name, look) == (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)
