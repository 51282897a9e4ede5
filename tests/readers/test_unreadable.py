"""What is named and not read: addresses, archives of Comet, Neptune's operations, Orbax checkpoints."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import read_paths
from convergence_cli.readers import best_reader, unreadable
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.settings import Settings


def refusal(path: str) -> tuple[str, str]:
    runs, errors = read_paths([path], Settings())
    assert runs == []
    assert len(errors) == 1, errors
    return errors[0].message, errors[0].hint


@pytest.mark.parametrize(
    ("address", "what", "export"),
    [
        ("https://wandb.ai/me/proj/runs/abc123?nw=x", "W&B", "Api().run('me/proj/abc123').scan_history()"),
        ("https://wandb.internal/me/proj/runs/abc123/overview", "W&B", "run('me/proj/abc123')"),
        ("https://wandb.ai/me/proj", "W&B", "run('ENTITY/PROJECT/RUN')"),
        ("https://www.comet.com/me/proj/0a1b", "Comet", "get_experiment_by_key('0a1b').get_metrics()"),
        ("https://app.neptune.ai/o/me/org/proj/runs", "Neptune", "closed in March 2026"),
        ("https://app.clear.ml/projects/1a/experiments/2b/output/log", "ClearML", "task_id='2b'"),
        ("http://clearml.internal:8080/projects/*/tasks/3c/output", "ClearML", "task_id='3c'"),
        ("http://localhost:5000/#/experiments/0/runs/0f", "MLflow", "MlflowClient('http://localhost:5000')"),
        ("https://host/ml/experiments/7/runs/9a", "MLflow", "get_run('9a')"),
        ("https://tensorboard.dev/experiment/abc/", "tensorboard.dev", "event files"),
        ("s3://bucket/run", "an address", "Download it"),
        ("HTTPS://[broken/", "an address", "Download it"),
    ],
)
def test_an_address_is_told_with_its_export(address: str, what: str, export: str) -> None:
    message, hint = refusal(address)
    assert what in message
    assert export in hint


@pytest.mark.parametrize("word", ["a'b", "$(id)", "`id`", "\x1b[31m", "a b", 'a";b'])
def test_nothing_but_plain_words_of_an_address_is_put_into_a_command(word: str) -> None:
    for address in (
        f"https://wandb.ai/me/{word}/runs/{word}", f"https://www.comet.com/me/p/{word}",
        f"https://app.clear.ml/projects/1/experiments/{word}", f"http://h{word}/#/experiments/0/runs/{word}",
    ):  # fmt: skip
        message, hint = refusal(address)
        assert word not in hint
        assert "\x1b" not in message


def test_a_file_whose_path_only_looks_like_an_address_is_still_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "https:" / "wandb.ai"
    folder.mkdir(parents=True)
    (folder / "log.csv").write_text("step,loss\n1,2\n2,1\n3,0.5\n")
    runs, errors = read_paths([str(folder)], Settings())
    assert (len(runs), errors) == (1, [])


def comet(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("experiment.json", json.dumps({"offline_id": "0a1b"}))
        archive.writestr("messages.json", '{"type": "metric_msg", "payload": {"metric": {"metricName": "loss"}}}\n')
    return path


def test_an_archive_of_comet_is_named_alone_and_in_its_folder(tmp_path: Path) -> None:
    path = comet(tmp_path / ".cometml-runs" / "0a1b.zip")
    for named in (path, tmp_path):
        message, hint = refusal(str(named))
        assert "offline experiment of Comet" in message
        assert "comet upload" in hint
        assert "get_experiment_by_key('0a1b')" in hint


def test_what_the_export_of_comet_writes_is_read(tmp_path: Path) -> None:
    rows = [{"name": "train_loss", "value": str(1 / n), "step": n, "timestamp": 1000 * n} for n in range(1, 9)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert errors == []
    loss = runs[0].curve("train_loss")
    assert loss is not None
    assert loss.step.tolist() == list(range(1, 9))


def test_what_the_exports_of_clearml_and_mlflow_write_is_read(tmp_path: Path) -> None:
    series = {"steps": [1, 2, 3], "values": [3.0, 2.0, 1.0]}
    (tmp_path / "metrics.json").write_text(json.dumps({"loss/train": series, "loss/val": series}))
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert errors == []
    assert {curve.role for curve in runs[0].curves} == {"train_loss", "val_loss"}


def test_operations_of_neptune_are_named(tmp_path: Path) -> None:
    folder = tmp_path / ".neptune" / "offline" / "run__0a1b"
    folder.mkdir(parents=True)
    operation = {"type": "LogFloats", "path": ["train", "loss"], "value": [{"value": 0.5, "step": 1, "ts": 1.0}]}
    texts = [json.dumps({"obj": operation, "version": n, "at": 1.0}) for n in range(9)]
    for between in ("", "\n"):
        (folder / "data-1.log").write_text(between.join(texts))
        message, hint = refusal(str(tmp_path))
        assert "Neptune" in message
        assert "neptune-exporter" in hint


@pytest.mark.parametrize("mark", sorted(unreadable.CHECKPOINT_FILES))
def test_a_folder_of_orbax_is_named(tmp_path: Path, mark: str) -> None:
    step = tmp_path / "checkpoints" / "100" / "state"
    step.mkdir(parents=True)
    (step / mark).write_bytes(b"\0\1" if mark == "manifest.ocdbt" else b"{}")
    (step / "_METADATA").write_text(json.dumps({"tree_metadata": {"loss_scale": {"write_shape": [16, 4]}}}))
    for named in (tmp_path, step):
        message, hint = refusal(str(named))
        assert "checkpoint of Orbax" in message
        assert "StandardCheckpointer" in hint


def test_a_log_beside_a_checkpoint_of_orbax_is_read(tmp_path: Path) -> None:
    (tmp_path / "100").mkdir()
    (tmp_path / "100" / "_CHECKPOINT_METADATA").write_text("{}")
    (tmp_path / "log.csv").write_text("step,loss\n1,2\n2,1\n3,0.5\n")
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert ([run.name for run in runs], errors) == (["log.csv"], [])


def test_other_archives_and_logs_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("experiment.json", "{}")
    assert unreadable.sniff(Source(other, "other.zip")) == 0
    log = tmp_path / "log.jsonl"
    log.write_text('{"obj": {"loss": 1.0}, "step": 1}\n{"obj": {"loss": 0.5}, "step": 2}\n')
    assert best_reader(Source(log, "log.jsonl")) is not unreadable


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("experiment.json", "{}")
        archive.writestr("messages.json", "{}")
    with tempfile.TemporaryDirectory() as folder:
        for start in (b"", b'{"obj": {"type": "LogFloats"', packed.getvalue()[:-20]):
            path = Path(folder, "run.zip")
            path.write_bytes(start + data)
            source = Source(path, "run.zip")
            if unreadable.sniff(source):
                with suppress(SourceError):
                    unreadable.read([source], ReadOptions())


@given(st.text(max_size=40), st.sampled_from(["https://", "http://wandb.ai/", "http://x/#/experiments/", "s3://["]))
def test_any_address_is_refused_in_words(text: str, start: str) -> None:
    with pytest.raises(SourceError):
        unreadable.refuse_address(start + text)
