"""``LightningRecorder`` in real trainings of Lightning."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

pytest.importorskip("lightning.pytorch")

import lightning.pytorch as pl
import numpy as np
import torch
from recorder.reading import Record
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from convergence_cli.errors import TrainingStopped
from convergence_cli.recorder.journal import RecorderWarning
from convergence_cli.recorder.lightning import LightningRecorder
from integrations.lessons import CLASSES, FEATURES, classes, moments, report_on, series, troubles

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*logging interval:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
]
BATCH = 32


class Lesson(pl.LightningModule):
    """Logs at steps, over epochs, and both; ``seen`` is what the optimizer was given, and what it made of it."""

    def __init__(self, rate: float = 0.3, hidden: int = 24, warmup: int = 20, **settings: Any) -> None:
        super().__init__()
        self.save_hyperparameters()
        layers = [nn.Linear(FEATURES, hidden), nn.Tanh(), nn.Dropout(0.1), nn.Linear(hidden, CLASSES)]
        self.net = nn.Sequential(*layers)
        self.losses: list[float] = []
        self.seen: list[dict[str, Any]] = []

    def _loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        scores = self.net(batch[0])
        return nn.functional.cross_entropy(scores, batch[1]), (scores.argmax(1) == batch[1]).float().mean()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss, accuracy = self._loss(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log("train_acc", accuracy, on_step=False, on_epoch=True)
        if index % 3 == 0:
            self.log("now_and_then", loss * 2)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        loss, accuracy = self._loss(batch)
        self.log_dict({"val_loss": loss, "val_acc": accuracy})

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.rate, momentum=0.5)
        optimizer.register_step_post_hook(self._look)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=self.hparams.warmup)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _look(self, optimizer: torch.optim.Optimizer, *given: Any) -> None:
        weight = self.net[0].weight
        self.seen.append(
            {"rate": optimizer.param_groups[0]["lr"], "grad": moments(weight.grad), "after": moments(weight.detach())}
        )


def loaders() -> tuple[DataLoader, DataLoader]:
    train, val = (TensorDataset(*map(torch.from_numpy, classes(count, seed))) for count, seed in ((512, 0), (128, 1)))
    return DataLoader(train, BATCH, shuffle=True), DataLoader(val, 64)


def fit(module: Any, folder: Path, *callbacks: Any, package: Any = pl, ckpt: Path | None = None, **more: Any) -> Any:
    """The trainer after ``fit``, from one seed."""
    logging.getLogger(package.__name__).setLevel(logging.ERROR)
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    settings = {"max_epochs": 6, "accelerator": "cpu", "default_root_dir": folder, **dict.fromkeys(quiet, False)}
    trainer = package.Trainer(callbacks=list(callbacks), **{**settings, **more})
    train, val = loaders()
    torch.manual_seed(1)
    trainer.fit(module, train, val if hasattr(module, "hparams") and module.hparams else None, ckpt_path=ckpt)
    return trainer


def lesson(**settings: Any) -> Lesson:
    torch.manual_seed(0)
    return Lesson(**settings)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lesson, Path]:
    folder = tmp_path_factory.mktemp("healthy")
    module = lesson()
    fit(module, folder, LightningRecorder(every=10), gradient_clip_val=1.0)
    return module, folder


def test_a_healthy_run_is_called_so(healthy: tuple[Lesson, Path]) -> None:
    report = report_on(healthy[1])
    assert report.verdict.label == "converging"
    assert troubles(report) == []


def test_scalars_are_those_of_the_training(healthy: tuple[Lesson, Path]) -> None:
    module, folder = healthy
    steps = list(range(1, 97))
    for name in ("loss", "train_loss"):
        assert series(folder, name) == (steps, pytest.approx(module.losses))
    record = Record(folder / "record.jsonl")
    assert [line["learning_rate"] for line in record.of("step") if "loss" in line] == pytest.approx(
        [seen["rate"] for seen in module.seen]
    )
    sometimes = series(folder, "now_and_then")
    assert sometimes == (
        [step for step in steps if (step - 1) % 16 % 3 == 0],
        pytest.approx([2 * module.losses[step - 1] for step in map(int, sometimes[0])]),
    )


def test_epochs_and_validation_stand_at_their_last_step(healthy: tuple[Lesson, Path]) -> None:
    module, folder = healthy
    ends = list(range(16, 97, 16))
    for name in ("val_loss", "val_acc", "train_acc", "train_loss_epoch"):
        assert series(folder, name)[0] == ends, name
    means = np.array(module.losses).reshape(6, 16).mean(1)
    assert series(folder, "train_loss_epoch")[1] == pytest.approx(means.tolist())
    names = {name for line in Record(folder / "record.jsonl").of("step") for name in line}
    assert not {"train_loss_step", "val_loss_epoch"} & names


def test_settings_are_found(healthy: tuple[Lesson, Path]) -> None:
    config = Record(healthy[1] / "record.jsonl").config
    expected = {"optimizer": "SGD", "momentum": 0.5, "rate": 0.3, "hidden": 24, "max_epochs": 6, "batch_size": BATCH}
    assert expected | {"gradient_clip_val": 1.0, "accumulate_grad_batches": 1} == {
        name: config[name] for name in (*expected, "gradient_clip_val", "accumulate_grad_batches")
    }
    assert "max_steps" not in config


def test_tensors_are_those_of_their_step(healthy: tuple[Lesson, Path]) -> None:
    """Gradients are what the optimizer was given: of this step, and clipped."""
    module, folder = healthy
    record = Record(folder / "record.jsonl")
    assert record.sampled == [0, 1, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    for step in record.sampled[1:]:
        assert {title.partition("/")[0] for title in record.titles(step)} == {
            "weight", "gradient", "update", "activation", "input", "output",
        }  # fmt: skip
        seen, before = module.seen[step - 1], module.seen[step - 2]
        for name, value in seen["grad"].items():
            found = record.rows["gradient/net.0.weight", step].get(name)
            assert found == pytest.approx(value, rel=1e-3, abs=1e-6), (step, name)
        if step > 1:
            found = record.rows["weight/net.0.weight", step]
            assert found["mean"] == pytest.approx(before["after"]["mean"], rel=1e-4)
    assert record.declared["activation/net.1"]["function"] == "tanh"
    assert record.of("labels")[0]["values"] == [0, 1, 2]


def test_a_rate_too_high_is_found(tmp_path: Path) -> None:
    fit(lesson(rate=300.0, warmup=1), tmp_path, LightningRecorder(every=10))
    report = report_on(tmp_path)
    assert report.verdict.label in ("diverging", "stuck")
    assert report.causes[0].name == "learning-rate-too-high"


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 4}], ids=["plain", "accumulating"])
def test_the_weights_are_the_same_with_and_without(settings: dict[str, Any], tmp_path: Path) -> None:
    modules = [lesson(), lesson()]
    fit(modules[0], tmp_path, LightningRecorder(every=3), **settings)
    fit(modules[1], tmp_path / "without", **settings)
    assert (tmp_path / "record.jsonl").exists()
    for one, other in zip(*(module.state_dict().values() for module in modules), strict=True):
        assert torch.equal(one, other)


def test_steps_are_those_of_the_optimizer_under_accumulation(tmp_path: Path) -> None:
    module = lesson()
    trainer = fit(module, tmp_path, LightningRecorder(every=4), accumulate_grad_batches=3, max_epochs=2)
    # 16 batches an epoch are five steps of three and a last one of one.
    assert trainer.global_step == 12
    groups = [module.losses[start:end] for first in (0, 16) for start, end in _slices(first)]
    steps, losses = series(tmp_path, "loss")
    assert steps == list(range(1, 13))
    assert losses == pytest.approx([float(np.mean(group)) for group in groups])
    record = Record(tmp_path / "record.jsonl")
    assert record.sampled == [0, 1, 4, 8, 12]
    for step in (1, 4, 8, 12):
        for name, value in module.seen[step - 1]["grad"].items():
            found = record.rows["gradient/net.0.weight", step].get(name)
            assert found == pytest.approx(value, rel=1e-3, abs=1e-6), (step, name)
    rates = [line["learning_rate"] for line in record.of("step") if "loss" in line]
    assert rates == pytest.approx([seen["rate"] for seen in module.seen])


def _slices(first: int) -> list[tuple[int, int]]:
    return [(first + 3 * place, min(first + 3 * place + 3, first + 16)) for place in range(6)]


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    trainer = fit(lesson(), tmp_path, LightningRecorder(every=10), max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    fit(lesson(), tmp_path, LightningRecorder(every=10), max_epochs=2, ckpt=tmp_path / "one.ckpt")
    record = Record(tmp_path / "record.jsonl")
    assert [line["first_step"] for line in record.of("recorder")] == [0, 16]
    assert series(tmp_path, "loss")[0] == list(range(1, 33))
    assert [line["end"] for line in record.of("end")] == ["finished", "finished"]


class Called(Lesson):
    """Calls itself as a whole; trained by ``ddp``, within a call of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * self.scale

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


