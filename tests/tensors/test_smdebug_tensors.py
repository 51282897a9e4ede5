"""Tensors of SageMaker Debugger trials: raw, reduced, of several workers, and those of XGBoost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from smdebug_writer import TrialWriter

from convergence_cli.tensors.smdebug import read_trial

if TYPE_CHECKING:
    from convergence_cli.tensor_stats import TensorRow, TensorStats

SAMPLE = Path(__file__).parents[3] / "shared" / "samples" / "smdebug_trial"
RANDOM = np.random.default_rng(5)
COLLECTIONS = {
    "weights": ["Net_fc1.weight", "Net_fc2.weight"],
    "biases": ["Net_fc1.bias"],
    "gradients": ["gradient/Net_fc1.weight"],
    "losses": ["CrossEntropyLoss_output_0"],
}


def read(root: Path) -> TensorStats:
    stats = read_trial(root, {})
    assert stats is not None
    return stats


def by_name(stats: TensorStats) -> dict[tuple[float, str, str], TensorRow]:
    return {(row.step, row.kind, row.name): row for row in stats.rows()}


def reduced(name: str, array: Any) -> list[tuple[str, Any]]:
    values = {
        "min": array.min(),
        "max": array.max(),
        "mean": array.mean(),
        "std": array.std(),
        "l2": np.linalg.norm(array),
        "abs_mean": np.abs(array).mean(),
    }
    return [(f"smdebug/reductions/{key}/{name}", np.array(value, "float32")) for key, value in values.items()]


def test_raw_tensors_are_measured_with_their_change(tmp_path: Path) -> None:
    writer = TrialWriter(tmp_path, COLLECTIONS)
    weights = [RANDOM.normal(size=(6, 4)).astype("float32") for _ in range(3)]
    relu = np.maximum(RANDOM.normal(size=(8, 6)), 0).astype("float16")
    for step, weight in zip((0, 5, 10), weights, strict=True):
        tensors = [("Net_fc1.weight", weight), ("relu_output_0", relu), ("gradient/Net_fc1.weight", weight * 2)]
        writer.save(step, [*tensors, ("CrossEntropyLoss_output_0", np.array(1.0)), ("scalar/lr", np.array([0.1]))])
    rows = by_name(read(tmp_path))
    assert len(rows) == 9
    row = rows[5.0, "weight", "fc1.weight"]
    assert (row.layer, row.shape, row.dtype, row.mode, row.time) == ("fc1", (6, 4), "float32", "train", 1.7e9 + 5)
    assert row.mean == pytest.approx(weights[1].mean(dtype=float), rel=1e-5)
    assert row.change == pytest.approx(np.linalg.norm(weights[1] - weights[0]), rel=1e-5)
    assert row.change_steps == 5
    assert rows[5.0, "gradient", "fc1.weight"].l2 == pytest.approx(2 * np.linalg.norm(weights[1]), rel=1e-5)
    activation = rows[0.0, "activation", "relu"]
    assert (activation.function, activation.zero) == ("relu", (relu == 0).sum())


def test_reductions_become_one_row_a_tensor(tmp_path: Path) -> None:
    writer = TrialWriter(tmp_path, COLLECTIONS)
    arrays = {
        name: RANDOM.normal(size=(6, 5)) for name in ("Net_fc1.weight", "gradient/Net_fc1.weight", "tanh_input_0")
    }
    both = ("Net_fc2.weight", RANDOM.normal(size=(2, 2)))
    tensors = [pair for name, array in arrays.items() for pair in reduced(name, array)]
    writer.save(3, [*tensors, both, *reduced(*both)], "EVAL", shapes={key: [6, 5] for key in arrays})
    stats = read(tmp_path)
    rows = by_name(stats)
    assert rows.keys() == {
        (3.0, "weight", "fc1.weight"),
        (3.0, "weight", "fc2.weight"),
        (3.0, "gradient", "fc1.weight"),
        (3.0, "activation", "tanh_input"),
    }
    row, array = rows[3.0, "activation", "tanh_input"], arrays["tanh_input_0"]
    assert (row.function, row.mode, row.shape, row.count) == ("tanh_input", "eval", (6, 5), 30)
    for field, expected in (
        ("min", array.min()), ("max", array.max()), ("mean", array.mean()), ("std", array.std()),
        ("l2", np.linalg.norm(array)), ("abs_mean", np.abs(array).mean()),
    ):  # fmt: skip
        assert getattr(row, field) == pytest.approx(float(expected), rel=1e-6), field
    assert (row.nan, row.inf) == (0, 0)
    assert np.isnan([row.zero, *row.quantiles]).all()
    # The raw tensor tells more than its reductions.
    assert rows[3.0, "weight", "fc2.weight"].zero == 0


def test_reductions_of_what_is_no_number_tell_only_that(tmp_path: Path) -> None:
    writer = TrialWriter(tmp_path, COLLECTIONS)
    tensors = reduced("Net_fc1.weight", np.array([1.0, np.nan])) + reduced("Net_fc1.bias", np.array([1.0, 2.0]))
    tensors.append(("smdebug/reductions/max/Net_fc2.weight", np.array(np.inf)))
    tensors.append(("smdebug/reductions/variance/Net_fc2.weight", np.array(4.0)))
    writer.save(0, tensors, shapes={"Net_fc1.weight": [2]})
    rows = by_name(read(tmp_path))
    row = rows[0.0, "weight", "fc1.weight"]
    assert (row.count, row.nan) == (2, 1)
    assert np.isnan([row.mean, row.std, row.min, row.max, row.l2]).all()
    assert (rows[0.0, "weight", "fc2.weight"].inf, rows[0.0, "weight", "fc2.weight"].std) == (1, 2)
    assert np.isnan(rows[0.0, "weight", "fc1.bias"].count)


def test_several_workers_are_kept_apart(tmp_path: Path) -> None:
    for worker, value in (("worker_0", 1.0), ("worker_1", 2.0)):
        writer = TrialWriter(tmp_path, COLLECTIONS, worker)
        writer.save(0, [("Net_fc1.weight", np.full((3, 3), value)), *reduced("relu_output_0", np.full(4, value))])
    means = {(row.worker, row.kind): row.mean for row in read(tmp_path).rows()}
    assert means == {
        ("worker_0", "weight"): 1,
        ("worker_0", "activation"): 1,
        ("worker_1", "weight"): 2,
        ("worker_1", "activation"): 2,
    }


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"]
)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)])
def test_tensors_of_every_type_and_shape(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = (RANDOM.random(shape) * 9).astype(dtype)
    writer = TrialWriter(tmp_path, COLLECTIONS)
    writer.save(0, [("Net_fc1.weight", np.asarray(array)), ("Net_fc2.weight", np.ones(2))])
    row = by_name(read(tmp_path))[0.0, "weight", "fc1.weight"]
    assert (row.dtype, row.shape, row.count) == (dtype, shape, array.size)
    if array.size:
        assert row.mean == pytest.approx(float(array.mean(dtype=float)), rel=1e-6)


def test_a_large_tensor_is_read_by_its_place_alone(tmp_path: Path) -> None:
    array = RANDOM.normal(size=(1500, 1000)).astype("float32")
    writer = TrialWriter(tmp_path, COLLECTIONS)
    events, index = writer.save(0, [("Net_fc1.weight", array), ("Net_fc1.bias", array[0])], "EVAL")
    for _ in range(2):
        rows = by_name(read(tmp_path))
        assert rows[0.0, "weight", "fc1.weight"].mean == pytest.approx(array.mean(dtype=float), rel=1e-4)
        assert rows[0.0, "weight", "fc1.bias"].count == 1000
        assert {row.mode for row in rows.values()} == {"eval"}
        index.unlink(missing_ok=True)
    events.write_bytes(events.read_bytes()[:3_000_000])
    assert read_trial(tmp_path, {}) is None


def test_complex_and_second_tensors_are_noted(tmp_path: Path) -> None:
    writer = TrialWriter(tmp_path, COLLECTIONS)
    twice = [("Net_fc1.weight", np.zeros((2, 2))), ("Net_fc1.weight", np.ones((2, 2)))]
    writer.save(0, [*twice, ("Net_fc2.weight", np.ones(3, "complex64")), ("Net_fc1.bias", ["text"])])
    stats = read(tmp_path)
    (row,) = stats.rows()
    assert row.mean == 1
    assert any("complex" in note for note in stats.notes)
    assert any("twice" in note for note in stats.notes)


def test_targets_and_values_of_a_loss_are_labels_and_outputs(tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    logits = np.eye(3)[labels] * 5 + RANDOM.normal(size=(60, 3))
    writer = TrialWriter(tmp_path, COLLECTIONS)
    tensors = [("Net_input_0", RANDOM.normal(size=(60, 4))), ("Net_fc1.weight", np.ones((3, 4)))]
    tensors += [("CrossEntropyLoss_input_0", logits), ("CrossEntropyLoss_input_1", labels)]
    writer.save(0, tensors)
    stats = read(tmp_path)
    assert {row.kind for row in stats.rows()} == {"input", "weight", "output", "label"}
    assert stats.labels[0].counts == (20, 20, 20)
    assert stats.confusions[0].matrix.sum() == 60
    assert np.trace(stats.confusions[0].matrix) == (logits.argmax(1) == labels).sum()


def test_trees_and_importances_of_xgboost(tmp_path: Path) -> None:
    names = {"labels": ["labels"], "predictions": ["predictions"], "trees": ["trees/Node", "trees/Yes", "trees/No"]}
    writer = TrialWriter(tmp_path, names)
    # 0 -> (1, 2), 2 -> (3, 4), 4 -> (5, 6): depth 3, which the largest number alone does not tell.
    yes, no = ["0-1", "nan", "0-3", "nan", "0-5", "nan", "nan"], ["0-2", "nan", "0-4", "nan", "0-6", "nan", "nan"]
    importance = {"f0": 0.7, "f1": 0.2, "f9": 0.1}
    tensors: list[tuple[str, Any]] = [("labels", np.tile([0.0, 1.0], 20)), ("predictions", np.full(40, 0.7))]
    tensors += [
        (f"feature_importance/{kind}/{f}", np.array(v)) for kind in ("gain", "weight") for f, v in importance.items()
    ]
    writer.save(0, [*tensors, ("trees/Node", np.arange(7)), ("trees/Yes", yes), ("trees/No", no)], "GLOBAL")
    writer.save(10, [*tensors, ("trees/Node", np.arange(31))], "GLOBAL")
    stats = read(tmp_path)
    assert [(one.step, one.depth, one.importance_type) for one in stats.trees] == [(0, 3, "weight"), (10, 4, "weight")]
    assert stats.trees[0].importance == importance
    assert stats.labels[0].counts == (20, 20)
    assert stats.confusions[0].matrix.tolist() == [[0, 20], [0, 20]]


@pytest.mark.parametrize("children", [["0-0", "0-0"], ["0-9", "x"], ["", "0-1"], ["0-1", "0-0"]])
def test_trees_that_are_none_end(tmp_path: Path, children: list[str]) -> None:
    writer = TrialWriter(tmp_path, {})
    writer.save(0, [("trees/Node", np.array([0, 0])), ("trees/Yes", children), ("trees/No", children)], "GLOBAL")
    (facts,) = read(tmp_path).trees
    assert facts.depth <= 1


def test_a_trial_of_scalars_has_no_tensors(tmp_path: Path) -> None:
    TrialWriter(tmp_path, COLLECTIONS).save(0, [("CrossEntropyLoss_output_0", np.array(1.0))])
    assert read_trial(tmp_path, {}) is None


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real trial is not there")
def test_the_real_trial() -> None:
    stats = read(SAMPLE)
    rows = by_name(stats)
    assert stats.steps.tolist() == [0, 4, 8, 12, 16, 20]
    # A forward pass without a backward has no gradients.
    assert len(rows) == 4 * 15 + 2 * 9
    assert rows[0.0, "activation", "tanh_input"].count == 30
    assert not stats.notes
