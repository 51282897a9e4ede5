"""``KerasRecorder`` in real trainings of Keras, on the torch backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("keras")

import keras
import numpy as np
from recorder.reading import Record

from convergence_cli.recorder.journal import RecorderWarning
from convergence_cli.recorder.keras import KerasRecorder
from integrations.lessons import CLASSES, FEATURES, classes, moments, report_on, series, troubles

# Keras 3.15 on numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
BATCH = 32


class Watch(keras.callbacks.Callback):
    """The weights after each batch, what Keras logs then, and at the ends of epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[list[np.ndarray]] = []
        self.batches: list[dict[str, float]] = []
        self.epochs: list[dict[str, float]] = []

    def _weights(self) -> list[np.ndarray]:
        return [np.array(keras.ops.convert_to_numpy(one)) for one in self.model.trainable_weights]

    def on_train_begin(self, logs: Any = None) -> None:
        self.weights.append(self._weights())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.weights.append(self._weights())
        self.batches.append(dict(logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(dict(logs))


def model(rate: Any = 3e-3, optimizer: Any = None, **compiled: Any) -> Any:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(24, "tanh"), keras.layers.Dropout(0.1), keras.layers.Dense(CLASSES, "softmax")]
    made = keras.Sequential([keras.layers.Input((FEATURES,)), *layers])
    settings = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **compiled}
    made.compile(optimizer or keras.optimizers.Adam(rate), **settings)
    return made


def fit(made: Any, *callbacks: Any, epochs: int = 6, **settings: Any) -> Any:
    keras.utils.set_random_seed(1)
    data = {"validation_data": classes(128, 1), "batch_size": BATCH, "verbose": 0, **settings}
    made.fit(*classes(), epochs=epochs, callbacks=list(callbacks), **data)
    return made


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Watch, Path]:
    folder, watch = tmp_path_factory.mktemp("healthy"), Watch()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 50, 0.7)
    fit(model(schedule), watch, KerasRecorder(folder, every=20, config={"batch_size": BATCH}))
    return watch, folder


def test_a_healthy_run_is_called_so(healthy: tuple[Watch, Path]) -> None:
    report = report_on(healthy[1])
    assert report.verdict.label == "converging"
    assert troubles(report) == []


def test_losses_are_those_of_the_batches(healthy: tuple[Watch, Path]) -> None:
    """Their means over each epoch are what Keras logs."""
    watch, folder = healthy
    for name in ("loss", "accuracy"):
        steps, values = series(folder, name)
        assert steps == list(range(1, 97))
        for epoch, logs in enumerate(watch.epochs):
            own = values[16 * epoch : 16 * epoch + 16]
            assert np.mean(own) == pytest.approx(logs[name], rel=1e-5)
            assert own[0] == pytest.approx(watch.batches[16 * epoch][name])
            assert own[0] + own[1] == pytest.approx(2 * watch.batches[16 * epoch + 1][name], rel=1e-5)


def test_epochs_stand_at_their_last_step(healthy: tuple[Watch, Path]) -> None:
    watch, folder = healthy
    for name in ("val_loss", "val_accuracy"):
        assert series(folder, name) == (list(range(16, 97, 16)), [logs[name] for logs in watch.epochs])


def test_rates_are_those_of_the_schedule(healthy: tuple[Watch, Path]) -> None:
    steps, rates = series(healthy[1], "learning_rate")
    assert steps == [1, 17, 20, 33, 40, 49, 60, 65, 80, 81]
    assert rates == pytest.approx([0.01 * 0.7 ** ((step - 1) / 50) for step in steps], rel=1e-5)


def test_settings_are_found(healthy: tuple[Watch, Path]) -> None:
    record = Record(healthy[1] / "record.jsonl")
    expected = {
        "optimizer": "adam", "learning_rate": 0.01, "beta_1": 0.9, "epochs": 6, "steps_per_epoch": 16, "max_steps": 96,
        "loss": "sparse_categorical_crossentropy", "num_classes": CLASSES, "batch_size": BATCH,
    }  # fmt: skip
    assert expected == {name: record.config.get(name) for name in expected}
    head = record.of("recorder")[0]
    assert (head["model"], head["parameters"], head["trainable"]) == ("Sequential", 387, 387)
    layers = record.of("layers")[0]["layers"]
    assert [layer[1:] for layer in layers] == [["Dense", 312], ["Dense", 75]]
    assert {line["layer"] for line in record.of("declare")} == {layer[0] for layer in layers}


