"""One file a metric: the files of a folder make one run, each series named by its file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import read_paths
from convergence_cli.readers import dvclive
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.roles import assign_roles
from convergence_cli.settings import Settings

if TYPE_CHECKING:
    from convergence_cli.model import Run


CATBOOST = Path(__file__).parents[2] / "fixtures" / "trees" / "catboost-multiclass" / "catboost_info"


def read(folder: Path, files: dict[str, str]) -> Run:
    sources = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sources.append(Source(path, str(path)))
    (run,) = dvclive.read(sources, ReadOptions())
    return run


def points(run: Run) -> dict[str, list[tuple[float, float]]]:
    return {curve.name: list(zip(curve.step.tolist(), curve.value.tolist(), strict=True)) for curve in run.curves}


def test_catboost_files_become_one_run(tmp_path: Path) -> None:
    files = {
        "learn_error.tsv": "iter\tLogloss\n0\t0.69\n1\t0.6\n",
        "test_error.tsv": "iter\tLogloss\n0\t0.7\n1\t0.65\n",
    }
    run = read(tmp_path, files)
    assert run.format == "catboost"
    assert points(run) == {"learn/Logloss": [(0, 0.69), (1, 0.6)], "test/Logloss": [(0, 0.7), (1, 0.65)]}


def test_dvclive_files_become_one_run_named_by_their_path(tmp_path: Path) -> None:
    files = {
        "metrics/train/loss.tsv": "timestamp\tstep\tloss\n1650000000000\t0\t3.5\n1650000001000\t1\t2.5\n",
        "metrics/acc.tsv": "step\tacc\n0\t0.1\n1\t0.2\n",
    }
    run = read(tmp_path, files)
    assert run.format == "dvclive"
    assert points(run) == {"train/loss": [(0, 3.5), (1, 2.5)], "acc": [(0, 0.1), (1, 0.2)]}
    assert list(run.curves[0].time) == [1650000000000, 1650000001000]


def test_a_broken_file_costs_only_its_own_series(tmp_path: Path) -> None:
    run = read(tmp_path, {"metrics/loss.tsv": "step\tloss\n0\t3\n1\t2\n", "metrics/acc.tsv": "\x00\x01"})
    assert list(points(run)) == ["loss"]
    assert "acc.tsv could not be read" in run.notes
    with pytest.raises(SourceError, match=r"acc\.tsv"):
        read(tmp_path, {"metrics/acc.tsv": "\x00\x01"})


@pytest.mark.parametrize("name", ["eval/metrics/acc", "plots/metrics/acc", "metrics/loss", "a/b/c/loss"])
def test_a_metric_may_be_named_like_the_folder(tmp_path: Path, name: str) -> None:
    for metric in ("loss", name):
        path = tmp_path / "dvclive" / "plots" / "metrics" / f"{metric}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"step\t{path.stem}\n0\t3\n1\t2\n2\t1\n")
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert errors == []
    assert len(runs) == 1
    assert {curve.name: curve.points for curve in runs[0].curves} == {"loss": 3, name: 3}


def test_catboost_on_many_classes_with_two_test_sets_is_one_run() -> None:
    (run,), errors = read_paths([str(CATBOOST.parent)], Settings())
    assert errors == []
    assert run.notes == ()
    roles = {curve.role: curve.name for curve in run.curves if curve.role}
    assert (roles["train_loss"], roles["val_loss"]) == ("learn/MultiClass", "test/MultiClass:0")
    assert "test/AUC:type=Mu:0" in {curve.name for curve in run.curves}


def test_event_files_of_catboost_without_its_tables_are_read(tmp_path: Path) -> None:
    shutil.copytree(CATBOOST, tmp_path / "catboost_info")
    for name in ("learn_error.tsv", "test_error.tsv", "catboost_training.json"):
        (tmp_path / "catboost_info" / name).unlink()
    runs, _ = read_paths([str(tmp_path)], Settings())
    assert {run.format for run in runs} == {"tensorboard"}


def test_catboost_says_which_measure_is_better_when_higher(tmp_path: Path) -> None:
    files = {
        "learn_error.tsv": "iter\tPFound\tYetiRank\n0\t0.6\t0.7\n1\t0.7\t0.6\n",
        "test_error.tsv": "iter\tPFound\tYetiRank\n0\t0.6\t0.7\n1\t0.65\t0.65\n",
    }
    meta = '{"meta":{"learn_metrics":[{"best_value":"Max","name":"PFound"},{"best_value":"Min","name":"YetiRank"}]}}'
    (tmp_path / "catboost_training.json").write_text(meta)
    run = assign_roles(read(tmp_path, files))
    assert {c.role: c.name for c in run.curves if c.role} == {
        "train_loss": "learn/YetiRank", "val_loss": "test/YetiRank",
    }  # fmt: skip


@pytest.mark.parametrize("meta", [None, b"", b"\x00\xff", b'{"best_value":"Max","name":"' + b"a" * 9000])
def test_catboost_without_a_description_has_its_first_measure_as_loss(tmp_path: Path, meta: bytes | None) -> None:
    if meta is not None:
        (tmp_path / "catboost_training.json").write_bytes(meta)
    run = assign_roles(read(tmp_path, {"learn_error.tsv": "iter\tMultiClass\tAccuracy\n0\t2\t0.1\n1\t1\t0.5\n"}))
    assert {c.role: c.name for c in run.curves if c.role} == {
        "train_loss": "learn/MultiClass", "train_accuracy": "learn/Accuracy",
    }  # fmt: skip


def test_a_description_that_leads_elsewhere_is_not_opened(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"best_value":"Max","name":"RMSE"}')
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "catboost_training.json").symlink_to(outside)
    run = assign_roles(read(folder, {"learn_error.tsv": "iter\tRMSE\n0\t2\n1\t1\n"}))
    assert run.curve("train_loss") is not None
