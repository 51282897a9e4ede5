"""``XGBoostRecorder`` in real trainings of xgboost."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xgboost")

import numpy as np
import xgboost
from recorder.reading import Record

from convergence_cli import read_run
from convergence_cli.recorder.journal import RecorderWarning
from convergence_cli.recorder.xgboost import XGBoostRecorder
from integrations.lessons import CLASSES, FEATURES, classes, report_on, series, troubles

NAMES = [f"column {place}" for place in range(FEATURES)]
SETTINGS = {"objective": "multi:softprob", "num_class": CLASSES, "eta": 0.2, "max_depth": 3, "nthread": 1, "seed": 0}


def matrices(noise: float = 0.0) -> tuple[Any, Any]:
    """Data to train on and to validate with; of a share of the labels nothing can be learned."""
    made = []
    for count, seed in ((400, 0), (200, 1)):
        x, y = classes(count, seed)
        wrong = np.random.default_rng(seed).random(count) < noise
        made.append(xgboost.DMatrix(x, np.where(wrong, (y + 1) % CLASSES, y), feature_names=NAMES))
    return made[0], made[1]


def train(folder: Path, rounds: int = 60, noise: float = 0.0, recorder: Any = None, **more: Any) -> tuple[Any, Any]:
    """The booster, and xgboost's own log of its evaluations."""
    data, log = matrices(noise), {}
    options = {name: more.pop(name) for name in ("early_stopping_rounds", "xgb_model") if name in more}
    booster = xgboost.train(
        {**SETTINGS, **more}, data[0], rounds, evals=[(data[0], "train"), (data[1], "validation")], evals_result=log,
        verbose_eval=False, callbacks=[recorder or XGBoostRecorder(folder, every=20, config={"num_samples": 400})],
        **options,
    )  # fmt: skip
    return booster, log


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    folder = tmp_path_factory.mktemp("healthy")
    return *train(folder), folder


def test_a_healthy_run_is_called_so(healthy: tuple[Any, Any, Path]) -> None:
    report = report_on(healthy[2])
    assert report.verdict.label == "converging"
    assert troubles(report) == []


def test_evaluations_are_those_of_xgboost(healthy: tuple[Any, Any, Path]) -> None:
    _, log, folder = healthy
    for data in ("train", "validation"):
        assert series(folder, f"{data}-mlogloss") == (list(range(1, 61)), log[data]["mlogloss"])
    roles = {curve.role: curve.name for curve in read_run(str(folder)).curves}
    assert (roles["train_loss"], roles["val_loss"]) == ("train-mlogloss", "validation-mlogloss")


def test_settings_are_found(healthy: tuple[Any, Any, Path]) -> None:
    config = Record(healthy[2] / "record.jsonl").config
    expected = {
        "learning_rate": 0.2, "max_depth": 3, "objective": "multi:softprob", "num_classes": CLASSES, "booster":
        "gbtree", "num_features": FEATURES, "num_samples": 400,
    }  # fmt: skip
    assert expected == {name: config.get(name) for name in expected}


def test_trees_are_those_of_the_booster(healthy: tuple[Any, Any, Path]) -> None:
    booster, _, folder = healthy
    lines = Record(folder / "record.jsonl").of("trees")
    assert [(line["trees"], line["depth"], line["type"]) for line in lines] == [
        (1, 3, "weight"), (20, 3, "weight"), (40, 3, "weight"), (60, 3, "weight"),
    ]  # fmt: skip
    assert lines[-1]["importance"] == dict.fromkeys(NAMES, 0.0) | booster.get_score(importance_type="weight")
    assert lines[1]["importance"] == dict.fromkeys(NAMES, 0.0) | booster[:20].get_score(importance_type="weight")


def test_trees_too_deep_for_noise_are_found(tmp_path: Path) -> None:
    train(tmp_path, 150, noise=0.4, max_depth=12, min_child_weight=0, eta=0.3)
    report = report_on(tmp_path)
    assert report.verdict.label == "overfitting"
    assert {"GN101", "TR101"} <= {found.rule for found in report.findings}


def test_a_rate_too_high_is_found(tmp_path: Path) -> None:
    x, _ = classes(400)
    data = xgboost.DMatrix(x, x[:, 0])
    settings = {"objective": "reg:squarederror", "eta": 2.5, "max_depth": 2, "nthread": 1}
    callbacks = [XGBoostRecorder(tmp_path)]
    xgboost.train(settings, data, 60, evals=[(data, "train")], verbose_eval=False, callbacks=callbacks)
    report = report_on(tmp_path)
    assert report.verdict.label == "diverging"
    assert report.causes[0].name == "learning-rate-too-high"


