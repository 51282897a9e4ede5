"""Suggestions against dense sweeps: regret, closeness, and how often nothing is learnt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lr_find.sweeps import GRID, SCHEDULES

# Ratios of losses near zero say nothing: this share of the initial loss is added to both.
FLOOR = 0.01
WORST = 10.0


@dataclass(frozen=True, slots=True)
class Curves:
    """Final losses by rate of the grid (medians over seeds, infinite where training broke) and at initialization."""

    train: np.ndarray
    val: np.ndarray
    train_start: float
    val_start: float


@dataclass(frozen=True, slots=True)
class Score:
    """One suggestion. Regrets are in 0 to 1; ``ratio`` is of validation losses; ``error`` in decades."""

    train_regret: float
    val_regret: float
    ratio: float
    learns: bool
    error: float


def curves_of(sweep: Mapping[str, Any]) -> Curves:
    """The end of each training of a sweep."""
    final = np.median(np.array(sweep["losses"], dtype=float)[:, :, -1, :], axis=1)
    start = np.median(np.array(sweep["start"], dtype=float), axis=0)
    return Curves(final[:, 0], final[:, 1], float(start[0]), float(start[1]))


def score(curves: Curves, rate: float | None) -> Score:
    """How good ``rate`` is; no rate is as bad as one with which nothing is learnt."""
    if rate is None or not math.isfinite(rate) or rate <= 0:
        return Score(1.0, 1.0, math.inf, False, math.inf)
    train, val = (
        regret(losses, start, rate)
        for losses, start in ((curves.train, curves.train_start), (curves.val, curves.val_start))
    )
    at = _at(curves.val, curves.val_start, rate)
    floor = FLOOR * curves.val_start
    best = float(curves.val.min())
    return Score(
        train,
        val,
        (at + floor) / (best + floor),
        at < curves.val_start,
        abs(math.log10(rate) - math.log10(float(GRID[int(np.argmin(curves.val))]))),
    )


def regret(losses: np.ndarray, start: float, rate: float) -> float:
    """What ``rate`` lacks of the best rate's fall: 0 as good as the sweep, 1 nothing learnt."""
    best = float(losses.min())
    return min(max((_at(losses, start, rate) - best) / (start - best), 0.0), 1.0)


def _at(losses: np.ndarray, start: float, rate: float) -> float:
    """The loss at ``rate``, between rates of the grid by its logarithm; what broke counts as ten times the start."""
    return float(np.interp(math.log10(rate), np.log10(GRID), np.minimum(losses, WORST * start)))


def summary(scores: list[Score]) -> dict[str, float]:
    """The columns of the table."""
    return {
        "train regret": float(np.mean([one.train_regret for one in scores])),
        "val regret": float(np.mean([one.val_regret for one in scores])),
        "within 1.1x": float(np.mean([one.ratio <= 1.1 for one in scores])),
        "within 1.25x": float(np.mean([one.ratio <= 1.25 for one in scores])),
        "within 2x": float(np.mean([one.ratio <= 2 for one in scores])),
        "no learning": float(np.mean([not one.learns for one in scores])),
        "log error": float(np.mean([min(one.error, 8.0) for one in scores])),
    }


def scores_of(
    suggestions: Mapping[str, float | None], sweeps: Mapping[tuple[str, str], Mapping[str, Any]], schedule: str
) -> dict[str, Score]:
    """The score of each ``task|seed`` under ``schedule``."""
    assert schedule in SCHEDULES
    curves = {name: curves_of(sweep) for (name, kind), sweep in sweeps.items() if kind == schedule}
    return {key: score(curves[key.split("|")[0]], rate) for key, rate in suggestions.items()}
