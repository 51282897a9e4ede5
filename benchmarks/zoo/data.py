"""The data sets of the zoo: four that scikit-learn ships, text that Python ships, and generated ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

VAL_ROWS = 400
LENGTH = 24


@dataclass(slots=True)
class Data:
    """Rows to train on and rows held out. ``task``: classes, tokens, regression or reconstruction.

    ``image``: the height (and width) of the picture that a row of features is, 0 for none. ``sequence``: rows are
    (time, features). ``classes`` is the number of classes or tokens, 0 for real targets.
    """

    name: str
    task: str
    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor
    classes: int = 0
    image: int = 0
    sequence: bool = False

    @property
    def constant_loss(self) -> float:
        """The training loss of the best model that ignores its input."""
        if self.task in ("classes", "tokens"):
            share = torch.bincount(self.y.flatten(), minlength=self.classes).double() / self.y.numel()
            share = share[share > 0]
            return float(-(share * share.log()).sum())
        return float(functional.mse_loss(self.y.mean(0, keepdim=True).expand_as(self.y), self.y))

    @property
    def width(self) -> int:
        """Features of a row, or of a moment of it."""
        return int(self.x.shape[-1])


def _split(
    name: str, task: str, x: Any, y: Any, rng: np.random.Generator, rows: int, *, classes: int = 0, **options: Any
) -> Data:
    order = rng.permutation(len(x))
    held = min(VAL_ROWS, len(x) // 3)
    val, train = order[:held], order[held:]
    if rows:
        train = train[:rows]
    inputs = torch.as_tensor(np.asarray(x))
    inputs = inputs.long() if task == "tokens" else inputs.float()
    targets = torch.as_tensor(np.asarray(y))
    targets = targets.long() if classes else targets.float()
    return Data(name, task, inputs[train], targets[train], inputs[val], targets[val], classes, **options)


def _standard(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)) / (x.std(0) + 1e-9)


def _sklearn(name: str, loader: str, classes: int, rng: np.random.Generator, rows: int, image: int = 0) -> Data:
    from sklearn import datasets

    x, y = getattr(datasets, loader)(return_X_y=True)
    x = (x - x.mean()) / x.std() if image else _standard(x)
    if not classes:
        y = _standard(y[:, None])
    return _split(name, "classes" if classes else "regression", x, y, rng, rows, classes=classes, image=image)


def digits(rng: np.random.Generator, rows: int) -> Data:
    """Hand-written digits, 8 by 8."""
    return _sklearn("digits", "load_digits", 10, rng, rows, image=8)


def wine(rng: np.random.Generator, rows: int) -> Data:
    """Three cultivars, 13 features, few rows."""
    return _sklearn("wine", "load_wine", 3, rng, rows)


def cancer(rng: np.random.Generator, rows: int) -> Data:
    """Two classes, 30 features."""
    return _sklearn("cancer", "load_breast_cancer", 2, rng, rows)


def diabetes(rng: np.random.Generator, rows: int) -> Data:
    """A noisy regression on 10 features."""
    return _sklearn("diabetes", "load_diabetes", 0, rng, rows)


def friedman(rng: np.random.Generator, rows: int) -> Data:
    """Friedman's first regression problem (1991)."""
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(2600, n_features=10, noise=1.0, random_state=int(rng.integers(1 << 31)))
    return _split("friedman", "regression", _standard(x), _standard(y[:, None]), rng, rows)


def moons(rng: np.random.Generator, rows: int) -> Data:
    """Two interleaved half circles."""
    from sklearn.datasets import make_moons

    x, y = make_moons(2000, noise=0.2, random_state=int(rng.integers(1 << 31)))
    return _split("moons", "classes", _standard(x), y, rng, rows, classes=2)


