"""The features of the classifier in words, with their numbers, for the reason of a verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from convergence_cli.features.chance import Chance
    from convergence_cli.features.gap import Gap
    from convergence_cli.features.shape import Shape


def phrases_of(names: list[str], shape: Shape, val: Shape | None, gap: Gap | None, chance: Chance) -> list[str]:
    """One phrase for each of ``names`` that has words here; a feature of a thing that was not logged has none."""
    words = {**_of_loss(shape, chance), **_of_validation(val, gap)}
    found = dict.fromkeys(words[name]() for name in names if name in words)
    return [phrase for phrase in found if phrase]


def _percent(value: float) -> str:
    if abs(value) >= 10:
        return f"{value:.3g} times"
    return f"{100 * value:.0f} %" if abs(value) >= 1 else f"{100 * value:.2g} %"


def _lost(shape: Shape) -> str:
    if shape.drop < 1e-6 * shape.scale:
        return "it never fell"
    back = shape.rise / shape.drop
    return "all of its drop is lost again" if back >= 1 else f"{_percent(back)} of its drop is lost again"


def _moved(what: str, fall: float) -> str:
    """A positive ``fall``, as a share, is one."""
    if abs(fall) < 5e-4:
        return f"{what} is where it was"
    return f"{what} {'fell' if fall > 0 else 'rose'} by {_percent(abs(fall))}"


def _trend(what: str, z: float) -> str:
    if abs(z) < 1:
        return f"{what} has no trend (z {z:+.1f})"
    return f"{what} {'falls' if z < 0 else 'rises'} (trend z {z:+.1f})"


def _of_loss(shape: Shape, chance: Chance) -> dict[str, Callable[[], str]]:
    first = (shape.first - shape.end) / max(abs(shape.first), 1e-300)
    return {
        "fall": lambda: _moved("it", shape.relative_drop),
        "fall_from_first": lambda: _moved("from its first point it", first),
        "fall_by_thirds": lambda: _moved("from the first third to the last it", shape.third_drop),
        "fall_of_body": lambda: _moved("after its first tenth it", shape.body_drop),
        "fall_sure": lambda: f"its fall is {shape.drop_z:.1f} standard errors",
        "trend": lambda: _trend("it", shape.fall_z),
        "trend_of_body": lambda: _trend("after its first tenth it", shape.body_z),
        "trend_late": lambda: _trend("its last third", shape.late_z),
        "trend_last": lambda: _trend("its last sixth", shape.last_z),
        "given_back": lambda: _lost(shape),
        "risen": lambda: _moved("against its start it", (shape.start - shape.end) / shape.scale),
        "rise": lambda: f"it ends {_percent(shape.rise / shape.scale)} of its size above its best",
        "times_best": lambda: f"it ends at {shape.end / shape.best:.3g} times its best" if shape.best else "",
        "rise_sure": lambda: f"its rise from the best is {max(shape.rise_z, 0):.1f} standard errors",
        "jump_at_end": lambda: f"{shape.tail_jump} of its last points lie far above all before",
        "climb_at_end": lambda: f"{shape.climbing} of its last points climb without a break",
        "above_first": lambda: "it stayed above its first point" if shape.never_below else "",
        "peak": lambda: f"its peak is {shape.peak / shape.first:.3g} times its first point" if shape.first > 0 else "",
        "last_above": lambda: f"its last point is {shape.last:.4g}, after a start at {shape.start:.4g}",
        "resting": lambda: "it rests on one value" if shape.resting else "",
        "at_chance": lambda: "it is at chance level" if chance.at_chance else "",
        "accuracy_solved": lambda: "the accuracy was high all along" if chance.accuracy_solved else "",
        "moves": lambda: _moved("in all it", shape.relative_drop),
        "leaves": lambda: _lost(shape),
    }


def _of_validation(val: Shape | None, gap: Gap | None) -> dict[str, Callable[[], str]]:
    if val is None or gap is None or not math.isfinite(gap.rise_share):
        return {}
    fall = gap.train_fall
    return {
        "val_fall": lambda: _moved("validation", val.relative_drop),
        "val_fall_sure": lambda: f"validation's fall is {val.drop_z:.1f} standard errors",
        "val_trend": lambda: _trend("validation", val.fall_z),
        "val_trend_late": lambda: _trend("validation's last third", val.late_z),
        "val_rise": lambda: f"validation ends {_percent(gap.rise_share)} above its best",
        "val_rise_of_drop": lambda: f"validation has lost {_percent(min(gap.rise_of_drop, 1.0))} of its drop",
        "val_rise_sure": lambda: f"validation's rise is {gap.rise_z:.1f} standard errors",
        "val_rise_trend": lambda: _trend("validation since its best", gap.trend_z),
        "val_above": lambda: f"{_percent(gap.above_share)} of the later evaluations lie above the best",
        "val_steady": lambda: f"the last {gap.steady} evaluations rise without a break" if gap.steady > 1 else "",
        "val_since": lambda: f"{gap.evals_since} evaluations came after the best",
        "train_falls": lambda: "" if fall is None else _moved("since that best, training", fall),
        "overfits": lambda: f"validation ends {_percent(gap.rise_share)} above its best",
    }
