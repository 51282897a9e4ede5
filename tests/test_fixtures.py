"""Every run the real writers left in `fixtures/` is read by its reader and gets the verdict of `truth.csv`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Report

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
with (FIXTURES / "truth.csv").open(newline="") as stream:
    TRUTH = list(csv.DictReader(stream))
# Runs on which the verdict abstains though the truth is known; one that is judged must leave this list.
ABSTAINED = {"tensorboard/learning-rate-too-high": "flat just above chance level, after a small fall at once"}
HEALTHY = [row for row in TRUTH if row["label"] == "converging"]


def report_on(row: dict[str, str]) -> Report:
    return analyze_paths([str(FIXTURES / row["path"])], Settings())


def path_of(row: dict[str, str]) -> str:
    return row["path"]


@pytest.mark.parametrize("row", TRUTH, ids=path_of)
def test_reads_one_run_with_its_format_and_roles(row: dict[str, str]) -> None:
    runs, errors = read_paths([str(FIXTURES / row["path"])], Settings())
    assert [error.message for error in errors] == []
    assert [run.format for run in runs] == [row["format"]]
    roles = {curve.role for curve in runs[0].curves}
    assert set(row["roles"].split()) <= roles, [(curve.name, curve.role) for curve in runs[0].curves]


@pytest.mark.parametrize("row", TRUTH, ids=path_of)
def test_verdict_is_the_truth(row: dict[str, str]) -> None:
    labels = [run.verdict.label for run in report_on(row).runs]
    assert len(labels) == 1
    if row["path"] in ABSTAINED:
        assert labels == ["undetermined"], ABSTAINED[row["path"]]
    else:
        assert labels[0] in row["label"].split("|"), row["note"]


@pytest.mark.parametrize("row", HEALTHY, ids=path_of)
def test_a_healthy_run_raises_no_alarm(row: dict[str, str]) -> None:
    findings = [finding for run in report_on(row).runs for finding in run.findings]
    assert [(f.rule, f.message) for f in findings if f.severity != "note"] == []


def test_dumped_tensors_name_the_layers_that_died_and_when() -> None:
    dead, healthy = (
        analyze_paths([str(FIXTURES / "tensors" / case)], Settings()).runs[0]
        for case in ("dead-relu", "healthy-digits")
    )
    found = {(f.where.layer, f.where.first_step, f.severity) for f in dead.findings if f.name == "dead-relu"}
    assert found == {("relu1", 121, "error"), ("relu2", 121, "error")}
    assert "dying-relu" in {cause.name for cause in dead.causes[:2]}
    assert {f.severity for f in healthy.findings} <= {"note"}
    looked = {f"{family}101" for family in ("AC", "GR", "WT", "IN", "TE")}
    assert not looked & {one.rule for one in (*dead.skipped, *healthy.skipped)}


def test_truth_covers_every_case_and_every_label() -> None:
    named = {row["path"] for row in TRUTH}
    cases = {f"{case.parent.name}/{case.name}" for case in FIXTURES.glob("*/*/") if case.parent.name[0] not in "._"}
    assert {case for case in cases if not any(path.startswith(case) for path in named)} == set()
    assert {"converging", "diverging", "stuck", "overfitting"} <= {row["label"] for row in TRUTH}


def test_the_files_stay_small() -> None:
    sizes = {p: p.stat().st_size for p in FIXTURES.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert max(sizes.values()) < 150_000
    assert sum(sizes.values()) < 4_000_000
