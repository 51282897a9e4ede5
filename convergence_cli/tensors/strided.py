"""Tensors that lie in their storage in another order than their own, as views of torch do, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.tensors.raw import opened_at, value_blocks
from convergence_cli.tensors.stored import BLOCK_BYTES, Block, StoredTensor, left_out

if TYPE_CHECKING:
    from convergence_cli.readers._guard import Source

# The part of a storage that is held at once; a slice that spans more is read in slices of its own.
_SPAN_BYTES = 4 * BLOCK_BYTES
# A view that repeats its values costs the time of all of them.
_MAX_REPEATED_BYTES = 256 << 20
# Slices of a view may overlap; this is how often the storage may be read for it.
_MAX_READ = 8
_MAX_AXES = 64


@dataclass(frozen=True, slots=True)
class View:
    """``shape`` and ``stride`` as torch has them, in values of ``dtype``, from byte ``offset`` of the file on."""

    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def span(self) -> int:
        """How many values of the storage lie from its first to its last."""
        return 1 + sum((length - 1) * step for length, step in zip(self.shape, self.stride, strict=True))

    @property
    def size(self) -> int:
        """How many values it has."""
        count = 1
        for length in self.shape:
            count *= length
        return count


def view_tensor(source: Source, key: str, name: str, view: View, room: int) -> StoredTensor:
    """The tensor ``view`` of the ``room`` bytes that lie at its offset; its trouble where it does not fit in them."""
    trouble = _trouble(view, room)
    if trouble:
        return left_out(key, trouble)
    if not view.size:
        return StoredTensor(key, name, view.shape, lambda: iter(()))
    if _contiguous(view.shape, view.stride):
        return StoredTensor(key, name, view.shape, partial(_whole, source, view))
    if _contiguous(view.shape[::-1], view.stride[::-1]):
        return StoredTensor(key, name, view.shape, partial(_whole, source, view), fortran=True)
    return StoredTensor(key, name, view.shape, partial(_in_blocks, source, view))


def _trouble(view: View, room: int) -> str:
    if len(view.shape) > _MAX_AXES:
        return "tensors of more than 64 axes are not read"
    size = view.size * view.dtype.itemsize
    if not size:
        return ""
    if view.span * view.dtype.itemsize > room:
        return "a view that reaches beyond its storage"
    if size > max(room, _MAX_REPEATED_BYTES):
        return "a view that repeats the same values without end"
    if min(_bytes_to_read(view), _bytes_to_read(_reversed(view))) > _MAX_READ * max(size, _SPAN_BYTES):
        return "a view too scattered in its storage"
    return ""


def _reversed(view: View) -> View:
    return View(view.dtype, view.offset, view.shape[::-1], view.stride[::-1])


def _contiguous(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    expected = 1
    for length, step in zip(reversed(shape), reversed(stride), strict=True):
        if length != 1 and step != expected:
            return False
        expected *= length
    return True


def _whole(source: Source, view: View) -> Iterator[Block]:
    return value_blocks(source, partial(opened_at, source, view.offset), view.dtype, view.size)


def _bytes_to_read(view: View) -> int:
    """How many bytes ``_slices`` makes it read."""
    repeats = 1
    shape, stride = view.shape, view.stride
    while (part := View(view.dtype, 0, shape, stride)).span * view.dtype.itemsize > _SPAN_BYTES and shape:
        repeats *= shape[0]
        shape, stride = shape[1:], stride[1:]
    return repeats * part.span * view.dtype.itemsize


def _slices(view: View) -> Iterator[View]:
    """Its parts along the first axes, each of which spans no more than may be held."""
    if view.span * view.dtype.itemsize <= _SPAN_BYTES or not view.shape:
        yield view
        return
    for index in range(view.shape[0]):
        offset = view.offset + index * view.stride[0] * view.dtype.itemsize
        yield from _slices(View(view.dtype, offset, view.shape[1:], view.stride[1:]))


def _in_blocks(source: Source, view: View) -> Iterator[Block]:
    waiting: list[Block] = []
    count, limit = 0, BLOCK_BYTES // view.dtype.itemsize
    for part in _slices(view):
        for block in _gathered(source, part):
            if count + block.size > limit:
                yield np.concatenate(waiting)
                waiting, count = [], 0
            waiting.append(block)
            count += block.size
    yield np.concatenate(waiting)


def _gathered(source: Source, view: View) -> Iterator[Block]:
    """The values of ``view`` in its own order; they are copies, each of at most ``BLOCK_BYTES``."""
    span = value_blocks(source, partial(opened_at, source, view.offset), view.dtype, view.span)
    storage = np.concatenate([block.copy() for block in span])
    strides = tuple(step * storage.itemsize for step in view.stride)
    # view_tensor has seen that no index leaves the storage.
    whole = np.lib.stride_tricks.as_strided(storage, view.shape, strides, writeable=False)
    yield from _cut(whole)


def _cut(part: Block) -> Iterator[Block]:
    if part.nbytes <= BLOCK_BYTES:
        yield part.reshape(-1).copy()
        return
    if part.ndim > 1 and part[0].nbytes > BLOCK_BYTES:
        for one in part:
            yield from _cut(one)
        return
    rows = max(1, BLOCK_BYTES // part[0].nbytes)
    for begin in range(0, len(part), rows):
        yield part[begin : begin + rows].reshape(-1).copy()
