"""The features of the classifier in words, with their numbers, for the reason of a verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convergence_cli.printable import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from convergence_cli.features.chance import Chance
    from convergence_cli.features.gap import Gap
    from convergence_cli.features.shape import Shape


# A change of less than this share is none.
LEAST = 5e-4


def phrases_of(
    deciding: list[tuple[str, bool]], shape: Shape, val: Shape | None, gap: Gap | None, chance: Chance
) -> list[str]:
    """One phrase for each feature that has words here; a feature of a thing that was not logged has none.

    ``deciding``: names, and whether the feature decided by being low, which the phrase says by "only".
    """
    words = {**_of_loss(shape, chance), **_of_validation(val, gap)}
    found = dict.fromkeys(words[name]("only " if low else "") for name, low in deciding if name in words)
    return [phrase for phrase in found if phrase]


def _percent(value: float) -> str:
    if abs(value) >= 10:
        return f"{value:.3g} times"
    return f"{100 * value:.0f} %" if abs(value) >= 0.1 else f"{100 * value:.2g} %"


def _lost(shape: Shape, only: str) -> str:
    if shape.drop < 1e-6 * shape.scale:
        return "it never fell"
    back = shape.rise / shape.drop
    if back < LEAST:
        return "it ends at its best"
    return "all of its drop is lost again" if back >= 1 else f"{only}{_percent(back)} of its drop is lost again"


def _moved(what: str, fall: float, only: str) -> str:
    """A positive ``fall``, as a share, is one."""
    if abs(fall) < LEAST:
        return f"{what} is where it was"
    if fall < 0:
        # To have risen is more than to have fallen little.
        return f"{what} rose by {_percent(-fall)}"
    return f"{what} fell by {only}{_percent(fall)}"


def _above(what: str, share: float, only: str) -> str:
    return f"{what} ends at its best" if share < LEAST else f"{what} ends {only}{_percent(share)} above its best"


def _errors(what: str, z: float, only: str) -> str:
    return f"{what} is {only}{z:.1f} standard errors" if z >= 0.5 else f"{what} is less than its noise"


def _trend(what: str, z: float) -> str:
    if abs(z) < 1:
        return f"{what} has no trend (z {z:+.1f})"
    return f"{what} {'falls' if z < 0 else 'rises'} (trend z {z:+.1f})"


def _of_loss(shape: Shape, chance: Chance) -> dict[str, Callable[[str], str]]:
    first = (shape.first - shape.end) / max(abs(shape.first), 1e-300)
    against_start = (shape.start - shape.end) / shape.scale
    return {
        "fall": lambda only: _moved("it", shape.relative_drop, only),
        "fall_from_first": lambda only: _moved("from its first point it", first, only),
        "fall_by_thirds": lambda only: _moved("from the first third to the last it", shape.third_drop, only),
        "fall_of_body": lambda only: _moved("after its first tenth it", shape.body_drop, only),
        "fall_sure": lambda only: _errors("its fall", shape.drop_z, only),
        "fall_by_thirds_sure": lambda only: _errors("its fall from third to third", shape.third_z, only),
        "trend": lambda only: _trend("it", shape.fall_z),
        "trend_of_body": lambda only: _trend("after its first tenth it", shape.body_z),
        "trend_late": lambda only: _trend("its last third", shape.late_z),
        "trend_last": lambda only: _trend("its last sixth", shape.last_z),
        "given_back": lambda only: _lost(shape, only),
        "risen": lambda only: _moved("against its start it", against_start, ""),
        "rise": lambda only: _above("it", shape.rise / shape.scale, only),
        "times_best": lambda only: f"it ends at {shape.end / shape.best:.3g} times its best" if shape.best > 0 else "",
        "rise_sure": lambda only: _errors("its rise from the best", shape.rise_z, only),
        "jump_at_end": lambda only: _at_end(shape.tail_jump, "far above all before"),
        "climb_at_end": lambda only: _at_end(shape.climbing, "each above the one before"),
        "above_first": lambda only: "it stayed above its first point" if shape.never_below else "",
        "fall_from_lowest_first": lambda only: _moved("from its first points it", first, only),
        "peak": lambda only: f"its peak is {shape.peak / shape.first:.3g} times its first" if shape.first > 0 else "",
        "last_above": lambda only: f"its last point is {shape.last:.4g}, after a start at {shape.start:.4g}",
        "resting": lambda only: "it rests on one value" if shape.resting else "",
        "at_chance": lambda only: "it is at chance level" if chance.at_chance else "",
        "accuracy_solved": lambda only: "the accuracy was high all along" if chance.accuracy_solved else "",
        "moves": lambda only: _moved("it", shape.relative_drop, only),
        "leaves": lambda only: _lost(shape, only),
    }


def _at_end(count: int, where: str) -> str:
    if count < 2:
        return f"its last point lies {where}" if count else ""
    return f"its last {count} points lie {where}"


def _of_validation(val: Shape | None, gap: Gap | None) -> dict[str, Callable[[str], str]]:
    if val is None or gap is None or not math.isfinite(gap.rise_share):
        return {}
    fall = gap.train_fall
    return {
        "val_fall": lambda only: _moved("validation", val.relative_drop, only),
        "val_fall_sure": lambda only: _errors("validation's fall", val.drop_z, only),
        "val_fall_by_thirds_sure": lambda only: _errors("validation's fall from third to third", val.third_z, only),
        "val_trend": lambda only: _trend("validation", val.fall_z),
        "val_trend_late": lambda only: _trend("validation's last third", val.late_z),
        "val_own_given_back": lambda only: _above("validation", gap.rise_share, only),
        "val_rise": lambda only: _above("validation", gap.rise_share, only),
        "val_rise_of_drop": lambda only: _above("validation", gap.rise_share, only),
        "val_rise_sure": lambda only: _errors("validation's rise", gap.rise_z, only),
        "val_rise_trend": lambda only: _trend("validation since its best", gap.trend_z),
        "val_above": lambda only: f"{only}{_percent(gap.above_share)} of the later evaluations lie above the best",
        "val_steady": lambda only: f"its last {gap.steady} evaluations rise" if gap.steady > 1 else "",
        "val_since": lambda only: f"{only}{counted(gap.evals_since, 'evaluation')} came after the best",
        "train_falls": lambda only: "" if fall is None else _moved("since that best, training", fall, only),
        "overfits": lambda only: _above("validation", gap.rise_share, only),
    }
