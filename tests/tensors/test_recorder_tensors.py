"""The tensors of a record: rows, what became of weights, counts, sessions, workers, and what lies beside it."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from record_writer import STARTED, declare, line, row, sampled, session, steps
from safetensors.numpy import save_file

from convergence_cli.pipeline import analyze_paths, read_paths
from convergence_cli.readers._guard import Source
from convergence_cli.settings import Settings
from convergence_cli.tensor_stats import QUANTILES, TensorRow, TensorStats
from convergence_cli.tensors import recorder
from convergence_cli.tensors.recorder import histogram, read_record

W, G, U, A = "weight/fc.weight", "gradient/fc.weight", "update/fc.weight", "activation/act"
DECLARED = b"".join(declare(title, order=place, units=8) for place, title in enumerate((W, G, U, A)))


def stats_of(folder: Path, *files: bytes) -> TensorStats | None:
    sources = []
    for rank, data in enumerate(files):
        path = folder / (f"record.rank{rank}.jsonl" if rank else "record.jsonl")
        path.write_bytes(data)
        sources.append(Source(path, str(path)))
    return read_record(sources, {})


def rows_of(folder: Path, *files: bytes) -> list[TensorRow]:
    found = stats_of(folder, *files)
    assert found is not None
    return list(found.rows())


def test_a_row_has_every_column_under_its_own_name(tmp_path: Path) -> None:
    told = declare(A, (16, 8), 3, function="relu", units=8)
    shares = {"dead": 0.125, "sat": 0.25, "satv": 0.3, "const": 0.5, "twin": 0.75, "sum1": 1, "constf": 0.2}
    sizes = {"samples": 16, "var": 0.9, "offset": 2.5, "spread": 30}
    counts = {"n": 100, "nan": 3, "inf": 2, "neg": 1, "zero": 40}
    data = session() + told + sampled(50, row(A, 50, mean=3, std=4, **counts, **shares, **sizes), time=7.5)
    (one,) = rows_of(tmp_path, data)
    assert (one.kind, one.name, one.layer, one.dtype, one.function) == ("activation", "act", "act", "float32", "relu")
    assert (one.step, one.order, one.shape, one.worker, one.mode) == (50, 3, (16, 8), "", "")
    assert (one.time, one.file) == (STARTED + 7.5, str(tmp_path / "record.jsonl"))
    assert (one.count, one.nan, one.inf, one.negative_inf, one.zero) == (100, 3, 2, 1, 40)
    assert (one.mean, one.std, one.min, one.max, one.abs_mean) == (3, 4, -1, 1, 0.5)
    assert one.l2 == pytest.approx(5 * math.sqrt(95))
    assert one.quantiles == (-0.98, -0.9, -0.5, 0, 0.5, 0.9, 0.98)
    assert (one.dead, one.saturated, one.saturated_values, one.constant) == (0.125, 0.25, 0.3, 0.5)
    assert (one.twin, one.sums_to_one, one.constant_features) == (0.75, 1, 0.2)
    assert (one.units, one.samples, one.unit_variance, one.feature_offset, one.feature_spread) == (8, 16, 0.9, 2.5, 30)


def test_what_was_not_measured_is_not_known_and_counts_are_0(tmp_path: Path) -> None:
    (one,) = rows_of(tmp_path, session() + declare(G) + sampled(1) + line(tensor=G, step=1, nan=32))
    assert (one.count, one.nan, one.inf, one.negative_inf, one.zero) == (32, 32, 0, 0, 0)
    known = (one.mean, one.std, one.min, one.max, one.l2, one.abs_mean, one.units, one.dead, one.samples, one.changed)
    assert np.isnan(known).all()
    assert np.isnan(one.quantiles).all()
    assert len(one.quantiles) == len(QUANTILES)


def test_what_became_of_a_weight_is_told_by_its_checksum(tmp_path: Path) -> None:
    data = session() + DECLARED + sampled(0, row(W, 0, bits="a")) + sampled(1, row(W, 1, bits="a"), row(U, 1, zero=8))
    data += sampled(50, row(W, 50, bits="b"), row(U, 50, zero=32)) + sampled(100, row(W, 100, bits="c"))
    data += sampled(150, row(W, 150, bits="c")) + sampled(200, row(W, 200)) + sampled(250, row(W, 250, bits="d"))
    weights = [one for one in rows_of(tmp_path, data) if one.kind == "weight"]
    np.testing.assert_array_equal([one.changed for one in weights], [math.nan, 0, 0.75, 1 / 32, 0, math.nan, math.nan])
    # The weights of step 1 are those before it: no step lies between them and the initial ones.
    between = [one.change_steps for one in weights]
    np.testing.assert_array_equal(between, [math.nan, 0, 49, 50, 50, math.nan, math.nan])
    assert all(math.isnan(one.change) for one in weights)


def test_what_is_told_of_a_change_is_taken_with_the_checksum(tmp_path: Path) -> None:
    data = session() + DECLARED + sampled(0, row(W, 0, bits="a"))
    data += sampled(1, row(W, 1, bits="a", change=0, changed=0, since=0))
    data += sampled(50, row(W, 50, bits="b", change=0.5, changed=0.25, since=1))
    # A sample that missed the change, and a row whose predecessor is lost.
    data += sampled(100, row(W, 100, bits="c", change=0, changed=0, since=50))
    data += sampled(200, row(W, 200, bits="c", change=2, changed=0.5, since=150))
    weights = rows_of(tmp_path, data)
    np.testing.assert_array_equal([one.changed for one in weights], [math.nan, 0, 0.25, 1 / 32, 0.5])
    np.testing.assert_array_equal([one.change for one in weights], [math.nan, 0, 0.5, 0, 2])
    np.testing.assert_array_equal([one.change_steps for one in weights], [math.nan, 0, 49, 50, 50])


def test_counts_beside_the_tensors(tmp_path: Path) -> None:
    counts = line(labels="y", step=1, values=[0, 2, 5], counts=[3, 4, 1], sequence=True)
    counts += line(confusion="out", step=1, classes=3, cells=[[0, 0, 5], [2, 1, 7]])
    counts += line(tokens="x", step=1, positions=9, vocabulary=7, padding=0, padding_share=0.5, shares=[[0, 0.6]])
    counts += line(tokens="z", step=2, positions=9, vocabulary=7, padding_share=0, shares=[])
    counts += line(trees=3, depth=4, importance={"age": 0.75, "sex": 0.25}, type="gain")
    found = stats_of(tmp_path, session() + counts)
    assert found is not None
    assert len(found) == 0
    (labels,), (confusion,), tokens, (trees,) = found.labels, found.confusions, found.tokens, found.trees
    assert (labels.name, labels.values, labels.counts, labels.sequence) == ("y", (0, 2, 5), (3, 4, 1), True)
    assert (confusion.name, confusion.matrix.tolist()) == ("out", [[5, 0, 0], [0, 0, 0], [0, 7, 0]])
    assert [(one.padding, one.padding_share, dict(one.shares)) for one in tokens] == [(0, 0.5, {0: 0.6}), (None, 0, {})]
    assert (trees.step, trees.depth, dict(trees.importance), trees.importance_type) == (
        *(3, 4, {"age": 0.75, "sex": 0.25}),
        "gain",
    )


def test_a_session_that_goes_on_keeps_what_came_before_it(tmp_path: Path) -> None:
    first = session() + DECLARED
    first += b"".join(sampled(at, row(W, at, bits=f"{at}"), row(A, at)) for at in (0, 50, 100))
    first += line(labels="y", step=100, values=[0], counts=[1]) + line(labels="y", step=50, values=[0], counts=[9])
    again = session(50, started=STARTED + 1000) + DECLARED + sampled(50, row(W, 50, bits="f", zero=1))
    again += sampled(51, row(W, 51, bits="f"), time=0.5) + sampled(100, row(W, 100, bits="e", zero=2))
    found = stats_of(tmp_path, first + steps(1, 120) + again)
    assert found is not None
    told = [(one.step, one.kind, one.zero) for one in found.rows()]
    assert told == [
        *((0, "weight", 0), (0, "activation", 0), (50, "weight", 0), (50, "activation", 0)),
        *((51, "weight", 0), (100, "weight", 2)),
    ]
    np.testing.assert_array_equal(found.number("changed"), [math.nan, math.nan, 1 / 32, math.nan, 0, 1 / 32])
    assert found.number("change_steps")[4] == 0
    # A pause between two sessions is none of a training that runs.
    np.testing.assert_array_equal(found.number("time")[:5], [math.nan] * 4 + [STARTED + 1000.5])
    assert [one.counts for one in found.labels] == [(9,)]


def test_a_session_from_step_0_drops_all_before(tmp_path: Path) -> None:
    first = session() + DECLARED + sampled(0, row(W, 0)) + line(labels="y", step=0, values=[0], counts=[1])
    found = stats_of(tmp_path, first + session() + declare(G) + sampled(1, row(G, 1)))
    assert found is not None
    assert [one.kind for one in found.rows()] == ["gradient"]
    assert found.labels == ()
    assert stats_of(tmp_path, first + session()) is None


def test_workers_are_told_apart_where_there_are_several(tmp_path: Path) -> None:
    files = [session(worker=str(rank)) + DECLARED + sampled(1, row(W, 1, zero=rank)) for rank in range(3)]
    assert [(one.worker, one.zero) for one in rows_of(tmp_path, *files)] == [("0", 0), ("1", 1), ("2", 2)]
    assert [one.worker for one in rows_of(tmp_path, files[1])] == [""]
    unnamed = [session() + DECLARED + sampled(1, row(W, 1)) for _ in range(2)]
    assert [one.worker for one in rows_of(tmp_path, *unnamed)] == ["0", "1"]


HOSTILE = [
    {"declare": "weight/b", "shape": [2]},
    {"declare": "nothing/b", "layer": "b", "shape": [2], "dtype": "f", "order": 0},
    {"declare": "weight/b", "layer": "b", "shape": [-2], "dtype": "f", "order": 0},
    {"declare": "weight/b", "layer": "b", "shape": [1 << 40, 1 << 40], "dtype": "f", "order": 0},
    {"declare": "weight/b", "layer": "b", "shape": [1] * 65, "dtype": "f", "order": 0},
    {"declare": "weight/b", "layer": "b", "shape": [2], "dtype": "f", "order": 0, "units": None},
    {"declare": ["weight/b"], "layer": "b", "shape": [2], "dtype": "f", "order": 0},
    {"tensor": W},
    {"tensor": [W], "step": 1},
    {"tensor": W, "step": "NaN"},
    {"tensor": W, "step": 1, "n": -1},
    {"tensor": W, "step": 1, "n": 1.5},
    {"tensor": W, "step": 1, "zero": 33},
    {"tensor": W, "step": 1, "nan": -1},
    {"tensor": W, "step": 1, "mean": "big"},
    {"tensor": W, "step": 1, "std": -1},
    {"tensor": W, "step": 1, "dead": 1.5},
    {"tensor": W, "step": 1, "q": [1, 2]},
    {"tensor": W, "step": 1, "q": [1, 2, 3, 4, 5, 6, None]},
    {"tensor": W, "step": 1, "bits": 7},
    {"tensor": W, "step": 1, "change": -1, "changed": 0, "since": 0},
    {"tensor": W, "step": 1, "change": 1, "changed": 2, "since": 0},
    {"tensor": W, "step": 1, "change": 1, "changed": 0, "since": 1},
    {"tensor": W, "step": 1, "change": 1, "changed": 0, "since": "0"},
    {"sampled": "1", "time": 0},
    {"sampled": 1},
    {"labels": "y", "step": 1, "values": [1, 0], "counts": [1, 1]},
    {"labels": "y", "step": 1, "values": [0, 1], "counts": [1]},
    {"labels": "y", "step": 1, "values": [0], "counts": [-1]},
    {"labels": "y", "step": 1, "values": list(range(1001)), "counts": [1] * 1001},
    {"labels": 1, "step": 1, "values": [0], "counts": [1]},
    {"confusion": "o", "step": 1, "classes": 1001, "cells": []},
    {"confusion": "o", "step": 1, "classes": 2, "cells": [[0, 2, 1]]},
    {"confusion": "o", "step": 1, "classes": 2, "cells": [[0, 1, 1 << 60]]},
    {"confusion": "o", "step": 1, "classes": 2, "cells": [[0, 1]]},
    {"confusion": "o", "step": 1, "classes": 0, "cells": []},
    {"tokens": "x", "step": 1, "positions": 1, "vocabulary": 1, "padding_share": 2, "shares": []},
    {"tokens": "x", "step": 1, "positions": 1, "vocabulary": 1, "padding_share": 0, "shares": [["a", 1]]},
    {"tokens": "x", "step": 1, "positions": -1, "vocabulary": 1, "padding_share": 0, "shares": []},
    {"tokens": "x", "step": 1, "positions": 1, "vocabulary": 1, "padding_share": 0, "shares": [], "padding": "a"},
    {"trees": "1", "depth": 1, "importance": {}, "type": "weight"},
    {"trees": 1, "depth": None, "importance": {}, "type": "weight"},
    {"trees": 1, "depth": 1, "importance": {"a": "b"}, "type": "weight"},
    {"trees": 1, "depth": 1, "importance": [], "type": "weight"},
]


@pytest.mark.parametrize("fields", HOSTILE, ids=range(len(HOSTILE)))
def test_a_line_that_is_not_as_it_must_be_is_left_out_and_counted(tmp_path: Path, fields: dict[str, object]) -> None:
    found = stats_of(tmp_path, session() + DECLARED + sampled(1, row(G, 1)) + line(**fields))
    assert found is not None
    assert [one.kind for one in found.rows()] == ["gradient"]
    assert (found.labels, found.confusions, found.tokens, found.trees) == ((), (), (), ())
    assert found.notes == ("left out 1 line on tensors that a recorder does not write",)


def test_a_tensor_that_was_never_declared_is_left_out_and_counted(tmp_path: Path) -> None:
    found = stats_of(tmp_path, session() + DECLARED + sampled(1, row(G, 1), row("weight/x", 1), row("weight/y", 1)))
    assert found is not None
    assert len(found) == 1
    assert found.notes == ("left out 2 rows of tensors that are not declared",)


def test_no_more_rows_and_counts_are_read_than_memory_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = session() + DECLARED
    for at in range(5):
        data += sampled(at, row(W, at), row(G, at)) + line(labels="y", step=at, values=[0, 1], counts=[1, 1])
    monkeypatch.setattr(recorder, "MAX_COUNTED", 80)
    found = stats_of(tmp_path, data)
    assert found is not None
    assert (len(found), len(found.labels)) == (10, 3)
    enough = "on were not read: that is enough for any verdict"
    assert found.notes == (f"classes and tokens of steps from 3 {enough}",)
    monkeypatch.setattr(recorder, "MAX_ROWS", 6)
    found = stats_of(tmp_path, data)
    assert found is not None
    assert (len(found), found.notes) == (6, (f"tensors of steps from 2 {enough}",))
    found = stats_of(tmp_path, data, data.replace(b'"worker":""', b'"worker":"1"'))
    assert found is not None
    assert found.text("worker").tolist() == ["0", "1"] * 3


def test_digits_of_a_histogram_are_roots_of_shares() -> None:
    shares = histogram("0" * 8 + "z" + "0" * 6 + "z")
    assert shares == (0.0,) * 8 + (0.5,) + (0.0,) * 6 + (0.5,)
    assert sum(histogram("9a9997a999888988")) == pytest.approx(1.0)
    for text in ("", "0" * 16, "9" * 15, "A" * 16, "९" * 16):
        assert histogram(text) == ()


def _run(folder: Path) -> bytes:
    data = session() + declare(W, (8, 4), 0, units=8) + declare(A, (64, 8), 100_000, function="relu", units=8)
    data += sampled(0, row(W, 0, bits="0"))
    for at in (1, 50, 100, 150, 200):
        data += sampled(at, row(W, at, bits=f"{at - 1:x}"), row(A, at, samples=64, dead=0))
        data += steps(max(at - 49, 1), at)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.jsonl").write_bytes(data)
    raw = folder / "raw"
    raw.mkdir()
    for at in (50, 100):
        save_file({"weight/fc.weight": np.ones((8, 4), dtype=np.float32)}, raw / f"step_{at:06d}.safetensors")
    return data


def test_tensors_that_were_saved_as_they_are_do_not_replace_the_record(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").write_text("step,loss\n" + "".join(f"{at},{9 - at / 9}\n" for at in range(60)))
    for path in (tmp_path, tmp_path / "run"):
        runs, errors = read_paths([str(path)], Settings())
        assert not errors
        told = {run.format: None if run.tensors is None else len(run.tensors) for run in runs}
        assert told == {"recorder": 11, "csv": None}
    (alone,), _ = read_paths([str(tmp_path / "run" / "record.jsonl")], Settings())
    assert alone.tensors is not None
    assert len(alone.tensors) == 11


def test_saved_tensors_are_read_where_they_are_named(tmp_path: Path) -> None:
    _run(tmp_path)
    for path, count in ((tmp_path / "raw" / "step_000050.safetensors", 1), (tmp_path / "raw", 2)):
        (run,), errors = read_paths([str(path)], Settings())
        assert not errors
        assert run.format == "tensors"
        assert run.tensors is not None
        assert len(run.tensors.steps) == count


def test_dumps_of_another_kind_beside_a_record_are_a_run_of_their_own(tmp_path: Path) -> None:
    _run(tmp_path)
    (tmp_path / "tensors").mkdir()
    save_file({"weight/fc.weight": np.ones((8, 4), dtype=np.float32)}, tmp_path / "tensors" / "step_000007.safetensors")
    runs, errors = read_paths([str(tmp_path)], Settings())
    assert not errors
    assert [(run.format, run.tensors is not None and len(run.tensors)) for run in runs] == [
        ("recorder", 11),
        ("tensors", 1),
    ]


def test_every_command_takes_the_folder_of_a_record(tmp_path: Path) -> None:
    _run(tmp_path)
    report = analyze_paths([str(tmp_path)], Settings())
    (run,) = report.runs
    assert not report.errors
    assert (run.verdict.label, run.summary["tensors"]["rows"], run.notes) == ("converging", 11, ())
    for command in ("analyze", "inspect", "classify", "ingest"):
        asked = [sys.executable, "-m", "convergence_cli", command, str(tmp_path)]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "record.jsonl" in done.stdout
