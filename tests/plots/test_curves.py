"""Pictures of curves: what the log holds and what the report says is in the figure, at its place."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from convergence_cli import codec
from convergence_cli.errors import UsageError
from convergence_cli.model import Curve, Report, Run, RunReport
from convergence_cli.pipeline import diagnose, read_run
from convergence_cli.plots.door import Wanted, encode, plot_report, plot_run
from convergence_cli.plots.missing import NotDrawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FIXTURES = Path(__file__).parents[2] / "fixtures"
DEAD = str(FIXTURES / "tensors" / "dead-relu")
HOSTILE = "loss$_{\\alpha}$ <b>\u202e\x1b[2J\n"


def run_of(values: Any, *, step: Any = None, role: str = "train_loss", name: str = "loss", **more: Any) -> Run:
    value = np.asarray(values, dtype=np.float64)
    steps = np.arange(len(value), dtype=np.float64) if step is None else np.asarray(step, dtype=np.float64)
    return Run(name, "x.csv", "csv", (Curve(name, steps, value, role, **more),))


def axes_of(figure: Figure, gid: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_gid() == gid)


def lines_of(axes: Axes, gid: str) -> list[Line2D]:
    return [line for line in axes.get_lines() if line.get_gid() == gid]


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def headline(figure: Figure) -> dict[str, str]:
    return {str(text.get_gid()): text.get_text() for text in figure.texts}


def x_of(line: Line2D) -> list[float]:
    return [float(at) for at in np.asarray(line.get_xdata())]


def test_a_diverging_run_with_all_that_is_said_of_it() -> None:
    report = diagnose(str(FIXTURES / "tensors" / "dead-relu"))
    figure = plot_report(report)
    main = axes_of(figure, "main")
    assert len(lines_of(main, "line-train_loss")) == len(lines_of(main, "line-val_loss")) == 1
    assert main.get_yscale() == "log"
    assert headline(figure)["headline"].startswith("Diverging, ")
    assert headline(figure)["headline"].endswith(f"since step {report.verdict.since_step:g}")
    assert x_of(lines_of(main, "since")[0])[0] == report.verdict.since_step
    assert x_of(lines_of(main, "best")[0]) == [report.summary["best"]["step"]]
    train, val = lines_of(main, "line-train_loss")[0], lines_of(main, "line-val_loss")[0]
    assert train.get_linestyle() != val.get_linestyle()
    assert train.get_color() != val.get_color()
    assert {axes.get_gid() for axes in figure.axes} >= {"panel-learning_rate", "panel-grad_norm", "lanes"}
    assert legend_of(main)[:2] == ["train_loss", "val_loss"]


def test_findings_have_bars_at_their_steps() -> None:
    report = diagnose(str(FIXTURES / "tensors" / "dead-relu"))
    lanes = axes_of(plot_report(report), "lanes")
    found = {one.rule: one for one in report.findings if one.where.first_step is not None}
    bars = [line for line in lanes.get_lines() if str(line.get_gid()).startswith("finding-")]
    assert bars
    for bar in bars:
        finding = found[str(bar.get_gid()).removeprefix("finding-")]
        first, last = x_of(bar)
        assert first == finding.where.first_step
        # What is open ends where the log does, not at the edge of the picture.
        assert last == (finding.where.last_step or 300)
        assert last < lanes.get_xlim()[1]
    words = " ".join(text.get_text() for text in lanes.texts)
    assert all(str(bar.get_gid()).removeprefix("finding-") in words for bar in bars)


def test_one_spike_in_two_hundred_thousand_points_is_drawn() -> None:
    value = 0.5 + 0.01 * np.random.default_rng(0).standard_normal(200_000)
    value[123_456] = 9.0
    figure = plot_run(run_of(value))
    main = axes_of(figure, "main")
    heights = [np.asarray(path.vertices)[:, 1].max() for band in main.collections for path in band.get_paths()]
    cut = lines_of(main, "cut-train_loss")
    assert max(heights, default=0.0) == 9.0
    if main.get_ylim()[1] < 9.0:
        assert cut
        assert "up to 9" in " ".join(legend_of(main))
        assert abs(x_of(cut[0])[0] - 123_456) < 1000


def test_what_is_not_finite_is_marked_where_it_is() -> None:
    value = np.exp(-np.arange(300) / 60)
    value[200:] = math.nan
    main = axes_of(plot_run(run_of(value)), "main")
    assert x_of(lines_of(main, "nonfinite")[0]) == [200.0]
    assert "NaN or infinite (100)" in legend_of(main)


def test_a_restart_breaks_the_line_and_is_marked() -> None:
    step = [*range(100), *range(60, 160)]
    value = np.linspace(2, 1, 200)
    main = axes_of(plot_run(run_of(value, step=step, restarts=(100,))), "main")
    line = lines_of(main, "line-train_loss")[0]
    assert np.isnan(np.asarray(line.get_ydata(), dtype=float)).sum() == 1
    assert [x_of(one)[0] for one in lines_of(main, "restart")] == [60.0]
    assert "step goes back (1)" in legend_of(main)


def test_an_old_report_without_the_newer_keys_is_drawn() -> None:
    report = diagnose(run_of([3.0, 2.0, math.nan, 1.0] * 20))
    curve = {key: item for key, item in report.summary["curves"]["train_loss"].items() if key in ("step", "mean")}
    old = replace(report, summary={"curves": {"train_loss": curve}})
    assert lines_of(axes_of(plot_report(old), "main"), "nonfinite")


def test_a_saved_report_gives_the_same_picture() -> None:
    report = diagnose(str(FIXTURES / "tensors" / "healthy-digits"))
    data = json.loads(json.dumps(codec.to_data(Report((report,)))))
    saved = codec.from_data(data, "x.json").runs[0]
    for kind in ("curves", "gradients", "updates", "histograms"):
        assert encode([plot_report(saved, kind)], "svg") == encode([plot_report(report, kind)], "svg")


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_the_same_run_gives_the_same_bytes(format: str) -> None:
    report = diagnose(run_of(np.exp(-np.arange(500) / 90), name=HOSTILE))
    first, second = (encode([plot_report(report, width=80)], format) for _ in range(2))
    assert first == second
    if format == "png":
        Image.open(io.BytesIO(first)).verify()


def test_hostile_names_are_text() -> None:
    figure = plot_run(replace(run_of(np.linspace(2, 1, 50), name=HOSTILE), name=HOSTILE))
    encode([figure], "png")
    label = legend_of(axes_of(figure, "main"))[0]
    assert label.startswith("loss$_{\\alpha}$ <b>\\u202e\\x1b[2J")
    assert not any(text.get_parse_math() for text in axes_of(figure, "main").get_legend().get_texts())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "summary",
    [
        {"curves": {"train_loss": {"mean": [1e308, -1e308, 1e308], "step": [1, "x", None]}}},
        {"curves": {"train_loss": {"mean": [None, None]}}, "x": "\x1b"},
        {"curves": {"a" * 500: {"mean": [0.0], "nonfinite": "x", "restarts": [{"bucket": 0, "from": 5, "to": 1}]}}},
        {"curves": {"train_loss": {"mean": [1.0, 1.0, 1.0]}}, "best": {"series": "train_loss", "step": 1, "value": 1}},
        {"curves": {"train_loss": {"mean": [1e-320, 1e-310, 5.0], "low": [1], "high": "no"}}},
    ],
)
def test_no_summary_breaks_the_picture(summary: dict[str, Any]) -> None:
    report = replace(diagnose(run_of([1.0, 0.5, 0.2])), summary=summary)
    for width in (80, 180):
        assert encode([plot_report(report, width=width)], "png")


def test_a_run_without_curves_says_what_is_missing() -> None:
    report = RunReport("x", "x", "csv", {}, diagnose(run_of([1.0])).verdict)
    for kind, word in (
        ("curves", "curve"),
        ("gradients", "gradients"),
        ("updates", "weights"),
        ("histograms", "spread"),
    ):
        with pytest.raises(NotDrawn, match=word):
            plot_report(report, kind)
    with pytest.raises(NotDrawn, match="Plot the run itself"):
        plot_report(report, "latent")
    with pytest.raises(UsageError, match="not a kind"):
        plot_report(report, "pie")


def test_some_steps_are_drawn_in_full() -> None:
    value = np.exp(-np.arange(10_000) / 2000)
    run = run_of(value)
    figure = plot_run(run, "curves", Wanted(first=2000, last=2300))
    line = lines_of(axes_of(figure, "main"), "line-train_loss")[0]
    assert x_of(line) == list(np.arange(2000.0, 2301.0))
    assert headline(figure)["headline"] == headline(plot_run(run))["headline"]
    with pytest.raises(NotDrawn, match=r"No point was logged from step 20000 on\. The log goes from 0 to 9999\."):
        plot_run(run, "curves", Wanted(first=20_000))


def test_some_steps_of_buckets_keep_their_restart() -> None:
    run = read_run(str(FIXTURES / "text" / "resumed-with-overlap"))
    main = axes_of(plot_run(run, "curves", Wanted(first=200, last=500)), "main")
    assert lines_of(main, "restart")
    low, high = main.get_xlim()
    assert 190 < low < high < 510


def test_findings_that_have_no_line_are_counted() -> None:
    report = diagnose(DEAD)
    lanes = axes_of(plot_report(report), "lanes")
    bars = [line for line in lanes.get_lines() if str(line.get_gid()).startswith("finding-")]
    assert lanes.texts[-1].get_text() == f"and {len(report.findings) - len(bars)} more"
    few = replace(report, findings=report.findings[:2])
    assert len(axes_of(plot_report(few), "lanes").texts) == 2


def test_one_step_is_a_sound_picture(recwarn: pytest.WarningsRecorder) -> None:
    figure = plot_run(read_run(DEAD), "curves", Wanted(first=7, last=7))
    assert encode([figure], "png")
    assert not recwarn.list
    main, lanes = axes_of(figure, "main"), axes_of(figure, "lanes")
    assert not [*lines_of(main, "since"), *lines_of(main, "best"), *lanes.get_lines()]
    assert not [patch for patch in main.patches if patch.get_gid() == "verdict"]
    assert [text.get_text() for text in lanes.texts] == ["14 findings at other steps"]
    assert [label.get_text() for label in lanes.get_xticklabels()] == ["7"]
    # The titles of the small panels stand below the ticks of the large one.
    (panel,) = [axes for axes in figure.axes if axes.get_gid() == "panel-learning_rate"]
    box = panel.get_tightbbox()
    assert box is not None
    assert box.y1 < min(label.get_window_extent().y0 for label in lanes.get_xticklabels())


def test_one_step_of_many_findings_has_them_all_along() -> None:
    figure = plot_run(read_run(DEAD), "curves", Wanted(first=200, last=200))
    lanes = axes_of(figure, "lanes")
    bars = [x_of(line) for line in lanes.get_lines() if str(line.get_gid()).startswith("finding-")]
    assert bars
    assert all(bar == list(lanes.get_xlim()) for bar in bars)
    assert lanes.texts[-1].get_text() == "and 9 more, 2 of them at other steps"


def test_findings_of_dumps_after_the_last_logged_step_have_their_place() -> None:
    report = diagnose(DEAD)
    late = replace(report.findings[0], where=replace(report.findings[0].where, first_step=310.0, last_step=320.0))
    lanes = axes_of(plot_report(replace(report, findings=(late,))), "lanes")
    assert x_of(lanes.get_lines()[0]) == [310.0, 320.0]
    far = replace(late, where=replace(late.where, first_step=9e5, last_step=None))
    lanes = axes_of(plot_report(replace(report, findings=(far,))), "lanes")
    assert lanes.get_xlim()[1] < 310
    assert [text.get_text() for text in lanes.texts] == ["1 finding at other steps"]


def test_shade_begins_where_the_title_says() -> None:
    report = diagnose(DEAD)
    early = replace(report.findings[1], where=replace(report.findings[1].where, first_step=20.0))
    main = axes_of(plot_report(replace(report, findings=(*report.findings, early))), "main")
    (shade,) = [patch for patch in main.patches if patch.get_alpha() == 0.1]
    assert shade.get_x() == report.verdict.since_step  # type: ignore[attr-defined]
    assert shade.get_x() + shade.get_width() == 300  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.7e308, -1.7e308] * 30, "linear"), (np.geomspace(1.0, 1.7e308, 60), "log"), ([1.7e308] * 20, "linear")],
)
def test_the_extremes_of_a_float_keep_their_height(values: Any, scale: str) -> None:
    figure = plot_run(run_of(values))
    assert encode([figure], "png")
    main = axes_of(figure, "main")
    assert main.get_yscale() == scale
    drawn = np.asarray(lines_of(main, "line-train_loss")[0].get_ydata(), dtype=float)
    assert np.nanmax(drawn) == pytest.approx(1.7e298, rel=1e-4)
    assert drawn == pytest.approx(np.asarray(values) / 1e10, rel=1e-4)
    low, high = main.get_ylim()
    written = {label.get_text() for label in main.get_yticklabels() if low <= label.get_position()[1] <= high}
    assert any("10³⁰" in label or "10²" in label for label in written)
    assert not any("²⁹⁸" in label for label in written)
