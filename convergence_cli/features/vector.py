"""What the fitted classifier looks at: scale-free numbers of one run, each bounded, 0 where it cannot be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.features import memberships
from convergence_cli.features.memberships import MIN_EVALS, MIN_POINTS

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
# A first loss further than this share from ln(C) is not the cross-entropy of an untrained model, or in another unit.
NEAR_CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Vector:
    """Values by name, in the order in which the classifier was fitted, and the hand-made memberships among them."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    hand: memberships.Judgement


def vector_of(shape: Shape, val: Shape | None, gap: Gap | None, chance: Chance) -> Vector:
    """The features of the main loss (``shape``), with validation beside it where there is any."""
    hand = memberships.judge(shape, val, gap, chance)
    found = {
        **_fall(shape, ""),
        **_rise(shape),
        **_ends(shape),
        **_noise(shape),
        **_chance(shape, val, chance),
        **_validation(shape, val, gap),
        "leaves": _logit(hand.diverging),
        "overfits": _logit(hand.overfitting),
        "moves": _logit(hand.improved),
        "hidden": hand.unseen,
    }
    return Vector(tuple(found), tuple(_sane(value) for value in found.values()), hand)


def _fall(shape: Shape, prefix: str) -> dict[str, float]:
    """How far the loss fell, as shares of its start, and how surely (Mann-Kendall deviates, standard errors)."""
    at_once = (shape.first - shape.end) / max(abs(shape.first), _TINY)
    return {
        f"{prefix}fall": _share(shape.relative_drop),
        f"{prefix}fall_from_first": _share(at_once),
        f"{prefix}fall_by_thirds": _share(shape.third_drop),
        f"{prefix}fall_of_body": _share(shape.body_drop),
        f"{prefix}fall_sure": math.asinh(shape.drop_z),
        f"{prefix}trend": math.asinh(-shape.fall_z),
        f"{prefix}trend_of_body": math.asinh(-shape.body_z),
        f"{prefix}trend_late": math.asinh(-shape.late_z),
    }


def _rise(shape: Shape) -> dict[str, float]:
    """How far the loss has left its best: as a share of its drop, of its size, as a multiple, in standard errors."""
    base = max(shape.drop, LEAST_DROP * shape.scale)
    return {
        "given_back": _log(shape.rise / base, 0.25, 4.0),
        "risen": _share((shape.end - shape.start) / shape.scale),
        "rise": _log(shape.rise / shape.scale, SHARE, 5.0),
        "times_best": _log(shape.end / shape.best, 1.0, 5.0) if shape.best > 0 and shape.end > 0 else 0.0,
        "rise_sure": math.asinh(max(shape.rise_z, 0.0)),
    }


def _ends(shape: Shape) -> dict[str, float]:
    """What the last points do, by themselves."""
    return {
        "jump_at_end": min(shape.tail_jump, 3) / 3,
        "climb_at_end": min(shape.climbing, 3) / 3,
        "trend_last": math.asinh(-shape.last_z),
        "above_first": float(shape.never_below),
        "peak": _log(shape.peak / max(abs(shape.first), _TINY), 1.0, 6.0),
        "last_above": _share((shape.last - shape.start) / shape.scale),
    }


def _noise(shape: Shape) -> dict[str, float]:
    """How much there is to go by, and what the noise would hide."""
    return {
        "points": math.log(max(shape.points, 1)) / 2,
        "groups": math.log(max(len(shape.view), 1)) / 2,
        "resolution": _log(shape.resolution, SHARE, 4.0),
        "variation": _log(shape.variation, SHARE, 4.0),
        "early_share": min(max(shape.early_share, -1.0), 2.0),
        "resting": float(shape.resting),
    }


def _chance(shape: Shape, val: Shape | None, chance: Chance) -> dict[str, float]:
    """Distance to what a uniform guess costs, where the run tells its classes and its loss is in that unit."""
    level = chance.stated_level
    if level is None or abs(shape.first - level) > NEAR_CHANCE * level:
        skill = val_skill = known = 0.0
    else:
        known = 1.0
        skill = _share(min(1 - shape.end / level, 1.0))
        val_skill = 0.0 if val is None else _share(min(max(1 - val.end / level, -1.0), 1.0))
    return {
        "at_chance": float(chance.at_chance),
        "classes_known": known,
        "skill": skill,
        "val_skill": val_skill,
        "accuracy_solved": float(chance.accuracy_solved),
    }


def _validation(shape: Shape, val: Shape | None, gap: Gap | None) -> dict[str, float]:
    beside = val is not None and val is not shape and len(val.view) >= MIN_POINTS
    names = ("fall", "fall_sure", "trend", "trend_late")
    falls = _fall(val, "val_") if val is not None and beside else {}
    found = {f"val_{name}": falls.get(f"val_{name}", 0.0) for name in names}
    if gap is None or gap.evals < MIN_EVALS:
        rises = dict.fromkeys(
            ("val_rise", "val_rise_of_drop", "val_rise_sure", "val_rise_trend", "val_above", "val_steady", "val_since",
             "train_falls", "train_seen"), 0.0,
        )  # fmt: skip
        return {"evaluations": 0.0, **found, **rises}
    return {
        "evaluations": math.log(gap.evals) / 2,
        **found,
        "val_rise": _log(gap.rise_share, memberships.VAL_RISE, 4.0),
        "val_rise_of_drop": _log(gap.rise_of_drop, memberships.VAL_RISE_OF_DROP, 4.0),
        "val_rise_sure": math.asinh(gap.rise_z),
        "val_rise_trend": math.asinh(gap.trend_z),
        "val_above": gap.above_share,
        "val_steady": math.log1p(gap.steady),
        "val_since": math.log1p(gap.evals_since) / 2,
        "train_falls": 0.0 if gap.train_fall is None else _share(gap.train_fall),
        "train_seen": float(gap.train_fall is not None),
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
