"""A rate for a training command: what its short runs come to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convergence_cli.errors import CtroubleshootError, UsageError
from convergence_cli.lr_find.commands import CommandPlan, ends_of, find_by_command
from convergence_cli.model import Curve, Run
from convergence_cli.settings import Settings
from tests.trials.trainings import PROGRAM


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "small.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*words: str, **more: Any) -> CommandPlan:
    return CommandPlan((sys.executable, "small.py", *words), Settings(), **{"steps": 60, **more})


def run_of(**series: list[float]) -> Run:
    curves = [
        Curve(name, np.arange(len(values), dtype=float), np.array(values), role)
        for role, (name, values) in zip(("train_loss", "val_loss"), series.items(), strict=False)
    ]
    return Run("run", "run", "csv", tuple(curves), {})


def test_the_rate_at_which_the_log_ends_lowest_is_found_and_where_it_breaks(here: Path) -> None:
    answer = find_by_command(plan("{learning_rate}"))
    assert answer.refused is None
    assert answer.learning_rate is not None
    # The parabola is crossed in one step near 0.48, and left for good above 0.95.
    assert 0.01 <= answer.learning_rate <= 0.6
    assert answer.window is not None
    assert answer.window[0] <= answer.learning_rate <= answer.window[1]
    assert answer.diverges_at is None or 0.9 <= answer.diverges_at <= 10
    assert answer.steps == 60 * len(answer.probes)
    assert [probe.rate for probe in answer.probes] == sorted(probe.rate for probe in answer.probes)


def test_no_more_runs_are_made_than_allowed_and_their_logs_are_kept(here: Path) -> None:
    answer = find_by_command(plan("{learning_rate}", runs=4))
    assert len(answer.probes) == 4
    outputs = sorted((here / "ct-lr-find").glob("*/output.txt"))
    assert len(outputs) == 4
    assert all(output.stat().st_size for output in outputs)


def test_the_rate_can_come_from_the_environment(here: Path) -> None:
    answer = find_by_command(plan("1.2", "variable", runs=5))
    assert len({probe.loss for probe in answer.probes}) > 2


def test_a_command_that_ignores_the_rate_is_told_so(here: Path) -> None:
    (here / "flat.py").write_text(
        "import sys\nsys.argv[1]\nfor step in range(30): print(f'step={step} loss={2 - step / 30:.4f}')\n"
    )
    answer = find_by_command(CommandPlan((sys.executable, "flat.py", "{learning_rate}"), Settings(), steps=30))
    assert answer.refused is not None
    assert answer.refused.reason == "no-rate-learns"
    assert "same at every rate" in answer.refused.message


def test_a_loss_that_only_rises_has_no_rate(here: Path) -> None:
    (here / "rise.py").write_text(
        "import sys\nrate = float(sys.argv[1])\n"
        "for step in range(30): print(f'step={step} loss={1 + step * min(rate, 1) ** 0.1:.4f}')\n"
    )
    answer = find_by_command(CommandPlan((sys.executable, "rise.py", "{learning_rate}"), Settings(), steps=30))
    assert answer.refused is not None
    assert answer.refused.reason == "no-rate-learns"


def test_a_crash_at_a_high_rate_is_a_rate_that_breaks(here: Path) -> None:
    (here / "assert.py").write_text(
        "import sys\nrate = float(sys.argv[1])\nassert rate < 0.05, 'loss is NaN'\n"
        "for step in range(30): print(f'step={step} loss={2 - rate * step:.4f}')\n"
    )
    answer = find_by_command(CommandPlan((sys.executable, "assert.py", "{learning_rate}"), Settings(), steps=30))
    assert answer.refused is None
    assert answer.diverges_at == 0.056
    assert answer.learning_rate is not None
    assert answer.learning_rate < 0.05


def test_a_command_that_logs_too_little_is_an_error_with_the_next_step(here: Path) -> None:
    (here / "one.py").write_text("import sys\nsys.argv[1]\nprint('step=1 loss=0.5')\n")
    with pytest.raises(CtroubleshootError, match="one loss was logged") as caught:
        find_by_command(CommandPlan((sys.executable, "one.py", "{learning_rate}"), Settings()))
    assert "--steps" in caught.value.hint


def test_a_command_without_a_place_for_the_rate_is_refused_before_it_runs(here: Path) -> None:
    (here / "fixed.py").write_text("open('ran', 'w')")
    with pytest.raises(UsageError, match="no place for the rate"):
        find_by_command(CommandPlan((sys.executable, "fixed.py"), Settings()))
    assert not (here / "ran").exists()
    with pytest.raises(UsageError, match="nothing is known to put there"):
        find_by_command(CommandPlan((sys.executable, "fixed.py", "{learning_rate}", "{width}"), Settings()))


def test_training_and_validation_count_alike_and_the_end_is_a_mean() -> None:
    train = [2.0, *[1.0] * 7, 0.4, 0.6]
    assert ends_of(run_of(loss=train)) == (2.0, pytest.approx(0.5), 10)
    start, end, count = ends_of(run_of(loss=train, val_loss=[3.0, 1.5]))
    assert (start, count) == (2.5, 10)
    assert end == pytest.approx((0.5 + 1.5) / 2)
    assert not np.isfinite(ends_of(run_of(loss=[1.0, float("nan")]))[1])
    with pytest.raises(CtroubleshootError, match="no loss"):
        ends_of(Run("run", "run", "csv", (), {}))
