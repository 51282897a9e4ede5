"""Steps are steps of the optimizer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from recorder.reading import Record
from torch import nn
from torch.nn import functional

from convergence_cli import Recorder


def setting() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return model, torch.optim.SGD(model.parameters(), 0.1)


def backward(model: nn.Module) -> torch.Tensor:
    loss = functional.cross_entropy(model(torch.randn(8, 6)), torch.randint(0, 3, (8,)))
    loss.backward()
    return loss


def test_each_call_is_a_step_where_no_optimizer_is_known(tmp_path: Path) -> None:
    with Recorder(out=tmp_path) as recorder:
        for step in range(5):
            recorder.step(loss=step)
    assert list(Record(tmp_path / "record.jsonl").steps) == [1, 2, 3, 4, 5]


def test_several_steps_between_two_calls_are_counted(tmp_path: Path) -> None:
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path, every=10) as recorder:
        for _ in range(6):
            for _ in range(5):
                loss = backward(model)
                optimizer.step()
            recorder.step(loss=loss)
    record = Record(tmp_path / "record.jsonl")
    assert list(record.steps) == [5, 10, 15, 20, 25, 30]
    assert record.sampled == [0, 5, 10, 20, 30]


def test_a_resumed_run_goes_on_counting(tmp_path: Path) -> None:
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path, start_step=100) as recorder:
        backward(model)
        optimizer.step()
        recorder.step(loss=1)
    record = Record(tmp_path / "record.jsonl")
    assert list(record.steps) == [101]
    assert record.sampled == [100, 101]
    assert record.lines[0]["first_step"] == 100


def test_validation_is_logged_at_the_step_it_is_of(tmp_path: Path) -> None:
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path) as recorder:
        for step in range(1, 4):
            loss = backward(model)
            optimizer.step()
            recorder.step(loss=loss, accuracy=torch.tensor(0.5), val_loss=None)
            if step == 2:
                recorder.log({"val/loss": 2.5}, top5=torch.tensor([0.9]))
    lines = Record(tmp_path / "record.jsonl").of("step")
    assert [one["step"] for one in lines] == [1, 2, 2, 3]
    assert "learning_rate" in lines[1]
    assert "learning_rate" not in lines[2]
    assert lines[2] == lines[2] | {"val/loss": 2.5, "top5": pytest.approx(0.9)}
    assert all("val_loss" not in one for one in lines)


def test_what_waits_for_a_step_is_written_at_the_end(tmp_path: Path) -> None:
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path) as recorder:
        backward(model)
        optimizer.step()
        recorder.step(loss=1.0)
        recorder.step(loss=3.0)
        recorder.step(loss=5.0)
    lines = Record(tmp_path / "record.jsonl").of("step")
    assert [(one["step"], one["loss"]) for one in lines] == [(1, 1.0), (1, 4.0)]


def test_a_loss_that_is_no_number_is_logged_as_such(tmp_path: Path) -> None:
    with Recorder(out=tmp_path) as recorder:
        recorder.step(loss=math.nan)
        recorder.step(loss=torch.tensor(math.inf))
    assert [one["loss"] for one in Record(tmp_path / "record.jsonl").of("step")] == ["NaN", "Infinity"]


def test_an_optimizer_that_has_stopped_does_not_hide_the_loss(tmp_path: Path) -> None:
    """A scaler that nobody named skips every step once all gradients are NaN."""
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path) as recorder:
        for step in range(200):
            loss = backward(model)
            if step < 20:
                optimizer.step()
            recorder.step(loss=loss if step < 20 else math.nan)
    record = Record(tmp_path / "record.jsonl")
    assert len([one for one in record.of("step") if one["loss"] == "NaN"]) > 100


def test_rates_of_groups_are_told_apart_and_follow_the_schedule(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters()}], lr=0.01
    )
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with Recorder(model, optimizer, out=tmp_path) as recorder:
        for _ in range(3):
            loss = backward(model)
            optimizer.step()
            recorder.step(loss=loss)
            schedule.step()
    lines = Record(tmp_path / "record.jsonl").of("step")
    assert [one["learning_rate"] for one in lines] == pytest.approx([0.1, 0.05, 0.025])
    assert [one["learning_rate/group_1"] for one in lines] == pytest.approx([0.01, 0.005, 0.0025])


def test_hooks_are_on_the_model_on_sampled_steps_alone(tmp_path: Path) -> None:
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path, every=4) as recorder:
        for step in range(1, 9):
            hooked = bool(model._forward_pre_hooks)
            assert hooked == (step in (1, 4, 8))
            backward(model)
            assert not any(
                module._forward_hooks or module._forward_pre_hooks for module in model.modules() if module is not model
            )
            optimizer.step()
            recorder.step()
    assert not model._forward_pre_hooks
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_a_validation_between_two_steps_is_not_taken_for_training(tmp_path: Path) -> None:
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path, every=2) as recorder:
        for _ in range(4):
            model.eval()
            with torch.no_grad():
                model(torch.randn(512, 6) * 1000)
            model(torch.randn(512, 6) * 1000)
            model.train()
            loss = backward(model)
            optimizer.step()
            recorder.step(loss=loss)
    record = Record(tmp_path / "record.jsonl")
    for step in (1, 2, 4):
        assert record.rows["input/x", step]["max"] < 10


def test_a_model_that_is_trained_in_evaluation_mode_is_seen_from_the_second_time_on(tmp_path: Path) -> None:
    model, optimizer = setting()
    model.eval()
    with Recorder(model, optimizer, out=tmp_path, every=2) as recorder:
        for _ in range(6):
            backward(model)
            optimizer.step()
            recorder.step()
    record = Record(tmp_path / "record.jsonl")
    assert ("activation/1", 2) in record.rows
    assert ("activation/1", 4) in record.rows


def test_parts_that_are_called_one_by_one_are_seen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(6, 8), nn.ReLU()), "head": nn.Linear(8, 3)})
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Recorder(model, optimizer, out=tmp_path, every=2) as recorder:
        for _ in range(4):
            output: Any = model["head"](model["encoder"](torch.randn(8, 6)))
            output.sum().backward()
            optimizer.step()
            recorder.step()
    record = Record(tmp_path / "record.jsonl")
    assert {"activation/encoder.0", "activation/encoder.1", "activation/head"} <= set(record.titles(2))
    assert record.notes == []
