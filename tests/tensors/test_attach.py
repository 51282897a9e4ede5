"""Dumps find their log: beside it, above it, alone, or among several runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.settings import Settings


def _dump(folder: Path, *steps: int, scale: float = 0.3) -> None:
    target = folder / "tensors"
    target.mkdir(parents=True, exist_ok=True)
    for step in steps:
        values = np.random.default_rng(step).normal(0, scale, (8, 8)).astype(np.float32)
        np.savez(target / f"step_{step:06d}.npz", **{"weight/fc1.weight": values})  # type: ignore[arg-type]


def _log(folder: Path, name: str = "metrics.csv", series: str = "loss") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{step},{2 - step / 100}\n" for step in range(100))
    (folder / name).write_text(f"step,{series}\n{rows}")


def _read(folder: Path) -> dict[str, int | None]:
    runs, errors = read_paths([str(folder)], Settings())
    assert not errors
    return {run.name: None if run.tensors is None else len(run.tensors) for run in runs}


def test_a_dump_goes_to_the_log_in_its_folder(tmp_path: Path) -> None:
    _log(tmp_path)
    _dump(tmp_path, 0, 10)
    assert _read(tmp_path) == {"metrics.csv": 2}


def test_a_dump_goes_to_a_log_in_a_folder_below(tmp_path: Path) -> None:
    _log(tmp_path / "logs")
    _dump(tmp_path, 0)
    assert list(_read(tmp_path).values()) == [1]


def test_of_several_logs_the_one_with_a_loss_gets_the_dump(tmp_path: Path) -> None:
    _log(tmp_path, "a_system.csv", series="cpu_percent")
    _log(tmp_path, "b_train.csv")
    _dump(tmp_path, 0)
    assert _read(tmp_path) == {"a_system.csv": None, "b_train.csv": 1}


def test_without_any_loss_the_last_log_gets_the_dump(tmp_path: Path) -> None:
    _log(tmp_path, "a.csv", series="cpu_percent")
    _log(tmp_path, "b.csv", series="gpu_percent")
    _dump(tmp_path, 0)
    assert _read(tmp_path) == {"a.csv": None, "b.csv": 1}


def test_every_run_of_a_folder_gets_its_own_dump(tmp_path: Path) -> None:
    for name, steps in (("one", (0, 5)), ("two", (0, 5, 10))):
        _log(tmp_path / name)
        _dump(tmp_path / name, *steps)
    assert sorted(value or 0 for value in _read(tmp_path).values()) == [2, 3]


@pytest.mark.parametrize("inside", ["", "tensors"])
def test_dumps_alone_are_a_run_without_an_error(tmp_path: Path, inside: str) -> None:
    _dump(tmp_path / "run", 0, 10, 20)
    report = analyze_paths([str(tmp_path / "run" / inside)], Settings())
    assert not report.errors
    assert [(run.format, run.verdict.state) for run in report.runs] == [("tensors", "no-loss")]
    assert report.runs[0].summary["tensors"]["steps"] == 3


def test_a_single_file_is_a_run(tmp_path: Path) -> None:
    _dump(tmp_path, 7)
    report = analyze_paths([str(tmp_path / "tensors" / "step_000007.npz")], Settings())
    assert not report.errors
    assert report.runs[0].summary["tensors"]["last_step"] == 7


def test_a_broken_dump_beside_a_log_is_a_note(tmp_path: Path) -> None:
    _log(tmp_path)
    (tmp_path / "tensors").mkdir()
    (tmp_path / "tensors" / "step_000000.npz").write_bytes(b"PK\x03\x04 torn")
    report = analyze_paths([str(tmp_path)], Settings())
    assert not report.errors
    assert any("step_000000.npz" in note for note in report.runs[0].notes)


def test_a_broken_dump_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tensors").mkdir()
    (tmp_path / "tensors" / "step_000000.npz").write_bytes(b"PK\x03\x04 torn")
    report = analyze_paths([str(tmp_path)], Settings())
    assert not report.runs
    assert "step_000000.npz" in report.errors[0].message


def test_a_verdict_alone_does_not_read_the_dumps(tmp_path: Path) -> None:
    _log(tmp_path)
    _dump(tmp_path, 0)
    runs, _ = read_paths([str(tmp_path)], Settings(), dumps=False)
    assert [run.tensors for run in runs] == [None]


def _workers(run: Path, *, apart: bool) -> None:
    for worker in range(2):
        _dump(run / f"rank_{worker}", 0, 10, 20, scale=0.3 + 0.1 * worker * apart)


@pytest.mark.parametrize("logs", [(), ("",), ("rank_0",), ("rank_1",), ("rank_0", "rank_1"), ("", "rank_0"), ("logs",)])
@pytest.mark.parametrize("apart", [False, True])
def test_workers_with_a_folder_each_are_compared_once(tmp_path: Path, logs: tuple[str, ...], apart: bool) -> None:
    _workers(tmp_path / "run", apart=apart)
    for folder in logs:
        _log(tmp_path / "run" / folder)
    for root in (tmp_path, tmp_path / "run"):
        report = analyze_paths([str(root)], Settings())
        assert not report.errors
        assert len(report.runs) == max(len(logs), 1)
        assert sum("tensors" in run.summary for run in report.runs) == 1
        assert sum(one.name == "replicas-differ" for run in report.runs for one in run.findings) == apart


def test_a_run_beside_the_folders_of_workers_does_not_get_their_dumps(tmp_path: Path) -> None:
    _log(tmp_path / "baseline")
    _workers(tmp_path, apart=False)
    _log(tmp_path / "rank_0", series="cpu_percent")
    _log(tmp_path / "rank_1")
    _log(tmp_path / "zero")
    taken = {name: rows for name, rows in _read(tmp_path).items() if rows}
    assert list(taken.values()) == [6]
    assert "rank_1" in next(iter(taken))
