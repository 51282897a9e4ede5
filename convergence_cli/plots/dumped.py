"""Tensors themselves, of dumps and of what the recorder saved: samples of bounded size, through the guarded readers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.errors import SourceError
from convergence_cli.plots.style import evenly
from convergence_cli.streams import STANDARD_INPUT
from convergence_cli.tensors.attach import RAW_FOLDER
from convergence_cli.tensors.find import find_dumps
from convergence_cli.tensors.names import Named, named
from convergence_cli.tensors.rows import readable, rows

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Dump, StoredTensor

    Array = np.ndarray[Any, np.dtype[np.float64]]

# Samples of a step, and values of each: a hundredth of a second of work, and a picture that can be read.
MAX_SAMPLES, MAX_FEATURES = 1000, 1024
MAX_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Taken:
    """``values`` (samples, features), ``of`` so many of both; their ``places`` along the first axis."""

    values: Array
    of: tuple[int, int]
    places: tuple[int, ...]

    @property
    def note(self) -> str:
        """What was left out, in words; empty where nothing was."""
        parts = [
            f"{have:,} of {all_:,} {what}"
            for have, all_, what in zip(self.values.shape, self.of, ("samples", "values of each"), strict=True)
            if have < all_
        ]
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Opened:
    """One dump with its tensors by what their names tell."""

    dump: Dump
    tensors: tuple[tuple[Named, StoredTensor], ...]

    def of_kind(self, *kinds: str) -> list[tuple[Named, StoredTensor]]:
        """The readable tensors of ``kinds``, in the order of the dump."""
        return [(name, tensor) for name, tensor in self.tensors if name.kind in kinds and not tensor.trouble]


def dumps_of(run_path: str, root: str | None = None) -> list[Dump]:
    """The dumps that belong to the run at ``run_path``, by step, looked for at ``root`` (by default beside the run)."""
    if run_path in STANDARD_INPUT or not os.path.exists(run_path):
        return []
    own = Path(run_path)
    home = own if own.is_dir() else own.parent
    start = Path(root) if root is not None and root not in STANDARD_INPUT and os.path.exists(root) else home
    if start.is_file() and not find_dumps(start):
        start = start.parent
    found: list[Dump] = []
    for one in find_dumps(start):
        folder = one.folder.parent if one.folder.name == RAW_FOLDER else one.folder
        if folder.is_file() or folder.is_relative_to(home) or home.is_relative_to(folder):
            found += one.dumps
    return sorted(found, key=lambda dump: (dump.step, dump.mode, dump.worker))


def opened(dumps: Sequence[Dump], first: float, last: float) -> Iterator[Opened]:
    """The dumps from step ``first`` to ``last`` that can be read; those of the first worker alone."""
    workers = sorted({dump.worker for dump in dumps})
    for dump in dumps:
        if dump.worker != workers[0] or not first <= dump.step <= last:
            continue
        try:
            tensors = dump.tensors()
        except SourceError:
            continue
        yield Opened(dump, tuple((named(tensor.key), tensor) for tensor in tensors))


def wanted(name: Named, layers: Sequence[str]) -> bool:
    """Whether one of the globs ``layers`` is for the layer, the name, or kind and name; all are where there is none."""
    words = (name.layer, name.name, f"{name.kind}/{name.name}")
    return not layers or any(fnmatchcase(word, glob) for glob in layers for word in words)


def take(tensor: StoredTensor, most_samples: int = MAX_SAMPLES, most_features: int = MAX_FEATURES) -> Taken | None:
    """At most so many samples (along the first axis) and so many values of each, evenly taken; None where it has none.

    Raises ``SourceError`` where the bytes are not there.
    """
    count = tensor.shape[0] if tensor.shape else 0
    width = tensor.size // count if count else 0
    if not width or not readable(tensor, width):
        return None
    samples, features = np.array(evenly(count, most_samples)), np.array(evenly(width, most_features))
    parts: list[Array] = []
    start = 0
    for block in rows(tensor, width):
        inside = samples[(samples >= start) & (samples < start + len(block))] - start
        if len(inside):
            parts.append(block[np.ix_(inside, features)].astype(np.float64))
        start += len(block)
    return Taken(np.concatenate(parts), (count, width), tuple(samples.tolist())) if parts else None


def classes_in(one: Opened, samples: int, places: Sequence[int]) -> tuple[int, ...] | None:
    """The classes of the samples at ``places`` of ``samples``, from the dump's labels; None where it has none."""
    for _, tensor in one.of_kind("label"):
        if not tensor.shape or tensor.shape[0] != samples:
            continue
        width = tensor.size // samples
        if width > MAX_CLASSES or not readable(tensor, width):
            continue
        try:
            values = np.concatenate([block.astype(np.float64) for block in rows(tensor, width)])
        except SourceError:
            continue
        flat = values.argmax(axis=1) if width > 1 else values[:, 0]
        if np.isfinite(flat).all() and (flat == np.round(flat)).all() and np.abs(flat).max() < 1e9:
            return tuple(int(flat[place]) for place in places)
    return None
