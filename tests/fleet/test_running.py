"""Many runs together: each once, the worst first, by any executor the same."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convergence_cli.codec import from_data, to_data
from convergence_cli.errors import SettingsError
from convergence_cli.fleet import running
from convergence_cli.fleet.executor import Here
from convergence_cli.fleet.judging import Job, judge
from convergence_cli.fleet.processes import Processes
from convergence_cli.fleet.running import Progress, analyze_fleet
from convergence_cli.fleet.store import Keys, Store, cache_file
from convergence_cli.reading.units import units_at
from convergence_cli.row import rows_of
from convergence_cli.settings import Settings
from tests.cli.process import clean_environment
from tests.reading.runs_on_disk import csv_run, losses

PLAIN = Settings()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "ctroubleshoot"


def sweep(root: Path, count: int, *, failing: int = 0) -> Path:
    """``count`` runs in folders of their own, of which the first ``failing`` diverge at high learning rates."""
    for number in range(count):
        bad = number < failing
        values = losses(60, number)
        if bad:
            values[20:] = np.nan
        csv_run(
            root / f"run_{number:03}" / "metrics.csv",
            values,
            learning_rate=0.1 + 0.01 * number if bad else 0.001 + 1e-5 * number,
            seed=number,
        )
    return root


def data(report: Any) -> object:
    return to_data(report)


def test_the_worst_comes_first_and_the_best_loss_is_told(tmp_path: Path) -> None:
    report = analyze_fleet([str(sweep(tmp_path, 6, failing=2))], PLAIN)
    labels = [run.verdict.label for run in report.runs]
    assert labels == ["diverging"] * 2 + ["converging"] * 4
    best = report.runs[-1].summary["best"]
    assert best["series"] == "train_loss"
    assert 0.2 < best["value"] < 0.45
    assert 0 <= best["step"] <= 59


def test_processes_and_this_process_say_the_same(tmp_path: Path) -> None:
    path = str(sweep(tmp_path, 20, failing=4))
    here = analyze_fleet([path], PLAIN, executor=Here(), cached=False)
    there = analyze_fleet([path], PLAIN, executor=Processes(2), cached=False)
    assert data(here) == data(there)
    assert len(here.runs) == 20


def test_what_was_judged_before_is_not_judged_again_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(sweep(tmp_path, 20, failing=4))
    first = analyze_fleet([path], PLAIN, executor=Here())

    def never(job: Job) -> object:
        raise AssertionError(f"{job} is judged again")

    monkeypatch.setattr(running, "judge", never)
    assert data(analyze_fleet([path], PLAIN, executor=Here())) == data(first)


@pytest.mark.parametrize("what", ["log", "config", "settings", "new config", "other path"])
def test_what_an_answer_depends_on_changes_its_key(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sweep(tmp_path / "sweep", 1) / "run_000"
    monkeypatch.chdir(tmp_path)

    def key(settings: Settings = PLAIN, path: str = "sweep") -> bytes | None:
        (unit,) = units_at(path).units
        return Keys(settings).key(Job((unit,), settings))

    before = key()
    assert before is not None
    assert key() == before
    if what == "log":
        (folder / "metrics.csv").write_text((folder / "metrics.csv").read_text() + "60,0.5\n")
    elif what == "config":
        (folder / "config.json").write_text('{"learning_rate": 0.5}')
    elif what == "new config":
        (folder / "hparams.yaml").write_text("momentum: 0.9\n")
    changed = key(Settings(ignore=("LC102",))) if what == "settings" else key()
    changed = key(path="../" + tmp_path.name + "/sweep") if what == "other path" else changed
    assert changed is not None
    assert changed != before


def test_a_damaged_cache_is_made_anew_and_a_locked_one_does_without(tmp_path: Path, cache: Path) -> None:
    path = str(sweep(tmp_path, 14))
    cache.mkdir()
    cache_file().write_bytes(b"this is no database" * 1000)
    assert len(analyze_fleet([path], PLAIN, executor=Here()).runs) == 14
    with sqlite3.connect(cache_file()) as connection:
        assert connection.execute("SELECT count(*) FROM judged").fetchone() == (14,)
        connection.execute("UPDATE judged SET lines = '{', reports = x'00'")
    assert len(analyze_fleet([path], PLAIN, executor=Here()).runs) == 14
    cache_file().chmod(0o400)
    assert len(analyze_fleet([path], PLAIN, executor=Here()).runs) == 14


def test_the_cache_forgets_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convergence_cli.fleet import store as module

    (unit,) = units_at(str(sweep(tmp_path, 1))).units
    answer = judge(Job((unit,), PLAIN))
    monkeypatch.setattr(module, "MAX_BYTES", 50_000)
    with Store(cache_file()) as store:
        for number in range(60):
            store.put(number.to_bytes(4, "big"), answer)
    with sqlite3.connect(cache_file()) as connection:
        (left,) = connection.execute("SELECT count(*) FROM judged").fetchone()
    assert left == 42


def test_more_runs_than_are_held_lie_on_disk_and_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convergence_cli.fleet import kept

    path = str(sweep(tmp_path, 30, failing=3))
    whole = analyze_fleet([path], PLAIN, executor=Here(), cached=False)
    monkeypatch.setattr(kept, "HELD", 5)
    monkeypatch.setattr(running, "HELD", 5)
    few = analyze_fleet([path], PLAIN, executor=Processes(2), cached=False)
    assert data(few) == data(whole)
    assert len(few.runs) == 30
    assert [run.name for run in few.runs[2:5]] == [run.name for run in whole.runs[2:5]]
    assert few.runs[-1].name == whole.runs[-1].name
    assert [row.name for row in rows_of(few.runs)] == [run.name for run in whole.runs]


def test_a_report_on_many_runs_round_trips(tmp_path: Path) -> None:
    report = analyze_fleet([str(sweep(tmp_path, 20, failing=6))], PLAIN, group_by=["seed"], cached=False)
    assert report.fleet is not None
    assert report.fleet.traits
    assert len(report.fleet.groups) == 20
    again = from_data(to_data(report), "report.json")
    assert to_data(again) == to_data(report)


def test_a_setting_that_no_run_has_is_named_with_its_like(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        analyze_fleet([str(sweep(tmp_path, 3))], PLAIN, group_by=["learning_rat"])
    assert "learning_rate" in str(raised.value)


def test_errors_stand_beside_the_runs_that_could_be_read(tmp_path: Path) -> None:
    sweep(tmp_path, 3)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.csv").write_bytes(b"\0\1\2" * 100)
    report = analyze_fleet([str(tmp_path), str(tmp_path / "nowhere")], PLAIN)
    assert len(report.runs) == 3
    assert ["x.csv" in report.errors[0].message, "nowhere" in report.errors[1].message] == [True, True]


def test_a_folder_without_any_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing measured here\n")
    report = analyze_fleet([str(tmp_path)], PLAIN)
    assert (len(report.runs), len(report.errors)) == (0, 1)


def test_parts_in_different_folders_are_read_again_together(tmp_path: Path) -> None:
    sweep(tmp_path, 14)
    values = losses(400, rate=0.01)
    csv_run(tmp_path / "version_0" / "metrics.csv", values[:200])
    csv_run(tmp_path / "version_1" / "metrics.csv", values[200:], first=200)
    report = analyze_fleet([str(tmp_path)], PLAIN, executor=Processes(2))
    joined = [run for run in report.runs if "parts of one run" in " ".join(run.notes)]
    assert [run.summary["points"] for run in joined] == [400]
    assert len(report.runs) == 15
    assert report.errors == ()


def test_runs_that_are_named_one_by_one_are_judged_one_by_one(tmp_path: Path) -> None:
    values = losses(400, rate=0.01)
    csv_run(tmp_path / "version_0" / "metrics.csv", values[:200])
    csv_run(tmp_path / "version_1" / "metrics.csv", values[200:], first=200)
    report = analyze_fleet([str(tmp_path / name) for name in ("version_0", "version_1")], PLAIN)
    assert [run.summary["points"] for run in report.runs] == [200, 200]
    assert report.errors == ()
    (whole,) = analyze_fleet([str(tmp_path)], PLAIN).runs
    assert whole.summary["points"] == 400


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[Progress] = []
    analyze_fleet([str(sweep(tmp_path, 20, failing=2))], PLAIN, progress=seen.append)
    assert [state.done for state in seen] == list(range(1, 21))
    assert (seen[-1].total, seen[-1].runs, seen[-1].failing) == (20, 20, 2)
    assert sum(len(state.fresh) for state in seen) == 20


def test_an_interrupt_keeps_what_is_done(tmp_path: Path) -> None:
    path = str(sweep(tmp_path, 20, failing=2))

    def interrupted(state: Progress) -> None:
        if state.done == 7:
            raise KeyboardInterrupt

    report = analyze_fleet([path], PLAIN, executor=Here(), progress=interrupted)
    assert report.fleet is not None
    assert report.fleet.interrupted
    assert len(report.runs) == 7
    assert "7 of 20" in report.errors[-1].message
    # What was judged is not judged again.
    seen: list[Progress] = []
    started = {"judged": 0}
    real = running.judge

    def counting(job: Job) -> object:
        started["judged"] += 1
        return real(job)

    running.judge = counting  # type: ignore[assignment]
    try:
        again = analyze_fleet([path], PLAIN, executor=Here(), progress=seen.append)
    finally:
        running.judge = real
    assert len(again.runs) == 20
    # That of the seventh was not kept yet.
    assert started["judged"] <= 14


def test_an_interrupt_before_anything_is_done_is_an_interrupt(tmp_path: Path) -> None:
    class Stopped:
        def run(self, work: object, items: object) -> Iterator[tuple[object, object]]:
            raise KeyboardInterrupt
            yield

    with pytest.raises(KeyboardInterrupt):
        analyze_fleet([str(sweep(tmp_path, 3))], PLAIN, executor=Stopped())  # type: ignore[arg-type]


def test_control_c_in_a_terminal_prints_what_is_done(tmp_path: Path) -> None:
    sweep(tmp_path / "sweep", 400)
    # A job that a shell has put into the background ignores interrupts from its start.
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from convergence_cli.__main__ import main\n"
        "sys.exit(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "analyze", "sweep", "--jobs", "2"],
        cwd=tmp_path,
        env=clean_environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    kept = tmp_path / "cache" / "ctroubleshoot"
    deadline = time.monotonic() + 60
    while not (kept.exists() and any(kept.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=60)
    if process.returncode != 130:
        # A fast machine may be done before it is interrupted.
        assert "400 runs" in out, error
        return
    assert "Traceback" not in error
    assert "of 400 runs were judged" in error or not out


def test_a_path_that_is_no_text_costs_no_other_run(tmp_path: Path) -> None:
    sweep(tmp_path, 13)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xff"))
    csv_run(odd / "metrics.csv", losses(60, 99))
    for _ in range(2):
        report = analyze_fleet([str(tmp_path)], PLAIN, executor=Processes(2))
        assert len(report.runs) == 14
        assert report.errors == ()


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    sweep(tmp_path / "sweep", 600)
    process = subprocess.Popen(
        [sys.executable, "-m", "convergence_cli", "analyze", "sweep", "--no-cache", "-j", "2"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children: list[int] = []
    deadline = time.monotonic() + 30
    while not children and process.poll() is None and time.monotonic() < deadline:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = [int(pid) for pid in found.read_text().split()] if found.exists() else []
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in children if Path(f"/proc/{pid}/cmdline").exists()] == []
