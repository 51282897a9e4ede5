"""How the features of an input lie: far from zero, on different scales, or without any variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from convergence_cli.tensors.pieces import Layout, Piece
    from convergence_cli.tensors.stored import Block

# Memory of 40 bytes a feature.
MOST_FEATURES = 1 << 19


class InputFeatures:
    """Mean and variance of each feature in float64, measured from its first value; non-finite values are left out.

    Pieces are combined by Chan, Golub and LeVeque 1983, equation 2.1. From its first value a feature that
    never changes has the deviation 0 exactly.
    """

    def __init__(self, layout: Layout) -> None:
        shape = layout.units
        self._count, self._mean, self._squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._first = np.full(shape, np.nan)

    def add(self, piece: Piece) -> None:
        """Take in a piece of float32 or float64."""
        values = piece.values
        here = slice(piece.unit, piece.unit + values.shape[1])
        finite = np.isfinite(values)
        whole = bool(finite.all())
        first = self._first[here]
        if (new := np.isnan(first)).any():
            first[new] = _first_finite(values[:, new], finite[:, new])
        if whole:
            count = np.full(first.size, float(values.shape[0] * values.shape[2]))
            away = values - first[:, None]
        else:
            count = finite.sum(axis=(0, 2), dtype=np.float64)
            away = np.where(finite, values - first[:, None], 0.0)
        mean = away.sum(axis=(0, 2)) / np.maximum(count, 1)
        away -= mean[:, None]
        if not whole:
            away[~finite] = 0
        squares = np.einsum("sup,sup->u", away, away)
        together = self._count[here] + count
        apart = mean - self._mean[here]
        share = count / np.maximum(together, 1)
        self._squares[here] += squares + apart * apart * self._count[here] * share
        self._mean[here] += apart * share
        self._count[here] = together

    def numbers(self) -> dict[str, Any]:
        """``feature_offset``, ``feature_spread`` and ``constant_features``, of the features with two values."""
        known = self._count > 1
        if not known.any():
            return {}
        std = np.sqrt(self._squares[known] / self._count[known])
        mean = self._first[known] + self._mean[known]
        varied = std > 0
        found = {"constant_features": float(np.count_nonzero(~varied)) / std.size}
        if varied.any():
            std = std[varied]
            found["feature_offset"] = float(np.median(np.abs(mean[varied]) / std))
            found["feature_spread"] = float(std.max() / std.min())
        return found


def _first_finite(values: Block, finite: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Of each unit of (samples, units, positions), as float64; NaN where there is none."""
    if finite[0, :, 0].all():
        return values[0, :, 0].astype(np.float64)
    known = np.moveaxis(finite, 1, 0).reshape(values.shape[1], -1)
    place = known.argmax(axis=1)[:, None]
    found = np.take_along_axis(np.moveaxis(values, 1, 0).reshape(known.shape), place, axis=1)[:, 0]
    return np.where(known.any(axis=1), found.astype(np.float64), np.nan)
