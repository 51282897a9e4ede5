"""``evals_result`` saved as JSON: which set is which, which measure is the loss, and what is not one."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import read_paths
from convergence_cli.readers import best_reader, evals_result, json_columns
from convergence_cli.readers._guard import HEAD_BYTES, ReadOptions, Source
from convergence_cli.roles import assign_roles
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run

FIXTURES = Path(__file__).parents[2] / "fixtures" / "trees"
FALLING, RISING = [0.6, 0.4, 0.3, 0.2], [0.6, 0.5, 0.55, 0.7]
folder = Path()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder  # noqa: PLW0603
    folder = tmp_path_factory.mktemp("logs")


def source(data: object) -> Source:
    path = folder / "evals_result.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return Source(path, "evals_result.json")


def read(data: object) -> Run:
    (run,) = evals_result.read([source(data)], ReadOptions())
    return assign_roles(run)


def roles(data: object) -> dict[str, str]:
    assert best_reader(source(data)) is evals_result
    return {curve.role: curve.name for curve in read(data).curves if curve.role}


@pytest.mark.parametrize(
    ("sets", "train", "val"),
    [
        (("validation_0", "validation_1"), "validation_0", "validation_1"),
        (("train", "eval"), "train", "eval"),
        (("eval", "train"), "train", "eval"),
        (("dtrain", "dtest"), "dtrain", "dtest"),
        (("training", "valid_1"), "training", "valid_1"),
        (("valid_0", "training"), "training", "valid_0"),
        (("learn", "validation"), "learn", "validation"),
        (("test", "train", "valid"), "train", "valid"),
        (("mine", "validation"), "mine", "validation"),
        (("train", "mine"), "train", "mine"),
    ],
)
def test_sets_are_known_by_their_names(sets: tuple[str, ...], train: str, val: str) -> None:
    found = roles({name: {"logloss": FALLING if name == train else RISING} for name in sets})
    assert found == {"train_loss": f"{train}-logloss", "val_loss": f"{val}-logloss"}


@pytest.mark.parametrize("only", ["validation_0", "valid_0", "test", "valid"])
def test_one_set_to_watch_is_held_out(only: str) -> None:
    assert roles({only: {"rmse": FALLING}}) == {"val_loss": f"{only}-rmse"}


def test_numbered_sets_are_told_apart_by_their_fit_where_the_order_is_the_other() -> None:
    found = roles({"validation_0": {"logloss": RISING}, "validation_1": {"logloss": FALLING}})
    assert found == {"train_loss": "validation_1-logloss", "val_loss": "validation_0-logloss"}
    # Without a rise either may be the harder set: the order stands.
    found = roles({"validation_0": {"logloss": [0.9, 0.8]}, "validation_1": {"logloss": FALLING}})
    assert found["train_loss"] == "validation_0-logloss"
    assert any("read as the training set" in note for note in read({"validation_0": {"auc": [1]}} | {
        "validation_1": {"auc": [1]}}).notes)  # fmt: skip


def test_the_loss_is_what_is_minimised_and_a_score_is_none() -> None:
    data = {
        "train": {"auc": [0.7, 0.8], "error": [0.3, 0.2], "logloss": [0.6, 0.5], "ndcg@5": [0.1, 0.2]},
        "eval": {"auc": [0.7, 0.75], "error": [0.3, 0.25], "logloss": [0.6, 0.55], "ndcg@5": [0.1, 0.2]},
    }
    found = roles(data)
    assert (found["train_loss"], found["val_loss"]) == ("train-logloss", "eval-logloss")
    assert (found["train_metric"], found["val_metric"]) == ("train-auc", "eval-auc")
    by_name = {curve.name: curve.direction for curve in read(data).curves}
    assert by_name["eval-auc"] == by_name["eval-ndcg@5"] == "higher"
    assert by_name["eval-logloss"] == "lower"


def test_scores_alone_are_no_loss() -> None:
    found = roles({"training": {"auc": [0.7, 0.8]}, "valid_1": {"auc": [0.7, 0.75]}})
    assert found == {"train_metric": "training-auc", "val_metric": "valid_1-auc"}


def test_sets_may_be_of_different_length_and_hold_gaps_and_nan() -> None:
    run = read({"learn": {"Logloss": [0.6, 0.5]}, "validation": {"Logloss": [0.6, None, math.nan, 0.4]}})
    val = run.curve("val_loss")
    assert val is not None
    np.testing.assert_array_equal(val.step, [0, 2, 3])
    np.testing.assert_array_equal(val.value, [0.6, math.nan, 0.4])


@pytest.mark.parametrize(
    "data",
    [
        {"train": {"loss": FALLING}, "val": {"loss": RISING}},
        {"train": {"rmse": FALLING, "note": "x"}},
        {"train": {"rmse": FALLING}, "epochs": 4},
        {"train": {"rmse": []}},
        {"train": {}},
        {"a": {"b": {"rmse": FALLING}}},
        {"metric": {"steps": [0, 1], "values": [1.0, 2.0], "timestamps": [1, 2]}},
        {"logloss": FALLING},
    ],
)
def test_other_documents_are_left_to_other_readers(data: object) -> None:
    assert evals_result.sniff(source(data)) == 0


def test_a_document_longer_than_the_head_is_known_by_its_beginning() -> None:
    long = [1 / (step + 1) for step in range(HEAD_BYTES // 8)]
    data = {"validation_0": {"logloss": long}, "validation_1": {"logloss": long}}
    assert best_reader(source(data)) is evals_result
    assert {curve.points for curve in read(data).curves} == {len(long)}
    assert evals_result.sniff(source({"history": {"loss": long}})) == 0


@pytest.mark.parametrize("kept", range(5, 60, 5))
def test_a_torn_document_is_an_error_that_says_so(kept: int) -> None:
    data = json.dumps({"validation_0": {"logloss": FALLING}, "validation_1": {"logloss": RISING}}).encode()
    with pytest.raises(SourceError):
        read(data[:kept])


@pytest.mark.parametrize(
    "data",
    [
        b'{"train":{"rmse":' + b"[" * 50_000,
        b'{"train":{"rmse":[' + b"9" * 5000 + b"]}}",
        json.dumps({f"validation_{number}": {"rmse": [1.0]} for number in range(5000)}).encode(),
        b'{"train":{"rmse":[1e999,-1e999]}}',
        b'{"train":{"rmse":[true]}}',
        b'{"train":\x00{"rmse":[1]}}',
    ],
)
def test_hostile_documents_are_read_or_refused(data: bytes) -> None:
    evals_result.sniff(source(data))
    with contextlib.suppress(SourceError):
        read(data)


def test_thousands_of_measures_are_read_up_to_a_limit() -> None:
    run = read({"train": {f"m{number}": [1.0, 2.0] for number in range(3000)} | {"rmse": [2.0, 1.0]}})
    assert len(run.curves) <= 1001
    assert any("more were left out" in note for note in run.notes)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    evals_result.sniff(source(b'{"train":{"rmse":[' + data))
    with contextlib.suppress(SourceError):
        read(b'{"train":{"rmse":[' + data)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.dictionaries(st.text(max_size=8), st.lists(st.floats() | st.none() | st.integers() | st.text(max_size=3))),
    )
)
def test_any_sets_are_read_or_refused(data: dict[str, dict[str, list[object]]]) -> None:
    evals_result.sniff(source(data))
    with contextlib.suppress(SourceError):
        read(data)


def test_both_readers_give_the_series_the_same_names() -> None:
    data = {"validation_0": {"logloss": FALLING}, "validation_1": {"logloss": RISING}}
    (other,) = json_columns.read([source(data)], ReadOptions())
    assert [curve.name for curve in other.curves] == [curve.name for curve in read(data).curves]


def test_the_real_files_have_no_notes_but_on_sets_without_names() -> None:
    for case in ("lightgbm-json-healthy", "lightgbm-json-overfitting"):
        (run,), errors = read_paths([str(FIXTURES / case)], Settings())
        assert (run.notes, errors) == ((), [])
