"""detectron2's ``metrics.json``: lines as its ``JSONWriter`` writes them, keys sorted, one object an iteration."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.readers import best_reader, jsonl
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.roles import assign_roles

if TYPE_CHECKING:
    from convergence_cli.model import Run


def written(path: Path, *records: dict[str, float]) -> Run:
    path.write_text("".join(json.dumps(record, sort_keys=True) + "\n" for record in records))
    source = Source(path, str(path))
    assert best_reader(source) is jsonl
    (run,) = jsonl.read([source], ReadOptions())
    return assign_roles(run)


def train(iteration: int) -> dict[str, float]:
    part = 1.0 / (1 + iteration / 100)
    return {
        "data_time": 0.01, "eta_seconds": 50.0, "iteration": iteration, "loss_box_reg": part, "loss_cls": part,
        "lr": 0.001, "rank_data_time": 0.01, "time": 0.3, "total_loss": 2 * part,
    }  # fmt: skip


def evaluation(iteration: int, ap: float) -> dict[str, float]:
    return {"bbox/AP": ap, "bbox/AP50": ap + 20, "bbox/AP-person": ap + 1, "iteration": iteration}


def test_losses_and_evaluations_share_the_iterations(tmp_path: Path) -> None:
    rows = [train(at) for at in range(19, 400, 20)]
    run = written(tmp_path / "metrics.json", *rows[:10], evaluation(199, 5.0), *rows[10:], evaluation(399, 15.0))
    assert run.format == "detectron2"
    curves = {curve.name: curve for curve in run.curves}
    np.testing.assert_array_equal(curves["total_loss"].step, range(19, 400, 20))
    np.testing.assert_array_equal(curves["bbox/AP"].step, [199, 399])
    assert {curve.role: curve.name for curve in run.curves if curve.role} == {
        "train_loss": "total_loss", "learning_rate": "lr", "val_metric": "bbox/AP",
    }  # fmt: skip
    assert curves["bbox/AP"].direction == "higher"


def test_a_validation_loss_of_a_hook_is_the_validation_loss(tmp_path: Path) -> None:
    rows = [train(at) | ({"validation_loss": 3.0} if at % 100 == 19 else {}) for at in range(19, 400, 20)]
    run = written(tmp_path / "metrics.json", *rows)
    val = run.curve("val_loss")
    assert val is not None
    assert (val.name, val.points) == ("validation_loss", 4)


def test_an_evaluation_without_boxes_is_logged_as_nan(tmp_path: Path) -> None:
    rows = [train(at) for at in range(19, 200, 20)]
    run = written(tmp_path / "metrics.json", *rows, evaluation(199, math.nan))
    assert math.isnan(next(curve for curve in run.curves if curve.name == "bbox/AP").value[0])


def test_a_resumed_run_goes_back_where_it_was_logged_to(tmp_path: Path) -> None:
    steps = [*range(19, 200, 20), *range(119, 300, 20)]
    loss = written(tmp_path / "metrics.json", *map(train, steps)).curve("train_loss")
    assert loss is not None
    np.testing.assert_array_equal(loss.step, steps)
    assert loss.restarts == (10,)


def test_a_line_cut_off_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes("".join(json.dumps(train(at)) + "\n" for at in range(19, 200, 20)).encode()[:-30])
    (run,) = jsonl.read([Source(path, str(path))], ReadOptions())
    assert {curve.points for curve in run.curves} == {9}
    assert any("cut off" in note for note in run.notes)