def test_a_module_that_is_called_within_its_own_call(tmp_path: Path) -> None:
    """As ``ddp`` does it. With one process alone: gloo now and then hangs or aborts where there are more."""
    settings = {"strategy": "ddp", "devices": 1, "max_epochs": 1, "limit_val_batches": 0}
    with mock.patch.dict(os.environ):
        try:
            fit(Called(), tmp_path, LightningRecorder(every=4), **settings)
        finally:
            torch.distributed.destroy_process_group()
            torch.set_num_threads(1)
    record = Record(tmp_path / "record.jsonl")
    assert record.notes == []
    assert record.sampled == [0, 1, 4, 8, 12, 16]
    assert {"activation/net.1", "input/x", "output/output", "update/scale"} <= set(record.titles(8))


class TwoPlayers(pl.LightningModule):
    """Steps two optimizers by hand, and calls its layers itself, never a module as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.parts = nn.ModuleDict({"first": nn.Linear(FEATURES, 8), "second": nn.Linear(8, CLASSES)})

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        for optimizer in self.optimizers():
            hidden = torch.relu(self.parts["first"](batch[0]))
            loss = nn.functional.cross_entropy(self.parts["second"](hidden), batch[1])
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        self.log("train_loss", loss)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(part.parameters(), 1e-2) for part in self.parts.values()]


def test_manual_optimization_of_two_optimizers(tmp_path: Path) -> None:
    module = TwoPlayers()
    fit(module, tmp_path, LightningRecorder(every=8), max_epochs=1)
    record = Record(tmp_path / "record.jsonl")
    assert series(tmp_path, "train_loss")[0] == list(range(1, 17))
    assert record.sampled == [0, 1, 8, 16]
    titles = set(record.titles(8))
    assert {"activation/parts.first", "activation/parts.second", "update/parts.first.weight"} <= titles


def test_the_older_package_is_served_as_well(tmp_path: Path) -> None:
    older = pytest.importorskip("pytorch_lightning")

    class Older(older.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(FEATURES, CLASSES)

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), 1e-2)

    recorder = LightningRecorder()
    assert all(isinstance(recorder, kind) for kind in (LightningRecorder, pl.Callback, older.Callback))
    fit(Older(), tmp_path, recorder, package=older, max_epochs=1)
    assert series(tmp_path, "loss")[0] == list(range(1, 17))


def test_a_copy_is_a_callback_of_its_own(tmp_path: Path) -> None:
    recorder = LightningRecorder(every=10)
    fit(lesson(), tmp_path / "first", recorder, max_epochs=1)
    copy = pickle.loads(pickle.dumps(recorder))
    fit(lesson(), tmp_path / "second", copy, max_epochs=1)
    assert series(tmp_path / "second", "loss") == series(tmp_path / "first", "loss")


def test_a_logger_tells_the_folder(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path, name="log", version="one")
    fit(lesson(), tmp_path, LightningRecorder(), max_epochs=1, logger=logger, log_every_n_steps=1)
    assert (tmp_path / "log" / "one" / "record.jsonl").exists()


def test_an_exception_ends_the_record_and_passes(tmp_path: Path) -> None:
    class Broken(Lesson):
        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            if index == 5:
                raise RuntimeError("a shape is wrong")
            return super().training_step(batch, index)

    with pytest.raises(RuntimeError, match="a shape is wrong"):
        fit(Broken(), tmp_path, LightningRecorder())
    assert Record(tmp_path / "record.jsonl").of("end")[0]["end"] == "RuntimeError"


def test_a_run_that_fails_is_stopped_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So small a training is over before it has been long enough for a second check.
    monkeypatch.setattr("convergence_cli.recorder.checking.SHARE", 0.0)
    with pytest.raises(TrainingStopped):
        fit(lesson(rate=300.0, warmup=1), tmp_path, LightningRecorder(every=10, on_error="stop"), max_epochs=60)
    assert Record(tmp_path / "record.jsonl").of("end")[0]["end"] == "TrainingStopped"


def test_a_failure_never_reaches_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(RecorderWarning) as caught:
        trainer = fit(lesson(), tmp_path, LightningRecorder(out=tmp_path / "file" / "run"), max_epochs=1)
    assert trainer.global_step == 16
    assert [one.category for one in caught].count(RecorderWarning) == 1

    class Failing(LightningRecorder):
        def _new(self, trainer: Any) -> dict[str, Any]:
            raise KeyError("what Lightning calls otherwise one day")

    with pytest.warns(RecorderWarning, match="recorder is off: KeyError") as caught:
        trainer = fit(lesson(), tmp_path / "other", Failing(), max_epochs=1)
    assert trainer.global_step == 16
    assert [one.category for one in caught].count(RecorderWarning) == 1
    assert Record(tmp_path / "other" / "record.jsonl").of("end")[0]["end"] == "KeyError"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LightningRecorder(every=0), ValueError, "every must be a whole number"),
        (lambda: LightningRecorder(every=True), ValueError, "every must be a whole number"),
        (lambda: LightningRecorder(out=3), TypeError, "out must be the folder"),
        (lambda: LightningRecorder(raw="fc1.*"), TypeError, "raw must be a list"),
        (lambda: LightningRecorder(ranks="second"), ValueError, "ranks must be"),
        (lambda: LightningRecorder(on_error="ignore"), ValueError, "on_error must be"),
        (lambda: LightningRecorder(config=[1]), TypeError, "config must be a dictionary"),
    ],
)
def test_arguments_are_checked_at_once(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
