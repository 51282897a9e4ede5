"""``HuggingFaceRecorder`` in real trainings of transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import torch
import transformers
from recorder.reading import Record
from torch import Tensor
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from convergence_cli.recorder.huggingface import HuggingFaceRecorder
from convergence_cli.recorder.journal import RecorderWarning
from integrations.lessons import moments, report_on, series, troubles

VOCABULARY, LENGTH, CLASSES = 24, 16, 3


class Sentences(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Token ids whose class is told by their first; for a language model each is told by the one before."""

    def __init__(self, count: int, seed: int, *, language: bool = False) -> None:
        generator = torch.Generator().manual_seed(seed)
        start = torch.randint(0, VOCABULARY, (count, 1), generator=generator)
        self.ids = (start + 5 * torch.arange(LENGTH)) % VOCABULARY
        self.labels = self.ids if language else start[:, 0] % CLASSES

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


class Watch(TrainerCallback):
    """What the optimizer is given at each step, and what the trainer logs."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.gradients: list[dict[str, Any]] = []
        self.logged: list[dict[str, Any]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.rates.append(given["optimizer"].param_groups[0]["lr"])
        self.gradients.append(moments(dict(given["model"].named_parameters())["classifier.weight"].grad))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        self.logged.append({"step": state.global_step, **logs})


def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=LENGTH, num_labels=CLASSES,
        )
    )  # fmt: skip


def gpt() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
        )
    )


def train(model: Any, folder: Path, *callbacks: Any, resume: bool = False, **settings: Any) -> Trainer:
    """The trainer after ``train``; 20 steps at least, with an evaluation each ten."""
    arguments = TrainingArguments(
        **{
            "output_dir": str(folder), "max_steps": 60, "learning_rate": 2e-3, "per_device_train_batch_size": 16,
            "lr_scheduler_type": "linear", "warmup_steps": 5, "logging_steps": 4, "eval_strategy": "steps",
            "eval_steps": 20, "save_strategy": "no", "use_cpu": True, "report_to": [], "disable_tqdm": True, "seed": 3,
            "dataloader_pin_memory": False, **settings,
        }
    )  # fmt: skip
    language = isinstance(model, GPT2LMHeadModel)
    data = [Sentences(512, 0, language=language), Sentences(64, 1, language=language)]
    trainer = Trainer(model, arguments, train_dataset=data[0], eval_dataset=data[1], callbacks=list(callbacks))
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Watch, Path]:
    folder, watch = tmp_path_factory.mktemp("healthy"), Watch()
    train(bert(), folder, watch, HuggingFaceRecorder(every=20), max_grad_norm=0.5)
    return watch, folder


def test_a_healthy_run_is_called_so(healthy: tuple[Watch, Path]) -> None:
    report = report_on(healthy[1])
    assert report.verdict.label == "converging"
    assert troubles(report) == []


def test_scalars_are_those_of_the_trainer(healthy: tuple[Watch, Path]) -> None:
    watch, folder = healthy
    for logged, name in (("loss", "loss"), ("eval_loss", "eval_loss"), ("grad_norm", "grad_norm/unclipped")):
        expected = [(one["step"], one[logged]) for one in watch.logged if logged in one]
        steps, values = series(folder, name)
        assert list(zip(steps, values, strict=True)) == [(step, pytest.approx(value)) for step, value in expected]
    record = Record(folder / "record.jsonl")
    # The trainer logs the rate of the coming step; each line here has that of its own.
    assert {line["step"] for line in record.of("step")} == set(range(1, 61))
    for line in record.of("step"):
        assert line["learning_rate"] == pytest.approx(watch.rates[line["step"] - 1])
        assert not set(line) & {"epoch", "total_flos", "train_loss", "train_runtime", "eval_runtime"}


def test_settings_are_found(healthy: tuple[Watch, Path]) -> None:
    config = Record(healthy[1] / "record.jsonl").config
    expected = {
        "optimizer": "AdamW", "learning_rate": 2e-3, "per_device_train_batch_size": 16, "max_steps": 60,
        "gradient_accumulation_steps": 1, "weight_decay": 0.0, "warmup_steps": 5, "lr_scheduler_type": "linear",
        "max_grad_norm": 0.5, "seed": 3, "transformers_version": transformers.__version__,
    }  # fmt: skip
    assert expected == {name: config.get(name) for name in expected}


def test_tensors_are_those_of_their_step(healthy: tuple[Watch, Path]) -> None:
    """Gradients are what the optimizer was given: of this step, and clipped."""
    watch, folder = healthy
    record = Record(folder / "record.jsonl")
    assert record.sampled == [0, 1, 20, 40, 60]
    for step in record.sampled[1:]:
        for name, value in watch.gradients[step - 1].items():
            found = record.rows["gradient/classifier.weight", step].get(name)
            assert found == pytest.approx(value, rel=1e-3, abs=1e-6), (step, name)
        assert {title.partition("/")[0] for title in record.titles(step)} == {
            "weight", "gradient", "update", "activation", "output", "input", "label",
        }  # fmt: skip
    assert "output/logits" in record.declared
    assert record.of("labels")[0]["values"] == list(range(CLASSES))
    assert record.of("tokens")[0]["tokens"] == "input_ids"


def test_a_rate_too_high_is_found(tmp_path: Path) -> None:
    settings = {"learning_rate": 3.0, "optim": "sgd", "max_grad_norm": 0.0, "lr_scheduler_type": "constant"}
    train(gpt(), tmp_path, HuggingFaceRecorder(every=10), logging_steps=1, **settings)
    report = report_on(tmp_path)
    assert report.verdict.label in ("diverging", "stuck")
    assert report.causes[0].name == "learning-rate-too-high"


@pytest.mark.parametrize("settings", [{}, {"gradient_accumulation_steps": 3}], ids=["plain", "accumulating"])
def test_the_weights_are_the_same_with_and_without(settings: dict[str, Any], tmp_path: Path) -> None:
    models = [bert(), bert()]
    train(models[0], tmp_path, HuggingFaceRecorder(every=3), max_steps=12, **settings)
    train(models[1], tmp_path / "without", max_steps=12, **settings)
    assert (tmp_path / "record.jsonl").exists()
    for one, other in zip(*(model.state_dict().values() for model in models), strict=True):
        assert torch.equal(one, other)


def test_steps_are_those_of_the_optimizer_under_accumulation(tmp_path: Path) -> None:
    watch = Watch()
    settings = {"gradient_accumulation_steps": 4, "max_steps": 12, "logging_steps": 1}
    train(bert(), tmp_path, watch, HuggingFaceRecorder(every=5), **settings)
    assert series(tmp_path, "loss")[0] == list(range(1, 13))
    record = Record(tmp_path / "record.jsonl")
    assert record.sampled == [0, 1, 5, 10]
    for step in (1, 5, 10):
        for name, value in watch.gradients[step - 1].items():
            found = record.rows["gradient/classifier.weight", step].get(name)
            assert found == pytest.approx(value, rel=1e-3, abs=1e-6), (step, name)


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    settings = {"save_strategy": "steps", "save_steps": 10}
    train(bert(), tmp_path, HuggingFaceRecorder(every=10), max_steps=10, **settings)
    train(bert(), tmp_path, HuggingFaceRecorder(every=10), max_steps=20, resume=True, **settings)
    record = Record(tmp_path / "record.jsonl")
    assert [line["first_step"] for line in record.of("recorder")] == [0, 10]
    assert record.sampled == [0, 1, 10, 10, 11, 20]
    assert list(record.steps) == list(range(1, 21))
    # The folder of the trainer has its own log as well.
    assert series(tmp_path / "record.jsonl", "loss")[0] == [4, 8, 12, 16, 20]


def test_the_class_is_enough(tmp_path: Path) -> None:
    train(gpt(), tmp_path, HuggingFaceRecorder, max_steps=4)
    record = Record(tmp_path / "record.jsonl")
    assert record.of("recorder")[0]["model"] == "GPT2LMHeadModel"
    # The trainer gives a language model the number of tokens beside its inputs.
    assert [title for title in record.declared if title.startswith("input/")] == ["input/input_ids"]


def test_another_process_than_the_first_records_nothing(tmp_path: Path) -> None:
    class SecondProcess(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            state.is_world_process_zero = False

    train(bert(), tmp_path, SecondProcess(), HuggingFaceRecorder(), max_steps=2)
    assert not (tmp_path / "record.jsonl").exists()


def test_a_failure_never_reaches_the_training(tmp_path: Path) -> None:
    class Failing(HuggingFaceRecorder):
        def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self._optimizers = None
            super().on_step_begin(args, state, control, **given)

    with pytest.warns(RecorderWarning, match="recorder is off: TypeError") as caught:
        trainer = train(bert(), tmp_path, Failing(), max_steps=4)
    assert trainer.state.global_step == 4
    assert [one.category for one in caught].count(RecorderWarning) == 1
    assert Record(tmp_path / "record.jsonl").of("end")[0]["end"] == "TypeError"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: HuggingFaceRecorder(every=-5), ValueError, "every must be a whole number"),
        (lambda: HuggingFaceRecorder(out=["run"]), TypeError, "out must be the folder"),
        (lambda: HuggingFaceRecorder(ranks=0), ValueError, "ranks must be"),
        (lambda: HuggingFaceRecorder(every="10"), ValueError, "every must be a whole number"),
    ],
)
def test_arguments_are_checked_at_once(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
