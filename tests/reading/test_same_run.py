"""The same run in two formats is read once; runs that are merely alike are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convergence_cli.model import Run, RunError
from convergence_cli.reading.runs import runs_at
from convergence_cli.settings import Settings
from tests.reading.runs_on_disk import csv_run, jsonl_run, losses


def runs(path: Path) -> list[Run]:
    items = list(runs_at([str(path)], Settings()))
    assert [item for item in items if isinstance(item, RunError)] == []
    return [item for item in items if isinstance(item, Run)]


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_one_run_in_two_formats_is_read_once_however_it_was_rounded(tmp_path: Path, digits: int) -> None:
    csv_run(tmp_path / "progress.csv", losses(60), digits=digits)
    jsonl_run(tmp_path / "result.json", losses(60))
    (found,) = runs(tmp_path)
    assert "is read once" in " ".join(found.notes)


def test_a_log_that_counts_from_one_is_the_same_run(tmp_path: Path) -> None:
    csv_run(tmp_path / "log.csv", losses(60), first=1)
    jsonl_run(tmp_path / "log.jsonl", losses(60))
    assert len(runs(tmp_path)) == 1


def test_a_log_without_the_last_points_is_the_same_run_and_the_fuller_stays(tmp_path: Path) -> None:
    csv_run(tmp_path / "log.csv", losses(60)[:58])
    jsonl_run(tmp_path / "log.jsonl", losses(60))
    (found,) = runs(tmp_path)
    assert found.name == "log.jsonl"


def test_thinned_points_at_the_same_steps_are_the_same_run(tmp_path: Path) -> None:
    values = losses(100)
    jsonl_run(tmp_path / "log.jsonl", values)
    rows = [f"{step},{values[step]:.6f}" for step in range(0, 100, 10)]
    (tmp_path / "log.csv").write_text("\n".join(["step,train_loss", *rows]) + "\n")
    assert len(runs(tmp_path)) == 1


def test_what_only_the_shorter_log_has_is_added_where_the_steps_agree(tmp_path: Path) -> None:
    values = losses(40)
    jsonl_run(tmp_path / "a.jsonl", values)
    rows = [f"{step},{value:.6f},{0.001 * (1 + step):.6f}" for step, value in enumerate(values[:39])]
    (tmp_path / "b.csv").write_text("\n".join(["step,train_loss,lr", *rows]) + "\n")
    (found,) = runs(tmp_path)
    assert {curve.role for curve in found.curves} == {"train_loss", "learning_rate"}


def test_two_seeds_are_two_runs(tmp_path: Path) -> None:
    csv_run(tmp_path / "log.csv", losses(60, seed=1))
    jsonl_run(tmp_path / "log.jsonl", losses(60, seed=2))
    assert len(runs(tmp_path)) == 2


def test_two_logs_of_one_format_are_two_runs_however_alike(tmp_path: Path) -> None:
    for name in ("seed_1.csv", "seed_2.csv"):
        csv_run(tmp_path / name, losses(60))
    assert len(runs(tmp_path)) == 2


def test_constant_losses_say_nothing_of_whether_they_are_one(tmp_path: Path) -> None:
    csv_run(tmp_path / "log.csv", np.full(60, 2.3))
    jsonl_run(tmp_path / "log.jsonl", np.full(60, 2.3))
    assert len(runs(tmp_path)) == 2


def test_a_score_that_does_not_vary_tells_neither_way(tmp_path: Path) -> None:
    values = losses(60)
    for name, digits in (("log.csv", 4), ("log.tsv", 6)):
        cut = "," if name.endswith("csv") else "\t"
        rows = [cut.join((str(step), f"{value:.{digits}f}", "0.0804")) for step, value in enumerate(values)]
        (tmp_path / name).write_text("\n".join([cut.join(("step", "train_loss", "val_accuracy")), *rows]) + "\n")
    assert len(runs(tmp_path)) == 1


def test_values_rounded_beyond_telling_are_not_taken_for_one_run(tmp_path: Path) -> None:
    csv_run(tmp_path / "log.csv", losses(60, noise=0.0), digits=0)
    jsonl_run(tmp_path / "log.jsonl", losses(60, noise=0.0, rate=0.052))
    assert len(runs(tmp_path)) == 2


def test_a_run_that_ends_in_nan_is_the_same_in_both(tmp_path: Path) -> None:
    values = losses(60)
    values[40:] = np.nan
    csv_run(tmp_path / "log.csv", values)
    jsonl_run(tmp_path / "log.jsonl", values)
    assert len(runs(tmp_path)) == 1


def test_logs_in_folders_that_a_writer_makes_belong_to_the_run_above(tmp_path: Path) -> None:
    csv_run(tmp_path / "run" / "logs" / "metrics.csv", losses(60))
    jsonl_run(tmp_path / "run" / "files" / "history.jsonl", losses(60))
    csv_run(tmp_path / "other" / "metrics.csv", losses(60, seed=3))
    assert len(runs(tmp_path)) == 2


def test_the_real_writer_of_a_console_and_of_a_table_left_one_run(fixture_folder: Path) -> None:
    (found,) = runs(fixture_folder / "keras" / "healthy-digits")
    assert found.format == "keras"
