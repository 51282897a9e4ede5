"""LLaMA-Factory: ``trainer_log.jsonl`` alone, and beside the ``trainer_state.json`` of the same run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from convergence_cli.pipeline import read_paths
from convergence_cli.settings import Settings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "llama-factory"
CASES = ("healthy-lm", "learning-rate-too-high")


@pytest.mark.parametrize("case", CASES)
def test_both_logs_are_one_run(case: str) -> None:
    (run,), errors = read_paths([str(FIXTURES / case)], Settings())
    assert errors == []
    assert run.format == "huggingface"
    assert any("trainer_log.jsonl" in note for note in run.notes)


@pytest.mark.parametrize("case", CASES)
def test_either_log_has_the_same_losses(case: str) -> None:
    (log,), _ = read_paths([str(FIXTURES / case / "trainer_log.jsonl")], Settings())
    (state,), _ = read_paths([str(FIXTURES / case / "trainer_state.json")], Settings())
    for role in ("train_loss", "val_loss", "learning_rate"):
        one, other = log.curve(role), state.curve(role)
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.step, other.step)
        np.testing.assert_array_equal(one.value, other.value)
    assert log.config["max_steps"] == state.config["max_steps"]


def test_logs_of_two_runs_stay_two(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "healthy-lm" / "trainer_log.jsonl", tmp_path)
    shutil.copy(FIXTURES / "learning-rate-too-high" / "trainer_state.json", tmp_path)
    runs, _ = read_paths([str(tmp_path)], Settings())
    assert sorted(run.format for run in runs) == ["huggingface", "llama-factory"]


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.77, 0.999])
def test_a_log_that_is_being_written_gives_what_is_there(tmp_path: Path, kept: float) -> None:
    data = (FIXTURES / "healthy-lm" / "trainer_log.jsonl").read_bytes()
    data = data[: int(kept * len(data))]
    (tmp_path / "trainer_log.jsonl").write_bytes(data)
    (run,), errors = read_paths([str(tmp_path)], Settings())
    assert errors == []
    assert max(curve.points for curve in run.curves) == max(data.count(b"}\n"), 1)
