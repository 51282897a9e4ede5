"""Stable-Baselines3: one run a folder, the same series from each of its files, and the monitor's own table."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "stable_baselines"
CASES = sorted(path.name for path in FIXTURES.iterdir())
AXES = {"time/total_timesteps", "time/iterations", "time/time_elapsed", "train/n_updates"}


def run_at(path: Path) -> Run:
    runs, errors = read_paths([str(path)], Settings())
    assert errors == []
    assert len(runs) == 1, [run.name for run in runs]
    return runs[0]


@pytest.mark.parametrize("case", CASES)
def test_the_folder_is_one_run(case: str) -> None:
    run = run_at(FIXTURES / case)
    assert (run.name, run.format) == ("progress.csv", "stable-baselines3")
    assert {curve.role for curve in run.curves} >= {"reward", "learning_rate"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["progress.csv", "progress.json"])
def test_steps_are_environment_steps_and_counts_are_no_series(case: str, name: str) -> None:
    rows = [json.loads(line) for line in (FIXTURES / case / "progress.json").read_text().splitlines()]
    run = run_at(FIXTURES / case / name)
    assert run.format == "stable-baselines3"
    assert {curve.name for curve in run.curves} == {key for row in rows for key in row} - AXES
    for curve in run.curves:
        own = [row for row in rows if curve.name in row]
        assert curve.step.tolist() == [row["time/total_timesteps"] for row in own]
        np.testing.assert_allclose(curve.value, [row[curve.name] for row in own], rtol=1e-6)
        assert curve.time is not None


@pytest.mark.parametrize("case", CASES)
def test_the_monitor_alone_gives_reward_and_length(case: str) -> None:
    run = run_at(FIXTURES / case / "monitor.csv")
    with (FIXTURES / case / "monitor.csv").open() as stream:
        next(stream)
        rows = list(csv.DictReader(stream))
    assert run.format == "stable-baselines3"
    assert [curve.name for curve in run.curves] == ["r", "l"]
    reward = run.curve("reward")
    assert reward is not None
    assert reward.value.tolist() == [float(row["r"]) for row in rows]
    assert reward.time is not None
    assert reward.time.tolist() == [float(row["t"]) for row in rows]


def test_a_monitor_beside_another_table_is_a_run_of_its_own(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / CASES[0] / "monitor.csv", tmp_path)
    (tmp_path / "progress.csv").write_text("step,loss\n" + "".join(f"{n},{1 / (n + 1)}\n" for n in range(9)))
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert errors == []
    assert {run.name for run in runs} == {"monitor.csv", "progress.csv"}


@pytest.mark.parametrize("case", CASES)
def test_rewards_alone_are_not_judged_and_what_was_seen_is_said(case: str) -> None:
    report = analyze_paths([str(FIXTURES / case)], Settings())
    assert [run.verdict.label for run in report.runs] == ["undetermined"]
    assert report.runs[0].verdict.state == "reward-only"


@pytest.mark.parametrize("name", ["progress.csv", "progress.json", "monitor.csv"])
def test_a_cut_anywhere_leaves_whole_rows(tmp_path: Path, name: str) -> None:
    data = (FIXTURES / "ppo-cartpole" / name).read_bytes()
    whole = run_at(FIXTURES / "ppo-cartpole" / name)
    for share in (0.5, 0.7, 0.9):
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        for curve in run_at(tmp_path / name).curves:
            full = next(one for one in whole.curves if one.name == curve.name)
            assert curve.value.tolist() == full.value.tolist()[: len(curve.value)]
