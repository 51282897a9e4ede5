"""The search from end to end: refuse, bracket, climb, let the best train on, and answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convergence_cli.learning_rate import LearningRate, Probe
from convergence_cli.lr_find.answering import RESTARTS, by_range_test, suggested
from convergence_cli.lr_find.handover import handed_over
from convergence_cli.lr_find.probing import Judged, Prober, judged_loss
from convergence_cli.lr_find.refusals import learned
from convergence_cli.lr_find.refused import Refused, refused
from convergence_cli.lr_find.search import (
    BOUNDS,
    Bounds,
    Plan,
    Try,
    beside,
    broken,
    climb,
    finalists,
    geometric,
    lower,
    read,
    unharmed,
)

if TYPE_CHECKING:
    from convergence_cli.learning_rate import Refusal
    from convergence_cli.lr_find.probing import Source
    from convergence_cli.model import RunReport

Show = Callable[[str], None]
# From this probability on the diagnosis is believed, rather than what usually brings a refusal about.
LIKELY = 0.5
# Refusals that say what is, but not why.
OPEN = frozenset({"dead-network", "zero-gradient", "no-rate-learns", "every-rate-diverges"})


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
        show("asking the diagnosis")
        report, recorded = handed_over(source, error.refusal.reason)
        return replace(
            blank,
            refused=_in_the_light_of(report, error.refusal, recorded, search.plan),
            diagnosis=report,
            steps=prober.steps + recorded,
            probes=_by_rate(prober),
            range_rates=prober.range_rates,
            range_losses=prober.range_losses,
        )
    finally:
        source.close()


def _in_the_light_of(report: RunReport | None, refusal: Refusal, recorded: int, plan: Plan) -> Refusal:
    """``refusal`` with what the diagnosis knows better: that more steps would do, or the cause."""
    if report is None:
        return refusal
    if refusal.reason == "no-rate-learns" and report.verdict.label == "converging":
        hint = f"At your own rate {recorded} steps do converge: search with more, --steps {10 * plan.steps}."
        return replace(refusal, hint=hint, cause="")
    if refusal.reason in OPEN and report.causes and report.causes[0].probability >= LIKELY:
        return replace(refusal, cause=report.causes[0].name)
    return refusal


def _found(prober: Prober, search: Search, blank: LearningRate, show: Show) -> LearningRate:
    plan = search.plan
    show("looking at the first batches")
    start = prober.beginning(search.bounds[0])
    rates = geometric(*search.bounds, plan.range_steps)
    show(f"a range test of {len(rates)} steps")
    losses = prober.range_test(rates, broken)
    answer = replace(
        blank,
        range_rates=prober.range_rates,
        range_losses=prober.range_losses,
        start_loss=judged_loss(start)[0],
        ratios=tuple(prober.ratios),
        steps=prober.steps,
    )
    if search.method != RESTARTS:
        return by_range_test(answer)
    test, begun = read(rates, losses), judged_loss(start)[0]

    def attempt(rate: float, steps: int) -> float:
        show(f"{steps} steps at {rate:.2g}")
        return prober.attempt(rate, steps)

    tried, moved = climb(attempt, test, plan, begun, search.bounds)
    if not any(map(math.isfinite, tried.values())):
        raise refused(
            "every-rate-diverges",
            f"Training breaks at every rate that was tried, down to {min(tried):.1e}.",
            "Look for an overflow in the loss, inputs of enormous size, or a gradient that is not that of the loss.",
        )
    best = finalists(tried, plan.kept)
    if not moved:
        # High rates leave a plateau soonest; the one that seems best may have begun to.
        high = unharmed(tried, begun, test.noise, plan.kept - 1)
        best = [*high, *(rate for rate in best[:1] if rate not in high)]
    prober.keep(best)
    length = plan.longest(prober.steps, len(best), plateau=not moved)
    long = _trained_on(prober, attempt, best, length, search)
    answer = replace(answer, steps=prober.steps, probes=_by_rate(prober))
    _check_learned(tried | long, any(_learned(start, prober.judged[rate]) for rate in long), begun, length, search)
    stopped = len(losses) < len(rates)
    return suggested(answer, test.edge if stopped else None, bounds=search.bounds)


def _trained_on(prober: Prober, attempt: Try, best: list[float], length: int, search: Search) -> dict[float, float]:
    """Losses after ``length`` steps: of the ``best``, and of their neighbours as far as the steps last."""
    long: dict[float, float] = {}
    waiting = list(best)
    while waiting and prober.steps + length - prober.made(waiting[0]) <= search.plan.steps:
        rate = waiting.pop(0)
        long[rate] = attempt(rate, length)
        alive = {one: loss for one, loss in long.items() if math.isfinite(loss)}
        if not alive:
            # What broke after all breaks at higher rates, too.
            waiting = [one for one in waiting if one < rate] or lower(min(long), search.bounds)
        elif not waiting:
            # A plateau leaves steps over, as few rates are tried on it.
            waiting = beside(min(alive, key=lambda one: (alive[one], one)), long, search.bounds)[:1]
    return long


def _check_learned(tried: dict[float, float], learnt: bool, begun: float, length: int, search: Search) -> None:
    """Raise ``Refused`` where no rate lowered the loss, or only the lowest of all did no harm."""
    lowest, *higher = sorted(tried)
    if not learnt:
        raise refused(
            "no-rate-learns",
            f"No rate from {lowest:.1e} to {max(tried):.1e} lowered the loss of {begun:.4g} within {length} steps.",
            f"If your training begins with a plateau, give it more: --steps {10 * search.plan.steps}. Else the loss, "
            "the labels or the initialization are at fault.",
        )
    if higher and not lower(lowest, search.bounds) and all(tried[rate] > begun for rate in higher):
        raise refused(
            "no-rate-learns",
            f"Every rate from {higher[0]:.1e} up does harm, and the only one below that was tried is {lowest:.1e}.",
            f"Try lower ones: --min-lr {lowest / 1e4:.0e}. Inputs of enormous size want such rates, and so does a "
            "gradient of the wrong sign.",
        )


def _learned(start: Judged, after: Judged | None) -> bool:
    """Whether the batches trained on, or those held out, are judged better than by chance."""
    if after is None:
        return False
    return any(learned(before, then) for before, then in zip(start, after, strict=True) if before)


def _by_rate(prober: Prober) -> tuple[Probe, ...]:
    return tuple(sorted(prober.probes, key=lambda probe: (probe.rate, probe.steps)))
