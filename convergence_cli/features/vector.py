"""What the fitted classifier looks at: scale-free numbers of one run, each bounded, 0 where it cannot be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.features import memberships
from convergence_cli.features.gap import MIN_EVALS
from convergence_cli.features.memberships import MIN_POINTS

if TYPE_CHECKING:
    from convergence_cli.features.chance import Chance
    from convergence_cli.features.gap import Gap
    from convergence_cli.features.shape import Shape

_TINY = 1e-300
# A share of the loss that is neither large nor small: shares are told in units of it, on an asinh scale, which is
# linear near 0 and logarithmic beyond (Burbidge, Magee and Robb 1988).
SHARE = 0.02
# A drop of less than this share of the loss is no measure for a rise.
LEAST_DROP = 0.05
OF_VALIDATION = (
    "val_fall", "val_fall_sure", "val_fall_by_thirds_sure", "val_trend", "val_trend_late", "val_own_given_back",
    "val_own_risen", "val_own_rise_sure", "val_leaves", "val_moves",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vector:
    """Values by name, in the order in which the classifier was fitted, and the hand-made memberships among them.

    ``validated``: there are evaluations enough to tell overfitting.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    hand: memberships.Judgement
    validated: bool


def vector_of(shape: Shape, val: Shape | None, gap: Gap | None, chance: Chance) -> Vector:
    """The features of the main loss (``shape``), with validation beside it where there is any."""
    hand = memberships.judge(shape, val, gap, chance)
    found = {
        **_fall(shape, "", washed=chance.at_chance),
        **_rise(shape, ""),
        **_ends(shape),
        **_rest(shape, chance),
        **_validation(shape, val, gap, chance),
        "leaves": _logit(hand.diverging),
        "overfits": _logit(hand.overfitting),
        "moves": _logit(hand.improved),
        "hidden": hand.unseen,
        "validation_alone": float(val is shape),
    }
    validated = gap is not None and gap.evals >= MIN_EVALS
    return Vector(tuple(found), tuple(_sane(value) for value in found.values()), hand, validated)


def _fall(shape: Shape, prefix: str, *, washed: bool = False) -> dict[str, float]:
    """How far the loss fell, as shares of its start, and how surely (Mann-Kendall deviates, standard errors).

    ``washed``: it came down to chance level, which only washes out the initialization and is no fall.
    """
    error = _Errors(shape)
    most = 0.0 if washed else math.inf
    start, first, body = (max(abs(one), _TINY) for one in (shape.start, shape.first, shape.body))
    by_thirds = shape.third_drop * start
    return {
        f"{prefix}fall": _share(min(_shrunk(shape.start - shape.end, error.start, error.end) / start, most)),
        f"{prefix}fall_from_first": _share(min(_shrunk(shape.first - shape.end, error.one, error.end) / first, most)),
        f"{prefix}fall_by_thirds": _share(min(_shrunk(by_thirds, error.third, error.third) / start, most)),
        f"{prefix}fall_of_body": _share(min(_shrunk(shape.body - shape.end, error.end, error.end) / body, most)),
        f"{prefix}fall_sure": math.asinh(0.0 if washed else shape.drop_z),
        f"{prefix}fall_by_thirds_sure": math.asinh(min(shape.third_z, most)),
        f"{prefix}trend": math.asinh(min(-shape.fall_z, most)),
        f"{prefix}trend_of_body": math.asinh(min(-shape.body_z, most)),
        f"{prefix}trend_late": math.asinh(-shape.late_z),
    }


