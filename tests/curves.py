"""Curves of known truth: generators of logs whose verdict is known because they were made so.

Each generator takes a seed and keyword parameters and gives a ``Log``; ``GENERATORS`` holds them by name with
the label they were made to have. ``run_of`` makes of a log what a reader would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from convergence_cli.features.evidence import Evidence
from convergence_cli.model import Run
from convergence_cli.readers._collect import Collector
from convergence_cli.roles import assign_roles

Array = npt.NDArray[np.float64]
Points = tuple[Array, Array]


@dataclass(frozen=True)
class Log:
    """Series by the name they were logged under, each as steps and values, and the run's own settings."""

    series: Mapping[str, Points]
    config: Mapping[str, Any] = field(default_factory=dict)

    def map(self, change: Callable[[str, Array, Array], Points]) -> Log:
        """The same log with ``change`` applied to each series."""
        return replace(self, series={name: change(name, *points) for name, points in self.series.items()})


@dataclass(frozen=True)
class Generator:
    """A way to make logs, and the label that they must be given."""

    name: str
    label: str
    make: Callable[..., Log]


GENERATORS: dict[str, Generator] = {}


def _made(label: str) -> Callable[[Callable[..., Log]], Callable[..., Log]]:
    def register(make: Callable[..., Log]) -> Callable[..., Log]:
        GENERATORS[make.__name__] = Generator(make.__name__, label, make)
        return make

    return register


def make(name: str, seed: int = 0, **parameters: Any) -> Log:
    """The log of the generator of that name."""
    return GENERATORS[name].make(seed, **parameters)


def run_of(log: Log, metrics: Mapping[str, str] | None = None) -> Run:
    """``log`` as a reader would hand it on, with its roles."""
    collector = Collector()
    for name, (step, value) in log.series.items():
        collector.add(name, np.array(step, dtype=np.float64), np.array(value, dtype=np.float64))
    config = {"x": "step", **log.config}
    return assign_roles(Run("made", "made", "made", collector.curves(), config), metrics)


def evidence_of(log: Log) -> Evidence:
    """The evidence of ``log``."""
    return Evidence(run_of(log))


def every(points: int, last: float) -> Array:
    """``points`` steps from 0 to ``last``."""
    return np.round(np.linspace(0, last, points))


def falling(points: int, start: float, floor: float, rate: float = 6.0) -> Array:
    """An exponential descent from ``start`` to about ``floor``."""
    return floor + (start - floor) * np.exp(-rate * np.linspace(0, 1, points))


def _noisy(rng: np.random.Generator, value: Array, noise: float) -> Array:
    """Multiplicative log-normal noise: keeps a positive loss positive, however heavy."""
    return value * np.exp(noise * rng.standard_normal(len(value)) - noise**2 / 2)


def _single(value: Array, name: str = "loss", last: float | None = None, **config: Any) -> Log:
    return Log({name: (every(len(value), len(value) - 1 if last is None else last), value)}, config)


# Converging -------------------------------------------------------------------------------------------------


@_made("converging")
def exponential(
    seed: int, points: int = 300, start: float = 2.3, floor: float = 0.3, rate: float = 6.0, noise: float = 0.05
) -> Log:
    rng = np.random.default_rng(seed)
    return _single(_noisy(rng, falling(points, start, floor, rate), noise))


@_made("converging")
def power_law(
    seed: int, points: int = 300, start: float = 10.8, floor: float = 2.0, exponent: float = 0.4, noise: float = 0.02
) -> Log:
    rng = np.random.default_rng(seed)
    t = np.arange(1, points + 1, dtype=np.float64)
    return _single(_noisy(rng, floor + (start - floor) * t**-exponent, noise), last=10.0 * (points - 1))


@_made("converging")
def batch_of_one(seed: int, points: int = 2000, noise: float = 0.8) -> Log:
    rng = np.random.default_rng(seed)
    return _single(_noisy(rng, falling(points, 4.0, 0.8, 4.0), noise))


