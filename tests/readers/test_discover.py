"""From a path to runs: what is read, what is left alone, and what is said of what cannot be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.readers import _groups
from convergence_cli.settings import Settings
from tests.readers.discovered import discover

if TYPE_CHECKING:
    from convergence_cli.model import Report

FIXTURES = Path(__file__).parents[2] / "fixtures"
HEALTHY = "epoch,loss,val_loss\n" + "".join(f"{i},{2 * 0.9**i + 0.1:.6f},{2.1 * 0.9**i + 0.2:.6f}\n" for i in range(40))


def _write(path: Path, text: str | bytes = HEALTHY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _names(folder: Path) -> list[str]:
    return [candidate.name for candidate in discover(str(folder)).candidates]


def _report(path: Path | str) -> Report:
    return analyze_paths([str(path)], Settings())


def _only_error(path: Path | str) -> str:
    report = _report(path)
    assert not report.runs
    (error,) = report.errors
    assert error.message.endswith(".")
    assert error.hint
    return error.message


def _state(steps: int) -> str:
    history = [
        {"step": s, "epoch": s / 100, "loss": 3 * 0.99**s + 0.2, "learning_rate": 1e-3} for s in range(0, steps, 10)
    ]
    return json.dumps({"global_step": steps, "log_history": history})


def test_one_file() -> None:
    found = discover(str(FIXTURES / "text" / "healthy-epochs" / "train.log"))
    assert [candidate.name for candidate in found.candidates] == ["train.log"]
    assert found.errors == ()


def test_a_folder_with_several_runs_names_each_by_its_place(tmp_path: Path) -> None:
    for name in ("b/metrics.csv", "a/metrics.csv", "a/other.csv"):
        _write(tmp_path / name)
    assert _names(tmp_path) == ["a/metrics.csv", "a/other.csv", "b/metrics.csv"]
    report = _report(tmp_path)
    assert [run.name for run in report.runs] == ["a/metrics.csv", "a/other.csv", "b/metrics.csv"]
    assert {run.verdict.label for run in report.runs} == {"converging"}


def test_of_checkpoints_the_highest_is_read(tmp_path: Path) -> None:
    for step in (500, 1000, 200):
        _write(tmp_path / f"checkpoint-{step}" / "trainer_state.json", _state(step))
    (run,) = _report(tmp_path).runs
    assert run.summary["last_step"] == 990
    assert "checkpoint-1000" in run.path


def test_the_state_beside_the_checkpoints_is_the_finished_run(tmp_path: Path) -> None:
    _write(tmp_path / "checkpoint-9000" / "trainer_state.json", _state(300))
    _write(tmp_path / "trainer_state.json", _state(700))
    (run,) = _report(tmp_path).runs
    assert run.summary["last_step"] == 690


def test_checkpoints_of_two_runs_are_two_runs(tmp_path: Path) -> None:
    for name in ("one/checkpoint-100", "one/checkpoint-200", "two/checkpoint-100"):
        _write(tmp_path / name / "trainer_state.json", _state(int(name[-3:])))
    assert len(_names(tmp_path)) == 2


def test_a_checkpoint_given_by_itself_is_read(tmp_path: Path) -> None:
    _write(tmp_path / "checkpoint-100" / "trainer_state.json", _state(100))
    (run,) = _report(tmp_path / "checkpoint-100").runs
    assert run.summary["last_step"] == 90


def test_event_files_of_train_and_validation_are_one_run() -> None:
    found = discover(str(FIXTURES / "tensorboard" / "train-validation-siblings"))
    (candidate,) = found.candidates
    assert sorted(source.path.parent.name for source in candidate.sources) == ["train", "validation"]
    (run,) = _report(FIXTURES / "tensorboard" / "train-validation-siblings").runs
    assert {"train_loss", "val_loss"} <= run.summary["series"].keys()


def test_event_files_of_two_runs_are_two_runs(tmp_path: Path) -> None:
    for name in ("train-validation-siblings", "learning-rate-too-high", "recovered-spike"):
        shutil.copytree(FIXTURES / "tensorboard" / name, tmp_path / name)
    assert len(_names(tmp_path)) == 3


def test_the_run_in_the_working_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FIXTURES / "tensorboard" / "recovered-spike", tmp_path / "run")
    _write(tmp_path / "run" / "events.out.tfevents.2", b"")
    monkeypatch.chdir(tmp_path / "run")
    assert _names(Path()) == ["."]


def test_the_metrics_of_a_store_are_one_run() -> None:
    (candidate,) = discover(str(FIXTURES / "mlflow" / "healthy-digits")).candidates
    assert {source.path.name for source in candidate.sources} == {"learning_rate", "train_loss", "val_loss"}


def test_settings_and_pages_beside_a_log_are_no_logs(tmp_path: Path) -> None:
    _write(tmp_path / "metrics.csv")
    for name in (
        "config.json",
        "hparams.yaml",
        "args.yaml",
        "params.json",
        "tokenizer_config.json",
        "all_results.json",
    ):
        _write(tmp_path / name, '{"loss": 1.0, "learning_rate": 0.1}')
    for name in (
        "README.md",
        "requirements.txt",
        "train.py",
        "model.pt",
        "plot.png",
        "tune_results.csv",
        "LICENSE.txt",
    ):
        _write(tmp_path / name, "loss: 0.5 step 3\nloss: 0.4 step 4\n")
    assert _names(tmp_path) == ["metrics.csv"]
    report = _report(tmp_path)
    assert len(report.runs) == 1
    assert report.errors == ()


@pytest.mark.parametrize("name", [".git", "node_modules", ".venv", "__pycache__", ".ipynb_checkpoints", "artifacts"])
def test_folders_that_hold_no_logs_are_not_walked(tmp_path: Path, name: str) -> None:
    _write(tmp_path / "metrics.csv")
    _write(tmp_path / name / "metrics.csv")
    assert _names(tmp_path) == ["metrics.csv"]


def test_symlinks_are_not_followed_and_loops_end(tmp_path: Path) -> None:
    outside = _write(tmp_path / "outside" / "secret.csv")
    inside = tmp_path / "run"
    _write(inside / "metrics.csv")
    (inside / "loop").symlink_to(inside, target_is_directory=True)
    (inside / "latest-run").symlink_to(tmp_path / "outside", target_is_directory=True)
    (inside / "link.csv").symlink_to(outside)
    (inside / "dangling.csv").symlink_to(tmp_path / "nowhere")
    assert _names(inside) == ["metrics.csv"]


def test_deep_and_wide_folders_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath(*["d"] * (_groups.MAX_DEPTH + 3))
    _write(deep / "metrics.csv")
    _write(tmp_path / "a" / "metrics.csv")
    assert _names(tmp_path) == ["a/metrics.csv"]
    monkeypatch.setattr(_groups, "MAX_FILES", 5)
    for number in range(20):
        _write(tmp_path / "a" / f"{number:02}.csv")
    assert len(_names(tmp_path)) == 5


def test_a_fifo_is_refused_and_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    assert "is not a regular file" in _only_error(tmp_path / "pipe.log")
    _write(tmp_path / "metrics.csv")
    assert _names(tmp_path) == ["metrics.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "metrics.csv")
    path.chmod(0)
    assert "metrics.csv" in _only_error(path)


def test_a_folder_without_permission_is_named(request: pytest.FixtureRequest) -> None:
    # Not in tmp_path, which is closed to the user without rights that root becomes here.
    root = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(root))
    root.chmod(0o755)
    _write(root / "open" / "metrics.csv")
    _write(root / "shut" / "metrics.csv")
    (root / "shut").chmod(0)
    as_nobody: list[str] = []
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        as_nobody = [str(setpriv), "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        able = [*as_nobody, sys.executable, "-c", "import convergence_cli"]
        if setpriv is None or subprocess.run(able, capture_output=True, check=False).returncode:
            pytest.skip("root reads everything")
    command = [*as_nobody, sys.executable, "-m", "convergence_cli", "analyze", str(root), "--format", "json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    report = json.loads(done.stdout)
    (root / "shut").chmod(0o755)
    assert done.returncode == 2
    assert [run["name"] for run in report["runs"]] == ["open/metrics.csv"]
    (error,) = report["errors"]
    assert error["message"] == f"{root}/shut cannot be opened: Permission denied."


def test_an_empty_folder(tmp_path: Path) -> None:
    assert str(tmp_path) in _only_error(tmp_path)


def test_a_folder_without_a_log(tmp_path: Path) -> None:
    _write(tmp_path / "train.py", "print(1)")
    _write(tmp_path / "notes" / "README.md", "# nothing")
    message = _only_error(tmp_path)
    assert "No training log was found among 2 files" in message


def test_tensors_under_other_names_and_no_log(tmp_path: Path) -> None:
    (tmp_path / "dump_100.npz").write_bytes(b"PK")
    with pytest.raises(SourceError) as failed:
        discover(str(tmp_path))
    assert "tensors/step_000100.npz" in (failed.value.hint or "")


@pytest.mark.parametrize("path", ["no/such/run", "a\0b", "x" * 5000])
def test_a_missing_path(path: str) -> None:
    message = _only_error(path)
    assert "cannot be read" in message
    assert "\0" not in message
    assert len(message) < 400


def test_a_path_with_terminal_codes_is_shown_harmlessly() -> None:
    assert "\x1b" not in _only_error("run\x1b]52;c;aGk=\x07.csv")


def test_an_empty_file(tmp_path: Path) -> None:
    message = _only_error(_write(tmp_path / "metrics.csv", ""))
    assert "metrics.csv is empty" in message


def test_binary_junk(tmp_path: Path) -> None:
    junk = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
    assert "is binary" in _only_error(_write(tmp_path / "run.log", b"\0\1" + junk))


def test_prose_is_no_log_and_the_hint_names_the_way_out(tmp_path: Path) -> None:
    report = _report(_write(tmp_path / "poem.log", "Es war einmal\nein alter Mann\n" * 40))
    assert not report.runs
    assert "--pattern" in str(report.errors[0].hint)


def test_one_bad_file_among_good_ones_is_an_error_beside_the_answers(tmp_path: Path) -> None:
    _write(tmp_path / "a.csv")
    _write(tmp_path / "bad.jsonl", b"\0\0\0" * 500)
    _write(tmp_path / "c.csv")
    report = _report(tmp_path)
    assert [run.name for run in report.runs] == ["a.csv", "c.csv"]
    assert ["bad.jsonl" in error.message for error in report.errors] == [True]


def test_files_that_only_happen_to_be_there_are_no_errors(tmp_path: Path) -> None:
    _write(tmp_path / "metrics.csv")
    _write(tmp_path / "notes.txt", "remember to buy milk\n")
    _write(tmp_path / "data.json", '["a", "b"]')
    report = _report(tmp_path)
    assert [run.name for run in report.runs] == ["metrics.csv"]
    assert report.errors == ()


@pytest.mark.parametrize("name", ["metrics.json", "trainer_state.json", "metrics.jsonl"])
def test_a_hundred_thousand_brackets(tmp_path: Path, name: str) -> None:
    assert name in _only_error(_write(tmp_path / name, '{"loss": ' + "[" * 100_000))


@pytest.mark.parametrize("name", ["a.log", "a.csv", "a.jsonl", "a.json"])
@pytest.mark.parametrize("text", ["loss ", "1,", '{"loss": 1} ', "9", "loss: 0.5 step: 1 | "])
def test_a_line_of_ten_megabytes(tmp_path: Path, name: str, text: str) -> None:
    report = _report(_write(tmp_path / name, text * (10_000_000 // len(text))))
    assert report.runs or report.errors
    assert all(name in error.message and error.hint for error in report.errors)


def test_several_paths_are_all_answered(tmp_path: Path) -> None:
    good = _write(tmp_path / "good.csv")
    report = analyze_paths([str(tmp_path / "none.csv"), str(good)], Settings())
    assert [run.name for run in report.runs] == ["good.csv"]
    assert len(report.errors) == 1


def test_nothing_in_the_run_folder_is_written(tmp_path: Path) -> None:
    _write(tmp_path / "metrics.csv")
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    _report(tmp_path)
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_the_errors_of_discover_are_source_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        discover(str(tmp_path))
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert runs == []
    assert errors[0].path == str(tmp_path)


def test_what_wandb_logs_of_itself_is_no_log_and_no_error(tmp_path: Path) -> None:
    run = tmp_path / "wandb" / "offline-run-20260101_000000-abc"
    _write(run / "files" / "metrics.csv")
    (run / "logs").mkdir()
    for name in ("debug.log", "debug-internal.log", "debug-core.log"):
        (run / "logs" / name).write_text("2026-01-01 00:00:00,000 INFO    MainThread:1 [wandb_setup.py] Current SDK\n")
    found = discover(str(tmp_path))
    assert [found.errors, len(found.candidates)] == [(), 1]


def test_deleted_runs_of_a_file_store_are_left_out(tmp_path: Path) -> None:
    for name, stage in (("kept", "active"), ("gone", "deleted")):
        store = tmp_path / "mlruns" / "0" / name / "metrics"
        store.mkdir(parents=True)
        (store / "loss").write_text("".join(f"170000000000{at} {1 / (at + 1)} {at}\n" for at in range(9)))
        (store.parent / "meta.yaml").write_text(f"lifecycle_stage: {stage}\nrun_name: {name}\n")
    assert [candidate.folder.parent.name for candidate in discover(str(tmp_path)).candidates] == ["kept"]
