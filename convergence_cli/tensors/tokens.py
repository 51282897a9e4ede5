"""The tokens of integer inputs: how many different ones, how frequent, and which of them is padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from convergence_cli.tensor_stats import TokenCounts
from convergence_cli.tensors.rows import readable, rows

if TYPE_CHECKING:
    from convergence_cli.tensors.stored import StoredTensor

MIN_LENGTH = 4
MAX_VOCABULARY = 1 << 20
TOP = 10
# A run at the end of a row is padding where this share of the rows, and at least two, end in one.
PADDED_ROWS = 0.1
_TYPES = ("int64", "int32", "int16", "uint64", "uint32", "uint16")
_NOT_TOKENS = ("mask", "type", "segment", "position", "label", "target", "index")

Counts = npt.NDArray[np.int64]


def count_tokens(step: float, mode: str, name: str, tensor: StoredTensor) -> TokenCounts | None:
    """The tokens of ``tensor`` (batch, length >= 4), or None where it holds none.

    Masks, positions and other integers beside the tokens are told apart by their names and values.
    """
    if len(tensor.shape) != 2 or tensor.shape[1] < MIN_LENGTH or tensor.dtype not in _TYPES:
        return None
    length = tensor.shape[1]
    if any(word in name.lower() for word in _NOT_TOKENS) or not readable(tensor, length):
        return None
    counts: Counts = np.zeros(0, np.int64)
    runs = _Runs()
    positions_only = True
    for block in rows(tensor, length):
        if block.min() < 0 or block.max() >= MAX_VOCABULARY:
            return None
        found = np.bincount(block.reshape(-1).astype(np.int64))
        counts = _added(counts, found)
        positions_only = positions_only and bool((np.diff(block.astype(np.int64), axis=1) == 1).all())
        runs.add(block)
    if len(counts) <= 2 or positions_only:
        return None
    total = int(counts.sum())
    top = np.argsort(-counts, kind="stable")[:TOP]
    shares = {int(token): float(counts[token] / total) for token in top if counts[token]}
    padding, padded = runs.padding(total // length)
    return TokenCounts(step, name, total, int((counts > 0).sum()), padding, padded / total, shares, mode)


class _Runs:
    """Runs of one token at the ends and at the beginnings of rows: by side, in how many rows and positions."""

    def __init__(self) -> None:
        self.rows: list[Counts] = [np.zeros(0, np.int64), np.zeros(0, np.int64)]
        self.positions: list[Counts] = [np.zeros(0, np.int64), np.zeros(0, np.int64)]

    def add(self, block: npt.NDArray[np.integer]) -> None:
        for side, turned in enumerate((block[:, ::-1], block)):
            first = turned[:, 0].astype(np.int64)
            other = turned != turned[:, :1]
            length = np.where(other.any(axis=1), other.argmax(axis=1), turned.shape[1])
            in_run = length >= 2
            self.rows[side] = _added(self.rows[side], np.bincount(first[in_run]))
            weights = np.bincount(first[in_run], weights=length[in_run]).astype(np.int64)
            self.positions[side] = _added(self.positions[side], weights)

    def padding(self, total: int) -> tuple[int | None, int]:
        """The token that fills the ends of many of ``total`` rows, and how many positions it fills there."""
        best: tuple[int, int | None, int] = (0, None, 0)
        for counted, positions in zip(self.rows, self.positions, strict=True):
            if len(counted):
                token = int(counted.argmax())
                best = max(best, (int(counted[token]), token, int(positions[token])), key=lambda one: one[0])
        if best[0] < max(2, PADDED_ROWS * total):
            return None, 0
        return best[1], best[2]


def _added(left: Counts, right: Counts) -> Counts:
    if len(left) < len(right):
        left, right = right.astype(np.int64), left
    left[: len(right)] += right
    return left
