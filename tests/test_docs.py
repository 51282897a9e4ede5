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
from convergence_cli.features import classifier, memberships, segments, verdict, view
from convergence_cli.features.tensors import FEATURES, activations
from convergence_cli.model import DEFAULT_PROFILE
from convergence_cli.readers import READERS, _collect, _groups, _guard, _text_runs, _wandb_frames, reader, text
from convergence_cli.rules import Rule, _standing, all_rules
from convergence_cli.tensors import archive, classes, histograms, names, read, safetensors, sample, twins, units
from convergence_cli.tensors.find import MAX_FILES as MOST_DUMPS
from convergence_cli.tensors.find import find_dumps

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
# The one module that starts a program: the command that the user gives to try.
STARTS_PROGRAMS = PACKAGE / "trials" / "process.py"
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


def test_remedies_page_is_written_from_the_catalogue() -> None:
    assert page("docs/remedies.md") == generate.remedies_page(), "run docs/generate.py"
    assert all(f"### {rule.code} {rule.name}\n" in page("docs/rules.md") for rule in all_rules())


def test_thresholds_of_the_verdict_are_those_of_the_memberships() -> None:
    told = {
        name: float(value)
        for name, value in re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \|", page("docs/verdict.md"), re.M)
    }
    names = [
        n
        for n, v in vars(memberships).items()
        if n.isupper() and n not in ("MIN_EVALS", "TYPE_CHECKING") and isinstance(v, (int, float))
    ]
    assert told == {name: float(getattr(memberships, name)) for name in names}


@pytest.mark.parametrize(
    ("document", "sentence", "value"),
    [
        ("verdict", "Below {} (0.6", classifier.fitted().sure[1]),
        ("verdict", "({} for converging;", classifier.fitted().sure[0]),
        ("verdict", "stuck needs {} in its first two fifths", classifier.fitted().early[0][1][2]),
        ("verdict", "two fifths, {} until 55", classifier.fitted().early[1][1][2]),
        ("verdict", "verdict below {} is told as a note", _standing.SURE_VERDICT),
        ("verdict", "by a deviate of {} and", verdict.TREND_Z),
        ("verdict", "at most {} groups", view.VIEW_BUCKETS),
        ("verdict", "over at least {} evaluations", memberships.MIN_EVALS),
        ("formats", "more than {:,} points", _collect.KEPT_POINTS),
        ("formats", "no more than {} groups", view.VIEW_BUCKETS),
        ("formats", "cover less than {:.0%} of", roles._MIN_COVERAGE),
        ("formats", "at most {:,} characters", text.PATTERN_LINE),
        ("formats", "more than {:.0f} seconds", pattern.BUDGET_SECONDS),
        ("formats", "and {:.0f} microseconds a line", pattern.LINE_SECONDS * 1e6),
        ("../SECURITY", "once it took {:.0f} seconds", pattern.BUDGET_SECONDS),
        ("formats", "up to {:,} files", _groups.MAX_FILES),
        ("formats", "one JSON document | {} MiB", _guard.MAX_DOCUMENT_BYTES >> 20),
        ("formats", "one line | {} MiB", _guard.MAX_LINE_BYTES >> 20),
        ("formats", "beside a log | {} MiB", _guard.MAX_CONFIG_BYTES >> 20),
        ("formats", "series in a run | {:,}", _collect.MAX_SERIES),
        ("formats", "points kept of a run | {:,}", _collect.MOST_POINTS),
        ("formats", "runs in a text file | {:,}", _text_runs.MAX_RUNS),
        ("formats", "more than {:.0%} of the points", segments._UNORDERED_SHARE),
        ("formats", "once it has {} points", segments._MIN_FRESH),
        ("../SECURITY", "{} MiB for one record of a binary log", _wandb_frames.MAX_RECORD_BYTES >> 20),
        ("../SECURITY", "{} MiB for one JSON document", _guard.MAX_DOCUMENT_BYTES >> 20),
        ("../SECURITY", "{} MiB for one line", _guard.MAX_LINE_BYTES >> 20),
        ("../SECURITY", "{} MiB for a settings file", _guard.MAX_CONFIG_BYTES >> 20),
        ("../SECURITY", "{:,} series", _collect.MAX_SERIES),
        ("../SECURITY", "depth of {}", _guard.MAX_YAML_DEPTH),
        ("../SECURITY", "{:,} files in a folder", _groups.MAX_FILES),
        ("../SECURITY", "{:,} files with tensors", MOST_DUMPS),
        ("../SECURITY", "more than {:,} times its size", archive.MAX_RATIO),
        ("tensors", "more than {} MiB that", archive.BOMB_BYTES >> 20),
        ("tensors", "more than {:,} times its size", archive.MAX_RATIO),
        ("tensors", "files with tensors in a run | {:,}", MOST_DUMPS),
        ("tensors", "tensors in a dump | {:,}", read.MAX_TENSORS),
        ("tensors", "tensors times dumps | {:,}", read.MAX_ROWS),
        ("tensors", "header of a safetensors file | {} MiB", safetensors.MAX_HEADER_BYTES >> 20),
        ("tensors", "rows of histograms | {:,}", histograms.MAX_ROWS),
        ("tensors", "classes | {:,}", classes.MAX_CLASSES),
        ("tensors", "up to {:,} values", sample.EXACT_SIZE),
        ("tensors", "exactly 0 in {:.0%} of the samples", units.PERSISTENT),
        ("tensors", "below {:.0%} of its steepest", units.SATURATED_SLOPE),
        ("tensors", "the first {} rows and columns", twins.JUDGED),
        ("tensors", "fewer than {} samples", activations.MIN_SAMPLES),
        ("tensors", "a probability of {:.0%}", _standing.SURE_OF_ONE_DUMP),
        ("tensors", "within the first {:.0%} of the run", activations.FIRST_SHARE),
        ("../README", "Above {:,} values quantiles", sample.EXACT_SIZE),
    ],
)
def test_numbers_told_are_those_of_the_code(document: str, sentence: str, value: float) -> None:
    told = re.sub(r"\s+", " ", page(f"docs/{document}.md"))
    assert sentence.format(value).replace("%", " %") in told


