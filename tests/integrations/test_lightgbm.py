"""``LightGBMRecorder`` in real trainings of lightgbm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightgbm")

import lightgbm
import numpy as np
from recorder.reading import Record

from convergence_cli import read_run
from convergence_cli.recorder.journal import RecorderWarning
from convergence_cli.recorder.lightgbm import LightGBMRecorder
from integrations.lessons import CLASSES, FEATURES, classes, report_on, series, troubles

NAMES = [f"column_{place}" for place in range(FEATURES)]
SETTINGS = {
    "objective": "multiclass", "num_class": CLASSES, "learning_rate": 0.1, "num_leaves": 7, "num_threads": 1, "seed": 0,
    "verbose": -1, "min_data_in_leaf": 5,
}  # fmt: skip


def datasets(noise: float = 0.0) -> tuple[Any, Any]:
    """Data to train on and to validate with; of a share of the labels nothing can be learned."""
    made: list[Any] = []
    for count, seed in ((400, 0), (200, 1)):
        x, y = classes(count, seed)
        wrong = np.random.default_rng(seed).random(count) < noise
        labels = np.where(wrong, (y + 1) % CLASSES, y)
        made.append(lightgbm.Dataset(x, labels, feature_name=NAMES, reference=made[0] if made else None))
    return made[0], made[1]


def train(recorder: Any, rounds: int = 60, noise: float = 0.0, **more: Any) -> tuple[Any, dict[str, Any]]:
    """The booster, and lightgbm's own log of its evaluations."""
    data, log = datasets(noise), dict[str, Any]()
    others = [lightgbm.record_evaluation(log), *more.pop("callbacks", ())]
    options = {name: more.pop(name) for name in ("init_model",) if name in more}
    booster = lightgbm.train(
        {**SETTINGS, **more}, data[0], rounds, list(data), ["train", "valid"], callbacks=[recorder, *others], **options
    )
    return booster, log


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    folder = tmp_path_factory.mktemp("healthy")
    return *train(LightGBMRecorder(folder, every=20)), folder


def test_a_healthy_run_is_called_so(healthy: tuple[Any, Any, Path]) -> None:
    report = report_on(healthy[2])
    assert report.verdict.label == "converging"
    assert troubles(report) == []


def test_evaluations_are_those_of_lightgbm(healthy: tuple[Any, Any, Path]) -> None:
    _, log, folder = healthy
    for data in ("train", "valid"):
        assert series(folder, f"{data}-multi_logloss") == (list(range(1, 61)), log[data]["multi_logloss"])
    roles = {curve.role: curve.name for curve in read_run(str(folder)).curves}
    assert (roles["train_loss"], roles["val_loss"]) == ("train-multi_logloss", "valid-multi_logloss")


def test_settings_are_found(healthy: tuple[Any, Any, Path]) -> None:
    record = Record(healthy[2] / "record.jsonl")
    expected = {
        "learning_rate": 0.1, "num_leaves": 7, "max_depth": -1, "objective": "multiclass", "num_classes": CLASSES,
        "boosting": "gbdt", "num_samples": 400, "max_steps": 60, "seed": 0, "min_data_in_leaf": 5,
    }  # fmt: skip
    assert expected == {name: record.config.get(name) for name in expected}
    assert record.of("end")[0] | {"time": 0} == {"end": "finished", "step": 60, "time": 0}


def test_trees_are_those_of_the_booster(healthy: tuple[Any, Any, Path]) -> None:
    booster, _, folder = healthy
    lines = Record(folder / "record.jsonl").of("trees")
    assert [line["trees"] for line in lines] == [1, 20, 40, 60]
    assert lines[-1]["importance"] == dict(zip(NAMES, booster.feature_importance("split").tolist(), strict=True))
    depth = {one: _depth(tree["tree_structure"]) for one, tree in enumerate(booster.dump_model()["tree_info"])}
    for line, first in zip(lines, (0, 1, 20, 40), strict=True):
        of_rounds = range(CLASSES * first, CLASSES * line["trees"])
        assert line["depth"] == max(depth[one] for one in of_rounds)


def _depth(node: dict[str, Any]) -> int:
    sides = [node[side] for side in ("left_child", "right_child") if side in node]
    return 1 + max(map(_depth, sides)) if sides else 0


