"""Remedies tried from Python."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import convergence_cli
from convergence_cli import Report, Run, RunReport, diagnose, try_remedies
from convergence_cli.errors import UsageError
from convergence_cli.model import Cause, Curve, Remedy
from tests.trials.trainings import descent

LOWER = Remedy("lower", "learning-rate-too-high", {"learning_rate": 0.1}, "", 0.6, {"learning_rate": 1.2})
CLIP = Remedy("clip", "learning-rate-too-high", {"gradient_clip_norm": 1.0}, "", 0.5)
CHECK = Remedy("check-labels", "label-noise", {}, "", 0.7)


def failed(*remedies: Remedy, path: str = "<frame>") -> RunReport:
    """The report on the descent at a rate that is too high."""
    report = diagnose(pd.DataFrame(train({"learning_rate": 1.2})))
    cause = Cause("learning-rate-too-high", 0.6, "", supported_by=("LC101", "LC001"))
    return replace(report, path=path, causes=(cause,), remedies=remedies or (CHECK, LOWER))


def train(config: dict[str, Any]) -> dict[str, list[float]]:
    rate = config["learning_rate"]
    losses = descent(rate, int(config.get("seed", 0)))
    return {"step": [float(step) for step in range(1, len(losses) + 1)], "loss": losses, "lr": [rate] * len(losses)}


def as_run(config: dict[str, Any]) -> Run:
    log = train(config)
    step = np.array(log["step"])
    return Run(
        "mine", "mine", "frame", tuple(Curve(name, step, np.array(log[name]), role) for name, role in
        [("loss", "train_loss"), ("lr", "learning_rate")])
    )  # fmt: skip


def test_the_function_is_called_with_the_change_and_cures() -> None:
    seen: list[dict[str, Any]] = []

    def noted(config: dict[str, Any]) -> dict[str, list[float]]:
        seen.append(dict(config))
        return train(config)

    trials = try_remedies(noted, failed(), config={"batch_size": 8})
    assert seen == [{"batch_size": 8, "learning_rate": 0.1}]
    assert trials.cured
    assert trials.change == {"learning_rate": 0.1}
    assert trials.remedy == LOWER
    assert [one.remedy.name for one in trials.not_tried] == ["check-labels"]
    assert str(trials).startswith("lower: cured. It is converging")
    assert "coarse" in trials.notes[0]


@pytest.mark.parametrize("form", ["run", "path", "frame", "mapping"])
def test_a_log_may_come_in_any_form(tmp_path: Path, form: str) -> None:
    def formed(config: dict[str, Any]) -> Any:
        if form == "mapping":
            return train(config)
        if form == "run":
            return as_run(config)
        frame = pd.DataFrame(train(config))
        if form == "frame":
            return frame
        frame.to_csv(tmp_path / "log.csv", index=False)
        return tmp_path / "log.csv"

    assert try_remedies(formed, failed(), before=train({"learning_rate": 1.2})).cured


def test_the_run_is_read_again_where_it_lies(tmp_path: Path) -> None:
    pd.DataFrame(train({"learning_rate": 1.2})).to_csv(tmp_path / "log.csv", index=False)
    trials = try_remedies(train, failed(path=str(tmp_path / "log.csv")))
    assert trials.cured
    assert not trials.notes


def test_the_first_that_cures_ends_it_unless_all_are_wanted() -> None:
    report = failed(CLIP, LOWER, replace(LOWER, name="again"))

    def names(**more: Any) -> list[tuple[str, bool]]:
        return [(one.remedy.name, one.cured) for one in try_remedies(train, report, remedies=3, **more).attempts]

    assert names() == [("clip", False), ("lower", True)]
    assert names(everything=True) == [("clip", False), ("lower", True), ("again", True)]


def test_a_change_that_is_ignored_is_no_cure() -> None:
    trials = try_remedies(lambda config: train({"learning_rate": 1.2}), failed(), before=train({"learning_rate": 1.2}))
    (trial,) = trials.attempts[0].trials
    assert (trial.outcome, trials.cured) == ("not-reached", False)


def test_with_several_seeds_more_than_half_decide() -> None:
    def lucky(config: dict[str, Any]) -> dict[str, list[float]]:
        return train({**config, "learning_rate": 0.1 if config["seed"] in good else 1.3})

    good = {4, 5}
    (attempt,) = try_remedies(lucky, failed(), seeds=3, config={"seed": 4}).attempts
    assert [(trial.seed, trial.cured) for trial in attempt.trials] == [(4, True), (5, True), (6, False)]
    assert attempt.cured
    good = {4}
    assert not try_remedies(lucky, failed(), seeds=3, config={"seed": 4}).cured


def test_a_training_that_raises_has_failed_and_an_interrupt_goes_through() -> None:
    def fails(config: dict[str, Any]) -> None:
        raise RuntimeError("no data")

    def interrupted(config: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    (trial,) = try_remedies(fails, failed()).attempts[0].trials
    assert (trial.outcome, trial.why) == ("unreadable", "The training failed: RuntimeError: no data")
    assert not try_remedies(fails, failed()).readable
    with pytest.raises(KeyboardInterrupt):
        try_remedies(interrupted, failed())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "gave back a NoneType"),
        ({"loss": [1.0], "step": [1.0, 2.0]}, "not of one length"),
        ("missing.csv", "missing.csv cannot be read"),
        ({"wobble": ["a", "b"]}, "no numeric column"),
    ],
)
def test_what_is_no_log_is_told(given: Any, said: str) -> None:
    (trial,) = try_remedies(lambda config: given, failed()).attempts[0].trials
    assert trial.outcome == "unreadable"
    assert said in trial.why


def test_a_control_is_compared_with() -> None:
    trials = try_remedies(train, failed(), control=True)
    assert trials.cured
    assert not trials.notes
    calm = try_remedies(
        lambda config: train({**config, "learning_rate": config["learning_rate"] / 6}), failed(), control=True
    )
    assert calm.attempts[0].trials[0].outcome in ("not-proven", "not-cured")


def test_what_cannot_be_tried_is_told() -> None:
    report = failed()
    with pytest.raises(UsageError, match="check-labels: it has no value"):
        try_remedies(train, failed(CHECK))
    with pytest.raises(UsageError, match="no remedy is proposed"):
        try_remedies(train, replace(report, remedies=()))
    with pytest.raises(UsageError, match="on one run, and was given a report on 2 runs"):
        try_remedies(train, Report((report, report)))
    with pytest.raises(UsageError, match="from 1 up"):
        try_remedies(train, report, seeds=0)
    assert try_remedies(train, Report((report,))).cured


def test_infinite_and_missing_values_of_a_drawing_are_kept() -> None:
    report = failed()
    curves = {"train_loss": {"step": [1.0, 2.0, 3.0], "mean": [1.0, None, None]}}
    report = replace(report, summary={**report.summary, "curves": curves})
    trials = try_remedies(train, report)
    before = trials.attempts[0].trials[0].before
    assert before is not None
    assert before.best == 1.0
    assert math.isfinite(before.last_step or math.nan)


def test_the_code_on_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "try.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(code, "try.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.*)", code)


def test_the_names_are_public() -> None:
    assert {"try_remedies", "Trials"} <= set(convergence_cli.__all__)
    assert convergence_cli.try_remedies is try_remedies
