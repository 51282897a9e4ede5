"""What a training really did, told from its trace: noise-free losses that no log has.

The labels are defined here once, by plain comparisons of levels, with a zone between two labels in which either is
right (as two readers of a curve would disagree). The classifier never sees a trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each pair encloses the peers' threshold by a factor of about two on either side: 2 % of progress (runmedic) ...
FALL = (0.01, 0.04)
# ... the same for what was learnt beyond a constant answer, as a share of the loss of that answer ...
SKILL = (0.01, 0.04)
# ... a good third of the drop given back ...
BACK = (0.25, 0.6)
# ... a rise above the first value, as a share of it ...
RISEN = (0.04, 0.15)
# ... and validation 5 % above its best (runmedic), which is also a share of the drop before it.
VAL_RISE = (0.025, 0.10)
VAL_BACK = (0.004, 0.04)
TRAIN_FALL = (0.0, 0.03)
# A fall of this share is seen as progress, though all that was learnt may be a constant answer.
SEEN_FALL = 0.1
# A drop below this share of the loss is little to lose.
LITTLE = 0.15
FEW = 6
TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Seen:
    """What the log shows of the run: whether classes can be known, how many evaluations and points it has.

    ``hides``: a change of this share of the loss drowns in the noise of what was logged. ``shifted``: a constant was
    added to the loss, beside which its changes look small.
    """

    chance: bool
    evaluations: int
    points: int
    hides: float = 0.0
    shifted: bool = False


def hidden_by(values: Sequence[float]) -> float:
    """Twice the standard error of the difference of two thirds of ``values``, as a share of their level.

    The noise of a point is told from the differences of neighbours, robustly.
    """
    finite = [one for one in values if abs(one) < 1e30]
    if len(finite) < 4:
        return 1.0
    spread = 1.4826 * median(abs(b - a) for a, b in pairwise(finite)) / 2**0.5
    return 2 * spread * (2 * 3 / len(finite)) ** 0.5 / max(abs(median(finite[: len(finite) // 3 + 1])), TINY)


def labels_of(
    train: Sequence[float], val: Sequence[float], constant: float | None, nonfinite: bool, seen: Seen
) -> tuple[str, ...]:
    """The labels that are right; the first is the likeliest. ``train`` and ``val``: noise-free losses over time.

    With very few points it is also right to say that they are too few, and where only a change decides that the noise
    of the log hides, that it is hidden.
    """
    found = _labels_of(train, val, constant, nonfinite, seen)
    hidden = seen.hides > FALL[1] and set(found) <= {"stuck", "converging"} and _small(train)
    return (*found, "undetermined") if seen.points < FEW or hidden else found


def _small(train: Sequence[float]) -> bool:
    """Whether the loss fell by no more than twice what makes the difference between stuck and converging."""
    return abs(train[0] - _end(train)) < 2 * FALL[1] * max(abs(train[0]), TINY)


def _labels_of(
    train: Sequence[float], val: Sequence[float], constant: float | None, nonfinite: bool, seen: Seen
) -> tuple[str, ...]:
    if nonfinite or not train or not all(abs(one) < 1e30 for one in train):
        return ("diverging",)
    first, end = train[0], _end(train)
    smooth = _smooth(train)
    best = min(*smooth, end)
    size = max(abs(first), abs(best), TINY)
    drop, rise = first - best, end - best
    found = _diverging(first, end, best, size, train)
    if found == ("diverging",):
        return found
    stuck = _stuck(first, end, size, constant, seen)
    over = _overfitting(train, val, seen) if seen.evaluations else ()
    if over == ("overfitting",) and (not stuck or stuck[0] != "stuck") and rise < BACK[0] * max(drop, TINY):
        return over
    labels = [*found, *over, *stuck]
    if not labels or (stuck != ("stuck",) and "converging" not in labels and not found):
        labels.append("converging")
    return tuple(dict.fromkeys(labels))


def _end(values: Sequence[float]) -> float:
    return median(values[-max(len(values) // 10, 1) :])


def _smooth(values: Sequence[float]) -> list[float]:
    return [median(values[max(i - 1, 0) : i + 2]) for i in range(len(values))] if len(values) > 4 else list(values)


def _diverging(first: float, end: float, best: float, size: float, train: Sequence[float]) -> tuple[str, ...]:
    drop, rise = first - best, end - best
    if drop > 0.05 * size:
        back = rise / drop
        if back >= BACK[1] and rise > 0.05 * size:
            # Who has hardly learnt anything has hardly anything to lose.
            return (
                ("diverging",) if drop > LITTLE * size or end > (1 + RISEN[1]) * abs(first) else ("stuck", "diverging")
            )
        if back >= BACK[0] or (best > 0 and end > 1.5 * best and back > 0.1):
            return ("diverging", "converging")
    risen = (end - first) / size
    if risen >= RISEN[1]:
        blown = max(train) > 3 * end and train[-1] <= end
        return ("diverging", "stuck", "converging") if blown and risen < 0.5 else ("diverging",)
    if risen >= RISEN[0]:
        return ("stuck", "diverging")
    if max(train) > 2 * max(first, end) + TINY and first > 0 and (first - end) < FALL[1] * size:
        # It blew up and came back to where it was, or to chance.
        return ("stuck", "diverging", "converging")
    return ()


def _stuck(first: float, end: float, size: float, constant: float | None, seen: Seen) -> tuple[str, ...]:
    fall = (first - end) / size
    skill = 1.0 if constant is None else 1 - end / max(constant, TINY)
    good_already = constant is not None and first < 0.7 * constant
    if fall < FALL[0]:
        return ("converging", "stuck") if good_already else ("stuck",)
    if skill < SKILL[0] and not good_already:
        return ("stuck",) if seen.chance and fall < SEEN_FALL else ("stuck", "converging")
    if fall < FALL[1] or skill < SKILL[1]:
        return ("converging", "stuck")
    return ()


def _overfitting(train: Sequence[float], val: Sequence[float], seen: Seen) -> tuple[str, ...]:
    # Before the first evaluation nobody has looked: a best that lies there is not in the log.
    skip = min(len(val) // max(seen.evaluations, 1), len(val) - 1)
    train, val = train[skip:], val[skip:]
    smooth = _smooth(val)
    end = _end(val)
    best = min(smooth)
    place = smooth.index(best)
    size = abs(best) if best > 0 else max(max(val) - best, TINY)
    rise, back = (end - best) / max(size, TINY), (end - best) / max(val[0] - best, 0.05 * size, TINY)
    then, now = _smooth(train)[place], _end(train)
    fall = (then - now) / max(abs(then), abs(now), TINY)
    if rise < VAL_RISE[0] or back < VAL_BACK[0]:
        return ()
    if fall < TRAIN_FALL[0]:
        # Both rise: neither a textbook case nor nothing.
        return ("converging", "overfitting") if rise >= VAL_RISE[1] and back >= VAL_BACK[1] else ()
    clear = not seen.shifted and rise >= VAL_RISE[1] and back >= VAL_BACK[1] and fall >= TRAIN_FALL[1]
    if clear and seen.evaluations >= 8:
        return ("overfitting",)
    return ("overfitting", "converging")
