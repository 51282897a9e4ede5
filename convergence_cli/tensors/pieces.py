"""A tensor cut into pieces that stay in the cache and begin and end where its units do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.tensors.moments import CHUNK

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import Block, StoredTensor


@dataclass(frozen=True, slots=True)
class Layout:
    """A tensor as stored, seen from its units: shape (``before``, ``units``, ``after``), ``line`` its last dimension.

    A tensor without units is one unit.
    """

    before: int
    units: int
    after: int
    line: int

    @property
    def period(self) -> int:
        """After how many values the cutting begins anew."""
        slab = self.units * self.after
        if slab <= CHUNK:
            return max(slab * self.before, 1)
        return slab if self.after <= CHUNK else self.after

    @property
    def step(self) -> int:
        """How many values a piece has at most: whole samples, else whole units, else whole lines."""
        for whole in (self.units * self.after, self.after, self.line):
            if 0 < whole <= CHUNK:
                return CHUNK // whole * whole
        return CHUNK


@dataclass(frozen=True, slots=True)
class Piece:
    """Values of shape (samples, units, positions), which begin at unit ``unit`` and position ``position``."""

    values: Block
    sample: int
    unit: int
    position: int


def layout_of(tensor: StoredTensor, axis: int | None) -> Layout:
    """How ``tensor`` is stored as seen from ``axis``; None for no units."""
    shape = tensor.shape
    if tensor.fortran:
        shape = shape[::-1]
        axis = None if axis is None else len(shape) - 1 - axis % len(shape)
    line = shape[-1] if shape else 1
    if axis is None:
        return Layout(1, 1, tensor.size, line)
    axis %= len(shape)
    before = after = 1
    for length in shape[:axis]:
        before *= length
    for length in shape[axis + 1 :]:
        after *= length
    return Layout(before, shape[axis], after, line)


def cut(blocks: Iterable[Block], layout: Layout) -> Iterator[Block]:
    """The values of ``blocks``, wherever those are cut, in pieces of ``layout``."""
    period, step = layout.period, layout.step
    waiting: list[Block] = []
    held = place = 0
    wanted = min(step, period)
    for block in blocks:
        start = 0
        while block.size - start >= wanted - held:
            end = start + wanted - held
            if waiting:
                yield np.concatenate([*waiting, block[start:end]])
                waiting.clear()
            else:
                yield block[start:end]
            start, held = end, 0
            place = (place + wanted) % period
            wanted = min(step, period - place)
        if start < block.size:
            waiting.append(block[start:].copy())
            held += block.size - start
    if waiting:
        yield np.concatenate(waiting)


def placed(values: Block, start: int, layout: Layout) -> Piece:
    """The piece ``values`` that begins ``start`` values after the beginning of the tensor."""
    slab = layout.units * layout.after
    sample, within = divmod(start, slab)
    unit, position = divmod(within, layout.after)
    if not within and not values.size % slab:
        return Piece(values.reshape(-1, layout.units, layout.after), sample, 0, 0)
    if not position and not values.size % layout.after:
        return Piece(values.reshape(1, -1, layout.after), sample, unit, 0)
    return Piece(values.reshape(1, 1, -1), sample, unit, position)
