"""Every snippet of every sheet: it is Python, carries its value, leaves nothing to fill in, and merges with others."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import pytest

from convergence_cli.diagnosis.frameworks import FRAMEWORKS
from convergence_cli.diagnosis.snippet_reading import FOLDER, sheet_of
from convergence_cli.diagnosis.snippet_sheets import snippet_of

# One change for each key and value that has a meaning, and the text that must be seen of it.
CHANGES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"learning_rate": 3.7e-05}, "3.7e-05"),
    ({"optimizer": "adamw"}, "(?i)adamw"),
    ({"optimizer": "Adam"}, "(?i)adam"),
    ({"momentum": 0.87}, "0.87"),
    ({"batch_size": 48}, "48"),
    ({"epochs": 17}, "17"),
    ({"max_steps": 7100}, "7100"),
    ({"warmup_steps": 310}, "310"),
    ({"lr_schedule": "cosine"}, "(?i)cosine"),
    ({"lr_schedule": "linear"}, "(?i)linear|PolynomialDecay"),
    ({"lr_schedule": "constant"}, ""),
    ({"lr_schedule": "plateau"}, "(?i)plateau"),
    ({"gradient_clip_norm": 0.73}, "0.73"),
    ({"activation": "relu"}, "(?i)relu"),
    ({"activation": "leaky_relu"}, "(?i)leaky_?relu"),
    ({"activation": "gelu"}, "(?i)gelu"),
    ({"weight_init": "he"}, "kaiming|HeNormal"),
    ({"weight_init": "xavier"}, "xavier|Glorot"),
    ({"weight_init": "orthogonal"}, "(?i)orthogonal"),
    ({"weight_init": "zeros_last_layer"}, "zeros"),
    ({"bias_init": "zeros"}, "zeros"),
    ({"bias_init": "log_class_prior"}, "log"),
    ({"normalization": "batch"}, "(?i)batchnorm"),
    ({"normalization": "layer"}, "(?i)layernorm"),
    ({"normalization": "qk"}, "layer_norm"),
    ({"normalization": "embedding"}, "Embedding"),
    ({"residual": True}, "Residual"),
    ({"dropout": 0.23}, "0.23"),
    ({"weight_decay": 0.034}, "0.034"),
    ({"early_stopping": 6}, "6"),
    ({"data_augmentation": True}, "mixup"),
    ({"data_augmentation": "flip"}, "(?i)flip"),
    ({"data_augmentation": "noise"}, "randn|Noise"),
    ({"class_weight": "balanced"}, "(?i)bincount|balanced"),
    ({"class_weight": {"0": 0.55, "1": 5.25}}, "5.25"),
    ({"sampling": "balanced"}, "bincount"),
    ({"loss": "focal"}, "gamma"),
    ({"loss": "cross_entropy"}, "(?i)crossentropy|softprob|multiclass"),
    ({"loss": "bce_with_logits"}, "(?i)bce|binary|logloss"),
    ({"loss": "mse"}, "(?i)mse|squared|regression|rmse"),
    ({"loss": "huber"}, "(?i)huber"),
    ({"loss": "generalized_cross_entropy"}, "0.7"),
    ({"loss": "z-loss-1e-4"}, "0.0001"),
    ({"input_normalization": "standard"}, "mean"),
    ({"input_normalization": {"mean": 33.25, "std": 78.5}}, "33.25.*78.5"),
    ({"input_normalization": {"mean": [0.485, 0.456], "std": [0.229, 0.224]}}, "0.485, 0.456"),
    ({"target_normalization": "standard"}, "mean"),
    ({"target_normalization": {"mean": 151.5, "std": 77.25}}, "151.5.*77.25"),
    ({"output": "logits"}, "Identity|linear"),
    ({"zero_grad": True}, "zero_grad|clears the gradients"),
    ({"resume_from_step": 4200.0}, r"4200\b(?!\.0)"),
    ({"trainable": "all"}, "requires_grad_|trainable"),
    ({"precision": "bf16"}, "bf(loat)?16"),
    ({"precision": "float32"}, "float|32|bf16=False"),
    ({"skip_nonfinite": True}, "isfinite"),
    ({"beta2": 0.955}, "0.955"),
    ({"adam_beta2": 0.955}, "0.955"),
    ({"z_loss": 0.0002}, "0.0002"),
    ({"gradient_accumulation_steps": 8}, "8"),
    ({"hidden_width": 384}, "384"),
    ({"hidden_layers": 5}, "5"),
    ({"label_smoothing": 0.12}, "0.12"),
    ({"gradient_staleness": 0}, "Distributed|ddp"),
    ({"replicas": "broadcast"}, "broadcast"),
    ({"labels": "repair"}, "suspects"),
    ({"split": "by-group"}, "GroupShuffleSplit"),
    ({"inputs": "repair"}, "isfinite|isinf"),
    ({"inputs": "drop-nonfinite"}, "isfinite|isinf"),
    ({"batching": "by-length"}, "length|order"),
    ({"skip_batches": 230}, "230"),
    ({"max_depth": 4}, "4"),
)
# What a framework has no setting for. Whatever is missing here and not written fails the test.
_TREES_LACK = {
    "optimizer", "momentum", "batch_size", "warmup_steps", "lr_schedule", "gradient_clip_norm", "activation",
    "weight_init", "bias_init", "normalization", "residual", "data_augmentation", "sampling", "input_normalization",
    "target_normalization", "output", "zero_grad", "trainable", "precision", "skip_nonfinite", "beta2", "adam_beta2",
    "z_loss", "gradient_accumulation_steps", "hidden_width", "hidden_layers", "label_smoothing", "gradient_staleness",
    "replicas", "labels", "batching", "skip_batches", "loss=focal", "loss=generalized_cross_entropy",
    "loss=z-loss-1e-4",
}  # fmt: skip
LACKING: Mapping[str, set[str]] = {
    "pytorch": {"max_depth"},
    "lightning": {"max_depth", "replicas", "momentum"},
    "huggingface": {
        "max_depth", "activation", "weight_init", "bias_init", "normalization=batch", "normalization=layer",
        "normalization=embedding", "residual", "data_augmentation", "sampling", "input_normalization",
        "target_normalization", "output", "zero_grad", "skip_nonfinite", "hidden_width", "hidden_layers",
        "gradient_staleness", "replicas", "labels", "inputs", "skip_batches", "momentum",
    },
    "keras": {
        "max_depth", "max_steps", "normalization=qk", "normalization=embedding", "residual", "zero_grad",
        "skip_nonfinite", "gradient_staleness", "replicas", "batching", "skip_batches", "momentum",
    },
    "xgboost": _TREES_LACK,
    "lightgbm": _TREES_LACK,
    "catboost": _TREES_LACK | {"dropout", "inputs"},
}  # fmt: skip
# With these, momentum has a meaning.
SGD = {"optimizer": "sgd"}
PLACEHOLDER = re.compile(r"\.\.\.|<\w+>|\$\w|\{\w*value\w*\}|TODO|None,")


def _name(change: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in change.items())


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("change", "seen"), CHANGES, ids=[_name(change) for change, _ in CHANGES])
def test_a_snippet_is_code_with_the_value_and_without_a_gap(framework: str, change: dict[str, Any], seen: str) -> None:
    found = snippet_of(change, framework)
    (key, value), *_ = change.items()
    if key in LACKING[framework] or f"{key}={value}" in LACKING[framework]:
        assert found is None
        if key != "momentum":
            return
        found = snippet_of(change, framework, SGD)
        if framework in ("xgboost", "lightgbm", "catboost"):
            assert found is None
            return
    assert found is not None
    ast.parse(found)
    assert re.search(seen, found), found
    assert not PLACEHOLDER.search(found), found
    assert len(found.splitlines()) <= 12
    assert max(map(len, found.splitlines())) <= 128, found


def test_every_stage_is_placed_and_every_sheet_can_be_read() -> None:
    for framework in FRAMEWORKS:
        sheet = sheet_of(framework)
        assert sheet is not None
        used = {stage for entries in sheet.keys.values() for entry in entries for stage in entry.lines}
        assert used <= set(sheet.stages), (framework, used - set(sheet.stages))
        assert sheet.calls.keys() <= set(sheet.stages) | {"init", "loader", "criterion"}
        known = {next(iter(change)) for change, _ in CHANGES}
        assert sheet.keys.keys() <= known, (framework, sheet.keys.keys() - known)
    assert all(sheet_of(path.stem) is not None for path in FOLDER.glob("*.toml"))


def test_an_unknown_framework_is_read_as_pytorch_and_an_unknown_key_is_left_out() -> None:
    change = {"learning_rate": 0.003}
    assert snippet_of(change, "jax") == snippet_of(change, "pytorch")
    assert snippet_of(change, "../pytorch") == snippet_of(change, "pytorch")
    assert snippet_of({"flux": 1.0}, "pytorch") is None
    assert snippet_of({"flux": 1.0, **change}, "pytorch") == snippet_of(change, "pytorch")
    assert snippet_of({}, "pytorch") is None
    assert snippet_of({"learning_rate": float("nan")}, "pytorch") is None


def test_no_text_of_a_log_becomes_code() -> None:
    evil = {"checkpoint": 'x")\nimport os  # $learning_rate', "optimizer": "sgd(); import os", "epochs": "1; import os"}
    for framework in FRAMEWORKS:
        for change in ({"resume_from_step": 7}, {"weight_decay": 0.1}, {"lr_schedule": "cosine"}):
            found = snippet_of(change, framework, evil) or ""
            assert not any(
                alias.name == "os"
                for node in ast.walk(ast.parse(found))
                if isinstance(node, ast.Import)
                for alias in node.names
            ), found


def test_what_the_run_had_is_said_again_where_an_optimizer_is_built_anew() -> None:
    facts = {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0005}
    for framework in ("lightning", "keras"):
        kept = snippet_of({"weight_decay": 0.01}, framework, facts) or ""
        assert "SGD(" in kept
        assert "momentum=0.9" in kept
        assert "=0.1" in kept
        assert kept.count("weight_decay=") == 1
        # Of another optimizer they say nothing.
        changed = snippet_of({"optimizer": "adamw"}, framework, facts) or ""
        assert "momentum" not in changed
        assert "AdamW(" in changed
        assert "0.0005" not in changed


def test_a_new_length_replaces_the_old_one_of_another_unit() -> None:
    change = {"epochs": 30, "lr_schedule": "cosine"}
    assert "T_max=30 * len(loader)" in (snippet_of(change, "pytorch", {"max_steps": 1000}) or "")
    assert "T_max=1000" in (snippet_of({"lr_schedule": "cosine"}, "pytorch", {"max_steps": 1000}) or "")


def test_a_call_is_written_once_for_several_keys() -> None:
    change = {"learning_rate": 3e-5, "warmup_steps": 500, "lr_schedule": "cosine", "gradient_clip_norm": 1.0}
    assert (snippet_of(change, "huggingface") or "").count("TrainingArguments(") == 1
    assert (snippet_of({**change, "weight_decay": 0.1}, "lightning") or "").count("configure_optimizers") == 1
    keras = snippet_of({**change, "loss": "huber"}, "keras") or ""
    assert keras.count("compile(") == 1
    assert keras.count("loss=") == 1
    everything = {key: value for change, _ in CHANGES for key, value in change.items() if change != {"residual": True}}
    for framework in FRAMEWORKS:
        ast.parse(snippet_of(everything, framework) or "")
