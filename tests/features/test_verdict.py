"""Verdicts on curves of known truth, and what must not change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from curves import GENERATORS, Array, Log, Points, every, evidence_of, falling, make

from convergence_cli.model import LABELS, Verdict

Case = tuple[str, dict[str, Any]]

# Curves on which anyone would agree.
CLEAR: tuple[Case, ...] = (
    *(("exponential", {"noise": noise}) for noise in (0.0, 0.02, 0.1, 0.3)),
    *(("exponential", {"points": points}) for points in (20, 50, 1000)),
    *(("power_law", {"noise": noise}) for noise in (0.0, 0.02, 0.1)),
    ("power_law", {"exponent": 0.1}),
    ("power_law", {"points": 30}),
    ("batch_of_one", {}),
    ("batch_of_one", {"noise": 1.2}),
    ("warm_restarts", {}),
    ("warm_restarts", {"cycles": 3}),
    ("step_decay", {}),
    ("recovered_spike", {}),
    ("recovered_spike", {"height": 100.0}),
    ("recovered_spike", {"at": 0.9}),
    ("recovered_spike", {"width": 20}),
    ("late_drop", {}),
    ("late_drop", {"at": 0.8}),
    ("negative_loss", {}),
    ("negative_loss", {"noise": 0.5}),
    ("all_negative", {}),
    ("tiny_loss", {}),
    ("large_offset", {"fall": 25.0}),
    ("large_offset", {"offset": 1000.0, "fall": 150.0, "noise": 2.0}),
    ("fine_tuning", {}),
    *(("few_points", {"points": points}) for points in range(5, 13)),
    ("long_log", {"points": 150_000}),
    ("smoothing_floor", {}),
    ("both_fall", {}),
    ("both_fall", {"points": 12}),
    ("both_fall", {"gap": 3.0}),
    ("one_bad_evaluation", {}),
    ("one_bad_evaluation", {"at": 20}),
    ("one_bad_evaluation", {"at": -2, "height": 10.0}),
    ("one_bad_evaluation", {"points": 8}),
    ("rising", {}),
    ("rising", {"factor": 2.0}),
    ("rising", {"points": 12}),
    ("nan_tail", {}),
    ("nan_tail", {"at": 0.97}),
    ("nan_tail", {"at": 0.02}),
    ("inf_tail", {}),
    ("explosion_at_end", {}),
    ("explosion_at_end", {"points": 2000}),
    ("explosion_at_end", {"points": 20}),
    ("collapse_to_start", {}),
    ("collapse_to_start", {"at": 0.85}),
    ("collapse_to_start", {"at": 0.2}),
    ("rise_after_half", {}),
    ("rise_after_half", {"factor": 4.0}),
    ("rise_after_half", {"noise": 0.2}),
    ("saturated_softmax", {}),
    ("saturated_softmax", {"at": 0.5}),
    ("flat", {}),
    ("flat", {"noise": 0.002}),
    ("at_chance", {"start": 0.05}),
    ("at_chance", {"classes": 1000, "start": 0.05}),
    ("at_chance", {"classes": 2, "start": 0.05}),
    ("spikes_over_flat", {}),
    ("tiny_rate", {}),
    ("rising_validation", {}),
    ("rising_validation", {"rise": 1.5}),
    ("rising_validation", {"evals": 6, "rise": 1.0}),
    ("rising_validation", {"points": 1000, "evals": 20}),
    ("two_players", {}),
    ("rewards", {}),
)
# Curves whose noise or length hides much: to abstain is right as well, to name another fault is not.
HARD: tuple[Case, ...] = (
    ("exponential", {"noise": 0.6}),
    ("exponential", {"points": 30, "noise": 0.5}),
    ("batch_of_one", {"points": 100}),
    ("late_drop", {"at": 0.9}),
    ("large_offset", {}),
    ("flat", {"noise": 0.1}),
    ("flat", {"points": 12}),
    ("flat", {"points": 30}),
    ("flat", {"points": 2000, "noise": 0.3}),
    ("at_chance", {}),
    ("spikes_over_flat", {"points": 100}),
    ("explosion_at_end", {"rows": 2}),
    ("explosion_at_end", {"factor": 3.0}),
    ("rising_validation", {"points": 15}),
)
SEEDS = (0, 1, 2)


def _name(case: Case) -> str:
    return case[0] + "".join(f"-{key}={value}" for key, value in case[1].items())


def _verdict(log: Log) -> Verdict:
    return evidence_of(log).verdict


def _is_sound(verdict: Verdict) -> None:
    assert verdict.reason.endswith(".")
    if verdict.label == "undetermined":
        assert (verdict.probabilities, verdict.confidence) == (None, 0.0)
        return
    assert verdict.probabilities is not None
    assert set(verdict.probabilities) == set(LABELS)
    assert sum(verdict.probabilities.values()) == pytest.approx(1.0)
    assert all(0 <= share <= 1 for share in verdict.probabilities.values())
    assert verdict.confidence == verdict.probabilities[verdict.label] == max(verdict.probabilities.values())
    assert any(char.isdigit() for char in verdict.reason)


@pytest.mark.parametrize("case", CLEAR, ids=_name)
def test_a_clear_curve_gets_its_label(case: Case) -> None:
    name, parameters = case
    for seed in SEEDS:
        verdict = _verdict(make(name, seed, **parameters))
        assert verdict.label == GENERATORS[name].label, (seed, verdict)
        _is_sound(verdict)


@pytest.mark.parametrize("case", HARD, ids=_name)
def test_a_hard_curve_gets_its_label_or_none(case: Case) -> None:
    name, parameters = case
    for seed in SEEDS:
        verdict = _verdict(make(name, seed, **parameters))
        assert verdict.label in {GENERATORS[name].label, "undetermined"}, (seed, verdict)
        _is_sound(verdict)


# What must not change a verdict ---------------------------------------------------------------------------


def _scaled(factor: float) -> Callable[[Log], Log]:
    return lambda log: log.map(lambda name, step, value: (step, value * factor if "loss" in name else value))


def _moved(factor: float, shift: float) -> Callable[[Log], Log]:
    return lambda log: log.map(lambda _, step, value: (step * factor + shift, value))


def _thinned(kept: int) -> Callable[[Log], Log]:
    def thin(name: str, step: Array, value: Array) -> Points:
        # The last point stays: an explosion within the last rows would be thinned away.
        index = np.arange(len(step) - 1, -1, -kept)[::-1] if len(step) >= 24 * kept else np.arange(len(step))
        return step[index], value[index]

    return lambda log: log.map(thin)


def _with_holes(log: Log) -> Log:
    rng = np.random.default_rng(7)

    def drop(name: str, step: Array, value: Array) -> Points:
        keep = rng.random(len(step)) > 0.05
        keep[:1] = keep[-3:] = True
        return step[keep], value[keep]

    return log.map(drop)


def _resumed(log: Log) -> Log:
    def resume(name: str, step: Array, value: Array) -> Points:
        if len(step) < 20:
            return step, value
        back, end = int(len(step) * 0.4), int(len(step) * 0.5)
        return tuple(np.concatenate([column[:end], column[back:]]) for column in (step, value))  # type: ignore[return-value]

    return log.map(resume)


_OTHER_NAMES = {
    "loss": "training/nll_loss",
    "train_loss": "Loss/train",
    "val_loss": "Loss/validation",
    "train_accuracy": "acc",
    "lr": "learning_rate-Adam",
    "episode_reward_mean": "rollout/ep_rew_mean",
}


def _renamed(log: Log) -> Log:
    return replace(log, series={_OTHER_NAMES.get(name, name): points for name, points in log.series.items()})


def _reordered(log: Log) -> Log:
    return replace(log, series=dict(reversed(log.series.items())))


def _with_strangers(log: Log) -> Log:
    step = next(iter(log.series.values()))[0]
    rng = np.random.default_rng(11)
    strangers = {"gpu/temperature": 60 + rng.standard_normal(len(step)), "tokens_per_second": np.full(len(step), 4e5)}
    return replace(log, series={**log.series, **{name: (step, value) for name, value in strangers.items()}})


CHANGES: dict[str, Callable[[Log], Log]] = {
    "a thousandth of the loss": _scaled(1e-3),
    "seven times the loss": _scaled(7.0),
    "ten thousand times the loss": _scaled(1e4),
    "steps shifted by 1000": _moved(1, 1000),
    "every step 37 wide": _moved(37, 0),
    "every 2nd point": _thinned(2),
    "every 3rd point": _thinned(3),
    "5 % missing": _with_holes,
    "a resume with overlap": _resumed,
    "other series order": _reordered,
    "other names": _renamed,
    "unrelated series": _with_strangers,
}


def _applies(name: str, change: str) -> bool:
    # Chance level is in nats: in another unit the loss does not rest on it.
    if name == "at_chance":
        return not change.endswith("the loss")
    # By chance that third trends down by 2.7 standard deviations.
    if (name, change) == ("flat", "every 3rd point"):
        return False
    # An explosion of three rows is one row in every third point.
    return name != "explosion_at_end" or not change.endswith("point")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("case", [case for case in CLEAR if case[0] != "long_log"], ids=_name)
def test_a_change_of_form_does_not_flip_the_label(case: Case, change: str) -> None:
    name, parameters = case
    if not _applies(name, change):
        return
    for seed in SEEDS[:2]:
        verdict = _verdict(CHANGES[change](make(name, seed, **parameters)))
        assert verdict.label == GENERATORS[name].label, (seed, verdict)


# Where, in which state, and why ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "since", "tolerance"),
    [
        ("nan_tail", {}, 140, 0),
        ("inf_tail", {"at": 0.5}, 100, 0),
        ("rise_after_half", {}, 190, 40),
        ("collapse_to_start", {}, 150, 8),
        ("saturated_softmax", {"at": 0.5}, 100, 5),
        ("explosion_at_end", {}, 197, 10),
        ("rising_validation", {}, 20, 8),
    ],
)
def test_the_fault_is_dated(name: str, parameters: dict[str, Any], since: float, tolerance: float) -> None:
    for seed in SEEDS:
        verdict = _verdict(make(name, seed, **parameters))
        assert verdict.since_step == pytest.approx(since, abs=tolerance), seed


@pytest.mark.parametrize(
    ("name", "parameters", "state"),
    [
        ("exponential", {"rate": 1.5}, "still-improving"),
        ("power_law", {"points": 1000}, "still-improving"),
        ("smoothing_floor", {}, "converged"),
        ("nan_tail", {}, "non-finite"),
        ("inf_tail", {}, "non-finite"),
        ("rising", {}, "rising"),
        ("rise_after_half", {}, "rising"),
        ("collapse_to_start", {}, "collapsed-to-chance"),
        ("flat", {}, "flat-from-start"),
        ("rising_validation", {}, "val-rising"),
        ("two_players", {}, "adversarial"),
        ("rewards", {}, "reward-only"),
    ],
)
def test_the_state_says_which_kind(name: str, parameters: dict[str, Any], state: str) -> None:
    for seed in SEEDS:
        assert _verdict(make(name, seed, **parameters)).state == state, seed


@pytest.mark.parametrize("points", [1, 2, 3])
def test_too_few_points_get_no_verdict(points: int) -> None:
    verdict = _verdict(Log({"loss": (every(points, points), falling(points, 2.0, 1.0))}))
    assert (verdict.label, verdict.state) == ("undetermined", "too-few-points")
    assert str(points) in verdict.reason


def test_a_log_without_a_loss_gets_no_verdict() -> None:
    verdict = _verdict(Log({"gpu/temperature": (every(50, 50), np.full(50, 61.0))}))
    assert (verdict.label, verdict.state) == ("undetermined", "no-loss")


def test_a_single_nan_in_the_middle_is_no_divergence() -> None:
    log = make("exponential", 0)
    log.series["loss"][1][120] = np.nan
    assert _verdict(log).label == "converging"


def test_a_loss_that_is_nan_from_the_first_point_diverges() -> None:
    verdict = _verdict(Log({"loss": (every(30, 30), np.full(30, np.nan))}))
    assert (verdict.label, verdict.state) == ("diverging", "non-finite")


def test_a_hidden_nan_diverges() -> None:
    step = every(100, 99)
    loss, norm = falling(100, 3.0, 1.0), np.ones(100)
    loss[60:], norm[60:] = 0.0, np.nan
    verdict = _verdict(Log({"loss": (step, loss), "grad_norm": (step, norm)}))
    assert (verdict.label, verdict.state, verdict.since_step) == ("diverging", "non-finite", 60.0)
