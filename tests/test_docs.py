"""The documents under ``docs/`` and ``SECURITY.md`` say what the code does."""

from __future__ import annotations

import ast
import csv
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from convergence_cli import pattern, roles
from convergence_cli.features import classifier, segments, verdict, view
from convergence_cli.readers import READERS, _collect, _guard, _text_runs, discover, reader, text, wandb
from convergence_cli.rules import all_rules

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "convergence_cli"
sys.path.insert(0, str(ROOT / "docs"))
generate: Any = import_module("generate")
# What could run a program, open a connection or load objects.
FORBIDDEN = {
    "pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "runpy", "code", "ctypes",
    "subprocess", "multiprocessing", "socket", "ssl", "http", "ftplib", "smtplib", "requests", "httpx", "aiohttp",
    "urllib3", "urllib.request",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "system",
    "popen",
    "execv",
    "fork",
    "unsafe_load",
    "full_load",
}


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def first_cells(text_: str) -> set[str]:
    rows = re.findall(r"^\| (`.*?) \|", text_, re.MULTILINE)
    return {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}


def test_rules_page_is_written_from_the_rules() -> None:
    assert page("docs/rules.md") == generate.rules_page(), "run docs/generate.py"
    assert all(f"### {rule.code} {rule.name}\n" in page("docs/rules.md") for rule in all_rules())


def test_thresholds_of_the_verdict_are_those_of_the_classifier() -> None:
    told = {
        name: float(value)
        for name, value in re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \|", page("docs/verdict.md"), re.M)
    }
    names = [
        n
        for n, v in vars(classifier).items()
        if n.isupper() and n not in ("MIN_EVALS", "TYPE_CHECKING") and isinstance(v, (int, float))
    ]
    assert told == {name: float(getattr(classifier, name)) for name in names}


@pytest.mark.parametrize(
    ("document", "sentence", "value"),
    [
        ("verdict", "Below {} the verdict", verdict.SURE_ENOUGH),
        ("verdict", "by a deviate of {} and", verdict.TREND_Z),
        ("verdict", "at most {} groups", view.VIEW_BUCKETS),
        ("verdict", "over at least {} evaluations", classifier.MIN_EVALS),
        ("formats", "more than {:,} points", _collect.KEPT_POINTS),
        ("formats", "no more than {} groups", view.VIEW_BUCKETS),
        ("formats", "cover less than {:.0%} of", roles._MIN_COVERAGE),
        ("formats", "at most {:,} characters", text.PATTERN_LINE),
        ("formats", "more than {:.0f} seconds", pattern.BUDGET_SECONDS),
        ("formats", "and {:.0f} microseconds a line", pattern.LINE_SECONDS * 1e6),
        ("../SECURITY", "once it took {:.0f} seconds", pattern.BUDGET_SECONDS),
        ("formats", "up to {:,} files", discover.MAX_FILES),
        ("formats", "one JSON document | {} MiB", _guard.MAX_DOCUMENT_BYTES >> 20),
        ("formats", "one line | {} MiB", _guard.MAX_LINE_BYTES >> 20),
        ("formats", "beside a log | {} MiB", _guard.MAX_CONFIG_BYTES >> 20),
        ("formats", "series in a run | {:,}", _collect.MAX_SERIES),
        ("formats", "points kept of a run | {:,}", _collect.MOST_POINTS),
        ("formats", "runs in a text file | {:,}", _text_runs.MAX_RUNS),
        ("formats", "more than {:.0%} of the points", segments._UNORDERED_SHARE),
        ("formats", "once it has {} points", segments._MIN_FRESH),
        ("../SECURITY", "{} MiB for one record of a binary log", wandb.MAX_RECORD_BYTES >> 20),
        ("../SECURITY", "depth of {}", _guard.MAX_YAML_DEPTH),
        ("../SECURITY", "{:,} files in a folder", discover.MAX_FILES),
    ],
)
def test_numbers_told_are_those_of_the_code(document: str, sentence: str, value: float) -> None:
    told = re.sub(r"\s+", " ", page(f"docs/{document}.md"))
    assert sentence.format(value).replace("%", " %") in told


def test_eight_levels() -> None:
    assert discover.MAX_DEPTH == 8
    assert "eight levels" in page("docs/formats.md")
    assert "eight levels" in page("SECURITY.md")


def test_formats_told_are_those_that_readers_and_fixtures_name() -> None:
    told = first_cells(page("docs/formats.md").partition("## From a path")[0])
    with (ROOT / "fixtures" / "truth.csv").open(newline="") as stream:
        made = {row["format"] for row in csv.DictReader(stream)}
    assert {reader(name).FORMAT for name in READERS} | made <= told
    sources = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "readers").glob("*.py"))
    assert not {name for name in told if f'"{name}"' not in sources}


def test_roles_told_are_all_there_are() -> None:
    told = page("docs/formats.md").partition("## Series and roles")[2].partition("## Restarts")[0]
    assert first_cells(told) == set(roles.ROLES)


def test_links_between_documents_hold() -> None:
    for source in [ROOT / name for name in ("SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md")] + list(
        (ROOT / "docs").glob("*.md")
    ):
        for target in re.findall(r"\]\((?!http)([^)#]+)", source.read_text(encoding="utf-8")):
            assert (source.parent / target).exists(), (source.name, target)


def test_files_and_targets_that_contributors_are_told_of_exist() -> None:
    told = page("CONTRIBUTING.md")
    makefile = page("Makefile")
    for target in re.findall(r"`make ([\w-]+)", told):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for name in re.findall(r"`((?:tests|docs|fixtures|convergence_cli)/[\w/]+\.\w+)`", told):
        assert (ROOT / name).exists() or "CODE" in name, name


def test_changelog_counts_the_rules() -> None:
    assert f"- {len(all_rules())} rules" in page("CHANGELOG.md")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_can_unpickle_connect_or_start_a_program(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules = {node.module or ""}
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            safe = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "re"
            assert safe or called not in FORBIDDEN_CALLS, (called, node.lineno)
            continue
        else:
            continue
        assert not {m for m in modules if m in FORBIDDEN or m.partition(".")[0] in FORBIDDEN}, modules
