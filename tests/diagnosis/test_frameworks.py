"""The framework is told by the format, the configuration or the names of the series; PyTorch where nothing tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convergence_cli.diagnosis.frameworks import FRAMEWORKS, framework_of
from convergence_cli.model import Curve, Run
from convergence_cli.pipeline import read_paths
from convergence_cli.settings import Settings

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


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
        ("recorder", {"booster": "dart"}, (), "xgboost"),
        ("megatron", {}, (), "pytorch"),
        ("ultralytics", {}, (), "pytorch"),
        # The format is surer than the names, and the configuration too.
        ("keras", {"framework": "torch"}, ("train-logloss",), "keras"),
        ("csv", {"framework": "pytorch"}, ("train-logloss",), "pytorch"),
    ],
)
def test_what_tells_the_framework(form: str, config: Mapping[str, Any], names: tuple[str, ...], expected: str) -> None:
    assert framework_of(_run(form, config, *names)) == expected
    assert expected in FRAMEWORKS


@pytest.mark.parametrize(
    "names",
    [
        ("train-loss", "val-loss"),
        ("train-loss",),
        ("train_loss", "val_loss", "lr"),
        # A metric of theirs beside what they never log.
        ("train-loss", "val-auc"),
        ("train-loss", "train-l1", "train-l2"),
        ("test-loss", "test-mae"),
        ("train-error", "val-error", "epoch"),
        ("train-accuracy", "train-error"),
        # Parts of a loss, and TensorBoard's groups.
        ("loss/l1", "loss/gan"),
        ("G/l1",),
        ("train/l1", "train/l2"),
        ("training/mae",),
        ("train/auc", "val/auc"),
        ("train-l1_loss",),
        ("train-error-rate",),
        ("val_auc",),
        ("train-map-style",),
        (),
    ],
)
@pytest.mark.parametrize("form", ["csv", "text", "tensorboard", "wandb"])
def test_plain_names_are_of_pytorch(form: str, names: tuple[str, ...]) -> None:
    assert framework_of(_run(form, {}, *names)) == "pytorch"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train-logloss", "eval-logloss", "learning_rate"), "xgboost"),
        (("train-error@0.7", "test-error@0.7"), "xgboost"),
        (("train-logloss-mean", "train-logloss-std", "test-logloss-mean"), "xgboost"),
        (("train-rmse", "validation-rmse"), "xgboost"),
        (("train-rmsle",), "xgboost"),
        (("eval-ndcg@5", "eval-map@5-"), "xgboost"),
        (("train-poisson-nloglik",), "xgboost"),
        (("validation_0-aucpr", "my_loss"), "xgboost"),
        (("training's auc", "valid_1's auc"), "lightgbm"),
        (("holdout's my_metric", "loss"), "lightgbm"),
        (("valid_0_auc",), "lightgbm"),
        (("training-rmse", "valid_0-rmse"), "lightgbm"),
        (("train-l2", "valid-l2"), "lightgbm"),
        (("holdout_binary_logloss",), "lightgbm"),
        (("valid-multi_error",), "lightgbm"),
        (("valid-binary_logloss-mean", "valid-binary_logloss-std"), "lightgbm"),
        (("cv_agg_valid_l2",), "lightgbm"),
    ],
)
def test_names_of_boosted_trees(names: tuple[str, ...], expected: str) -> None:
    for form in ("csv", "text", "json"):
        assert framework_of(_run(form, {}, *names)) == expected


def test_the_console_of_lightgbm_has_lost_its_apostrophes() -> None:
    names = ("train_l2", "valid_l2")
    assert framework_of(_run("text", {}, *names)) == "lightgbm"
    assert framework_of(_run("csv", {}, *names)) == "pytorch"
    assert framework_of(_run("text", {}, *names, "train_loss")) == "pytorch"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("trees/xgboost-healthy", "xgboost"),
        ("trees/xgboost-overfitting", "xgboost"),
        ("trees/lightgbm-healthy", "lightgbm"),
        ("trees/catboost-overfitting/catboost_info", "catboost"),
        ("keras/healthy-digits/training.log", "keras"),
        ("keras/healthy-digits/console.txt", "keras"),
        ("lightning/frozen", "lightning"),
        ("huggingface/masked-nan/console.txt", "huggingface"),
        ("text/nanogpt-healthy", "pytorch"),
        ("text/healthy-regression", "pytorch"),
        ("tensorboard/healthy-histograms", "pytorch"),
        ("wandb/healthy-lm", "pytorch"),
        ("mlflow/healthy-digits", "pytorch"),
        ("recorder/healthy-digits/record.jsonl", "pytorch"),
    ],
)
def test_runs_that_the_frameworks_wrote(path: str, expected: str) -> None:
    runs, errors = read_paths([str(FIXTURES / path)], Settings())
    assert not errors
    assert [framework_of(run) for run in runs] == [expected]