@_made("converging")
def warm_restarts(seed: int, points: int = 400, cycles: int = 4, noise: float = 0.03) -> Log:
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, points, endpoint=False) * cycles
    cycle, phase = np.floor(t), t - np.floor(t)
    high = 0.5 * (1 + np.cos(math.pi * phase))
    level = 2.3 * 0.55 ** (cycle + phase) + 0.2
    value = _noisy(rng, level * (1 + 0.5 * high * (cycle > 0)), noise)
    step = every(points, points - 1)
    return Log({"loss": (step, value), "lr": (step, 0.1 * high + 1e-5)}, {"optimizer": "sgd"})


@_made("converging")
def step_decay(seed: int, points: int = 300, noise: float = 0.05) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, points - 1)
    stage = np.digitize(step, [points / 2, 3 * points / 4])
    rate = 0.1 * 0.1**stage
    level = np.array([1.0, 0.6, 0.5])[stage]
    value = level + 5.9 * np.exp(-step / (0.05 * points))
    return Log({"loss": (step, _noisy(rng, value, noise)), "lr": (step, rate)}, {"optimizer": "sgd"})


@_made("converging")
def recovered_spike(
    seed: int, points: int = 300, height: float = 8.0, width: int = 4, at: float = 0.6, noise: float = 0.03
) -> Log:
    rng = np.random.default_rng(seed)
    value = _noisy(rng, falling(points, 3.0, 0.6), noise)
    index = int(points * at)
    value[index : index + width] += height * np.exp(-np.arange(width) / max(width / 2, 1))
    return _single(value)


@_made("converging")
def late_drop(seed: int, points: int = 400, at: float = 0.65, noise: float = 0.03) -> Log:
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, points)
    return _single(_noisy(rng, 0.2 + 2.8 / (1 + np.exp(25 * (t - at))), noise))


@_made("converging")
def negative_loss(seed: int, points: int = 300, noise: float = 0.1) -> Log:
    rng = np.random.default_rng(seed)
    return _single(falling(points, 0.5, -4.0, 5.0) + noise * rng.standard_normal(points))


@_made("converging")
def all_negative(seed: int, points: int = 300, noise: float = 0.5) -> Log:
    rng = np.random.default_rng(seed)
    return _single(falling(points, -20.0, -45.0, 5.0) + noise * rng.standard_normal(points))


@_made("converging")
def tiny_loss(seed: int, points: int = 300, noise: float = 0.1) -> Log:
    rng = np.random.default_rng(seed)
    return _single(_noisy(rng, falling(points, 1e-6, 1e-8, 4.0), noise))


@_made("converging")
def large_offset(seed: int, points: int = 300, offset: float = 100.0, fall: float = 10.0, noise: float = 0.2) -> Log:
    rng = np.random.default_rng(seed)
    return _single(falling(points, offset + fall, offset, 5.0) + noise * rng.standard_normal(points))


@_made("converging")
def fine_tuning(seed: int, points: int = 200, noise: float = 0.3) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, 10.0 * (points - 1))
    loss = _noisy(rng, np.linspace(0.062, 0.058, points), noise)
    accuracy = np.clip(0.985 + 0.003 * rng.standard_normal(points), 0, 1)
    return Log({"train_loss": (step, loss), "train_accuracy": (step, accuracy)})


@_made("converging")
def few_points(seed: int, points: int = 8, noise: float = 0.03) -> Log:
    rng = np.random.default_rng(seed)
    return _single(_noisy(rng, falling(points, 2.3, 0.5, 4.0), noise))


@_made("converging")
def long_log(seed: int, points: int = 200_000, noise: float = 0.15) -> Log:
    rng = np.random.default_rng(seed)
    t = np.linspace(1, 400, points)
    return _single(_noisy(rng, 2.5 + 8.0 * t**-0.5, noise))


@_made("converging")
def smoothing_floor(seed: int, points: int = 300, noise: float = 0.02) -> Log:
    rng = np.random.default_rng(seed)
    return _single(_noisy(rng, falling(points, 6.9, 1.9, 12.0), noise), num_classes=1000, label_smoothing=0.1)


