"""Histograms by the real writers: statistics against numpy over the values that were logged."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.plugins.histogram import metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from convergence_cli.readers import tensorboard
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.tensor_stats import QUANTILES, TensorStats
from convergence_cli.tensors.histograms import Histogram, read_histograms, statistics
from tests.readers.discovered import discover

RANDOM = np.random.default_rng(11)


def sources(folder: Path) -> list[Source]:
    files = sorted(folder.rglob("*tfevents*"))
    found = [Source(path, str(path)) for path in files]
    tensorboard.read(found, ReadOptions())
    return found


def stats(folder: Path) -> TensorStats:
    found = read_histograms(sources(folder))
    assert found is not None
    return found


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Any]:
    writer_module = pytest.importorskip("torch.utils.tensorboard")
    writer = writer_module.SummaryWriter(str(tmp_path))
    yield writer
    writer.close()


def check(row: Any, values: npt.NDArray[Any], rough: float) -> None:
    assert row.count == values.size
    spread = float(values.std())
    for name, expected in (("mean", values.mean()), ("std", spread), ("min", values.min()), ("max", values.max())):
        assert getattr(row, name) == pytest.approx(float(expected), rel=1e-4, abs=rough * spread + 1e-12), name
    assert row.l2 == pytest.approx(float(np.linalg.norm(values.astype(np.float64))), rel=max(1e-4, rough))
    assert row.abs_mean == pytest.approx(float(np.abs(values).mean()), rel=0.08)
    expected_quantiles = np.quantile(values, QUANTILES)
    assert np.allclose(row.quantiles, expected_quantiles, atol=0.12 * max(spread, float(np.abs(values).max()) / 4))


def test_histograms_of_torch(log: Any, tmp_path: Path) -> None:
    arrays = {
        "weights/fc1.weight": RANDOM.normal(0, 0.3, (40, 30)),
        "gradients/fc1.weight": RANDOM.normal(0, 1e-4, (40, 30)),
        "fc1/bias": RANDOM.normal(3, 0.5, 400),
        "activations/relu1": np.maximum(RANDOM.normal(0, 1, (64, 20)), 0),
    }
    for step in (0, 10, 20):
        for tag, values in arrays.items():
            log.add_histogram(tag, values.astype("float32") * (1 + step), step)
        log.add_scalar("loss", 1.0 / (step + 1), step)
    log.flush()
    found = stats(tmp_path)
    assert found.steps.tolist() == [0, 10, 20]
    assert len(found) == 12
    rows = {(row.kind, row.name, row.step): row for row in found.rows()}
    for (kind, name), tag in {
        ("weight", "fc1.weight"): "weights/fc1.weight",
        ("gradient", "fc1.weight"): "gradients/fc1.weight",
        ("weight", "fc1.bias"): "fc1/bias",
        ("activation", "relu1"): "activations/relu1",
    }.items():
        for step in (0, 10, 20):
            check(rows[kind, name, float(step)], arrays[tag].astype("float32") * (1 + step), 1e-3)
    assert rows["activation", "relu1", 0.0].function == "relu"
    assert np.isnan(rows["weight", "fc1.weight", 0.0].zero)
    assert rows["weight", "fc1.weight", 0.0].time > 1e9


def test_values_that_are_all_the_same_or_far_from_zero(log: Any, tmp_path: Path) -> None:
    log.add_histogram("weights/zero", np.zeros(50, "float32"), 0)
    log.add_histogram("weights/ones", np.ones(50, "float32"), 0)
    log.add_histogram("weights/far", (1000 + RANDOM.normal(0, 0.01, 5000)).astype("float32"), 0)
    log.flush()
    rows = {row.name: row for row in stats(tmp_path).rows()}
    assert (rows["zero"].zero, rows["zero"].std, rows["zero"].l2) == (50, 0, 0)
    assert (rows["ones"].zero, rows["ones"].std, rows["ones"].mean) == (0, 0, 1)
    # What the file tells: values between the extremes.
    assert 0 < rows["far"].std < 0.05


@pytest.mark.parametrize("mean", [-50.0, 1000.0])
def test_the_spread_of_values_far_from_zero_is_that_of_the_values(log: Any, tmp_path: Path, mean: float) -> None:
    values = (mean + RANDOM.normal(0, 0.245, (64, 32))).astype("float32")
    log.add_histogram("activations/2", values, 1)
    log.flush()
    (row,) = stats(tmp_path).rows()
    assert row.std == pytest.approx(float(values.std(dtype="float64")), rel=1e-3)


def test_numbers_that_are_none_are_counted_and_nothing_else_is_told(log: Any, tmp_path: Path) -> None:
    values = np.array([1.0, 2.0, np.nan, 3.0, np.nan], "float32")
    log.add_histogram("gradients/fc1.weight", values, 3)
    log.flush()
    (row,) = stats(tmp_path).rows()
    assert (row.count, row.nan) == (5, 2)
    assert np.isnan([row.mean, row.std, row.min, row.max, row.l2, *row.quantiles]).all()


def tf2(tag: str, step: int, values: npt.NDArray[Any], *, named: bool = True, buckets: int = 30) -> event_pb2.Event:
    """As ``tf.summary.histogram`` writes it: equal buckets, and one of width 1 where all values are the same."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        table = np.array([[low - 0.5, high + 0.5, values.size]])
    else:
        count, edges = np.histogram(values, bins=buckets)
        table = np.stack([edges[:-1], edges[1:], count], axis=1)
    event = event_pb2.Event(wall_time=1e9 + step, step=step)
    described: SummaryMetadata | None = metadata.create_summary_metadata(tag, None) if named else None
    event.summary.value.append(Summary.Value(tag=tag, tensor=make_tensor_proto(table, np.float64), metadata=described))
    return event


