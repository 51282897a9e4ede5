"""The one place where features become a verdict.

Each label has a membership between 0 and 1: a logistic of the log ratio of a feature to its threshold. They
are chained (diverging, then overfitting, then stuck, then converging), so that the four probabilities sum to
1 by construction, and shrunk towards ignorance where there are few points. A later fit replaces the
thresholds; the shape stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convergence_cli.features.gap import MIN_EVALS, SMOOTHED_FROM
from convergence_cli.features.robust import kendall_reach, logistic

if TYPE_CHECKING:
    from convergence_cli.features.chance import Chance
    from convergence_cli.features.gap import Gap
    from convergence_cli.features.shape import Shape

# Share of the drop that must be lost again for a run to count as diverging (runmedic's 50 %).
GIVEN_BACK = 0.5
# The same where the loss still rises over its last third.
STILL_RISING = 0.2
RISING_Z = 3.0
# Where the loss never fell: rise above the best as a share of the loss itself.
RISE_SHARE = 0.15
# A loss this many times its best has left it, however large the first drop was.
RISE_FACTOR = 3.0
# A rise of less than this share of the loss is none, however sure.
SMALL_RISE = 0.05
# Rise of validation above its best, as a share of the best, over the last evaluations (runmedic's 5 %, with
# noise and persistence asked for beside it).
VAL_RISE = 0.06
VAL_RISE_OF_DROP = 0.04
RISING_TREND_Z = 4.0
LASTING_TREND_Z = 1.5
STEADY_RISE = 0.25
# Fall of training since the best evaluation from which it 'goes on falling'.
TRAIN_FALL = 0.04
# Drop below which a loss counts as not having moved (runmedic's 2 %).
MOVED = 0.02
# A loss that falls by less than this, all of it within its first tenth, may only have washed out its start.
SMALL_DROP = 0.15
DEAD_DROP = 0.1
BLOWN_UP = 2.0
# A fall of this share within the first logged points is no washing out of the start.
MOST_OF_IT = 0.5
MOVED_Z = 4.0
# Where noise would hide a drop of this share, a loss that seems flat may not be.
UNSEEN = 0.1
# Coefficient of variation of single points from which a loss looks like that of a trained model.
TRAINED_VARIATION = 0.5
SURE_Z = 4.0
TREND_Z = 3.0
LEVELLED_Z = 20.0
CLEARLY_FALLING_Z = 5.0
SEEN_Z = 3.0
LEVELLED_SHARE = 0.65
MIN_POINTS = 4


@dataclass(frozen=True, slots=True)
class Judgement:
    """Memberships of the labels, each 0 to 1, and the probabilities that follow from them.

    ``unseen``: the noise is too large to tell a flat loss from a falling one.
    """

    diverging: float
    overfitting: float
    improved: float
    unseen: float
    weight: float

    @property
    def probabilities(self) -> dict[str, float]:
        rest = (1 - self.diverging) * (1 - self.overfitting)
        # What the noise hides is split evenly: it speaks for neither.
        hidden = (1 - self.improved) * self.unseen
        chain = {
            "diverging": self.diverging,
            "overfitting": (1 - self.diverging) * self.overfitting,
            "stuck": rest * (1 - self.improved - hidden / 2),
            "converging": rest * (self.improved + hidden / 2),
        }
        return {label: self.weight * p + (1 - self.weight) / 4 for label, p in chain.items()}


def judge(shape: Shape, val: Shape | None, gap: Gap | None, chance: Chance) -> Judgement:
    """Memberships for the main loss (``shape``), with validation beside it where there is any."""
    diverging = diverging_of(shape)
    overfitting = overfitting_of(gap) if gap is not None else 0.0
    if gap is not None and overfitting > 0.5 and gap.train_fall is not None and gap.train_fall > 0:
        # The rise is validation's alone: training still falls.
        diverging = min(diverging, 0.2)
    improved = improved_of(shape, chance)
    if val is not None and not chance.at_chance:
        improved = max(improved, improved_of(val, chance))
    points = len(shape.view)
    weight = points / (points + 1.5)
    finest = (
        min(shape.resolution, val.resolution) if val is not None and len(val.view) >= MIN_EVALS else shape.resolution
    )
    unseen = 0.0 if chance.at_chance else over(finest, UNSEEN)
    if shape.variation > TRAINED_VARIATION and not chance.at_chance:
        # Batches differ as much as the loss is large: most samples are solved. That is no untrained model.
        unseen = 1.0
    return Judgement(diverging, overfitting, improved, unseen, weight)


def over(value: float, threshold: float, sharpness: float = 4.0) -> float:
    """Membership of 'value is above threshold': 0.5 at it, by the log ratio of the two."""
    # Not "value <= 0": NaN, where huge values overflow, is no sign of anything.
    if not value > 0:
        return 0.0
    # Two logarithms: the quotient of a denormal number can round to zero.
    return logistic(sharpness * (math.log(value) - math.log(threshold)))


def diverging_of(shape: Shape) -> float:
    """Membership of: the loss ends non-finite, has given back its drop, or explodes as the log ends."""
    if shape.nonfinite.last_is_nonfinite or shape.nonfinite.tail_share >= 0.5:
        return 0.98
    jump = _runaway(shape)
    surely = over(max(shape.rise_z, 0.0), SURE_Z)
    fell = shape.drop / shape.scale
    if fell >= 0.05:
        share = STILL_RISING if shape.late_z > RISING_Z else GIVEN_BACK
        back = over(shape.rise / max(shape.drop, 1e-300), share)
        # A loss that is on its way down again has not diverged, however far above its best.
        if shape.best > 0 and shape.rise > 0.03 * shape.drop and shape.late_z > -RISING_Z:
            back = max(back, over(shape.end / shape.best, RISE_FACTOR))
    else:
        back = over(shape.rise / shape.scale, RISE_SHARE)
        surely = max(surely, over(max(shape.fall_z, 0.0), RISING_Z))
    small = over(shape.rise / shape.scale, SMALL_RISE)
    return max(back * surely * small, jump, 0.85 if shape.never_below else 0.0)


def _runaway(shape: Shape) -> float:
    """Membership of: the last few points run away from all that came before."""
    if shape.tail_falls or shape.last - shape.best < SMALL_RISE * shape.scale:
        return 0.3 if shape.tail_jump else 0.0
    far = shape.last > shape.start + 2 * max(shape.drop, 0.5 * shape.scale)
    jump = {0: 0.0, 1: 0.55 if far else 0.3}.get(shape.tail_jump, 0.9)
    climb = {0: 0.0, 1: 0.0, 2: 0.85 if far else 0.6}.get(shape.climbing, 0.85)
    return max(jump, climb)


def overfitting_of(gap: Gap) -> float:
    """Membership of: validation rose from its best, lastingly and beyond its noise, while training fell."""
    if gap.evals < MIN_EVALS or gap.evals_since < 3:
        return 0.0
    rose = min(over(gap.rise_share, VAL_RISE), over(gap.rise_of_drop, VAL_RISE_OF_DROP))
    lasting = over(max(gap.trend_z, 0.0), LASTING_TREND_Z)
    risen = max(min(over(gap.rise_z, 3.0), lasting), over(max(gap.trend_z, 0.0), RISING_TREND_Z, 6.0))
    surely = min(risen, over(gap.above_share, 0.6, 6.0))
    if gap.train_fall is None:
        training = 0.6
    else:
        training = over(max(gap.train_fall, 0.0), TRAIN_FALL, 3.0) if gap.train_fall < 2 * TRAIN_FALL else 1.0
    if gap.evals < SMOOTHED_FROM and gap.steady >= 3 and gap.rise_share >= STEADY_RISE:
        # With a handful of evaluations the noise cannot be measured; an unbroken rise has odds of its own.
        surely = max(surely, 0.75)
    return min(rose, surely, training)


def improved_of(shape: Shape, chance: Chance) -> float:
    """Membership of: the loss has fallen, by more than its noise and by more than a sliver of its size."""
    if chance.accuracy_solved:
        return 0.9
    trend = over(-shape.fall_z, min(TREND_Z, 0.8 * kendall_reach(len(shape.view))))
    sure = max(over(shape.drop_z, MOVED_Z, 2.5), trend)
    fall = shape.relative_drop
    if shape.peak < BLOWN_UP * abs(shape.first):
        # The first points are few and noisy; the first third is neither, unless the loss blew up in it.
        fall = max(fall, shape.third_drop)
    at_once = (shape.first - shape.end) / max(abs(shape.first), 1e-300)
    if at_once > MOST_OF_IT:
        fall = at_once
    moved = over(max(fall, 0.0), MOVED, 3.0) * sure
    if chance.at_chance:
        # The first steps only wash out the initialisation: what counts is what came after them.
        return min(moved, 0.15)
    if fall < SMALL_DROP and shape.points >= 20 and (shape.body_drop < 0.01 or shape.body_z > -2.5):
        moved = min(moved, 0.3 + 0.4 * max(fall - MOVED, 0.0) / (SMALL_DROP - MOVED))
    if shape.third_drop > 0.75 * MOVED and shape.third_z > SEEN_Z:
        # A fall that can be told from noise, though not for certain: no ground to call it flat.
        moved = max(moved, 0.48)
    if fall > MOVED / 2 and shape.fall_z < -CLEARLY_FALLING_Z:
        # It creeps, but beyond any doubt downwards.
        moved = max(moved, 0.58)
    if shape.drop_z > LEVELLED_Z and shape.body_z < -MOVED_Z and shape.early_share > LEVELLED_SHARE:
        # A small but clear fall that has levelled off: a loss with a large constant in it looks like that.
        moved = max(moved, 0.5)
    if shape.resting and fall < DEAD_DROP and abs(shape.late_z) < RISING_Z:
        # A constant output has no batch noise; a model that learns has.
        moved = min(moved, 0.3)
    return moved
