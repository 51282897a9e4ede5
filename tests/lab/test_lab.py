"""The lab itself: its faults are really there, and its healthy trainings learn."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lab import Truth, run_of, trained
from lab.catalogue import FAULTS, HEALTHY
from lab.measures import (
    activation,
    by_unit,
    confusion,
    dead_share,
    dumps_of,
    gradient_norms,
    norm,
    step_ratio,
    total_gradient,
    weights,
)
from lab.setup import ARCHITECTURES

Check = Callable[[Truth], bool]
CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    def add(measure: Check) -> Check:
        CHECKS[name] = measure
        return measure

    return add


@check("vanishing-gradient")
def _(truth: Truth) -> bool:
    first = gradient_norms(dumps_of(truth)[0][1])
    return first[truth.layers[0]] < 2e-3 * max(first.values())


@check("exploding-gradient")
def _(truth: Truth) -> bool:
    dumps = dumps_of(truth)
    totals = np.array([total_gradient(dumped) for _, dumped in dumps])
    assert np.isfinite(totals).all()
    norms = gradient_norms(dumps[0][1])
    over_depth = norms[truth.layers[0]] / norms[list(norms)[-1]]
    return bool(totals[-1] > 1e4 * totals[:3].max() or over_depth > 30)


@check("exploding-tensor")
def _(truth: Truth) -> bool:
    finite = [all(np.isfinite(v).all() for n, v in d.items() if n.startswith("weight/")) for _, d in dumps_of(truth)]
    return finite[0] and not finite[-1]


@check("gradient-starvation")
def _(truth: Truth) -> bool:
    losses = np.array([row[1] for row in truth.rows])
    dumps = dumps_of(truth)
    before = np.median([gradient_norms(dumped)[truth.layers[0]] for _, dumped in dumps[:4]])
    return bool(losses.max() > 3 * losses[0] and gradient_norms(dumps[-1][1])[truth.layers[0]] < 0.1 * before)


@check("dead-relu")
def _(truth: Truth) -> bool:
    return dead_share(activation(dumps_of(truth)[-1][1], truth.layers)) > 0.6


@check("saturated-activation")
def _(truth: Truth) -> bool:
    values = activation(dumps_of(truth)[0][1], truth.layers)
    ends = np.abs(values) > 0.999 if values.min() < 0 else np.abs(values - 0.5) > 0.4995
    return bool(ends.mean() > 0.7)


@check("all-zero-tensor")
def _(truth: Truth) -> bool:
    dumped = dumps_of(truth)[-1][1]
    found = dumped["input/x"] if truth.layers[0] == "x" else weights(dumped, truth.layers[0])
    return not found.any()


@check("tensor-variance")
def _(truth: Truth) -> bool:
    outputs = [value for name, value in dumps_of(truth)[-1][1].items() if name.startswith("output/")]
    return bool(outputs[0].std(0).max() < 1e-6)


@check("activation-scale-drift")
def _(truth: Truth) -> bool:
    names = [f"activation/{name}" for name in truth.layers]
    dumps = dumps_of(truth)
    half = len(dumps) // 2
    spreads = [
        [dumped[name].std() for _, dumped in (dumps[0], dumps[half], dumps[-1])]
        for name in names
        if name in dumps[0][1]
    ]
    # A net born small also grows, but early.
    return any(bool(last > 5 * first and last > 2.5 * middle) for first, middle, last in spreads)


@check("attention-logit-growth")
def _(truth: Truth) -> bool:
    tops = [np.abs(v[np.isfinite(v)]).max() for v in (d[f"activation/{truth.layers[0]}"] for _, d in dumps_of(truth))]
    return bool(tops[-1] > 10 * tops[0] and tops[-1] > 30)


@check("output-logit-growth")
def _(truth: Truth) -> bool:
    tops = [np.abs(dumped["output/logits"]).max() for _, dumped in dumps_of(truth)]
    return bool(tops[-1] > 10 * tops[0] and tops[-1] > 50)


@check("symmetric-initialization")
def _(truth: Truth) -> bool:
    first = dumps_of(truth)[0][1]
    return all(bool((weights(first, layer) == weights(first, layer)[:1]).all()) for layer in truth.layers)


def _gain(truth: Truth) -> float:
    """Root mean square of the hit layers' first weights, over that which keeps the variance."""
    first = dumps_of(truth)[0][1]
    arrays = [weights(first, layer) for layer in truth.layers]
    return float(np.median([w.std() * np.sqrt(w[0].size) for w in arrays]))


@check("initialization-too-small")
def _(truth: Truth) -> bool:
    return _gain(truth) < 0.05


@check("initialization-too-large")
def _(truth: Truth) -> bool:
    return _gain(truth) > 3


@check("uneven-activation-scale")
def _(truth: Truth) -> bool:
    first = dumps_of(truth)[0][1]
    spreads = {name: values.std() for name, values in first.items() if name.startswith("activation/relu")}
    before = [name for name in spreads if name.removeprefix("activation/") not in truth.layers]
    after = [name for name in spreads if name not in before]
    return bool(spreads[after[0]] > 8 * spreads[before[-1]])


@check("update-ratio-too-small")
def _(truth: Truth) -> bool:
    return step_ratio(dumps_of(truth), truth.layers[-1]) < 3e-5


