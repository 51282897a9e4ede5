"""From paths to a report: what the parts make together."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from curves import GENERATORS, Log, make, run_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

import convergence_cli
from convergence_cli.codec import from_data, to_data
from convergence_cli.errors import SourceError, UsageError
from convergence_cli.model import Report
from convergence_cli.pipeline import analyze_paths, diagnose, read_paths, read_run
from convergence_cli.settings import Settings
from convergence_cli.summary import DRAWN, MAX_NAMES

SCHEMA = Path(convergence_cli.__file__).parent / "report.schema.json"


def _csv(path: Path, log: Log) -> Path:
    names = list(log.series)
    step = log.series[names[0]][0]
    rows = zip(step.tolist(), *(log.series[name][1].tolist() for name in names), strict=True)
    text = ",".join(["step", *names]) + "\n" + "".join(",".join(str(v) for v in row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["exponential", "rise_after_half", "flat", "rising_validation", "nan_tail", "warm_restarts"]
)
def test_a_file_gets_the_verdict_of_its_curve(tmp_path: Path, name: str) -> None:
    log = make(name, 0)
    report = analyze_paths([str(_csv(tmp_path / "log.csv", log))], Settings())
    (run,) = report.runs
    assert report.errors == ()
    assert run.verdict.label == GENERATORS[name].label
    alone = diagnose(run_of(log)).verdict
    assert (run.verdict.label, run.verdict.probabilities) == (alone.label, alone.probabilities)


@pytest.mark.parametrize("name", sorted(GENERATORS.keys() - {"drawn", "long_log"}))
def test_every_report_survives_json(name: str) -> None:
    report = Report((diagnose(run_of(make(name, 0))),), (), "0")
    text = json.dumps(to_data(report), allow_nan=False)
    again = from_data(json.loads(text), "report.json")
    assert json.dumps(to_data(again), allow_nan=False) == text


@pytest.mark.parametrize("name", ["exponential", "nan_tail", "rising_validation", "flat", "rewards", "few_points"])
def test_every_report_keeps_the_contract(name: str) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(to_data(Report((diagnose(run_of(make(name, 0))),), (), "0")), schema)


def test_the_summary_says_what_was_read() -> None:
    log = make("warm_restarts", 0, points=400)
    step = log.series["loss"][0]
    strangers = {f"gpu/{n}": (step, step) for n in range(70)}
    summary = diagnose(run_of(Log({**log.series, **strangers}, {"optimizer": "sgd", "secret": "x"}))).summary
    assert (summary["points"], summary["first_step"], summary["last_step"]) == (400, 0.0, 399.0)
    assert summary["series"] == {"train_loss": "loss", "learning_rate": "lr"}
    assert (summary["series_total"], summary["series_read"]) == (72, 2)
    assert len(summary["unread"]) == MAX_NAMES
    assert summary["config"] == {"optimizer": "sgd"}
    drawing = summary["curves"]["train_loss"]
    assert set(drawing) == {"step", "low", "high", "mean", "points"}
    assert drawing.pop("points") == 400
    assert {len(column) for column in drawing.values()} <= set(range(1, DRAWN + 1))
    assert max(drawing["high"]) == pytest.approx(log.series["loss"][1].max(), rel=1e-5)


def test_a_thumbnail_leaves_a_hole_where_nothing_is_finite() -> None:
    drawing = diagnose(run_of(make("nan_tail", 0, points=1000, at=0.5))).summary["curves"]["train_loss"]
    assert drawing["mean"][0] is not None
    assert drawing["mean"][-1] is None
    assert None not in drawing["step"]


def test_a_role_can_be_named_by_hand(tmp_path: Path) -> None:
    log = make("rise_after_half", 0)
    step, value = log.series["loss"]
    path = _csv(tmp_path / "log.csv", Log({"alpha": (step, value), "loss": (step, value[::-1].copy())}))
    report = analyze_paths([str(path)], Settings(metrics={"train_loss": "alpha"}))
    assert report.runs[0].verdict.label == "diverging"


def test_a_role_for_a_series_that_one_run_lacks_costs_only_that_run(tmp_path: Path) -> None:
    good = _csv(tmp_path / "good.csv", Log({"beta": make("exponential", 0).series["loss"]}))
    other = _csv(tmp_path / "other.csv", make("exponential", 0))
    report = analyze_paths([str(other), str(good)], Settings(metrics={"train_loss": "beta"}))
    assert [run.verdict.label for run in report.runs] == ["converging"]
    assert [error.path for error in report.errors] == [str(other)]
    assert "has no series 'beta'" in report.errors[0].message


def test_rules_can_be_chosen(tmp_path: Path) -> None:
    path = str(_csv(tmp_path / "log.csv", make("nan_tail", 0)))
    every = analyze_paths([path], Settings()).runs[0]
    none = analyze_paths([path], Settings(ignore=("LC001",))).runs[0]
    assert "LC001" in {finding.rule for finding in every.findings}
    assert "LC001" not in {finding.rule for finding in none.findings}
    assert none.verdict == every.verdict
    with pytest.raises(UsageError):
        analyze_paths([path], Settings(select=("ZZ999",)))


def test_settings_beside_the_log_reach_the_rules(tmp_path: Path) -> None:
    _csv(tmp_path / "metrics.csv", make("rise_after_half", 0))
    (tmp_path / "config.json").write_text('{"optimizer": "adam", "learning_rate": 0.5}', encoding="utf-8")
    (run,) = analyze_paths([str(tmp_path)], Settings()).runs
    assert run.summary["config"] == {"optimizer": "adam", "learning_rate": 0.5}
    assert "LR101" in {finding.rule for finding in run.findings}


@pytest.mark.parametrize("name", ["rewards", "no loss"])
def test_a_log_with_nothing_to_judge_is_an_error_that_says_how_to_name_the_loss(tmp_path: Path, name: str) -> None:
    series = make("rewards", 0).series if name == "rewards" else {"entropy": (np.arange(30.0), np.arange(30.0))}
    report = analyze_paths([str(_csv(tmp_path / "log.csv", Log(series)))], Settings())
    assert report.runs[0].verdict.label == "undetermined"
    (error,) = report.errors
    assert "log.csv" in error.message
    assert "--metric" in str(error.hint)


def test_a_short_log_is_no_error(tmp_path: Path) -> None:
    report = analyze_paths([str(_csv(tmp_path / "log.csv", make("few_points", 0, points=3)))], Settings())
    assert report.errors == ()
    assert report.runs[0].verdict.state == "too-few-points"


def test_progress_is_told_of_each_run(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        _csv(tmp_path / name, make("exponential", 0))
    told: list[str] = []
    analyze_paths([str(tmp_path)], Settings(), progress=told.append)
    assert told == ["a.csv", "b.csv"]


def test_one_run_by_its_path(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", make("exponential", 0))
    assert read_run(str(path)).curve("train_loss") is not None
    assert diagnose(str(path)).verdict.label == "converging"
    _csv(tmp_path / "b.csv", make("exponential", 0))
    with pytest.raises(SourceError, match="holds 2 runs"):
        read_run(str(tmp_path))
    with pytest.raises(SourceError, match="cannot be read"):
        read_run(str(tmp_path / "none.csv"))
    runs, errors = read_paths([str(tmp_path), str(tmp_path / "none.csv")], Settings())
    assert (len(runs), len(errors)) == (2, 1)


def test_the_same_bytes_give_the_same_report(tmp_path: Path) -> None:
    path = str(_csv(tmp_path / "log.csv", make("rise_after_half", 0)))
    first, second = (to_data(analyze_paths([path], Settings())) for _ in range(2))
    assert first == second


NAMES = ("loss", "val_loss", "lr", "grad_norm", "accuracy", "val_acc", "loss_scale")
VALUES = st.one_of(
    st.floats(-10, 10),
    st.sampled_from([0.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1e-300, 2.302585, 1.0]),
)
SERIES = st.lists(VALUES, min_size=1, max_size=45)


@settings(max_examples=150, deadline=None)
@example({"loss": [0.0], "val_loss": [-1e308, -1e308, 0.0, 0.0, 0.0]}, 0, None)
@example({"loss": [0.0, 0.0, 1.0, 5e-324]}, 0, None)
@example({"lr": [0.0], "loss": [0.0, 0.0, 0.0, 1.0], "accuracy": [0.0], "val_loss": [0.0, 0.0, -1e308]}, 0, None)
@given(st.dictionaries(st.sampled_from(NAMES), SERIES, min_size=1, max_size=5), st.integers(0, 3), st.data())
def test_no_values_and_no_steps_break_the_diagnosis(
    drawn: dict[str, list[float]], kind: int, data: st.DataObject
) -> None:
    def steps(count: int) -> list[float]:
        if kind == 0:
            return [float(i) for i in range(count)]
        if kind == 1:
            return [7.0] * count
        return data.draw(st.lists(st.floats(-1e15, 1e15), min_size=count, max_size=count))

    log = Log({name: (np.array(steps(len(v))), np.array(v)) for name, v in drawn.items()}, {"num_classes": 10})
    report = diagnose(run_of(log))
    text = json.dumps(to_data(Report((report,), (), "0")), allow_nan=False)
    assert from_data(json.loads(text), "r").runs[0].verdict.label == report.verdict.label


@pytest.mark.parametrize(
    "config",
    [
        {"num_classes": -3, "vocab_size": math.nan, "learning_rate": -1, "optimizer": None, "epochs": math.inf},
        {
            "num_classes": True,
            "learning_rate": "0.1",
            "optimizer": ["adam"],
            "max_steps": math.nan,
            "weight_decay": "x",
        },
        {"num_classes": 1e300, "learning_rate": math.inf, "optimizer": 7, "epochs": -5, "weight_decay": math.inf},
        {"num_classes": 10**400, "learning_rate": math.nan, "batch_size": {}, "epochs": 0, "max_steps": -math.inf},
    ],
)
@pytest.mark.parametrize("name", ["exponential", "rising", "flat", "rising_validation", "warm_restarts"])
def test_no_settings_break_the_diagnosis(name: str, config: dict[str, Any]) -> None:
    log = make(name, 0, **({"rate": 1.0} if name == "exponential" else {}))
    report = diagnose(run_of(Log(log.series, {**log.config, **config})))
    assert report.verdict.label == GENERATORS[name].label
    json.dumps(to_data(Report((report,), (), "0")), allow_nan=False)
    for remedy in report.remedies:
        assert all(not isinstance(v, float) or math.isfinite(v) for v in remedy.change.values())


PATTERN = r"\[(?P<step>\d+)\] (?P<loss>\S+)"


def test_a_pattern_reads_what_no_reader_knows(tmp_path: Path) -> None:
    odd = tmp_path / "odd.txt"
    odd.write_text("".join(f"[{step}] {2.3 * 0.97**step:.4f}\n" for step in range(100)))
    _csv(tmp_path / "log.csv", make("exponential", 0))
    alone = analyze_paths([str(odd)], Settings())
    assert alone.runs == ()
    assert "--pattern" in (alone.errors[0].hint or "")
    (run,) = analyze_paths([str(odd)], Settings(pattern=PATTERN)).runs
    assert (run.verdict.label, run.summary["points"]) == ("converging", 100)
    both = analyze_paths([str(tmp_path)], Settings(pattern=PATTERN))
    assert {(run.name, run.format) for run in both.runs} == {("log.csv", "csv"), ("odd.txt", "text")}


def test_sentences_of_a_report_can_be_printed_whatever_a_series_is_called(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    values = [*(2 - 0.01 * number for number in range(150)), *["nan"] * 50]
    path.write_text("step,\x1b]0;x\x07 train_loss\n" + "".join(f"{n},{v}\n" for n, v in enumerate(values)))
    report = diagnose(path)
    said = [
        str(report),
        report.verdict.reason,
        *(one.message for one in report.findings),
        *(one.why for one in report.remedies),
    ]
    assert "\\x1b]0;x\\x07" in said[0]
    assert all(text.isprintable() for text in said)


def test_nothing_is_rounded_up_to_certainty() -> None:
    report = diagnose(Path(convergence_cli.__file__).parent.parent / "fixtures/tensors/dead-relu")
    assert 0.999 < report.verdict.confidence < 1
    assert "(99%)" in str(report)
    assert max(one.confidence for one in report.findings) < 1


def test_where_a_loss_breaks_now_and_then_its_last_break_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [f"{n},{'nan' if n % 50 >= 40 else 2 - 0.005 * n}\n" for n in range(200)]
    path.write_text("step,train_loss\n" + "".join(rows))
    (message,) = (one.message for one in diagnose(path).findings if one.rule == "LC001")
    assert message.endswith("at 40 of 200 points, first at step 40, and from step 190 to the end.")
