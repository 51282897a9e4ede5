"""Names for the variables of HDF5 files: Keras 3 numbers those of a layer, in an order that their shapes tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from convergence_cli.tensors.names import KIND_OF, named

_NUMBERED = "vars"
_CHECKPOINT = re.compile(r"(?i)(?:.*?[._-])??(?:epoch|ep|e)?[_=-]?(?P<epoch>\d{1,15})(?:[._-].*)?\.weights\.h5")
_PLAIN = ("layers", _NUMBERED)
_LEGACY = "model_weights"
_NORMALISED = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True, slots=True)
class Variable:
    """An array at ``path``."""

    path: tuple[str, ...]
    shape: tuple[int, ...]


def epoch_of(name: str) -> float | None:
    """The epoch in the name of a checkpoint, such as ``weights.05-0.43.weights.h5``; None where it is none.

    Keras demands the ending of files with weights alone; the names of its ModelCheckpoint put the epoch first.
    """
    match = _CHECKPOINT.fullmatch(name)
    return None if match is None else float(match["epoch"])


def keys_of(variables: Sequence[Variable]) -> list[str]:
    """The key of each: its path, with ``weight/`` before it where that tells no kind.

    Of Keras 3, ``layers/dense/vars/0`` becomes ``weight/dense.kernel``. The names that the user gave to layers stand in
    attributes, which are not read.
    """
    shapes: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = defaultdict(dict)
    for one in variables:
        shapes[one.path[:-1]][one.path[-1]] = one.shape
    return [_key(one, shapes[one.path[:-1]]) for one in variables]


def _key(one: Variable, shapes: dict[str, tuple[int, ...]]) -> str:
    path = one.path
    if path[0] == _LEGACY:
        # The layer stands there twice: model_weights/dense/sequential/dense/kernel:0.
        path = path[2:] or path
    elif len(path) > 1 and path[-2] == _NUMBERED:
        layer = [part for part in path[:-2] if part not in _PLAIN]
        path = (*layer, _parameter(path[-1], layer[-1] if layer else "", shapes))
    elif KIND_OF.get(path[0].lower()):
        return "/".join(path)
    name = ".".join(path)
    return name if named(name).kind not in ("", "weight") else f"weight/{name}"


def _parameter(number: str, layer: str, shapes: dict[str, tuple[int, ...]]) -> str:
    """What Keras calls the variable ``number`` of a layer whose variables have ``shapes``; else its number."""
    ordered = [shapes[name] for name in sorted(shapes, key=lambda name: (len(name), name))]
    first = ordered[0]
    names: tuple[str, ...] = ()
    if len(ordered) == 1 and len(first) >= 2:
        names = ("embeddings" if "embedding" in layer else "kernel",)
    elif len(ordered) == 2 and 0 < len(ordered[1]) < len(first) and first[-len(ordered[1]) :] == ordered[1]:
        names = ("kernel", "bias")
    elif len(ordered) == 3 and [len(shape) for shape in ordered] == [2, 2, 1]:
        names = ("kernel", "recurrent_kernel", "bias")
    elif len(ordered) in (2, 4) and len(first) == 1 and len(set(ordered)) == 1:
        names = _NORMALISED[: len(ordered)]
    return names[int(number)] if number.isdecimal() and int(number) < len(names) else number
