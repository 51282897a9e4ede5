"""Facts of dumps: networks that were made with a fault, naive oracles, and dumps that no training should leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from curves import falling
from fact_runs import Array, curve, dump_of, emitted, expect_sound, generated, row, run_with

from convergence_cli.diagnosis.facts.dumps import dump_facts
from convergence_cli.tensor_stats import NUMBERS, Collection, Confusion, LabelCounts, TensorRow

LOSS = curve("train_loss", falling(50, 2, 1))
# Columns that are shares from 0 to 1, as every reader gives them.
SHARES = {"dead", "saturated", "saturated_values", "constant", "twin", "unit_variance", "sums_to_one"}
SHARES |= {"constant_features", "changed", "close", "zero"}


def _facts(*rows: TensorRow, config: dict[str, Any] | None = None, **counted: Any) -> dict[str, float]:
    return dump_facts(run_with(LOSS, dump=dump_of(*rows, **counted), config=config))


def _normal(*shape: int, seed: int = 0, std: float = 1.0) -> Array:
    return std * np.random.default_rng(seed).standard_normal(shape)


def _network(gains: Sequence[float], width: int = 64) -> list[TensorRow]:
    """Square layers whose weights have those gains: a standard deviation of gain / sqrt(fan-in)."""
    return [
        row("weight", f"fc{i}.weight", _normal(width, width, seed=i, std=gain / math.sqrt(width)), order=i)
        for i, gain in enumerate(gains)
    ]


# Weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(256, 128), (64, 32, 3, 3)])
def test_he_initialisation_has_a_gain_of_the_root_of_two(shape: tuple[int, ...]) -> None:
    fan = math.prod(shape[1:])
    found = _facts(row("weight", "fc.weight", _normal(*shape, std=math.sqrt(2 / fan))))
    expected = math.log10(math.sqrt(2))
    assert found["gain_moderate"] == pytest.approx(1 - abs(expected - 0.35) / 0.2, abs=0.05)
    assert (found["gain_large"], found["gain_small"], found["gain_uneven"], found["gain_deep"]) == (0, 0, 0, 0)


def test_a_kernel_has_its_outputs_last() -> None:
    values = _normal(400, 4, std=1 / math.sqrt(400))
    torch, keras = (_facts(row("weight", f"fc.{leaf}", values)) for leaf in ("weight", "kernel"))
    assert keras["gain_small"] == 0
    assert torch["gain_small"] == pytest.approx(1 - 0.6, abs=0.02)


@pytest.mark.parametrize("gain", [0.01, 0.5, 1.0, 10.0, 1000.0])
def test_gains_are_told_in_powers_of_ten(gain: float) -> None:
    found, size = _facts(*_network([gain] * 4)), math.log10(gain)
    assert found["gain_large"] == pytest.approx(max(size - 0.25, 0), abs=0.02)
    assert found["gain_median_large"] == pytest.approx(found["gain_large"], abs=0.02)
    assert found["gain_large_each"] == pytest.approx(max(size - 0.2, 0), abs=0.02)
    assert found["gain_deep"] == pytest.approx(max(size - 0.2, 0) * 4 / 8, abs=0.02)
    assert found["gain_small"] == pytest.approx(max(-size - 0.6, 0), abs=0.02)
    assert found["gain_median_small"] == pytest.approx(found["gain_small"], abs=0.02)
    assert found["gain_small_each"] == pytest.approx(max(-size - 0.4, 0), abs=0.02)
    assert found["gain_little_small"] == pytest.approx(max(-size - 0.3, 0), abs=0.02)
    assert found["gain_uneven"] == pytest.approx(0, abs=0.02)


def test_one_odd_layer_is_neither_each_nor_most() -> None:
    found = _facts(*_network([1.0, 1.0, 100.0, 1.0, 1.0]))
    assert found["gain_large"] == pytest.approx(1.75, abs=0.02)
    assert found["gain_uneven"] == pytest.approx(2.0, abs=0.02)
    assert (found["gain_large_each"], found["gain_median_large"]) == (0, 0)


def test_a_norm_that_is_unknown_is_no_small_weight() -> None:
    unknown = row("weight", "fc.weight", _normal(8, 8), l2=math.nan)
    assert not [name for name in _facts(unknown) if name.startswith("gain")]
    assert _facts(row("weight", "fc.weight", np.zeros((8, 8))))["gain_small"] == pytest.approx(6 - 0.6)


@pytest.mark.parametrize(("noise", "alike", "copies"), [(0.0, 1.0, 2.0), (0.03, 1.0, 0.35), (10.0, 0.0, 0.0)])
def test_units_that_are_copies_are_alike(noise: float, alike: float, copies: float) -> None:
    units = np.tile(_normal(1, 32, seed=1), (16, 1)) + noise * _normal(16, 32)
    found = _facts(row("weight", "fc.weight", units))
    assert found["units_alike"] == found["units_alike_all"] == pytest.approx(alike, abs=0.02)
    assert found["units_copies"] == pytest.approx(copies, abs=0.05)


@pytest.mark.parametrize("factor", [0.1, 1.0, 100.0])
def test_growth_of_weights_is_from_the_first_dump_to_the_last(factor: float) -> None:
    found = _facts(*(row("weight", "fc.weight", _normal(8, 8) * factor**i, step=10.0 * i) for i in (0, 0.5, 1)))
    assert found["weights_growth"] == pytest.approx(math.log10(factor), abs=1e-6)
    assert found["weights_shrunk"] == pytest.approx(max(-math.log10(factor), 0), abs=1e-6)


def _dumps(still: str, steps: Sequence[float] = (0, 10, 20)) -> list[TensorRow]:
    rows = []
    for i, step in enumerate(steps):
        for order, name in enumerate("ab"):
            told = {"changed": 0.0 if name in still else 1.0, "change_steps": step - steps[i - 1]} if i else {}
            rows.append(row("weight", f"{name}.weight", _normal(8, 8), step, order, **told))
    return rows


@pytest.mark.parametrize(("still", "share", "every", "some"), [("", 0, 0, 0), ("a", 0.5, 0, 1), ("ab", 1, 1, 0)])
def test_weights_that_stand_still_are_counted(still: str, share: float, every: float, some: float) -> None:
    found = _facts(*_dumps(still))
    assert (found["weights_still"], found["weights_all_still"], found["weights_some_still"]) == (share, every, some)


def test_weights_before_training_and_those_of_its_first_dump_do_not_stand_still() -> None:
    rows = [row("weight", "a.weight", _normal(8, 8))]
    rows.append(row("weight", "a.weight", _normal(8, 8), 1.0, changed=0.0, change_steps=0.0))
    assert _facts(*rows)["weights_all_still"] == 0
    assert _facts(_dumps("a")[0])["weights_still"] == 0


def test_depth_width_biases_and_broken_weights() -> None:
    deep = _facts(*_network([1.0] * 8), row("weight", "fc0.bias", np.full(64, -5.0), order=9))
    assert deep["depth"] == pytest.approx(1.0)
    assert deep["bias_negative"] == pytest.approx(1.0)
    assert (deep["narrow"], deep["weights_broken"]) == (0, 0)
    assert _facts(*_network([1.0] * 3, width=2))["narrow"] == pytest.approx(math.log10(4))
    broken = _normal(8, 8)
    broken[0, 0] = math.nan
    assert _facts(row("weight", "a.weight", broken))["weights_broken"] == 1


# Updates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1e-7, 1e-5, 1e-3, 0.1, 10.0])
def test_updates_beside_their_weights(ratio: float) -> None:
    rows = []
    for step in (0.0, 10.0, 20.0):
        rows.append(row("weight", "fc.weight", _normal(8, 8), step))
        rows.append(row("update", "fc.weight", ratio * _normal(8, 8), step, 1))
    found, size = _facts(*rows), math.log10(ratio)
    assert found["updates_known"] == 1
    assert found["update_large"] == pytest.approx(max(size + 2, 0), abs=1e-6)
    assert found["update_small"] == pytest.approx(max(-4 - size, 0), abs=1e-6)
    assert found["update_tiny"] == pytest.approx(max(-6 - size, 0), abs=1e-6)
    assert found["update_usual"] == pytest.approx(max(1 - abs(size + 3), 0), abs=1e-6)
    assert found["update_first_large"] == pytest.approx(max(size - math.log10(2e-2), 0), abs=1e-6)
    assert found["update_first_small"] == pytest.approx(max(-4 - size, 0), abs=1e-6)
    assert found["update_leap"] == 0


def test_one_large_update_is_a_leap() -> None:
    rows = [row("weight", "fc.weight", _normal(8, 8), step) for step in (0.0, 1.0, 2.0, 3.0)]
    rows += [
        row("update", "fc.weight", _normal(8, 8, std=std), step, 1)
        for step, std in enumerate((1e-3, 1e-3, 1e-3, 1.0), 0)
    ]
    assert _facts(*rows)["update_leap"] == pytest.approx(2.0, abs=0.01)


# Gradients --------------------------------------------------------------------------------------------------


def _gradients(sizes: Sequence[float], layers: Sequence[float] = (1.0,)) -> list[TensorRow]:
    return [
        row("gradient", f"fc{i}.weight", size * part * _normal(8, 8, seed=i) / 8, 10.0 * k, i)
        for k, size in enumerate(sizes)
        for i, part in enumerate(layers)
    ]


def test_no_gradient_anywhere() -> None:
    found = _facts(*_gradients([0.0, 0.0, 0.0], [1.0, 1.0]))
    assert (found["gradient_all_zero"], found["gradient_zero"], found["gradient_broken"]) == (1, 1, 0)
    expect_sound(found)


def test_a_broken_gradient_is_told_from_one_that_was_not_measured() -> None:
    bad = _normal(8, 8)
    bad[0, 0] = math.nan
    for values in (bad, np.full((8, 8), math.inf)):
        found = _facts(row("gradient", "fc.weight", values))
        assert (found["gradient_broken"], found["gradient_broken_first"]) == (1, 1)
    later = _facts(*_gradients([1.0]), row("gradient", "fc0.weight", bad, 10.0))
    assert (later["gradient_broken"], later["gradient_broken_first"]) == (1, 0)
    unmeasured = _facts(row("gradient", "fc.weight", _normal(8, 8), l2=math.nan))
    assert (unmeasured["gradient_broken"], unmeasured["gradient_broken_first"]) == (0, 0)


@pytest.mark.parametrize("power", [-1.0, 0.0, 1.0])
def test_the_trend_of_gradients_is_their_exponent(power: float) -> None:
    found = _facts(*_gradients([max(k, 0.5) ** power for k in range(8)]))
    assert found["gradient_trend"] == pytest.approx(power, abs=1e-6)
    assert found["gradient_growth"] == pytest.approx(power * math.log10(6 / 0.5), abs=1e-6)


def test_levels_of_gradients() -> None:
    large = _facts(*_gradients([1e4, 1.0, 1e-6]))
    assert large["gradient_first_large"] == pytest.approx(3.0, abs=0.1)
    assert large["gradient_end_small"] == pytest.approx(2.0, abs=0.1)
    assert large["gradient_leap"] == pytest.approx(3.0, abs=0.1)
    assert _facts(*_gradients([3e-4]))["gradient_first_small"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_gradients_that_fade_or_grow_on_their_way_back(factor: float) -> None:
    # The way back begins at the last layer.
    found = _facts(*_gradients([1.0], [factor**i for i in range(4)]))
    assert found["gradient_fades"] == pytest.approx(max(3 * math.log10(factor) - 1, 0), abs=0.15)
    assert found["gradient_grows_back"] == pytest.approx(max(-3 * math.log10(factor) - 1, 0), abs=0.15)


# Activations, inputs, outputs, labels -----------------------------------------------------------------------


def _activations(function: str, numbers: Sequence[dict[str, float]], stds: Sequence[float]) -> list[TensorRow]:
    return [
        row("activation", f"act{i}", _normal(16, 8, seed=i, std=std), 10.0 * k, i, function=function, **told)
        for k, told in enumerate(numbers)
        for i, std in enumerate(stds)
    ]


def test_dead_and_saturated_units_at_the_start_and_at_the_end() -> None:
    relu = _facts(*_activations("relu", [{"dead": 0.1}, {"dead": 0.7}], [1.0, 1.0]))
    assert (relu["relu_seen"], relu["dead_first"], relu["dead_end"], relu["bounded_seen"]) == (1, 0.1, 0.7, 0)
    told = [{"saturated_values": 0.2}, {"saturated_values": 0.9}]
    sigmoid = _facts(*_activations("sigmoid_input", told, [1.0, 1.0, 1.0]))
    assert (sigmoid["bounded_seen"], sigmoid["sigmoid_seen"], sigmoid["flat_first"], sigmoid["flat_end"]) == (
        1,
        1,
        0.2,
        0.9,
    )
    assert sigmoid["sigmoid_layers"] == pytest.approx(math.log(4))


def test_how_activations_change_from_layer_to_layer() -> None:
    fading = _facts(*_activations("", [{}], [1.0, 0.1, 0.01]))
    swelling = _facts(*_activations("", [{}], [0.01, 0.1, 1.0]))
    assert fading["activation_fades"] == pytest.approx(2.0, abs=0.1)
    assert swelling["activation_swells"] == pytest.approx(2.0, abs=0.1)
    assert fading["activation_swells"] == swelling["activation_fades"] == 0
    assert fading["activation_uneven"] == pytest.approx(1.3, abs=0.1)
    assert fading["activation_first_small"] == pytest.approx(1.0, abs=0.1)
    assert fading["activation_growth"] == 0


def test_the_scale_of_inputs() -> None:
    plain = _facts(row("input", "x", _normal(32, 8)))
    assert plain["inputs_dumped"] == 1
    assert (plain["input_scale_large"], plain["input_scale_small"], plain["input_offset"]) == (0, 0, 0)
    large = _facts(row("input", "x", 100 + _normal(32, 8), feature_offset=100.0, feature_spread=1000.0))
    assert large["input_scale_large"] == pytest.approx(math.log10(100 / 3), abs=0.01)
    assert large["input_offset"] == pytest.approx(2.0, abs=0.05)
    assert (large["feature_offset"], large["feature_spread"]) == pytest.approx((2.0, 2.0))
    assert _facts(row("input", "x", _normal(32, 8, std=2e-3)))["input_scale_small"] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("dtype", ["int64", "uint8"])
def test_tokens_and_pictures_of_integers_have_no_scale(dtype: str) -> None:
    tokens = np.random.default_rng(0).integers(0, 30_000, (8, 64)).astype(np.float64)
    assert not [name for name in _facts(row("input", "x", tokens, dtype=dtype)) if "input" in name or "feature" in name]


def test_one_batch_far_out_of_range_is_a_leap() -> None:
    usual = [row("input", "x", _normal(32, 8, seed=i), 10.0 * i) for i in range(5)]
    assert _facts(*usual)["input_leap"] == 0
    assert _facts(*usual, row("input", "x", 1000 * _normal(32, 8), 50.0))["input_leap"] > 2


def test_outputs() -> None:
    first, last = row("output", "out", _normal(32, 8)), row("output", "out", 1000 + _normal(32, 8, std=10.0), 10.0)
    found = _facts(first, last)
    assert (found["output_first_large"], found["output_first_small"]) == (0, 0)
    assert found["output_growth"] == pytest.approx(1.0, abs=0.05)
    assert found["output_mean_large"] == pytest.approx(math.log10(200), abs=0.01)
    assert (found["output_one_sided"], found["no_classes_told"]) == (1, 1)
    # A dump that keeps no moments, as some do, tells nothing of them.
    bare = _facts(row("output", "out", _normal(32, 8), mean=math.nan, std=math.nan))
    assert (bare["output_one_sided"], bare["output_mean_large"], bare["output_growth"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("counts", "uneven", "above"),
    [([100, 100], 0.0, 0.0), ([990, 10], 0.919, 0.49), ([100] * 10, 0.0, 0.0), ([40, 0], 1.0, 0.5)],
)
def test_how_uneven_labels_are(counts: list[int], uneven: float, above: float) -> None:
    found = _facts(row("weight", "a.weight", _normal(8, 8)), labels={float(i): n for i, n in enumerate(counts)})
    assert found["labels_known"] == 1
    assert found["labels_uneven"] == pytest.approx(uneven, abs=0.001)
    assert found["commonest_share"] == pytest.approx(above)


def test_right_and_wrong_predictions() -> None:
    right = _facts(row("output", "out", _normal(32, 3)), confusion=np.diag([20, 20, 20]))
    assert (right["train_right"], right["train_right_gain"], right["below_chance"]) == (1, 0, 0)
    assert right["no_classes_told"] == 0
    # The loss ends at 1, where a third of chance level is 0.33.
    assert right["dear_for_right"] == pytest.approx(0.5 * math.log10(1.0 / (0.3 * math.log(3))), abs=0.01)
    wrong = _facts(row("output", "out", _normal(32, 3)), confusion=np.array([[0, 20, 0], [0, 0, 20], [20, 0, 0]]))
    assert (wrong["train_right"], wrong["below_chance"]) == (0, 1)


def test_targets_of_a_regression() -> None:
    assert _facts(row("label", "y", 300 + _normal(64, 1)))["target_large"] == pytest.approx(2.0, abs=0.01)
    assert _facts(row("label", "y", _normal(64, 1)))["target_large"] == 0


# What no training should leave ------------------------------------------------------------------------------


def _drawn(seed: int) -> Collection:
    """A dump of tensors whose numbers are drawn from odd ones; shares are shares."""
    rng = np.random.default_rng(seed)
    odd = [0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e300, 1e-300, 64.0, 0.5, 5e-324]
    shapes: list[tuple[int, ...] | None] = [None, (), (8,), (8, 8), (0, 8), (8, 0), (3, 3, 4, 4), (1, 1)]
    found = Collection()
    for step in range(int(rng.integers(1, 5))):
        for kind in ("weight", "gradient", "update", "activation", "input", "output", "label"):
            for order in range(int(rng.integers(0, 4))):
                numbers = {name: float(rng.choice(odd)) for name in NUMBERS if name != "step" and rng.random() < 0.6}
                numbers |= {name: float(rng.random()) for name in SHARES & numbers.keys()}
                # Of the values that there are.
                numbers |= {"count": 1.0} if "zero" in numbers else {}
                name = f"l{order}{rng.choice(['.weight', '.bias', '.kernel', ''])}"
                function = str(rng.choice(["", "relu", "tanh", "sigmoid", "sigmoid_input"]))
                rest: dict[str, Any] = {"shape": shapes[int(rng.integers(len(shapes)))], "function": function}
                found.rows.append(TensorRow(float(step), kind, name, f"l{order}", **numbers | {"order": order} | rest))
    if rng.random() < 0.4:
        found.labels.append(LabelCounts(0.0, "y", (0.0, 1.0), (int(rng.integers(0, 50)), 0)))
    if rng.random() < 0.4:
        found.confusions.append(Confusion(0.0, "o", rng.integers(0, 20, (2, 2))))
    if rng.random() < 0.2:
        found.confusions.append(Confusion(1.0, "o", np.zeros((0, 0), dtype=np.int64)))
    return found


@pytest.mark.parametrize("part", range(8))
def test_no_dump_gives_an_unsound_fact(part: int) -> None:
    classes = [None, 0, -1, "x", 10, math.nan, 1, True]
    for seed in range(25 * part, 25 * part + 25):
        curves = (LOSS,) if seed % 2 else ()
        config = {"num_classes": classes[seed % len(classes)], "learning_rate": 0.1, "optimizer": "sgd"}
        expect_sound(dump_facts(run_with(*curves, dump=_drawn(seed), config=config)), seed)


def test_generated_runs_give_sound_facts() -> None:
    for name, evidence in generated().items():
        expect_sound(dump_facts(evidence), name)
    assert {"gain_large", "dead_first", "flat_first"} <= {name for name, (_, high) in emitted().items() if high > 0}


def test_without_a_dump_there_are_no_facts_and_of_an_empty_one_few() -> None:
    assert dump_facts(run_with(LOSS)) == {}
    assert {name for name, value in _facts().items() if value} == {"dumped"}


def test_the_unit_of_tensors_without_one_does_not_matter_to_what_changes() -> None:
    usual, scaled = (
        _facts(*_gradients([unit, 2 * unit, 4 * unit, 90 * unit], [1.0, 1.0, 30.0])) for unit in (1.0, 8.0)
    )
    for name in ("gradient_growth", "gradient_leap", "gradient_trend", "gradient_fades", "gradient_zero"):
        assert scaled[name] == pytest.approx(usual[name]), name
