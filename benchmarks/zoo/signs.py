"""Which way each feature may speak: what it means fixes the sign of its coefficients, whatever the data say.

A rise may speak for diverging and never for stuck. Without this, a fit on one collection of runs learns its accidents
(in the zoo a loss that stays above its first value is mostly stuck), and is wrong on other logs.
"""

from __future__ import annotations

# For converging, diverging, stuck, overfitting: + not below 0, - not above 0, ? either.
FALLS, RISES = "+--?", "-+--"
SIGNS: dict[str, str] = {
    **dict.fromkeys(
        ("fall", "fall_from_first", "fall_by_thirds", "fall_of_body", "fall_sure", "fall_by_thirds_sure", "trend",
         "trend_of_body", "trend_late", "trend_last", "fall_from_lowest_first", "val_fall", "val_fall_sure",
         "val_fall_by_thirds_sure", "val_trend", "val_trend_late"),
        FALLS,
    ),
    **dict.fromkeys(
        ("given_back", "risen", "rise", "times_best", "rise_sure", "jump_at_end", "climb_at_end", "above_first",
         "last_above"),
        RISES,
    ),
    **dict.fromkeys(("val_own_given_back", "val_own_risen", "val_own_rise_sure"), "-+-+"),
    **dict.fromkeys(
        ("val_rise", "val_rise_of_drop", "val_rise_sure", "val_rise_trend", "val_above", "val_steady"), "-+-+"
    ),
    "peak": "-+?-",
    "resting": "--+-",
    "at_chance": "--+-",
    "accuracy_solved": "+--+",
    "val_since": "---+",
    "train_falls": "+--+",
    "leaves": "-+--",
    "overfits": "---+",
    "moves": "+--+",
    "hidden": "+-?-",
    "validation_alone": "+?-?",
    "val_leaves": "-+-?",
    "val_moves": "+--?",
}  # fmt: skip


def bounds_of(name: str) -> list[tuple[float | None, float | None]]:
    """Bounds of the coefficients of a feature, one pair a label."""
    return [{"+": (0.0, None), "-": (None, 0.0), "?": (None, None)}[sign] for sign in SIGNS[name]]
