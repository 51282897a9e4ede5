"""Trial folders of SageMaker Debugger: the series they give, and damaged, lying and hostile ones."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smdebug_writer import TrialWriter, event, frame

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import analyze_paths, read_run
from convergence_cli.readers import smdebug
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.readers._smdebug_index import open_saved, records
from convergence_cli.readers._smdebug_trial import open_trial
from convergence_cli.settings import Settings
from convergence_cli.tensors.smdebug import read_trial
from tests.readers.discovered import discover

if TYPE_CHECKING:
    from convergence_cli.model import Run

SAMPLE = Path(__file__).parents[3] / "shared" / "samples" / "smdebug_trial"
LOSS = "CrossEntropyLoss_output_0"


def read(root: Path) -> Run:
    (run,) = smdebug.read([Source(root, str(root))], ReadOptions())
    return run


def points(run: Run, name: str) -> list[tuple[float, float]]:
    curve = next(curve for curve in run.curves if curve.name == name)
    return list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


def loss(value: float) -> tuple[str, Any]:
    return LOSS, np.array(value, "float32")


@pytest.fixture
def trial(tmp_path: Path) -> TrialWriter:
    return TrialWriter(
        tmp_path / "trial", {"losses": [LOSS], "weights": ["Net_fc1.weight"], "biases": ["Net_fc1.bias"]}
    )


def test_losses_by_mode_on_the_global_step(trial: TrialWriter) -> None:
    bias = ("Net_fc1.bias", np.array([0.5], "float32"))
    for step in (0, 10, 20):
        trial.save(step, [bias, loss(1.5 - step / 40), ("scalar/learning_rate", np.array([0.1]))])
    trial.save(15, [bias, loss(2.0)], "EVAL")
    trial.save(25, [loss(3.0)], "PREDICT")
    run = read(trial.root)
    assert points(run, f"train/{LOSS}") == [(0, 1.5), (10, 1.25), (20, 1.0)]
    assert points(run, f"eval/{LOSS}") == [(15, 2.0)]
    assert points(run, f"predict/{LOSS}") == [(25, 3.0)]
    assert points(run, "learning_rate") == [(0, 0.1), (10, 0.1), (20, 0.1)]
    assert len(run.curves) == 4
    assert {curve.role: curve.name for curve in run.curves if curve.role} == {
        "train_loss": f"train/{LOSS}",
        "val_loss": f"eval/{LOSS}",
    }
    assert run.curves[0].time is not None
    assert run.curves[0].time.tolist() == [1.7e9, 1.7e9 + 10, 1.7e9 + 20]
    assert run.notes == ()


def test_a_loss_that_no_word_tells_keeps_its_role_in_the_pipeline(tmp_path: Path) -> None:
    writer = TrialWriter(tmp_path / "t", {"losses": ["MSELoss_output_0"]})
    for step in range(4):
        writer.save(step, [("MSELoss_output_0", np.array(4.0 - step))])
    run = read_run(writer.root)
    assert run.format == "smdebug"
    curve = run.curve("train_loss")
    assert curve is not None
    assert curve.name == "train/MSELoss_output_0"


def test_scalars_logged_between_saved_steps_keep_their_order(trial: TrialWriter) -> None:
    for step in (0, 4, 8):
        trial.save(step, [loss(1), *(("scalar/lr", np.array([float(step + i)])) for i in range(4))])
    run = read(trial.root)
    assert points(run, "lr") == [(i, i) for i in range(12)]
    assert any("estimated" in note for note in run.notes)


def test_of_several_points_at_one_step_the_last_is_kept(trial: TrialWriter) -> None:
    for step in (0, 1, 2):
        trial.save(step, [("scalar/lr", np.array([1.0])), ("scalar/lr", np.array([2.0 + step]))])
    run = read(trial.root)
    assert points(run, "lr") == [(0, 2.0), (1, 3.0), (2, 4.0)]
    assert any("the last is kept" in note for note in run.notes)


def test_a_loss_a_sample_is_averaged_and_an_infinite_one_stays(trial: TrialWriter) -> None:
    trial.save(0, [(LOSS, np.array([1.0, 2.0, 6.0], "float32"))])
    trial.save(1, [loss(np.nan)])
    trial.save(2, [loss(np.inf)])
    assert str(points(read(trial.root), f"train/{LOSS}")) == "[(0.0, 3.0), (1.0, nan), (2.0, inf)]"


@pytest.mark.parametrize(
    "dtype", ["float16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
)
def test_scalars_of_every_type(trial: TrialWriter, dtype: str) -> None:
    trial.save(0, [("scalar/a", np.array([3], dtype)), ("scalar/b", ["text"])])
    assert points(read(trial.root), "a") == [(0, 3)]


def test_metrics_and_hyperparameters_of_xgboost(tmp_path: Path) -> None:
    names = {"metrics": ["train-rmse", "validation-rmse"], "hyperparameters": ["hyperparameters/eta"]}
    writer = TrialWriter(tmp_path / "t", names)
    for step in (0, 10, 20):
        settings_there = [("hyperparameters/eta", np.array(0.3)), ("hyperparameters/objective", ["reg:linear"])]
        metrics = [("train-rmse", np.array(3.0 - step / 10)), ("validation-rmse", np.array(3.5 - step / 10))]
        writer.save(step, [*settings_there, *metrics], "GLOBAL")
    run = read_run(writer.root)
    assert [(curve.name, curve.role) for curve in run.curves] == [
        ("train-rmse", "train_loss"),
        ("validation-rmse", "val_loss"),
    ]
    assert run.config["eta"] == 0.3
    assert run.config["objective"] == "reg:linear"


def test_series_are_those_of_the_first_worker(trial: TrialWriter) -> None:
    for worker, value in (("worker_10", 10.0), ("worker_2", 2.0), ("_job:w_replica:0", 7.0)):
        trial.worker = worker
        trial.save(0, [loss(value)])
    trial.worker = "worker_2"
    run = read(trial.root)
    assert points(run, f"train/{LOSS}") == [(0, 7.0)]
    assert any("3 workers" in note for note in run.notes)


def test_a_folder_of_trials_is_one_run_each_and_no_tensorboard_log(trial: TrialWriter, tmp_path: Path) -> None:
    trial.save(0, [loss(1.0)])
    TrialWriter(tmp_path / "other", trial.collections).save(0, [loss(2.0)])
    (tmp_path / "trial" / "tensorboard").mkdir()
    (tmp_path / "trial" / "tensorboard" / "events.out.tfevents.1").write_bytes(b"copy")
    found = discover(str(tmp_path))
    assert [(one.name, one.reader.FORMAT) for one in found.candidates] == [("other", "smdebug"), ("trial", "smdebug")]
    assert not found.errors
    (single,) = discover(str(trial.root)).candidates
    assert (single.name, single.folder) == ("trial", trial.root)


def test_a_file_from_inside_a_trial_points_at_the_folder(trial: TrialWriter) -> None:
    manifest = trial.root / "collections" / "000000000" / "worker_0_collections.json"
    for path in (*trial.save(0, [loss(1.0)]), manifest):
        (candidate,) = discover(str(path)).candidates
        with pytest.raises(SourceError) as raised:
            candidate.reader.read(candidate.sources, ReadOptions())
        assert str(trial.root) in str(raised.value)


def test_an_event_file_with_real_checksums_is_read_and_a_wrong_one_is_left_out(trial: TrialWriter) -> None:
    trial.checksum = True
    events, _ = trial.save(0, [loss(1.0), ("scalar/a", np.array([5.0]))])
    assert points(read(trial.root), "a") == [(0, 5.0)]
    data = bytearray(events.read_bytes())
    data[data.index(b"scalar/a")] ^= 1
    events.write_bytes(data)
    run = read(trial.root)
    assert [curve.name for curve in run.curves] == [f"train/{LOSS}"]
    assert any("checksum is wrong" in note for note in run.notes)


def test_what_is_damaged_is_told_once(trial: TrialWriter) -> None:
    trial.checksum = True
    events, _ = trial.save(0, [loss(1.0), ("Net_fc1.weight", np.eye(3)), ("scalar/a", np.array([5.0]))])
    data = bytearray(events.read_bytes())
    data[-30] ^= 1
    events.write_bytes(data)
    report = analyze_paths([str(trial.root)], Settings()).runs[0]
    assert len([note for note in report.notes if "damaged" in note]) == 1


def damaged(index: Path, **changes: Any) -> None:
    content = json.loads(index.read_text())
    for item in content["tensor_payload"]:
        item.update(changes)
    index.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "changes",
    [
        {"start_idx": -1}, {"start_idx": 10**15}, {"start_idx": 3}, {"length": 0}, {"length": 10**30}, {"length": None},
        {"start_idx": "0"}, {"start_idx": 1.5},
    ],
    ids=str,
)  # fmt: skip
def test_an_index_that_lies_is_not_believed(trial: TrialWriter, changes: dict[str, Any]) -> None:
    for step in (0, 1):
        _, index = trial.save(step, [loss(1.0 + step), ("scalar/lr", np.array([0.1]))])
        damaged(index, **changes)
    run = read(trial.root)
    assert points(run, f"train/{LOSS}") == [(0, 1.0), (1, 2.0)]
    assert any("does not fit" in note and "1 other place" in note for note in run.notes)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "\xff", '{"meta": 3, "tensor_payload": {}}', "null"])
def test_without_a_usable_index_the_event_file_is_walked(trial: TrialWriter, content: str) -> None:
    _, index = trial.save(0, [loss(1.0)], "EVAL")
    index.write_text(content)
    assert points(read(trial.root), f"eval/{LOSS}") == [(0, 1.0)]
    index.unlink()
    assert points(read(trial.root), f"eval/{LOSS}") == [(0, 1.0)]


def test_a_huge_index_is_not_read_whole(trial: TrialWriter) -> None:
    _, index = trial.save(0, [loss(1.0)])
    entry = '{"tensorname": "a", "start_idx": 0, "length": 100},'
    index.write_text('{"meta": {}, "tensor_payload": [' + entry * 200_000 + "{}]}")
    assert points(read(trial.root), f"train/{LOSS}") == [(0, 1.0)]
    trial.save(0, [loss(1.0)])
    content = json.loads(index.read_text())
    content["tensor_payload"] *= 1000
    index.write_text(json.dumps(content))
    assert points(read(trial.root), f"train/{LOSS}") == [(0, 1.0)]


@pytest.mark.parametrize("where", ["../secret", "/etc/passwd", "events/../../secret", "link/secret", "events\\x", "\0"])
def test_nothing_outside_the_trial_is_opened(trial: TrialWriter, tmp_path: Path, where: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(frame(event(LOSS, np.array(666.0), 0, "TRAIN")))
    events, index = trial.save(0, [loss(1.0)])
    (trial.root / "link").symlink_to(tmp_path)
    content = json.loads(index.read_text())
    content["meta"]["event_file_name"] = where
    index.write_text(json.dumps(content))
    run = read(trial.root)
    assert points(run, f"train/{LOSS}") == [(0, 1.0)]
    assert any("outside the trial" in note for note in run.notes)
    events.unlink()
    assert read(trial.root).curves == ()


def test_links_and_pipes_in_place_of_files_are_left_alone(trial: TrialWriter, tmp_path: Path) -> None:
    events, index = trial.save(0, [loss(1.0)])
    trial.save(1, [loss(2.0)])
    moved = tmp_path / "moved"
    events.rename(moved)
    events.symlink_to(moved)
    assert points(read(trial.root), f"train/{LOSS}") == [(1, 2.0)]
    events.unlink()
    os.mkfifo(events)
    run = read(trial.root)
    assert points(run, f"train/{LOSS}") == [(1, 2.0)]
    index.unlink()
    os.mkfifo(index)
    assert points(read(trial.root), f"train/{LOSS}") == [(1, 2.0)]


@pytest.mark.parametrize("part", ["index", "events"])
def test_a_linked_part_is_not_followed(trial: TrialWriter, tmp_path: Path, part: str) -> None:
    trial.save(0, [loss(1.0)])
    (trial.root / part).rename(tmp_path / "elsewhere")
    (trial.root / part).symlink_to(tmp_path / "elsewhere")
    run = read(trial.root)
    assert len(run.curves) == (part == "index")
    assert any("is a link" in note for note in run.notes)


def test_an_unfinished_trial_says_so(tmp_path: Path) -> None:
    writer = TrialWriter(tmp_path / "t")
    writer.manifest()
    (writer.root / "events" / "000000000000").mkdir(parents=True)
    (writer.root / "events" / "000000000000" / "000000000000_worker_0.tfevents.tmp").write_bytes(b"x")
    (candidate,) = discover(str(writer.root)).candidates
    with pytest.raises(SourceError, match="nothing has been saved yet"):
        candidate.reader.read(candidate.sources, ReadOptions())


def test_csv_indexes_are_noted(trial: TrialWriter) -> None:
    _, index = trial.save(0, [loss(1.0)])
    index.rename(index.with_suffix(".csv"))
    run = read(trial.root)
    assert points(run, f"train/{LOSS}") == [(0, 1.0)]
    assert any("CSV" in note for note in run.notes)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_no_bytes_raise_anything_else(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = TrialWriter(Path(folder) / "t", {"losses": [LOSS], "weights": ["Net_fc1.weight"]})
        tensors = [loss(1.0), ("Net_fc1.weight", np.eye(3)), ("smdebug/reductions/min/relu_output_0", np.array(1.0))]
        paths = [*writer.save(0, tensors), *writer.save(5, tensors), writer.root / "collections"]
        paths[-1] = next(paths[-1].rglob("*.json"))
        for path in paths:
            content = bytearray(path.read_bytes())
            for _ in range(data.draw(st.integers(0, 3))):
                content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
            if data.draw(st.booleans()):
                del content[data.draw(st.integers(0, len(content))) :]
            path.write_bytes(content)
        with suppress(SourceError):
            read(writer.root)
        with suppress(SourceError):
            read_trial(writer.root, {})


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real trial is not there")
def test_the_real_trial_is_read_whole() -> None:
    trial = open_trial(SAMPLE)
    assert sum(1 for saved in trial.saved for _ in records(trial, open_saved(trial, saved))) == 148
    assert not trial.troubles.notes()
    run = read(SAMPLE)
    assert (
        np.float32([value for _, value in points(run, f"train/{LOSS}")]).tolist()
        == np.float32([1.0480794, 0.9954483, 0.93033147, 1.0006196]).tolist()
    )
    assert [step for step, _ in points(run, f"train/{LOSS}")] == [0, 4, 12, 16]
    assert (
        np.float32([value for _, value in points(run, f"eval/{LOSS}")]).tolist()
        == np.float32([1.063937, 1.0350567]).tolist()
    )
    assert [step for step, _ in points(run, f"eval/{LOSS}")] == [8, 20]