def test_overfitting_is_found(tmp_path: Path) -> None:
    train(LightGBMRecorder(tmp_path), 150, noise=0.4, num_leaves=63, min_data_in_leaf=1, learning_rate=0.3)
    report = report_on(tmp_path)
    assert report.verdict.label == "overfitting"
    assert "GN101" in {found.rule for found in report.findings}


def test_a_rate_too_high_is_found(tmp_path: Path) -> None:
    x, _ = classes(400)
    data = lightgbm.Dataset(x, x[:, 0].copy())
    settings = {**SETTINGS, "objective": "l2", "num_class": 1, "learning_rate": 2.5}
    lightgbm.train(settings, data, 60, [data], ["train"], callbacks=[LightGBMRecorder(tmp_path)])
    report = report_on(tmp_path)
    assert report.verdict.label == "diverging"
    assert report.causes[0].name == "learning-rate-too-high"


def test_a_training_that_is_continued_goes_on(tmp_path: Path) -> None:
    recorder = LightGBMRecorder(tmp_path, every=5)
    booster, _ = train(recorder, 10)
    booster, _ = train(recorder, 15, init_model=booster)
    record = Record(tmp_path / "record.jsonl")
    assert [line["first_step"] for line in record.of("recorder")] == [0, 10]
    assert series(tmp_path, "train-multi_logloss")[0] == list(range(1, 26))
    assert [line["trees"] for line in record.of("trees")] == [1, 5, 10, 11, 15, 20, 25]


def test_early_stopping_keeps_its_last_round(tmp_path: Path) -> None:
    with LightGBMRecorder(tmp_path) as recorder:
        train(recorder, 300, noise=0.5, callbacks=[lightgbm.early_stopping(5, verbose=False)])
    steps, _ = series(tmp_path, "valid-multi_logloss")
    best = min(range(len(steps)), key=lambda place: series(tmp_path, "valid-multi_logloss")[1][place])
    assert len(steps) < 300
    assert best < len(steps) - 1
    assert Record(tmp_path / "record.jsonl").of("end")[0]["end"] == "finished"


def test_a_rate_that_changes_is_recorded(tmp_path: Path) -> None:
    schedule = lightgbm.reset_parameter(learning_rate=lambda step: 0.5 / (step + 1))
    train(LightGBMRecorder(tmp_path), 4, callbacks=[schedule])
    assert series(tmp_path, "learning_rate") == ([1, 2, 3, 4], pytest.approx([0.5, 0.25, 0.5 / 3, 0.125]))


def test_folds_of_a_cross_validation(tmp_path: Path) -> None:
    x, y = classes(400)
    data = lightgbm.Dataset(x, y, feature_name=NAMES)
    order = np.arange(400)
    folds = [(order[order % 4 != fold], order[order % 4 == fold]) for fold in range(4)]
    found = lightgbm.cv(SETTINGS, data, 20, folds=folds, callbacks=[LightGBMRecorder(tmp_path, every=10)])
    assert series(tmp_path, "valid-multi_logloss") == (list(range(1, 21)), found["valid multi_logloss-mean"])
    assert series(tmp_path, "valid-multi_logloss-std")[1] == pytest.approx(found["valid multi_logloss-stdv"])
    record = Record(tmp_path / "record.jsonl")
    assert [line["trees"] for line in record.of("trees")] == [1, 10, 20]
    assert record.of("trees")[-1]["importance"].keys() == set(NAMES)
    assert record.config["num_samples"] == 300


def test_a_failure_never_reaches_the_training(tmp_path: Path) -> None:
    class Failing(LightGBMRecorder):
        def _trees(self, step: int, boosters: Any) -> None:
            raise KeyError("what lightgbm calls otherwise one day")

    with pytest.warns(RecorderWarning, match="recorder is off: KeyError") as caught:
        booster, log = train(Failing(tmp_path), 8)
    assert len(log["train"]["multi_logloss"]) == booster.current_iteration() == 8
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LightGBMRecorder("run", every=0), ValueError, "every must be a whole number"),
        (lambda: LightGBMRecorder(7), TypeError, "out must be the folder"),
    ],
)
def test_arguments_are_checked_at_once(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
