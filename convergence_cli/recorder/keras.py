"""Keras 3, on any backend: ``model.fit(..., callbacks=[KerasRecorder("run/")])``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from convergence_cli.recorder.callbacks import RecorderCallback, check_arguments, framework, guarded, plain, single
from convergence_cli.recorder.journal import Journal

Array = tuple[str, str, Any, Mapping[str, Any]]
_RENAMED = {"name": "optimizer", "global_clipnorm": "gradient_clip_norm"}
_CLASSES = ("categorical_crossentropy", "sparse_categorical_crossentropy")


class KerasRecorder(RecorderCallback):
    """Records a ``fit``: loss and metrics of each step, those of each epoch, the weights and their updates.

    ``out``: the folder; ``every``: each how many steps weights and updates are recorded; ``config``: hyperparameters
    beside those of the optimizer. Keras logs means over the epoch so far; what a batch itself had is told from two of
    them, as if all batches were of one size. What is no mean, and validation, is recorded at the end of an epoch.
    Gradients and activations are not recorded: a callback does not get to see them.

    Raises ``ImportError`` without Keras, ``TypeError`` and ``ValueError`` for arguments that cannot be; nothing in the
    training.
    """

    _session: Journal | None
    # Set by Keras: how often it calls, and the model.
    params: Mapping[str, Any]
    model: Any

    def __init__(
        self, out: str | os.PathLike[str], every: int = 50, *, config: Mapping[str, Any] | None = None
    ) -> None:
        check_arguments(out, every, config)
        super().__init__()
        self._out, self._every, self._config = out, every, config or {}
        self._start = self._step = self._batches = self._accumulation = self._together = 0
        self._begun = self._averaged = self._batches_before = 0
        self._means: dict[str, float] = {}
        self._mean_names: frozenset[str] = frozenset()
        self._before: dict[str, Any] | None = None
        self._rate: float | None = None

    @classmethod
    def _bases(cls) -> tuple[type, ...]:
        return (framework("keras", "keras").callbacks.Callback,)

    @guarded
    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on where the optimizer has taken steps before."""
        self._end("exit")
        model = self.model
        optimizer = getattr(model, "optimizer", None)
        self._start = self._step = 0 if optimizer is None else int(_array(optimizer.iterations))
        self._accumulation = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        self._together = getattr(model, "steps_per_execution", None) or 1
        self._batches, self._mean_names = 0, _names_of_means(model)
        session = Journal(
            self._out,
            every=self._every,
            start_step=self._start,
            model=type(model).__name__,
            parameters=model.count_params(),
            trainable=sum(math.prod(one.shape) for one in model.trainable_weights),
        )
        self._open(session)
        session.config({**_settings(model, self.params, self._accumulation), **self._config})
        session.layers(list(_layers(model)))
        session.arrays(self._start, [("weight", name, array, {}) for name, array in _weights(model).items()])

    @guarded
    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keras begins its means anew."""
        self._averaged, self._means = 0, {}

    @guarded
    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The rate and the weights before a step that is recorded."""
        self._begun, self._before = batch, None
        if self._session is None:
            return
        after = self._start + (self._batches + self._together) // self._accumulation
        first = self._step == self._start
        if after > self._step and (first or after // self._every > self._step // self._every):
            self._before = _weights(self.model)
        if (self._before is not None or not self._averaged) and getattr(self.model, "optimizer", None) is not None:
            self._rate = single(_array(self.model.optimizer.learning_rate))

    @guarded
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """A step; a batch of an accumulation; or several steps, where Keras runs them as one."""
        self._batches += batch - self._begun + 1
        step = self._start + self._batches // self._accumulation
        if self._session is None or step == self._step:
            return
        one, self._step = step == self._step + 1, step
        values = self._alone(batch + 1, logs or {})
        if self._rate is not None:
            values["learning_rate"], self._rate = self._rate, None
        self._session.scalars(step, values)
        before, self._before = self._before, None
        if before is not None:
            found: list[Array] = [("weight", name, array, {}) for name, array in before.items()]
            if one:
                after = _weights(self.model)
                found += [("update", name, after[name] - array, {}) for name, array in before.items()]
            self._session.arrays(step, found)

    @guarded
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Validation, and metrics that are no means."""
        if self._session is not None:
            found = {name: value for name, value in (logs or {}).items() if name not in self._mean_names}
            self._session.scalars(self._step, found)

    @guarded
    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """The end."""
        self._end()

    def _alone(self, batches: int, logs: Mapping[str, Any]) -> dict[str, Any]:
        """The means over the batches since the last call, from means over ``batches`` of this epoch."""
        means = {name: float(value) for name, value in logs.items() if name in self._mean_names}
        before, earlier = self._averaged, self._means
        self._averaged, self._means = batches, means
        return {
            name: (batches * mean - before * earlier.get(name, 0.0)) / (batches - before) if before else mean
            for name, mean in means.items()
        }


def _array(variable: Any) -> Any:
    """A copy on the host: Keras' own array may be the variable's memory."""
    import numpy as np

    return np.array(framework("keras", "keras").ops.convert_to_numpy(getattr(variable, "value", variable)))


def _weights(model: Any) -> dict[str, Any]:
    return {one.path.replace("/", "."): _array(one) for one in model.trainable_weights}


def _names_of_means(model: Any) -> frozenset[str]:
    mean = framework("keras", "keras").metrics.Mean
    several = [one for metric in model.metrics for one in getattr(metric, "metrics", None) or [metric]]
    # The root of a mean, such as RootMeanSquaredError, is derived from it as well.
    return frozenset(one.name for one in several if isinstance(one, mean) and type(one).result is mean.result)


def _layers(parent: Any) -> Iterator[tuple[str, str, int]]:
    for layer in parent.layers:
        if getattr(layer, "layers", None):
            yield from _layers(layer)
        elif layer.weights:
            yield (layer.path or layer.name).replace("/", "."), type(layer).__name__, layer.count_params()


def _settings(model: Any, params: Mapping[str, Any] | None, accumulation: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        found = plain({_RENAMED.get(name, name): value for name, value in optimizer.get_config().items()})
        found["learning_rate"] = single(_array(optimizer.learning_rate))
    epochs, batches = (params or {}).get("epochs"), (params or {}).get("steps")
    found |= plain({"epochs": epochs, "steps_per_epoch": batches})
    if epochs and batches:
        found["max_steps"] = epochs * batches // accumulation
    loss = getattr(model, "loss", None)
    found |= plain({"loss": loss if isinstance(loss, str) else getattr(loss, "name", None)})
    if found.get("loss") in _CLASSES:
        found["num_classes"] = model.output_shape[-1]
    return found
