"""What is recorded of each kind of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from recorder.reading import Record, recorded
from recorder.trainings import CASES, STEPS
from torch import nn
from torch.nn import functional

from convergence_cli import Recorder
from convergence_cli.recorder import parameters

pytestmark = [
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*use_reentrant.*"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def kinds(record: Record, step: float) -> set[str]:
    return {title.partition("/")[0] for title in record.titles(step)}


def activations(record: Record, step: float = 5) -> dict[str, str]:
    """The recorded activations and their functions."""
    titles = [title for title in record.titles(step) if title.startswith("activation/")]
    return {title.partition("/")[2]: record.declared[title].get("function", "") for title in titles}


@pytest.mark.parametrize("name", CASES)
def test_each_step_is_there_once_and_the_sampled_ones_have_weights(name: str, tmp_path: Path) -> None:
    record = recorded(name, tmp_path)
    assert list(record.steps) == list(range(1, STEPS + 1))
    assert [step for step in record.sampled if step >= 5] == [5, 10]
    for step in (5, 10):
        assert {"weight", "gradient"} <= kinds(record, step)
        pairs = {title.partition("/") for title in record.titles(step)}
        assert {name for kind, _, name in pairs if kind == "gradient"} <= {
            name for kind, _, name in pairs if kind == "weight"
        }
    assert all(one["tensor"] in record.declared for one in record.of("tensor"))
    assert record.lines[-1] == record.lines[-1] | {"end": "finished", "step": STEPS}


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("compiled")])
def test_all_kinds_of_tensors_are_there(name: str, tmp_path: Path) -> None:
    expected = {"weight", "gradient", "activation", "input", "output"} | ({"update"} if name != "lazy" else set())
    if name == "closure":
        # A single layer: what it gives out is the output.
        expected.remove("activation")
    record = recorded(name, tmp_path)
    assert kinds(record, 5) == expected
    assert record.notes == []


def test_weights_before_training_are_step_0(tmp_path: Path) -> None:
    record = recorded("dropout", tmp_path)
    assert record.titles(0) == ["weight/0.weight", "weight/0.bias", "weight/3.weight", "weight/3.bias"]
    assert record.rows["weight/0.weight", 0]["bits"] == record.rows["weight/0.weight", 1]["bits"]
    assert record.rows["weight/0.weight", 1]["bits"] != record.rows["weight/0.weight", 5]["bits"]


def test_frozen_weights_are_recorded_as_long_as_they_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = recorded("frozen", tmp_path / "few")
    assert record.rows["weight/0.weight", 0]["bits"] == record.rows["weight/0.weight", 10]["bits"]
    assert record.rows["weight/0.weight", 10]["change"] == 0
    assert ("gradient/0.weight", 5) not in record.rows
    monkeypatch.setattr(parameters, "MOST_FROZEN", 100)
    record = recorded("frozen", tmp_path / "many")
    assert ("weight/0.weight", 0) in record.rows
    assert ("weight/0.weight", 5) not in record.rows
    assert ("weight/3.weight", 5) in record.rows
    assert record.lines[0]["trainable"] == 16 * 4 + 4
    assert record.lines[0]["parameters"] == 16 * 10 + 16 + 16 * 4 + 4


def test_a_shared_weight_is_recorded_once(tmp_path: Path) -> None:
    names = [title.partition("/")[2] for title in recorded("shared_weights", tmp_path).titles(5)]
    assert "embedding.weight" in names
    assert "head.weight" not in names
    assert len([name for name in names if name == "embedding.weight"]) == 3


def test_functions_that_are_no_modules_are_activations_of_the_layer_before(tmp_path: Path) -> None:
    record = recorded("tuple_outputs", tmp_path)
    assert activations(record)["first.relu"] == "relu"
    assert record.declared["activation/first.relu"]["layer"] == "first"
    assert record.rows["activation/first.relu", 5]["min"] == 0
    transformer = recorded("shared_weights", tmp_path / "transformer")
    assert activations(transformer)["block.linear1.relu"] == "relu"


def test_modules_tell_their_functions(tmp_path: Path) -> None:
    found = activations(recorded("inplace_relu", tmp_path))
    # What a normalisation gives out is told by its weights.
    assert found == {"0": "linear", "2": "relu", "3": "linear", "4": "relu", "6": "linear"}


def test_a_relu_in_place_does_not_change_what_was_recorded_before_it(tmp_path: Path) -> None:
    record = recorded("inplace_relu", tmp_path)
    assert record.rows["activation/0", 5]["min"] < 0
    assert record.rows["activation/3", 5]["min"] < 0
    assert record.rows["activation/2", 5]["min"] == 0
    assert record.declared["activation/2"]["units"] == 4
    assert record.rows["activation/2", 5]["samples"] == 16 * 8 * 8


def test_a_step_of_accumulation_is_one_step_with_the_mean_of_its_losses(tmp_path: Path) -> None:
    record = recorded("accumulation", tmp_path)
    assert list(record.steps) == list(range(1, STEPS + 1))
    assert record.rows["input/x", 5]["samples"] == 8


def test_steps_that_the_scaler_skips_are_counted_and_gradients_are_unscaled(tmp_path: Path) -> None:
    record = recorded("grad_scaler", tmp_path)
    assert list(record.steps) == list(range(1, STEPS + 1))
    # The first step was skipped: the second is the first with gradients.
    assert record.titles(1) == []
    gradient = record.rows["gradient/3.weight", 2]
    assert max(abs(gradient["min"]), abs(gradient["max"])) < 1e4
    assert "nan" not in gradient


def test_half_precision_is_recorded_as_it_is(tmp_path: Path) -> None:
    record = recorded("bfloat16", tmp_path)
    assert record.declared["weight/0.weight"]["dtype"] == "bfloat16"
    assert record.declared["activation/1"]["dtype"] == "bfloat16"
    cast = recorded("autocast", tmp_path / "autocast")
    assert cast.declared["weight/0.weight"]["dtype"] == "float32"
    assert cast.declared["activation/0"]["dtype"] == "bfloat16"


def test_a_sparse_gradient_has_the_zeros_that_it_does_not_store(tmp_path: Path) -> None:
    record = recorded("sparse_gradients", tmp_path)
    gradient = record.rows["gradient/embedding.weight", 5]
    assert record.declared["gradient/embedding.weight"]["shape"] == [2000, 16]
    assert gradient["zero"] >= (2000 - 16 * 5) * 16
    assert gradient["dead"] >= 1 - 16 * 5 / 2000
    assert gradient["q"][1:6] == [0, 0, 0, 0, 0]
    assert 0 < gradient["std"] < gradient["max"]


def test_several_models_are_told_apart(tmp_path: Path) -> None:
    record = recorded("several_optimizers", tmp_path)
    assert {"weight/generator.0.weight", "weight/critic.0.weight", "update/critic.0.weight"} <= set(record.titles(5))
    assert record.steps[STEPS].keys() >= {"critic_loss", "generator_loss"}


def test_a_compiled_model_is_recorded_from_outside_and_says_so(tmp_path: Path) -> None:
    record = recorded("compiled", tmp_path)
    assert kinds(record, 5) == {"weight", "gradient", "update", "input", "output"}
    assert "weight/0.weight" in record.titles(5)
    assert len(record.notes) == 1
    assert "compiled" in record.notes[0]
    inside = recorded("compiled_inside", tmp_path / "inside")
    assert kinds(inside, 5) == {"weight", "gradient", "update"}
    assert len(inside.notes) == 1


def test_forked_workers_write_nothing(tmp_path: Path) -> None:
    record = recorded("data_loader_workers", tmp_path)
    assert [one["step"] for one in record.of("step")] == list(range(1, STEPS + 1))
    assert len(record.of("end")) == 1


def test_classes_are_counted_though_the_loss_is_a_function(tmp_path: Path) -> None:
    record = recorded("dropout", tmp_path)
    (labels,) = [one for one in record.of("labels") if one["step"] == 5]
    assert labels["values"] == [0, 1, 2, 3]
    assert sum(labels["counts"]) == 32
    (confusion,) = [one for one in record.of("confusion") if one["step"] == 5]
    assert sum(count for _, _, count in confusion["cells"]) == 32
    rows = [sum(count for label, _, count in confusion["cells"] if label == value) for value in range(4)]
    assert rows == labels["counts"]


def test_tokens_of_integer_inputs_are_counted(tmp_path: Path) -> None:
    (tokens,) = [one for one in recorded("shared_weights", tmp_path).of("tokens") if one["step"] == 5]
    assert tokens["tokens"] == "given"
    assert tokens["positions"] == 8 * 12


def test_settings_of_optimizer_and_model_are_there(tmp_path: Path) -> None:
    record = recorded("inplace_relu", tmp_path, config={"batch_size": 16, "note": "mine"})
    assert record.config["optimizer"] == "SGD"
    assert record.config["learning_rate"] == 0.05
    assert record.config["momentum"] == 0.9
    assert record.config["batch_size"] == 16
    (layers,) = record.of("layers")
    assert layers["layers"][0] == ["0", "Conv2d", 40]
    assert record.steps[10]["samples_per_second"] == pytest.approx(16 * record.steps[10]["steps_per_second"])


class Shifting(nn.Module):
    """A language model that is given its labels, and shifts them itself."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(12, 12), nn.Linear(12, 12)
        with torch.no_grad():
            # Each token is sure to be followed by the next number.
            self.embedding.weight.copy_(torch.eye(12) * 5)
            self.head.weight.copy_(torch.eye(12).roll(1, 0))

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.head(self.embedding(input_ids))
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return {"loss": loss, "logits": logits}


def test_labels_that_a_model_shifts_are_compared_with_what_they_are_compared_with(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Shifting()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    tokens = (torch.arange(8)[:, None] + torch.arange(10)) % 12
    with Recorder(model, optimizer, out=tmp_path) as recorder:
        loss = model(tokens, labels=tokens)["loss"]
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    (confusion,) = Record(tmp_path / "record.jsonl").of("confusion")
    assert all(label == predicted for label, predicted, _ in confusion["cells"])
    assert sum(count for *_, count in confusion["cells"]) == 8 * 9
