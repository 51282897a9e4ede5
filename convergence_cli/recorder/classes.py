"""The classes of a batch: from labels that were given, or from the gradient of the loss at the output.

A loss that is a function leaves no labels behind. But the gradient of a cross entropy at the logits is
``w (softmax(z) - onehot(y))`` (Bishop 2006, equation 4.109): of each row it adds up to 0, and the entry of its label is
the only one below 0. Of a binary cross entropy it is ``w (sigmoid(z) - y)``, below 0 where the label is 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from convergence_cli.recorder.lines import line
from convergence_cli.recorder.logged import OnItsWay

if TYPE_CHECKING:
    from torch import Tensor

Array = npt.NDArray[Any]
# Labels, predicted classes where they are known, the name of the output, and whether it is a sequence.
Found = tuple[Array, Array | None, str, bool]
MOST_CLASSES = 1000
# A larger confusion is hardly read by anyone, and costs a line of kilobytes at each sampled step.
MOST_SHOWN = 64
MOST_ROWS = 1 << 14
MOST_VALUES = 1 << 22
# By how much a row of rounded gradients may miss 0, and which share of the rows must look like a cross entropy.
_ROW_SUM, _AGREEING = 0.03, 0.95


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is kept of an output: of some rows the predicted class, and which rows these are.

    ``axis`` is that of the classes; None: one column, whose sign (or side of a half) is the class. ``stride``: every
    how many rows one is taken, of (batch, positions) in one line.
    """

    name: str
    predicted: Tensor
    axis: int | None
    stride: int
    shape: tuple[int, ...]


def outputs_of(name: str, output: Tensor, labels: Tensor | None) -> list[Outputs]:
    """The predicted classes of ``output`` (batch, classes), (batch, length, classes) or (batch, classes, ...).

    Where the axis of the classes is open, both are given, unless the shape of ``labels`` tells it.
    """
    shape = tuple(output.shape)
    if output.dim() == 1 or (output.dim() == 2 and shape[1] == 1):
        return [Outputs(name, output.detach().reshape(-1)[:MOST_ROWS].clone(), None, 1, shape)]
    axes = {2: [1], 3: [2, 1]}.get(output.dim(), [1])
    if labels is not None and output.dim() > 1:
        told = [axis for axis in range(1, output.dim()) if shape[:axis] + shape[axis + 1 :] == tuple(labels.shape)]
        axes = told[:1] or axes
    found = []
    for axis in axes:
        if shape[axis] > 1:
            rows, stride = _rows(output.detach(), axis)
            found.append(Outputs(name, rows.argmax(1), axis, stride, shape))
    return found


def from_labels(outputs: list[Outputs], labels: Tensor) -> Callable[[], Found] | None:
    """Labels that were given, and beside them what was predicted."""
    if labels.is_floating_point() or labels.is_complex():
        return None
    while labels.dim() > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    sequence = labels.dim() > 1
    line_of = labels.detach().reshape(-1)
    for one in outputs:
        classes = 1 if one.axis is None else one.shape[one.axis]
        size = math.prod(one.shape) // classes
        if size == line_of.numel():
            same = OnItsWay(line_of[:: one.stride][: one.predicted.numel()])
            return _fetched(same, OnItsWay(one.predicted.float()), one, sequence)
    some = OnItsWay(line_of[: MOST_ROWS * 4])
    return lambda: (some.array(), None, "", sequence)


def from_gradient(outputs: list[Outputs], gradient: Tensor) -> Callable[[], Found | None]:
    """The labels of the rows of ``outputs`` by the gradient of the loss at them; None where it is no such loss."""
    jobs = []
    for one in outputs:
        if one.axis is None:
            jobs.append(_binary(one, gradient.detach().reshape(-1)[: one.predicted.numel()]))
        elif tuple(gradient.shape) == one.shape:
            jobs.append(_softmax(one, _rows(gradient.detach(), one.axis)[0]))
    return lambda: next((found for job in jobs if (found := job()) is not None), None)


