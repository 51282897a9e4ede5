"""Classes, confusions and tokens against plain numpy over whole arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from convergence_cli.tensor_stats import Collection
from convergence_cli.tensors.classes import count_classes
from convergence_cli.tensors.stored import StoredTensor

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(3)


def stored(key: str, array: Array, *, block: int = 7, fortran: bool = False) -> tuple[str, StoredTensor]:
    """``array`` as a tensor whose values come in small blocks, through one buffer that is written over."""
    flat = np.ascontiguousarray(array.T if fortran else array).reshape(-1)

    def blocks() -> Iterator[Array]:
        buffer = np.empty(block, flat.dtype)
        for start in range(0, len(flat), block):
            piece = flat[start : start + block]
            buffer[: len(piece)] = piece
            yield buffer[: len(piece)]

    return key, StoredTensor(key, str(array.dtype), array.shape, blocks, fortran)


def counted(
    labels: list[tuple[str, StoredTensor]] | None = None,
    outputs: list[tuple[str, StoredTensor]] | None = None,
    inputs: list[tuple[str, StoredTensor]] | None = None,
) -> Collection:
    collection = Collection()
    count_classes(collection, 5.0, "train", inputs or [], labels or [], outputs or [])
    return collection


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_labels_of_a_batch_are_counted(dtype: str, shape: tuple[int, ...]) -> None:
    labels = RANDOM.integers(0, 4, 60).astype(dtype)
    found = counted([stored("y", labels.reshape(shape))])
    (one,) = found.labels
    values, counts = np.unique(labels, return_counts=True)
    assert one.values == tuple(values.astype(float))
    assert one.counts == tuple(counts)
    assert (one.step, one.name, one.sequence, one.mode) == (5.0, "y", False, "train")
    assert not found.confusions


def test_one_hot_rows_are_classes_in_either_order_of_bytes() -> None:
    truth = RANDOM.integers(0, 5, 40)
    for dtype in ("float32", "int64", "bool"):
        for fortran in (False, True):
            found = counted([stored("y", np.eye(5)[truth].astype(dtype), fortran=fortran)])
            assert dict(zip(found.labels[0].values, found.labels[0].counts, strict=True)) == {
                float(v): n for v, n in zip(*np.unique(truth, return_counts=True), strict=True)
            }


@pytest.mark.parametrize(
    "target",
    [
        RANDOM.normal(size=50),
        RANDOM.integers(0, 400, 64).astype("float32"),
        RANDOM.integers(18, 90, 32),
        np.array([1.0, np.nan, 0.0] * 20),
        np.array([1.0, np.inf, 0.0] * 20),
        RANDOM.integers(-9, 9, 300).astype("float32"),
        np.array([10**7, 10**7 + 1] * 50),
        np.array(3),
        np.zeros(0),
        (RANDOM.random((30, 6)) < 0.5).astype("float32"),
        RANDOM.normal(size=(30, 6)),
    ],
    ids=[
        "reals", "many-whole", "ages", "nan", "inf", "signed", "prices", "scalar", "empty", "multi-label", "vectors"
    ],
)  # fmt: skip
def test_targets_of_a_regression_are_no_classes(target: Array) -> None:
    assert not counted([stored("y", target)]).labels


def test_whole_numbers_with_one_real_output_are_a_regression() -> None:
    target = RANDOM.integers(0, 6, 200).astype("float32")
    assert not counted([stored("y", target)], [stored("out", RANDOM.normal(size=(200, 1)))]).labels
    assert counted([stored("y", target)], [stored("out", RANDOM.normal(size=(200, 6)))]).labels


def test_a_small_batch_of_dense_integers_counts_as_classes() -> None:
    assert counted([stored("y", np.arange(32) % 10)]).labels[0].counts[0] == 4
    assert not counted([stored("y", (np.arange(32) % 10).astype("float32"))]).labels


def test_ignored_positions_of_a_sequence_are_left_out() -> None:
    labels = RANDOM.integers(0, 3, (6, 9))
    labels[:, 5:] = -100
    logits = RANDOM.normal(size=(6, 9, 3)).astype("float32")
    found = counted([stored("labels", labels)], [stored("logits", logits)])
    assert found.labels[0].sequence
    assert sum(found.labels[0].counts) == 30
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (labels[:, :5], logits.argmax(-1)[:, :5]), 1)
    assert (found.confusions[0].matrix == expected).all()
    assert found.confusions[0].sequence


def test_pixels_and_their_logits_by_channel() -> None:
    labels = RANDOM.integers(0, 4, (3, 5, 6))
    logits = RANDOM.normal(size=(3, 4, 5, 6)).astype("float32")
    for shape in ((3, 5, 6), (3, 1, 5, 6)):
        found = counted([stored("mask", labels.reshape(shape))], [stored("out", logits)])
        expected = np.zeros((4, 4), int)
        np.add.at(expected, (labels, logits.argmax(1)), 1)
        assert (found.confusions[0].matrix == expected).all()


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_confusion_of_a_batch(dtype: str, fortran: bool) -> None:
    labels, logits = RANDOM.integers(0, 5, 70), RANDOM.normal(size=(70, 7)).astype(dtype)
    logits[3, 2] = np.nan
    found = counted([stored("y", labels)], [stored("z", logits, block=33, fortran=fortran)])
    expected = np.zeros((7, 7), int)
    kept = np.arange(70) != 3
    np.add.at(expected, (labels[kept], logits.argmax(1)[kept]), 1)
    assert (found.confusions[0].matrix == expected).all()


@pytest.mark.parametrize(("low", "high", "limit"), [(0.0, 1.0, 0.5), (-2.0, 2.0, 0.0)])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_one_output_is_compared_with_the_limit_of_its_range(
    low: float, high: float, limit: float, shape: tuple[int, ...]
) -> None:
    labels, output = RANDOM.integers(0, 2, 50), RANDOM.uniform(low, high, 50)
    found = counted([stored("y", labels.astype("float32"))], [stored("p", output.reshape(shape))])
    expected = np.zeros((2, 2), int)
    np.add.at(expected, (labels, (output > limit).astype(int)), 1)
    assert (found.confusions[0].matrix == expected).all()


def test_labels_of_minus_one_and_one_are_two_classes() -> None:
    labels, output = RANDOM.choice([-1, 1], 50), RANDOM.normal(size=50)
    found = counted([stored("y", labels)], [stored("margin", output)])
    assert found.labels[0].values == (-1.0, 1.0)
    assert found.labels[0].counts == ((labels < 0).sum(), (labels > 0).sum())
    assert np.trace(found.confusions[0].matrix) == ((labels > 0) == (output > 0)).sum()


def test_predicted_classes_are_taken_as_they_are() -> None:
    labels = RANDOM.integers(0, 4, 90).astype("float32")
    predicted = np.roll(labels, 1)
    found = counted([stored("labels", labels)], [stored("predictions", predicted)])
    expected = np.zeros((4, 4), int)
    np.add.at(expected, (labels.astype(int), predicted.astype(int)), 1)
    assert (found.confusions[0].matrix == expected).all()


def test_the_output_that_fits_is_found_by_its_name_and_size() -> None:
    labels = np.arange(40) % 4
    right = np.eye(4)[labels].astype("float32")
    wrong = np.roll(right, 1, axis=0)
    outputs = [stored("logits", right), stored("hidden", wrong), stored("other_logits", right[:20])]
    assert np.trace(counted([stored("y", labels)], outputs).confusions[0].matrix) == 40
    assert not counted([stored("y", labels)], [stored("few", right[:, :3])]).confusions
    assert counted([stored("y", labels)], [stored("a", wrong), stored("b", right)]).confusions[0].name == "b"


def test_tokens_with_padding_at_the_end() -> None:
    tokens = RANDOM.integers(5, 50, (20, 12))
    tokens[:, -1] = np.arange(20) + 5
    tokens[:8, 7:] = 3
    for side in (tokens, tokens[:, ::-1]):
        found = counted(inputs=[stored("ids", side)]).tokens[0]
        assert found.padding == 3
        assert found.padding_share == 8 * 5 / 240
        assert found.positions == 240
        assert found.vocabulary == len(np.unique(tokens))
        values, counts = np.unique(tokens, return_counts=True)
        assert list(found.shares.values()) == sorted((counts / 240).tolist(), reverse=True)[:10]
        assert found.shares[3] == counts[values == 3][0] / 240


def test_text_without_padding_has_none() -> None:
    tokens = RANDOM.integers(0, 500, (64, 16)).astype("int32")
    found = counted(inputs=[stored("x", tokens)]).tokens[0]
    assert found.padding is None
    assert found.padding_share == 0


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("attention_mask", RANDOM.integers(0, 9, (8, 8))),
        ("x", np.tril(np.ones((8, 8), int))),
        ("x", np.tile(np.arange(8), (8, 1))),
        ("x", RANDOM.integers(0, 9, (8, 3))),
        ("x", RANDOM.integers(0, 255, (8, 64)).astype("uint8")),
        ("x", RANDOM.normal(size=(8, 8))),
        ("x", RANDOM.integers(-3, 9, (8, 8))),
        ("x", RANDOM.integers(2**40, 2**41, (8, 8))),
    ],
)
def test_what_is_beside_the_tokens_is_none(name: str, array: Array) -> None:
    assert not counted(inputs=[stored(name, array)]).tokens


def test_too_many_values_are_left_out_with_a_note() -> None:
    def never() -> Iterator[Array]:
        raise AssertionError("was read")
        yield

    huge = ("y", StoredTensor("y", "int64", (1 << 40,), never))
    found = counted([huge], [], [("x", StoredTensor("x", "int64", (1 << 30, 64), never))])
    assert not found.labels
    assert "y" in found.notes[0]
