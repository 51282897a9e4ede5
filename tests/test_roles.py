"""Roles from names, as the loggers write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cli.errors import UsageError
from convergence_cli.model import Curve, Run
from convergence_cli.roles import ROLES, assign_roles, direction_of, words


def _run(*names: str, points: dict[str, int] | None = None, span: dict[str, float] | None = None) -> Run:
    curves = []
    for number, name in enumerate(names):
        count = (points or {}).get(name, 50)
        step = np.linspace(0, (span or {}).get(name, 100.0), count)
        curves.append(Curve(name, step, np.full(count, 1.0 + number)))
    return Run("r", "r.csv", "csv", tuple(curves))


def _roles(*names: str, **keywords: Any) -> dict[str | None, str]:
    run = assign_roles(_run(*names, **keywords))
    return {curve.role: curve.name for curve in run.curves if curve.role is not None}


@pytest.mark.parametrize(
    "name",
    [
        *("loss", "train_loss", "train/loss", "training_loss", "loss/train", "Loss/train", "nll", "train/nll"),
        *(
            "lm_loss",
            "lm loss",
            "Train Loss",
            "trainLoss",
            "tr_loss",
            "epoch_loss",
            "total_loss",
            "train/cross_entropy",
        ),
        *("train-logloss", "train-mlogloss", "train-rmse", "train_loss_step", "train_loss_epoch", "loss_epoch_step"),
        *("train/ctc_loss", "train_bpb", "Logloss", "xent", "training/cost", "mse", "running_loss", "avg_loss"),
    ],
)
def test_training_losses(name: str) -> None:
    assert _roles(name) == {"train_loss": name}


@pytest.mark.parametrize(
    "name",
    [
        *("val_loss", "eval_loss", "valid_loss", "validation/loss", "test_loss", "dev_loss", "Loss/val", "val/nll"),
        *(
            "eval/loss",
            "valLoss",
            "eval-logloss",
            "validation_0-logloss",
            "val_ema_loss",
            "evaluation_loss_vs_iterations",
        ),
        *("Val Loss", "valid loss", "holdout_loss", "val_avg_loss"),
    ],
)
def test_validation_losses(name: str) -> None:
    assert _roles(name) == {"val_loss": name}


@pytest.mark.parametrize("name", ["val_loss", "eval_loss", "test_loss", "validation/loss", "val_ema_loss"])
def test_a_validation_loss_beside_the_training_loss(name: str) -> None:
    assert _roles("train_loss", name) == {"train_loss": "train_loss", "val_loss": name}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("lr", "learning_rate"),
        ("learning_rate", "learning_rate"),
        ("learning rate", "learning_rate"),
        ("lr-AdamW", "learning_rate"),
        ("lr/pg0", "learning_rate"),
        ("x/lr0", "learning_rate"),
        ("train/learning_rate", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("grad_norm", "grad_norm"),
        ("gnorm", "grad_norm"),
        ("grad/norm", "grad_norm"),
        ("grad norm", "grad_norm"),
        ("train/grad_norm", "grad_norm"),
        ("gradient_norm", "grad_norm"),
        ("loss scale", "loss_scale"),
        ("loss_scale", "loss_scale"),
        ("grad_scale", "loss_scale"),
        ("accuracy", "train_accuracy"),
        ("acc", "train_accuracy"),
        ("train_accuracy", "train_accuracy"),
        ("Train Acc@1", "train_accuracy"),
        ("val_acc", "val_accuracy"),
        ("eval_accuracy", "val_accuracy"),
        ("validation/accuracy", "val_accuracy"),
        ("metrics/mAP50(B)", "val_metric"),
        ("eval-auc", "val_metric"),
        ("eval/f1", "val_metric"),
        ("val_psnr", "val_metric"),
        ("episode_reward_mean", "reward"),
        ("rollout/ep_rew_mean", "reward"),
        ("ray/tune/episode_reward_mean", "reward"),
        ("r", "reward"),
        ("number of nan iterations", "nan_steps"),
        ("number of skipped iterations", "skipped_steps"),
    ],
)
def test_other_roles(name: str, role: str) -> None:
    assert _roles(name) == {role: name}


@pytest.mark.parametrize(
    "name",
    [
        *("step", "epoch", "time", "gpu/temperature", "tokens_per_second", "elapsed_time", "consumed samples"),
        *("global batch size", "weight_norm", "eta_seconds", "percentage", "closs_weight"),
        *("loss_weight", "loss_scaler_count", "loss_std", "min_loss", "best_val_loss", "entropy_coef", "clip_ratio"),
    ],
)
def test_names_that_play_no_role(name: str) -> None:
    assert _roles(name) == {}


# Whole logs ------------------------------------------------------------------------------------------------


def test_keras() -> None:
    assert _roles("acc", "loss", "val_acc", "val_loss", "lr") == {
        "train_accuracy": "acc",
        "train_loss": "loss",
        "val_accuracy": "val_acc",
        "val_loss": "val_loss",
        "learning_rate": "lr",
    }


def test_hugging_face() -> None:
    names = (
        "loss",
        "grad_norm",
        "learning_rate",
        "eval_loss",
        "eval_runtime",
        "eval_samples_per_second",
        "loss_control",
    )
    assert _roles(*names) == {
        "train_loss": "loss",
        "grad_norm": "grad_norm",
        "learning_rate": "learning_rate",
        "val_loss": "eval_loss",
    }


def test_megatron() -> None:
    names = ("lm loss", "loss scale", "grad norm", "learning rate", "number of nan iterations", "consumed samples")
    assert _roles(*names) == {
        "train_loss": "lm loss",
        "loss_scale": "loss scale",
        "grad_norm": "grad norm",
        "learning_rate": "learning rate",
        "nan_steps": "number of nan iterations",
    }


def test_ultralytics_components_are_summed() -> None:
    names = [f"{part}/{kind}_loss" for part in ("train", "val") for kind in ("box", "cls", "dfl")]
    run = assign_roles(_run(*names, "metrics/mAP50(B)", "lr/pg0"))
    train, val = run.curve("train_loss"), run.curve("val_loss")
    assert train is not None
    assert val is not None
    assert train.name == "train/box_loss + train/cls_loss + train/dfl_loss"
    assert set(train.value) == {1.0 + 2.0 + 3.0}
    assert set(val.value) == {4.0 + 5.0 + 6.0}
    assert any("sum of 3 component losses" in note for note in run.notes)
    assert len(run.curves) == 8 + 2
    assert run.curve("learning_rate") is not None


def test_components_that_are_not_finite_make_a_sum_that_is_not() -> None:
    step, inf = np.arange(3.0), np.inf
    curves = (Curve("box_loss", step, np.array([1, inf, inf])), Curve("cls_loss", step, np.array([1, 1, -inf])))
    train = assign_roles(Run("r", "r", "csv", curves)).curve("train_loss")
    assert train is not None
    assert np.array_equal(train.value, [2.0, inf, np.nan], equal_nan=True)


def test_a_total_beats_the_sum_of_its_components() -> None:
    assert _roles("loss_cls", "loss_box_reg", "total_loss", "loss_mask")["train_loss"] == "total_loss"


def test_components_logged_at_other_steps_are_not_summed() -> None:
    run = assign_roles(_run("box_loss", "cls_loss", points={"cls_loss": 7}))
    train = run.curve("train_loss")
    assert train is not None
    assert " + " not in train.name or run.notes


def test_a_detailed_loss_of_the_first_steps_gives_way_to_the_long_one() -> None:
    names = ("loss", "grad_norm", "train/loss", "validation/loss", "test/loss")
    roles = _roles(*names, points={"loss": 100, "train/loss": 40}, span={"loss": 100.0, "train/loss": 100_000.0})
    assert (roles["train_loss"], roles["val_loss"]) == ("train/loss", "validation/loss")


def test_lightning_reads_the_finer_of_two() -> None:
    names = ("train_loss_step", "train_loss_epoch", "val_loss")
    roles = _roles(*names, points={"train_loss_step": 500, "train_loss_epoch": 10, "val_loss": 10})
    assert (roles["train_loss"], roles["val_loss"]) == ("train_loss_step", "val_loss")


def test_fairseq() -> None:
    names = ("loss", "nll_loss", "ppl", "gnorm", "lr", "valid_loss", "valid_nll_loss", "valid_ppl")
    roles = _roles(*names)
    assert (roles["train_loss"], roles["val_loss"]) == ("loss", "valid_loss")
    assert (roles["grad_norm"], roles["learning_rate"]) == ("gnorm", "lr")


def test_boosted_trees_compare_one_metric() -> None:
    roles = _roles("train-logloss", "eval-logloss", "train-auc", "eval-auc")
    assert (roles["train_loss"], roles["val_loss"]) == ("train-logloss", "eval-logloss")
    assert (roles["train_metric"], roles["val_metric"]) == ("train-auc", "eval-auc")


def test_a_validation_error_rate_is_not_compared_with_a_cross_entropy() -> None:
    assert "val_loss" not in _roles("train_loss", "val_mae")
    assert _roles("train_mae", "val_mae") == {"train_loss": "train_mae", "val_loss": "val_mae"}


def test_a_plain_loss_beats_its_moving_average() -> None:
    assert _roles("train_loss_ema", "train_loss")["train_loss"] == "train_loss"
    assert _roles("val_loss", "val_ema_loss")["val_loss"] == "val_loss"


@pytest.mark.parametrize(
    "names",
    [("G_loss", "D_loss"), ("loss_G", "loss_D"), ("generator_loss", "discriminator_loss"), ("loss/netD", "loss/netG")],
)
def test_two_players_have_no_loss(names: tuple[str, str]) -> None:
    run = assign_roles(_run(*names))
    assert run.curve("adversarial_loss") is not None
    assert run.curve("train_loss") is None
    assert any("two players" in note for note in run.notes)


def test_a_total_beside_two_players_is_a_loss() -> None:
    assert _roles("loss", "loss_g", "loss_d")["train_loss"] == "loss"


def test_no_series_and_an_empty_series() -> None:
    assert assign_roles(_run()).curves == ()
    empty = Run("r", "r", "csv", (Curve("loss", np.array([]), np.array([])),))
    assert assign_roles(empty).curve("train_loss") is None


# Overrides -------------------------------------------------------------------------------------------------


def test_an_override_wins_over_the_name() -> None:
    run = assign_roles(_run("loss", "objective_b"), {"train_loss": "objective_b"})
    assert [c.name for c in run.curves if c.role == "train_loss"] == ["objective_b"]


def test_one_series_keeps_one_role_and_one_role_one_series() -> None:
    run = assign_roles(_run("loss", "val_loss", "acc"), {"val_loss": "loss"})
    roles = [curve.role for curve in run.curves if curve.role]
    assert len(roles) == len(set(roles))
    assert {c.name: c.role for c in run.curves}["loss"] == "val_loss"


def test_a_series_named_by_hand_plays_no_other_role() -> None:
    run = assign_roles(_run("loss", "val_loss", "grad_norm"), {"train_loss": "grad_norm"})
    assert {curve.name: curve.role for curve in run.curves} == {
        "loss": None,
        "val_loss": "val_loss",
        "grad_norm": "train_loss",
    }
    swapped = assign_roles(_run("loss", "val_loss"), {"train_loss": "val_loss", "val_loss": "loss"})
    assert {curve.name: curve.role for curve in swapped.curves} == {"loss": "val_loss", "val_loss": "train_loss"}


def test_a_series_named_for_two_roles_is_an_error() -> None:
    with pytest.raises(UsageError, match="'loss' is to be read as train_loss and as val_loss"):
        assign_roles(_run("loss"), {"train_loss": "loss", "val_loss": "loss"})


def test_an_override_of_an_unknown_role_lists_the_roles() -> None:
    with pytest.raises(UsageError, match="no role 'trainloss'") as caught:
        assign_roles(_run("loss"), {"trainloss": "loss"})
    assert all(role in caught.value.hint for role in ROLES)


def test_an_override_with_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(UsageError, match=r"r\.csv has no series 'lss'") as caught:
        assign_roles(_run("loss", "a\x1b[2Jb"), {"train_loss": "lss"})
    assert "loss" in caught.value.hint
    assert "\x1b" not in caught.value.hint


# Words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/boxLoss", ("train", "box", "loss")),
        ("Learning Rate", ("lr",)),
        ("train/cross-entropy", ("train", "xent")),
        ("metrics/mAP50-95(B)", ("metrics", "map50", "95", "b")),
        ("val_mIoU", ("val", "miou")),
        ("trainMSE", ("train", "mse")),
        ("", ()),
    ],
)
def test_words(name: str, expected: tuple[str, ...]) -> None:
    assert words(name) == expected


@pytest.mark.parametrize(
    ("name", "direction"),
    [("val_acc", "higher"), ("eval/f1", "higher"), ("reward", "higher"), ("loss", "lower"), ("ap_loss", "lower")],
)
def test_direction(name: str, direction: str) -> None:
    assert direction_of(name) == direction


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8, unique=True))
def test_any_names_get_at_most_one_series_a_role(names: list[str]) -> None:
    run = assign_roles(_run(*names))
    roles = [curve.role for curve in run.curves if curve.role is not None]
    assert len(roles) == len(set(roles))
    assert set(roles) <= set(ROLES)
    assert [curve.name for curve in run.curves][: len(names)] == names
