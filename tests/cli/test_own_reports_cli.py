"""A log in the run's folder is never replaced by a report, and a report there is no log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.process import Program


def test_named_itself_it_is_told_for_what_it_is(program: Program) -> None:
    program("analyze", "broken.csv", "--format", "json", "--output", "report.json")
    done = program("analyze", "report.json")
    assert done.returncode == 2
    assert "report.json is a report of ctroubleshoot" in done.stderr


@pytest.mark.parametrize("command", ["analyze", "ingest"])
def test_a_log_in_the_folder_is_never_replaced(program: Program, folder: Path, command: str) -> None:
    before = (folder / "healthy.csv").read_bytes()
    done = program(command, ".", "--output", "healthy.csv")
    assert done.returncode == 2
    assert "healthy.csv would be replaced" in done.stderr
    assert (folder / "healthy.csv").read_bytes() == before


def test_a_report_in_the_folder_is_replaced(program: Program, folder: Path) -> None:
    for form in ("json", "text", "concise", "markdown"):
        for _ in range(2):
            assert program("analyze", ".", "--format", form, "--output", f"{form}.out").returncode == 1
        assert (folder / f"{form}.out").stat().st_size > 0
