"""The losses as a chart of text.

After a wanted change, ``GOLDEN=write`` in the environment writes the files anew; read the diff.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.codec import from_data
from convergence_cli.errors import SourceError
from convergence_cli.model import SCHEMA_VERSION, Finding, Report, RunReport, Verdict, Where
from convergence_cli.reporters import Look, render
from convergence_cli.reporters._chart_marks import Piece, placed
from convergence_cli.reporters._chart_text import chart_lines
from convergence_cli.reporters._layout import cells, glyphs, painter
from convergence_cli.reporters._run_text import Page

GOLDEN = Path(__file__).parent / "golden_curves"
ESCAPE = re.compile("\x1b\\[[0-9;]*m")


def finding(rule: str, step: float | None, severity: Any = "error") -> Finding:
    return Finding(rule, "a-rule", severity, 0.9, "Something.", Where(first_step=step))


def run_with(
    curves: Any, findings: tuple[Finding, ...] = (), since: float | None = None, best: float | None = None, **more: Any
) -> RunReport:
    verdict = Verdict("converging", 0.9, "converged", "It fell.", None, since, best)
    return RunReport("a run", "a.csv", "csv", {"x": "step", **more, "curves": curves}, verdict, findings)


def points(values: list[float | None], first: int = 0, apart: int = 1) -> dict[str, Any]:
    steps = [float(first + apart * number) for number in range(len(values))]
    return {"step": steps, "low": values, "high": values, "mean": values, "points": len(values)}


def buckets(means: list[float], spread: float) -> dict[str, Any]:
    steps = [float(10 * number + 9) for number in range(len(means))]
    highs = [mean * (1 + spread * (1 + math.sin(7 * number)) / 2) for number, mean in enumerate(means)]
    lows = [mean / (1 + spread * (1 + math.cos(5 * number)) / 2) for number, mean in enumerate(means)]
    return {"step": steps, "low": lows, "high": highs, "mean": means, "points": 10 * len(means)}


def overfitting(unit: str = "epoch") -> RunReport:
    train = points([2.3 * 0.94**epoch for epoch in range(60)])
    val = points([0.8 + 1.4 * 0.8**epoch + 0.006 * epoch for epoch in range(60)])
    found = (finding("GN101", 20.0), finding("LC107", 52.0, "note"))
    return run_with({"train_loss": train, "val_loss": val}, found, 20.0, 15.0, x=unit)


def breaking() -> RunReport:
    """Long enough for buckets, noisy, with a spike, then a peak that no axis can show, then NaN."""
    means: list[Any] = [1.5 + 3 * 0.96**number for number in range(300)]
    train = buckets(means, 0.3)
    train["high"][150] = 6.0
    train["high"][299] = train["mean"][299] = 3e15
    for key in ("low", "high", "mean"):
        train[key] += [None] * 100
    train["step"] += [3009.0 + 10 * number for number in range(100)]
    train["nonfinite"] = [[3004.0, 3999.0, 996]]
    val = points([1.6 + 2 * 0.8**number for number in range(30)], 100, 100)
    found = (finding("LC001", 3004.0), finding("LC102", 1500.0, "note"), finding("LR001", 2400.0, "warning"))
    return run_with({"train_loss": train, "val_loss": val}, found, 3004.0, 2900.0, first_step=0.0)


def chart(run: RunReport, width: int = 80, *, unicode: bool = True, color: bool = False) -> list[str]:
    look = Look(width=width, unicode=unicode, color=color, curves=True)
    return list(chart_lines(run, Page(look, glyphs(look), painter(look))))


CASES: dict[str, tuple[RunReport, dict[str, Any]]] = {
    "overfitting-80": (overfitting(), {}),
    "overfitting-120": (overfitting(), {"width": 120}),
    "overfitting-40": (overfitting(), {"width": 40}),
    "overfitting-80-ascii": (overfitting(), {"unicode": False}),
    "breaking-80": (breaking(), {}),
    "breaking-80-color": (breaking(), {"color": True}),
    "breaking-60-ascii": (breaking(), {"width": 60, "unicode": False}),
    "one-point": (run_with({"train_loss": points([2.5])}, x="epoch"), {}),
    "two-points": (run_with({"train_loss": points([2.5, 2.0], 1), "val_loss": points([2.1], 2)}, x="epoch"), {}),
    "constant": (run_with({"train_loss": points([0.6931] * 50)}, (finding("LC103", 0.0),)), {}),
    "nothing-finite": (run_with({"train_loss": points([None] * 9)}, (finding("LC001", 0.0),), 0.0), {}),
    "a-gap": (run_with({"train_loss": points([3.0, 2.5, None, None, 1.5, 1.0, 0.8])}), {"width": 60}),
    "extremes": (run_with({"train_loss": points([-1e308, 0.0, 1e308])}), {"width": 60}),
    "falling-below-zero": (run_with({"val_loss": points([5.0 - number / 4 for number in range(60)])}), {}),
    "huge-range": (run_with({"train_loss": points([10.0 ** (number // 2) for number in range(100)])}), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_charts_are_exactly_as_before(case: str) -> None:
    run, look = CASES[case]
    shown = "\n".join(chart(run, **look)) + "\n"
    if os.environ.get("GOLDEN") == "write":
        (GOLDEN / f"{case}.txt").write_text(shown, encoding="utf-8")
    assert shown == (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def test_colour_changes_nothing_but_colour() -> None:
    for run, look in CASES.values():
        plain, colored = (chart(run, **{**look, "color": color}) for color in (False, True))
        assert [ESCAPE.sub("", line) for line in colored] == plain


def test_a_chart_takes_the_place_of_the_sparklines_where_it_is_asked_for(diverging: RunReport) -> None:
    report = Report((diverging,))
    plain = render(report, "text", Look(width=80))
    drawn = render(report, "text", Look(width=80, curves=True))
    assert "▁" in plain
    assert "┤" not in plain
    assert "┤" in drawn
    assert "▁" not in drawn
    assert next(line for line in plain.splitlines() if "LC001" in line) in drawn
    quiet = render(report, "text", Look(width=80, detail=-1, curves=True))
    assert "┤" in quiet
    assert "What to change" in drawn
    assert "What to change" not in quiet


def test_where_there_is_no_room_or_no_loss_the_report_is_as_without_a_chart(diverging: RunReport) -> None:
    for run, width in ((diverging, 18), (run_with({}), 80), (run_with({"accuracy": points([1.0])}), 80)):
        report = Report((run,))
        assert render(report, "text", Look(width=width, curves=True)) == render(report, "text", Look(width=width))


def test_a_restart_is_no_line_back_across_the_chart() -> None:
    curve = points([4.0] * 20 + [1.0] * 20)
    curve["step"] = [*map(float, range(100, 120)), *map(float, range(20))]
    top, *between, foot = [line for line in chart(run_with({"train_loss": curve})) if "│" in line or "┤" in line]
    assert all(not line.split("│")[-1].split("┤")[-1].strip() for line in between)
    assert len(top) > len(foot.rstrip(" t"))


def test_steps_that_no_axis_of_the_losses_has_are_not_marked() -> None:
    curves = {"train_loss": points([2.0, 1.0, 0.5], 0, 50)}
    found = (finding("GR101", 4000.0), finding("GR102", -300.0), finding("LC101", 101.0), finding("LC102", math.nan))
    shown = "\n".join(chart(run_with(curves, found, math.inf, None)))
    assert re.findall(r"[A-Z]{2}\d{3}|since|best", shown) == ["LC101"]


def carets(*pairs: tuple[int, str]) -> list[Piece]:
    return [Piece(column, name, "") for column, name in pairs]


def text_of(pieces: list[Piece]) -> str:
    line = ""
    for piece in pieces:
        line += " " * (piece.column - cells(line)) + piece.text
    return line


@pytest.mark.parametrize(
    ("marks", "lines"),
    [
        ([(10, "best"), (30, "LC001")], ["          ^                   ^", "        best                LC001"]),
        ([(10, "since"), (10, "LC001")], ["          ^", "     since LC001"]),
        ([(0, "since"), (39, "LC001")], ["^                                      ^", "since" + " " * 30 + "LC001"]),
        ([(10, "LC001"), (12, "LC001")], ["          ^ ^", "         LC001"]),
        # Nine names in the same place: the later ones would stand too far from it.
        ([(20, f"LC00{n}") for n in range(9)], [" " * 20 + "^", "         LC000 LC001 LC002 LC003"]),
    ],
)
def test_names_stand_under_their_marks(marks: list[tuple[int, str]], lines: list[str]) -> None:
    assert [text_of(pieces) for pieces in placed(carets(*marks), 40)] == lines


@given(
    st.lists(st.tuples(st.integers(-5, 70), st.text(st.sampled_from("ab1世"), min_size=1, max_size=12)), max_size=20),
    st.integers(10, 60),
)
@settings(deadline=None)
def test_names_never_overlap_and_the_first_mark_that_fits_is_kept(marks: list[tuple[int, str]], room: int) -> None:
    marked, names = placed(carets(*marks), room)
    end = 0
    for name in names:
        assert name.column >= end + (1 if end else 0)
        end = name.end
    assert end <= room
    assert len({one.column for one in marked}) == len(marked)
    fitting = [column for column, name in marks if 0 <= column < room and cells(name) <= room]
    if fitting:
        assert fitting[0] in {one.column for one in marked}


NUMBER = st.none() | st.floats() | st.integers(-(10**400), 10**400) | st.booleans() | st.text(max_size=3)
SOUND = st.none() | st.floats(allow_nan=False, allow_infinity=False)


def a_curve(number: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"mean": st.lists(number, max_size=30) | st.lists(SOUND, max_size=300)},
        optional={
            **{key: st.lists(number | SOUND, max_size=30) for key in ("step", "low", "high")},
            "nonfinite": st.lists(st.lists(number, max_size=4) | number, max_size=4) | number,
            "restarts": st.lists(
                st.dictionaries(st.sampled_from(["bucket", "from", "to"]), number) | number, max_size=3
            ),
            "points": number,
        },
    )


CURVE, SAVED = a_curve(NUMBER), a_curve(SOUND | st.booleans() | st.text(max_size=3))
ANY = st.recursive(NUMBER, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))
CURVES = st.dictionaries(st.sampled_from(["train_loss", "val_loss", "accuracy"]), CURVE | ANY) | ANY
TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(["\x1b[2J", "世界世界世界", "é" * 20, "step"])
FOUND = st.lists(st.tuples(TEXT, st.floats() | st.none()), max_size=6)


@given(CURVES, TEXT, FOUND, st.floats() | st.none(), st.integers(5, 130), st.booleans())
@settings(deadline=None, max_examples=400)
def test_whatever_a_summary_holds_the_chart_fits_and_is_clean(
    curves: Any, counted_in: str, found: list[tuple[str, float | None]], step: float | None, width: int, unicode: bool
) -> None:
    findings = tuple(finding(rule, at) for rule, at in found)
    run = run_with(curves, findings, step, step, x=counted_in, first_step=step)
    for line in chart(run, width, unicode=unicode):
        assert cells(line) <= max(width, 18)
        assert line.isprintable()


@given(st.dictionaries(st.sampled_from(["train_loss", "val_loss"]), SAVED), st.integers(40, 130), st.booleans())
@settings(deadline=None, max_examples=100)
def test_a_saved_report_of_others_is_drawn_or_refused(curves: Any, width: int, unicode: bool) -> None:
    data = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "x", "version": "1"},
        "errors": [],
        "runs": [
            {"name": "世" * 30, "path": "p", "format": "csv", "summary": {"curves": curves}}
            | {key: [] for key in ("findings", "causes", "remedies", "skipped", "notes")}
            | {"verdict": {"label": "stuck", "confidence": 0.5, "state": "s", "reason": "r"}}
        ],
    }
    try:
        report = from_data(data, "saved.json")
    except SourceError:
        return
    shown = render(report, "text", Look(width=width, unicode=unicode, curves=True))
    assert all(cells(line) <= width and line.isprintable() for line in shown.split("\n"))
    assert unicode or shown.isascii()


@given(
    st.lists(st.floats(0.5, 2.0), min_size=2, max_size=400),
    st.dictionaries(st.integers(0, 399), st.floats(3.0, 1e300), min_size=1, max_size=3),
    st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_the_highest_spike_reaches_the_top_whatever_its_width(
    means: list[float], spikes: dict[int, float], unicode: bool
) -> None:
    highs = means.copy()
    for at, high in spikes.items():
        highs[at % len(means)] = high
    curve = points(list(means)) | {"high": highs}
    lines = chart(run_with({"train_loss": curve}), unicode=unicode)
    foot = next(at for at, line in enumerate(lines) if re.match(" +└| +[+][-+]{20}", line))
    left = len(lines[foot]) - len(lines[foot].lstrip()) + 1
    columns = len(lines[foot]) - left
    top = lines[foot - 10][left:]
    drawn = {column for column, char in enumerate(top) if char not in " t"}
    for at, high in enumerate(highs):
        if high == max(highs):
            column = round(at / (len(means) - 1) * (columns - 1))
            # A bucket is drawn in the middle of those that share its column.
            assert drawn & {column + off for off in range(-2, 3)}
