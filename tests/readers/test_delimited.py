"""Delimited tables as the writers write them, and as crashes, editors and spreadsheets leave them."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convergence_cli.errors import SourceError
from convergence_cli.readers import delimited
from convergence_cli.readers._guard import ReadOptions, Source

if TYPE_CHECKING:
    from convergence_cli.model import Curve, Run

FOLDER = tempfile.TemporaryDirectory()
COUNT = itertools.count()


def source(data: str | bytes, name: str = "metrics.csv") -> Source:
    path = Path(FOLDER.name, str(next(COUNT)), name)
    path.parent.mkdir()
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return Source(path, name)


def read(data: str | bytes, name: str = "metrics.csv") -> Run:
    (run,) = delimited.read([source(data, name)], ReadOptions())
    return run


def sniff(data: str | bytes) -> float:
    return delimited.sniff(source(data))


def curves(run: Run) -> dict[str, Curve]:
    return {curve.name: curve for curve in run.curves}


def points(run: Run, name: str) -> list[tuple[float, float]]:
    curve = curves(run)[name]
    return list(zip(curve.step.tolist(), curve.value.tolist(), strict=True))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
def test_every_delimiter_gives_the_same_curves(delimiter: str) -> None:
    frame = pd.DataFrame({"step": [10, 20, 30], "loss": [1.5, 1.25, 1.0], "lr": [0.1, 0.1, 0.01]})
    run = read(frame.to_csv(index=False, sep=delimiter))
    assert points(run, "loss") == [(10, 1.5), (20, 1.25), (30, 1.0)]
    assert points(run, "lr") == [(10, 0.1), (20, 0.1), (30, 0.01)]
    assert set(curves(run)) == {"loss", "lr"}
    assert run.config == {"x": "step"}
    assert run.notes == ()
    assert list(curves(run)["loss"].line) == [2, 3, 4]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_decimal_comma_is_not_a_delimiter(delimiter: str) -> None:
    frame = pd.DataFrame({"step": [0, 1, 2], "loss": [1.5, 1.25, 0.125], "val_loss": [2.5, 1000.5, 0.5]})
    run = read(frame.to_csv(index=False, sep=delimiter, decimal=","))
    assert points(run, "loss") == [(0, 1.5), (1, 1.25), (2, 0.125)]
    assert points(run, "val_loss") == [(0, 2.5), (1, 1000.5), (2, 0.5)]


def test_thousands_are_read_in_quoted_cells() -> None:
    run = read('step,loss\n1,"1,234.5"\n2,"1,000"\n3,12.5%\n')
    assert points(run, "loss") == [(1, 1234.5), (2, 1000.0), (3, 12.5)]


def test_lightning_rows_are_sparse_and_each_series_has_only_its_own_points() -> None:
    run = read("epoch,step,train_loss,val_loss\n0,49,2.0,\n0,99,1.5,\n0,99,,1.8\n1,149,1.2,\n1,149,,1.6\n")
    assert run.format == "lightning"
    assert points(run, "train_loss") == [(49, 2.0), (99, 1.5), (149, 1.2)]
    assert points(run, "val_loss") == [(99, 1.8), (149, 1.6)]
    assert list(curves(run)["val_loss"].epoch) == [0, 1]
    assert list(curves(run)["val_loss"].line) == [4, 6]


def test_keras_csvlogger_with_na_and_sequences() -> None:
    run = read(
        "epoch,accuracy,loss,val_accuracy,val_loss,weights\n"
        '0,0.5,2.3,NA,NA,"[0.1, 0.2]"\n1,0.6,1.9,0.55,2.0,"[0.1, 0.3]"\n'
    )
    assert run.format == "keras"
    assert run.config == {"x": "epoch"}
    assert points(run, "val_loss") == [(1, 2.0)]
    assert "weights" not in curves(run)


def test_keras_without_an_epoch_column_counts_rows() -> None:
    run = read("val_loss,val_accuracy,loss,accuracy\n0.9,0.3,0.8,0.4\n0.8,0.4,0.7,0.5\n")
    assert (run.format, run.config) == ("keras", {"x": "row"})
    assert points(run, "loss") == [(0, 0.8), (1, 0.7)]
    assert run.notes == ("no step column: rows are counted instead",)


def test_keras_appended_runs_are_restarts() -> None:
    run = read("epoch,loss,val_loss\n0,3,3\n1,2,2\n2,1,1\n0,2.5,3\n1,1.5,2\n")
    assert curves(run)["loss"].restarts == (3,)


def test_ultralytics_pads_header_and_cells() -> None:
    names = ["epoch", "train/box_loss", "metrics/mAP50(B)", "val/box_loss", "lr/pg0"]
    rows = [
        ["1", "5.19", "0.01", "nan", "0.07"],
        ["2", "4.1", "0.02", "inf", "0.06"],
        ["3", "3.9", "0.1", "4.2", "0.05"],
    ]
    text = "\n".join(",".join(f"{cell:>23}" for cell in row) for row in [names, *rows]) + "\n"
    run = read(text, "results.csv")
    assert (run.format, run.config) == ("ultralytics", {"x": "epoch"})
    assert points(run, "train/box_loss") == [(1, 5.19), (2, 4.1), (3, 3.9)]
    assert [str(value) for value in curves(run)["val/box_loss"].value] == ["nan", "inf", "4.2"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("epoch,train_loss,eval_loss,eval_top1,eval_top5,lr", "timm"),
        ("epoch,train_loss,eval_loss,eval_top1,eval_top5", "timm"),
        ("epoch,train_loss,eval_loss,eval_acc,lr", "csv"),
        ("step,train_loss,eval_loss,eval_top1,lr", "csv"),
    ],
)
def test_timm_is_known_by_what_it_evaluates(header: str, expected: str) -> None:
    rows = "".join(f"{at}," + ",".join("0.5" for _ in header.split(",")[1:]) + "\n" for at in range(4))
    run = read(f"{header}\n{rows}", "summary.csv")
    assert run.format == expected


def test_ultralytics_of_older_releases_has_its_losses_in_other_order() -> None:
    names = "epoch, train/box_loss, train/obj_loss, metrics/precision, metrics/mAP_0.5, val/box_loss, x/lr0"
    run = read(f"               {names}\n" + "".join(f"  {at},  0.1, 0.02, 0.5, 0.4, 0.1, 0.01\n" for at in range(3)))
    assert (run.format, run.config) == ("ultralytics", {"x": "epoch"})
    assert points(run, "train/obj_loss") == [(0, 0.02), (1, 0.02), (2, 0.02)]


def test_separate_tables_are_separate_runs() -> None:
    runs = delimited.read([source("step,loss\n0,1\n1,2\n", name) for name in ("a.csv", "b.csv")], ReadOptions())
    assert [run.name for run in runs] == ["a", "b"]


def test_stable_baselines_monitor_has_a_remark_and_lists() -> None:
    out = io.StringIO()
    out.write('#{"t_start": 1645885074.8, "env_id": null}\n')
    writer = csv.writer(out)
    writer.writerows([["r", "l", "t", "actions"], [1.5, 24, 94.0, "['A', 'B']"], [2.5, 23, 188.4, "['A']"]])
    run = read(out.getvalue(), "monitor.csv")
    assert points(run, "r") == [(0, 1.5), (1, 2.5)]
    assert set(curves(run)) == {"r", "l"}
    assert list(curves(run)["r"].time) == [94.0, 188.4]
    assert list(curves(run)["r"].line) == [3, 4]


def test_quoted_cells_may_hold_commas_line_ends_and_json() -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["training_iteration", "config", "episode_reward_mean", "td_error"])
    for index in range(5):
        writer.writerow([index, '{"lr": 0.1, "name": "a"}', index * 1.5, "[0.1 0.2\n 0.3 0.4]"])
    run = read(out.getvalue(), "progress.csv")
    assert points(run, "episode_reward_mean") == [(index, index * 1.5) for index in range(5)]
    assert list(curves(run)["episode_reward_mean"].line) == [2, 4, 6, 8, 10]


def test_a_stray_quote_costs_no_more_than_its_own_cell() -> None:
    run = read('step,loss,note\n0,1.0,ok\n1,0.9,"cut\n2,0.8,ok\n3,0.7,ok\n')
    assert points(run, "loss") == [(0, 1.0), (1, 0.9), (2, 0.8), (3, 0.7)]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.rstrip("\n").encode(),
    ],
    ids=["bom", "utf-16", "crlf", "cr", "no last line end"],
)
def test_encodings_and_line_ends_do_not_matter(encode) -> None:
    run = read(encode("step,loss\n0,1.5\n1,1.25\n2,1.0\n"))
    assert points(run, "loss") == [(0, 1.5), (1, 1.25), (2, 1.0)]
    assert list(curves(run)["loss"].line) == [2, 3, 4]


@pytest.mark.parametrize("cell", ["", "NA", "None", "null", "-", "  ", "N/A"])
def test_a_cell_that_was_not_logged_is_no_point(cell: str) -> None:
    run = read(f"step,loss,lr\n0,1.0,0.1\n1,{cell},0.1\n2,0.5,0.1\n")
    assert points(run, "loss") == [(0, 1.0), (2, 0.5)]
    assert len(points(run, "lr")) == 3


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("nan", math.nan), ("NaN", math.nan), ("1.#IND", math.nan), ("-1.#IND", math.nan), ("1.#QNAN", math.nan),
        ("tensor(nan)", math.nan), ("tensor(nan, device='cuda:0')", math.nan), ("inf", math.inf), ("-inf", -math.inf),
        ("Infinity", math.inf), ("1.#INF", math.inf), ("tensor(0.5)", 0.5), ("tensor(0.5, device='cuda:0')", 0.5),
    ],
)  # fmt: skip
def test_a_value_that_was_logged_is_a_point_also_when_it_is_not_finite(cell: str, value: float) -> None:
    run = read(f'step,loss\n0,1.0\n1,"{cell}"\n2,0.5\n')
    np.testing.assert_equal(points(run, "loss"), [(0, 1.0), (1, value), (2, 0.5)])


def test_text_and_booleans_are_no_series_and_stray_text_is_counted() -> None:
    run = read("step,loss,done,host\n0,1.0,True,a1\n1,oops,False,a2\n2,0.5,True,a3\n")
    assert set(curves(run)) == {"loss"}
    assert points(run, "loss") == [(0, 1.0), (2, 0.5)]
    assert run.notes == ("1 cells of loss are not numbers and were left out",)


def test_a_name_that_comes_twice_is_kept_twice() -> None:
    run = read("step,loss,loss\n0,1,2\n1,3,4\n")
    assert points(run, "loss") == [(0, 1), (1, 3)]
    assert points(run, "loss.1") == [(0, 2), (1, 4)]


def test_a_header_repeated_inside_the_file_is_no_row() -> None:
    run = read("step,loss\n0,1\n1,2\nstep,loss\n0,3\n1,4\n")
    assert points(run, "loss") == [(0, 1), (1, 2), (0, 3), (1, 4)]
    assert curves(run)["loss"].restarts == (2,)
    assert any("repeated" in note for note in run.notes)


def test_a_second_header_with_other_columns_is_followed() -> None:
    run = read("step,loss\n0,1\n1,2\nstep,lr,loss,val_loss\n2,0.1,3,4\n3,0.1,5,6\n")
    assert points(run, "loss") == [(0, 1), (1, 2), (2, 3), (3, 5)]
    assert points(run, "val_loss") == [(2, 4), (3, 6)]
    assert any("new header" in note for note in run.notes)


def test_ragged_rows() -> None:
    run = read("step,loss,lr\n0,1,0.1\n1,2\n2,3,0.1,9,9\n3,4,0.1\n4,5,0.1,,\n")
    assert points(run, "loss") == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert [step for step, _ in points(run, "lr")] == [0, 2, 3, 4]
    assert run.notes == ("1 rows have more cells than the header; the extra cells were dropped",)


def test_rows_with_nul_bytes_are_dropped() -> None:
    run = read(b"step,loss\n0,1\n1,\x00\x00\x00\n2,3\n\x00\x00\x00\x00\n")
    assert points(run, "loss") == [(0, 1), (2, 3)]
    assert run.notes == ("2 lines with NUL bytes were dropped",)


@pytest.mark.parametrize("tail", ["2,0.5", "2", "2,0.25,0.", "2,0.5,1e-", "2,0.5,na n"])
def test_a_torn_last_row(tail: str) -> None:
    run = read("step,loss,lr\n0,1,0.1\n1,2,0.1\n" + tail)
    kept = tail == "2,0.25,0."
    assert len(points(run, "loss")) == 2 + kept
    assert bool(run.notes) != kept


def test_the_header_of_another_delimiter_than_the_rows() -> None:
    run = read("Learning Rate\tepoch\tTrain Loss\t\r\n0.001|1.0|2.15|\r\n0.001|2.0|1.83|\r\n", "log.txt")
    assert points(run, "Train Loss") == [(1, 2.15), (2, 1.83)]
    assert points(run, "Learning Rate") == [(1, 0.001), (2, 0.001)]


def test_markdown_and_ruled_tables() -> None:
    run = read("| epoch | loss |\n|-------|------|\n| 1 | 0.5 |\n| 2 | 0.25 |\n")
    assert points(run, "loss") == [(1, 0.5), (2, 0.25)]


def test_a_table_of_numbers_without_a_header() -> None:
    run = read("10 0.5\n20 0.25\n30 0.125\n", "train_loss.txt")
    assert points(run, "train_loss") == [(10, 0.5), (20, 0.25), (30, 0.125)]


def test_numpy_savetxt() -> None:
    out = io.StringIO()
    np.savetxt(out, np.array([[0, 0.5], [1, 0.25]]), header="step loss")
    assert points(read(out.getvalue()), "loss") == [(0, 0.5), (1, 0.25)]
    alone = io.StringIO()
    np.savetxt(alone, np.array([0.5, 0.25, 0.125]))
    assert points(read(alone.getvalue(), "loss.txt"), "loss") == [(0, 0.5), (1, 0.25), (2, 0.125)]


def test_tensorboard_csv_export_is_named_after_its_file() -> None:
    run = read("Wall time,Step,Value\n1.6e9,0,0.5\n1.6e9,1,0.25\n", "run-.-tag-train_loss.csv")
    assert points(run, "train_loss") == [(0, 0.5), (1, 0.25)]


def test_pandas_index_is_the_step_where_there_is_no_other() -> None:
    run = read(pd.DataFrame({"loss": [3.0, 2.0]}, index=[5, 6]).to_csv())
    assert points(run, "loss") == [(5, 3.0), (6, 2.0)]
    both = read(pd.DataFrame({"epoch": [1, 2], "loss": [3.0, 2.0]}).to_csv())
    assert points(both, "loss") == [(1, 3.0), (2, 2.0)]
    assert set(curves(both)) == {"loss"}


def test_a_step_that_begins_anew_in_every_epoch_is_no_step() -> None:
    rows = [f"{epoch},{batch},{1 / (1 + epoch * 4 + batch)}" for epoch in range(5) for batch in range(4)]
    run = read("\n".join(["epoch,iter,loss", *rows, ""]))
    assert run.config == {"x": "row"}
    assert list(curves(run)["loss"].step) == list(range(20))
    assert list(curves(run)["loss"].epoch) == [epoch for epoch in range(5) for _ in range(4)]
    assert "begins anew in every epoch" in run.notes[0]


def test_rows_without_a_step_have_that_of_the_row_before() -> None:
    run = read("step,loss,val_loss\n0,1.0,\n10,0.9,\n,,0.95\n20,0.8,\n")
    assert points(run, "val_loss") == [(10, 0.95)]


@pytest.mark.parametrize(
    "name", ["trainer/global_step", "_step", "Step", "num_updates", "time/total_timesteps", "Iteration"]
)
def test_step_columns_by_name(name: str) -> None:
    run = read(f"loss,{name}\n1.0,100\n0.5,200\n")
    assert points(run, "loss") == [(100, 1.0), (200, 0.5)]
    assert run.config == {"x": "step"}


def test_a_header_alone_is_a_run_without_points() -> None:
    run = read("epoch,loss,val_loss\n")
    assert run.curves == ()
    assert run.notes == ("the table has a header and no rows yet",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "hello",
        "Once upon a time, there was a loss.\nIt fell, and fell, and fell.\nThen, it stopped.\n",
        '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n',
        '[{"step": 1, "loss": 0.5},\n{"step": 2, "loss": 0.4}]\n',
        "2024-01-01 12:00:00,123 - INFO - step 1, loss 0.5\n2024-01-01 12:00:01,456 - INFO - step 2, loss 0.4\n",
        "Epoch 1/10 | Train Loss: 0.5 | Val Loss: 0.6\nEpoch 2/10 | Train Loss: 0.4 | Val Loss: 0.5\n",
        "step 1 | loss 2.5 | lr 3e-4\nstep 2 | loss 2.4 | lr 3e-4\n",
        "iter 0: loss 10.9, time 100ms\niter 1: loss 10.8, time 90ms\n",
        " iteration 20/ 1000 | n: 80 | lm loss: 1.2E+01 |\n iteration 40/ 1000 | n: 90 | lm loss: 1.1E+01 |\n",
        "[0]\ttrain-logloss:0.6\teval-logloss:0.61\n[1]\ttrain-logloss:0.5\teval-logloss:0.55\n",
        "import os, sys\nimport numpy as np\nx = [1, 2]\ny = 3, 4\n",
        "name,optimizer\nrun1,adam\nrun2,sgd\n",
    ],
)  # fmt: skip
def test_what_is_no_table_is_not_claimed(text: str) -> None:
    assert sniff(text) == 0.0
    with pytest.raises(SourceError, match=r"holds no table of numbers.*Give a CSV"):
        read(text)


@pytest.mark.parametrize(
    "text",
    ["step,loss\n0,1\n1,2\n", "epoch\tloss\n0\t1\n", "step loss\n0 1\n1 2\n", "epoch,train/loss,val/loss\n1,0.5,0.6\n"],
)
def test_a_good_table_is_claimed(text: str) -> None:
    assert 0.6 <= sniff(text) <= 0.8


@pytest.fixture
def always_big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BIG_BYTES", 0)
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 2048)


def hostile_table() -> str:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"step": np.arange(800), "loss": rng.normal(2, 0.5, 800), "lr": rng.uniform(0, 1, 800)})
    rows = frame.to_csv(index=False).split("\n")
    rows[60] = "59,nan,0.5"
    rows[120] = "119,,0.5"
    rows[180] = "179,inf"
    rows[240] = "239,1.5,0.5,7"
    rows[300] = ""
    rows[360] = "step,loss,lr"
    rows[420] = "419,NA,tensor(0.5)"
    rows[480] = '479,"1,234.5",0.5'
    rows[540] = "# a remark"
    rows[600] = "Traceback of something"
    rows[660] = '659,"2.5'
    rows[720] = '719,-inf,"0.5"'
    return "\n".join(rows)


@pytest.mark.usefixtures("always_big")
@pytest.mark.parametrize(
    "text",
    [
        hostile_table(),
        pd.DataFrame({"step": range(900), "loss": np.linspace(3, 1, 900), "done": True}).to_csv(index=False),
        pd.DataFrame({"step": range(900), "loss": np.linspace(3, 1, 900)}).to_csv(index=False, sep=";", decimal=","),
        pd.DataFrame({"a": range(900), "loss": np.linspace(3, 1, 900)}).to_csv(index=False, sep=" "),
        "".join(f"{i}\t{i / 7}\r\n" for i in range(900)),
    ],
    ids=["hostile", "booleans", "decimal comma", "blanks", "headerless"],
)
def test_the_fast_way_gives_what_the_slow_way_gives(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read(text)
    monkeypatch.setattr(delimited, "BIG_BYTES", 1 << 40)
    slow = read(text)
    assert (fast.format, fast.config, fast.notes) == (slow.format, slow.config, slow.notes)
    assert [curve.name for curve in fast.curves] == [curve.name for curve in slow.curves]
    for one, other in zip(fast.curves, slow.curves, strict=True):
        np.testing.assert_array_equal(one.step, other.step)
        np.testing.assert_array_equal(one.line, other.line)
        np.testing.assert_allclose(one.value, other.value, rtol=1e-13)
        assert one.restarts == other.restarts


def test_the_fast_way_is_really_taken(always_big: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited.TableReader, "_feed_lines", None)
    run = read("step,loss\n" + "".join(f"{i},{i / 2}\n" for i in range(500)))
    assert points(run, "loss") == [(i, i / 2) for i in range(500)]


WHOLE = 'step,epoch,loss,"val, loss"\n0,0,1.5,\n1,0,nan,"1,000.5"\n2,1,-inf,"a\nb"\n3,1,0.5,0.25\n'


@pytest.mark.parametrize("big", [False, True])
def test_a_file_cut_anywhere_is_read_up_to_the_cut(big: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BIG_BYTES", 0 if big else 1 << 40)
    full = points(read(WHOLE), "loss")
    for cut in range(WHOLE.index("\n") + 1, len(WHOLE)):
        run = read(WHOLE[:cut])
        got = points(run, "loss") if run.curves else []
        np.testing.assert_equal(got, full[: len(got)])
    for cut in range(WHOLE.index("\n")):
        try:
            assert read(WHOLE[:cut]).curves == ()
        except SourceError:
            continue


BITS = st.sampled_from(
    [
        "step",
        "loss",
        ",",
        ";",
        "\t",
        "|",
        " ",
        "\n",
        "\r",
        '"',
        "#",
        "\0",
        "0",
        "1.5",
        "-",
        "nan",
        "inf",
        "1e400",
        "é",
        "1,5",
    ]
)


@given(st.one_of(st.binary(max_size=300), st.lists(BITS, max_size=60).map(lambda bits: "".join(bits).encode())))
@settings(deadline=None, max_examples=300)
@example(b'step,loss\n1,"2\n3,4')
@example(b"step\nstep\nstep")
@example(b"\xff\xfe1\x002\x00")
def test_no_bytes_raise_anything_but_a_source_error(data: bytes) -> None:
    for big in (0, 1 << 40):
        made = source(data)
        assert 0.0 <= delimited.sniff(made) <= 0.8
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delimited, "BIG_BYTES", big)
            try:
                (run,) = delimited.read([made], ReadOptions())
            except SourceError:
                continue
            for curve in run.curves:
                assert len(curve.step) == len(curve.value) > 0


def test_files_of_nothing_but_headers_are_read_in_time() -> None:
    run = read("step,loss\n0,1\n1,2\n" + "step,lr\n2,3\nstep,loss\n3,4\n" * 300)
    assert any(note.startswith("100 times a new header") for note in run.notes)


def test_a_wide_or_endless_line_does_no_harm() -> None:
    wide = ",".join(f"m{i}" for i in range(5000)) + "\n" + ",".join("1" for _ in range(5000)) + "\n"
    endless = "step,loss\n0,1\n1,2\n" + "9" * (3 << 20) + "\n3,4\n"
    with pytest.raises(SourceError):
        read(wide)
    assert (0, 1) in points(read(endless), "loss")
