"""What a notebook shows: HTML without script, and tables; the same whoever asks first."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import convergence_cli as ct
from convergence_cli.readers.frame import run_of_frame

ROOT = Path(ct.__file__).parent.parent


def test_runs_and_reports_are_shown_as_parts_of_the_page() -> None:
    run = ct.read_run(ROOT / "fixtures/tensors/dead-relu")
    report = ct.diagnose(run)
    for shown in (run, report, ct.Report((report, replace(report, name="other")))):
        text = shown._repr_html_()
        assert text.startswith('<div class="ctr embedded"><style>')
        assert "<script" not in text
        assert "<svg" in text
    assert "Likely causes" not in run._repr_html_()
    evil = replace(run, name="<script>alert(1)</script>", path='"><img src=x onerror=y>')
    for shown in (evil, ct.diagnose(evil)):
        text = shown._repr_html_()
        assert "<script>alert" not in text
        assert "<img" not in text


def test_a_run_as_a_table_has_a_row_a_point() -> None:
    run = ct.read_run(ROOT / "convergence_cli/demo/char-rnn")
    frame = run.to_frame()
    assert {"series", "role", "step", "value"} <= set(frame.columns)
    for curve in run.curves:
        own = frame[frame["series"] == curve.name]
        assert np.array_equal(own["step"], curve.step)
        assert np.array_equal(own["value"], curve.value, equal_nan=True)
    wide = frame.pivot(index="step", columns="series", values="value")
    again = run_of_frame(wide).curves
    assert {curve.name for curve in again} == {curve.name for curve in run.curves}


def test_reports_as_tables_have_a_row_a_finding_and_a_row_a_run() -> None:
    report = ct.diagnose(ROOT / "convergence_cli/demo/char-rnn")
    findings = report.to_frame()
    assert findings["rule"].tolist() == [finding.rule for finding in report.findings]
    assert findings["first_step"].tolist() == [finding.where.first_step for finding in report.findings]
    runs = ct.Report((report,)).to_frame()
    assert runs.loc[0, ["label", "cause", "change", "from", "to"]].tolist() == [
        "diverging", "learning-rate-too-high", "learning_rate", 0.6, 0.2,
    ]  # fmt: skip
    assert len(ct.Report(()).to_frame()) == 0
    assert len(replace(report, findings=()).to_frame()) == 0


def test_the_methods_cost_nothing_until_they_are_called() -> None:
    script = (
        "import sys, convergence_cli as ct; ct.Run, ct.Report\n"
        "assert hasattr(ct.RunReport, '_repr_html_') and hasattr(ct.Run, 'to_frame')\n"
        "assert not {'numpy', 'pandas', 'convergence_cli.reporters'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_page_is_made_without_matplotlib_and_pandas() -> None:
    script = (
        "import sys, convergence_cli as ct\n"
        "from convergence_cli.reporters import render\n"
        f"report = ct.diagnose({str(ROOT / 'fixtures/tensors/dead-relu')!r})\n"
        "assert len(render(ct.Report((report,)), 'html')) > 50_000\n"
        "assert not {'matplotlib', 'pandas', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
