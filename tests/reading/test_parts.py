"""Parts of one run in several files are joined; runs that begin at their first step never are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convergence_cli.model import Run, RunError
from convergence_cli.reading.parts import chains, span_of
from convergence_cli.reading.runs import runs_at
from convergence_cli.settings import Settings
from tests.reading.runs_on_disk import csv_run, losses


def runs(path: Path) -> list[Run]:
    items = list(runs_at([str(path)], Settings()))
    assert [item for item in items if isinstance(item, RunError)] == []
    return [item for item in items if isinstance(item, Run)]


def parts(root: Path, cuts: list[tuple[int, int]], seed: int = 0) -> None:
    values = losses(400, seed, rate=0.01)
    for number, (start, stop) in enumerate(cuts):
        csv_run(root / f"version_{number}" / "metrics.csv", values[start:stop], first=start)


@pytest.mark.parametrize(
    "cuts",
    [[(0, 200), (200, 400)], [(0, 220), (200, 400)], [(0, 150), (150, 290), (280, 400)]],
    ids=["exact", "overlap", "three"],
)
def test_parts_are_joined_in_order(tmp_path: Path, cuts: list[tuple[int, int]]) -> None:
    parts(tmp_path, cuts)
    (found,) = runs(tmp_path)
    (curve,) = found.curves
    assert curve.points == sum(stop - start for start, stop in cuts)
    assert (curve.step[0], curve.step[-1]) == (0, 399)
    assert f"{len(cuts)} parts of one run are joined" in " ".join(found.notes)
    # Where a part goes back before the end of the last one, that is a restart and nothing is lost.
    assert len(curve.restarts) == sum(start < cuts[i][1] for i, (start, _) in enumerate(cuts[1:]))


def test_a_sweep_of_runs_from_the_first_step_stays_a_sweep(tmp_path: Path) -> None:
    for number in range(5):
        csv_run(tmp_path / f"version_{number}" / "metrics.csv", losses(100 + 50 * number, number))
    assert len(runs(tmp_path)) == 5


def test_a_part_after_a_hole_stands_alone(tmp_path: Path) -> None:
    parts(tmp_path, [(0, 100), (300, 400)])
    assert len(runs(tmp_path)) == 2


def test_another_level_is_another_run(tmp_path: Path) -> None:
    csv_run(tmp_path / "version_0" / "metrics.csv", losses(200, rate=0.01))
    csv_run(tmp_path / "version_1" / "metrics.csv", losses(200, rate=0.01) + 5, first=200)
    assert len(runs(tmp_path)) == 2


def test_other_settings_are_another_run(tmp_path: Path) -> None:
    values = losses(400, rate=0.01)
    csv_run(tmp_path / "version_0" / "metrics.csv", values[:200], learning_rate=0.1)
    csv_run(tmp_path / "version_1" / "metrics.csv", values[200:], first=200, learning_rate=0.01)
    assert len(runs(tmp_path)) == 2


def test_where_two_could_go_on_none_is_joined(tmp_path: Path) -> None:
    values = losses(400, rate=0.01)
    csv_run(tmp_path / "version_0" / "metrics.csv", values[:200])
    for number in (1, 2):
        csv_run(tmp_path / f"version_{number}" / "metrics.csv", values[200:], first=200)
    assert len(runs(tmp_path)) == 3


def test_a_curve_kept_as_buckets_is_joined_too(tmp_path: Path) -> None:
    values = losses(100_000, rate=1e-4)
    csv_run(tmp_path / "version_0" / "metrics.csv", values[:90_000])
    csv_run(tmp_path / "version_1" / "metrics.csv", values[90_000:], first=90_000)
    (found,) = runs(tmp_path)
    (curve,) = found.curves
    assert curve.buckets is not None
    assert curve.points == 100_000
    total = float((curve.buckets.mean * curve.buckets.count).sum() / curve.buckets.count.sum())
    assert total == pytest.approx(float(values.mean()), rel=1e-6)


def test_runs_without_a_loss_have_no_span(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,gpu\n0,1\n1,2\n2,3\n")
    (found,) = runs(tmp_path)
    assert span_of(found) is None
    assert chains([None, None]) == []


def test_nan_from_the_first_step_on_is_no_part() -> None:
    from convergence_cli.model import Curve

    curve = Curve("loss", np.arange(5.0), np.full(5, np.nan), role="train_loss")
    assert span_of(Run("a", "a/b.csv", "csv", (curve,))) is None


def test_parts_that_a_writer_puts_into_folders_by_time_are_one_run(tmp_path: Path) -> None:
    values = losses(400, rate=0.01)
    csv_run(tmp_path / "work" / "20250101_000000" / "vis_data" / "scalars.csv", values[:200])
    csv_run(tmp_path / "work" / "20250102_000000" / "vis_data" / "scalars.csv", values[200:], first=200)
    assert len(runs(tmp_path)) == 1


def test_parts_are_looked_for_beside_a_run_and_not_elsewhere(tmp_path: Path) -> None:
    values = losses(400, rate=0.01)
    csv_run(tmp_path / "a" / "version_0" / "metrics.csv", values[:200])
    csv_run(tmp_path / "b" / "version_0" / "metrics.csv", values[200:], first=200)
    assert len(runs(tmp_path)) == 2
