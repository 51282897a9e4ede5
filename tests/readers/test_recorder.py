"""The scalars of a record: sessions, several workers, torn and hostile lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from record_writer import STARTED, declare, line, row, sampled, session, step, steps

from convergence_cli.errors import SourceError
from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.readers import best_reader, recorder
from convergence_cli.readers._collect import KEPT_POINTS
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.settings import Settings
from convergence_cli.tensors.recorder import read_record
from tests.readers.discovered import discover

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run

folder = Path()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global folder  # noqa: PLW0603
    folder = tmp_path_factory.mktemp("records")


def source(data: bytes, name: str = "record.jsonl") -> Source:
    (folder / name).write_bytes(data)
    return Source(folder / name, name)


def read(data: bytes) -> Run:
    (run,) = recorder.read([source(data)], ReadOptions())
    return run


def series(run: Run, name: str = "loss") -> Curve:
    return next(curve for curve in run.curves if curve.name == name)


def test_scalars_are_curves_with_time_and_line() -> None:
    run = read(session() + step(1, loss=2.0, learning_rate=0.1) + step(2, loss=1.0) + step(2, val_loss=1.5))
    assert (run.format, run.notes) == ("recorder", ())
    assert [curve.name for curve in run.curves] == ["loss", "learning_rate", "val_loss"]
    loss = series(run)
    assert (loss.step.tolist(), loss.value.tolist()) == ([1, 2], [2.0, 1.0])
    assert loss.time is not None
    assert loss.line is not None
    assert loss.time.tolist() == [STARTED + 0.1, STARTED + 0.2]
    assert loss.line.tolist() == [2, 3]
    assert series(run, "val_loss").step.tolist() == [2]


def test_values_that_are_not_finite_are_points_and_a_null_is_none() -> None:
    data = session() + b"".join(step(at, loss=value) for at, value in enumerate((math.nan, math.inf, -math.inf), 1))
    loss = series(read(data + b'{"step":4,"time":1,"loss":null}\n{"step":5,"time":1,"loss":2}\n'))
    np.testing.assert_array_equal(loss.step, [1, 2, 3, 5])
    np.testing.assert_array_equal(loss.value, [math.nan, math.inf, -math.inf, 2])


def test_the_order_of_the_log_holds_where_lines_differ_in_what_they_log() -> None:
    data = session() + b"".join(
        step(at, loss=at, **({"val": at} if at % 3 else {}), **({"b": 1.0} if at % 2 else {})) for at in range(1, 40)
    )
    run = read(data)
    assert series(run).value.tolist() == list(range(1, 40))
    assert series(run, "val").step.tolist() == [at for at in range(1, 40) if at % 3]
    assert series(run).restarts == ()


def test_hyperparameters_have_canonical_names_beside_what_the_session_tells() -> None:
    data = session(every=10) + line(config={"optimizer": "AdamW", "learning_rate": 0.1, "betas": [0.9, 0.999]})
    config = read(data + line(config={"learning_rate": 0.01, "batch_size": 32}) + steps(1, 3)).config
    assert (config["optimizer"], config["learning_rate"], config["batch_size"]) == ("adamw", 0.01, 32)
    assert (config["recorder.every"], config["recorder.parameters"], config["recorder.model"]) == (10, 10, "Net")


def test_notes_and_an_exception_are_told_once_and_printable() -> None:
    note = line(note="no forward \x1b[31mpass")
    run = read(session() + note + note + steps(1, 3) + line(end="RuntimeError", step=3, time=1.5))
    assert run.notes == (r"no forward \x1b[31mpass", "the training was ended by RuntimeError after step 3")
    assert read(session() + steps(1, 3) + line(end="finished", step=3, time=1.5)).notes == ()
    many = read(session() + steps(1, 3) + b"".join(line(note=f"note {at}") for at in range(50)))
    assert len(many.notes) == recorder.MAX_NOTES + 1
    assert many.notes[-1] == "the record has 30 further notes"


def test_a_session_that_goes_on_writes_later_steps_again() -> None:
    first = session() + steps(1, 10, loss=1.0) + line(end="KeyboardInterrupt", step=10, time=1)
    run = read(first + session(6, started=STARTED + 100) + steps(7, 12, loss=2.0))
    loss = series(run)
    assert loss.step.tolist() == list(range(1, 13))
    assert loss.value.tolist() == [1.0] * 6 + [2.0] * 6
    assert loss.restarts == ()
    assert loss.time is not None
    assert loss.time[-1] == pytest.approx(STARTED + 101.2)
    assert run.config["recorder.first_step"] == 6
    (note,) = run.notes
    assert "resumed once after step 6" in note


def test_a_session_from_step_0_replaces_those_before() -> None:
    first = session() + line(config={"learning_rate": 9}) + line(note="old") + steps(1, 10, loss=1.0)
    run = read(first + session(4) + steps(5, 8, loss=2.0) + session() + steps(1, 3, loss=3.0))
    assert series(run).value.tolist() == [3.0] * 3
    assert "learning_rate" not in run.config
    assert run.notes == ("left out 2 earlier sessions: the training was started again from step 0",)


def test_of_many_sessions_the_least_later_beginning_counts() -> None:
    data = session() + steps(1, 10) + session(8) + steps(9, 12) + session(4) + steps(5, 6) + session(6) + steps(7, 9)
    loss = series(read(data))
    assert loss.step.tolist() == list(range(1, 10))
    assert loss.line is not None
    assert loss.line.tolist() == [2, 3, 4, 5, 18, 19, 21, 22, 23]


def test_the_scalars_of_several_workers_are_those_of_the_first() -> None:
    sources = [
        source(session(worker="1") + steps(1, 3, loss=5.0), "record.rank1.jsonl"),
        source(session(worker="0") + steps(1, 3, loss=1.0)),
    ]
    (run,) = recorder.read(sources, ReadOptions())
    assert series(run).value.tolist() == [1.0] * 3
    assert run.notes == ("the series are those of the first of 2 workers",)


def test_a_record_without_a_scalar_is_a_run() -> None:
    run = read(session() + declare("weight/a.weight") + sampled(0, row("weight/a.weight", 0)))
    assert run.curves == ()
    assert run.notes == ("no scalars have been recorded yet",)


SMALL = (
    session()
    + line(config={"learning_rate": 0.1})
    + declare("weight/a.weight")
    + sampled(1, row("weight/a.weight", 1, bits="1f"))
    + step(1, loss=math.nan)
    + session(1)
    + step(2, loss=0.5)
    + sampled(2, row("weight/a.weight", 2, bits="1f"))
    + line(end="finished", step=2, time=1)
)


def test_cut_anywhere_every_whole_line_is_read() -> None:
    complete = {len(part) for part in _prefixes(SMALL)}
    for cut in range(len(SMALL) + 1):
        run = read(SMALL[:cut])
        whole = SMALL[: cut + 1] if cut + 1 in complete else SMALL[: SMALL.rfind(b"\n", 0, cut) + 1]
        points = sum(curve.points for curve in run.curves)
        assert points == whole.count(b'\n{"step"'), cut
        torn = "dropped the last line, which was cut off" in run.notes
        assert torn == (cut not in complete and cut + 1 not in complete and cut > 0), cut
        assert not any("skipped" in note for note in run.notes)
        stats = read_record([source(SMALL[:cut])], {})
        assert (0 if stats is None else len(stats)) == whole.count(b'\n{"tensor"'), cut


def _prefixes(data: bytes) -> list[bytes]:
    return [data[: at + 1] for at in range(len(data)) if data[at : at + 1] == b"\n"]


def test_what_a_killed_session_left_is_skipped_and_counted() -> None:
    run = read(session() + steps(1, 5) + b'{"step":6,"ti\n' + session(5) + steps(6, 8))
    assert series(run).step.tolist() == list(range(1, 9))
    assert "skipped 1 line that a recorder does not write" in run.notes


DEEP = b'{"step":1,"time":1,"loss":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n"
BAD = [
    b'{"step":"1","time":1,"loss":1}\n',
    b'{"step":"NaN","time":1,"loss":1}\n',
    b'{"step":true,"time":1,"loss":1}\n',
    b'{"step":null,"loss":1}\n',
    b'{"step":' + b"9" * 5000 + b',"loss":1}\n',
    b'{"step":1,"time":[1],"loss":1}\n',
    b'{"step":1,"time":1,"loss":[1]}\n',
    b'{"step":1,"time":1,"loss":{"a":1}}\n',
    b'{"step":1,"time":1,"loss":"1.5"}\n',
    b'{"step":1,"time":1,"loss":true}\n',
    b'{"config":[1]}\n',
    b'{"note":1}\n',
    b'{"end":null}\n',
    b'{"recorder":1}\n',
    b'{"recorder":2,"first_step":0,"started":1,"worker":""}\n',
    b'{"recorder":true,"first_step":0,"started":1,"worker":""}\n',
    b'{"recorder":1,"first_step":-1,"started":1,"worker":""}\n',
    b'{"recorder":1,"first_step":0,"started":"NaN","worker":""}\n',
    b'{"recorder":1,"first_step":0,"started":1,"worker":7}\n',
    b'{"loss":1,"step":1}\n',
    b"{}\n",
    b"[1]\n",
    b"\xff\xfe\n",
    DEEP,
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_line_that_is_not_as_it_must_be_is_skipped_and_counted(bad: bytes) -> None:
    run = read(session() + steps(1, 3) + bad + steps(4, 5))
    assert series(run).step.tolist() == [1, 2, 3, 4, 5]
    assert run.notes == ("skipped 1 line that a recorder does not write",)
    assert read_record([source(session() + bad)], {}) is None


def test_huge_numbers_are_read_as_far_as_floats_go() -> None:
    loss = series(read(session() + b'{"step":1,"time":1,"loss":' + b"9" * 400 + b"}\n" + step(2, loss=1)))
    assert loss.value.tolist() == [math.inf, 1.0]


def test_a_long_record_is_kept_as_buckets() -> None:
    count = 3 * KEPT_POINTS
    body = b"".join(
        b'{"step":%d,"time":1,"loss":%s}\n' % (at, b'"NaN"' if at == 777 else b"0.5") for at in range(count)
    )
    loss = series(read(session() + body))
    assert loss.points == count
    assert loss.buckets is not None
    assert loss.buckets.nonfinite.sum() == 1


def test_only_a_first_line_of_version_1_is_recognised() -> None:
    found = best_reader(source(session() + steps(1, 3)))
    assert found is not None
    assert found.FORMAT == "recorder"
    assert recorder.sniff(source(b'{"recorder": 1, "program": "x"}\n')) == 1.0
    for data in (b'{"recorder":12}\n', b'{"recorder":1.5}\n', b'\n{"recorder":1}\n', b'{"step":1,"loss":2}\n', b""):
        assert recorder.sniff(source(data)) == 0.0


def test_the_files_of_all_workers_in_a_folder_are_one_candidate(tmp_path: Path) -> None:
    for rank in (0, 1, 2, 10):
        name = f"record.rank{rank}.jsonl" if rank else "record.jsonl"
        (tmp_path / name).write_bytes(session(worker=str(rank)) + steps(1, 60))
    (tmp_path / "metrics.csv").write_text("step,loss\n" + "".join(f"{at},{2 / (at + 3)}\n" for at in range(60)))
    (tmp_path / "record.rank3.jsonl").write_bytes(b'{"step":1,"loss":1}\n{"step":2,"loss":1}\n')
    found = discover(str(tmp_path))
    assert not found.errors
    names = [[source.path.name for source in one.sources] for one in found.candidates]
    ranks = ["record.jsonl", "record.rank1.jsonl", "record.rank2.jsonl", "record.rank10.jsonl"]
    assert names == [["metrics.csv"], ranks, ["record.rank3.jsonl"]]
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert not errors
    assert [run.format for run in runs] == ["csv", "recorder", "jsonl"]
    assert runs[1].path == str(tmp_path)


@pytest.mark.parametrize("name", ["record.jsonl", "record.rank1.jsonl"])
def test_a_single_file_is_a_run_by_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(session() + steps(1, 200))
    for path in (tmp_path, tmp_path / name):
        report = analyze_paths([str(path)], Settings())
        assert not report.errors
        (run,) = report.runs
        assert (run.format, run.name, run.verdict.label) == ("recorder", name, "converging")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["NaN", "", "weight/a.weight", "1f"]),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=9,
)
_WORDS = [
    *("recorder", "config", "layers", "declare", "sampled", "tensor", "labels", "confusion", "tokens", "trees", "step"),
    *("note", "end", "time", "first_step", "started", "worker", "shape", "dtype", "order", "units", "values", "counts"),
    *("classes", "cells", "positions", "vocabulary", "padding_share", "shares", "importance", "type", "depth", "loss"),
    *("n", "nan", "inf", "neg", "zero", "mean", "std", "min", "max", "q", "bits", "dead", "function", "layer", "kind"),
]
_LINES = st.dictionaries(st.sampled_from(_WORDS), _VALUES, min_size=1, max_size=9)


def _sound(first: str, fields: dict[str, object]) -> bytes:
    """``fields`` over those of a good line."""
    good = {
        "session": session(),
        "step": step(2, loss=1.0),
        "declare": declare("weight/a.weight"),
        "tensor": row("weight/a.weight", 2, bits="1f"),
        "labels": line(labels="y", step=1, values=[0, 1], counts=[1, 2]),
        "confusion": line(confusion="out", step=1, classes=2, cells=[[0, 1, 2]]),
        "tokens": line(tokens="x", step=1, positions=9, vocabulary=3, padding_share=0.5, shares=[[1, 0.5]]),
        "trees": line(trees=1, depth=3, importance={"a": 1}, type="weight"),
    }[first]
    return json.dumps(json.loads(good) | fields).encode() + b"\n"


_MOSTLY = st.builds(
    _sound,
    st.sampled_from(["session", "step", "declare", "tensor", "labels", "confusion", "tokens", "trees"]),
    st.dictionaries(st.sampled_from(_WORDS), _VALUES, max_size=2),
)


@settings(max_examples=200, deadline=None)
@example([], [], b"\r")
@given(st.lists(_LINES, max_size=6), st.lists(_MOSTLY, max_size=10), st.binary(max_size=30))
def test_whatever_the_lines_hold_nothing_is_raised(
    wild: list[dict[str, object]], mostly: list[bytes], tail: bytes
) -> None:
    data = session() + b"".join(mostly) + b"".join(json.dumps(one).encode() + b"\n" for one in wild) + tail
    _reads(data)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SMALL)), st.binary(max_size=4), st.integers(0, 5)), max_size=6))
def test_whatever_the_bytes_are_nothing_is_raised(edits: list[tuple[int, bytes, int]]) -> None:
    data = SMALL
    for at, put, drop in edits:
        data = data[:at] + put + data[at + drop :]
    _reads(data)


def _reads(data: bytes) -> None:
    try:
        run = read(data)
        stats = read_record([source(data)], {})
    except SourceError:
        return
    for curve in run.curves:
        assert len(curve.step) == len(curve.value) > 0
        assert np.isfinite(curve.step).all()
    if stats is not None:
        assert np.isfinite(stats.number("step")).all()
        for name in ("count", "nan", "inf", "zero", "std", "dead"):
            assert not (stats.number(name) < 0).any()
