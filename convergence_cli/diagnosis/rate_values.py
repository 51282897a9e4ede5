"""The numbers of remedies that turn the learning rate or its schedule, each from this run's own evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from convergence_cli.axis import axis_of
from convergence_cli.diagnosis.facts import settings
from convergence_cli.diagnosis.facts.settings import USUAL_BATCH
from convergence_cli.diagnosis.values import LARGEST, configured, known_rate, rounded
from convergence_cli.features.tensors.series import matrices_of, series_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convergence_cli.features.evidence import Evidence

    Value = tuple[dict[str, Any], str]

# A third of the edge of stability is the common safety margin (Google tuning playbook).
MARGIN, FAR = 3.0, 10.0
# Small networks bear three times as much of an adaptive step.
SMALL, FOR_SMALL = 1e6, 3.0
# Beyond this factor from what is usual a rate is an error of writing, and what is usual is the better guess.
ASTRAY = 3.0
MOST_COMMON = max(settings.USUAL_RATES.values())
FOR_ONE_LAYER, MANY_LAYERS = 3.0, 8
# A loss that fell by this share, over this share of the run, bore its rate.
BORNE_FOR = 0.2
# A schedule that has died leaves this share of the run, or more, at below a hundredth of its peak.
DEAD = 0.1
# What goes wrong after this share of the run is beyond any warm-up.
EARLY = 0.2
LEAST_WARMUP = 10


def usual_rate(evidence: Evidence) -> float | None:
    """The rate that is usual for optimizer, batch and size of the run; None where the optimizer is not known."""
    name = str(evidence.config.get("optimizer", "")).lower()
    rate = settings.usual_rate(evidence)
    if rate is None:
        return None
    batch = configured(evidence, "batch_size")
    if name not in ("sgd", "momentum", "rmsprop") and 0 < _weights(evidence) < SMALL:
        rate *= FOR_SMALL
    layers = _layers(evidence)
    # One layer has no other to throw off its inputs; many without a shortcut have.
    rate *= FOR_ONE_LAYER if layers == 1 else 1 / FOR_ONE_LAYER if layers >= MANY_LAYERS else 1.0
    # The linear scaling rule, softened: noise of small batches wants smaller steps (Goyal et al. 2017).
    return rate * min(batch / USUAL_BATCH, 1.0) ** 0.6 if batch is not None else rate


def _weights(evidence: Evidence) -> float:
    """How many weights were dumped; 0 where none were."""
    stats = evidence.run.tensors
    if stats is None:
        return 0.0
    weights = stats.text("kind") == "weight"
    first = weights & (stats.number("step") == stats.steps[0]) if weights.any() else weights
    return float(np.nansum(stats.number("count")[first]))


def _layers(evidence: Evidence) -> int:
    """How many weights that mix features were dumped; of a residual or normalised network, whose rate depth does not
    bound, none count."""
    stats = evidence.run.tensors
    if stats is None:
        return 0
    weights = series_of(stats, "weight")
    held = any("norm" in one.name.lower() or ".ln" in one.name.lower() or "attention" in one.name for one in weights)
    return 0 if held else len(matrices_of(weights))


def lower_rate(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """What is usual where the rate is far above it; else a third, or a tenth where the loss never fell."""
    known = known_rate(evidence)
    if known is None:
        return {}, "No value can be given: no learning rate is logged or configured. Divide yours by 3, then by 10."
    rate, source = known
    usual = usual_rate(evidence)
    if usual is None and rate > ASTRAY * settings.HIGH_FOR_ANY and not _bore(evidence):
        why = f"{rate:.3g} ({source}) is beyond what any optimizer takes; {MOST_COMMON:g} is the most that is common."
        return {"learning_rate": MOST_COMMON}, why
    if usual is not None and rate > ASTRAY * usual and not _bore(evidence):
        why = f"{rate:.3g} ({source}) is {rate / usual:.3g} times what is usual for {_setting(evidence)}, {usual:.2g}."
        return {"learning_rate": rounded(usual)}, why
    loss, verdict = evidence.loss, evidence.verdict
    if loss is None or verdict.since_step is None:
        return {"learning_rate": rounded(rate / MARGIN)}, f"A third of {rate:.3g} ({source})."
    fell = loss.shape.drop > 0.05 * loss.shape.scale and verdict.since_step > float(loss.curve.step[0])
    if not fell:
        why = f"The loss never fell at {rate:.3g} ({source}): a tenth of it."
        return {"learning_rate": rounded(rate / FAR)}, why
    until = min(loss.shape.best_step, verdict.since_step)
    then = f"and is NaN from step {verdict.since_step:g} on" if verdict.state == "non-finite" else "then rose"
    why = (
        f"{loss.name} fell at {rate:.3g} ({source}) until step {until:g}, {then}: a third leaves a margin to the edge."
    )
    return {"learning_rate": rounded(rate / MARGIN)}, why


def _bore(evidence: Evidence) -> bool:
    """Whether the loss fell for long at the rate before it diverged: then its edge is near, whatever is usual."""
    loss, since = evidence.loss, evidence.verdict.since_step
    if loss is None or since is None or evidence.verdict.label != "diverging":
        return False
    first, last = float(loss.curve.step[0]), float(loss.curve.step[-1])
    fell_for = (min(loss.shape.best_step, since) - first) / max(last - first, 1e-300)
    return fell_for >= BORNE_FOR and loss.shape.drop >= BORNE_FOR * loss.shape.scale


def raise_rate(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """What is usual for the optimizer, at most a thousand times the rate at once without dumps to show its effect."""
    known, usual = known_rate(evidence), usual_rate(evidence)
    ratio = _update_ratio(evidence)
    if known is None:
        seen = "" if ratio is None else f" One step changes the weights by {ratio:.2g} of their norm; 0.001 is usual."
        return {}, f"No value can be given: no learning rate above 0 is logged or configured.{seen} Try 10 times yours."
    rate, source = known
    seen = "" if ratio is None else f" One step changes the weights by {ratio:.2g} of their norm; 0.001 is usual."
    if usual is None:
        return {"learning_rate": rounded(rate * FAR)}, f"The loss hardly moves at {rate:.3g} ({source}): tenfold.{seen}"
    if rate >= usual / 2:
        if ratio is None or ratio > 1e-4:
            return None
        return {"learning_rate": rounded(rate * FAR)}, f"{rate:.3g} ({source}) is usual, but too small here.{seen}"
    why = (
        f"{rate:.3g} ({source}) is {usual / rate:.3g} times below what is usual for {_setting(evidence)}, {usual:.2g}."
    )
    return {"learning_rate": rounded(usual)}, why + seen


def _setting(evidence: Evidence) -> str:
    batch = configured(evidence, "batch_size")
    name = str(evidence.config.get("optimizer", "this optimizer"))
    return name if batch is None or batch >= USUAL_BATCH else f"{name} at a batch of {batch:g}"


def _update_ratio(evidence: Evidence) -> float | None:
    from convergence_cli.model import Missing

    updates = evidence.updates
    if updates is None or isinstance(updates, Missing):
        return None
    ratios = sorted(one.per_step for one in updates.layers if one.per_step > 0)
    return ratios[len(ratios) // 2] if ratios else None


def mended_schedule(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """A schedule over the whole run where the logged one has died early or leaps; None where it does neither."""
    if evidence.learning_rate is None:
        return None
    curve, name = evidence.learning_rate.curve, evidence.learning_rate.name
    finite = np.isfinite(curve.value)
    value, step = curve.value[finite], curve.step[finite]
    leap, at = settings.leap_of(value)
    if leap:
        before = float(value[:at].max())
        why = (
            f"{name} leaps from {before:.3g} to {value[at]:.3g} at step {step[at]:g}: up to then the loss "
            f"bore {before:.3g}; decay from there."
        )
        return {"learning_rate": rounded(before), "lr_schedule": "cosine"}, why
    if facts.get("schedule_dead", 0.0) >= DEAD:
        alive = np.flatnonzero(value > 1e-2 * float(value.max()))
        at = min(int(alive[-1]) + 1, len(step) - 1)
        why = (
            f"{name} is below a hundredth of its peak from step {step[at]:g} on, for {facts['schedule_dead']:.0%} of "
            f"the run: stretch the decay over all {step[-1]:g} steps."
        )
        return {"lr_schedule": "cosine"}, why
    return None


def warmup(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """A twentieth of the run's steps, at least beyond the first instability."""
    if facts.get("schedule_warmed"):
        return None
    loss, since = evidence.loss, evidence.verdict.since_step or 0.0
    in_steps = axis_of(evidence.run) == "step"
    logged = float(loss.curve.step[-1]) if loss is not None else since
    if since > EARLY * max(logged, 1.0):
        return None
    total = configured(evidence, "max_steps") or (logged if in_steps and loss is not None else None)
    if total is None:
        unit = "no loss is logged up to its end" if in_steps else f"the log counts {axis_of(evidence.run)}s, not steps"
        return {}, f"No value can be given: {unit}. Warm up over a twentieth of your steps."
    since = since if in_steps else 0.0
    steps = math.ceil(max(min(total / 20, LARGEST), min(2 * since, LARGEST), LEAST_WARMUP))
    later = f", at least twice the step at which it went wrong ({since:g})" if since else ""
    why = f"A twentieth of {total:g} steps{later}; {LEAST_WARMUP} at the least."
    return {"warmup_steps": steps}, why


def decay(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """A cosine to zero, unless the rate decays already."""
    if facts.get("schedule_decayed"):
        return None
    why = "The noise of steps at one rate holds the loss up: a cosine decay to zero lets it settle below."
    return {"lr_schedule": "cosine"}, why


def lower_beta2(evidence: Evidence, facts: Mapping[str, float]) -> Value | None:
    """A shorter memory of the squared gradients, where an adaptive optimizer meets spikes."""
    if "adam" not in str(evidence.config.get("optimizer", "")).lower() or not facts.get("spikes"):
        return None
    spikes = 0 if evidence.loss is None else len(evidence.loss.spikes)
    why = (
        f"{spikes} spikes of the loss: with beta2 at 0.95 the second moment follows a sudden gradient within 20 steps "
        "instead of 1,000."
    )
    return {"beta2": 0.95}, why