def write(folder: Path, *events: event_pb2.Event) -> None:
    writer = EventFileWriter(str(folder))
    for event in events:
        writer.add_event(event)
    writer.close()


def test_histograms_of_tensorflow_2(tmp_path: Path) -> None:
    kernel, same = RANDOM.normal(0.1, 0.2, 3000), np.full(20, 0.7)
    write(
        tmp_path / "train",
        tf2("dense/kernel_0", 0, kernel),
        tf2("dense/kernel_0", 1, kernel * 2, named=False),
        tf2("dense_1/bias/histogram", 0, same),
        tf2("unknown", 0, same),
    )
    found = stats(tmp_path)
    rows = {(row.name, row.step): row for row in found.rows()}
    assert rows.keys() == {("dense.kernel", 0.0), ("dense.kernel", 1.0), ("dense_1.bias", 0.0)}
    check(rows["dense.kernel", 0.0], kernel, 2e-2)
    check(rows["dense.kernel", 1.0], kernel * 2, 2e-2)
    assert rows["dense_1.bias", 0.0].mean == pytest.approx(0.7)
    assert rows["dense_1.bias", 0.0].std == 0
    assert rows["dense.kernel", 0.0].mode == "train"
    assert any("unknown" in note for note in found.notes)


def test_scalar_logs_have_none_and_are_not_read_again(log: Any, tmp_path: Path) -> None:
    for step in range(50):
        log.add_scalar("loss", step, step)
    log.add_text("note", "text", 0)
    log.flush()
    found = sources(tmp_path)
    assert not any(source.histograms for source in found)
    assert read_histograms(found) is None


def test_a_restart_keeps_the_later_histogram(tmp_path: Path) -> None:
    write(tmp_path, tf2("w/kernel", 0, np.full(5, 1.0)), tf2("w/kernel", 0, np.full(5, 2.0)))
    (row,) = stats(tmp_path).rows()
    assert row.mean == 2


def test_the_run_of_a_log_with_histograms_is_found_as_before(log: Any, tmp_path: Path) -> None:
    log.add_histogram("weights/fc1.weight", np.arange(9.0), 0)
    log.flush()
    (candidate,) = discover(str(tmp_path)).candidates
    (run,) = candidate.reader.read(candidate.sources, ReadOptions())
    assert run.curves == ()
    assert [source.histograms for source in candidate.sources] == [True]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_histograms_never_raise(data: st.DataObject) -> None:
    events = [tf2("a/kernel", 0, np.arange(7.0)), tf2("b/bias", 1, np.arange(3.0), named=False)]
    proto = event_pb2.Event(wall_time=1.0, step=2)
    proto.summary.value.add(tag="c/kernel").histo.CopyFrom(
        HistogramProto(min=-1, max=2, num=3, sum=1, sum_squares=5, bucket_limit=[0, 1, 2], bucket=[1, 0, 2])
    )
    # All is drawn before the writer starts its thread: a draw may end the test at any point.
    payloads = []
    for event in [*events, proto]:
        payload = bytearray(event.SerializeToString())
        for _ in range(data.draw(st.integers(0, 3))):
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(payload)))
        payloads.append(bytes(payload[:cut] if data.draw(st.booleans()) else payload))
    with tempfile.TemporaryDirectory() as folder:
        writer = EventFileWriter(folder)
        for written in payloads:
            writer._async_writer.write(written)
        writer.close()
        found = sources(Path(folder))
        for source in found:
            source.histograms = True
        read_histograms(found)


@pytest.mark.parametrize("total", [1e200, -1e300, 1.7e308])
def test_a_mean_whose_square_is_no_number_is_told_alone(total: float) -> None:
    one = np.ones(1)
    found = statistics(Histogram(-one, one, 3 * one, low=-1.0, high=1.0, number=3.0, total=total, squares=2.0))
    assert found["mean"] == total / 3
    assert all(np.all(np.isfinite(value)) for value in found.values())
