"""Latent space and saliency, from real trainings that saved tensors as they are."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plots.trainings import CLASSES, blobs, dumped_with_inputs, recorded_raw
from sklearn.decomposition import PCA  # type: ignore[import-untyped]

from convergence_cli import diagnose
from convergence_cli.errors import CtroubleshootError
from convergence_cli.plots.door import Wanted, encode, plot_run
from convergence_cli.plots.dumped import MAX_FEATURES, MAX_SAMPLES, dumps_of, opened, take
from convergence_cli.plots.latent import latent_of
from convergence_cli.plots.missing import NotDrawn
from convergence_cli.plots.projection import principal, project
from convergence_cli.plots.saliency import as_images, saliency_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EVERYTHING = (float("-inf"), float("inf"))


def save(folder: Path, arrays: dict[str, Any]) -> None:
    np.savez(folder / "step_000001.npz", **arrays)


def said_of(figure: Figure) -> str:
    return " ".join(next(text.get_text() for text in figure.texts if text.get_gid() == "reason").split())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dumped_with_inputs(tmp_path_factory.mktemp("runs") / "pictures")


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dumped_with_inputs(tmp_path_factory.mktemp("runs") / "flat", flat=True)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_raw(tmp_path_factory.mktemp("runs") / "raw")


def test_a_recorded_layer_parts_its_classes_over_time(raw: Path) -> None:
    found = latent_of(opened(dumps_of(str(raw / "record.jsonl")), *EVERYTHING), (), "pca")
    assert found.steps == (1, 5, 10, 15, 20)
    assert found.layer == "2"
    points = np.split(found.projected.points, found.cuts[:-1])
    spread = []
    for one, labels in zip(points, found.classes, strict=True):
        assert labels is not None
        centres = [one[np.array(labels) == kind].mean(axis=0) for kind in range(CLASSES)]
        spread.append(np.linalg.norm(centres[0] - centres[2]))
    assert spread[-1] > 2 * spread[0]
    figure = plot_run(str(raw), "latent")
    assert [axes.get_title(loc="left") for axes in figure.axes[:5]] == [f"step {step}" for step in (1, 5, 10, 15, 20)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0", "1", "2"]
    assert encode([figure], "svg") == encode([plot_run(str(raw), "latent")], "svg")


def test_steps_and_layers_of_a_latent_space_can_be_chosen(pictures: Path) -> None:
    figure = plot_run(str(pictures), "latent", Wanted(layers=("tanh",), first=15, width=80))
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["step 20", "step 30"]
    assert encode([figure], "png")
    with pytest.raises(NotDrawn, match="No activations of nothing"):
        plot_run(str(pictures), "latent", Wanted(layers=("nothing",)))


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 30), st.integers(1, 20), st.integers(0, 100))
def test_principal_components_are_those_of_another_library(samples: int, features: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((samples, features)) * np.arange(1, features + 1)
    ours = principal(values)
    count = min(2, samples, features)
    theirs = PCA(n_components=count).fit(values)
    assert np.abs(ours.points[:, :count]) == pytest.approx(np.abs(theirs.transform(values)), abs=1e-6)
    assert ours.explained is not None
    assert ours.explained[:count] == pytest.approx(theirs.explained_variance_ratio_, abs=1e-9)
    # Its sign does not hang on the order of the samples.
    turned = principal(values[::-1]).points[::-1]
    assert turned == pytest.approx(ours.points, abs=1e-6)


def test_what_is_all_the_same_is_one_point() -> None:
    assert not principal(np.ones((5, 3))).points.any()
    assert principal(np.ones((1, 1))).points.shape == (1, 2)


def test_tsne_is_the_same_each_time(pictures: Path) -> None:
    values = np.random.default_rng(0).standard_normal((40, 5))
    assert np.array_equal(project(values, "tsne").points, project(values, "tsne").points)
    assert encode([plot_run(str(pictures), "latent", Wanted(projection="tsne", first=30))], "png")


@pytest.mark.skipif(importlib.util.find_spec("umap") is not None, reason="umap-learn is installed")
def test_a_projection_that_is_not_installed_says_so() -> None:
    with pytest.raises(CtroubleshootError, match="pip install umap-learn"):
        project(np.zeros((20, 3)), "umap")


def test_pictures_have_their_gradient_below_them(pictures: Path) -> None:
    found = saliency_of(opened(dumps_of(str(pictures)), *EVERYTHING))
    assert (found.step, found.name, found.shape) == (30.0, "pixels", (60, 1, 8, 8))
    figure = plot_run(str(pictures), "saliency")
    below = [image for axes in figure.axes for image in axes.get_images() if image.get_gid() == "saliency"]
    assert len(below) == 6
    assert {axes.get_title() for axes in figure.axes} == {"class 0", "class 1", "class 2", ""}
    slopes = np.abs(np.load(pictures / "tensors" / "step_000030.npz")["gradient/pixels"])[:, 0]
    drawn = [np.asarray(image.get_array()) for image in below]
    assert all(any(np.allclose(one / np.quantile(one, 0.99), heat) for one in slopes) for heat in drawn)
    # Nothing lies under it: the darker, the larger, in grey print, too.
    assert all(len(image.axes.get_images()) == 1 for image in below if image.axes is not None)
    shades = below[0].get_cmap()(np.linspace(0, 1, 50))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(shades) < 0).all()
    assert said_of(figure).endswith("the darker, the larger the gradient.")
    assert encode([figure], "pdf")


def test_of_channels_the_largest_is_told_and_nothing_is_called_zero(tmp_path: Path) -> None:
    (tmp_path / "tensors").mkdir()
    inputs = np.random.default_rng(0).random((3, 3, 8, 8))
    slopes = inputs.copy()
    slopes[1] = 0.0
    save(tmp_path / "tensors", {"input/x": inputs, "gradient/x": slopes})
    figure = plot_run(str(tmp_path), "saliency")
    assert "the larger the gradient (the largest of 3 channels)." in said_of(figure)
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["zero"]


def test_what_is_saved_at_other_steps_is_not_called_absent(raw: Path, pictures: Path) -> None:
    for first, said in ((7.0, "at step 7."), (9999.0, "at step 9999.")):
        with pytest.raises(NotDrawn) as caught:
            plot_run(str(raw), "latent", Wanted(first=first, last=first))
        assert caught.value.message == f"No activations were saved as they are {said}"
        assert caught.value.hint == "Choose from steps 1, 5, 10, 15, 20."
    with pytest.raises(NotDrawn, match=r"it was saved between step 11 and 19\. Choose from steps 10, 20, 30\."):
        plot_run(str(pictures), "saliency", Wanted(first=11, last=19))
    with pytest.raises(NotDrawn, match=r"No activations of nothing were saved as they are\. Record"):
        plot_run(str(raw), "latent", Wanted(layers=("nothing",), first=7, last=7))
    with pytest.raises(NotDrawn, match="Record both"):
        plot_run(str(raw), "saliency", Wanted(first=7, last=7))


def test_the_recorder_saves_the_gradient_at_an_input_that_asks_for_it(tmp_path: Path) -> None:
    plain = diagnose(recorded_raw(tmp_path / "plain", raw=()))
    folder = recorded_raw(tmp_path / "slopes", raw=["x", "label/*"], slopes=True)
    found = saliency_of(opened(dumps_of(str(folder)), *EVERYTHING))
    assert (found.step, found.name, found.shape) == (20.0, "x", (60, 1, 8, 8))
    pictures, labels = blobs()
    assert found.inputs.reshape(found.shape) == pytest.approx(pictures.numpy())
    assert found.classes == tuple(labels.tolist())
    # What tells the classes apart is the bright square: there the output leans on the input.
    bright = pictures.numpy().reshape(60, -1) > 0.9
    slopes = np.abs(found.gradients.reshape(60, -1))
    assert slopes[bright].mean() > 2 * slopes[~bright].mean()
    assert encode([plot_run(str(folder), "saliency")], "png")
    # It is no layer's gradient: the same is said of the run.
    beside = diagnose(folder)
    assert beside.verdict == plain.verdict
    assert beside.findings == plain.findings
    # Without being asked it is not taken.
    without = recorded_raw(tmp_path / "without", raw=["input/*"], slopes=True)
    with pytest.raises(NotDrawn, match="No input with the gradient"):
        plot_run(str(without), "saliency")


def test_flat_features_are_bars(flat: Path) -> None:
    found = saliency_of(opened(dumps_of(str(flat)), *EVERYTHING))
    figure = plot_run(str(flat), "saliency")
    axes = figure.axes[0]
    effect = np.abs(found.gradients).mean(axis=0) * found.inputs.std(axis=0)
    assert axes.patches[0].get_width() == pytest.approx(effect.max())  # type: ignore[attr-defined]
    assert axes.get_yticklabels()[0].get_text() == f"feature {effect.argmax()}"
    assert encode([figure], "png")


def test_gradients_at_inputs_are_no_layer(pictures: Path) -> None:
    figure = plot_run(str(pictures), "gradients")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["layer 1", "layer 3"]


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((9, 3, 32, 32), (0, 2, 3, 1)),
        ((9, 28, 28, 1), (0, 1, 2, 3)),
        ((9, 28, 28), (0, 1, 2)),
        ((9, 64), None),
        ((9, 2, 3), None),
    ],
)
def test_what_is_a_picture(shape: tuple[int, ...], order: tuple[int, ...] | None) -> None:
    assert as_images(shape) == order


def test_samples_and_values_are_bounded_and_it_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "tensors"
    folder.mkdir()
    values = np.arange(3 * MAX_SAMPLES * 2 * MAX_FEATURES, dtype=np.float32).reshape(3 * MAX_SAMPLES, 2 * MAX_FEATURES)
    save(folder, {"activation/a": values})
    (one,) = opened(dumps_of(str(tmp_path)), *EVERYTHING)
    found = take(one.tensors[0][1])
    assert found is not None
    assert found.values.shape == (MAX_SAMPLES, MAX_FEATURES)
    assert found.note == "1,000 of 3,000 samples and 1,024 of 2,048 values of each"
    assert found.values[0, 0] == 0.0
    assert found.values[-1, -1] == values[-1, -1]


def test_broken_dumps_are_passed_over(pictures: Path, tmp_path: Path) -> None:
    whole = (pictures / "tensors" / "step_000030.npz").read_bytes()
    folder = tmp_path / "tensors"
    folder.mkdir()
    (folder / "step_000010.npz").write_bytes(whole)
    (folder / "step_000020.npz").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[200:4000] = bytes(3800)
    (folder / "step_000030.npz").write_bytes(bytes(damaged))
    (folder / "step_000040.npz").symlink_to(pictures / "tensors" / "step_000010.npz")
    # Of the last dump only the activation is damaged.
    assert saliency_of(opened(dumps_of(str(tmp_path)), *EVERYTHING)).step == 30.0
    steps = latent_of(opened(dumps_of(str(tmp_path)), *EVERYTHING), (), "pca").steps
    assert 10.0 in steps
    assert not {20.0, 30.0, 40.0} & set(steps)


def test_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "tensors"
    folder.mkdir()
    values = np.random.default_rng(0).standard_normal((20, 4))
    values[3], values[5, 0] = np.inf, np.nan
    save(folder, {"activation/a": values})
    found = latent_of(opened(dumps_of(str(tmp_path)), *EVERYTHING), (), "pca")
    assert len(found.projected.points) == 18
    assert found.notes == ("2 samples with NaN left out",)
    save(folder, {"activation/a": np.full((20, 4), np.nan)})
    with pytest.raises(NotDrawn, match="All values of a"):
        latent_of(opened(dumps_of(str(tmp_path)), *EVERYTHING), (), "pca")


def test_a_hostile_layer_is_text(tmp_path: Path) -> None:
    folder = tmp_path / "tensors"
    folder.mkdir()
    save(folder, {"activation/$\\frac\u202e<b>": np.random.default_rng(0).standard_normal((9, 4))})
    figure = plot_run(str(tmp_path), "latent")
    assert encode([figure], "png")
    assert all("\u202e" not in text.get_text() for text in figure.texts)


def test_dumps_of_other_runs_are_not_taken(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    log = tmp_path / "a" / "log.csv"
    log.write_text("step,loss\n1,2\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "tensors").symlink_to(pictures / "tensors")
    (tmp_path / "c" / "tensors").mkdir(parents=True)
    (tmp_path / "c" / "tensors" / "step_1.npz").write_bytes((pictures / "tensors" / "step_000010.npz").read_bytes())
    assert dumps_of(str(log), str(tmp_path)) == []
    assert len(dumps_of(str(tmp_path / "c"), str(tmp_path))) == 1
    assert dumps_of("-") == []
    assert replace(Wanted(), first=1.0).whole is False