def test_eight_levels() -> None:
    assert _groups.MAX_DEPTH == 8
    assert "eight levels" in page("docs/formats.md")
    assert "eight levels" in page("SECURITY.md")


def test_formats_told_are_those_that_readers_and_fixtures_name() -> None:
    told = first_cells(page("docs/formats.md").partition("## From a path")[0])
    with (ROOT / "fixtures" / "truth.csv").open(newline="") as stream:
        made = {row["format"] for row in csv.DictReader(stream)}
    assert {reader(name).FORMAT for name in READERS} | made <= told
    sources = "".join(
        path.read_text(encoding="utf-8")
        for part in ("readers", "tensors")
        for path in (PACKAGE / part).glob("*.py")
        if path.name != "formats.py"
    )
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
    own = [rule for rule in all_rules() if rule.profile == DEFAULT_PROFILE]
    of_tensors = [rule for rule in own if needs_tensors(rule)]
    told = page("CHANGELOG.md")
    assert f"- {len(own) - len(of_tensors)} rules on the loss" in told
    assert f"- {len(of_tensors)} rules on tensors" in told
    assert f"{len(all_rules()) - len(own)} rules with SageMaker's documented defaults" in told


def needs_tensors(rule: Rule) -> bool:
    return bool({*rule.needs, *rule.optional} & FEATURES.keys())


def rows_of(section: str) -> list[list[str]]:
    """The cells of the rows of the first table below the heading ``section`` of the page on tensors."""
    text_ = page("docs/tensors.md").partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in re.findall(r"^\|.*\|$", text_, re.M)
    ]
    return rows[2:]


def test_layouts_of_dumps_are_found_as_told(tmp_path: Path) -> None:
    for number, (path, step, worker, mode) in enumerate(rows_of("Layouts")):
        file = tmp_path / str(number) / path
        file.parent.mkdir(parents=True)
        file.touch()
        (found,) = find_dumps(tmp_path / str(number))
        assert found.folder == tmp_path / str(number), path
        assert [(dump.step, dump.worker, dump.mode) for dump in found.dumps] == [(float(step), worker, mode)], path


def test_names_are_understood_as_told() -> None:
    rows = rows_of("Names")
    assert len(rows) > 5
    for key, kind, name, layer in rows:
        found = names.named(key)
        assert [found.kind, found.name, found.layer] == [kind, name, layer], key
    for key in ("weights/fc.weight", "grad/fc.weight", "act/relu", "targets/y"):
        assert names.named(key).kind


def test_every_rule_of_tensors_is_told_of() -> None:
    told = re.findall(r"[A-Z]{2}1\d\d", " ".join(cells[1] for cells in rows_of("The rules")))
    assert sorted(told) == [
        rule.code for rule in all_rules() if rule.profile == DEFAULT_PROFILE and needs_tensors(rule)
    ]


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
        allowed = {"subprocess"} if path == STARTS_PROGRAMS else set()
        # Processes of this very program, which are handed paths and give back reports.
        allowed |= {"multiprocessing"} if path == PACKAGE / "fleet" / "processes.py" else set()
        assert not {m for m in modules if m in FORBIDDEN or m.partition(".")[0] in FORBIDDEN} - allowed, modules