@check("update-ratio-too-large")
def _(truth: Truth) -> bool:
    dumps = dumps_of(truth)
    assert all(np.isfinite(total_gradient(dumped)) for _, dumped in dumps)
    return max(step_ratio(dumps[:3], layer) for layer in truth.layers if f"weight/{layer}.weight" in dumps[0][1]) > 0.1


@check("frozen-parameters")
def _(truth: Truth) -> bool:
    dumps = dumps_of(truth)
    name = f"gradient/{truth.layers[0]}.weight"
    flows = name not in dumps[0][1] or bool(dumps[0][1][name].any())
    return flows and bool((weights(dumps[0][1], truth.layers[0]) == weights(dumps[-1][1], truth.layers[0])).all())


@check("unchanged-tensor")
def _(truth: Truth) -> bool:
    dumps = dumps_of(truth)
    return bool((weights(dumps[-3][1], truth.layers[0]) == weights(dumps[-1][1], truth.layers[0])).all())


@check("weights-growing")
def _(truth: Truth) -> bool:
    dumps = dumps_of(truth)
    return all(norm(weights(dumps[-1][1], n)) > 2.5 * norm(weights(dumps[0][1], n)) for n in truth.layers)


@check("replicas-differ")
def _(truth: Truth) -> bool:
    apart = [
        norm(weights(one, truth.layers[-1]) - weights(other, truth.layers[-1]))
        for (_, one), (_, other) in zip(dumps_of(truth, 0), dumps_of(truth, 1), strict=True)
    ]
    return apart[0] == 0 and apart[-1] > 0


@check("stalled-writer")
def _(truth: Truth) -> bool:
    times = sorted(path.stat().st_mtime for path in (truth.folder / "tensors").iterdir())
    planned = json.loads((truth.folder / "config.json").read_text())["max_steps"]
    return time.time() - times[-1] > 10 * max(np.diff(times)) and dumps_of(truth)[-1][0] + 1 < planned


@check("unnormalized-input")
def _(truth: Truth) -> bool:
    x = dumps_of(truth)[0][1]["input/x"]
    features = x.reshape(len(x), -1) if x.ndim == 4 else by_unit(x)
    return bool(np.abs(features.mean(0)).max() > 50 or features.std(0).max() > 100)


@check("class-imbalance")
def _(truth: Truth) -> bool:
    labels = np.concatenate([dumped["label/y"] for _, dumped in dumps_of(truth)])
    return bool(np.bincount(labels).max() / len(labels) > 0.9)


@check("class-misprediction")
def _(truth: Truth) -> bool:
    matrix = confusion(dumps_of(truth)[-1][1])
    return bool(matrix.diagonal().min() < 0.3 and np.median(matrix.diagonal()) > 0.6)


@check("class-confusion")
def _(truth: Truth) -> bool:
    matrix = confusion(dumps_of(truth)[-1][1])
    both = matrix + matrix.T
    first, second = truth.seed % len(matrix), (truth.seed + 1) % len(matrix)
    return bool(both[first, second] > 0.5)


@check("padded-sequences")
def _(truth: Truth) -> bool:
    return bool((dumps_of(truth)[0][1]["input/x"] == 0).mean() > 0.55)


def test_every_fault_is_measured() -> None:
    assert CHECKS.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_is_really_there_and_its_twin_lacks_it(fault: str) -> None:
    kind = FAULTS[fault]
    measure = CHECKS[fault]
    for place, architecture in enumerate(kind.architectures):
        truth = trained(fault, architecture, place)
        assert truth.rules[0] == fault
        assert measure(truth), f"{fault} is not to be seen in {architecture} with seed {place}"
    faulty = trained(fault, kind.architectures[0], 0)
    twin = trained("replicas-in-sync" if fault == "replicas-differ" else None, kind.architectures[0], 0)
    assert not measure(replace(faulty, folder=twin.folder, rows=twin.rows))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_healthy_twin_learns(architecture: str) -> None:
    for seed in range(2):
        truth = trained(None, architecture, seed)
        assert truth.healthy
        assert truth.layers == ()
        assert np.mean([row[1] for row in truth.rows[-5:]]) < 0.75 * truth.rows[0][1]
        assert truth.rows[-1][2] < 0.9 * truth.rows[0][2]


@pytest.mark.parametrize("name", HEALTHY)
def test_an_odd_but_healthy_training_learns(name: str) -> None:
    truth = trained(name, HEALTHY[name].architectures[0], 0)
    assert truth.healthy
    assert np.mean([row[1] for row in truth.rows[-5:]]) < 0.8 * truth.rows[0][1]


def test_a_run_is_the_same_each_time_and_looks_like_a_users(tmp_path) -> None:
    one, other = (run_of("dead-relu", "mlp", 3, tmp_path / name) for name in ("one", "other"))
    assert one.rows == other.rows
    for (step, first), (_, second) in zip(dumps_of(one), dumps_of(other), strict=True):
        assert first.keys() == second.keys()
        assert all(np.array_equal(first[name], second[name]) for name in first), step
    steps = [step for step, _ in dumps_of(one)]
    config = json.loads((one.folder / "config.json").read_text())
    assert steps[0] == 0
    assert steps[-1] == config["max_steps"] - 1
    assert (one.folder / "metrics.csv").read_text().startswith("step,train_loss,val_loss,lr\n0,")


def test_a_fault_is_only_made_for_the_architectures_that_can_have_it(tmp_path) -> None:
    with pytest.raises(ValueError, match="dead-relu is not made for gru, but for mlp"):
        run_of("dead-relu", "gru", 0, tmp_path / "run")
