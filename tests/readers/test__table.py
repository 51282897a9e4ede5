"""Layout, cells and axes of a table, apart from any file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.readers import delimited
from convergence_cli.readers._guard import ReadOptions, Source
from convergence_cli.readers._table import detect, is_header, named
from convergence_cli.readers._table_axes import axis_name, choose_axes
from convergence_cli.readers._table_cells import Column, parse_column, parse_number
from convergence_cli.readers._table_pandas import parse_block
from convergence_cli.readers._table_rows import split_columns, split_lines, split_rows


def column(*values: float | None) -> Column:
    present = np.array([value is not None for value in values])
    return Column(np.array([np.nan if v is None else v for v in values]), None if present.all() else present)


@pytest.mark.parametrize(
    ("cell", "decimal", "number"),
    [
        (" 0.5 ", ".", 0.5),
        ("'1e-3'", ".", 1e-3),
        ("0,5", ",", 0.5),
        ("1.234,5", ",", 1234.5),
        ("1,234,567", ".", 1234567.0),
        ("50 %", ".", 50.0),
        ("np.float64(0.25)", ".", 0.25),
        ("array(2., dtype=float32)", ".", 2.0),
        ("1e400", ".", math.inf),
        ("None", ".", None),
        ("--", ".", None),
    ],
)
def test_numbers(cell: str, decimal: str, number: float | None) -> None:
    assert parse_number(cell, decimal) == number


@pytest.mark.parametrize("cell", ["adam", "True", "1_000", "0,5", "[0.1, 0.2]", "1.2.3", "0x10", "12:30", "1" * 500])
def test_text(cell: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_number(cell)


@given(st.lists(st.sampled_from(["0.5", "", " ", "nan", "NA", "-inf", "x", "1_0", "tensor(1.)", "7"]), max_size=30))
@settings(deadline=None, max_examples=100)
def test_a_column_is_its_cells_one_by_one(cells: list[str]) -> None:
    got = parse_column(cells)
    there = np.ones(len(cells), dtype=bool) if got.present is None else got.present
    text = 0
    for index, cell in enumerate(cells):
        try:
            want = parse_number(cell)
        except ValueError:
            text, want = text + 1, None
        assert there[index] == (want is not None)
        if want is not None:
            np.testing.assert_equal(got.values[index], want)
    assert got.text == text


@given(st.lists(st.sampled_from(["1", "0.5", "", "nan", "inf", "NA", "x", "True", "1e400"]), min_size=2, max_size=24))
@settings(deadline=None, max_examples=60)
def test_pandas_and_the_cell_parser_agree(cells: list[str]) -> None:
    rows = [["9", cell] for cell in cells]
    block = "".join(",".join(row) + "\n" for row in rows).encode()
    got = parse_block(block, 2, ",", ".")
    assert got is not None
    want = parse_column(cells)
    for one in (got[1], want):
        assert one.count + one.text <= len(cells)
    shown = [np.where(c.present, c.values, 12345.0) if c.present is not None else c.values for c in (got[1], want)]
    np.testing.assert_array_equal(*shown)
    assert got[1].text == want.text


@pytest.mark.parametrize(
    "block",
    [
        b"1,2\n3,4,5\n",
        b"1,2\n\n3,4\n",
        b"1,2\n# x\n3,4\n",
        b"1,2\nstep,loss\n",
        b'1,"2\n3,4\n',
        b"1,\0\n2,3\n",
        b"1\xff,x\n",
    ],
)
def test_pandas_leaves_odd_blocks_to_the_slow_way(block: bytes) -> None:
    assert parse_block(block, 2, ",", ".") is None


def test_names_are_unique() -> None:
    assert named(["loss", " loss", "loss.1", "loss", "", ""]) == ("loss", "loss.2", "loss.1", "loss.3", "", "")
    names = named(["a"] * 50)
    assert len(set(names)) == 50


@pytest.mark.parametrize(
    ("cells", "header"),
    [
        (["epoch", "loss (train)", "metrics/mAP50(B)"], True),
        (["", "loss"], True),
        (["", "0", "1"], True),
        (["", "5", "7"], False),
        (["epoch", "1"], False),
        (["NA", "NA"], False),
        (["2024-01-01 12:00:00", "123 - INFO"], False),
        (["loss: 0.5", "acc: 0.1"], False),
        (['{"a"', '"b"}'], False),
    ],
)
def test_headers(cells: list[str], header: bool) -> None:
    assert is_header(cells) is header


def test_row_labels_without_a_name() -> None:
    layout = detect('"loss" "acc"\n"1" 0.5 0.1\n"2" 0.4 0.2\n', complete=True)
    assert layout is not None
    assert layout.names == ("", "loss", "acc")


def test_a_cut_last_line_does_not_decide() -> None:
    layout = detect("step,loss\n0,1\n1,2\n2", complete=False)
    assert layout is not None
    assert (layout.rows, layout.fit) == (2, 1.0)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("trainer/global_step", "global_step"),
        ("globalStep", "global_step"),
        ("_step", "step"),
        (" Wall time", "wall_time"),
    ],
)
def test_axis_names(name: str, plain: str) -> None:
    assert axis_name(name) == plain


def test_a_restart_is_no_reason_to_refuse_a_step() -> None:
    step = column(0, 1, 2, 3, 0, 1, 2, 3)
    axes = choose_axes(("step", "loss"), (step, column(*[1.0] * 8)))
    assert (axes.x, axes.step) == ("step", 0)
    resumed = choose_axes(("step", "epoch", "loss"), (step, column(0, 0, 1, 1, 0, 0, 1, 1), column(*[1.0] * 8)))
    assert (resumed.step, resumed.epoch) == (0, 1)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ((5.0,) * 6, "never changes"),
        ((0.0, 5.0, 1.0, 4.0, 2.0, 3.0), "goes up and down"),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 1.0), "mostly repeats"),
        ((0.0, None, None, None, None, 5.0), "mostly empty"),
    ],
)
def test_a_column_that_only_is_called_step(step: tuple[float | None, ...], why: str) -> None:
    axes = choose_axes(("step", "loss"), (column(*step), column(*[1.0] * 6)))
    assert (axes.x, axes.step) == ("row", None)
    assert axes.note is not None
    assert why in axes.note


def test_steps_of_sparse_rows_are_judged_where_the_fullest_series_is() -> None:
    step = column(10, 3, 20, 4, 30, 5, 40, 6)
    loss = column(1, None, 1, None, 1, None, 1, 1)
    assert choose_axes(("step", "loss"), (step, loss)).step == 0


@given(st.text(alphabet='a1,"\n\r #-|', max_size=80), st.sampled_from([",", "|", " ", ""]))
@settings(deadline=None, max_examples=150)
def test_rows_begin_on_growing_lines_and_all_lines_are_dealt_with(text: str, delimiter: str) -> None:
    lines = split_lines(text)
    rows = split_rows(lines, delimiter)
    assert rows.consumed == len(lines)
    assert rows.at == sorted(set(rows.at))
    assert len(rows.at) == len(rows.cells)


def test_columns_in_one_go_only_where_every_line_is_a_plain_row() -> None:
    assert split_columns(["1,2", "3,4"], ",", 2) == [["1", "3"], ["2", "4"]]
    for odd in ("5", "5,6,7", "# 5,6", 'a,"b"', "step,loss", "", "5,\0"):
        assert split_columns(["1,2", odd], ",", 2) is None


@pytest.mark.parametrize("big", [0, 1 << 40])
def test_quoted_cells_between_commas_may_have_a_decimal_comma(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, big: int
) -> None:
    monkeypatch.setattr(delimited, "BIG_BYTES", big)
    path = tmp_path / "log.csv"
    path.write_text('Epoch (#),loss,images\n1,"2,3","1,200"\n2,"0,95","2,400"\n')
    (run,) = delimited.read([Source(path, path.name)], ReadOptions())
    assert {curve.name: curve.value.tolist() for curve in run.curves}["loss"] == [2.3, 0.95]
    assert run.curves[0].step.tolist() == [1, 2]
    assert run.config == {"x": "epoch"}


@pytest.mark.parametrize(
    ("shown", "name"), [("Epoch (#)", "epoch"), ("Time (s)", "time"), ("trainer/Global Step", "global_step")]
)
def test_a_unit_is_no_part_of_an_axis(shown: str, name: str) -> None:
    assert axis_name(shown) == name


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["iter", "AUC:0", "Logloss:0", "AUC", "Logloss"], True),
        (["iter", "NDCG:top=10;type=Base", "Quantile:alpha=0.3:1"], True),
        (["iter", "0.5", "AUC:0"], False),
        (["iter", "0:1", "12:30:00"], False),
        (["iter", "loss: 0.5"], False),
        (["iter 5", "loss:0.5"], False),
        (["loss:0.5", "acc:0.5"], False),
    ],
)
def test_catboost_names_a_measure_with_its_settings(cells: list[str], names: bool) -> None:
    assert is_header(cells) is names


def test_one_odd_name_under_steps_does_not_cost_the_header() -> None:
    assert is_header(["step", "train_loss", "x" * 3000])
    assert is_header(["epoch", "train_loss", "a\x1bb"])
    # Prose, and rows of numbers, are no header for that.
    assert not is_header(["x" * 3000, "train_loss"])
    assert not is_header(["step", "train_loss", "1" * 300])
    assert not is_header(["step", "loss: 0.5"])
