"""Many runs on the command line: the table, the groups, the flags, and what is kept."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from convergence_cli.cli._bar import bar_line
from convergence_cli.fleet.running import Progress
from tests.cli.process import clean_environment
from tests.fleet.test_running import sweep


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {"XDG_CACHE_HOME": str(folder / "cache"), **environment}
    return subprocess.run(
        [sys.executable, "-m", "convergence_cli", *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fleet")
    sweep(root / "sweep", 24, failing=6)
    return root


def test_the_table_and_what_failing_runs_share_fit_a_screen(folder: Path) -> None:
    done = run(folder, "analyze", "sweep", "--no-cache")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].split() == ["run", "verdict", "best", "loss", "loss"]
    assert lines[1].split()[:2] == ["run_000", "diverging"]
    assert "all 6 diverging runs have learning_rate above 0.00123, none of the 18 others" in " ".join(
        " ".join(lines).split()
    )
    assert lines[-1].startswith("24 runs: 18 converging, 6 diverging")
    assert len(lines) <= 40
    assert all(len(line) <= 80 for line in lines)


def test_groups_are_compared_by_a_setting(folder: Path) -> None:
    done = run(folder, "analyze", "sweep", "--group-by", "seed", "--verbose", "--no-cache")
    assert done.stdout.count("\n") > 100
    done = run(folder, "analyze", "sweep", "--group-by", "sed", "--no-cache")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ctroubleshoot: No run has a setting called sed. Did you mean seed?\n"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--jobs", "none"], "--jobs none is not a number of processes."),
        (["--jobs", "0"], "--jobs 0 is not a number of processes."),
        (["--engine", "spark"], "--engine spark is not known."),
        (["--engine", "dask"], "--engine dask needs the address of a scheduler."),
    ],
)
def test_flags_that_are_wrong_are_told(folder: Path, flags: list[str], told: str) -> None:
    done = run(folder, "analyze", "sweep", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ctroubleshoot: {told} ")


def test_every_number_of_processes_gives_the_same_json(folder: Path) -> None:
    answers = {run(folder, "analyze", "sweep", "--format", "json", "--no-cache", "-j", n).stdout for n in ("1", "2")}
    assert len(answers) == 1
    data = json.loads(answers.pop())
    assert [item["verdict"]["label"] for item in data["runs"][:6]] == ["diverging"] * 6
    assert data["fleet"]["found"] == 24
    assert data["fleet"]["traits"][0]["key"] == "learning_rate"


def test_what_is_kept_lies_in_the_cache_and_nowhere_else(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (folder / "sweep").rglob("*")}
    first = run(folder, "analyze", "sweep")
    assert [path.name for path in (folder / "cache" / "ctroubleshoot").iterdir()] == ["judged-1.sqlite"]
    assert run(folder, "analyze", "sweep").stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "sweep").rglob("*")} == before
    run(folder, "analyze", "sweep", "--no-cache", XDG_CACHE_HOME=str(folder / "other"))
    assert not (folder / "other").exists()


def test_classify_keeps_the_order_in_which_runs_were_named(folder: Path) -> None:
    done = run(folder, "classify", "sweep/run_010", "sweep/run_000", "sweep/run_020")
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()] == [
        ["sweep/run_010/metrics.csv", "converging"],
        ["sweep/run_000/metrics.csv", "diverging"],
        ["sweep/run_020/metrics.csv", "converging"],
    ]


def test_a_bar_tells_how_far_it_is() -> None:
    state = Progress(done=30, total=120, runs=31, failing=4, fresh=())
    assert bar_line(state, 10.0) == "██████░░░░░░░░░░░░░░░░░░ 30 of 120 runs · 4 failing · 30 s left"
    assert bar_line(state, 10.0, unicode=False) == "######------------------ 30 of 120 runs | 4 failing | 30 s left"


def test_a_terminal_sees_the_bar_and_runs_that_fail_and_the_report_stays_clean(folder: Path) -> None:
    sweep(folder / "large", 400, failing=6)
    leader, follower = pty.openpty()
    environment = clean_environment(XDG_CACHE_HOME=str(folder / "cache"))
    environment.pop("CI", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "convergence_cli", "analyze", "large", "--no-cache", "-j", "1"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=follower,
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            block = os.read(leader, 65536)
        except OSError:
            break
        if not block:
            break
        seen += block
    assert process.stdout is not None
    with process.stdout as stream:
        out = stream.read().decode()
    os.close(leader)
    assert process.wait() == 1
    assert "\x1b" not in out
    shown = seen.decode()
    assert "of 400 runs" in shown
    assert "diverging run_000/metrics.csv (non-finite)" in shown
    assert shown.endswith("\r\x1b[K")
