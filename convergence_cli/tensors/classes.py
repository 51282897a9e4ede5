"""Classes among dumped labels, and which of them the dumped outputs take for which.

A label is a class where its type or its output says so; whole numbers alone may be a regression target, which
has no classes to balance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from convergence_cli.printable import printable
from convergence_cli.tensor_stats import Collection, Confusion, LabelCounts
from convergence_cli.tensors.rows import is_float, readable, rows
from convergence_cli.tensors.stored import StoredTensor
from convergence_cli.tensors.tokens import count_tokens

MAX_CLASSES = 1000
MAX_VALUE = 100_000
# Of values that nothing else shows to be classes, this many samples must share each.
SAMPLES_A_CLASS = 5
_PREFERRED = ("logit", "pred", "output")

Named = Sequence[tuple[str, StoredTensor]]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels read once. ``shape`` is (samples, ...) after one-hot rows became one; ``signed``: classes are -1 and 1."""

    name: str
    tensor: StoredTensor
    shape: tuple[int, ...]
    one_hot: int
    values: tuple[int, ...]
    counts: tuple[int, ...]
    signed: bool

    @property
    def sequence(self) -> bool:
        return len(self.shape) > 1

    def classes(self) -> Iterator[Array]:
        """Class numbers in blocks; negative ones are left out by the caller."""
        for block in rows(self.tensor, self.one_hot or 1):
            found = block.argmax(axis=1) if self.one_hot else block[:, 0].astype(np.int64)
            yield (found + 1) // 2 if self.signed else found


def count_classes(collection: Collection, step: float, mode: str, inputs: Named, labels: Named, outputs: Named) -> None:
    """Add to ``collection`` what one step's dump tells of classes and tokens.

    ``outputs`` are those of the model, logits or probabilities, not of its layers. Raises ``SourceError`` where
    the bytes of a tensor are not there.
    """
    for name, tensor in inputs:
        tokens = count_tokens(step, mode, name, tensor)
        if tokens is not None:
            collection.tokens.append(tokens)
    for name, tensor in labels:
        if not readable(tensor, tensor.shape[-1] if len(tensor.shape) == 2 else 1):
            collection.notes.append(f"{printable(name)}: classes are not counted in so many values")
            continue
        found = _labels(name, tensor)
        if found is None:
            continue
        output = _output_of(found, outputs)
        if not _are_classes(found, output):
            continue
        values = (-1.0, 1.0) if found.signed else tuple(float(value) for value in found.values)
        collection.labels.append(LabelCounts(step, name, values, found.counts, found.sequence, mode))
        matrix = _confusion(found, output[1]) if output is not None else None
        if output is not None and matrix is not None:
            collection.confusions.append(Confusion(step, output[0], matrix, found.sequence, mode))


def _labels(name: str, tensor: StoredTensor) -> _Labels | None:
    """The labels in ``tensor``; None where they are no whole numbers, or of a shape that labels do not have."""
    shape = tensor.shape
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    # A mask of one channel.
    if len(shape) > 2 and shape[1] == 1:
        shape = shape[:1] + shape[2:]
    if not shape or not tensor.size:
        return None
    if len(shape) == 2 and shape[1] <= MAX_CLASSES:
        counts = _one_hot(tensor, shape[1])
        if counts is not None:
            seen = np.flatnonzero(counts)
            return _Labels(name, tensor, shape[:1], shape[1], _ints(seen), _ints(counts[seen]), False)
    many = len(shape) > 1 and (is_float(tensor) or tensor.dtype == "bool")
    counted = None if many else _whole_numbers(tensor)
    if counted is None:
        return None
    counts, minus_one, negative = counted
    seen = np.flatnonzero(counts)
    if minus_one and minus_one == negative and _ints(seen) == (1,) and len(shape) == 1:
        return _Labels(name, tensor, shape, 0, (0, 1), (minus_one, int(counts[1])), True)
    if (negative and is_float(tensor)) or not 0 < len(seen) <= MAX_CLASSES:
        return None
    return _Labels(name, tensor, shape, 0, _ints(seen), _ints(counts[seen]), False)


