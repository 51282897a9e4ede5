"""Layouts that consoles of particular programs, locales and log collectors print."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convergence_cli.readers import best_reader, text
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.roles import assign_roles

if TYPE_CHECKING:
    from convergence_cli.model import Run


def runs(content: str, pattern: str | None = None) -> list[Run]:
    """The runs of a file that must be taken for a text log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.log"
        path.write_text(content)
        source = Source(path, path.name)
        assert best_reader(source) is text
        return text.read([source], ReadOptions(pattern))


def series(content: str, pattern: str | None = None) -> dict[str, list[float]]:
    (run,) = runs(content, pattern)
    return {curve.name: curve.value.tolist() for curve in run.curves}


def steps(content: str) -> list[float]:
    (run,) = runs(content)
    return [float(step) for step in run.curves[0].step]


def test_decimal_commas() -> None:
    log = "Epoch 1 loss 2,3000 val_loss 2,4000\nEpoch 2 loss 0,950 val_loss 1,125\n"
    assert series(log) == {"loss": [2.3, 0.95], "val_loss": [2.4, 1.125]}
    assert series("Epoch 1: loss=0,9500, lr=1,0e-3\nEpoch 2: loss=0,8644, lr=1,0e-3\n") == {
        "loss": [0.95, 0.8644],
        "lr": [0.001, 0.001],
    }
    assert steps("step 1.000 loss 1.234,5\nstep 2.000 loss 0,25\nstep 3.000 loss 0,20\n") == [1000, 2000, 3000]


def test_commas_between_thousands_stay() -> None:
    log = "step 1,000 loss 1,234.5 val_loss 2.5\nstep 2,000 loss 1,234 val_loss 2.4\n"
    assert series(log) == {"loss": [1234.5, 1234], "val_loss": [2.5, 2.4]}
    assert steps(log) == [1000, 2000]


def test_no_number_is_cut_at_its_comma() -> None:
    assert series("step 1 loss 2,31 val_loss 2.5\nstep 2 loss 2,21 val_loss 2.4\n") == {"val_loss": [2.5, 2.4]}


@pytest.mark.parametrize("group", [r"\S+", r"[\d,]+"])
def test_a_pattern_reads_decimal_commas(group: str) -> None:
    log = "epoch 1 loss 2,3000\nepoch 2 loss 0,950\nepoch 3 loss 1,234\n"
    assert series(log, rf"epoch (?P<step>\d+) loss (?P<loss>{group})") == {"loss": [2.3, 0.95, 1234]}


def test_pytorch_quickstart() -> None:
    epoch = (
        "Epoch {0}\n-------------------------------\nloss: {1}  [   64/60000]\nloss: {2}  [ 6464/60000]\n"
        "Test Error: \n Accuracy: {3}%, Avg loss: {4} \n\n"
    )
    log = epoch.format(1, 2.303, 2.294, 50.0, 2.15) + epoch.format(2, 2.164, 2.15, 60.0, 1.9)
    (run,) = map(assign_roles, runs(log))
    curves = {curve.name: curve for curve in run.curves}
    assert curves["loss"].value.tolist() == [2.303, 2.294, 2.164, 2.15]
    assert curves["loss"].step.tolist() == [64, 6464, 60064, 66464]
    assert curves["test_loss"].value.tolist() == [2.15, 1.9]
    assert curves["test_loss"].role == "val_loss"
    assert curves["test_accuracy"].role == "val_accuracy"


def test_a_loss_scale_behind_a_blank() -> None:
    log = "step 0 loss 2.1 loss_scale 65536\nstep 1 loss 2.0 loss_scale 32768\n"
    assert series(log) == {"loss": [2.1, 2.0], "loss_scale": [65536, 32768]}


def test_a_headline_begins_a_run_and_is_no_series() -> None:
    epochs = "epoch 0 loss 2.3\nepoch 1 loss 2.2\nepoch 2 loss 2.3\n"
    first, second = runs(f"=== run A lr=0.1 ===\n{epochs}=== run B lr=10 ===\n{epochs}")
    assert [curve.name for curve in (*first.curves, *second.curves)] == ["loss", "loss"]
    assert (first.config["learning_rate"], second.config["learning_rate"]) == (0.1, 10)