@_made("converging")
def both_fall(seed: int, points: int = 60, noise: float = 0.03, gap: float = 1.15) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, points - 1)
    value = falling(points, 2.3, 0.4)
    return Log(
        {"train_loss": (step, _noisy(rng, value, noise)), "val_loss": (step, _noisy(rng, gap * value, noise))},
        {"x": "epoch"},
    )


@_made("converging")
def one_bad_evaluation(seed: int, points: int = 40, at: int = -1, height: float = 3.0, noise: float = 0.03) -> Log:
    log = both_fall(seed, points, noise)
    _, value = log.series["val_loss"]
    value[at] *= height
    return log


@_made("converging")
def noisy_flat_validation(seed: int, points: int = 60, noise: float = 0.12) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, points - 1)
    train = _noisy(rng, falling(points, 2.3, 0.3), 0.02)
    val = _noisy(rng, falling(points, 2.3, 0.8, 15.0), noise)
    return Log({"train_loss": (step, train), "val_loss": (step, val)}, {"x": "epoch"})


# Diverging --------------------------------------------------------------------------------------------------


@_made("diverging")
def rising(seed: int, points: int = 200, factor: float = 8.0, noise: float = 0.05) -> Log:
    rng = np.random.default_rng(seed)
    return _single(_noisy(rng, 2.3 * factor ** np.linspace(0, 1, points), noise))


@_made("diverging")
def nan_tail(seed: int, points: int = 200, at: float = 0.7, noise: float = 0.05, value: float = math.nan) -> Log:
    log = exponential(seed, points, noise=noise)
    log.series["loss"][1][int(points * at) :] = value
    return log


@_made("diverging")
def inf_tail(seed: int, points: int = 200, at: float = 0.7, noise: float = 0.05) -> Log:
    return nan_tail(seed, points, at, noise, math.inf)


@_made("diverging")
def explosion_at_end(seed: int, points: int = 200, rows: int = 3, factor: float = 30.0, noise: float = 0.05) -> Log:
    log = exponential(seed, points, noise=noise)
    log.series["loss"][1][-rows:] *= factor ** np.arange(1, rows + 1)
    return log


@_made("diverging")
def collapse_to_start(seed: int, points: int = 300, at: float = 0.5, noise: float = 0.02) -> Log:
    rng = np.random.default_rng(seed)
    value = falling(points, 2.303, 0.4)
    value[int(points * at) :] = 2.303
    return _single(_noisy(rng, value, noise), num_classes=10)


@_made("diverging")
def rise_after_half(seed: int, points: int = 300, factor: float = 10.0, noise: float = 0.05) -> Log:
    rng = np.random.default_rng(seed)
    value = falling(points, 2.3, 0.6)
    half = points // 2
    value[half:] *= factor ** np.linspace(0, 1, points - half)
    return _single(_noisy(rng, value, noise))


@_made("diverging")
def saturated_softmax(seed: int, points: int = 200, at: float = 0.1) -> Log:
    rng = np.random.default_rng(seed)
    value = 6.9 + 0.05 * rng.standard_normal(points)
    value[int(points * at) :] = 87.3365
    return _single(value)


# Stuck ------------------------------------------------------------------------------------------------------


@_made("stuck")
def flat(seed: int, points: int = 300, level: float = 0.7, noise: float = 0.05) -> Log:
    rng = np.random.default_rng(seed)
    return _single(level * (1 + noise * rng.standard_normal(points)))


@_made("stuck")
def at_chance(seed: int, points: int = 300, classes: int = 10, start: float = 1.0, noise: float = 0.003) -> Log:
    rng = np.random.default_rng(seed)
    level = math.log(classes)
    value = level * (1 + start * np.exp(-np.arange(points) / (0.01 * points)))
    return _single(_noisy(rng, value, noise), num_classes=classes)


