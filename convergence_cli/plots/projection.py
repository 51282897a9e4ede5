"""Many dimensions in two: principal components by own code, t-SNE and UMAP where they are installed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import CtroubleshootError

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[np.float64]]

METHODS = ("pca", "tsne", "umap")
NAMES = {"pca": "principal components", "tsne": "t-SNE", "umap": "UMAP"}
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Projected:
    """``points`` (samples, 2); ``explained``: the shares of the variance along the two axes, where they mean one."""

    points: Array
    explained: tuple[float, float] | None = None


def project(values: Array, method: str) -> Projected:
    """``values`` (samples, features), finite, in two dimensions by one of ``METHODS``; the same points each time.

    Raises ``CtroubleshootError`` where ``method`` needs a library that is not installed.
    """
    if method == "pca" or len(values) < _FEWEST:
        return principal(values)
    return Projected(_tsne(values) if method == "tsne" else _umap(values))


def principal(values: Array) -> Projected:
    """The two directions of largest variance, from the singular value decomposition of the centred values.

    A direction is turned so that its largest entry is positive: its sign alone means nothing.
    """
    centred = values - values.mean(axis=0)
    # The same directions and a fraction of the work, where there are more samples than features.
    core = np.linalg.qr(centred, mode="r") if len(centred) > centred.shape[1] else centred
    _, singular, directions = np.linalg.svd(core, full_matrices=False)
    axes = np.zeros((2, values.shape[1]))
    axes[: min(2, len(directions))] = directions[:2]
    for place, axis in enumerate(axes):
        # Entries that are as large but for rounding: the first decides.
        first = np.flatnonzero(np.abs(axis) >= np.abs(axis).max() * (1 - 1e-9))[0]
        if axis[first] < 0:
            axes[place] = -axis
    power = singular**2
    total = float(power.sum())
    shares = [float(one) / total if total > 0 else 0.0 for one in (*power[:2], 0.0, 0.0)]
    return Projected(centred @ axes.T, (shares[0], shares[1]))


def _tsne(values: Array) -> Array:
    try:
        manifold = import_module("sklearn.manifold")
    except ImportError as error:
        raise _absent("tsne", "scikit-learn") from error
    perplexity = min(30.0, (len(values) - 1) / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = manifold.TSNE(n_components=2, init="pca", random_state=0, perplexity=perplexity).fit_transform(values)
    return np.asarray(found, dtype=np.float64)


def _umap(values: Array) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            umap = import_module("umap")
    except ImportError as error:
        raise _absent("umap", "umap-learn") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        neighbours = min(15, len(values) - 1)
        found = umap.UMAP(n_components=2, random_state=0, n_jobs=1, n_neighbors=neighbours).fit_transform(values)
    return np.asarray(found, dtype=np.float64)


def _absent(method: str, package: str) -> CtroubleshootError:
    return CtroubleshootError(
        f"--projection {method} needs {package}, which is not installed.", f"Install: pip install {package}"
    )
