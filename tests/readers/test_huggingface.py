"""The Trainer's state: training and evaluation rows of one step, and a last row that is no point."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convergence_cli.errors import SourceError
from convergence_cli.readers import best_reader, huggingface
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from convergence_cli.model import Run

STATE = {
    "best_metric": 0.4,
    "best_model_checkpoint": "out/checkpoint-20",
    "epoch": 2.0,
    "global_step": 20,
    "log_history": [
        {"epoch": 0.5, "grad_norm": 1.5, "learning_rate": 5e-5, "loss": 2.0, "loss_aux": 0.1, "step": 10},
        {"epoch": 1.0, "grad_norm": math.nan, "learning_rate": 4e-5, "loss": 0.0, "loss_aux": 0.2, "step": 20},
        {"epoch": 1.0, "eval_loss": 0.4, "eval_runtime": 3.0, "step": 20},
        {"epoch": 1.0, "step": 20, "total_flos": 1.0, "train_loss": 1.0, "train_runtime": 9.0},
    ],
    "logging_steps": 10,
    "max_steps": 20,
    "num_train_epochs": 2,
    "stateful_callbacks": {"TrainerControl": {"args": {"should_log": False}}},
    "train_batch_size": 8,
    "trial_name": None,
}


def source(folder: Path, data: bytes) -> Source:
    path = folder / "trainer_state.json"
    path.write_bytes(data)
    return Source(path, str(path))


def read(folder: Path, state: object) -> Run:
    (run,) = huggingface.read([source(folder, json.dumps(state).encode())], ReadOptions())
    return run


def test_rows_become_series_and_the_summary_none(tmp_path: Path) -> None:
    run = read(tmp_path, STATE)
    curves = {curve.name: curve for curve in run.curves}
    assert run.format == "huggingface"
    assert set(curves) == {"grad_norm", "learning_rate", "loss", "loss_aux", "eval_loss", "eval_runtime"}
    np.testing.assert_array_equal(curves["loss"].step, [10, 20])
    np.testing.assert_array_equal(curves["loss"].epoch, [0.5, 1.0])
    np.testing.assert_array_equal(curves["grad_norm"].value, [1.5, math.nan])
    np.testing.assert_array_equal(curves["eval_loss"].step, [20])


def test_the_state_says_how_the_run_was_set(tmp_path: Path) -> None:
    config = read(tmp_path, STATE).config
    expected = {"epochs": 2, "batch_size": 8, "max_steps": 20, "logging_steps": 10, "best_metric": 0.4}
    assert expected.items() <= config.items()
    assert not any(key.startswith(("log_history", "stateful_callbacks")) for key in config)


def test_it_is_known_by_content(tmp_path: Path) -> None:
    assert best_reader(source(tmp_path, json.dumps(STATE, indent=2).encode())) is huggingface
    assert huggingface.sniff(source(tmp_path, b'{"loss": [1, 2]}')) == 0


@pytest.mark.parametrize(
    "state",
    [
        {"log_history": []},
        {"log_history": {"loss": 1}},
        {"log_history": [1, None, "x"]},
        {"log_history": [{"step": 1}]},
        {"log_history": [{"step": 1, "train_loss": 1.0, "train_runtime": 2.0}]},
        [{"log_history": 1}],
        None,
    ],
)
def test_a_state_without_metrics_is_refused_in_a_sentence(tmp_path: Path, state: object) -> None:
    with pytest.raises(SourceError, match="without metrics"):
        read(tmp_path, state)


def test_odd_rows_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    rows = [{"loss": 1.0}, {"step": "x", "loss": 2.0}, {"step": 5, "epoch": [1], "loss": True}, {"step": 6, "loss": 3}]
    (loss,) = read(tmp_path, {"log_history": rows}).curves
    np.testing.assert_array_equal(loss.value, [1, 2, 3])
    np.testing.assert_array_equal(loss.step, [0, 0, 6])


def test_every_prefix_is_refused(tmp_path: Path) -> None:
    whole = json.dumps(STATE).encode()
    for cut in range(0, len(whole), 7):
        torn = source(tmp_path, whole[:cut])
        huggingface.sniff(torn)
        with pytest.raises(SourceError):
            huggingface.read([torn], ReadOptions())
