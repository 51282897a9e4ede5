"""What goes wrong in the recorder, or around it, does not go wrong in the training."""

from __future__ import annotations

import copy
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from recorder.reading import Record, trained
from torch import nn
from torch.nn import functional

import convergence_cli.recorder.sampled as sampled_module
from convergence_cli import Recorder
from convergence_cli.recorder.journal import Journal, RecorderWarning


def setting() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return model, torch.optim.Adam(model.parameters(), 0.1)


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    loss = functional.cross_entropy(model(torch.randn(8, 6)), torch.randint(0, 3, (8,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@pytest.mark.parametrize(
    "where", ["_activation", "_root", "_gradient", "_before", "_after", "finish", "initial", "_deliver"]
)
def test_a_failure_is_warned_of_once_and_ends_the_recording(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = trained("dropout", None)

    def broken(*given: Any, **more: Any) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(sampled_module.Sampled, where, broken)
    with pytest.warns(RecorderWarning, match="out of order") as seen:
        beside = trained("dropout", tmp_path)
    assert len(seen) == 1
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
    record = Record(tmp_path / "record.jsonl")
    assert "out of order" in record.notes[-1]
    assert record.lines[-1]["end"] == "RuntimeError"


def test_a_failure_of_the_thread_ends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> None:
        raise MemoryError("too little")

    monkeypatch.setattr(sampled_module, "lines_of", broken)
    with pytest.warns(RecorderWarning, match="too little") as seen:
        trained("dropout", tmp_path)
    assert len(seen) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_recording(tmp_path: Path) -> None:
    (tmp_path / "record.jsonl").symlink_to("/dev/full")
    with pytest.warns(RecorderWarning, match="No space left") as seen:
        trained("dropout", tmp_path)
    assert len(seen) == 1


def test_a_folder_that_cannot_be_made_ends_the_recording(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(RecorderWarning, match="Nothing more is recorded") as seen:
        trained("dropout", tmp_path / "file" / "run")
    assert len(seen) == 1


def test_a_scalar_of_several_numbers_is_a_failure_of_the_recorder_alone(tmp_path: Path) -> None:
    recorder = Recorder(out=tmp_path)
    with pytest.warns(RecorderWarning, match="must be one number"):
        recorder.step(loss=torch.ones(3))
    recorder.step(loss=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every"),
        ({"every": 2.5}, ValueError, "every"),
        ({"start_step": -1}, ValueError, "start_step"),
        ({"on_error": "explode"}, ValueError, "on_error"),
        ({"ranks": "second"}, ValueError, "ranks"),
        ({"raw": "fc1"}, TypeError, "raw"),
        ({"model": 3}, TypeError, "model"),
        ({"model": [3]}, TypeError, "model"),
        ({"optimizer": "Adam"}, TypeError, "optimizer"),
    ],
)
def test_arguments_that_cannot_be_are_told_at_once(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        Recorder(**({"out": tmp_path} | options))


def test_a_model_is_saved_and_copied_without_the_recorder(tmp_path: Path) -> None:
    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path, every=1) as recorder:
        recorder.step(loss=one_step(model, optimizer))
        assert model._forward_pre_hooks
        buffer, other = io.BytesIO(), io.BytesIO()
        torch.save(model, buffer)
        torch.save(optimizer, other)
        again = copy.deepcopy(model)
        assert b"convergence_cli" not in buffer.getvalue() + other.getvalue()
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=False)
        x = torch.randn(4, 6)
        for other in (again, loaded):
            assert torch.equal(other(x), model(x))
        recorder.step(loss=one_step(model, optimizer))
    record = Record(tmp_path / "record.jsonl")
    assert ("activation/1", 2) in record.rows


def test_a_recorder_that_is_forgotten_is_closed(tmp_path: Path) -> None:
    script = f"""
import torch
from convergence_cli import Recorder
model = torch.nn.Linear(3, 2)
recorder = Recorder(model, out={str(tmp_path)!r})
for _ in range(5):
    recorder.step(loss=1)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    record = Record(tmp_path / "record.jsonl")
    assert len(record.steps) == 5
    assert record.lines[-1]["end"] == "exit"


def test_an_exception_of_the_training_is_named_and_goes_on(tmp_path: Path) -> None:
    model, optimizer = setting()

    def interrupted() -> None:
        with Recorder(model, optimizer, out=tmp_path) as recorder:
            recorder.step(loss=one_step(model, optimizer))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert Record(tmp_path / "record.jsonl").lines[-1]["end"] == "KeyboardInterrupt"
    assert not model._forward_pre_hooks


def test_an_exception_in_the_model_leaves_no_hook_behind(tmp_path: Path) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.fc(x)
            raise RuntimeError("in the model")

    model = Broken()
    with pytest.raises(RuntimeError, match="in the model"), Recorder(model, out=tmp_path):
        model(torch.randn(2, 6))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_calls_after_the_end_do_nothing(tmp_path: Path) -> None:
    model, optimizer = setting()
    recorder = Recorder(model, optimizer, out=tmp_path)
    recorder.close()
    recorder.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.step(loss=one_step(model, optimizer))
        recorder.log(loss=1)
        recorder.config({"a": 1})
    assert len(Record(tmp_path / "record.jsonl").of("end")) == 1


def test_a_second_run_in_one_folder_is_appended_on_a_line_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        with Recorder(out=tmp_path) as recorder:
            recorder.step(loss=1)
        with (tmp_path / "record.jsonl").open("ab") as file:
            file.write(b'{"step":2,"lo')
    texts = (tmp_path / "record.jsonl").read_bytes().split(b"\n")
    assert [text.startswith(b'{"recorder":1') for text in texts].count(True) == 2
    assert [text for text in texts if text.endswith(b'"lo')] == [b'{"step":2,"lo'] * 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_record_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.scalars(1, {"loss": 1})
    journal.flush()
    child = os.fork()
    if not child:
        journal.scalars(2, {"loss": 2})
        journal.flush()
        journal.close()
        os._exit(0)
    os.waitpid(child, 0)
    journal.scalars(3, {"loss": 3})
    journal.close()
    record = Record(tmp_path / "record.jsonl")
    assert list(record.steps) == [1, 3]
    assert len(record.of("end")) == 1


def test_no_graph_and_no_tensor_outlives_the_step(tmp_path: Path) -> None:
    import gc
    import weakref

    model, optimizer = setting()
    with Recorder(model, optimizer, out=tmp_path, every=1) as recorder:
        for _ in range(2):
            output = model(torch.randn(8, 6))
            gone = weakref.ref(output)
            output.sum().backward()
            optimizer.step()
            recorder.step(loss=1)
            del output
        gc.collect()
        assert gone() is None
