"""One file a metric: the files of a folder make one run, each series named by its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convergence_cli.errors import SourceError
from convergence_cli.readers import dvclive
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from convergence_cli.model import Run


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
