"""A run as its log was when training first passed a step, and the verdict on it."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from curves import GENERATORS, Log, make, run_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tensor_cases import tensors_of
from tensorboard.compat.proto import event_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from convergence_cli import diagnose, read_run
from convergence_cli.as_of import as_of
from convergence_cli.errors import UsageError
from convergence_cli.model import Curve, Run
from convergence_cli.pipeline import analyze_paths
from convergence_cli.settings import Settings
from convergence_cli.tensor_stats import Collection, TreeFacts

# A log in the order in which it was written: each row has a step and what was measured at it.
Rows = Sequence[tuple[float, dict[str, float]]]


def rows_of(log: Log) -> Rows:
    found: dict[float, dict[str, float]] = {}
    for name, (step, value) in log.series.items():
        for at, measured in zip(step.tolist(), value.tolist(), strict=True):
            found.setdefault(at, {})[name] = measured
    return sorted(found.items())


def resumed() -> Rows:
    """A training that dies at step 500, goes on from 300 with a rate that ruins it, and evaluates every 100 steps."""
    rows: list[tuple[float, dict[str, float]]] = []
    for step in range(0, 501, 10):
        rows.append((step, {"loss": 2 * math.exp(-step / 150) + 0.1 + 0.02 * math.sin(step)}))
        if step % 100 == 50:
            rows[-1][1]["val_loss"] = 2 * math.exp(-step / 150) + 0.3
    for step in range(300, 901, 10):
        rows.append((step, {"loss": 0.4 * math.exp((step - 300) / 100) + 0.02 * math.sin(step)}))
        if step % 100 == 50:
            rows[-1][1]["val_loss"] = 9.0 + step
    return rows


def as_csv(path: Path, rows: Rows) -> Path:
    names = list(dict.fromkeys(name for _, values in rows for name in values))
    lines = [",".join([f"{step:g}", *(repr(values[n]) if n in values else "" for n in names)]) for step, values in rows]
    path.with_suffix(".csv").write_text("\n".join([",".join(["step", *names]), *lines, ""]))
    return path.with_suffix(".csv")


def as_jsonl(path: Path, rows: Rows) -> Path:
    path.with_suffix(".jsonl").write_text("".join(json.dumps({"step": at, **values}) + "\n" for at, values in rows))
    return path.with_suffix(".jsonl")


def as_events(path: Path, rows: Rows) -> Path:
    path = path.with_name(f"events.out.tfevents.1.{path.name}")
    with path.open("wb") as file:
        for number, (step, values) in enumerate(rows):
            event = event_pb2.Event(wall_time=1e9 + number, step=int(step))
            for name, value in values.items():
                event.summary.value.add(tag=name, simple_value=value)
            payload = event.SerializeToString()
            head = struct.pack("<Q", len(payload))
            file.write(head + struct.pack("<I", masked_crc32c(head)))
            file.write(payload + struct.pack("<I", masked_crc32c(payload)))
    return path


WRITERS = [as_csv, as_jsonl, as_events]
SHAPES = ["exponential", "rise_after_half", "nan_tail", "rising_validation", "flat", "warm_restarts", "resumed"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_verdict_as_of_a_step_is_that_on_a_log_that_was_cut_there(
    tmp_path: Path, shape: str, write: Callable[[Path, Rows], Path]
) -> None:
    rows = resumed() if shape == "resumed" else rows_of(make(shape, 1))
    whole = write(tmp_path / "whole", rows)
    last = max(step for step, _ in rows)
    for share in (0.01, 0.1, 0.25, 0.4, 0.52, 0.75, 0.99):
        step = round(share * last)
        cut = write(tmp_path / "cut", list(takewhile(lambda row, at=step: row[0] <= at, rows)))
        asked, real = diagnose(str(whole), Settings(as_of=step)), diagnose(str(cut))
        assert asked.verdict == real.verdict
        same = [(one.rule, one.message) for one in real.findings]
        assert [(one.rule, one.message) for one in asked.findings] == same
        assert asked.summary["points"] == real.summary["points"]
        assert asked.summary["curves"] == real.summary["curves"]


@pytest.mark.parametrize("name", sorted(GENERATORS.keys() - {"drawn", "long_log"}))
def test_a_verdict_as_of_the_last_step_is_the_verdict(name: str) -> None:
    run = run_of(make(name, 0))
    last = max(float(curve.step.max()) for curve in run.curves)
    asked, whole = diagnose(run, Settings(as_of=last)), diagnose(run)
    assert asked.notes == (f"as of {asked.summary['x']} {last:.12g} of {last:.12g}", *whole.notes)
    assert replace(asked, notes=()) == replace(whole, notes=())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 50), st.sampled_from([*SHAPES[:-1], "two_players", "rewards", "few_points"]), st.data())
def test_what_came_after_a_step_has_no_say(seed: int, name: str, data: st.DataObject) -> None:
    log = make(name, seed)
    last = max(float(step.max()) for step, _ in log.series.values())
    step = data.draw(st.floats(0, last))
    junk = data.draw(st.sampled_from([math.nan, math.inf, -1e9, 0.0, 1e9]))
    changed = log.map(lambda _, at, value: (at, np.where(at > step, junk, value)))
    asked, other = (diagnose(run_of(one), Settings(as_of=step)) for one in (log, changed))
    assert asked == other


def curve(*steps: float, **more: object) -> Curve:
    step = np.array(steps, dtype=np.float64)
    restarts = tuple((np.flatnonzero(np.diff(step) < 0) + 1).tolist())
    return replace(Curve("loss", step, np.arange(len(step)) + 0.5, restarts=restarts), **more)  # type: ignore[arg-type]


def cut(step: float, *curves: Curve) -> list[list[float]]:
    return [one.step.tolist() for one in as_of(Run("r", "r", "made", curves), step).curves]


def test_a_curve_ends_before_its_first_point_beyond_the_step() -> None:
    whole = curve(0, 10, 20, 30, epoch=np.zeros(4), time=np.arange(4.0), line=np.arange(1, 5))
    (kept,) = as_of(Run("r", "r", "made", (whole,)), 20).curves
    assert kept.epoch is not None
    assert kept.time is not None
    assert kept.line is not None
    lists = [column.tolist() for column in (kept.step, kept.value, kept.epoch, kept.time, kept.line)]
    assert lists == [[0, 10, 20], [0.5, 1.5, 2.5], [0, 0, 0], [0, 1, 2], [1, 2, 3]]
    assert cut(29.9, whole) == [[0, 10, 20]]
    assert cut(0, whole) == [[0]]
    assert as_of(Run("r", "r", "made", (whole,)), 30).curves[0] is whole


def test_what_a_later_restart_logged_goes_and_an_earlier_restart_stays() -> None:
    whole = curve(0, 10, 20, 30, 15, 25, 35, 10, 40)
    assert whole.restarts == (4, 7)
    assert cut(20, whole) == [[0, 10, 20]]
    (kept,) = as_of(Run("r", "r", "made", (whole,)), 30).curves
    assert (kept.step.tolist(), kept.restarts) == ([0, 10, 20, 30, 15, 25], (4,))
    (kept,) = as_of(Run("r", "r", "made", (whole,)), 35).curves
    assert (kept.step.tolist()[-1], kept.restarts) == (10, (4, 7))


@pytest.mark.parametrize("known", ["line", "time", "neither"])
def test_a_seldom_series_is_cut_where_the_loss_passed_the_step_before_a_restart(known: str) -> None:
    places = {"loss": [1, 2, 4, 5, 6, 7, 9], "val": [3, 8]}
    loss = curve(0, 10, 20, 30, 5, 15, 40, role="train_loss")
    val = replace(curve(10, 15), name="val", role="val_loss")
    if known != "neither":
        loss = replace(loss, **{known: np.array(places["loss"])})
        val = replace(val, **{known: np.array(places["val"])})
    # By its own steps alone the second evaluation, after the restart, lies before step 25.
    assert cut(25, loss, val) == [[0, 10, 20], [10, 15] if known == "neither" else [10]]
    assert cut(35, loss, val)[1] == [10, 15]


def test_lines_of_different_files_are_not_compared() -> None:
    loss = curve(0, 10, 20, 5, role="train_loss", line=np.array([1, 2, 3, 4]), file="a")
    val = replace(curve(5, 9), name="val", line=np.array([8, 9]), file="b")
    assert cut(15, loss, val)[1] == [5, 9]


def test_series_of_which_nothing_is_left_are_dropped() -> None:
    run = Run("r", "r", "made", (curve(0, 10), replace(curve(10, 20), name="late"), replace(curve(), name="empty")))
    assert [one.name for one in as_of(run, 5).curves] == ["loss"]


def long_run(*parts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Run:
    step = np.concatenate(parts)
    return run_of(Log({"loss": (step, 2 * np.exp(-np.arange(len(step)) / 50_000) + 0.1)}))


def test_buckets_are_kept_whole_or_not_at_all() -> None:
    run = long_run(np.arange(300_000.0))
    (whole,) = run.curves
    assert whole.buckets is not None
    size = int(whole.buckets.count[0])
    assert size > 1
    for step in (size * 1000 - 1, size * 1000, size * 1001 - 2):
        (kept,) = as_of(run, step).curves
        assert kept.buckets is not None
        assert len(kept.buckets.count) == len(kept.step) == 1000
        assert kept.points == size * 1000
        assert kept.buckets.last_step.tolist() == kept.step.tolist()
    assert as_of(run, size - 2).curves == ()
    assert as_of(run, 299_999).curves[0] is whole
    alone = diagnose(long_run(np.arange(120_000.0))).verdict
    asked = diagnose(run, Settings(as_of=119_999)).verdict
    assert (asked.label, asked.state) == (alone.label, alone.state)


def test_buckets_end_at_the_first_passage_also_before_a_restart() -> None:
    run = long_run(np.arange(150_000.0), np.arange(75_001.0, 250_000.0))
    assert run.curves[0].restarts
    (kept,) = as_of(run, 140_000).curves
    assert kept.restarts == ()
    assert 139_900 < kept.step[-1] <= 140_000
    assert np.all(np.diff(kept.step) > 0)
    (kept,) = as_of(run, 160_000).curves
    assert len(kept.restarts) == 1
    assert kept.points > 200_000


def test_no_bucket_that_began_beyond_the_step_is_kept() -> None:
    run = long_run(np.arange(150_001.0), np.arange(0.0, 250_000.0))
    (whole,) = run.curves
    assert whole.buckets is not None
    index = whole.restarts[0]
    assert whole.buckets.first_step[index] > whole.buckets.last_step[index]
    (kept,) = as_of(run, float(whole.buckets.last_step[index - 1])).curves
    assert len(kept.step) == index


TABLE = {"kind": "gradient", "name": "fc1.weight", "shape": [4, 4], "l2": [8, 7, 6, 5, 4, 3, 2, 1], "time": 7.0}
DUMP = {
    "tensors": [TABLE, TABLE | {"kind": "weight"}],
    "labels": [{"counts": {"0": 5, "1": 5}}],
    "confusions": [{"matrix": [[4, 1], [1, 4]]}],
    "tokens": [{"positions": 8, "vocabulary": 4, "shares": {}}],
    "trees": [{"step": step, "depth": 3.0, "importance": {}} for step in (0, 40)],
}


def test_tensors_are_cut_by_their_steps() -> None:
    whole = tensors_of(DUMP)
    assert whole is not None
    run = Run("r", "r", "tensors", (), tensors=whole)
    kept = as_of(run, 39.5).tensors
    assert kept is not None
    assert kept.steps.tolist() == [0, 10, 20, 30]
    assert len(kept) == 8
    assert {len(column) for column in (*kept.texts.values(), *kept.numbers.values(), kept.quantiles)} == {8}
    rows = [replace(row, time=0.0) for row in whole.rows() if row.step <= 39.5]
    assert repr([replace(row, time=0.0) for row in kept.rows()]) == repr(rows)
    counted = (kept.labels, kept.confusions, kept.tokens, kept.trees)
    assert [[one.step for one in items] for items in counted] == [[0, 10, 20, 30]] * 3 + [[0]]
    assert as_of(run, 70).tensors is whole
    later = tensors_of(DUMP | {"dumps": [10, 20], "tensors": [], "trees": []})
    assert as_of(replace(run, tensors=later), 5).tensors is None
    trees = Collection(trees=[TreeFacts(0, 3, {}), TreeFacts(9, 3, {})]).stats()
    left = as_of(replace(run, tensors=trees), 5).tensors
    assert left is not None
    assert len(left.trees) == 1


def test_the_silence_since_then_is_none_of_the_run() -> None:
    times = [1e9 + 60 * n for n in range(8)]
    stats = tensors_of({"tensors": [TABLE | {"time": times}]})
    run = replace(run_of(Log(make("exponential", 0).series, {"max_steps": 900})), tensors=stats)
    chosen = Settings(select=("LG101",))
    assert [one.evidence["side"] for one in diagnose(run, chosen).findings] == ["stopped"]
    for step in (40, 250):
        assert diagnose(run, replace(chosen, as_of=step)).findings == ()


def test_the_note_is_the_first_and_in_the_words_of_the_log() -> None:
    step = np.arange(1.0, 31.0)
    run = run_of(Log({"loss": (step, 1 / step)}, {"x": "epoch"}))
    assert as_of(run, 5).notes == ("as of epoch 5 of 30",)
    noted = run.noting("the log gives no step: its lines are counted")
    assert as_of(noted, 5).notes == ("as of epoch 5 of 30; the other notes speak of the whole log", *noted.notes)
    assert as_of(noted, 30).notes == ("as of epoch 30 of 30", *noted.notes)
    assert as_of(run, 1234567).notes == ("as of epoch 1234567, which is past the end of the log at epoch 30",)
    assert as_of(Run("r", "r", "made", ()), 3).notes == ("as of step 3",)


def test_the_axis_stays_that_of_the_whole_log() -> None:
    epoch = np.array([1.0, 2.0, 3.0, 3.5, 3.75])
    loss = curve(1, 2, 3, 4, 5, role="train_loss", epoch=epoch)
    run = Run("r", "r", "made", (loss,))
    assert diagnose(run).summary["x"] == "step"
    assert diagnose(run, Settings(as_of=3)).summary["x"] == "step"


@pytest.mark.parametrize("step", [0, 3.5])
def test_before_the_first_point_there_are_too_few(tmp_path: Path, step: float) -> None:
    path = str(as_csv(tmp_path / "log", [(at + 4, {"loss": 1 / (at + 1)}) for at in range(30)]))
    report = analyze_paths([path], Settings(as_of=step))
    assert report.errors == ()
    (run,) = report.runs
    assert (run.verdict.label, run.verdict.state) == ("undetermined", "too-few-points")
    assert run.verdict.reason == f"loss has no point up to step {step:g}."
    assert (run.summary["points"], run.summary["series_total"]) == (0, 0)
    assert run.notes == (f"as of step {step:g} of 33",)


@pytest.mark.parametrize("name", ["rewards", "two_players"])
def test_what_cannot_be_judged_is_not_called_a_log_without_a_loss_before_it_begins(name: str) -> None:
    run = run_of(make(name, 0).map(lambda _, step, value: (step + 50, value)))
    assert diagnose(run, Settings(as_of=10)).verdict.state == "too-few-points"
    assert diagnose(run, Settings(as_of=200)).verdict.state == diagnose(run).verdict.state


def test_a_log_without_a_loss_stays_one(tmp_path: Path) -> None:
    path = str(as_csv(tmp_path / "log", [(at, {"entropy": at}) for at in range(9)]))
    report = analyze_paths([path], Settings(as_of=5))
    assert report.runs[0].verdict.state == "no-loss"
    assert "--metric" in str(report.errors[0].hint)


def test_from_python_a_run_a_path_and_a_frame(tmp_path: Path) -> None:
    rows = rows_of(make("rise_after_half", 0))
    path = as_csv(tmp_path / "log", rows)
    frame = pd.DataFrame([{"step": step, **values} for step, values in rows])
    early = Settings(as_of=140)
    assert diagnose(str(path)).verdict.label == "diverging"
    asked = [diagnose(one, early) for one in (str(path), read_run(path), read_run(path, early), frame)]
    assert [one.verdict.label for one in asked] == ["converging"] * 4
    assert [one.notes for one in asked] == [("as of step 140 of 299",)] * 4


@pytest.mark.parametrize("step", [-1.0, math.nan, math.inf, -math.inf])
def test_what_is_no_step_is_a_usage_error(step: float) -> None:
    with pytest.raises(UsageError, match="Give a number"):
        as_of(Run("r", "r", "made", ()), step)
    with pytest.raises(UsageError, match="Give a number"):
        diagnose(run_of(make("flat", 0)), Settings(as_of=step))