def _whole_numbers(tensor: StoredTensor) -> tuple[Array, int, int] | None:
    """How often each number from 0 on occurs, how often -1 and any below 0; None where not all are whole."""
    counts, minus_one, negative = np.zeros(0, np.int64), 0, 0
    for block in rows(tensor, 1):
        values = block[:, 0]
        if is_float(tensor) and not (np.isfinite(values).all() and (values == np.trunc(values)).all()):
            return None
        if values.max() > MAX_VALUE:
            return None
        below = values < 0
        if below.any():
            minus_one += int((values == -1).sum())
            negative += int(below.sum())
            values = values[~below]
        found = np.bincount(values.astype(np.int64), minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts, minus_one, negative


def _ints(values: Array) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _one_hot(tensor: StoredTensor, classes: int) -> Array | None:
    """How often each column holds a row's one 1; None where a row is not one 1 and else 0."""
    counts = np.zeros(classes, np.int64)
    for block in rows(tensor, classes):
        ones = block == 1
        if not (ones.sum(axis=1) == 1).all() or np.count_nonzero(block) != len(block):
            return None
        counts += ones.sum(axis=0)
    return counts


def _output_of(labels: _Labels, outputs: Named) -> tuple[str, StoredTensor] | None:
    """The output that fits the labels in number of samples; of several the one whose name tells it, or the last."""
    fitting = [
        (rank, -place, name, tensor)
        for place, (name, tensor) in enumerate(outputs)
        for rank in (next((i for i, word in enumerate(_PREFERRED) if word in name.lower()), len(_PREFERRED)),)
        if is_float(tensor) or len(_squeezed(tensor.shape)) == 1
        if _class_axis(labels, tensor) is not None and tensor is not labels.tensor
    ]
    if not fitting:
        return None
    _, _, name, tensor = min(fitting, key=lambda one: one[:2])
    return name, tensor


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def _class_axis(labels: _Labels, output: StoredTensor) -> tuple[int, int, int] | None:
    """(samples, classes, places) of an output seen as samples x classes x places; classes 1: a single number each.

    None where its shape does not go with that of the labels, or has too few classes for them.
    """
    shape, wanted = output.shape, labels.shape
    most = labels.values[-1] + 1
    if _squeezed(shape) == wanted:
        return prod(wanted), 1, 1
    if shape[:-1] == wanted and most <= shape[-1] <= MAX_CLASSES:
        return prod(wanted), shape[-1], 1
    if shape[:1] == wanted[:1] and len(shape) > 2 and shape[2:] == wanted[1:] and most <= shape[1] <= MAX_CLASSES:
        return shape[0], shape[1], prod(shape[2:])
    return None


def _are_classes(labels: _Labels, output: tuple[str, StoredTensor] | None) -> bool:
    if labels.one_hot or labels.signed or labels.sequence:
        return True
    binary = set(labels.values) <= {0, 1}
    if output is not None:
        axes = _class_axis(labels, output[1])
        if axes is not None and axes[1] > 1:
            return True
        return binary or _whole(output[1])
    total = sum(labels.counts)
    if total > SAMPLES_A_CLASS * len(labels.values):
        return True
    # A batch of few samples: integers that fill a range from 0 on are classes, and ages or prices are not.
    return not is_float(labels.tensor) and labels.values[-1] + 1 <= 2 * len(labels.values)


def _whole(output: StoredTensor) -> bool:
    """Whether an output is the class itself: whole numbers from 0 on."""
    if not readable(output):
        return False
    return all(
        bool(np.isfinite(block).all() and (block >= 0).all() and (block == np.trunc(block)).all())
        for block in rows(output, 1)
    )


def _confusion(labels: _Labels, output: StoredTensor) -> Array | None:
    """(classes, classes) samples of each class by the class they were taken for; None where that cannot be said."""
    axes = _class_axis(labels, output)
    if axes is None or not readable(output, axes[1] * axes[2]):
        return None
    if axes[1] == 1:
        binary = labels.values[-1] <= 1
        classes = 2 if binary else labels.values[-1] + 1
        predicted = _thresholded(output) if binary else (block[:, 0].astype(np.int64) for block in rows(output, 1))
    else:
        classes, predicted = axes[1], _argmax(output, axes[1], axes[2])
    matrix = np.zeros(classes * classes, np.int64)
    for truth, guess in _together(labels.classes(), predicted):
        known = (truth >= 0) & (guess >= 0) & (guess < classes)
        matrix += np.bincount(truth[known] * classes + guess[known], minlength=len(matrix))
    return matrix.reshape(classes, classes) if matrix.any() else None


def _argmax(output: StoredTensor, classes: int, places: int) -> Iterator[Array]:
    """The class of each sample and place, -1 where one of its numbers is NaN."""
    for block in rows(output, classes * places):
        values = block.reshape(len(block), classes, places)
        found = values.argmax(axis=1)
        if is_float(output):
            found = np.where(np.isnan(values).any(axis=1), -1, found)
        yield found.reshape(-1)


def _thresholded(output: StoredTensor) -> Iterator[Array]:
    """1 where a number is above 0.5 (all lie in [0, 1]: probabilities) or above 0 (logits), -1 where it is NaN."""
    probabilities = all(bool(((block >= 0) & (block <= 1) | np.isnan(block)).all()) for block in rows(output, 1))
    limit = 0.5 if probabilities else 0.0
    for block in rows(output, 1):
        values = block[:, 0]
        yield np.where(np.isnan(values), -1, values > limit).astype(np.int64)


def _together(left: Iterator[Array], right: Iterator[Array]) -> Iterator[tuple[Array, Array]]:
    """Two streams of numbers in pieces of equal length."""
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        count = min(len(a), len(b))
        yield a[:count], b[:count]
        a = a[count:] if len(a) > count else next(left, None)
        b = b[count:] if len(b) > count else next(right, None)
