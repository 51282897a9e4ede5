"""What a step of a run is: an optimizer step, an epoch or a row of the log; and sentences that say so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from convergence_cli.model import Run

Axis = Literal["step", "epoch", "row"]
_STEP = re.compile(r"\b([Ss])tep(s?)(?= -?\d)")


def axis_of(run: Run) -> Axis:
    """What the steps of ``run`` count: what its reader says, else epochs where the two are the same."""
    said = run.config.get("x")
    if said in ("step", "epoch", "row"):
        return "epoch" if said == "epoch" else "row" if said == "row" else "step"
    import numpy as np

    main = run.curve("train_loss") or run.curve("val_loss")
    if main is not None and main.epoch is not None and np.array_equal(main.epoch, main.step):
        return "epoch"
    return "step"


def in_words_of(axis: Axis, sentence: str) -> str:
    """``sentence``, which speaks of steps with their numbers, in the words of ``axis``."""
    if axis == "step":
        return sentence
    return _STEP.sub(lambda found: (axis.capitalize() if found[1] == "S" else axis) + found[2], sentence)
