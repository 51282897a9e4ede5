"""A report that was saved in the run's folder is no log of it, and a log there is never replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from convergence_cli.pipeline import analyze_paths
from convergence_cli.readers._guard import Source
from convergence_cli.readers._own_reports import is_own_report
from convergence_cli.reporters import render
from convergence_cli.settings import FORMATS, Settings
from tests.reading.runs_on_disk import csv_run, losses

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_in_the_folder_is_passed_over(tmp_path: Path, form: str) -> None:
    csv_run(tmp_path / "metrics.csv", losses(60))
    for where in (tmp_path, FIXTURES / "text" / "learning-rate-too-high"):
        saved = render(analyze_paths([str(where)], Settings()), form)
        (tmp_path / f"report.{form}.txt").write_text(saved)
        report = analyze_paths([str(tmp_path)], Settings())
        assert ([run.name for run in report.runs], report.errors) == (["metrics.csv"], ()), form


def test_the_rows_of_ingest_and_logs_are_no_reports() -> None:
    logs = [path for path in FIXTURES.rglob("*") if path.suffix in (".csv", ".log", ".txt", ".jsonl", ".json", ".tsv")]
    assert len(logs) > 50
    assert [path for path in logs if is_own_report(Source(path, str(path)))] == []
