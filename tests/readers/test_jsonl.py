"""JSON lines: every line counts, whatever else stands in the file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SourceError
from convergence_cli.readers import jsonl
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.readers._json_lines import parse_lines

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run

folder = Path()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder  # noqa: PLW0603
    folder = tmp_path_factory.mktemp("logs")


def source(data: bytes, name: str = "log.jsonl") -> Source:
    (folder / name).write_bytes(data)
    return Source(folder / name, name)


def read(data: bytes, name: str = "log.jsonl") -> Run:
    (run,) = jsonl.read([source(data, name)], ReadOptions())
    return run


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def series(run: Run, name: str) -> Curve:
    return next(curve for curve in run.curves if curve.name == name)


def test_train_and_validation_rows_share_one_step_axis() -> None:
    rows = [{"step": step, "loss": 1 / (step + 1), "lr": 0.1} for step in range(30)]
    rows.insert(10, {"step": 9, "val_loss": 0.5})
    rows.append({"epoch": 1, "val_loss": 0.4})
    run = read(lines(*rows))
    assert run.format == "jsonl"
    loss, val = series(run, "loss"), series(run, "val_loss")
    np.testing.assert_array_equal(loss.step, range(30))
    np.testing.assert_array_equal(val.step, [9, 29])
    np.testing.assert_array_equal(val.line, [11, 32])
    assert {curve.name for curve in run.curves} == {"loss", "lr", "val_loss"}
    assert run.notes == ()


def test_a_bare_nan_is_a_logged_point_and_a_null_is_none() -> None:
    data = (
        b'{"step": 0, "loss": 1.0}\n{"step": 1, "loss": NaN}\n{"step": 2, "loss": -Infinity}\n'
        b'{"step": 3, "loss": null}\n{"step": 4, "loss": "inf"}\n{"step":5,"loss":nan}\n'
    )
    loss = series(read(data), "loss")
    np.testing.assert_array_equal(loss.step, [0, 1, 2, 4, 5])
    np.testing.assert_array_equal(loss.value, [1, math.nan, -math.inf, math.inf, math.nan])


def test_a_million_bytes_of_nan_lines_loses_none_and_leaves_text_alone() -> None:
    text = {"note": 'says: NaN, "quoted": Infinity', "step": 0, "loss": 1.0}
    rows = [text] + [{"step": step, "loss": math.nan if step % 7 else 1.0} for step in range(1, 40_000)]
    loss = series(read(lines(*rows)), "loss")
    assert loss.points == 40_000
    assert np.isnan(loss.value).sum() == sum(1 for step in range(1, 40_000) if step % 7)
    np.testing.assert_array_equal(loss.step, range(40_000))
    np.testing.assert_array_equal(loss.line, range(1, 40_001))


def test_a_long_log_keeps_every_non_finite_point_in_its_buckets() -> None:
    count = 200_000
    body = b"".join(
        b'{"step": %d, "loss": %s}\n' % (step, b"NaN" if step == 150_001 else b"0.5") for step in range(count)
    )
    loss = series(read(body), "loss")
    assert loss.points == count
    assert loss.buckets is not None
    assert loss.buckets.nonfinite.sum() == 1
    assert np.nanmin(loss.buckets.first_nonfinite_step) == 150_001


def test_garbage_and_blank_lines_are_passed_over_and_counted() -> None:
    data = b'starting up\n\n{"step": 1, "loss": 2}\nTraceback: {oops}\n\n{"step": 2, "loss": 1}\r\n[1, 2]\n'
    run = read(data)
    np.testing.assert_array_equal(series(run, "loss").step, [1, 2])
    np.testing.assert_array_equal(series(run, "loss").line, [3, 6])
    assert run.notes == ("skipped 3 lines of something other than JSON",)


def test_a_torn_last_line_is_dropped_with_a_note() -> None:
    run = read(lines({"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}) + b'{"step": 3, "lo')
    np.testing.assert_array_equal(series(run, "loss").step, [1, 2])
    assert run.notes == ("dropped the last line, which was cut off",)


def test_nested_objects_become_paths_and_lists_and_flags_no_series() -> None:
    row = {"step": 1, "train": {"loss": 1.0, "acc": {"top1": 0.5}}, "done": True, "hist": [1, 2], "id": "a"}
    run = read(lines(row, {**row, "step": 2}))
    assert {curve.name for curve in run.curves} == {"train/loss", "train/acc/top1"}


def test_records_in_long_form_are_series_by_their_name() -> None:
    rows = [{"step": step, "name": name, "value": 1.0 / (step + 1)} for step in range(20) for name in ("a", "b")]
    run = read(lines(*rows))
    assert {curve.name: curve.points for curve in run.curves} == {"a": 20, "b": 20}
    np.testing.assert_array_equal(series(run, "b").step, range(20))


def test_mmcv_iterations_that_start_again_each_epoch_are_counted_on() -> None:
    rows: list[object] = [{"env_info": "x", "seed": 1}]
    for epoch in (1, 2, 3):
        rows += [
            {"mode": "train", "epoch": epoch, "iter": at, "lr": 0.1, "data_time": 0.1, "loss": 1.0}
            for at in (50, 100, 150)
        ]
        rows.append({"mode": "val", "epoch": epoch, "iter": 64, "lr": 0.1, "loss": 2.0, "mIoU": 0.5})
    run = read(lines(*rows), "20260101.log.json")
    assert run.format == "mmcv"
    np.testing.assert_array_equal(series(run, "train/loss").step, range(50, 451, 50))
    np.testing.assert_array_equal(series(run, "val/loss").step, [150, 300, 450])
    np.testing.assert_array_equal(series(run, "val/mIoU").epoch, [1, 2, 3])
    assert series(run, "train/loss").restarts == ()


def test_mmcv_iterations_that_count_throughout_stay_as_logged() -> None:
    rows = [{"mode": "train", "epoch": 1 + at // 30, "iter": at, "lr": 0.1, "loss": 1.0} for at in range(10, 200, 10)]
    rows.insert(5, {"mode": "val", "epoch": 2, "iter": 7, "mIoU": 0.5})
    run = read(lines({}, *rows))
    np.testing.assert_array_equal(series(run, "train/loss").step, range(10, 200, 10))
    np.testing.assert_array_equal(series(run, "val/mIoU").step, [50])


def test_a_batch_number_within_the_epoch_is_counted_on_in_any_log() -> None:
    rows = [{"epoch": epoch, "step": step, "loss": 1.0} for epoch in range(3) for step in range(0, 100, 5)]
    loss = series(read(lines(*rows)), "loss")
    np.testing.assert_array_equal(loss.step, range(0, 300, 5))
    assert loss.restarts == ()


@pytest.mark.parametrize(
    "key",
    [
        *("iter", "global_step", "_step", "training_iteration", "timesteps_total", "current_steps", "num_updates"),
        *("trainer/global_step", "batch", "batch_idx", "Step", "GlobalStep", "it", "itr", "n_iter", "updates"),
        *("env_steps", "train_step", "Global Step"),
    ],
)
def test_a_step_may_have_many_names(key: str) -> None:
    run = read(lines(*({key: 10 * at, "loss": 1 / (at + 1)} for at in range(30))))
    assert [curve.name for curve in run.curves] == ["loss"]
    np.testing.assert_array_equal(series(run, "loss").step, range(0, 300, 10))


@pytest.mark.parametrize("batch", [[32] * 30, [32, 64] * 15, [*range(5), *range(5), *range(20)], [math.nan] * 30])
def test_a_number_that_does_not_count_is_no_step(batch: list[float]) -> None:
    run = read(lines(*({"batch": size, "loss": 1 / (at + 1)} for at, size in enumerate(batch))))
    np.testing.assert_array_equal(series(run, "loss").step, range(30))
    assert series(run, "batch").points == 30


@pytest.mark.parametrize("key", ["batch", "batch_idx", "it"])
def test_a_batch_number_under_another_name_is_counted_on(key: str) -> None:
    rows = [{"epoch": epoch, key: at, "loss": 1.0} for epoch in range(4) for at in range(0, 100, 10)]
    loss = series(read(lines(*rows)), "loss")
    np.testing.assert_array_equal(loss.step, range(0, 400, 10))
    assert loss.epoch is not None


def test_a_step_inside_an_object_is_the_step() -> None:
    rows = [{"progress": {"step": 5 * at, "epoch": at // 10}, "metrics": {"loss": 1.0}} for at in range(30)]
    loss = series(read(lines(*rows)), "metrics/loss")
    np.testing.assert_array_equal(loss.step, range(0, 150, 5))
    np.testing.assert_array_equal(loss.epoch, np.repeat(range(3), 10))


@pytest.mark.parametrize("key", ["mode", "split", "phase", "stage", "subset", "type", "event"])
@pytest.mark.parametrize("held_out", ["val", "valid", "validation", "eval", "Evaluation", "dev", "test"])
def test_records_that_say_their_data_make_a_series_of_each(key: str, held_out: str) -> None:
    rows = [{key: held_out if at % 5 == 0 else "train", "step": at, "loss": float(at)} for at in range(1, 31)]
    run = read(lines(*rows))
    found = {curve.name: curve.step.tolist() for curve in run.curves}
    assert found[f"{held_out.lower()}/loss"] == list(range(5, 31, 5))
    assert found["train/loss"] == [at for at in range(1, 31) if at % 5]
    assert len(found) == 2


def test_records_with_their_data_in_an_object_share_its_step() -> None:
    rows = [{"event": "eval" if at % 5 == 0 else "train", "data": {"step": at, "loss": 1.0}} for at in range(1, 31)]
    run = read(lines(*rows))
    assert {curve.name: curve.points for curve in run.curves} == {"train/data/loss": 24, "eval/data/loss": 6}
    np.testing.assert_array_equal(series(run, "eval/data/loss").step, range(5, 31, 5))


@pytest.mark.parametrize("value", ["info", "", None, 3, ["train"], {"a": 1}])
def test_what_is_no_name_of_data_divides_nothing(value: object) -> None:
    rows = [{"type": value, "step": at, "loss": 1.0} for at in range(30)]
    assert series(read(lines(*rows)), "loss").points == 30


def test_a_resumed_run_goes_back_as_it_was_logged() -> None:
    rows = [{"epoch": step // 10, "step": step, "loss": 1.0} for step in (*range(25), *range(20, 40))]
    loss = series(read(lines(*rows)), "loss")
    np.testing.assert_array_equal(loss.step, [*range(25), *range(20, 40)])
    assert loss.restarts == (25,)


def test_several_rows_an_epoch_without_a_step_are_numbered_by_row() -> None:
    rows = [{"epoch": epoch, "loss": 1.0} for epoch in range(4) for _ in range(5)]
    loss = series(read(lines(*rows)), "loss")
    np.testing.assert_array_equal(loss.step, range(20))
    assert loss.epoch is not None
    np.testing.assert_array_equal(loss.epoch, np.repeat(range(4), 5))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"current_steps": 5, "total_steps": 90, "loss": 2.0, "lr": 1e-4, "elapsed_time": "0:01:02"}, "llama-factory"),
        ({"iteration": 19, "total_loss": 2.0, "eta_seconds": 4.5, "lr": 1e-4}, "detectron2"),
        ({"training_iteration": 1, "timesteps_total": 400, "episode_reward_mean": 1.0}, "rllib"),
        ({"iter": 50, "step": 50, "epoch": 1, "data_time": 0.1, "loss": 2.0}, "mmengine"),
    ],
)
def test_the_writer_is_known_by_its_keys(record: dict[str, object], expected: str) -> None:
    assert jsonl.sniff(source(lines(record, record))) > 0.8
    assert read(lines(record, record)).format == expected


def test_the_configuration_in_every_line_is_read_once_and_is_no_series() -> None:
    rows = [
        {"training_iteration": i, "timesteps_total": 10 * i, "config": {"lr": 0.1, "n": i}, "episode_reward_mean": 1}
        for i in range(1, 12)
    ]
    run = read(lines(*rows), "result.json")
    assert run.config["learning_rate"] == 0.1
    assert run.config["n"] == 1
    assert {curve.name for curve in run.curves} == {"episode_reward_mean"}


def test_sniffing_leaves_other_formats_alone() -> None:
    assert jsonl.sniff(source(b"step,loss\n1,2\n")) == 0
    assert jsonl.sniff(source(json.dumps({"loss": [1, 2]}, indent=1).encode())) == 0
    assert jsonl.sniff(source(b'{"loss": [1, 2, 3], "best": 1}')) < 0.1
    assert jsonl.sniff(source(b'{"text": "a"}\n{"text": "b"}\n')) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"step": 1, "loss": ' + b"9" * 5000 + b"}\n",
        b'{"step": 1e999, "loss": 1}\n{"step": -1e999, "loss": 2}\n',
        b'{"loss": 1, "loss": 2}\n',
        b'{"epoch": 1e308, "step": 1, "loss": 1}\n{"epoch": 1.5e308, "step": 0, "loss": 1}\n',
        b'{"mode": ["train"], "iter": {"a": 1}, "epoch": [1]}\n{"mode": "train", "iter": "x", "loss": 1}\n',
        b'{"\\ud800": 1}\n',
        b"null\ntrue\n5\n",
        b"\xff\xfe{\x00}\x00",
        b"\0" * 100,
    ],
)
def test_hostile_lines_are_read_or_refused_in_a_sentence(data: bytes) -> None:
    assert 0 <= jsonl.sniff(source(data)) <= 1
    try:
        run = read(data)
    except SourceError:
        return
    assert all(np.isfinite(curve.step).all() for curve in run.curves)


def test_five_thousand_digits_are_an_infinite_value() -> None:
    loss = series(read(b'{"step": 1, "loss": ' + b"9" * 5000 + b"}\n"), "loss")
    assert loss.value[0] == math.inf


def test_every_prefix_of_a_log_is_read_or_refused() -> None:
    whole = lines({"epoch": 1, "step": 0, "loss": 1.5, "x": {"y": [1]}}, {"epoch": 2, "step": 0, "loss": math.nan})
    for cut in range(len(whole)):
        jsonl.sniff(source(whole[:cut]))
        try:
            read(whole[:cut])
        except CtroubleshootError:
            continue


def test_a_line_nested_past_any_log_is_bad_and_the_rest_is_read() -> None:
    deep = b"[" * 20_000 + b"]" * 20_000 + b"\n"
    run = read(lines({"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}) + deep * 3 + lines({"step": 3, "loss": 0.5}))
    assert run.curves[0].value.tolist() == [2.0, 1.0, 0.5]
    assert any("3 lines" in note for note in run.notes)


_KEYS = st.sampled_from(
    ["step", "epoch", "iter", "mode", "loss", "value", "name", "config", "_timestamp", "data_time", "train_runtime"]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["train", "1e400", "nan", "x_1"])
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=5
)


@settings(max_examples=150, deadline=None)
@example([{}, {"step": None, "epoch": 0}, {"step": 0}], b"")
@given(st.lists(st.dictionaries(_KEYS, _VALUES, max_size=6), max_size=24), st.binary(max_size=20))
def test_any_records_and_any_tail_never_break_the_reader(rows: list[dict[str, object]], tail: bytes) -> None:
    data = lines(*rows) + tail
    assert 0 <= jsonl.sniff(source(data)) <= 1
    try:
        run = read(data)
    except CtroubleshootError:
        return
    for curve in run.curves:
        assert len(curve.step) == len(curve.value) > 0
        assert np.isfinite(curve.step).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats() | st.text(max_size=6), max_size=3), min_size=1))
def test_a_block_parses_to_what_json_reads_line_by_line(rows: list[dict[str, object]]) -> None:
    block = parse_lines(lines(*rows))
    assert block.bad == 0
    assert len(block.records) == len(rows)
    for ours, theirs in zip(block.records, rows, strict=True):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            read_back = float(str(ours[key])) if isinstance(value, float) else ours[key]
            np.testing.assert_equal(read_back, value)
