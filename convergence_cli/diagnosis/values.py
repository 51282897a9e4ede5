"""The numbers of remedies, each from this run's own evidence, each with how it was found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.diagnosis.frameworks import TREES, framework_of
from convergence_cli.printable import counted

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence

MIN_NORMS = 5
# The largest rates that are usual for an optimizer: a raised rate stops there.
CEILINGS = {"adam": 3e-3, "adamw": 3e-3, "nadam": 3e-3, "rmsprop": 3e-3, "lion": 3e-4, "sgd": 0.3, "adagrad": 0.1}
# A setting beyond this is no setting; YAML and JSON can hold infinities and integers that no float can.
LARGEST = 1e15


def rounded(value: float, digits: int = 2) -> float:
    """``value`` to so many significant digits: what a person would type."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def configured(evidence: Evidence, key: str) -> float | None:
    """What the run's own settings say under ``key``, where that is a positive, finite number."""
    value = evidence.config.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if 0 < value <= LARGEST else None


def known_rate(evidence: Evidence) -> tuple[float, str] | None:
    """The peak learning rate of the run and where it is known from."""
    if evidence.learning_rate is not None and evidence.learning_rate.schedule.peak > 0:
        return evidence.learning_rate.schedule.peak, f"logged as {evidence.learning_rate.name}"
    rate = configured(evidence, "learning_rate")
    return None if rate is None else (rate, "from the config")


def contexts_of(evidence: Evidence) -> frozenset[str]:
    """What is known of the run beside its findings: ``converging``; ``rate-high`` or ``rate-low`` for its optimizer."""
    known = known_rate(evidence)
    ceiling = CEILINGS.get(str(evidence.config.get("optimizer", "")).lower())
    found = {"converging"} if evidence.verdict.label == "converging" else set()
    if known is not None and ceiling is not None and known[0] >= ceiling / 2:
        found.add("rate-high")
    elif known is not None and ceiling is not None and known[0] <= ceiling / 300:
        found.add("rate-low")
    return frozenset(found)


def grows_trees(evidence: Evidence) -> bool:
    """Whether the run boosts trees: rounds in place of epochs, no weights to decay."""
    return framework_of(evidence.run) in TREES


def clip_norm(evidence: Evidence) -> tuple[float, str] | None:
    """The 90th percentile of the gradient norms while the loss still fell (Google tuning playbook)."""
    curve = evidence.run.curve("grad_norm")
    loss, verdict = evidence.loss, evidence.verdict
    if curve is None:
        return None
    finite = np.isfinite(curve.value)
    value = curve.value[finite]
    when = ""
    if verdict.label == "diverging":
        healthy = loss.shape.best_step if loss is not None else -math.inf
        value = curve.value[finite & (curve.step <= healthy)]
        when = f" up to step {healthy:g}, before the fault,"
        if len(value) < MIN_NORMS:
            return 1.0, "The gradient norm is out of bounds from the first steps on; 1.0 is the common default."
    if len(value) < MIN_NORMS:
        return None
    norm = float(np.percentile(value, 90))
    if norm <= 0:
        return None
    return rounded(norm), f"The 90th percentile of {len(value)} gradient norms{when} is {norm:.3g}."


def resume_step(evidence: Evidence) -> tuple[float, str] | None:
    """The best step, to go on from its checkpoint; None where the run has not left it or never improved."""
    verdict, loss = evidence.verdict, evidence.loss
    if verdict.label not in {"diverging", "overfitting"} or verdict.best_step is None or loss is None:
        return None
    if verdict.best_step <= float(loss.curve.step[0]) or loss.shape.drop <= 0.05 * loss.shape.scale:
        return None
    best = evidence.gap.best if evidence.gap is not None else loss.shape.best
    name = evidence.val_loss.name if evidence.val_loss is not None else loss.name
    later = "fit the training data only" if verdict.label == "overfitting" else "carry the damage"
    return verdict.best_step, f"{name} was best there ({best:.4g}); later checkpoints {later}."


def early_stopping_patience(evidence: Evidence) -> tuple[int, str]:
    """Evaluations to wait: enough that the curve's own noise cannot stop the run.

    A best value is beaten again by noise within k evaluations with probability 1 - 1/(k + 1) on a level
    curve (records of exchangeable variables); 3 plus the number of evaluations by which the noise outweighs
    the slope before the best.
    """
    gap, val = evidence.gap, evidence.val_loss
    if gap is None or val is None:
        return 5, "No validation loss is logged; 5 evaluations are the common default."
    y = val.shape.view.mean
    best = int(np.argmin(np.abs(val.shape.view.step - gap.best_step)))
    slope = (float(y[0]) - gap.best) / max(best, 1)
    wait = 3 + (math.ceil(min(2 * gap.noise / slope, 17.0)) if slope > 0 else 2)
    if wait <= 4:
        return wait, f"{val.name} falls faster than its noise ({gap.noise:.2g}) hides: {wait} evaluations are enough."
    return (
        wait,
        f"The noise of {val.name} ({gap.noise:.2g}) outweighs its slope for "
        f"{counted(wait - 3, 'evaluation')}; 3 more to be sure.",
    )