def test_weights_and_updates_are_those_of_their_step(healthy: tuple[Watch, Path]) -> None:
    watch, folder = healthy
    record = Record(folder / "record.jsonl")
    assert record.sampled == [0, 1, 20, 40, 60, 80]
    kernels = [title for title in record.declared if title.endswith("kernel")]
    assert [record.declared[title].get("units") for title in kernels[:2]] == [24, CLASSES]
    name = kernels[0].partition("/")[2]
    for step in record.sampled[1:]:
        before, after = watch.weights[step - 1][0], watch.weights[step][0]
        for title, values in ((f"weight/{name}", before), (f"update/{name}", after - before)):
            row = record.rows[title, step]
            expected = moments(values)
            assert {key: row[key] for key in expected} == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_a_rate_too_high_is_found(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    linear = keras.Sequential([keras.layers.Input((FEATURES,)), keras.layers.Dense(24), keras.layers.Dense(1)])
    linear.compile(keras.optimizers.SGD(0.5), loss="mse")
    x, _ = classes()
    linear.fit(x, x[:, :1], BATCH, 3, verbose=0, callbacks=[KerasRecorder(tmp_path, every=10)])
    report = report_on(tmp_path)
    assert report.verdict.label == "diverging"
    assert report.causes[0].name == "learning-rate-too-high"


def test_the_weights_are_the_same_with_and_without(tmp_path: Path) -> None:
    made = [fit(model(), KerasRecorder(tmp_path, every=3)), fit(model())]
    assert (tmp_path / "record.jsonl").exists()
    for one, other in zip(*(each.get_weights() for each in made), strict=True):
        assert np.array_equal(one, other)


def test_steps_are_those_of_the_optimizer_under_accumulation(tmp_path: Path) -> None:
    watch = Watch()
    made = model(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    fit(made, watch, KerasRecorder(tmp_path, every=3), epochs=2)
    record = Record(tmp_path / "record.jsonl")
    steps, losses = series(tmp_path, "loss")
    assert steps == list(range(1, 9))
    assert losses[0] == pytest.approx(watch.batches[3]["loss"])
    assert record.sampled == [0, 1, 3, 6]
    title = next(title for title in record.declared if title.startswith("update/"))
    for step in (1, 3, 6):
        update = moments(watch.weights[4 * step][0] - watch.weights[4 * step - 1][0])
        row = record.rows[title, step]
        assert row["std"] > 0
        assert {key: row[key] for key in update} == pytest.approx(update, rel=1e-3, abs=1e-7)
    assert record.config["max_steps"] == 8


def test_steps_that_keras_runs_as_one(tmp_path: Path) -> None:
    # The torch backend cannot: so its calls are made here.
    made, recorder = model(), KerasRecorder(tmp_path, every=8)
    made.steps_per_execution = 5
    recorder.set_model(made)
    recorder.set_params({"epochs": 1, "steps": 16})
    recorder.on_train_begin()
    recorder.on_epoch_begin(0)
    for first, last, mean in ((0, 4, 2.0), (5, 9, 1.5), (10, 14, 1.0), (15, 15, 1.0)):
        recorder.on_train_batch_begin(first)
        recorder.on_train_batch_end(last, {"loss": mean})
    recorder.on_train_end()
    assert series(tmp_path, "loss") == ([5, 10, 15, 16], pytest.approx([2.0, 1.0, 0.0, 1.0]))
    record = Record(tmp_path / "record.jsonl")
    assert record.sampled == [0, 5, 10, 16]
    # What five steps did together is no update.
    assert {title.partition("/")[0] for title in record.titles(10)} == {"weight"}
    assert record.config["max_steps"] == 16


def test_a_second_fit_goes_on(tmp_path: Path) -> None:
    made, recorder = model(), KerasRecorder(tmp_path)
    fit(made, recorder, epochs=1)
    fit(made, recorder, epochs=2, initial_epoch=1)
    record = Record(tmp_path / "record.jsonl")
    assert [line["first_step"] for line in record.of("recorder")] == [0, 16]
    assert series(tmp_path, "loss")[0] == list(range(1, 33))


def test_metrics_that_are_no_means_stand_at_the_end_of_their_epoch(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    linear, watch = keras.Sequential([keras.layers.Input((FEATURES,)), keras.layers.Dense(1)]), Watch()
    linear.compile("sgd", "mse", metrics=[keras.metrics.RootMeanSquaredError(name="rmse"), "mae"])
    x, _ = classes()
    linear.fit(x, x[:, :1], BATCH, 2, verbose=0, callbacks=[watch, KerasRecorder(tmp_path)])
    assert series(tmp_path, "rmse") == ([16, 32], [logs["rmse"] for logs in watch.epochs])
    assert len(series(tmp_path, "mae")[0]) == 32


def test_nested_models_and_their_layers(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    parts = [keras.layers.Input((FEATURES,)), keras.layers.Dense(8), keras.layers.BatchNormalization()]
    inside = keras.Sequential(parts)
    given = keras.Input((FEATURES,))
    made = keras.Model(given, keras.layers.Dense(CLASSES, "softmax")(inside(given)))
    made.compile("sgd", "sparse_categorical_crossentropy")
    fit(made, KerasRecorder(tmp_path), epochs=1)
    record = Record(tmp_path / "record.jsonl")
    assert [layer[1] for layer in record.of("layers")[0]["layers"]] == ["Dense", "BatchNormalization", "Dense"]
    head = record.of("recorder")[0]
    assert head["parameters"] - head["trainable"] == 16


def test_a_failure_never_reaches_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(RecorderWarning, match="Nothing more is recorded") as caught:
        fit(model(), KerasRecorder(tmp_path / "file" / "run"), epochs=1)
    assert [one.category for one in caught].count(RecorderWarning) == 1

    class Failing(KerasRecorder):
        def _alone(self, batches: int, logs: Any) -> Any:
            raise KeyError("what Keras calls otherwise one day")

    watch = Watch()
    with pytest.warns(RecorderWarning, match="recorder is off: KeyError") as caught:
        fit(model(), Failing(tmp_path / "other"), watch, epochs=1)
    assert len(watch.batches) == 16
    assert [one.category for one in caught].count(RecorderWarning) == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: KerasRecorder("run", every=0), ValueError, "every must be a whole number"),
        (lambda: KerasRecorder(3), TypeError, "out must be the folder"),
        (lambda: KerasRecorder("run", config="adam"), TypeError, "config must be a dictionary"),
    ],
)
def test_arguments_are_checked_at_once(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