def clusters(rng: np.random.Generator, rows: int) -> Data:
    """Five classes of two clusters each, 5 % of the labels wrong."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        2600, 20, n_informative=8, n_classes=5, n_clusters_per_class=2, flip_y=0.05, class_sep=1.5,
        random_state=int(rng.integers(1 << 31)),
    )  # fmt: skip
    return _split("clusters", "classes", _standard(x), y, rng, rows, classes=5)


def shapes(rng: np.random.Generator, rows: int) -> Data:
    """Noisy pictures, 10 by 10, of a bar, a column, a square or a cross."""
    count = 1800
    y = rng.integers(0, 4, count)
    x = rng.normal(0, 0.35, (count, 10, 10))
    for number, (kind, row, column) in enumerate(zip(y, *rng.integers(0, 6, (2, count)), strict=True)):
        patch = x[number, row : row + 5, column : column + 5]
        if kind in (0, 3):
            patch[2] += 1
        if kind in (1, 3):
            patch[:, 2] += 1
        if kind == 2:
            patch += 0.5
    x = (x - x.mean()) / x.std()
    return _split("shapes", "classes", x.reshape(count, 100), y, rng, rows, classes=4, image=10)


def waves(rng: np.random.Generator, rows: int) -> Data:
    """Noisy waves of one of four frequencies."""
    count = 2000
    y = rng.integers(0, 4, count)
    time = np.arange(LENGTH)[None, :, None]
    phase = rng.uniform(0, 2 * math.pi, (count, 1, 3))
    x = np.sin((0.3 + 0.35 * y[:, None, None]) * time + phase) + rng.normal(0, 0.5, (count, LENGTH, 3))
    return _split("waves", "classes", x, y, rng, rows, classes=4, sequence=True)


def adding(rng: np.random.Generator, rows: int) -> Data:
    """The sum of two marked numbers of a sequence (Hochreiter and Schmidhuber 1997)."""
    count, length = 2600, 12
    values = rng.uniform(-1, 1, (count, length))
    marks = np.zeros((count, length))
    for half in (0, 1):
        marks[np.arange(count), rng.integers(0, length // 2, count) + half * (length // 2)] = 1
    y = (values * marks).sum(1, keepdims=True)
    return _split("adding", "regression", np.stack([values, marks], -1), y / y.std(), rng, rows, sequence=True)


@cache
def _python_text() -> str:
    from pydoc_data.topics import topics

    return "".join(topics[key] for key in sorted(topics))[:120_000]


def text(rng: np.random.Generator, rows: int) -> Data:
    """The next character of Python's own documentation."""
    written = _python_text()
    kept = sorted(set(written), key=lambda c: (-written.count(c), c))[:47]
    code = {letter: number for number, letter in enumerate(kept, 1)}
    tokens = np.array([code.get(letter, 0) for letter in written])
    starts = rng.integers(0, len(tokens) - LENGTH - 1, 1800)
    windows = tokens[starts[:, None] + np.arange(LENGTH + 1)[None, :]]
    return _split("text", "tokens", windows[:, :-1], windows[:, 1:], rng, rows, classes=48)


def markov(rng: np.random.Generator, rows: int) -> Data:
    """Tokens of which each mostly decides the next."""
    count, words = 1600, 24
    follower = rng.permutation(words)
    tokens = rng.integers(0, words, (count, LENGTH + 1))
    random = rng.random((count, LENGTH)) < 0.3
    for place in range(LENGTH):
        tokens[:, place + 1] = np.where(random[:, place], tokens[:, place + 1], follower[tokens[:, place]])
    return _split("markov", "tokens", tokens[:, :-1], tokens[:, 1:], rng, rows, classes=words)


def low_rank(rng: np.random.Generator, rows: int) -> Data:
    """Features that are mixtures of a few hidden ones, to be reconstructed."""
    x = np.tanh(rng.normal(size=(2000, 4)) @ rng.normal(size=(4, 24))) + 0.1 * rng.normal(size=(2000, 24))
    x = _standard(x)
    return _split("low_rank", "reconstruction", x, x, rng, rows)


def digit_pictures(rng: np.random.Generator, rows: int) -> Data:
    """Digits, to be reconstructed."""
    from sklearn.datasets import load_digits

    x = load_digits().data / 16
    return _split("digit_pictures", "reconstruction", x, x, rng, rows)


def parity(rng: np.random.Generator, rows: int) -> Data:
    """The parity of three of ten signs: flat for long, then learnt within few steps (Barak et al. 2022)."""
    x = rng.choice([-1.0, 1.0], (3000, 10))
    return _split("parity", "classes", x, (x[:, :3].prod(1) > 0).astype(int), rng, rows, classes=2)


TABLES = ("digits", "wine", "cancer", "diabetes", "friedman", "moons", "clusters")
DATASETS: dict[str, Callable[[np.random.Generator, int], Data]] = {
    made.__name__: made
    for made in (
        digits, wine, cancer, diabetes, friedman, moons, clusters, shapes, waves, adding, text, markov, low_rank,
        digit_pictures, parity,
    )
}  # fmt: skip
