"""The search from end to end: refuse, bracket, climb, let the best train on, and answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convergence_cli.learning_rate import LearningRate, Probe
from convergence_cli.lr_find.answering import RESTARTS, by_range_test, suggested
from convergence_cli.lr_find.probing import Judged, Prober
from convergence_cli.lr_find.refusals import learned
from convergence_cli.lr_find.refused import Refused, refused
from convergence_cli.lr_find.search import BOUNDS, Bounds, Plan, broken, climb, finalists, first_guess, geometric

if TYPE_CHECKING:
    from convergence_cli.lr_find.probing import Source

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for: how many updates in all, which schedule the training will have, which rates, which method."""

    plan: Plan = field(default_factory=Plan)
    schedule: str = "constant"
    bounds: Bounds = BOUNDS
    method: str = RESTARTS


def find(source: Source, search: Search, show: Show = lambda text: None) -> LearningRate:
    """A learning rate for the trainings of ``source``, or the reason why there is none. The source is closed."""
    prober = Prober(source)
    blank = LearningRate(None, schedule=search.schedule, method=search.method)
    try:
        return _found(prober, search, blank, show)
    except Refused as error:
        return replace(blank, refused=error.refusal, steps=prober.steps, probes=_by_rate(prober))
    finally:
        source.close()


def _found(prober: Prober, search: Search, blank: LearningRate, show: Show) -> LearningRate:
    plan = search.plan
    show("looking at the first batches")
    start = prober.beginning(search.bounds[0])
    rates = geometric(*search.bounds, plan.range_steps)
    show(f"a range test of {len(rates)} steps")
    losses = prober.range_test(rates, broken)
    answer = replace(
        blank,
        range_rates=tuple(rates[: len(losses)]),
        range_losses=tuple(losses),
        start_loss=_mean(start),
        ratios=tuple(prober.ratios),
        steps=prober.steps,
    )
    if search.method != RESTARTS:
        return by_range_test(answer)
    guess, edge = first_guess(rates, losses)

    def attempt(rate: float, steps: int) -> float:
        show(f"{steps} steps at {rate:.2g}")
        return prober.attempt(rate, steps)

    tried = climb(attempt, guess, plan, search.bounds)
    best = finalists(tried, plan.kept)
    if not best:
        raise refused(
            "every-rate-diverges",
            f"Training breaks at every rate that was tried, down to {min(tried):.1e}.",
            "Look for an overflow in the loss, inputs of enormous size, or a gradient that is not that of the loss.",
        )
    prober.keep(best)
    for rate in best:
        attempt(rate, plan.long)
    if not any(_learned(start, prober.judged[rate]) for rate in best):
        raise refused(
            "no-rate-learns",
            f"No rate from {min(tried):.1e} to {max(tried):.1e} lowered the loss of {_mean(start):.4g} within "
            f"{plan.long} steps.",
            f"If your training begins with a plateau, give it more: --steps {10 * plan.steps}. Else the loss, the "
            "labels or the initialization are at fault.",
        )
    stopped = len(losses) < len(rates)
    return suggested(replace(answer, steps=prober.steps, probes=_by_rate(prober)), edge if stopped else None)


def _learned(start: Judged, after: Judged | None) -> bool:
    """Whether the batches trained on, or those held out, are judged better than by chance."""
    if after is None:
        return False
    return any(learned(before, then) for before, then in zip(start, after, strict=True) if before)


def _mean(judged: Judged) -> float:
    parts = [math.fsum(losses) / len(losses) for losses in judged if losses]
    return math.fsum(parts) / len(parts)


def _by_rate(prober: Prober) -> tuple[Probe, ...]:
    return tuple(sorted(prober.probes, key=lambda probe: (probe.rate, probe.steps)))
