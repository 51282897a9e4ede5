"""Changes applied to faulty trainings: each does what it says, and a bug goes only by the change that names it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from zoo.catalogue import FAULTS, Specimen
from zoo.plan import RATES
from zoo.repairing import MENDS, apply, check, clean_data

RATE_FAULT = Specimen("learning-rate-too-high", 3, 0)
FIX: dict[str, dict[str, Any]] = {
    "early-decay": {"lr_schedule": "cosine"},
    "rising-rate": {"lr_schedule": "cosine"},
    "missing-zero-grad": {"zero_grad": True},
    "stale-gradients": {"gradient_staleness": 0},
    "frozen-parameters": {"trainable": "all"},
    "numerical-overflow": {"precision": "bf16"},
    "flipped-gradient": {"loss": "cross_entropy"},
    "wrong-loss": {"loss": "cross_entropy"},
    "redundant-softmax": {"output": "logits"},
    "label-noise": {"labels": "repair"},
    "data-leakage": {"split": "by-group"},
    "disconnected-input": {"inputs": "repair"},
}


@pytest.mark.parametrize("kind", MENDS)
def test_a_bug_goes_by_the_change_that_names_it_alone(kind: str) -> None:
    assert MENDS[kind](FIX[kind])
    assert not any(MENDS[kind](change) for change in ({}, {"learning_rate": 0.1}, {"dropout": 0.1}, {"batch_size": 8}))
    assert kind in FAULTS
    mended, faulty = apply(Specimen(kind, 3, 0), FIX[kind]).training, apply(Specimen(kind, 3, 0), {}).training
    assert not mended.plan.after_building
    assert faulty.plan.after_building
    clean = clean_data(mended.plan)
    assert torch.equal(mended.data.x, clean.x)
    assert torch.equal(mended.data.y, clean.y)
    assert not mended.frozen
    assert mended.zero_every == 1
    assert not mended.after_backward


@pytest.mark.parametrize(
    ("change", "attribute", "value"),
    [
        ({"batch_size": 7}, "batch_size", 7),
        ({"max_steps": 77}, "steps", 77),
        ({"gradient_clip_norm": 0.5}, "clip", 0.5),
        ({"dropout": 0.25}, "dropout", 0.25),
        ({"weight_decay": 0.03}, "weight_decay", 0.03),
        ({"activation": "tanh"}, "function", "tanh"),
        ({"lr_schedule": "cosine"}, "schedule", "cosine"),
    ],
)
def test_a_setting_is_set(change: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(apply(RATE_FAULT, change).training.plan, attribute) == value


def test_a_learning_rate_is_that_of_the_optimizer_at_its_peak() -> None:
    training = apply(RATE_FAULT, {"learning_rate": 0.0123, "optimizer": "Adam"}).training
    assert training.learning_rate == pytest.approx(0.0123)
    assert training.plan.optimizer == "Adam"
    assert training.plan.rate_factor == pytest.approx(0.0123 / RATES[training.plan.architecture]["Adam"])


def test_a_warm_up_starts_low_and_ends_at_the_rate() -> None:
    plain, warm = (apply(RATE_FAULT, change).training.schedule for change in ({}, {"warmup_steps": 10}))
    assert warm(0) == pytest.approx(plain(0) / 10)
    assert warm(20) == pytest.approx(plain(20))


def test_weights_are_drawn_anew_for_their_inputs() -> None:
    born = Specimen("initialization-too-large", 3, 0)
    for change, factor in (({}, 10.0), ({"weight_init": "he", "bias_init": "zeros"}, 1.0)):
        model = apply(born, change).training.model
        layers = [one for one in model.modules() if isinstance(one, torch.nn.Linear)]
        gain = max(float(one.weight.detach().std()) * (one.in_features / 2) ** 0.5 for one in layers)
        assert gain > factor if factor > 1 else gain == pytest.approx(1.0, abs=0.5)
    assert all(not one.bias.detach().any() for one in layers if one.bias is not None)


def test_inputs_and_targets_are_standardised_by_the_training_set() -> None:
    wide = apply(Specimen("unnormalized-input", 3, 0), {"input_normalization": "standard"}).training.data
    axes = tuple(range(wide.x.dim() - 1))
    assert float(wide.x.mean(axes).abs().max()) < 1e-3
    repaired = apply(Specimen("unscaled-target", 3, 0), {"target_normalization": "standard"})
    data, clean = repaired.training.data, clean_data(repaired.training.plan)
    assert float(data.y.std(0)[0]) == pytest.approx(1, abs=1e-3)
    # What the model learns to give is turned back into the unit of the clean targets.
    assert torch.allclose(repaired.undo(data.y_val), clean.y_val, atol=1e-3)


def test_a_change_that_nobody_knows_is_an_error() -> None:
    check({"learning_rate": 0.1, "weight_init": "he"})
    with pytest.raises(ValueError, match="no training of the zoo knows the change colour"):
        check({"colour": "red"})
