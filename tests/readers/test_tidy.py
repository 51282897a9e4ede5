"""What ``ingest`` writes is read again, and judged as the log it came from."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import CtroubleshootError, SourceError
from convergence_cli.readers import best_reader, tidy
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convergence_cli.model import Run

FIXTURES = Path(__file__).parents[2] / "fixtures"
ROWS = """\
run,series,role,step,epoch,value,line
a,loss,train_loss,0,0.5,2.5,2
a,loss,train_loss,10,1.0,nan,3
a,'=x,,10,,1.0,3
b,loss,train_loss,0,0.5,inf,2
"""


@contextlib.contextmanager
def source_of(data: str) -> Iterator[Source]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(data.encode())
        yield Source(path, path.name)


def runs(data: str) -> list[Run]:
    with source_of(data) as source:
        assert best_reader(source) is tidy
        return tidy.read([source], ReadOptions())


def test_rows_of_several_runs() -> None:
    first, second = runs(ROWS)
    assert (first.name, second.name) == ("a", "b")
    loss, other = first.curves
    assert loss.step.tolist() == [0, 10]
    assert str(loss.value.tolist()) == "[2.5, nan]"
    assert loss.epoch is not None
    assert loss.epoch.tolist() == [0.5, 1.0]
    assert (other.name, other.epoch) == ("=x", None)
    assert second.curves[0].value.tolist() == [float("inf")]


def test_json_lines() -> None:
    (run,) = runs('{"run": "a", "series": "loss", "step": 0, "value": 2.0}\n{"series": "loss", "run": "a", "st')
    assert run.curves[0].value.tolist() == [2.0]
    (run,) = runs('{"run": "a", "series": "loss", "step": 0, "value": "NaN"}\n')
    assert str(run.curves[0].value.tolist()) == "[nan]"


def test_a_cut_off_row_is_dropped_and_bad_ones_are_counted() -> None:
    (run,) = runs("series,step,value\nloss,1,2.5\nloss,x,2\nloss,2\nloss,2,2.")
    assert run.curves[0].value.tolist() == [2.5]
    assert run.notes == (
        "skipped 2 rows without a series, a step or a value",
        "the last line is cut off and was dropped",
    )
    with pytest.raises(SourceError, match="no rows"):
        runs("series,step,value\n")


def test_a_sum_that_was_made_from_its_parts_is_left_to_be_made_anew() -> None:
    (run,) = runs("series,step,value\nbox_loss,1,1\ncls_loss,1,2\nbox_loss + cls_loss,1,3\n")
    assert [curve.name for curve in run.curves] == ["box_loss", "cls_loss"]


def test_rows_of_wrong_types_cost_no_more_than_themselves() -> None:
    good = '{"series": "loss", "step": 0, "value": 2.0}'
    odd = '{"run": {"a": 1}, "series": "loss", "role": [1], "step": 1, "value": 1.5, "file": {}, "about": [3]}'
    bad = '{"series": 3, "step": 1, "value": 1}\n{"series": "loss", "step": true, "value": 1}\n[1]\n{"step": {}}'
    (run,) = runs(f"{good}\n{odd}\n{bad}\n")
    (loss,) = run.curves
    assert (loss.value.tolist(), loss.role, loss.file, loss.line) == ([2.0, 1.5], None, "rows.csv", None)
    assert run.notes == ("skipped 4 rows without a series, a step or a value",)


@pytest.mark.parametrize(
    "about",
    ["[", "7", '{""config"": 3, ""notes"": 4, ""format"": 5}', '{""config"": {""a"": [1], ""b"": null, ""c"": {}}}'],
)
def test_what_is_told_of_a_run_may_be_anything(about: str) -> None:
    (run,) = runs(f'series,step,value,about\nloss,1,2,"{about}"\nloss,2,1,\n')
    assert (run.format, run.notes) == ("tidy", ())
    assert run.config in ({}, {"x": "step"})


def test_what_is_told_in_parts_is_put_together() -> None:
    parts = (
        '{""config"": {""lr"": 0.1, ""odd"": ""inf""}, ""format"": ""keras""}',
        '{""config"": {""on"": true}, ""notes"": [""a""]}',
    )
    (run,) = runs("".join(["series,step,value,about\n", *(f'loss,{at},1,"{part}"\n' for at, part in enumerate(parts))]))
    assert (run.config, run.format, run.notes) == ({"lr": 0.1, "odd": math.inf, "on": True}, "keras", ("a",))


def test_points_and_groups_of_points_may_be_mixed() -> None:
    rows = ["loss,0,9", "loss,3,5,2,1,4,6,0.5,1,2,", "loss,1,4,4,0,3,5,0.5,-2,,1", "loss,5,1"]
    head = "series,step,value,count,nonfinite,low,high,spread,first_step,first_nonfinite_step,restart"
    (run,) = runs("\n".join([head, *(row + "," * (10 - row.count(",")) for row in rows), ""]))
    (loss,) = run.curves
    assert (loss.points, loss.step.tolist(), loss.restarts) == (9, [0, 3, 1, 5], (2,))
    assert loss.buckets is not None
    assert loss.buckets.low.tolist() == [9, 4, 3, 1]
    assert loss.buckets.nonfinite.tolist() == [0, 1, 0, 0]
    assert str(loss.buckets.first_nonfinite_step.tolist()) == "[nan, 2.0, nan, nan]"


@pytest.mark.parametrize(
    "cells", ["0,0,4,6,0.5,1,", "-1,2,4,6,0.5,1,1", "1.5,0,4,6,0,1,", "1e30,0,4,6,0,1,", "2,0,6,4,0,1,", "2,0,4,6,0,,"]
)
def test_groups_that_no_points_can_make_are_skipped(cells: str) -> None:
    head = "series,step,value,count,nonfinite,low,high,spread,first_step,first_nonfinite_step"
    (run,) = runs(f"{head}\nloss,3,5,{cells}\nloss,4,1,,,,,,,\n")
    assert (run.curves[0].points, len(run.notes)) == (1, 1)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("log", ["keras/healthy-digits/training.log", "huggingface"])
def test_ingested_rows_give_the_verdict_of_the_log(log: str, form: str) -> None:
    path = FIXTURES / log
    if path.is_dir():
        path = sorted(path.rglob("trainer_state.json"))[0]
    command = [sys.executable, "-m", "convergence_cli"]
    rows = subprocess.run([*command, "ingest", "-f", form, str(path)], capture_output=True, check=True).stdout
    outputs = [
        subprocess.run([*command, "classify", str(path)], capture_output=True, check=False).stdout.split(b"\t"),
        subprocess.run([*command, "classify", "-"], input=rows, capture_output=True, check=False).stdout.split(b"\t"),
    ]
    assert outputs[0][1:] == outputs[1][1:]
    assert len(outputs[0]) > 2


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet="abc,\"'=1.e-\n\r\x00{}[]:", max_size=80), st.sampled_from(["", '{"series":1,"step":1,"value":1}'])
)
def test_nothing_but_our_errors_escapes(junk: str, first: str) -> None:
    with source_of(f"{first or 'run,series,step,value'}\n{junk}") as source:
        try:
            found = tidy.read([source], ReadOptions())
        except CtroubleshootError:
            return
    assert all(curve.points for run in found for curve in run.curves)
