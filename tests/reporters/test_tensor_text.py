"""The table of tensors in each output: exactly as before on a small dump, and never out of bounds on any."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convergence_cli
from convergence_cli.codec import from_data, to_data
from convergence_cli.model import Finding, Report, RunReport, Skipped, TensorLine, TensorTable, Verdict, Where
from convergence_cli.reporters import Look, render
from convergence_cli.reporters._tensor_cells import COLUMNS, figure

GOLDEN = Path(__file__).parent / "golden_tensors"
SCHEMA = json.loads((Path(convergence_cli.__file__).parent / "report.schema.json").read_text())
STEM = "transformer.encoder."
LINES = (
    TensorLine(
        70, "weight", "conv1.weight", "conv1", "", "", "float32", (8, 1, 3, 3), 72, -0.0123, 0.2, 1.7, -0.5, 0.61, 0.0,
        0, 0, update_ratio=2.345e-3,
    ),
    TensorLine(
        70, "gradient", "conv1.weight", "conv1", "", "", "float32", (8, 1, 3, 3), 72, 1.23e-9, 4e-8, 1.9e-7, -6.4e-8,
        6.4e-8, 0.0, 0, 0, flags=("GR101",),
    ),
    TensorLine(
        70, "activation", "relu1", "relu1", "", "", "float16", (64, 8, 26, 26), 346_112, 0.001, 0.3, 508.0, 0.0, 2.5,
        0.9991, 0, 0, dead=0.875, flags=("AC101", "TE103"),
    ),
    TensorLine(
        70, "weight", "head.weight", "head", "", "", "float32", (10, 1352), 13_520, None, None, None, None, None, 0.0,
        13_000, 520,
    ),
    TensorLine(60, "output", "logits", "logits", norm=math.inf, min=-math.inf),
)  # fmt: skip
FINDINGS = (
    Finding("AC101", "dead-relu", "warning", 0.83, "88 % of relu1 are dead.", Where(layer="relu1"), {"dead": 0.875}),
    Finding(
        "GR101",
        "vanishing-gradient",
        "error",
        0.93,
        "The gradient of conv1 is 1.9e-07.",
        Where("gradient/conv1.weight", "conv1", 10.0, 70.0),
        {"ratio": 1e-6, "threshold": 1e-4},
    ),
)
RUN = RunReport(
    "mlp",
    "runs/mlp",
    "tensors",
    {
        "tensors": {
            "steps": 8, "first_step": 0.0, "last_step": 70.0, "layers": 4, "rows": 40,
            "kinds": {"weight": 2, "gradient": 1, "activation": 1, "output": 1},
        }
    },
    Verdict("undetermined", 0.0, "no-loss", "No series is a loss."),
    FINDINGS,
    skipped=(Skipped("DA101", "needs class labels in a tensor dump"),),
    notes=("steps/8.npz is cut off and is left out.",),
    passed=("GR102", "GR103"),
    tensors=TensorTable(LINES, 40),
)  # fmt: skip
REPORT = Report((RUN,), (), "0.1.0")
LONG = replace(
    RUN,
    tensors=TensorTable(
        tuple(replace(line, name=f"{STEM}layers.11.attention.{line.name}", step=70.0) for line in LINES), 40
    ),
)
CASES = {
    "text-80": (REPORT, "text", Look()),
    "text-40": (REPORT, "text", Look(width=40)),
    "text-160-verbose": (REPORT, "text", Look(width=160, detail=1)),
    "text-80-ascii-color": (REPORT, "text", Look(unicode=False, color=True)),
    "text-80-long-names": (Report((LONG,), (), ""), "text", Look()),
    **{name: (REPORT, name, Look()) for name in ("concise", "jsonl", "csv", "markdown")},
}


@pytest.mark.parametrize("case", CASES)
def test_output_is_exactly_as_before(case: str) -> None:
    report, name, look = CASES[case]
    shown = render(report, name, look)
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / f"{case}.txt").write_text(shown, encoding="utf-8")
    assert shown == (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def test_a_table_survives_the_round_trip_and_fits_the_schema() -> None:
    data = json.loads(json.dumps(to_data(REPORT), allow_nan=False))
    jsonschema.validate(data, SCHEMA)
    assert data["runs"][0]["tensors"]["rows"][4]["norm"] == "inf"
    assert from_data(data, "saved.json") == REPORT


def test_runs_without_a_table_carry_none() -> None:
    assert "tensors" not in to_data(Report((replace(RUN, tensors=None),)))["runs"][0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.00"),
        (508.2, "508"),
        (999.7, "1.00e3"),
        (0.01, "0.0100"),
        (0.00123, "0.00123"),
        (0.000999, "9.99e-4"),
        (-1.5e-9, "-1.50e-9"),
        (1.5e300, "1.50e300"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_have_three_significant_digits(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_a_row_of_csv_has_all_columns_and_no_formula() -> None:
    lines = (replace(LINES[0], name='=HYPERLINK("x")', layer="@a", mode="+1,\n2"), replace(LINES[0], mean=-1e-9))
    shown = render(Report((replace(RUN, tensors=TensorTable(lines, 2)),)), "csv")
    first, second = csv.DictReader(io.StringIO(shown))
    assert tuple(first) == ("run", *COLUMNS)
    assert (first["name"], first["layer"], first["mode"]) == ('\'=HYPERLINK("x")', "'@a", "'+1,\\x0a2")
    assert (first["shape"], first["count"], float(second["mean"])) == ("8x1x3x3", "72", -1e-9)


def test_shortened_names_still_tell_the_rows_apart() -> None:
    stems = [f"model.layers.{i}.self_attn.{part}_proj.weight" for i in range(12) for part in "qkvo"]
    lines = tuple(replace(LINES[0], name=name) for name in stems)
    shown = render(Report((replace(RUN, tensors=TensorTable(lines, 48), findings=()),)), "text").splitlines()
    rows = [line.split()[0] for line in shown if "weight" in line and "…" in line and "stands for" not in line]
    assert len(rows) == len(set(rows)) == 48


ANY_TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(
    [
        "\x1b]52;c;aGk=\x07",
        "a\n::error::b",
        "\x9b2J",
        "|`<@#x",
        "]]>",
        "\ud800",
        "=1+1",
        "a\tb",
        "神経.層.重み",
        "e\u0301" * 30,
    ]
)
NUMBER = st.none() | st.floats(allow_nan=False)
LINE = st.builds(
    TensorLine,
    st.floats(-1e12, 1e12),
    st.sampled_from(["weight", "activation"]) | ANY_TEXT,
    *[ANY_TEXT] * 5,
    st.none() | st.lists(st.integers(0, 2**63), max_size=6).map(tuple),
    *[NUMBER] * 12,
    st.lists(st.sampled_from(["GR101", "AC101", "WT101"]) | ANY_TEXT, max_size=4).map(tuple),
)


@given(st.lists(LINE, max_size=4), st.integers(40, 200), st.integers(-1, 1), st.booleans())
@settings(deadline=None, max_examples=150)
def test_no_table_is_wider_than_the_terminal_or_has_a_control_character(
    lines: list[TensorLine], width: int, detail: int, unicode: bool
) -> None:
    run = replace(RUN, tensors=TensorTable(tuple(lines), len(lines)))
    shown = render(Report((run,)), "text", Look(width=width, detail=detail, unicode=unicode))
    assert max(map(columns, shown.split("\n"))) <= width
    assert all(line.isprintable() for line in shown.split("\n"))
    assert unicode or shown.isascii()


@given(st.lists(LINE, max_size=3))
@settings(deadline=None, max_examples=60)
def test_other_formats_hold_whatever_the_names(lines: list[TensorLine]) -> None:
    report = Report((replace(RUN, tensors=TensorTable(tuple(lines), len(lines))),))
    for name in ("concise", "markdown", "csv"):
        assert all(line.replace("\t", "").isprintable() for line in render(report, name).split("\n"))
    tabs = {line.count("\t") for line in render(report, "concise").splitlines()[: len(lines)]}
    assert tabs <= {len(COLUMNS)}
    rows = list(csv.reader(io.StringIO(render(report, "csv"))))
    assert {len(row) for row in rows} == {1 + len(COLUMNS)}
    kinds = [json.loads(line, parse_constant=pytest.fail)["type"] for line in render(report, "jsonl").splitlines()]
    assert kinds.count("tensor") == len(lines)
    json.loads(render(report, "json"), parse_constant=pytest.fail)


def columns(line: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in line)
    return len(line) + wide - sum(unicodedata.combining(char) > 0 for char in line)
