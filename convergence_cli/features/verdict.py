"""From memberships to the verdict that is reported: label, state, since when, and why in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features import memberships
from convergence_cli.features.classifier import classify, fitted
from convergence_cli.features.evidence import MIN_POINTS
from convergence_cli.features.phrases import phrases_of
from convergence_cli.features.robust import kendall_reach, kendall_z, median
from convergence_cli.features.unjudged import without_loss
from convergence_cli.model import LABELS, Verdict
from convergence_cli.printable import counted

if TYPE_CHECKING:
    from convergence_cli.features.classifier import Classified
    from convergence_cli.features.evidence import Evidence, Loss
    from convergence_cli.features.shape import Shape

# A loss that is above this multiple of its first value ever after, and was above that one, has blown up.
BLOWN_ABOVE = 1.5
BLOWN_TOP = 5.0
BLOWN_POINTS = 8
# A loss that changes by more than this factor (as a logarithm) from point to point shows no first value.
BLOWN_NOISE = 0.5
# A trend over the last third counts as one from this normal deviate on.
TREND_Z = 2.5
# Of few points, this share of the deviate that they can reach at all.
FEW_REACH = 0.8


def verdict_of(evidence: Evidence) -> Verdict:
    """The verdict on a run; ``undetermined`` with the reason where there is too little to go by."""
    certain = certain_of(evidence)
    if certain is not None:
        return certain
    loss = evidence.loss
    assert loss is not None
    vector, chance = evidence.vector, evidence.chance
    assert vector is not None
    assert chance is not None
    judged = classify(vector, evidence.done)
    best_step = _best_step(evidence)
    if not judged.is_sure:
        reason = _unsure(loss, judged, evidence.done)
        return Verdict("undetermined", 0.0, "ambiguous", reason, best_step=best_step)
    label = LABELS[judged.best]
    probabilities: dict[str, float] = dict(zip(LABELS, judged.probability, strict=True))
    state, since, reason = _DESCRIBE[label](evidence, loss)
    val = None if evidence.val_loss is None else evidence.val_loss.shape
    why = phrases_of(judged.deciding(), loss.shape, val, evidence.gap, chance)
    if why:
        reason += f" Decided by: {'; '.join(why)}."
    return Verdict(label, probabilities[label], state, reason, probabilities, since, best_step)


def _unsure(loss: Loss, judged: Classified, done: float | None) -> str:
    first, second = sorted(range(len(LABELS)), key=lambda label: -judged.probability[label])[:2]
    shares = f"{LABELS[first]} {judged.probability[first]:.0%}, {LABELS[second]} {judged.probability[second]:.0%}"
    if done is not None and judged.probability[first] >= fitted().sure[first]:
        return f"{_moved(loss)}: {done:.0%} of the planned training is too early to say ({shares})."
    if loss.shape.tail_jump:
        last = f"its last point is {loss.shape.last:.4g}: one point is too little to say"
        return f"{_moved(loss)}, but {last} ({shares})."
    return f"{_moved(loss)}: too little, for {loss.shape.points} points and its noise, to say ({shares})."


def certain_of(evidence: Evidence) -> Verdict | None:
    """The verdict where it takes no classifier: NaN, no loss, too few points, a loss that blew up at once."""
    broken = _non_finite(evidence)
    if broken is not None:
        return broken
    loss = evidence.loss
    refused = _refusal(evidence)
    if loss is None or refused is not None:
        state, reason = refused or ("no-loss", without_loss(evidence.run))
        return Verdict("undetermined", 0.0, state, reason)
    if len(loss.shape.view) < MIN_POINTS or loss.shape.points < MIN_POINTS:
        reason = f"{loss.name} has {counted(loss.shape.points, 'point')}; a verdict needs at least {MIN_POINTS}."
        return Verdict("undetermined", 0.0, "too-few-points", reason, best_step=_best_step(evidence))
    return _blown_up(evidence, loss)


def _refusal(evidence: Evidence) -> tuple[str, str] | None:
    run = evidence.run
    reward = run.curve("reward")
    if reward is None and run.curve("adversarial_loss") is not None:
        return (
            "adversarial",
            "The losses of two players rise and fall against each other and show no convergence.",
        )
    if reward is not None:
        learned = run.curve("train_loss") is not None
        what = "rewards and a loss that is no measure of progress" if learned else "rewards and no loss"
        return (
            "reward-only",
            f"The log holds {what}: {reward.name} has {reward.points} points, so there is nothing to judge.",
        )
    return None


def _non_finite(evidence: Evidence) -> Verdict | None:
    masked, loss = evidence.masked_nan, evidence.run.curve("train_loss")
    if masked is not None and loss is not None and masked.lasting and (masked.with_nan_norm or masked.count >= 3):
        sure = 0.95 if masked.with_nan_norm else 0.75
        why = "the gradient norm is NaN there" if masked.with_nan_norm else f"it was {masked.before:.4g} just before"
        reason = f"{loss.name} is exactly 0 from step {masked.since_step:g} on while {why}: a hidden NaN."
        return _certain("non-finite", sure, masked.since_step, reason, evidence)
    broken = evidence.broken or ()
    training = next((one for one in broken if one.role == "train_loss"), None)
    for one in broken:
        # While training is finite the weights are: a validation loss that is not was computed wrongly.
        if one.lasting and (one is training or training is None or training.lasting):
            bad, since = one.points, one.since
            reason = (
                f"{one.name} is NaN or infinite from step {since:g} to the end ({bad.count} of {bad.total} points)."
            )
            return _certain("non-finite", 0.97, since, reason, evidence)
    norm = evidence.grad_norm
    if norm is not None and norm.nonfinite.last_is_nonfinite and norm.nonfinite.tail_share >= 0.5:
        since = norm.nonfinite.first_step or 0.0
        reason = f"The gradient norm is NaN or infinite at the end (first at step {since:g})."
        return _certain("non-finite", 0.8, since, reason, evidence)
    return None


def _blown_up(evidence: Evidence, loss: Loss) -> Verdict | None:
    """A loss that left its first value upward at once and never came back to it, however far it has fallen since."""
    value = loss.curve.value[np.isfinite(loss.curve.value)]
    if loss.curve.buckets is not None or len(value) < BLOWN_POINTS or value[0] <= 0:
        return None
    first, lowest, highest = float(value[0]), float(value[1:].min()), float(value.max())
    if lowest < BLOWN_ABOVE * first or highest < BLOWN_TOP * first:
        return None
    if median(np.abs(np.diff(np.log(value)))) > BLOWN_NOISE:
        # The loss of single samples: the first one was easy.
        return None
    reason = (
        f"{loss.name} started at {first:.4g}, rose to {highest:.4g} and ends at {float(value[-1]):.4g}: "
        "it never came back to its start."
    )
    return _certain("rising", 0.85, float(loss.curve.step[1]), reason, evidence)


def _certain(state: str, sure: float, since: float, reason: str, evidence: Evidence) -> Verdict:
    rest = (1 - sure) / 3
    probabilities = {"converging": rest, "diverging": sure, "stuck": rest, "overfitting": rest}
    return Verdict("diverging", sure, state, reason, probabilities, since, _best_step(evidence))


def _best_step(evidence: Evidence) -> float | None:
    if evidence.val_loss is not None and evidence.gap is not None:
        return evidence.gap.best_step
    return None if evidence.loss is None else evidence.loss.shape.best_step


def _change(drop: float) -> str:
    if abs(drop) < 5e-5:
        return "no change"
    share = 100 * abs(drop)
    return f"a {'fall' if drop > 0 else 'rise'} of {share:.{0 if share >= 10 else 2}{'f' if share >= 10 else 'g'}} %"


def _moved(loss: Loss, begin: float | None = None) -> str:
    shape = loss.shape
    if begin is None:
        # The first point where the loss fell off at once, for that is the number that the user remembers.
        begin = max(shape.first, shape.start)
    # Enough digits to see the change: a large constant in the loss would hide it.
    digits = 4 if f"{begin:.4g}" != f"{shape.end:.4g}" else 7
    return f"{loss.name} went from {begin:.{digits}g} to {shape.end:.{digits}g} (best level {shape.best:.{digits}g})"


def _diverging(evidence: Evidence, loss: Loss) -> tuple[str, float | None, str]:
    shape = loss.shape
    since = _onset(loss)
    leaving = max(shape.tail_jump, shape.climbing)
    if leaving and shape.fall_z < memberships.RISING_Z:
        return (
            "rising",
            float(loss.curve.step[-leaving]),
            f"{loss.name} jumped to {float(loss.curve.value[-1]):.4g} as the log ends, from {shape.best:.4g}.",
        )
    if shape.never_below or shape.drop / shape.scale < 0.05:
        return (
            "rising",
            since,
            f"{loss.name} never fell: it started at {shape.first:.4g} and ends at {shape.end:.4g}.",
        )
    third = shape.smooth[-max(len(shape.smooth) // 3, 1) :]
    still = float(third.max() - third.min()) < 0.25 * max(shape.drop, 1e-300)
    flat = still and abs(shape.late_z) < TREND_Z and shape.end > 0.9 * shape.start
    lost = 100 * shape.rise / max(shape.drop, 1e-300)
    share = f"{lost:.0f} %" if lost < 100 else "all"
    reason = (
        f"{loss.name} fell to {shape.best:.4g} at step {shape.best_step:g} and ends at {shape.end:.4g}: "
        f"{share} of its drop is lost."
    )
    return "collapsed-to-chance" if flat else "rising", since, reason


def _onset(loss: Loss) -> float:
    """The first step after the best from which the smoothed loss stays above a quarter of its rise."""
    shape = loss.shape
    above = shape.smooth > shape.best + 0.25 * shape.rise
    index = len(above)
    while index > shape.best_index + 1 and above[index - 1]:
        index -= 1
    return float(shape.view.step[min(index, len(above) - 1)])


def _overfitting(evidence: Evidence, loss: Loss) -> tuple[str, float | None, str]:
    gap, val = evidence.gap, evidence.val_loss
    assert gap is not None
    assert val is not None
    fall = "" if gap.train_fall is None else f" while training fell a further {100 * gap.train_fall:.0f} %"
    reason = (
        f"{val.name} was best ({gap.best:.4g}) at step {gap.best_step:g} and has risen to {gap.end:.4g} "
        f"({100 * (gap.end - gap.best) / max(abs(gap.best), 1e-300):+.0f} %) over {gap.evals_since} evaluations{fall}."
    )
    return "val-rising", gap.best_step, reason


def _stuck(evidence: Evidence, loss: Loss) -> tuple[str, float | None, str]:
    shape, chance = loss.shape, evidence.chance
    reason = f"{_moved(loss, shape.start)}: {_change(shape.relative_drop)} in {shape.points} points"
    if chance is not None and chance.at_chance and chance.level is not None:
        reason += f", which is chance level for {chance.classes} classes (ln {chance.classes} = {chance.level:.4g})"
    return "flat-from-start", float(shape.view.step[0]), reason + "."


def _still_falls(shape: Shape) -> bool:
    """Whether the last third falls, by a sure trend and by more than 1 % of the drop; of few points, the last five."""
    n = len(shape.view)
    last = max(n // 3, min(n, 5))
    falls = kendall_z(shape.view.mean[-last:]) < -min(TREND_Z, FEW_REACH * kendall_reach(last))
    return falls and (shape.last_z < -1 or n < 30) and shape.late_change > 0.01 * max(shape.drop, 1e-300)


def _converging(evidence: Evidence, loss: Loss) -> tuple[str, float | None, str]:
    shape = loss.shape
    recovered = [s for s in loss.spikes if s.recovered_step is not None]
    reason = f"{_moved(loss)} over {shape.points} points"
    gap = evidence.gap
    if gap is not None and evidence.val_loss is not None and evidence.val_loss is not loss:
        reason += f"; {evidence.val_loss.name} ends at {gap.end:.4g} (best {gap.best:.4g})"
    if _still_falls(shape):
        return "still-improving", None, reason + ", and still falls."
    if recovered:
        return "spike-recovered", None, f"{reason}; it recovered from {counted(len(recovered), 'spike')}."
    if shape.late_z > TREND_Z and shape.rise > 0:
        return (
            "converged",
            None,
            f"{reason}, and has risen by {100 * shape.rise / max(shape.drop, 1e-300):.2g} % of its drop.",
        )
    return "converged", None, reason + ", and has levelled off."


_DESCRIBE = {
    "diverging": _diverging,
    "overfitting": _overfitting,
    "stuck": _stuck,
    "converging": _converging,
}
