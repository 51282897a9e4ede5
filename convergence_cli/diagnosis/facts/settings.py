"""What the settings of a run say of its cause, beside what is usual for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.axis import axis_of
from convergence_cli.diagnosis.facts.scales import excess, log_ratio, shortfall
from convergence_cli.diagnosis.values import configured, known_rate

if TYPE_CHECKING:
    from convergence_cli.features.evidence import Evidence
    from convergence_cli.model import FloatArray

# Rates that suit most models (Karpathy 2019; Goyal et al. 2017 at a batch of 32; the optimizers' own papers).
USUAL_RATES = {"adam": 1e-3, "adamw": 1e-3, "nadam": 1e-3, "rmsprop": 1e-3, "lion": 1e-4, "sgd": 0.1, "adagrad": 1e-2}
HIGH_FOR_ANY = 0.3
USUAL_WITH_MOMENTUM = 0.02
USUAL_BATCH = 32.0
# Weight decay that is met in good trainings; decoupled from the gradient it is larger (Loshchilov and Hutter 2019).
STRONG_DECAY = {"adamw": 0.25, "nadamw": 0.25, "lion": 0.5, "sgd": 0.02, "adam": 0.02, "rmsprop": 0.02}
_TINY = 1e-300
# A rate leaps where it rises by this many powers of ten from a level that it held over so many points.
LEAP, HELD = 0.3, 2


def usual_rate(evidence: Evidence) -> float | None:
    """The rate that is usual for the optimizer of the run; None where that is not known."""
    name = str(evidence.config.get("optimizer", "")).lower()
    if name in ("sgd", "momentum") and configured(evidence, "momentum"):
        return USUAL_WITH_MOMENTUM
    return USUAL_RATES.get(name)


def setting_facts(evidence: Evidence) -> dict[str, float]:
    """Of the learning rate and its schedule, the batch, the length and what regularises."""
    return _of_rate(evidence) | _of_schedule(evidence) | _of_batch(evidence) | _of_regularisation(evidence)


def _of_rate(evidence: Evidence) -> dict[str, float]:
    known, usual = known_rate(evidence), usual_rate(evidence)
    if known is None:
        return {}
    if usual is None:
        # Of an optimizer that is not known only a rate that is beyond all of them tells anything.
        high = excess(known[0], HIGH_FOR_ANY, 4.0)
        return {"rate_high": high, "rate_high_for_batch": excess(known[0], 3 * HIGH_FOR_ANY, 4.0)} if high else {}
    batch = configured(evidence, "batch_size")
    # The linear scaling rule, softened: noise of small batches wants smaller steps (Goyal et al. 2017).
    fair = usual * min(batch / USUAL_BATCH, 1.0) ** 0.6 if batch is not None else usual
    return {
        "rate_known": 1.0,
        "rate_high_for_batch": excess(known[0], 3 * fair, 4.0),
        "rate_low_for_batch": min(shortfall(known[0], fair / 5, 8.0), 4.0),
        "rate_high": excess(known[0], usual, 4.0),
        "rate_low": min(shortfall(known[0], usual, 8.0), 4.0),
        "rate_usual": max(0.0, 1 - abs(log_ratio(known[0], usual, 4.0))),
    }


def _of_schedule(evidence: Evidence) -> dict[str, float]:
    rate = evidence.learning_rate
    if rate is None:
        return {}
    curve = rate.curve
    value = curve.value[np.isfinite(curve.value)]
    if len(value) < 4:
        return {}
    peak = max(float(value.max()), _TINY)
    leap, at = leap_of(value)
    gone = np.flatnonzero(value > 1e-2 * peak)
    dead = 1 - (int(gone[-1]) + 1) / len(value) if len(gone) else 0.0
    end = float(np.median(value[-max(len(value) // 20, 1) :]))
    return {
        "schedule_logged": 1.0,
        "schedule_constant": float(rate.schedule.constant),
        "schedule_warmed": float(rate.schedule.warmup_end is not None),
        "schedule_dead": dead if dead > 0.1 else 0.0,
        "schedule_decayed": shortfall(end, 0.5 * peak, 3.0),
        "schedule_leap": min(leap, 3.0),
        "schedule_leap_late": at / len(value) if leap else 0.0,
    }


def leap_of(rate: FloatArray) -> tuple[float, int]:
    """The largest rise of a rate above all that it was before, in powers of ten, and its place; (0, 0) for none.

    A warm-up is none: the rate must have held its level, or come down, over the points before.
    """
    highest = np.maximum.accumulate(rate)
    leap = np.log10(np.maximum(rate[1:], _TINY)) - np.log10(np.maximum(highest[:-1], _TINY))
    held = np.zeros(len(leap), dtype=bool)
    held[HELD:] = rate[HELD:-1] <= 1.001 * rate[: -1 - HELD]
    # Nor is a first step up from 0, however long the rate was 0 before.
    leap = np.where(held & (highest[:-1] > 0), leap, 0.0)
    at = int(np.argmax(leap))
    return (float(leap[at]), at + 1) if leap[at] > LEAP else (0.0, 0)


def _of_batch(evidence: Evidence) -> dict[str, float]:
    batch, steps = configured(evidence, "batch_size"), configured(evidence, "max_steps")
    loss = evidence.loss
    found: dict[str, float] = {}
    if batch is not None:
        found |= {
            "batch_known": 1.0,
            "batch_small": max(0.0, math.log2(USUAL_BATCH / max(batch, 1)) / 5),
            "batch_one": float(batch == 1),
            "batch_large": excess(batch, 256, 3.0),
        }
    if loss is not None and len(loss.curve.step):
        # Forty epochs, or rows of a log, are not forty steps.
        counted = axis_of(evidence.run) == "step"
        last = steps or (float(loss.curve.step[-1]) if counted else math.nan)
        found |= {"steps_few": shortfall(last, 300, 2.0), "steps_very_few": shortfall(last, 100, 2.0)}
        epoch = loss.curve.epoch
        if epoch is not None and np.isfinite(epoch[-1]) and epoch[-1] > 0:
            single = counted and float(loss.curve.step[-1]) <= 1.5 * float(epoch[-1])
            found |= {"one_step_a_pass": float(single), "passes": log_ratio(float(epoch[-1]), 10, 3.0)}
    return found


def _of_regularisation(evidence: Evidence) -> dict[str, float]:
    decay = configured(evidence, "weight_decay")
    dropout = configured(evidence, "dropout")
    usual = STRONG_DECAY.get(str(evidence.config.get("optimizer", "")).lower(), math.inf)
    return {
        "decay_strong": 0.0 if decay is None else excess(decay, usual, 2.0),
        "dropout_strong": 0.0 if dropout is None else max(min(dropout, 1.0) - 0.3, 0.0),
        "adaptive": float(str(evidence.config.get("optimizer", "")).lower() not in ("sgd", "momentum", "")),
    }
