"""The table of formats says what the readers, the fixtures and their requirements say."""

from __future__ import annotations

import csv
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from convergence_cli.readers import READERS, reader
from convergence_cli.readers.formats import FORMATS, Format

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
sys.path.insert(0, str(ROOT / "docs"))
generate: Any = import_module("generate")
# What excludes the rest is told by the script that needs it.
PINS = {
    pin
    for path in (FIXTURES / "requirements.txt", *FIXTURES.glob("make_*.py"))
    for pin in re.findall(r"[\w.-]+==[\w.]+\d", path.read_text(encoding="utf-8"))
}
with (FIXTURES / "truth.csv").open(newline="") as stream:
    TRUTH = [row for row in csv.DictReader(stream) if not row["path"].startswith("..")]


def test_every_reader_has_an_entry_under_the_name_that_it_gives() -> None:
    told = {one.reader for one in FORMATS}
    assert told >= set(READERS)
    for name in told - {""}:
        assert any(reader(name).FORMAT in one.names for one in FORMATS), name


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: f"{one.reader}-{one.names[0]}")
def test_its_fixtures_exist_and_its_versions_are_those_that_made_them(one: Format) -> None:
    assert all((FIXTURES / folder).is_dir() for folder in one.fixtures)
    assert one.basis in ("layout", "tests")
    if one.fixtures:
        assert set(one.checked) <= PINS
        assert one.checked, "a fixture was written by some program"


def test_every_fixture_is_of_an_entry() -> None:
    missing = [
        (row["path"], row["format"])
        for row in TRUTH
        if not any(
            row["format"] in one.names and any(row["path"].startswith(f"{folder}/") for folder in one.fixtures)
            for one in FORMATS
        )
    ]
    assert missing == []


def test_the_page_has_the_table_of_today() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert generate.formats(text) == text, "run docs/generate.py"
    assert generate.formats_table() in text
    assert all(f"`{name}`" in text for one in FORMATS for name in one.names)
