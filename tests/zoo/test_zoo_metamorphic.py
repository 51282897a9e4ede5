"""Changes of logs after which the verdict must stay: each does what it says, and only that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from zoo.examples import changed_examples
from zoo.metamorphic import KEEPING, RESTS_ON, SMOOTHED_FROM, TAKING, THINNED_FROM, WINDOWS, flips
from zoo.specimen import Truth
from zoo.training import Trace
from zoo.truth import Seen

from convergence_cli.model import LABELS, Curve, Run

CHANGES = KEEPING | TAKING


def run_of(points: int = 250, *, accuracy: bool = True, val: bool = True) -> Run:
    """A falling loss at every other step, evaluated at every tenth point, with all that a curve may carry."""
    step = 2.0 * np.arange(1, points + 1)
    loss = 2 * np.exp(-step / points) + 0.1 + 0.01 * np.sin(step)
    line = np.arange(1, points + 1)

    def curve(name: str, role: str, every: int, value: np.ndarray) -> Curve:
        kept = slice(every - 1, None, every)
        return Curve(
            name, step[kept], value[kept], role, epoch=step[kept] / 50, time=3 * step[kept], line=line[kept], file="a"
        )

    curves = [curve("loss", "train_loss", 1, loss)]
    curves += [curve("val_loss", "val_loss", 10, 1.1 * loss)] if val else []
    curves += [
        curve("acc", "train_accuracy", 1, 1 - loss / 3),
        curve("val_acc", "val_accuracy", 10, 1 - loss / 2),
    ] * accuracy
    return Run("run", "run", "csv", (*curves, curve("lr", "learning_rate", 1, 0 * loss + 0.1)), {"learning_rate": 0.1})


def changed(name: str, run: Run | None = None) -> Run:
    other = CHANGES[name](run or run_of())
    assert other is not None
    return other


def curve(run: Run, role: str) -> Curve:
    found = run.curve(role)
    assert found is not None
    return found


def same(one: Curve, other: Curve) -> bool:
    return one.restarts == other.restarts and all(
        np.array_equal(getattr(one, what), getattr(other, what)) for what in ("step", "value", "epoch", "time")
    )


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_leaves_the_run_it_was_given_and_its_settings(name: str) -> None:
    before = run_of()
    other = changed(name, before)
    assert other is not before
    assert all(same(one, two) for one, two in zip(before.curves, run_of().curves, strict=True))
    assert (other.name, other.config) == (before.name, before.config)
    assert {one.role for one in other.curves} <= {one.role for one in before.curves}
    for one in other.curves:
        assert len(one.step) == len(one.value) > 0
        for array in (one.epoch, one.time, one.line):
            assert array is None or len(array) == len(one.step)
        assert one.restarts == tuple(np.flatnonzero(np.diff(one.step) < 0) + 1)


@pytest.mark.parametrize("factor", [0.001, 7.3, 1000])
def test_another_unit_multiplies_the_losses_only(factor: float) -> None:
    before, after = run_of(), changed(f"loss-times-{factor}")
    for one, two in zip(before.curves, after.curves, strict=True):
        if one.role in ("train_loss", "val_loss"):
            np.testing.assert_allclose(two.value, factor * one.value, rtol=1e-12)
            assert same(replace(two, value=one.value), one)
        else:
            assert same(one, two)


def test_later_steps_move_every_curve() -> None:
    for one, two in zip(run_of().curves, changed("steps-plus-100000").curves, strict=True):
        assert (two.step - one.step == 100_000).all()
        assert same(replace(two, step=one.step), one)


def test_a_restart_repeats_the_steps_from_half_to_six_tenths() -> None:
    before, after = run_of(), changed("restart")
    for one, two in zip(before.curves, after.curves, strict=True):
        (back,) = two.restarts
        first, again = two.step[:back], two.step[back:]
        assert again[0] < first[-1]
        assert (np.diff(first) > 0).all()
        assert (np.diff(again) > 0).all()
        np.testing.assert_array_equal(np.union1d(first, again), one.step)
        assert first[-1] == one.step[one.step <= 300].max()
        assert again[0] == one.step[one.step > 251].min()
        # A step that was made twice is logged twice, with the same value.
        logged = dict(zip(one.step, one.value, strict=True))
        assert two.value.tolist() == [logged[step] for step in two.step]
        assert two.time is not None
        assert two.time.tolist() == (3 * two.step).tolist()


def test_no_second_restart_and_none_of_hardly_any_points() -> None:
    assert KEEPING["restart"](changed("restart")) is None
    assert KEEPING["restart"](run_of(19)) is None
    assert KEEPING["restart"](run_of(20)) is not None
    assert KEEPING["restart"](changed("only-validation")) is None


@pytest.mark.parametrize("points", range(THINNED_FROM, THINNED_FROM + 11))
def test_thinning_keeps_every_tenth_point_of_training_and_the_last(points: int) -> None:
    before = run_of(points)
    after = changed("thinned", before)
    one, two = curve(before, "train_loss"), curve(after, "train_loss")
    np.testing.assert_array_equal(two.step, one.step[::-1][::10][::-1])
    np.testing.assert_array_equal(two.value, one.value[::-1][::10][::-1])
    assert two.step[-1] == one.step[-1]
    assert len(two.step) >= 20
    assert all(same(curve(after, str(other.role)), other) for other in before.curves if other.role != "train_loss")


def test_smoothing_gives_means_of_windows_at_their_ends() -> None:
    before, after = run_of(251), changed("smoothed", run_of(251))
    one, two = curve(before, "train_loss"), curve(after, "train_loss")
    assert len(two.value) == WINDOWS
    assert two.step[-1] == one.step[-1]
    start, sizes = -np.inf, []
    for step, value in zip(two.step, two.value, strict=True):
        inside = (one.step > start) & (one.step <= step)
        assert value == pytest.approx(one.value[inside].mean())
        sizes.append(int(inside.sum()))
        start = step
    assert sum(sizes) == 251
    assert set(sizes) == {8, 9}
    assert all(same(curve(after, str(other.role)), other) for other in before.curves if other.role != "train_loss")


def test_too_few_points_are_neither_thinned_nor_smoothed() -> None:
    assert TAKING["thinned"](run_of(THINNED_FROM - 1)) is None
    assert TAKING["smoothed"](run_of(SMOOTHED_FROM - 1)) is None
    assert TAKING["smoothed"](run_of(SMOOTHED_FROM)) is not None
    for name in ("thinned", "smoothed"):
        assert TAKING[name](changed("only-validation")) is None


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("no-validation", {"train_loss", "train_accuracy", "learning_rate"}),
        ("only-validation", {"val_loss"}),
        ("only-accuracy", {"train_accuracy", "val_accuracy"}),
    ],
)
def test_series_that_were_not_logged(name: str, roles: set[str]) -> None:
    after = changed(name)
    assert {one.role for one in after.curves} == roles
    assert all(same(one, curve(run_of(), str(one.role))) for one in after.curves)
    # Nothing changes where there was nothing of it, and nothing is judged where nothing is left.
    assert TAKING[name](after if name != "only-accuracy" else run_of(accuracy=False)) is None


def test_which_changes_there_are() -> None:
    assert not set(KEEPING) & set(TAKING)
    assert {name for names in RESTS_ON.values() for name in names} <= set(TAKING)
    assert set(RESTS_ON) <= set(LABELS)


def expected_flip(before: str, after: str, change: str) -> bool:
    """The table, case by case."""
    if before in (after, "undetermined"):
        return False
    if before == "overfitting" and change in ("no-validation", "only-validation"):
        return False
    if after == "undetermined":
        return change in ("loss-times-0.001", "loss-times-7.3", "loss-times-1000", "steps-plus-100000", "restart")
    return True


def test_when_a_verdict_has_turned() -> None:
    assert flips("stuck", "converging", "thinned")
    assert flips("stuck", "undetermined", "restart")
    assert not flips("stuck", "undetermined", "thinned")
    assert not flips("undetermined", "stuck", "restart")
    assert not flips("overfitting", "stuck", "no-validation")
    assert flips("overfitting", "stuck", "thinned")
    every = (*LABELS, "undetermined")
    for change in CHANGES:
        for before in every:
            for after in every:
                assert flips(before, after, change) == expected_flip(before, after, change), (before, after, change)


def test_changed_examples_keep_the_labels_and_tell_their_change() -> None:
    trace = Trace([0, 500], [2.1, 0.1], [2.1, 0.1], None, 500)
    truth = Truth(
        "one", "healthy", None, None, None, "mlp", "moons", "Adam", "csv", ("converging",), trace, Seen(True, 25, 250)
    )
    found = list(changed_examples(run_of(), truth))
    assert [one.change for one in found] == [*CHANGES]
    assert all(one.labels == truth.labels and not one.whole and one.share == 1.0 for one in found)
    assert {one.change for one in changed_examples(run_of(50, val=False, accuracy=False), truth)} == set(KEEPING)
    # The features are of the changed log: none of validation, none of a loss.
    features = {one.change: one for one in found}
    assert features["no-validation"].validated is False
    assert features["thinned"].validated is True
    assert features["only-accuracy"].vector is None
    named = {change: dict(zip(one.vector.names, one.vector.values, strict=True))
             for change, one in features.items() if one.vector is not None}  # fmt: skip
    assert named["thinned"]["trend"] < named["restart"]["trend"]
    for change in ("loss-times-0.001", "loss-times-1000", "steps-plus-100000"):
        plain = {name: value for name, value in named["loss-times-7.3"].items() if "chance" not in name}
        assert {name: named[change][name] for name in plain} == pytest.approx(plain, abs=1e-6), change
