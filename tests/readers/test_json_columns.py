"""Histories in one JSON document, in every shape that people and libraries write."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SourceError
from convergence_cli.readers import best_reader, json_columns
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run

folder = Path()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder  # noqa: PLW0603
    folder = tmp_path_factory.mktemp("logs")


def source(data: object, name: str = "history.json") -> Source:
    (folder / name).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return Source(folder / name, name)


def read(data: object, name: str = "history.json") -> Run:
    (run,) = json_columns.read([source(data, name)], ReadOptions())
    return run


def series(run: Run, name: str) -> Curve:
    return next(curve for curve in run.curves if curve.name == name)


LOSSES = [1.0, 0.5, 0.25]


def test_a_keras_history_is_one_point_an_epoch() -> None:
    data = {"loss": LOSSES, "val_loss": [1.1, None, math.nan], "lr": ["0.1", "0.01", "0.001"]}
    run = read(data)
    assert run.format == "keras"
    loss, val = series(run, "loss"), series(run, "val_loss")
    np.testing.assert_array_equal(loss.step, [0, 1, 2])
    np.testing.assert_array_equal(loss.epoch, [0, 1, 2])
    np.testing.assert_array_equal(val.step, [0, 2])
    np.testing.assert_array_equal(val.value, [1.1, math.nan])
    np.testing.assert_array_equal(series(run, "lr").value, [0.1, 0.01, 0.001])


def test_sacred_metrics_have_their_own_steps() -> None:
    metric = {"steps": [10, 20, 30], "values": LOSSES, "timestamps": ["2026-01-01T00:00:00"] * 3}
    run = read({"loss": metric, "grad.norm": {**metric, "steps": [1, 2, 3]}}, "metrics.json")
    assert run.format == "sacred"
    np.testing.assert_array_equal(series(run, "loss").step, [10, 20, 30])
    np.testing.assert_array_equal(series(run, "grad.norm").step, [1, 2, 3])


def test_xgboost_results_are_named_by_set_and_metric() -> None:
    run = read({"train": {"logloss": LOSSES, "auc": [0.5, 0.6, 0.7]}, "eval": {"logloss": LOSSES}})
    assert run.format == "json"
    assert [curve.name for curve in run.curves] == ["train-logloss", "train-auc", "eval-logloss"]


@pytest.mark.parametrize(
    "data",
    [
        {"history": {"loss": LOSSES}, "params": {"lr": 0.1}},
        {"lr": 0.1, "loss": {"0": 1.0, "1": 0.5, "2": 0.25}},
        {"config": {"lr": 0.1}, "logs": [{"step": i, "loss": loss} for i, loss in enumerate(LOSSES)]},
        {"config": {"lr": 0.1}, "loss": LOSSES, "stats": [{"time": 1.0, "step": i} for i in range(3)]},
        {"hparams": {"lr": 0.1}, "steps": [0, 1, 2], "loss": LOSSES},
        {"args": {"lr": 0.1}, "loss": [[0, 1.0], [1, 0.5], [2, 0.25]]},
        {"args": {"lr": 0.1}, "loss": [[value] for value in LOSSES]},
        [{"epoch": i, "loss": loss, "config": {"lr": "0.1"}} for i, loss in enumerate(LOSSES)],
    ],
)
def test_home_made_histories_give_the_loss_and_the_settings(data: object) -> None:
    run = read(data)
    loss = series(run, "loss")
    np.testing.assert_array_equal(loss.value, LOSSES)
    np.testing.assert_array_equal(loss.step, [0, 1, 2])
    assert run.config["learning_rate"] == 0.1
    assert best_reader(source(data)) is json_columns


def test_epochs_as_keys_are_steps() -> None:
    run = read({str(epoch): {"loss": 1 / epoch, "acc": 0.5} for epoch in range(1, 12)})
    np.testing.assert_array_equal(series(run, "loss").step, range(1, 12))


def test_tensorboard_downloads_are_clock_step_and_value() -> None:
    run = read([[1.7e9 + i, 10 * i, loss] for i, loss in enumerate(LOSSES)], "train_loss.json")
    np.testing.assert_array_equal(series(run, "train_loss").step, [0, 10, 20])


def test_a_shorter_list_is_spread_over_the_run_with_a_note() -> None:
    run = read({"train_loss": [1.0] * 100, "val_loss": [1.0, 0.9, 0.8, 0.7], "acc": [0.5] * 99})
    np.testing.assert_array_equal(series(run, "val_loss").step, [24, 49, 74, 99])
    np.testing.assert_array_equal(series(run, "acc").step, range(99))
    assert len(run.notes) == 1
    assert "val_loss has 4 values to 100" in run.notes[0]


def test_a_batch_number_that_starts_again_at_equal_distances_is_counted_on() -> None:
    rows = [{"step": step, "lr": 0.1} for _ in range(3) for step in range(20)][:-5]
    run = read({"loss": [1.0] * len(rows), "stats": rows})
    np.testing.assert_array_equal(series(run, "loss").step, range(55))
    resumed = [{"step": step, "loss": 1.0} for step in (*range(20), *range(10, 30))]
    assert series(read(resumed), "loss").restarts == (20,)


def test_a_bare_infinity_in_a_document_is_a_value() -> None:
    run = read(b'{"loss": [1.0, Infinity, NaN], "best": NaN}')
    np.testing.assert_array_equal(series(run, "loss").value, [1, math.inf, math.nan])


def test_settings_and_other_documents_are_no_history() -> None:
    assert json_columns.sniff(source({"lr": 0.1, "layers": {"hidden": 3}})) == 0
    assert json_columns.sniff(source({"name": "a", "files": ["x", "y"]})) == 0
    assert json_columns.sniff(source({"betas": [0.9, 0.999]})) < 0.1
    assert json_columns.sniff(source(b"epoch,loss\n1,2\n")) == 0
    with pytest.raises(SourceError, match="without a list"):
        read({"lr": 0.1})


def test_a_document_larger_than_the_head_is_known_by_its_beginning() -> None:
    assert json_columns.sniff(source({"config": {"lr": 0.1}, "loss": [0.123456] * 20_000})) == 0.8
    assert json_columns.sniff(source([{"step": i, "loss": 0.5} for i in range(5000)])) == 0.8
    assert json_columns.sniff(source({"vocab": {f"word{i}": i for i in range(9000)}})) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"loss": [' + b"9" * 5000 + b"]}",
        b'{"loss": [1, true]}',
        b'{"loss": {"steps": [1], "values": [1, 2]}}',
        b'{"loss": {"steps": {"a": 1}, "values": [1, 2]}}',
        b'{"\\u00b2": {"loss": 1}}',
        b'{"steps": ["x", "y"], "loss": [1, 2]}',
        b'{"step": [1e999, 2], "loss": [1, 2]}',
        b"[[1, 2], [3]]",
        b"\xff\xfe",
    ],
)
def test_hostile_documents_are_read_or_refused_in_a_sentence(data: bytes) -> None:
    assert 0 <= json_columns.sniff(source(data)) <= 1
    try:
        run = read(data)
    except SourceError:
        return
    assert all(np.isfinite(curve.step).all() for curve in run.curves)


def test_a_document_too_big_to_parse_says_what_to_export() -> None:
    with pytest.raises(SourceError, match="more than the 33,554,432") as caught:
        read(b'{"loss": [' + b"0.5," * (8 << 20) + b"0.5]}")
    assert "JSON lines" in caught.value.hint


def test_every_prefix_of_a_document_is_refused() -> None:
    whole = json.dumps({"loss": [1.0, math.nan], "stats": [{"step": 1, "lr": 0.1}], "config": {"lr": 1}}).encode()
    for cut in range(len(whole)):
        json_columns.sniff(source(whole[:cut]))
        with pytest.raises(SourceError):
            read(whole[:cut])


_KEYS = st.sampled_from(["loss", "steps", "values", "timestamps", "step", "epoch", "history", "config", "0", "²", "a"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["1", "nan", "x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(_JSON)
def test_no_document_breaks_the_reader(data: object) -> None:
    assert 0 <= json_columns.sniff(source(data)) <= 1
    try:
        run = read(data)
    except CtroubleshootError:
        return
    for curve in run.curves:
        assert len(curve.step) == len(curve.value) > 0
        assert np.isfinite(curve.step).all()
