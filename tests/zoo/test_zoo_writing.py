"""The zoo's writers: what they write is read back as it was logged, whatever the format."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from zoo.log import Log, Point
from zoo.writing import FORMATS, ROLES, write

from convergence_cli.pipeline import read_run

if TYPE_CHECKING:
    from convergence_cli.model import Run

PER_EPOCH = 20
CONFIG: dict[str, object] = {
    "learning_rate": 1e-3,
    "optimizer": "adamw",
    "batch_size": 32,
    "num_classes": 10,
    "max_steps": 400,
    "epochs": 20,
    "weight_decay": 1e-4,
    "momentum": 0.9,
    "gradient_clip_norm": 1.0,
}
STEPS = (*range(3, 400, 3), 400)
EPOCHS = tuple(range(PER_EPOCH, 401, PER_EPOCH))
RESUMED = (*range(5, 301, 5), *range(255, 401, 5))
OF_ROLE = {"train_loss": 1.0, "val_loss": 1.1, "train_accuracy": 0.3, "val_accuracy": 0.25, "grad_norm": 2.0}


def falling(role: str, step: int) -> float:
    if role == "learning_rate":
        return 1e-3 * (1.0 - step / 500)
    shape = math.exp(-step / 150) + 0.02 * math.sin(7.0 * step)
    return OF_ROLE[role] * (1.0 - shape if role.endswith("accuracy") else 0.2 + shape)


def log_of(steps: dict[str, tuple[int, ...]], *, per_epoch: bool = False, kind: str = "") -> Log:
    def value(role: str, step: int) -> float:
        if kind == "nan" and step >= 200 and role != "learning_rate":
            return math.nan
        return falling(role, step) * (1e-9 if kind == "tiny" else 1.0) + (1e6 if kind == "offset" else 0.0)

    series: dict[str, list[Point]] = {
        role: [(step, step / PER_EPOCH, value(role, step)) for step in at] for role, at in steps.items()
    }
    return Log(**series, per_epoch=per_epoch, config=dict(CONFIG))


LOGS = {
    "steps": log_of({**dict.fromkeys(ROLES, STEPS), "val_loss": EPOCHS, "val_accuracy": EPOCHS}),
    "epochs": log_of(dict.fromkeys(ROLES, EPOCHS), per_epoch=True),
    "validated every third epoch": log_of({"train_loss": EPOCHS, "val_loss": EPOCHS[2::3]}, per_epoch=True),
    "parts of an epoch": log_of({"train_loss": tuple(range(5, 401, 5))}, per_epoch=True),
    "ends in NaN": log_of({"train_loss": STEPS, "val_loss": EPOCHS, "learning_rate": STEPS}, kind="nan"),
    "epochs that end in NaN": log_of({"train_loss": EPOCHS, "val_loss": EPOCHS}, per_epoch=True, kind="nan"),
    "resumed": log_of({"train_loss": RESUMED, "val_loss": (100, 200, 280, 260, 300, 400), "learning_rate": RESUMED}),
    "resumed between evaluations": log_of({"train_loss": RESUMED, "val_loss": (100, 200, 400)}),
    "epochs resumed": log_of(
        {"train_loss": EPOCHS[:12] + EPOCHS[8:], "val_loss": EPOCHS[:12] + EPOCHS[8:]}, per_epoch=True
    ),
    "evaluated before it began": log_of({"train_loss": STEPS, "val_loss": (0, *EPOCHS)}),
    "no validation": log_of({"train_loss": STEPS}),
    "only validation": log_of({"val_loss": EPOCHS}),
    "only accuracy": log_of({"train_accuracy": EPOCHS, "val_accuracy": EPOCHS}, per_epoch=True),
    "on a large constant": log_of({"train_loss": STEPS, "val_loss": EPOCHS}, kind="offset"),
    "tiny": log_of({"train_loss": STEPS, "val_loss": EPOCHS}, kind="tiny"),
}
CASES = [(how, name) for how in FORMATS for name in LOGS if how != "keras" or LOGS[name].per_epoch]


def expected_steps(log: Log, points: list[Point], how: str) -> list[int]:
    """Keras counts epochs from 0, and a part of one as one; a printed epoch is the step where there is no other."""
    length = log.train_loss[0][0] if log.train_loss else PER_EPOCH
    if how == "keras":
        return [step // length - 1 for step, _, _ in points]
    numbered = how == "stdout" and log.per_epoch and length == PER_EPOCH
    return [step // PER_EPOCH if numbered else step for step, _, _ in points]


def read_back(log: Log, folder: Path, how: str) -> Run:
    write(log, folder / "run", how)
    return read_run(folder / "run")


@pytest.mark.parametrize(("how", "name"), CASES)
def test_what_is_written_is_read_back(how: str, name: str, tmp_path: Path) -> None:
    log = LOGS[name]
    run = read_back(log, tmp_path, how)
    # A sheet is known for a tool's by columns that not every run has.
    assert run.format in (how, "text" if how == "stdout" else "csv")
    for role in ROLES:
        points, curve = getattr(log, role), run.curve(role)
        if not points:
            assert curve is None, role
            continue
        assert curve is not None, role
        assert curve.step.tolist() == expected_steps(log, points, how), role
        values = np.array([point[2] for point in points])
        if how == "tensorboard":
            values = values.astype(np.float32).astype(np.float64)
        finite = values[np.isfinite(values)]
        # Printing rounds, but not so far that the curve is lost.
        tolerance = 1e-3 * float(np.ptp(finite)) if how == "stdout" else 0.0
        np.testing.assert_allclose(curve.value, values, rtol=0.0, atol=tolerance, err_msg=role)
    assert {key: run.config.get(key) for key in CONFIG} == CONFIG


@pytest.mark.parametrize("how", [how for how in FORMATS if how != "keras"])
def test_rows_of_a_resumed_run_follow_in_the_order_in_which_they_were_logged(how: str, tmp_path: Path) -> None:
    run = read_back(LOGS["resumed"], tmp_path, how)
    for role, at in (("train_loss", 60), ("val_loss", 3)):
        curve = run.curve(role)
        assert curve is not None
        assert curve.restarts == (at,)


def test_an_evaluation_between_two_sessions_stands_in_the_one_that_reached_it(tmp_path: Path) -> None:
    write(LOGS["resumed between evaluations"], tmp_path, "csv")
    steps = [int(line.split(",")[0]) for line in (tmp_path / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == list(RESUMED)


def test_keras_refuses_a_run_that_was_logged_by_steps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row an epoch"):
        write(LOGS["steps"], tmp_path, "keras")


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of csv, jsonl"):
        write(LOGS["steps"], tmp_path / "run", "parquet")
    assert not (tmp_path / "run").exists()