@pytest.mark.parametrize("lines", [20, 3000])
@pytest.mark.parametrize(
    "stamp",
    ["2024-01-01T{:02}:00:01.123456789Z stderr F ", "2024-01-01T{:02}:20:30Z ", "2024-01-01T{:02}:20:30+01:00 "],
)
def test_time_stamps_before_the_message(stamp: str, lines: int) -> None:
    log = "".join(f"{stamp.format(at % 24)}step: {at * 100} | loss: {2.3 - at / 9000}\n" for at in range(lines))
    assert list(series(log)) == ["loss"]
    assert steps(log) == [at * 100 for at in range(lines)]


def test_catboost_console() -> None:
    log = (
        "0:\tlearn: 0.6852\ttest: 0.6861\tbest: 0.6861 (0)\ttotal: 1.5ms\tremaining: 1.5s\n"
        "1:\tlearn: 0.6752\ttest: 0.6761\tbest: 0.6761 (1)\ttotal: 2.5ms\tremaining: 1.4s\n"
    )
    assert series(log) == {"learn_loss": [0.6852, 0.6752], "test_loss": [0.6861, 0.6761]}
    (run,) = map(assign_roles, runs(log))
    assert [curve.role for curve in run.curves] == ["train_loss", "val_loss"]
    assert run.notes == ("the log does not name what it measures: it is read as a loss",)
    assert run.format == "catboost"


def test_values_that_name_only_their_set() -> None:
    down = "".join(f"Epoch {at}: Train: {0.9 - at / 10}, Valid: {0.95 - at / 10}\n" for at in range(1, 8))
    assert list(series(down)) == ["train_loss", "val_loss"]
    up = "".join(f"Epoch {at}: Train: {at / 10}, Valid: {at / 11}\n" for at in range(1, 8))
    (run,) = runs(up)
    assert [curve.name for curve in run.curves] == ["train_score", "val_score"]
    assert "read as a score" in run.notes[0]
    beside = "Epoch: 001, Loss: 1.9, Train: 0.2, Val: 0.15\nEpoch: 002, Loss: 1.8, Train: 0.3, Val: 0.25\n"
    assert not {"train_loss", "val_loss"} & set(series(beside))


def test_a_sentence() -> None:
    log = "".join(
        f"Epoch {at}: average training loss was {2.3 - at}, validation loss was {2.4 - at}\n" for at in (0, 1, 2)
    )
    (run,) = map(assign_roles, runs(log))
    assert [curve.role for curve in run.curves] == ["train_loss", "val_loss"]


def test_stable_baselines3_panels() -> None:
    panel = (
        "---------------------------------\n| rollout/           |          |\n|    ep_rew_mean     | {0}      |\n"
        "| time/              |          |\n|    fps             | 800      |\n|    total_timesteps | {1}     |\n"
        "| train/             |          |\n|    loss            | {2}      |\n|    learning_rate   | 0.0003   |\n"
        "---------------------------------\n"
    )
    (run,) = runs(panel.format(20, 2048, "2.1e+01") + panel.format(21, 4096, 1.9))
    curves = {curve.name: curve for curve in run.curves}
    assert set(curves) == {"rollout/ep_rew_mean", "train/loss", "train/learning_rate"}
    assert curves["train/loss"].value.tolist() == [21, 1.9]
    assert curves["train/loss"].step.tolist() == [2048, 4096]
    assert run.format == "stable-baselines3"


def test_iterations_are_caffes_only_behind_its_logger() -> None:
    lines = [f"Iteration {at}, loss = 0.{9 - at}5\n" for at in (1, 2, 3)]
    assert runs("".join(lines))[0].format == "text"
    logged = "".join(f"I0101 10:20:3{at}.123456  1234 solver.cpp:228] {line}" for at, line in enumerate(lines))
    assert runs(logged)[0].format == "caffe"


def test_a_value_in_brackets_behind_the_loss() -> None:
    assert series("step 1 loss = 2.3 (val = 2.4)\nstep 2 train_loss = 2.1 (val = 2.2)\n") == {
        "loss": [2.3],
        "val_loss": [2.4, 2.2],
        "train_loss": [2.1],
    }


def test_a_panel_that_never_ends_measures_nothing() -> None:
    panel = "| train/ | |\n" + "|  loss | 0.1 |\n"
    ruler = "-" * 20 + "\n"
    assert series((panel + ruler) * 2 + panel) == {"train/loss": [0.1, 0.1]}
