"""The table of tensors as data: ratios, flags, order, and which rows are asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from convergence_cli.model import Finding, Where
from convergence_cli.tensor_stats import KINDS, TensorRow, stats_of
from convergence_cli.tensor_table import COLUMNS, View, table_of, viewed

FC1 = TensorRow(0, "weight", "fc1.weight", "fc1", 0, count=8, nan=0, inf=0, zero=2, l2=2.0, mean=0.5)
ROWS = [
    replace(row, step=step, change=0.4 if step else math.nan, change_steps=10.0 if step else math.nan)
    for step in (0.0, 10.0, 20.0)
    for row in (
        FC1,
        replace(FC1, kind="gradient", order=1, l2=0.1 * step),
        replace(FC1, name="fc2.weight", layer="fc2", order=2, l2=math.inf if step == 20 else 1.0),
        replace(FC1, kind="activation", name="relu", layer="relu", order=3, l2=math.nan, dead=0.25),
    )
]
TABLE = table_of(stats_of(ROWS))


def fired(code: str, **where: str) -> Finding:
    return Finding(code, "name", "error", 0.9, "Message.", Where(**where))


def titles(view: View) -> list[tuple[float, str, str]]:
    return [(line.step, line.kind, line.name) for line in viewed(TABLE, view).rows]


def test_rows_come_layer_by_layer_then_tensor_by_tensor_then_step_by_step() -> None:
    order = [("weight", "fc1.weight"), ("gradient", "fc1.weight"), ("weight", "fc2.weight"), ("activation", "relu")]
    assert titles(View(steps="all")) == [(step, *tensor) for tensor in order for step in (0.0, 10.0, 20.0)]
    assert TABLE.total == 12


def test_an_alphabetical_dump_is_put_into_the_order_of_its_numbers() -> None:
    names = ["h.10.w", "h.2.w", "h.1.w", "a" + "9" * 5000]
    rows = [replace(FC1, name=name, layer=name[:-2], order=order) for order, name in enumerate(names)]
    stats = stats_of(rows)
    assert [line.name for line in table_of(stats).rows] == names
    assert [line.name for line in table_of(replace(stats, trusted_order=False)).rows][1:] == [
        "h.1.w",
        "h.2.w",
        "h.10.w",
    ]


def test_unknown_is_none_and_infinite_stays() -> None:
    last = {(line.kind, line.name): line for line in viewed(TABLE, View()).rows}
    assert last["activation", "relu"].norm is None
    assert last["weight", "fc2.weight"].norm == math.inf
    assert last["weight", "fc1.weight"].zero == 0.25
    empty = table_of(stats_of([TensorRow(0, "weight", "w", count=0, zero=0)])).rows[0]
    assert (empty.zero, empty.mean, empty.update_ratio) == (None, None, None)


def test_update_ratio_is_the_change_per_step_over_the_norm_of_weights() -> None:
    by_step = {
        line.step: line.update_ratio for line in TABLE.rows if (line.kind, line.name) == ("weight", "fc1.weight")
    }
    assert by_step == {0.0: None, 10.0: pytest.approx(0.4 / (2.0 * 10)), 20.0: pytest.approx(0.02)}
    assert {line.update_ratio for line in TABLE.rows if line.kind == "gradient"} == {None}


def test_an_update_is_compared_with_its_weight_of_the_same_step_and_worker() -> None:
    rows = [FC1, replace(FC1, kind="update", l2=0.01), replace(FC1, kind="update", l2=0.01, worker="1")]
    ratios = {line.worker: line.update_ratio for line in table_of(stats_of(rows)).rows if line.kind == "update"}
    assert ratios == {"": pytest.approx(0.005), "1": None}


@pytest.mark.parametrize(
    ("finding", "flagged"),
    [
        (fired("GR101", layer="fc1"), {("gradient", "fc1.weight")}),
        (fired("WT101", layer="fc1"), {("weight", "fc1.weight")}),
        (fired("TE101", layer="fc1"), {("weight", "fc1.weight"), ("gradient", "fc1.weight")}),
        (fired("AC101", layer="fc1"), {("weight", "fc1.weight"), ("gradient", "fc1.weight")}),
        (fired("TE101", series="gradient/fc1.weight", layer="fc1"), {("gradient", "fc1.weight")}),
        (fired("WT101", series="fc1.weight"), {("weight", "fc1.weight")}),
        (fired("TE101", series="loss", layer="relu"), {("activation", "relu")}),
        (fired("DA101", series="y"), set()),
        (fired("DA101"), set()),
    ],
)
def test_flags_stand_with_the_tensors_that_a_finding_speaks_of_at_every_step(
    finding: Finding, flagged: set[tuple[str, str]]
) -> None:
    lines = table_of(stats_of(ROWS), [finding, finding]).rows
    assert {(line.kind, line.name) for line in lines if line.flags} == flagged
    assert all(line.flags == (finding.rule,) for line in lines if (line.kind, line.name) in flagged)


@pytest.mark.parametrize(
    ("view", "steps"),
    [
        (View(), [20.0]),
        (View(steps="first"), [0.0]),
        (View(steps="all"), [0.0, 10.0, 20.0]),
        (View(steps=(10.0, 10.0)), [10.0]),
        (View(steps=(5.0, math.inf)), [10.0, 20.0]),
        (View(steps=(11.0, 19.0)), []),
    ],
)
def test_steps(view: View, steps: list[float]) -> None:
    assert sorted({step for step, _, _ in titles(view)}) == steps


def test_the_last_step_is_that_of_each_tensor_and_a_later_dump_of_it_counts() -> None:
    rows = [FC1, replace(FC1, step=5.0, name="old.weight"), replace(FC1, step=9.0), replace(FC1, step=9.0, mean=7.0)]
    shown = viewed(table_of(stats_of(rows)), View()).rows
    assert {(line.name, line.step, line.mean) for line in shown} == {("fc1.weight", 9.0, 7.0), ("old.weight", 5.0, 0.5)}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("fc1", {"fc1.weight"}),
        ("fc*", {"fc1.weight", "fc2.weight"}),
        ("fc2.weight", {"fc2.weight"}),
        ("activation/*", {"relu"}),
        ("FC1", set()),
        ("[", set()),
    ],
)
def test_layers_are_globs_for_layer_name_or_kind_and_name(pattern: str, names: set[str]) -> None:
    assert {name for _, _, name in titles(View(layers=(pattern,)))} == names


def test_a_name_with_brackets_finds_itself() -> None:
    table = table_of(stats_of([replace(FC1, name="blocks[0].w", layer="blocks[0]")]))
    assert len(viewed(table, View(layers=("blocks[0]",))).rows) == 1


def test_kinds_and_limit() -> None:
    assert [kind for _, kind, _ in titles(View(kinds=("gradient", "activation")))] == ["gradient", "activation"]
    assert len(titles(View(steps="all", limit=5))) == 5
    assert viewed(TABLE, View(limit=1)).total == 12


def test_sorted_by_a_column_with_the_unknown_last_either_way() -> None:
    norms = [[line.norm for line in viewed(TABLE, View(sort="norm", descending=down)).rows] for down in (False, True)]
    assert norms == [[2.0, 2.0, math.inf, None], [math.inf, 2.0, 2.0, None]]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_can_be_sorted_by(column: str) -> None:
    rows = [*ROWS, replace(FC1, shape=(3, 2)), replace(FC1, shape=()), *(TensorRow(1, kind, "x") for kind in KINDS)]
    table = table_of(stats_of(rows), [fired("WT101", layer="fc1")])
    shown = viewed(table, View(steps="all", sort=column)).rows
    assert sorted(map(repr, shown)) == sorted(map(repr, table.rows))
