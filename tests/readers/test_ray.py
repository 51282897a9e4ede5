"""Ray's trial folders: JSON lines and table agree, counts and clocks are no series, one trial is one run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ray"
CASES = sorted(path.name for path in FIXTURES.iterdir())
AXES = {"training_iteration", "time_total_s", "timesteps_total", "timestamp"}


def run_at(path: Path) -> Run:
    runs, errors = read_paths([str(path)], Settings())
    assert errors == []
    assert len(runs) == 1, [run.name for run in runs]
    return runs[0]


@pytest.mark.parametrize("case", CASES)
def test_the_trial_is_one_run_with_its_settings(case: str) -> None:
    run = run_at(FIXTURES / case)
    assert run.name == "trial_00000/result.json"
    assert run.format == ("rllib" if case.startswith("rllib") else "ray-tune")
    params: dict[str, Any] = json.loads((FIXTURES / case / "trial_00000" / "params.json").read_text())
    assert run.config["learning_rate"] == params["lr"]


@pytest.mark.parametrize("case", CASES)
def test_lines_and_table_hold_the_same_series(case: str) -> None:
    lines, table = (run_at(FIXTURES / case / "trial_00000" / name) for name in ("result.json", "progress.csv"))
    assert lines.format == table.format
    # How long each part took is nested deeper than losses are, and named like steps.
    names = {curve.name for curve in lines.curves if "timers/" not in curve.name}
    assert names == {curve.name for curve in table.curves if "timers/" not in curve.name}
    assert not AXES & names
    for curve in (one for one in lines.curves if one.name in names):
        other = next(one for one in table.curves if one.name == curve.name)
        assert curve.step.tolist() == other.step.tolist() == list(range(1, len(curve.step) + 1))
        np.testing.assert_array_equal(curve.value, other.value)


def test_rewards_and_losses_of_a_policy_are_not_judged() -> None:
    report = analyze_paths([str(FIXTURES / "rllib-reward-only")], Settings())
    assert (report.runs[0].verdict.label, report.runs[0].verdict.state) == ("undetermined", "reward-only")
    roles = {curve.name: curve.role for curve in run_at(FIXTURES / "rllib-reward-only").curves if curve.role}
    assert roles["env_runners/episode_return_mean"] == "reward"
    assert set(roles.values()) == {"reward", "adversarial_loss", "learning_rate"}


def test_a_resumed_trial_appends_and_its_restart_is_kept(tmp_path: Path) -> None:
    lines = (FIXTURES / "tune-healthy" / "trial_00000" / "result.json").read_text().splitlines(keepends=True)
    (tmp_path / "result.json").write_text("".join(lines[:9] + lines[6:]))
    for curve in run_at(tmp_path).curves:
        assert curve.points == len(lines) + 3
        assert curve.restarts == (9,)


def test_bare_nan_is_logged_and_null_is_not(tmp_path: Path) -> None:
    rows = [
        '{"training_iteration": 1, "time_total_s": 1.5, "loss": 1.0, "config": {"lr": 0.1}, "val": {"loss": null}}',
        '{"training_iteration": 2, "time_total_s": 3.5, "loss": NaN, "config": {"lr": 0.1}, "val": {"loss": 2.0}}',
        '{"training_iteration": 3, "time_total_s": 5.5, "loss": Infinity, "config": {"lr": 0.1}, "val": {"loss": 3.0}}',
    ]
    (tmp_path / "result.json").write_text("\n".join(rows) + "\n")
    run = run_at(tmp_path)
    values = {curve.name: curve for curve in run.curves}
    assert np.isnan(values["loss"].value[1])
    assert np.isinf(values["loss"].value[2])
    assert values["val/loss"].step.tolist() == [2.0, 3.0]
    assert values["loss"].time is not None
    assert values["loss"].time.tolist() == [1.5, 3.5, 5.5]


def test_the_table_is_read_where_the_lines_are_missing_or_empty(tmp_path: Path) -> None:
    trial = Path(shutil.copytree(FIXTURES / "tune-healthy" / "trial_00000", tmp_path / "trial"))
    for path in trial.glob("*tfevents*"):
        path.unlink()
    (trial / "result.json").write_text("")
    assert run_at(trial).name == "progress.csv"
    (trial / "result.json").unlink()
    assert run_at(trial).name == "progress.csv"


def test_two_trials_are_two_runs(tmp_path: Path) -> None:
    for name in ("tune-healthy", "tune-learning-rate-too-high"):
        shutil.copytree(FIXTURES / name / "trial_00000", tmp_path / name)
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert (len(runs), errors) == (2, [])


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_torn_last_line_is_dropped(tmp_path: Path, share: float) -> None:
    data = (FIXTURES / "tune-healthy" / "trial_00000" / "result.json").read_bytes()
    cut = data[: int(share * len(data))]
    (tmp_path / "result.json").write_bytes(cut)
    run = run_at(tmp_path)
    assert max(curve.points for curve in run.curves) == cut.count(b"\n")
    assert any("cut off" in note for note in run.notes)
