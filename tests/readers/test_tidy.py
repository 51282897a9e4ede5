"""What ``ingest`` writes is read again, and judged as the log it came from."""

from __future__ import annotations

import contextlib
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
