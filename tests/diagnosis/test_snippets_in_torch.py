"""The PyTorch snippets are run, on a small model, and do what they say."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from convergence_cli.diagnosis.snippet_sheets import snippet_of

torch = pytest.importorskip("torch")
Scope = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


class Pairs:
    """Samples of 6 features, 9 of class 0 for each one of class 1."""

    def __init__(self, count: int = 100) -> None:
        torch.manual_seed(0)
        self.inputs = 20 + 5 * torch.randn(count, 6)
        self.targets = (torch.arange(count) % 10 == 0).long()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        return self.inputs[place], self.targets[place]


def _model(*tail: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Linear(6, 64), nn.Sigmoid(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2), *tail)


def _scope(model: Any = None, **more: Any) -> Scope:
    """What a training script has under the names that the snippets use, after one forward pass."""
    torch.manual_seed(0)
    dataset = Pairs()
    loader = torch.utils.data.DataLoader(dataset, batch_size=20, shuffle=True)
    model = model or _model()
    criterion = torch.nn.CrossEntropyLoss()
    inputs, targets = dataset.inputs[:20], dataset.targets[:20]
    logits = model(inputs)
    names = {
        "torch": torch, "dataset": dataset, "loader": loader, "model": model, "criterion": criterion, "step": 0,
        "optimizer": torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=0.2), "inputs": inputs, "epochs": 3,
        "targets": targets, "logits": logits, "loss": criterion(logits, targets), "in_features": 6, "out_features": 2,
        "evaluate": lambda model: 1.0, "hidden_width": 16, "hidden_layers": 2,
    }  # fmt: skip
    return names | more


def run(change: Mapping[str, Any], facts: Mapping[str, Any] | None = None, **names: Any) -> Scope:
    scope = _scope(**names)
    found = snippet_of(change, "pytorch", facts)
    assert found is not None
    exec(compile(found, "<snippet>", "exec"), scope)
    return scope


def test_settings_of_the_optimizer_change_in_place_and_the_others_stay() -> None:
    (group,) = run({"learning_rate": 0.003, "beta2": 0.95})["optimizer"].param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.003, (0.9, 0.95), 0.2)
    (group,) = run({"weight_decay": 0.03})["optimizer"].param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.03)
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert run({"momentum": 0.8}, model=model, optimizer=optimizer)["optimizer"].param_groups[0]["momentum"] == 0.8
    adam = run({"momentum": 0.8}, {"optimizer": "adamw"})["optimizer"]
    assert adam.param_groups[0]["betas"] == (0.8, 0.999)


def test_a_new_optimizer_has_the_settings_of_the_change() -> None:
    optimizer = run({"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.001})["optimizer"]
    assert isinstance(optimizer, torch.optim.SGD)
    assert [optimizer.defaults[key] for key in ("lr", "momentum", "weight_decay")] == [0.02, 0.9, 0.001]
    for name in ("Adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta", "adafactor"):
        assert run({"optimizer": name})["optimizer"].param_groups


def _rates(scope: Scope, name: str, count: int) -> list[float]:
    rates = []
    for _ in range(count):
        rates.append(scope["optimizer"].param_groups[0]["lr"])
        scope["optimizer"].step()
        scope[name].step()
    return rates


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step:UserWarning", "ignore:The epoch parameter:UserWarning")
def test_schedules_rise_and_fall_where_they_should() -> None:
    rates = _rates(run({"learning_rate": 0.1, "warmup_steps": 10}), "warmup", 20)
    assert rates[0] < 0.03
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.1)
    for shape in ("cosine", "linear"):
        rates = _rates(run({"lr_schedule": shape, "max_steps": 40, "learning_rate": 0.1}), "scheduler", 39)
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] < 0.01
        both = {"lr_schedule": shape, "warmup_steps": 10, "max_steps": 40, "learning_rate": 0.1}
        rates = _rates(run(both), "scheduler", 39)
        assert 8 <= rates.index(max(rates)) <= 10
        assert max(rates) == pytest.approx(0.1)
        assert rates[0] < 0.03
        assert rates[-1] < 0.01
    # 3 epochs of 5 batches.
    assert _rates(run({"lr_schedule": "cosine", "epochs": 3}), "scheduler", 15)[-1] < 0.02
    assert set(_rates(run({"lr_schedule": "constant"}), "scheduler", 9)) == {0.5}
    scope = run({"lr_schedule": "plateau"})
    for _ in range(12):
        scope["scheduler"].step(1.0)
    assert scope["optimizer"].param_groups[0]["lr"] == pytest.approx(0.05)


def _gradient_norm(scope: Scope) -> float:
    return math.sqrt(sum(float(p.grad.square().sum()) for p in scope["model"].parameters() if p.grad is not None))


def _weights(scope: Scope) -> Any:
    return torch.cat([p.detach().flatten().clone() for p in scope["model"].parameters()])


def _large(scope: Scope) -> None:
    scope["loss"] = 1e3 * scope["loss"]


def _with(change: Mapping[str, Any], prepare: Callable[[Scope], None]) -> tuple[Scope, Any]:
    scope = _scope()
    prepare(scope)
    before = _weights(scope)
    exec(snippet_of(change, "pytorch") or "", scope)
    return scope, before


def test_the_loop_clears_clips_skips_and_accumulates() -> None:
    scope, before = _with({"gradient_clip_norm": 0.25}, _large)
    assert _gradient_norm(scope) == pytest.approx(0.25, rel=1e-4)
    assert not torch.equal(before, _weights(scope))

    def stale(scope: Scope) -> None:
        for parameter in scope["model"].parameters():
            parameter.grad = torch.full_like(parameter, 100.0)

    fresh, _ = _with({"zero_grad": True}, lambda scope: None)
    cleared, _ = _with({"zero_grad": True}, stale)
    assert _gradient_norm(cleared) == pytest.approx(_gradient_norm(fresh))

    def broken(scope: Scope) -> None:
        scope["loss"] = scope["loss"] * float("inf")

    for also in ({}, {"zero_grad": True}, {"gradient_clip_norm": 1.0}):
        scope, before = _with({"skip_nonfinite": True, **also}, broken)
        assert torch.equal(before, _weights(scope))
        scope, before = _with({"skip_nonfinite": True, **also}, lambda scope: None)
        assert not torch.equal(before, _weights(scope))

    waits, before = _with({"gradient_accumulation_steps": 4}, lambda scope: None)
    assert torch.equal(before, _weights(waits))
    assert _gradient_norm(waits) == pytest.approx(_gradient_norm(fresh) / 4)
    for also in ({}, {"gradient_clip_norm": 0.5}, {"zero_grad": True}, {"skip_nonfinite": True}):
        steps, before = _with({"gradient_accumulation_steps": 4, **also}, lambda scope: scope.update(step=3))
        assert not torch.equal(before, _weights(steps))
        assert all(p.grad is None for p in steps["model"].parameters())


def test_batches_epochs_and_skips() -> None:
    assert next(iter(run({"batch_size": 8})["loader"]))[0].shape == (8, 6)
    assert run({"epochs": 17})["epochs"] == 17
    assert run({"max_steps": 900})["max_steps"] == 900
    assert len(list(run({"skip_batches": 2})["batches"])) == 3
    ordered = run({"batching": "by-length"})["loader"]
    assert sum(len(targets) for _, targets in ordered) == 100


def test_early_stopping_stops_and_goes_back_to_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = _model()
    losses = [3.0, 1.0, 2.0, 1.5, 1.2, 0.1]
    seen = []

    def train_and_evaluate(epoch: int) -> float:
        seen.append(epoch)
        with torch.no_grad():
            model[0].bias.fill_(epoch)
        return losses[epoch]

    run({"early_stopping": 3}, model=model, epochs=6, train_and_evaluate=train_and_evaluate)
    assert seen == [0, 1, 2, 3, 4]
    assert float(model[0].bias[0].detach()) == 1.0


def test_it_resumes_before_a_new_rate_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = _scope()
    state = {"model": saved["model"].state_dict(), "optimizer": saved["optimizer"].state_dict()}
    torch.save(state, "checkpoint-4000.pt")
    torch.save(state, 'odd".pt')
    model = _model()
    scope = run({"learning_rate": 0.01, "resume_from_step": 4000.0}, model=model)
    assert torch.equal(_weights(scope), _weights(saved))
    assert scope["optimizer"].param_groups[0]["lr"] == 0.01
    run({"resume_from_step": 4000}, {"checkpoint": 'odd".pt'})


def test_all_parameters_train() -> None:
    model = _model()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    scope = run({"trainable": "all"}, model=model, optimizer=optimizer)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in scope["model"].parameters()}
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "kind"), [("relu", "ReLU"), ("leaky_relu", "LeakyReLU"), ("gelu", "GELU"), ("silu", "SiLU")]
)
def test_hidden_activations_change_and_that_of_the_output_stays(name: str, kind: str) -> None:
    model = run({"activation": name}, model=_model(torch.nn.Sigmoid()))["model"]
    assert [type(module).__name__ for module in model][1::2] == [kind, kind, "Sigmoid"]
    shared = torch.nn.Tanh()
    twice = torch.nn.Sequential(torch.nn.Linear(6, 4), shared, torch.nn.Linear(4, 4), shared, torch.nn.Linear(4, 2))
    assert [type(m).__name__ for m in run({"activation": name}, model=twice)["model"]][1::2] == [kind, kind]


def test_weights_are_drawn_as_the_papers_say() -> None:
    layer = run({"weight_init": "he", "bias_init": "zeros", "activation": "relu"})["model"][2]
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / 64), rel=0.05)
    assert not layer.bias.any()
    layer = run({"weight_init": "xavier"})["model"][2]
    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / 128), rel=0.05)
    layer = run({"weight_init": "orthogonal"})["model"][2]
    assert torch.allclose(layer.weight @ layer.weight.T, torch.eye(64), atol=1e-5)
    for facts in (None, {"class_counts": {"0": 90, "1": 10}}):
        scope = run({"weight_init": "zeros_last_layer", "bias_init": "log_class_prior"}, facts)
        prior = scope["model"](scope["inputs"]).softmax(-1)[0]
        assert prior.tolist() == pytest.approx([0.9, 0.1], rel=1e-5)


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_hidden_layers_are_normalized(kind: str) -> None:
    nn = torch.nn
    scope = run({"normalization": kind})
    hidden = scope["model"][0](scope["inputs"])
    assert hidden.mean(0 if kind == "batch" else 1).abs().max() < 1e-4
    assert type(scope["model"][4]) is nn.Linear
    images = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 2))
    scope = _scope() | {"model": images}
    exec(snippet_of({"normalization": kind}, "pytorch") or "", scope)
    assert images(torch.randn(4, 3, 6, 6)).shape == (4, 2)
    assert len(images[0]) == 2


def test_attention_scores_and_embeddings_are_bounded() -> None:
    q, k, v = (1e4 * torch.randn(2, 4, 5, 16) for _ in range(3))
    scope = run({"normalization": "qk"}, q=q, k=k, v=v)
    scores = scope["q"] @ scope["k"].transpose(-1, -2) / 4
    assert scores.abs().max() <= 4.001
    model = torch.nn.Sequential(torch.nn.Embedding(9, 32), torch.nn.Flatten(), torch.nn.Linear(96, 2))
    torch.nn.init.normal_(model[0].weight, std=50.0)
    scope = _scope() | {"model": model}
    exec(snippet_of({"normalization": "embedding"}, "pytorch") or "", scope)
    assert float(model[0](torch.arange(3)).std().detach()) == pytest.approx(1.0, rel=0.05)


def test_residual_dropout_and_width() -> None:
    model = _model()
    with torch.no_grad():
        model[2].weight.zero_()
        model[2].bias.zero_()
    x = torch.randn(3, 64)
    assert torch.equal(run({"residual": True}, model=model)["model"][2](x), x)
    model = run({"dropout": 0.4}, model=_model())["model"]
    assert [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)] == [0.4, 0.4]
    assert [m.p for m in run({"dropout": 0.1}, {"dropout": 0.4}, model=model)["model"].modules()
            if isinstance(m, torch.nn.Dropout)] == [0.1, 0.1]  # fmt: skip
    model = run({"hidden_width": 48, "hidden_layers": 3})["model"]
    assert [tuple(m.weight.shape) for m in model if isinstance(m, torch.nn.Linear)] == [
        (48, 6), (48, 48), (48, 48), (2, 48)]  # fmt: skip


def test_losses_are_those_of_the_papers() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    p = logits.softmax(1)[:, 0]
    focal = run({"loss": "focal"})["criterion"](logits, targets)
    assert float(focal) == pytest.approx(float((-((1 - p) ** 2) * p.log()).mean()))
    general = run({"loss": "generalized_cross_entropy"})["criterion"](logits, targets)
    assert float(general) == pytest.approx(float(((1 - p**0.7) / 0.7).mean()))
    for name, kind in (("cross_entropy", "CrossEntropyLoss"), ("mse", "MSELoss"), ("huber", "HuberLoss"),
                       ("bce_with_logits", "BCEWithLogitsLoss")):  # fmt: skip
        assert type(run({"loss": name})["criterion"]).__name__ == kind
    assert run({"label_smoothing": 0.1})["criterion"].label_smoothing == 0.1
    scope = _scope()
    penalty = 0.001 * float(torch.logsumexp(scope["logits"], -1).square().mean().detach())
    assert float(run({"z_loss": 0.001})["loss"].detach()) == pytest.approx(float(scope["loss"].detach()) + penalty)


def test_classes_weigh_the_same() -> None:
    for facts in (None, {"class_counts": [90, 10]}):
        weight = run({"class_weight": "balanced"}, facts)["criterion"].weight
        assert weight.tolist() == pytest.approx([100 / 180, 5.0])
    assert run({"class_weight": {"1": 4.0, "0": 0.5}})["criterion"].weight.tolist() == [0.5, 4.0]
    binary = run({"class_weight": "balanced", "loss": "bce_with_logits"})["criterion"]
    assert float(binary.pos_weight) == 9.0
    focal = run({"class_weight": "balanced", "loss": "focal", "label_smoothing": 0.0})
    assert float(focal["weight"][1]) == 5.0
    for change in ({"sampling": "balanced"}, {"sampling": "balanced", "batch_size": 10}):
        targets = torch.cat([targets for _ in range(10) for _, targets in run(change)["loader"]])
        assert 0.4 < float(targets.double().mean()) < 0.6


def test_inputs_and_targets_are_standardized() -> None:
    inputs = run({"input_normalization": "standard"})["inputs"]
    assert abs(float(inputs.mean())) < 0.5
    assert 0.7 < float(inputs.std()) < 1.3
    raw = _scope()["inputs"]
    assert torch.allclose(run({"input_normalization": {"mean": 20, "std": 5.0}})["inputs"], (raw - 20) / 5)
    lists = {"mean": [1.0, 2.0, 3.0], "std": [1.0, 2.0, 4.0]}
    for shape in ((4, 3), (4, 3, 5, 5)):
        model, data = torch.nn.Identity(), torch.ones(shape)
        scope = _scope() | {"model": model, "inputs": data}
        exec(snippet_of({"input_normalization": lists}, "pytorch") or "", scope)
        assert scope["inputs"].shape == shape
        assert scope["inputs"][0, :, ...].flatten()[-1] == -0.5
    targets = run({"target_normalization": "standard"})["targets"]
    assert targets.unique().tolist() == pytest.approx([-0.1 / 0.30151, 0.9 / 0.30151], rel=1e-3)


def test_augmentation_keeps_shapes() -> None:
    scope = run({"data_augmentation": True})
    assert scope["loss"].ndim == 0
    assert scope["loss"].requires_grad
    images = torch.arange(16.0).view(1, 1, 4, 4).repeat(64, 1, 1, 1)
    scope = _scope() | {"inputs": images}
    exec(snippet_of({"data_augmentation": "flip"}, "pytorch") or "", scope)
    flipped = (scope["inputs"] != images).flatten(1).any(1)
    assert 16 < int(flipped.sum()) < 48
    assert torch.equal(scope["inputs"][flipped], images[flipped].flip(-1))
    noisy = run({"data_augmentation": "noise"})["inputs"] - _scope()["inputs"]
    assert 0 < float(noisy.std()) < 1


def test_logits_come_out_where_a_softmax_did() -> None:
    scope = run({"output": "logits"}, model=_model(torch.nn.Softmax(dim=1)))
    assert not torch.allclose(scope["model"](scope["inputs"]).sum(1), torch.ones(20))
    assert isinstance(run({"output": "logits"})["model"][-1], torch.nn.Linear)


def test_precision() -> None:
    scope = run({"precision": "bf16"})
    assert scope["loss"].isfinite()
    assert "bfloat16" in (snippet_of({"precision": "bfloat16"}, "pytorch") or "")
    half = _model().to(torch.bfloat16)
    scope = _scope() | {"model": half}
    exec(snippet_of({"precision": "float32"}, "pytorch") or "", scope)
    assert all(p.dtype == torch.float32 for p in scope["model"].parameters())


def test_data_is_repaired_and_split_by_group() -> None:
    dataset = Pairs()
    dataset.inputs[7, 2] = float("nan")
    assert len(run({"inputs": "repair"}, dataset=dataset)["dataset"]) == 99
    model = torch.nn.Sequential(torch.nn.Linear(6, 2))
    with torch.no_grad():
        # Class 0 for every sample: those of class 1 are the worst.
        model[0].weight.zero_()
        model[0].bias.copy_(torch.tensor([9.0, 0.0]))
    suspects = run({"labels": "repair"}, model=model)["suspects"]
    assert set(suspects[:10]) == set(range(0, 100, 10))
    groups = [place // 5 for place in range(100)]
    scope = run({"split": "by-group"}, groups=groups)
    parts = [{groups[place] for place in scope[name].indices} for name in ("train_set", "val_set")]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 20


def test_workers_wait_for_each_other(tmp_path: Path) -> None:
    # In a process of its own, which leaves without a teardown: gloo's destructor now and then waits for ever.
    script = f"""
import os
import torch
from diagnosis.test_snippets_in_torch import run
torch.distributed.init_process_group("gloo", init_method="file://{tmp_path}/rendezvous", rank=0, world_size=1)
scope = run({{"gradient_staleness": 0}})
assert isinstance(scope["model"], torch.nn.parallel.DistributedDataParallel)
run({{"replicas": "broadcast"}})
print("done", flush=True)
os._exit(0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.stdout == "done\n", done.stderr