class _Errors:
    """Standard errors of the levels of a loss: of one group, of the start, the end, and a third of it.

    A median of n normal values has the variance 1.57 / n (asymptotically pi / 2).
    """

    def __init__(self, shape: Shape) -> None:
        n = len(shape.view)
        self.one = shape.noise
        self.start = shape.noise * math.sqrt(1.57 / max(1, min(3, n // 10)))
        self.end = max(shape.late_noise, 0.5 * shape.noise) * math.sqrt(1.57 / max(n // 10, min(3, max(n // 3, 1))))
        self.third = shape.noise * math.sqrt(1.57 / max(n // 3, 1))


def _shrunk(change: float, *errors: float) -> float:
    """``change`` drawn towards 0 where it is no larger than twice its standard error (James and Stein 1961)."""
    noise = 4 * sum(error * error for error in errors)
    square = change * change
    return change * square / (square + noise) if square > 0 else 0.0


def _rise(shape: Shape, prefix: str) -> dict[str, float]:
    """How far the loss has left its best: as a share of its drop, of its size, as a multiple, in standard errors."""
    error = _Errors(shape)
    base = max(shape.drop, LEAST_DROP * shape.scale)
    rise = max(_shrunk(shape.rise, error.end, error.end), 0.0)
    best = shape.best
    return {
        f"{prefix}given_back": _log(rise / base, 0.25, 4.0),
        f"{prefix}risen": _share(_shrunk(shape.end - shape.start, error.start, error.end) / shape.scale),
        f"{prefix}rise": _log(rise / shape.scale, SHARE, 5.0),
        f"{prefix}times_best": _log((best + rise) / best, 1.0, 5.0) if best > 0 else 0.0,
        f"{prefix}rise_sure": math.asinh(max(shape.rise_z, 0.0)),
    }


def _ends(shape: Shape) -> dict[str, float]:
    """What the last points do, by themselves."""
    apart = shape.noise * math.sqrt(shape.view.size)
    low = float(shape.view.low[0])
    return {
        "jump_at_end": min(shape.tail_jump, 3) / 3,
        "climb_at_end": min(shape.climbing, 3) / 3,
        "trend_last": math.asinh(-shape.last_z),
        "above_first": float(shape.never_below),
        "fall_from_lowest_first": _share(_shrunk(low - shape.end, shape.noise) / max(abs(low), _TINY)),
        "peak": _log(shape.peak / max(abs(shape.first), _TINY), 1.0, 6.0),
        "last_above": _share(_shrunk(shape.last - shape.start, apart) / shape.scale),
    }


def _rest(shape: Shape, chance: Chance) -> dict[str, float]:
    """Whether the loss rests, on one value or on what a uniform guess over the classes of the run costs."""
    return {
        "resting": float(shape.resting),
        "at_chance": float(chance.at_chance and chance.known),
        "accuracy_solved": float(chance.accuracy_solved),
    }


def _validation(shape: Shape, val: Shape | None, gap: Gap | None, chance: Chance) -> dict[str, float]:
    found: dict[str, float] = {}
    if val is not None and val is not shape and len(val.view) >= MIN_POINTS:
        found = {
            **_fall(val, "val_"),
            **_rise(val, "val_own_"),
            "val_leaves": _logit(memberships.diverging_of(val)),
            "val_moves": _logit(memberships.improved_of(val, chance)),
        }
    found = {name: found.get(name, 0.0) for name in OF_VALIDATION}
    if gap is None or gap.evals < MIN_EVALS:
        rises = dict.fromkeys(
            ("val_rise", "val_rise_of_drop", "val_rise_sure", "val_rise_trend", "val_above", "val_steady", "val_since",
             "train_falls"), 0.0,
        )  # fmt: skip
        return {**found, **rises}
    # As ``_shrunk``: no more of the rise than its noise leaves, or than a trend since the best bears out.
    sure = max(gap.rise_z, gap.trend_z, 0.0)
    beyond = sure * sure / (sure * sure + 4)
    return {
        **found,
        "val_rise": _log(gap.rise_share * beyond, memberships.VAL_RISE, 4.0),
        "val_rise_of_drop": _log(gap.rise_of_drop * beyond, memberships.VAL_RISE_OF_DROP, 4.0),
        "val_rise_sure": math.asinh(gap.rise_z),
        "val_rise_trend": math.asinh(gap.trend_z),
        "val_above": gap.above_share,
        "val_steady": math.log1p(gap.steady),
        "val_since": math.log1p(gap.evals_since) / 2,
        "train_falls": 0.0 if gap.train_fall is None else _share(gap.train_fall),
    }


def _share(value: float) -> float:
    return math.asinh(value / SHARE)


def _log(value: float, unit: float, most: float) -> float:
    """Logarithm of ``value`` over ``unit``, within ``most`` of 0; at its least where the value is not positive."""
    if not value > 0:
        return -most
    return min(max(math.log(value) - math.log(unit), -most), most)


def _logit(membership: float, most: float = 4.0) -> float:
    inside = min(max(membership, 1e-6), 1 - 1e-6)
    return min(max(math.log(inside / (1 - inside)), -most), most)


def _sane(value: float) -> float:
    """Bounded: a loss of 1e300 must not decide by its size alone."""
    return 0.0 if math.isnan(value) else min(max(value, -6.0), 6.0)
