"""The zoo's trainings: the same twice, logged as they went, changed by every fault, and read back by the product."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from zoo import specimen as specimens_of
from zoo.building import Training, build
from zoo.catalogue import FAULTS, Specimen
from zoo.examples import examples_of, folders_of
from zoo.odd import ODD
from zoo.plan import FITTING, Plan
from zoo.specimen import hides, made, make, truth_of
from zoo.training import PROBE_ROWS, PROBES, Trace, train

from convergence_cli.model import LABELS
from convergence_cli.pipeline import read_run

if TYPE_CHECKING:
    from zoo.log import Log

ROLES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate", "grad_norm")


def tiny(architecture: str = "linear", dataset: str = "wine", **options: Any) -> Plan:
    known: dict[str, Any] = {
        "seed": 3, "optimizer": "Adam", "schedule": "constant", "rate_factor": 1.0, "batch_size": 16, "steps": 60,
        "points": 30, "evaluations": 10,
    }  # fmt: skip
    return Plan(architecture=architecture, dataset=dataset, **(known | options))


def trained(plan: Plan) -> tuple[Log, Trace]:
    return train(build(plan))


def steps_of(points: list[tuple[int, float, float]]) -> list[int]:
    return [step for step, _, _ in points]


def values_of(points: list[tuple[int, float, float]]) -> list[float]:
    return [value for _, _, value in points]


# Dropout, norm, a schedule and a loader: all that draws random numbers.
@pytest.mark.parametrize(
    ("architecture", "dataset"), [("mlp", "moons"), ("gru", "adding"), ("autoencoder", "low_rank")]
)
def test_a_training_is_the_same_twice(architecture: str, dataset: str) -> None:
    options = {"dropout": 0.3, "norm": "batch", "schedule": "cosine", "with_accuracy": True, "with_norm": True}
    options |= {"val_rows": 32, "val_redrawn": True, "steps": 20}
    once = trained(tiny(architecture, dataset, **options))
    torch.rand(7)
    np.random.seed(1)
    random.seed(2)
    again = trained(tiny(architecture, dataset, **options))
    assert once == again
    other = trained(tiny(architecture, dataset, **options, seed=4))
    assert other[1].train != once[1].train
    assert other[0].train_loss != once[0].train_loss


def test_what_is_recorded_beside_it_changes_no_training(tmp_path: Path) -> None:
    alone = trained(tiny("mlp", dropout=0.3))
    assert train(build(tiny("mlp", dropout=0.3)), tmp_path / "recorded") == alone
    run = read_run(tmp_path / "recorded")
    loss = run.curve("train_loss")
    assert loss is not None
    assert loss.step.tolist() == list(range(1, 61))
    # The log has every other step.
    assert [loss.value[step - 1] for step in steps_of(alone[0].train_loss)] == values_of(alone[0].train_loss)
    assert run.tensors is not None
    assert run.config["optimizer"] == "adam"


def test_the_trace_has_no_noise_and_starts_before_the_first_step() -> None:
    training = build(tiny("mlp", dropout=0.5))
    data, model = training.data, training.model.eval()
    rows = data.x[:PROBE_ROWS], data.y[:PROBE_ROWS]
    with torch.no_grad():
        first = [float(training.loss(model(x), y)) for x, y in (rows, (data.x_val, data.y_val))]
    log, trace = train(training)
    model.eval()
    with torch.no_grad():
        last = [float(training.loss(model(x), y)) for x, y in (rows, (data.x_val, data.y_val))]
    assert [trace.train[0], trace.val[0]] == first
    assert [trace.train[-1], trace.val[-1]] == last
    assert last[0] < 0.5 * first[0]
    assert trace.step == list(range(61))
    assert (trace.planned, trace.nonfinite_from) == (60, None)
    assert len(trace.train) == len(trace.val) == 61
    assert log.val_loss[-1][2] == last[1]
    longer = trained(tiny(steps=200, evaluations=5))[1].step
    assert len(longer) == PROBES + 1
    assert (longer[0], longer[-1]) == (0, 200)


def test_the_constant_answer_is_the_best_one_that_ignores_its_input() -> None:
    assert trained(tiny(steps=12))[1].constant == pytest.approx(math.log(3), rel=0.02)
    assert trained(tiny(dataset="diabetes", steps=12))[1].constant == pytest.approx(1.0, rel=0.1)
    data = build(tiny()).data
    # Of all answers that are the same for all rows, by descent.
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(logits.expand(len(data.y), 3), data.y)
        value.backward()
        return value.detach()

    optimizer.step(loss)
    assert data.constant_loss == pytest.approx(float(loss()), rel=1e-5)
    # Where the loss is another one, it cannot be compared.
    assert trained(tiny(steps=12, smoothing=0.1))[1].constant is None
    wrong = tiny(steps=12)
    FAULTS["wrong-loss"].change(wrong, 3, random.Random(1))
    assert trained(wrong)[1].constant is None


@pytest.mark.parametrize("logged", ["steps", "windows", "epochs"])
def test_what_is_logged_when(logged: str) -> None:
    plan = tiny(rows=64, steps=60, logged=logged, points=15, evaluations=6, with_accuracy=True, with_norm=True)
    training = build(plan)
    seen: list[float] = []
    of_step = training.loss

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        value = of_step(output, y)
        if training.model.training:
            seen.append(value.item())
        return value

    training.loss = loss
    log, trace = train(training)
    assert len(seen) == 60
    assert training.steps_per_epoch == 4
    every = range(4, 61, 4)
    means = [math.fsum(seen[step - 4 : step]) / 4 for step in every]
    steps = [1, *every] if logged == "steps" else [*every]
    values = [seen[step - 1] for step in steps] if logged == "steps" else means
    assert steps_of(log.train_loss) == steps_of(log.learning_rate) == steps_of(log.grad_norm) == steps
    assert values_of(log.train_loss) == values
    assert [epoch for _, epoch, _ in log.train_loss] == [step / 4 for step in steps]
    assert steps_of(log.val_loss) == ([*every] if logged == "epochs" else [*range(10, 61, 10)])
    assert steps_of(log.val_accuracy) == steps_of(log.val_loss)
    assert steps_of(log.train_accuracy) == ([*every] if logged == "epochs" else [])
    assert log.per_epoch == (logged == "epochs")
    assert log.last_step == 60 == trace.step[-1]
    assert all(0 <= value <= 1 for value in values_of(log.val_accuracy))
    assert set(log.config) >= {"optimizer", "learning_rate", "batch_size", "max_steps", "num_classes"}


def test_what_the_user_did_not_log_is_absent() -> None:
    log, _ = trained(tiny(with_val=False, with_rate=False, with_classes=False))
    assert [role for role in ROLES if getattr(log, role)] == ["train_loss"]
    assert "num_classes" not in log.config


def test_a_training_that_has_hardly_any_epochs_is_not_logged_by_them() -> None:
    assert not trained(tiny(logged="epochs", steps=20))[0].per_epoch
    assert trained(tiny(logged="epochs", steps=21))[0].per_epoch


def test_three_to_eight_epochs_have_one_row_each() -> None:
    counts = set()
    for seed in range(6):
        plan = tiny(rows=64, seed=seed)
        ODD["three-epochs"](plan, random.Random(seed))
        log, trace = trained(plan)
        count = len(log.train_loss)
        counts.add(count)
        assert [epoch for _, epoch, _ in log.train_loss] == [*range(1, count + 1)]
        assert steps_of(log.val_loss) == steps_of(log.train_loss)
        assert log.per_epoch
        assert log.config["epochs"] == count
        assert trace.planned == trace.step[-1] == log.last_step
    assert counts <= {3, 4, 5, 6, 7, 8}
    assert len(counts) > 2


def test_a_resumed_run_goes_back_to_its_checkpoint() -> None:
    plan = tiny(points=60, rate_factor=3.0)
    ODD["resumed"](plan, random.Random(1))
    log, trace = trained(plan)
    crash = int(60 * plan.resumed_at)
    kept = int(0.8 * crash)
    assert steps_of(log.train_loss) == [*range(1, crash + 1), *range(kept + 1, 61)]
    # The loader goes on, so that the steps that are made again see other rows.
    first, again = (values_of(log.train_loss)[start : start + crash - kept] for start in (kept, crash))
    assert first != again
    # What really happened is told once, and goes on from the checkpoint.
    assert trace.step == list(range(61))
    assert trace.train[kept + 1] == pytest.approx(trace.train[kept], rel=0.2)
    assert trace.train[kept + 1] < 0.9 * trace.train[0]
    never, whole = trained(tiny(points=60, rate_factor=3.0))
    assert trace.train[: kept + 1] == whole.train[: kept + 1]
    assert never.train_loss[:crash] == log.train_loss[:crash]


@pytest.mark.parametrize("logged", ["steps", "windows", "epochs"])
def test_a_run_that_stops_at_nan_logs_it_last(logged: str) -> None:
    plan = tiny(logged=logged, evaluations=60, points=20)
    FAULTS["numerical-overflow"].change(plan, 3, random.Random(2))
    log, trace = trained(plan)
    assert trace.nonfinite_from is not None
    assert trace.step[-1] < 60
    assert not math.isfinite(log.train_loss[-1][2])
    assert log.last_step == log.train_loss[-1][0] >= trace.nonfinite_from
    for role in ROLES:
        steps = steps_of(getattr(log, role))
        assert steps == sorted(set(steps)), role
    before = [value for step, _, value in log.train_loss if step < trace.nonfinite_from]
    assert all(map(math.isfinite, before))


def test_a_run_that_does_not_stop_at_nan_logs_it_until_its_end() -> None:
    plan = tiny(stops_at_nan=False)
    FAULTS["numerical-overflow"].change(plan, 3, random.Random(2))
    log, trace = trained(plan)
    assert log.last_step == trace.step[-1] == 60
    assert trace.nonfinite_from is not None
    finite = [math.isfinite(value) for value in values_of(log.train_loss)]
    assert finite == sorted(finite, reverse=True)
    assert not finite[-1]


def test_one_bad_value_that_passes_is_not_the_end() -> None:
    training = build(tiny())
    of_step = training.loss
    count = 0

    def loss(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += training.model.training
        # The update of this step is undone below.
        return of_step(output, y) * (math.nan if training.model.training and count == 20 else 1.0)

    training.loss = loss
    training.after_backward.append(lambda step: training.model.zero_grad() if step == 20 else None)
    log, trace = train(training)
    assert [step for step, _, value in log.train_loss if not math.isfinite(value)] == [20]
    assert trace.nonfinite_from is None
    assert trace.step[-1] == 60


def test_patience_ends_a_training() -> None:
    log, trace = trained(tiny(patience=2, rate_factor=0.0, evaluations=20, steps=60))
    # Without any progress: the first evaluation is the best, and three that are no better follow.
    assert steps_of(log.val_loss) == [3, 6, 9, 12]
    assert trace.step[-1] == 12
    assert trace.planned == 60


def test_a_fine_tuned_model_begins_good() -> None:
    plan = tiny()
    ODD["fine-tuning"](plan, random.Random(1))
    log, trace = trained(plan)
    assert trace.train[0] < 0.5 * trained(tiny())[1].train[0]
    assert steps_of(log.train_loss)[0] == 1


@pytest.mark.parametrize(("kind", "change"), [("large-constant", "plus"), ("tiny-unit", "times")])
def test_another_unit_is_shown_and_not_trained_on(kind: str, change: str) -> None:
    plan = tiny()
    ODD[kind](plan, random.Random(4))
    shown, trace = trained(plan)
    plain, same = trained(tiny())
    assert trace == same
    assert shown.learning_rate == plain.learning_rate
    pairs = [*zip(values_of(shown.train_loss) + values_of(shown.val_loss),
                  values_of(plain.train_loss) + values_of(plain.val_loss), strict=True)]  # fmt: skip
    constants = [a - b if change == "plus" else a / b for a, b in pairs]
    assert constants == pytest.approx([constants[0]] * len(constants))
    assert constants[0] not in (0.0, 1.0)


def change_of(kind: str, severity: int) -> Callable[[Plan], None]:
    if kind in ODD:
        return lambda plan: ODD[kind](plan, random.Random(2))
    return lambda plan: FAULTS[kind].change(plan, severity, random.Random(2))


def place_of(kind: str) -> tuple[str, str]:
    """The first architecture and data set that a fault can have, a quick one if it can."""
    if kind in ODD:
        return "mlp", "wine"
    fault = FAULTS[kind]
    fits = [(name, data) for name in fault.architectures for data in FITTING[name]
            if not fault.datasets or data in fault.datasets]  # fmt: skip
    return min(fits, key=lambda one: (one[1] != "wine", one[0] != "linear"))


LOOKS = {"data-leakage", "large-constant", "tiny-unit", "noisy-validation"}
CHANGED = [(kind, severity) for kind in FAULTS for severity in (0, 3)] + [(kind, 0) for kind in ODD]


@pytest.mark.parametrize(("kind", "severity"), CHANGED)
def test_each_fault_and_oddity_changes_a_training(kind: str, severity: int) -> None:
    def short() -> Plan:
        options = {"steps": 20, "evaluations": 5, "rows": 80, "batch_size": 8, "norm": "layer", "dropout": 0.1}
        return tiny(*place_of(kind), optimizer="RMSprop", schedule="cosine", clip=1.0, **options)

    plan = short()
    change_of(kind, severity)(plan)
    # Some say how long they take.
    plan.steps, plan.rehearsal = min(plan.steps, 20), min(plan.rehearsal, 20)
    log, trace = trained(plan)
    healthy, whole = trained(short())
    assert log.train_loss
    assert (asdict(log), trace.train, trace.val) != (asdict(healthy), whole.train, whole.val)
    assert len(trace.train) == len(trace.val) == len(trace.step)
    # What only changes validation or how the log looks leaves the training alone.
    assert (trace.train == whole.train) == (kind in LOOKS)


def cheap(kind: str, severity: int) -> Specimen:
    """A specimen of few steps of a small network."""
    some = [Specimen(kind, number, 0) for number in range(severity, 80, 4)]
    return next(one for one in some if one.plan().architecture in ("linear", "mlp") and one.plan().with_val)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    for severity in (1, 3):
        made(cheap("batch-too-large", severity), root)
    return root


def test_a_specimen_is_read_by_the_product(zoo: Path) -> None:
    folders = folders_of(zoo)
    assert len(folders) == 2
    for folder in folders:
        truth = truth_of(folder)
        assert truth.name == folder.name
        assert (truth.kind, truth.fault, truth.cause) == ("batch-too-large",) * 3
        assert truth.severity == int(folder.name[-3:]) % 4
        assert not truth.healthy
        assert set(truth.labels) <= {*LABELS, "undetermined"}
        run = read_run(folder / "run")
        plan = Specimen("batch-too-large", int(folder.name[-3:]), 0).plan()
        train, val = run.curve("train_loss"), run.curve("val_loss")
        assert train is not None
        assert val is not None
        assert (len(train.value), len(val.value)) == (truth.seen.points, truth.seen.evaluations)
        assert (truth.architecture, truth.dataset, truth.optimizer) == (plan.architecture, plan.dataset, plan.optimizer)
        assert run.config["learning_rate"] == pytest.approx(plan.learning_rate)
        assert truth.trace.step[-1] == truth.trace.planned == plan.steps
        assert truth.seen.hides == pytest.approx(hides(train.value.tolist(), val.value.tolist()), rel=1e-2, abs=1e-4)
        recorded = read_run(folder / "recorded")
        loss = recorded.curve("train_loss")
        assert loss is not None
        assert len(loss.value) == plan.steps
        assert recorded.tensors is not None


def test_a_specimen_made_again_is_the_same(zoo: Path, tmp_path: Path) -> None:
    one = cheap("batch-too-large", 3)
    make(one, tmp_path / one.name)
    assert (tmp_path / one.name / "truth.json").read_bytes() == (zoo / one.name / "truth.json").read_bytes()
    runs = [read_run(root / one.name / "run") for root in (tmp_path, zoo)]
    for role in ROLES:
        curves = [run.curve(role) for run in runs]
        assert (curves[0] is None) == (curves[1] is None), role
        if curves[0] is not None and curves[1] is not None:
            np.testing.assert_array_equal(curves[0].value, curves[1].value)
            np.testing.assert_array_equal(curves[0].step, curves[1].step)


def test_a_finished_specimen_is_not_made_again_and_half_of_one_is(
    zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = cheap("batch-too-large", 3)
    (tmp_path / one.name / "run").mkdir(parents=True)
    (tmp_path / one.name / "run" / "half.csv").write_text("step,loss\n")
    asked: list[Path] = []

    def instead(of: Specimen, folder: Path) -> None:
        assert not folder.exists()
        asked.append(folder)

    monkeypatch.setattr(specimens_of, "make", instead)
    made(one, zoo)
    assert asked == []
    made(one, tmp_path)
    assert asked == [tmp_path / one.name]


def test_the_truth_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(log: Log, folder: Path, how: str) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(specimens_of, "write", fail)
    with pytest.raises(OSError, match="no space"):
        make(cheap("batch-too-large", 3), tmp_path / "one")
    assert (tmp_path / "one" / "recorded").exists()
    assert folders_of(tmp_path) == []


def test_labels_are_told_from_the_trace_and_not_stored(zoo: Path) -> None:
    (folder, *_) = folders_of(zoo)
    data = json.loads((folder / "truth.json").read_text())
    assert "labels" not in data
    assert len(data["trace"]["train"]) == len(data["trace"]["step"]) > 10


def test_examples_of_a_specimen_are_the_run_and_prefixes_of_it(zoo: Path) -> None:
    for folder in folders_of(zoo):
        examples = list(examples_of(folder, (0.25, 0.5, 1.0)))
        assert [one.share for one in examples] == [1.0, 0.25, 0.5, 1.0]
        assert [one.whole for one in examples] == [True, False, False, True]
        assert examples[0].labels == truth_of(folder).labels
        assert examples[0].vector == examples[3].vector
        random_ones = list(examples_of(folder))
        assert random_ones == list(examples_of(folder))
        assert len(random_ones) == 4
        assert all(0.03 <= one.share <= 1 for one in random_ones)


def test_sizes_of_batches_and_epochs() -> None:
    def sizes(**options: Any) -> tuple[int, int]:
        training: Training = build(tiny(**options))
        return training.batch_size, training.steps_per_epoch

    rows = len(build(tiny()).data.x)
    assert sizes(batch_size=100_000) == (rows, 1)
    assert sizes(batch_size=1) == (1, rows)
    assert sizes(batch_size=32, rows=100) == (32, 3)