def test_a_training_that_is_continued_goes_on(tmp_path: Path) -> None:
    booster, _ = train(tmp_path, 10)
    more, _ = train(tmp_path, 15, xgb_model=booster)
    record = Record(tmp_path / "record.jsonl")
    assert [line["first_step"] for line in record.of("recorder")] == [0, 10]
    assert series(tmp_path, "train-mlogloss")[0] == list(range(1, 26))
    assert record.of("trees")[-1]["importance"] == dict.fromkeys(NAMES, 0.0) | more.get_score(importance_type="weight")


def test_early_stopping_ends_it_well(tmp_path: Path) -> None:
    booster, log = train(tmp_path, 200, noise=0.5, early_stopping_rounds=5)
    record = Record(tmp_path / "record.jsonl")
    rounds = len(log["train"]["mlogloss"])
    assert 5 < rounds < 200
    assert series(tmp_path, "train-mlogloss")[0][-1] == rounds == booster.num_boosted_rounds()
    assert record.of("end")[0] | {"time": 0} == {"end": "finished", "step": rounds, "time": 0}
    assert record.of("trees")[-1]["trees"] == rounds


def test_a_rate_that_changes_is_recorded(tmp_path: Path) -> None:
    data, _ = matrices()
    xgboost.train(
        SETTINGS, data, 6, evals=[(data, "train")], verbose_eval=False,
        callbacks=[xgboost.callback.LearningRateScheduler(lambda step: 0.5 / (step + 1)), XGBoostRecorder(tmp_path, 3)],
    )  # fmt: skip
    steps, rates = series(tmp_path, "learning_rate")
    assert (steps, rates) == ([1, 3, 6], pytest.approx([0.5, 0.5 / 3, 0.5 / 6], rel=1e-6))


def test_folds_of_a_cross_validation(tmp_path: Path) -> None:
    data, _ = matrices()
    found = xgboost.cv(SETTINGS, data, 20, nfold=3, as_pandas=False, callbacks=[XGBoostRecorder(tmp_path, every=10)])
    for name in ("train-mlogloss", "test-mlogloss"):
        assert series(tmp_path, name) == (list(range(1, 21)), pytest.approx(found[f"{name}-mean"]))
        assert series(tmp_path, f"{name}-std")[1] == pytest.approx(found[f"{name}-std"])
    assert [line["depth"] for line in Record(tmp_path / "record.jsonl").of("trees")] == [3, 3, 3]


def test_a_linear_model_has_no_trees(tmp_path: Path) -> None:
    data, _ = matrices()
    settings = {**SETTINGS, "booster": "gblinear", "updater": "coord_descent"}
    del settings["max_depth"]
    callbacks = [XGBoostRecorder(tmp_path)]
    xgboost.train(settings, data, 10, evals=[(data, "train")], verbose_eval=False, callbacks=callbacks)
    record = Record(tmp_path / "record.jsonl")
    assert record.of("trees") == []
    assert record.config["booster"] == "gblinear"
    assert len(series(tmp_path, "train-mlogloss")[0]) == 10


def test_a_copy_is_a_callback_of_its_own(tmp_path: Path) -> None:
    recorder = XGBoostRecorder(tmp_path / "run")
    copy = pickle.loads(pickle.dumps(recorder))
    train(tmp_path, 4, recorder=copy)
    assert isinstance(copy, XGBoostRecorder)
    assert isinstance(copy, xgboost.callback.TrainingCallback)
    assert series(tmp_path / "run", "train-mlogloss")[0] == [1, 2, 3, 4]


def test_a_failure_never_reaches_the_training(tmp_path: Path) -> None:
    class Failing(XGBoostRecorder):
        def _trees(self, model: Any) -> None:
            raise KeyError("what xgboost calls otherwise one day")

    with pytest.warns(RecorderWarning, match="recorder is off: KeyError") as caught:
        booster, log = train(tmp_path, 8, recorder=Failing(tmp_path))
    assert len(log["train"]["mlogloss"]) == booster.num_boosted_rounds() == 8
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: XGBoostRecorder("run", every=1.5), ValueError, "every must be a whole number"),
        (lambda: XGBoostRecorder(7), TypeError, "out must be the folder"),
        (lambda: XGBoostRecorder("run", config=[]), TypeError, "config must be a dictionary"),
    ],
)
def test_arguments_are_checked_at_once(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
