"""What ``analyze`` says of trainings that were recorded with the defaults, and nothing else was."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lab.runs import run_of
from torch import nn
from torch.nn import functional

from convergence_cli import Recorder, TrainingStopped, diagnose
from convergence_cli.recorder import checking
from convergence_cli.recorder.journal import RecorderWarning

HEALTHY = [
    *((None, name) for name in ("mlp", "deep-mlp", "cnn", "gru", "transformer", "autoencoder", "regression-mlp")),
    *(("warmup-cosine", "transformer"), ("batch-norm", "cnn"), ("residual", "deep-mlp"), ("dropout", "mlp")),
    *(("small-batch", "gru"), ("low-rank-adapters", "mlp"), ("frozen-backbone", "cnn"), ("zero-last-layer", "cnn")),
]
FAULTY = [
    ("dead-relu", "mlp"),
    ("saturated-activation", "autoencoder"),
    ("frozen-parameters", "cnn"),
    ("symmetric-initialization", "mlp"),
    ("vanishing-gradient", "deep-mlp"),
    ("initialization-too-large", "cnn"),
]


@pytest.mark.parametrize(("kind", "architecture"), HEALTHY)
def test_no_warning_on_a_healthy_training(kind: str | None, architecture: str, tmp_path: Path) -> None:
    truth = run_of(kind, architecture, 7, tmp_path / "run", recorded=True)
    report = diagnose(truth.folder)
    assert [one for one in report.findings if one.severity != "note"] == []


@pytest.mark.parametrize(("fault", "architecture"), FAULTY)
def test_the_layer_of_a_fault_is_named(fault: str, architecture: str, tmp_path: Path) -> None:
    truth = run_of(fault, architecture, 8, tmp_path / "run", recorded=True)
    found = [one for one in diagnose(truth.folder).findings if one.name in truth.rules]
    assert found
    assert any(one.where.layer in truth.layers for one in found), [one.where.layer for one in found]


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks may take all the time: the steps here take none."""
    monkeypatch.setattr(checking, "SHARE", 0.0)


class Functional(nn.Module):
    """As users write it: no activation is a module."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(12, 64), nn.Linear(64, 64), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(x)))))


def task() -> Callable[[], tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    centres = torch.randn(3, 12) * 1.5

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.randint(0, 3, (64,))
        return centres[y] + torch.randn(64, 12), y

    return batch


def train(recorder: Any, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any, steps: int = 300) -> None:
    for _ in range(steps):
        x, y = batch()
        loss = functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)


def test_dead_units_behind_a_functional_relu_are_found_at_their_layer(tmp_path: Path) -> None:
    batch, model = task(), Functional()
    with torch.no_grad():
        model.fc2.bias[:60] = -30.0
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with Recorder(model, optimizer, out=tmp_path) as recorder:
        train(recorder, model, optimizer, batch)
        found = recorder.check()
    dead = [one for one in found if one.name == "dead-relu"]
    assert [one.where.layer for one in dead] == ["fc2"]
    assert diagnose(tmp_path).findings == found


@pytest.mark.usefixtures("unlimited")
def test_a_training_that_has_failed_is_stopped_with_its_report(tmp_path: Path) -> None:
    batch, model = task(), Functional()
    optimizer = torch.optim.SGD(model.parameters(), 1e4)
    with (
        pytest.raises(TrainingStopped) as stopped,
        Recorder(model, optimizer, out=tmp_path, on_error="stop") as recorder,
    ):
        train(recorder, model, optimizer, batch, 5000)
    assert stopped.value.step < 1000
    assert stopped.value.report.verdict.label in ("diverging", "stuck")
    assert stopped.value.finding.severity == "error"
    assert stopped.value.report.remedies
    assert "analyze" in str(stopped.value)
    assert '"end":"TrainingStopped"' in (tmp_path / "record.jsonl").read_text().splitlines()[-1]


@pytest.mark.usefixtures("unlimited")
def test_a_failed_training_is_warned_of_once_a_rule(tmp_path: Path) -> None:
    batch, model = task(), Functional()
    optimizer = torch.optim.SGD(model.parameters(), 1e4)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with Recorder(model, optimizer, out=tmp_path, on_error="warn") as recorder:
            train(recorder, model, optimizer, batch, 600)
    told = [str(one.message).split()[2] for one in seen if issubclass(one.category, RecorderWarning)]
    assert told
    assert len(set(told)) == len(told)


@pytest.mark.usefixtures("unlimited")
def test_a_healthy_training_is_not_stopped(tmp_path: Path) -> None:
    batch, model = task(), Functional()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with Recorder(model, optimizer, out=tmp_path, on_error="stop") as recorder:
        train(recorder, model, optimizer, batch, 800)
    assert '"end":"finished"' in (tmp_path / "record.jsonl").read_text().splitlines()[-1]


def test_nothing_is_found_before_anything_is_recorded(tmp_path: Path) -> None:
    with Recorder(out=tmp_path) as recorder:
        assert recorder.check() == ()


def test_a_check_that_fails_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> None:
        raise RuntimeError("no rules today")

    monkeypatch.setattr("convergence_cli.pipeline.diagnose", broken)
    batch, model = task(), Functional()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with pytest.warns(RecorderWarning, match="no rules today") as seen:  # noqa: SIM117
        with Recorder(model, optimizer, out=tmp_path, on_error="stop") as recorder:
            train(recorder, model, optimizer, batch, 120)
    assert len(seen) == 1
