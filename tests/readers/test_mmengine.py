"""MMEngine: a ``work_dir`` is one run, however often its lines were written and its training was resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from convergence_cli.pipeline import read_paths
from convergence_cli.readers import jsonl
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.settings import Settings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "mmengine"


def read(path: Path, *records: dict[str, object]) -> dict[str, list[tuple[float, float]]]:
    """Each series of a log of ``records``, as pairs of step and value."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    (run,) = jsonl.read([Source(path, str(path))], ReadOptions())
    assert run.format == "mmengine"
    return {c.name: list(zip(c.step.tolist(), c.value.tolist(), strict=True)) for c in run.curves}


def train(step: int, epoch: int | None = None, loss: float = 1.0) -> dict[str, object]:
    record: dict[str, object] = {"lr": 0.1, "data_time": 0.01, "loss": loss, "time": 0.1}
    if epoch is not None:
        record["epoch"] = epoch
    return {**record, "iter": step, "step": step}


def val(step: int, **metrics: float) -> dict[str, object]:
    return {**metrics, "data_time": 0.02, "time": 0.2, "step": step}


def test_a_work_dir_is_one_run_with_its_validation_apart() -> None:
    (run,), errors = read_paths([str(FIXTURES / "healthy-digits")], Settings())
    assert errors == []
    assert run.name.endswith("scalars.json")
    names = {curve.name: curve.role for curve in run.curves}
    assert (names["loss"], names["val/top1"]) == ("train_loss", "val_accuracy")
    top1 = next(curve for curve in run.curves if curve.name == "val/top1")
    np.testing.assert_array_equal(top1.step, range(30, 241, 30))


def test_a_resumed_runner_goes_on_in_its_second_folder() -> None:
    (run,), _ = read_paths([str(FIXTURES / "resumed")], Settings())
    loss = run.curve("train_loss")
    assert loss is not None
    np.testing.assert_array_equal(loss.step, range(10, 301, 10))
    assert any("2 parts of one run are joined" in note for note in run.notes)


def test_a_copy_without_its_original_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "20260101_120000" / "vis_data"
    shutil.copytree(FIXTURES / "healthy-digits" / "20260101_120000" / "vis_data", folder)
    (folder / "scalars.json").unlink()
    (run,), _ = read_paths([str(tmp_path)], Settings())
    assert (run.format, run.path) == ("mmengine", str(folder / "20260101_120000.json"))


def test_the_metrics_of_a_test_are_no_run_beside_those_of_the_training(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "healthy-digits", tmp_path / "work")
    (tmp_path / "work" / "20260101_120000" / "20260101_120000.json").write_text('{"top1": 95.9, "time": 0.1}')
    runs, errors = read_paths([str(tmp_path / "work")], Settings())
    assert (len(runs), errors) == (1, [])


def test_other_files_of_a_like_name_are_read(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\n" for step in range(20))
    (tmp_path / "scalars.json").write_text(lines)
    (tmp_path / "other.json").write_text(lines.replace("1.0", "2.0"))
    runs, _ = read_paths([str(tmp_path)], Settings())
    assert len(runs) == 2


def test_a_validation_loss_is_not_mixed_with_the_training_loss(tmp_path: Path) -> None:
    found = read(
        tmp_path / "scalars.json", train(10, 1), train(20, 1), val(1, loss=5.0), train(30, 2), val(2, loss=4.0)
    )
    assert found["loss"] == [(10, 1.0), (20, 1.0), (30, 1.0)]
    assert found["val/loss"] == [(20, 5.0), (30, 4.0)]


def test_without_epochs_the_step_of_a_validation_is_the_iteration(tmp_path: Path) -> None:
    found = read(tmp_path / "scalars.json", train(50), train(100), val(125, mIoU=0.5), train(150), val(250, mIoU=0.6))
    assert found["val/mIoU"] == [(125, 0.5), (250, 0.6)]
    assert [step for step, _ in found["loss"]] == [50, 100, 150]


def test_a_file_that_begins_with_a_validation_is_known(tmp_path: Path) -> None:
    found = read(tmp_path / "scalars.json", val(4, top1=50.0), train(130, 5), val(5, top1=60.0))
    assert [value for _, value in found["val/top1"]] == [50.0, 60.0]


@pytest.mark.parametrize("odd", [None, "3", [3], {"a": 1}, 1e400, -7, True])
def test_an_odd_iteration_costs_no_value(tmp_path: Path, odd: object) -> None:
    record = train(20, 1) | {"iter": odd}
    found = read(tmp_path / "scalars.json", train(10, 1), record, train(30, 1))
    assert len(found["loss"]) == 3
