"""Settings beside a log: found in the usual files, never through a link, never guessed."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.readers.config import MAX_KEYS, canonical, read_config


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"lr": "3e-4"}, {"learning_rate": 3e-4}),
        ({"lr0": 0.01, "optimizer": "auto", "batch": 16, "nc": 80}, {"learning_rate": 0.01, "batch_size": 16}),
        ({"optimizer": {"type": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}}, {"optimizer": "sgd", "momentum": 0.9}),
        ({"optim": "DAdaptAdam"}, {"optimizer": "dadaptadam"}),
        ({"optimizer": "Prodigy"}, {"optimizer": "prodigy"}),
        ({"optimizer": "torch.optim.Adam"}, {"optimizer": "adam"}),
        ({"optimizer": "FusedAdam"}, {"optimizer": "adam"}),
        ({"optimizer": "Adam8bit"}, {"optimizer": "adam"}),
        ({"optim": "adamw_torch_fused", "per_device_train_batch_size": 4}, {"optimizer": "adamw", "batch_size": 4}),
        ({"optimizer_params": {"lr": 0.2}, "solver_type": "RMSProp"}, {"learning_rate": 0.2, "optimizer": "rmsprop"}),
        ({"num_train_epochs": 3.0, "max_iters": "600", "nc": 10}, {"epochs": 3.0, "max_steps": 600, "num_classes": 10}),
        ({"lr_scheduler_type": "Cosine", "grad_clip": 1}, {"lr_schedule": "cosine", "gradient_clip_norm": 1}),
        ({"fp16": False, "bf16": True}, {"precision": "bf16"}),
        ({"precision": 16, "seed": "7"}, {"precision": "16", "seed": 7}),
        ({"lr": {"value": 0.5, "desc": None}}, {"learning_rate": 0.5}),
        ({"warmup-fraction": 0.1, "label_smoothing_factor": 0.1}, {"warmup_ratio": 0.1, "label_smoothing": 0.1}),
        ({"args": {"lr": 0.1}, "lr": 0.2}, {"learning_rate": 0.2, "args.lr": 0.1}),
    ],
)
def test_names_in_use_become_canonical(raw: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected.items() <= canonical(raw).items()


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"train": {"lr": 0.1}, "optimizer": {"lr": 0.2}}, "learning_rate"),
        ({"discriminator": {"lr": 0.1}}, "learning_rate"),
        ({"learning_rate": "cosine"}, "learning_rate"),
        ({"learning_rate": True}, "learning_rate"),
        ({"max_steps": -1}, "max_steps"),
        ({"optimizer": None}, "optimizer"),
        ({"warmup_factor": 0.05}, "warmup_ratio"),
        ({"batch_size": [8, 16]}, "batch_size"),
        ({"weight_decay": math.nan}, "weight_decay"),
        ({"classes": "cat, dog"}, "num_classes"),
        ({"fp16": True, "bf16": True}, "precision"),
    ],
)
def test_what_is_unclear_is_left_out(raw: dict[str, Any], key: str) -> None:
    assert key not in canonical(raw)


def test_long_and_many_values_are_dropped() -> None:
    config = canonical({"lr": 0.1, "text": "x" * 5000, **{f"k{i}": i for i in range(9000)}})
    assert len(config) == MAX_KEYS
    assert config["learning_rate"] == 0.1
    assert "text" not in config


def test_files_beside_the_log_are_read_and_the_first_named_holds(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"lr": 0.1, "nested": {"a": NaN}}')
    (tmp_path / "hparams.yaml").write_text("lr: 0.5\nbatch_size: 32\nmodel: !!python/object:torch.nn.Module {}\n")
    (tmp_path / "all_results.json").write_text('{"seed": 1}')
    config, notes = read_config(tmp_path, tmp_path / "metrics.csv")
    assert (config["learning_rate"], config["batch_size"]) == (0.1, 32)
    assert "seed" not in config
    assert notes == []


def test_a_log_in_a_part_folder_has_its_parents_settings(tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text('{"lr": 0.1, "epochs": 3}')
    part = tmp_path / "checkpoint-10"
    part.mkdir()
    (part / "config.yaml").write_text("wandb_version: 1\nepochs:\n  desc: null\n  value: 5\n")
    config, _ = read_config(part, part / "trainer_state.json")
    assert (config["learning_rate"], config["epochs"]) == (0.1, 5)
    other = tmp_path / "other"
    other.mkdir()
    assert read_config(other, other / "log.txt") == ({}, [])


def test_mlflow_parameters_lie_beside_the_metrics(tmp_path: Path) -> None:
    for folder in ("metrics", "params"):
        (tmp_path / folder).mkdir()
    (tmp_path / "params" / "lr").write_text("0.01")
    (tmp_path / "params" / "opt_name").write_text("x" * 9999)
    config, _ = read_config(tmp_path / "metrics", tmp_path / "metrics" / "loss")
    assert config == {"learning_rate": 0.01, "lr": 0.01}


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="needs symlinks")
def test_no_link_and_no_log_is_read_as_settings(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"lr": 0.1}')
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").symlink_to(secret)
    (run / "params.json").write_text('{"lr": 0.2}')
    (run / ".hydra").symlink_to(tmp_path)
    (tmp_path / "config.yaml").write_text("lr: 0.3")
    assert read_config(run, run / "params.json") == ({}, [])
    (run / "params.json").unlink()
    (run / "params").mkdir()
    (run / "metrics").mkdir()
    (run / "params" / "lr").symlink_to(secret)
    assert read_config(run / "metrics", run / "metrics" / "loss") == ({}, [])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config.json", b"[" * 100_000),
        ("config.json", b"[1, 2]"),
        ("config.json", b'{"lr": 0.'),
        ("config.json", b" " * (2 << 20)),
        ("config.yaml", b"a: 1\n" * 60_000),
        ("config.yaml", b"a: &a [1]\nb: *a\n"),
        ("config.yaml", b"{" * 100_000),
        ("config.yaml", b"a: &a {k: 1}\n" + b"b: &a {<<: [*a, *a, *a, *a]}\n" * 40),
        ("config.yaml", b"\x00\xff"),
        ("hparams.yaml", b"lr: [\n"),
    ],
)
def test_an_unreadable_file_is_noted_and_costs_nothing_else(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "params.yaml").write_text("lr: 0.1\n")
    config, notes = read_config(tmp_path, tmp_path / "log.csv")
    assert config["learning_rate"] == 0.1
    assert len(notes) == 1
    assert name in notes[0]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["lr", "optimizer", "value", "args", "name", "a.b", ""]), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["lr", "optimizer", "args", "precision", "batch_size", "x"]), _VALUES))
def test_any_settings_give_scalars(raw: dict[str, Any]) -> None:
    for value in canonical(raw).values():
        assert isinstance(value, (bool, int, float, str))


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=40), name=st.sampled_from(["config.json", "config.yaml"]))
def test_no_bytes_break_it(data: bytes, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / name).write_bytes(data)
    config, _ = read_config(folder, folder / "log.csv")
    json.dumps(config)
