"""From a range test, or from trainings at several rates, to the whole answer: no model, no torch."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.lr_find import known_rules, suggestion
from convergence_cli.lr_find.refused import refused
from convergence_cli.lr_find.search import Bounds, Floats, read

if TYPE_CHECKING:
    from convergence_cli.learning_rate import LearningRate

RESTARTS, RANGE = "restarts", "range"
METHODS = (RESTARTS, RANGE, *known_rules.RULES)
# Below the lowest loss of a range test, by schedule, in decades; measured on benchmarks/lr_find.
BELOW_LOWEST = {"constant": -1.0, "cosine": -0.5}
RANGE_CONFIDENCE = 0.6
# What fastai drops of a range test before its rules look at it.
SKIPPED_FIRST, SKIPPED_LAST = 0.1, 5
FEWEST_POINTS = 10


def suggested(
    answer: LearningRate, edge: float | None, *, lower: bool = True, bounds: Bounds = (0.0, math.inf)
) -> LearningRate:
    """``answer`` with the rate, window and confidence that its probes give; the range test broke above ``edge``.

    Without ``lower`` the best rate itself is given: that of whole trainings, for which there is no longer one.
    """
    best = suggestion.best_of(answer.probes)
    start = answer.start_loss
    assert start is not None
    assert best is not None
    excess = suggestion.excesses(answer.probes, start, best)
    low, high = suggestion.window(excess, best.rate)
    rate = suggestion.shaded(excess, best.rate, answer.schedule) if lower else suggestion.two_digits(best.rate)
    rate = min(max(rate, bounds[0]), bounds[1])
    return replace(
        answer,
        learning_rate=rate,
        window=(min(suggestion.two_digits(low), rate), max(suggestion.two_digits(high), rate)),
        diverges_at=suggestion.diverges_at(answer.probes, start, best.rate, edge),
        confidence=suggestion.confidence(answer.probes, excess, best),
        why=suggestion.why(excess, best, rate, answer.schedule),
    )


def by_range_test(answer: LearningRate) -> LearningRate:
    """What the rule named by ``answer.method`` reads off the range test. Known rules have no window, no confidence."""
    rates, losses = np.asarray(answer.range_rates), np.asarray(answer.range_losses)
    finite = np.isfinite(losses)
    rates, losses = rates[finite], losses[finite]
    if answer.method == RANGE and len(rates) >= FEWEST_POINTS:
        after = int(np.flatnonzero(finite)[-1]) + 1
        return _by_own_rule(answer, rates, losses, next(iter(answer.range_rates[after:]), None))
    losses = known_rules.smoothed(losses)
    first = int(len(answer.range_rates) * SKIPPED_FIRST)
    rates, losses = (
        rates[first : max(len(rates) - SKIPPED_LAST, first)],
        losses[first : max(len(losses) - SKIPPED_LAST, first)],
    )
    if len(rates) < FEWEST_POINTS:
        raise refused(
            "too-few-points",
            f"Only {len(rates)} points of the range test can be used, and the rule needs {FEWEST_POINTS}.",
            "Test more steps, or a range that begins lower.",
        )
    rate = suggestion.two_digits(known_rules.RULES[answer.method](rates, losses))
    return replace(answer, learning_rate=rate, why=f"The rule '{answer.method}' reads this off the range test.")


def _by_own_rule(answer: LearningRate, rates: Floats, losses: Floats, broke_at: float | None) -> LearningRate:
    test = read(rates.tolist(), losses.tolist())
    if not test.fell:
        raise refused(
            "no-rate-learns",
            f"At no rate of the range test did the loss fall clearly below its start of {test.start:.4g}.",
            "Test a wider range of rates with more steps, or search with restarts.",
        )
    lowest, first = test.lowest, float(rates[0])
    rate = suggestion.two_digits(max(lowest * 10 ** BELOW_LOWEST[answer.schedule], first))
    low = suggestion.two_digits(max(lowest * 10 ** (BELOW_LOWEST["constant"] - 0.5), first))
    high = suggestion.two_digits(lowest * 10 ** BELOW_LOWEST["cosine"])
    edge = test.edge if test.edge < rates[-1] else broke_at
    return replace(
        answer,
        learning_rate=rate,
        window=(min(low, rate), max(high, rate)),
        diverges_at=None if edge is None else suggestion.two_digits(edge),
        confidence=RANGE_CONFIDENCE,
        start_loss=test.start,
        why=f"The loss of the range test is lowest at {lowest:.2g}; it is read too high, as training at lower rates "
        f"came before: {'a tenth' if answer.schedule == 'constant' else 'a third'} of it.",
    )
