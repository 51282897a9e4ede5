"""Pictures of the statistics of tensors: gradients, updates, histograms, confusion and importance."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.text import Text

from convergence_cli.errors import UsageError
from convergence_cli.pipeline import diagnose, read_run
from convergence_cli.plots import confusion, gradients, histograms, importance, updates
from convergence_cli.plots.door import Wanted, encode, plot_run
from convergence_cli.plots.missing import NotDrawn
from convergence_cli.reporters.page.heat import Layers
from convergence_cli.tensor_stats import Confusion, TreeFacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIXTURES = Path(__file__).parents[2] / "fixtures"
DEAD, HEALTHY = (str(FIXTURES / "tensors" / name) for name in ("dead-relu", "healthy-digits"))


def by_gid(figure: Figure, gid: str) -> list[Any]:
    found = [one for axes in figure.axes for one in (axes, *axes.get_children()) if one.get_gid() == gid]
    return list(found)


def reason_of(figure: Figure) -> str:
    return " ".join(next(text.get_text() for text in figure.texts if text.get_gid() == "reason").split())


def deep(layers: int = 40, steps: int = 30) -> Layers:
    rng = np.random.default_rng(0)
    table = 10.0 ** (-3 + rng.standard_normal((layers, steps)))
    table[2, 3] = 0.0
    rows = tuple(tuple(row) for row in table.tolist())
    names = tuple(f"h.{number}.mlp" for number in range(layers))
    found = {"gradient_norm": rows, "update_ratio": rows}
    return Layers(names, layers, tuple(map(float, range(steps))), found, frozenset({(3, 4)}))


def test_gradients_flow_in_forward_order() -> None:
    figure = plot_run(HEALTHY, "gradients")
    (profile,) = by_gid(figure, "profiles")
    assert [text.get_text() for text in profile.get_yticklabels()] == ["fc1", "fc2", "fc3"]
    assert [text.get_text() for text in profile.get_legend().get_texts()] == [
        "step 1",
        "step 121",
        "step 181",
        "step 300",
    ]
    (shown,) = by_gid(figure, "map")
    assert shown.get_images()[0].get_array().shape == (3, 6)


def test_dead_layers_are_zero_and_named_by_the_rule() -> None:
    figure = plot_run(read_run(DEAD), "gradients")
    assert by_gid(figure, "zero")
    codes = {one.rule for one in diagnose(DEAD).findings if one.rule in ("GR101", "GR102", "GR103")}
    labels = " ".join(text.get_text() for text in by_gid(figure, "profiles")[0].get_yticklabels())
    assert all(code in labels for code in codes)


@pytest.mark.parametrize("width", [80.0, 180.0])
def test_many_layers_fit(width: float) -> None:
    for draw in (gradients.figure, updates.figure):
        assert encode([draw(deep(), name="x", width=width)], "png")
    figure = gradients.figure(deep(), name="x", width=width)
    (broken,) = by_gid(figure, "NaN or infinite")
    assert broken.get_offsets().tolist() == [[4.0, 3.0]]
    assert by_gid(figure, "zero")[0].get_offsets().tolist() == [[3.0, 2.0]]


def test_updates_stand_against_what_is_healthy() -> None:
    figure = updates.figure(deep(), name="x")
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    (band,) = by_gid(figure, "healthy")
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((1e-4, 1e-2))
    assert set(by_gid(figure, "best")[0].get_ydata()) == {1e-3}
    lines = by_gid(figure, "layer")
    assert len(lines) == 8
    assert len(by_gid(figure, "other")) == 32
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "32 other layers" in words
    assert "0.mlp" in words


def test_histograms_have_a_column_a_kind() -> None:
    figure = plot_run(DEAD, "histograms")
    assert {axes.get_gid() for axes in figure.axes if axes.get_gid()} == {"weight", "gradient", "activation"}
    first = next(axes for axes in figure.axes if axes.get_gid() == "weight")
    assert len([one for one in first.collections if one.get_gid() == "band"]) == 3
    assert len([one for one in first.get_lines() if one.get_gid() == "median"]) == 1
    tensorboard = str(FIXTURES / "tensorboard" / "healthy-histograms")
    assert encode([plot_run(tensorboard, "histograms", Wanted(width=80))], "pdf")


def test_spreads_of_anybody_are_checked() -> None:
    good = {"kind": "weight", "name": "a", "steps": [1], "at": [0.1, 0.5, 0.9], "quantiles": [[-1e-9, 0, 1e9]]}
    bad = [
        None,
        7,
        {},
        {**good, "steps": []},
        {**good, "quantiles": [[1]]},
        {**good, "at": [0.1, 0.9]},
        {**good, "quantiles": "x"},
    ]
    found = list(histograms.spreads_of([*bad, good]))
    assert len(found) == 1
    assert encode([histograms.figure(found, name="x")], "png")
    assert list(histograms.spreads_of("text")) == []


def test_layers_and_steps_can_be_chosen() -> None:
    figure = plot_run(HEALTHY, "gradients", Wanted(layers=("fc[12]",), first=50, last=200))
    (profile,) = by_gid(figure, "profiles")
    assert [text.get_text() for text in profile.get_yticklabels()] == ["fc1", "fc2"]
    assert by_gid(figure, "map")[0].get_images()[0].get_array().shape == (2, 3)
    with pytest.raises(UsageError, match="There are: fc1, fc2"):
        plot_run(HEALTHY, "gradients", Wanted(layers=("nothing",)))


def test_a_confusion_shows_every_count() -> None:
    matrix = np.array([[5, 1, 0], [0, 7, 0], [2, 0, 0]])
    figure = confusion.figure(Confusion(30, "logits", matrix), name="x")
    axes = figure.axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "5", "7"]
    shares = np.asarray(axes.get_images()[0].get_array())
    assert shares.sum(axis=1) == pytest.approx([1, 1, 1])
    reason = next(text.get_text() for text in figure.texts if text.get_gid() == "reason")
    assert "80.0 % of 15 labels" in reason
    assert "2 is taken for 0 (2)" in " ".join(reason.split())
    assert encode([plot_run(HEALTHY, "confusion", Wanted(width=80))], "png")


def test_a_large_confusion_has_no_words_in_it() -> None:
    figure = confusion.figure(Confusion(1, "x", np.eye(1000, dtype=np.int64)), name="x")
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_xticks()) == 20
    assert encode([figure], "png")


def test_importance_ranks_features_and_shows_the_first_round() -> None:
    last = {f"f{number}": float(number) for number in range(40)} | {"$x$\u202e": 100.0, "nan": float("nan")}
    figure = importance.figure([TreeFacts(1, 3, {"f1": 1.0}), TreeFacts(50, 3, last)], name="x")
    axes = figure.axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[0] == "$x$\\u202e"
    assert labels[1:3] == ["f39", "f38"]
    assert len(labels) == importance.MAX_FEATURES
    assert axes.patches[0].get_width() == pytest.approx(100 * 100 / (sum(range(40)) + 100))  # type: ignore[attr-defined]
    assert encode([figure], "svg")


def test_importance_of_the_recorder_of_xgboost() -> None:
    figure = plot_run(str(FIXTURES / "recorder/xgboost-healthy"), "importance")
    (bars, marks) = figure.axes[0].get_legend_handles_labels()[0]
    assert figure.axes[0].get_yticklabels()[0].get_text() == "worst perimeter"
    widths = [patch.get_width() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert {type(bars).__name__, type(marks).__name__} == {"BarContainer", "Line2D"}
    # Only what the first tree used has a mark.
    first = np.asarray(figure.axes[0].lines[0].get_xdata(), dtype=float)
    assert np.isfinite(first).sum() == 3


@pytest.mark.parametrize(
    "kind", ["gradients", "updates", "histograms", "confusion", "importance", "latent", "saliency"]
)
def test_a_log_alone_says_how_to_record_what_is_missing(kind: str) -> None:
    with pytest.raises(NotDrawn) as caught:
        plot_run(str(FIXTURES / "text" / "healthy-epochs"), kind)
    assert caught.value.kind == kind
    assert any(word in caught.value.hint for word in ("Record", "Save"))


@pytest.mark.parametrize("kind", ["gradients", "histograms", "updates", "confusion"])
def test_a_step_that_was_not_dumped_is_told_with_those_that_were(kind: str) -> None:
    steps = "61, 121, 181, 241, 300" if kind == "updates" else "1, 61, 121, 181, 241, 300"
    with pytest.raises(NotDrawn) as caught:
        plot_run(DEAD, kind, Wanted(first=7, last=7))
    assert caught.value.message.startswith("No ")
    assert caught.value.message.endswith(" recorded at step 7.")
    assert caught.value.hint == f"Choose from steps {steps}."


def test_a_change_is_measured_against_the_dump_before_the_wanted_steps() -> None:
    (whole, *_), (one, *_) = (
        by_gid(plot_run(DEAD, "updates", part), "layer") for part in (Wanted(), Wanted(first=300, last=300))
    )
    assert list(one.get_xdata()) == [300]
    assert one.get_ydata()[-1] == whole.get_ydata()[-1]
    axes = plot_run(DEAD, "gradients", Wanted(first=100, last=200)).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["step 121", "step 181"]  # type: ignore[union-attr]


def test_of_many_dumped_steps_the_nearest_are_named(tmp_path: Path) -> None:
    (tmp_path / "tensors").mkdir()
    (tmp_path / "metrics.csv").write_text("step,loss\n" + "".join(f"{step},{9 / step}\n" for step in range(1, 99, 3)))
    arrays: dict[str, Any] = {"gradient/a.weight": np.ones((4, 4))}
    for step in range(5, 100, 5):
        np.savez(tmp_path / "tensors" / f"step_{step}.npz", **arrays)
    with pytest.raises(
        NotDrawn, match=r"up to step 3\. Choose from 19 steps between 5 and 95; the nearest are 5 and 10"
    ):
        plot_run(str(tmp_path), "gradients", Wanted(last=3))
    # The log has no point at step 50, which is nothing to a picture of tensors.
    assert plot_run(str(tmp_path), "gradients", Wanted(first=50, last=50))


def test_lines_keep_the_first_the_last_and_the_largest_and_say_how_many_they_are() -> None:
    figure = plot_run(DEAD, "gradients")
    (profile,) = by_gid(figure, "profiles")
    names = [text.get_text() for text in profile.get_legend().get_texts()]
    assert names == ["step 1", "step 61", "step 181", "step 300"]
    assert "(lines: 4 of 6 steps, that of the largest norm among them)" in reason_of(figure)
    many = deep(steps=30)
    table = [list(row) for row in many.found["gradient_norm"]]
    table[7][13] = 1e9
    peak = replace(many, found={"gradient_norm": tuple(map(tuple, table))})
    (profile,) = by_gid(gradients.figure(peak, name="x"), "profiles")
    names = [text.get_text() for text in profile.get_legend().get_texts()]
    assert {"step 0", "step 13", "step 29"} < set(names)
    assert "lines:" not in reason_of(gradients.figure(deep(steps=4), name="x"))


def test_a_logarithmic_spread_is_announced_and_its_ticks_stand_apart() -> None:
    figure = plot_run(DEAD, "histograms")
    assert "a symlog axis is logarithmic on both sides of 0, linear close to it." in reason_of(figure)
    figure.draw_without_rendering()
    for axes in by_gid(figure, "weight"):
        assert (axes.get_yscale(), axes.get_ylabel()) == ("symlog", "symlog")
        boxes = sorted((label.get_window_extent() for label in axes.get_yticklabels()), key=lambda box: box.y0)
        assert len(boxes) >= 3
        assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
    assert "symlog" not in reason_of(plot_run(HEALTHY, "histograms"))


@pytest.mark.parametrize("width", [80.0, 180.0])
def test_long_names_stay_in_their_column_and_apart(width: float) -> None:
    names = [
        f"base_model.model.transformer.encoder.layers.{number}.self_attention.{part}_projection.lora_adapter"
        for number in range(3)
        for part in ("query", "value")
    ]
    table = np.sort(np.random.default_rng(0).standard_normal((3, 7)), axis=1)
    at = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    spreads = [histograms.Spread(kind, name, np.arange(3.0), at, table) for kind in histograms.KINDS for name in names]
    figure = histograms.figure(spreads, name="x", width=width)
    figure.draw_without_rendering()
    found = [(axes, text) for axes in figure.axes for text in axes.get_children() if isinstance(text, Text)]
    titles = [(axes, title) for axes, title in found if title.get_text() == axes.get_title(loc="left") != ""]
    assert len(titles) == len({title.get_text() for _, title in titles}) == (18 if width > 100 else 9)
    assert all(title.get_window_extent().width <= axes.get_window_extent().width + 1 for axes, title in titles)
