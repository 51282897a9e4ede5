"""The numbers of remedies that turn length, batch and regularisation, each from this run's own evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.axis import axis_of
from convergence_cli.diagnosis.values import (
    LARGEST,
    configured,
    early_stopping_patience,
    grows_trees,
    resume_step,
    rounded,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.evidence import Evidence

    Value = tuple[dict[str, Any], str]

LARGEST_DECAY, COMMON_DECAY = 0.3, 0.01
COMMON_DROPOUT = 0.1
COMMON_BATCH = 32
# Fewer steps than this hardly train anything.
FEWEST_STEPS, ENOUGH_STEPS = 300, 1000
# No more than this many times as long at once: what lies beyond is a leap in the dark.
LONGEST, LONGEST_OF_FEW = 10, 30
# The share of the whole fall that the last doubling may leave: then the run has levelled off.
SETTLED = 0.02


def resume(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """The best step, to go on from its checkpoint past the batches that did the damage."""
    value = resume_step(evidence)
    if value is None:
        return None
    step, why = value
    return {"resume_from_step": step, "skip_batches": 200}, f"{why} Skip 200 batches (PaLM skipped 200 to 500)."


def stop_early(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Patience in evaluations, and the best checkpoint in place of the last."""
    patience, why = early_stopping_patience(evidence)
    best = evidence.verdict.best_step
    at = "" if best is None or evidence.gap is None else f" Keep the best checkpoint (here of step {best:g})."
    return {"early_stopping": patience}, why + at


def fewer_rounds(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """The best round of boosted trees."""
    gap, loss = evidence.gap, evidence.loss
    if gap is None or loss is None or not grows_trees(evidence):
        return None
    rounds = int(gap.best_step) + (1 if float(loss.curve.step[0]) == 0 else 0)
    why = f"Validation was best after {rounds} rounds ({gap.best:.4g}); later trees fit the training data only."
    return {"epochs": rounds}, why


def more_decay(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """Three times the weight decay, or the common first value."""
    present = configured(evidence, "weight_decay")
    if grows_trees(evidence) or (present is not None and present >= LARGEST_DECAY):
        return None
    if present is None:
        return {"weight_decay": COMMON_DECAY}, "No weight decay is known of; 0.01 is the common first value."
    value = rounded(min(present * 3, LARGEST_DECAY), 6)
    return {"weight_decay": value}, f"The weight decay is {present:g} now; three times that is the next step."


def less_decay(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """A common weight decay in place of one that holds the model back."""
    present = configured(evidence, "weight_decay")
    decoupled = str(evidence.config.get("optimizer", "")).lower() == "adamw"
    usual = COMMON_DECAY if decoupled else 1e-4
    if present is None or present <= usual:
        return None
    shrunk = facts.get("weights_shrunk", 0.0)
    seen = f" The weights shrank by a factor of {10**shrunk:.3g}." if shrunk > 0.2 else ""
    return {"weight_decay": usual}, f"{present:g} is {present / usual:.3g} times what is common, {usual:g}.{seen}"


def more_dropout(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """A common dropout where none is configured, or twice what is."""
    if grows_trees(evidence):
        return None
    present = configured(evidence, "dropout")
    value = COMMON_DROPOUT if present is None else rounded(min(2 * present, 0.5))
    if present is not None and value <= present:
        return None
    seen = "No dropout is known of" if present is None else f"The dropout is {present:g} now"
    return {"dropout": value}, f"{seen}; {value:g} is the next step."


def less_dropout(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """A common dropout, where that of the run is known to be strong, or validation is clearly better than training."""
    present, better = configured(evidence, "dropout"), facts.get("val_below_train", 0.0)
    if present is None and better < 0.03:
        return None
    if present is not None and present <= 2 * COMMON_DROPOUT:
        return None
    seen = f"The dropout is {present:g}" if present is not None else "Validation ends clearly below training"
    return {"dropout": COMMON_DROPOUT}, f"{seen}: {COMMON_DROPOUT:g} lets the model use what it has."


def train_longer(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """As long as the fitted curve says that it takes to level off, from twice to ten times."""
    loss, law = evidence.loss, evidence.power_law
    if loss is None:
        return None
    drop = max(loss.shape.start - loss.shape.end, 1e-300)
    gain = math.nan if law is None else max(loss.shape.end - law.doubled, 0.0) / drop
    if law is not None and math.isfinite(gain):
        # Each doubling of a power law brings about as much of the rest as the one before.
        factor = int(min(max(2, 2 ** math.ceil(math.log2(max(gain / SETTLED, 1)) + 1)), LONGEST))
        why = (
            f"A curve fitted to {loss.name} (power law, or exponential with a floor) expects {law.doubled:.4g} at "
            f"twice the length, from {loss.shape.end:.4g}: {factor} times as long until that is small."
        )
    else:
        factor = LONGEST if facts.get("late_slope", 0.0) > 0.15 else 4
        why = f"{loss.name} still falls where the log ends: {factor} times as long."
    key, now = _length(evidence)
    steps = configured(evidence, "max_steps") or (now if key == "max_steps" else math.inf)
    if steps < FEWEST_STEPS and factor * steps < ENOUGH_STEPS:
        factor = min(math.ceil(ENOUGH_STEPS / steps), LONGEST_OF_FEW)
        why = f"{steps:g} steps are few for any network: {factor} times as many."
    return {key: int(max(min(factor * now, LARGEST), 1))}, why


def _length(evidence: Evidence) -> tuple[str, float]:
    """The unit in which the run counts its length, and how long it is."""
    loss = evidence.loss
    assert loss is not None
    if axis_of(evidence.run) == "epoch" or grows_trees(evidence):
        return "epochs", float(loss.curve.step[-1]) + (1 if loss.curve.step[0] == 0 else 0)
    epochs = configured(evidence, "epochs")
    if epochs is not None:
        return "epochs", epochs
    if loss.curve.epoch is not None and np.isfinite(loss.curve.epoch[-1]):
        return "epochs", math.ceil(float(loss.curve.epoch[-1]))
    return "max_steps", max(float(loss.curve.step[-1]), 1.0)


def smaller_batch(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """The common batch over as many samples, at least as many steps as a training needs."""
    batch = configured(evidence, "batch_size")
    loss = evidence.loss
    if batch is None or loss is None or batch <= COMMON_BATCH:
        return None
    steps = configured(evidence, "max_steps") or float(loss.curve.step[-1])
    more = max(int(min(steps * batch / COMMON_BATCH, LARGEST)), FEWEST_STEPS)
    change: dict[str, Any] = {"batch_size": COMMON_BATCH}
    if configured(evidence, "epochs") is None:
        change["max_steps"] = more
    return (
        change,
        f"{steps:g} steps of {batch:g} samples are few: {more:,} steps of {COMMON_BATCH} learn more from them.",
    )


def larger_batch(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """The common batch, at the same rate, which suits it."""
    batch = configured(evidence, "batch_size")
    if batch is None:
        return {}, "No value can be given: no batch size is configured. Use 4 times yours."
    if batch >= COMMON_BATCH:
        return None
    noise = math.sqrt(COMMON_BATCH / batch)
    why = f"{batch:g} samples a step: batches of {COMMON_BATCH} have {noise:.2g} times less noise at this rate."
    return {"batch_size": COMMON_BATCH}, why
