"""The framework is told by the format, the configuration or the names of the series; PyTorch where nothing tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from convergence_cli.diagnosis.frameworks import FRAMEWORKS, framework_of
from convergence_cli.model import Curve, Run


def _run(form: str, config: Mapping[str, Any] | None = None, *names: str) -> Run:
    x = np.arange(3.0)
    return Run("run", "run", form, tuple(Curve(name, x, x) for name in names), config or {})


@pytest.mark.parametrize(
    ("form", "config", "names", "expected"),
    [
        ("keras", {}, (), "keras"),
        ("keras-console", {}, (), "keras"),
        ("lightning", {}, (), "lightning"),
        ("huggingface", {}, (), "huggingface"),
        ("huggingface-console", {}, (), "huggingface"),
        ("catboost", {}, (), "catboost"),
        ("nanogpt", {}, (), "pytorch"),
        ("csv", {}, ("loss",), "pytorch"),
        ("text", {}, ("train_loss", "val_auc"), "pytorch"),
        ("wandb", {"framework": "transformers"}, (), "huggingface"),
        ("tensorboard", {"framework": "ultralytics"}, (), "pytorch"),
        ("recorder", {"transformers_version": "5.24.0"}, (), "huggingface"),
        ("recorder", {"booster": "gbtree"}, (), "xgboost"),
        ("recorder", {"recorder.model": "gbdt"}, (), "lightgbm"),
        ("recorder", {"recorder.model": "MLP"}, (), "pytorch"),
        ("wandb", {"accumulate_grad_batches": 2}, (), "lightning"),
        ("mlflow", {"lightgbm_version": "4.7.0"}, (), "lightgbm"),
        ("text", {}, ("train-logloss", "eval-auc"), "xgboost"),
        ("json", {}, ("validation_0-rmse",), "xgboost"),
        ("text", {}, ("training's l2", "valid_0's l2"), "lightgbm"),
        ("json", {}, ("valid_0-binary_logloss",), "lightgbm"),
        ("csv", {}, ("train-loss", "eval-accuracy"), "pytorch"),
    ],
)
def test_what_tells_the_framework(form: str, config: Mapping[str, Any], names: tuple[str, ...], expected: str) -> None:
    assert framework_of(_run(form, config, *names)) == expected
    assert expected in FRAMEWORKS