@_made("stuck")
def spikes_over_flat(seed: int, points: int = 300, spikes: int = 6, noise: float = 0.02) -> Log:
    rng = np.random.default_rng(seed)
    value = 2.3 * (1 + noise * rng.standard_normal(points))
    value[rng.choice(np.arange(points // 10, points), spikes, replace=False)] *= 5
    return _single(value)


@_made("stuck")
def tiny_rate(seed: int, points: int = 300, share: float = 0.004, noise: float = 0.01) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, points - 1)
    value = _noisy(rng, 2.3 * np.linspace(1, 1 - share, points), noise)
    return Log({"loss": (step, value), "lr": (step, np.full(points, 1e-9))}, {"optimizer": "adam"})


# Overfitting ------------------------------------------------------------------------------------------------


@_made("overfitting")
def rising_validation(
    seed: int, points: int = 60, evals: int | None = None, rise: float = 0.6, at: float = 0.35, noise: float = 0.03
) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, points - 1)
    train = _noisy(rng, falling(points, 2.3, 0.05, 5.0), noise)
    t = np.linspace(0, 1, evals or points)
    val = 0.9 + 1.4 * np.exp(-t / (at / 4))
    val = val + 0.9 * rise * np.maximum(t - at, 0) / (1 - at)
    return Log(
        {"train_loss": (step, train), "val_loss": (every(evals or points, points - 1), _noisy(rng, val, noise))},
        {"x": "epoch"},
    )


# No verdict -------------------------------------------------------------------------------------------------


@_made("undetermined")
def two_players(seed: int, points: int = 300) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, points - 1)
    wave = np.sin(np.linspace(0, 20, points))
    noise = 0.1 * rng.standard_normal((2, points))
    return Log({"G_loss": (step, 1.5 + wave + noise[0]), "D_loss": (step, 1.2 - 0.5 * wave + noise[1])})


@_made("undetermined")
def rewards(seed: int, points: int = 300) -> Log:
    rng = np.random.default_rng(seed)
    step = every(points, points - 1)
    return Log({"episode_reward_mean": (step, -falling(points, 200.0, -200.0) + 10 * rng.standard_normal(points))})


# Series drawn by hand ---------------------------------------------------------------------------------------


def knotted(step: Array, knots: list[list[float]], geometric: bool = False, noise: float = 0.0, seed: int = 0) -> Array:
    """Straight lines between ``knots`` (share of the steps, value); two knots at one share make a jump."""
    places, heights = np.array(knots, dtype=np.float64).T
    share = (step - step[0]) / max(float(step[-1] - step[0]), 1.0)
    heights = np.log(heights) if geometric else heights
    left = np.clip(np.searchsorted(places, share, side="right") - 1, 0, len(places) - 2)
    width = places[left + 1] - places[left]
    part = np.where(width > 0, (share - places[left]) / np.where(width > 0, width, 1.0), 1.0)
    with np.errstate(invalid="ignore"):
        climb = np.where(heights[left + 1] == heights[left], 0.0, heights[left + 1] - heights[left])
        value = heights[left] + np.where(part > 0, part * climb, 0.0)
    value = np.exp(value) if geometric else value
    return _noisy(np.random.default_rng(seed), value, noise) if noise else value


@_made("converging")
def drawn(seed: int, knots: list[list[float]], points: int = 200, noise: float = 0.02, geometric: bool = False) -> Log:
    """A loss drawn by hand; its label is what the drawing says."""
    step = every(points, points - 1)
    return Log({"loss": (step, knotted(step, knots, geometric, noise, seed))})


def swung(seed: int, points: int, level: float, swing: float) -> Array:
    """A loss that alternates about ``level`` by ``swing`` to either side."""
    rng = np.random.default_rng(seed)
    return level + swing * (-1.0) ** np.arange(points) * (1 + 0.1 * rng.standard_normal(points))


@_made("stuck")
def swinging(seed: int, points: int = 200, level: float = 2.0, swing: float = 0.6, fall: float = 0.0) -> Log:
    return _single(swung(seed, points, level, swing) + fall * np.exp(-np.arange(points) / (0.05 * points)))