def lines_of_classes(step: float, found: Found | None, name: str = "labels") -> Iterable[bytes]:
    """The lines ``labels`` and ``confusion`` of one step."""
    if found is None:
        return
    labels, predicted, output, sequence = found
    labels = labels.astype(np.int64)
    known = labels >= 0
    if not known.any() or labels[known].max() >= MOST_CLASSES:
        return
    values, counts = np.unique(labels[known], return_counts=True)
    more = {"sequence": True} if sequence else {}
    yield line({"labels": name, "step": step, "values": values.tolist(), "counts": counts.tolist(), **more})
    if predicted is None or not output:
        return
    classes = int(max(labels[known].max(), predicted[known].max())) + 1
    if classes > MOST_SHOWN:
        return
    matrix = np.bincount(labels[known] * classes + predicted[known].astype(np.int64), minlength=classes * classes)
    cells = [[int(at) // classes, int(at) % classes, int(matrix[at])] for at in np.flatnonzero(matrix)]
    yield line({"confusion": output, "step": step, "classes": classes, "cells": cells, **more})


def _rows(output: Tensor, axis: int) -> tuple[Tensor, int]:
    """Some rows of ``output``, as (rows, classes), and every how many one was taken."""
    classes = output.shape[axis]
    rows = output.movedim(axis, -1).reshape(-1, classes)
    most = max(min(MOST_ROWS, MOST_VALUES // classes), 1)
    stride = -(-rows.shape[0] // most)
    return rows[::stride], stride


def _fetched(labels: OnItsWay, values: OnItsWay, one: Outputs, sequence: bool) -> Callable[[], Found]:
    def job() -> Found:
        predicted = values.array()
        return labels.array(), _side(predicted) if one.axis is None else predicted, one.name, sequence

    return job


def _side(values: Array) -> Array:
    """The class of a single column: logits lie on a side of 0, probabilities of a half."""
    known = values[np.isfinite(values)]
    probabilities = known.size > 0 and known.min() >= 0 and known.max() <= 1
    return (values > (0.5 if probabilities else 0.0)).astype(np.int64)


def _softmax(one: Outputs, rows: Tensor) -> Callable[[], Found | None]:
    import torch

    rows = rows.float()
    facts = OnItsWay(
        torch.stack([rows.argmin(1).float(), rows.amin(1), rows.sum(1), (rows < 0).sum(1).float(), rows.amax(1)])
    )
    classes = OnItsWay(one.predicted)

    def job() -> Found | None:
        label, low, total, negative, high = facts.array()
        predicted = classes.array()
        told = low < 0
        # A row that is surely right has no gradient left at its label, and one that does not count has none at all.
        sure = ~told & (high > 0)
        agreeing = (negative[told] == 1) & (np.abs(total[told]) <= _ROW_SUM * -low[told])
        if told.sum() < 2 or agreeing.mean() < _AGREEING:
            return None
        labels = np.where(told, label, np.where(sure, predicted, -1)).astype(np.int64)
        return labels, predicted, one.name, len(one.shape) > 2

    return job


def _binary(one: Outputs, gradient: Tensor) -> Callable[[], Found | None]:
    values, slopes = OnItsWay(one.predicted.float()), OnItsWay(gradient.float())

    def job() -> Found | None:
        z, g = values.array().astype(np.float64), slopes.array().astype(np.float64)
        if g.size < 4 or not np.isfinite(z).all() or not np.isfinite(g).all():
            return None
        y = (g < 0).astype(np.float64)
        bounded = bool((z > 0).all() and (z < 1).all())
        # The weight of each sample must be one and the same: that of a squared error depends on the sample.
        expected = (z - y) / (z * (1 - z)) if bounded else 1 / (1 + np.exp(-np.clip(z, -60, 60))) - y
        known = np.abs(expected) > 1e-4
        if known.sum() < 4:
            return None
        weight = g[known] / expected[known]
        middle = float(np.median(weight))
        # One half is where a squared error of a sigmoid looks alike; the loss of two classes has two signs.
        if middle <= 0 or np.mean(np.abs(weight / middle - 1) < _ROW_SUM) < _AGREEING or not 0 < y.mean() < 1:
            return None
        return y.astype(np.int64), _side(z), one.name, False

    return job
