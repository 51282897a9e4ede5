"""LR1xx: learning rates that a finder measured, or claims to have."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from convergence_cli.features.finder_grid import LIGHTNING, finder_of
from convergence_cli.rules._registry import finding, rule
from convergence_cli.rules.learning_rate import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from convergence_cli.features.evidence import Rate
    from convergence_cli.model import Finding, Verdict

# Lightning's finder is told from its log, or from its grid; only rates below this are in doubt.
DOUBTFUL_BELOW = 1e-5
# Beyond the window of lr-find by this factor: its grid is a quarter of a decade, and a window has soft ends.
BEYOND_WINDOW = 3.0


@rule("LR106", "rate-of-broken-finder", severity="warning", since="0.1")
def rate_of_broken_finder(
    config: Mapping[str, Any], verdict: Verdict, learning_rate: Rate | None = None
) -> Iterator[Finding]:
    """The learning rate was read off a finder that suggests rates far too low.

    What it checks
        Whether the rate is one that Lightning's learning-rate finder suggested (its log says so, or the rate is
        one of the hundred that it tests, to the last digit), and is below 1e-5.

    Why it matters
        Since 2.5.3 that finder takes the steepest fall over the rate itself, and not over its logarithm, so that
        wiggles at the lowest rates win: its suggestion is three to five decades too low in most runs.

    How it decides
        Below 1e-5 and from that finder. A warning where the run fails, else a note.

    Known false alarms
        A fine-tuning of a very large model, for which 1e-6 is right whoever suggested it.

    References
        Lightning pull request 21055 and issue 14248; measured on benchmarks/lr_find, see docs/lr-find.md.
    """
    rate = learning_rate.schedule.peak if learning_rate is not None else config.get("learning_rate")
    if not _is_rate(rate) or rate >= DOUBTFUL_BELOW:
        return
    told = config.get("lr_finder") == LIGHTNING
    if not told and finder_of(rate) != LIGHTNING:
        return
    yield finding(
        f"The learning rate {rate:.4g} is what Lightning's finder suggested, which is far too low in most runs.",
        severity="warning" if verdict.fails else "note",
        confidence=0.8 if told else 0.7,
        evidence={
            "learning_rate": rate,
            "threshold": DOUBTFUL_BELOW,
            "told_by": "its log" if told else "its grid of 100 rates from 1e-8 to 1",
            "side": "low",
        },
        series=None if learning_rate is None else learning_rate.name,
    )


@rule("LR107", "rate-outside-window", severity="warning", since="0.1")
def rate_outside_window(
    config: Mapping[str, Any], verdict: Verdict, learning_rate: Rate | None = None
) -> Iterator[Finding]:
    """The learning rate lies far outside the window that lr-find measured.

    What it checks
        The peak learning rate (logged, else from the config) against the window, and the rate at which training
        breaks, in the ``lr-find.json`` beside the log: ctroubleshoot lr-find ... --format json -o run/lr-find.json

    Why it matters
        The window was measured on this very model: outside it the same steps buy less, above it training breaks.

    How it decides
        More than three times above or below the window, or at or above the rate at which training broke. A warning
        where the run fails, else a note.

    Known false alarms
        Another batch size, optimizer or data set than lr-find was given; a long warm-up that bears a higher rate.

    References
        Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; docs/lr-find.md.
    """
    rate = learning_rate.schedule.peak if learning_rate is not None else config.get("learning_rate")
    low, high = config.get("lr_find.low"), config.get("lr_find.high")
    if not (_is_rate(rate) and _is_rate(low) and _is_rate(high)) or low > high:
        return
    breaks = config.get("lr_find.diverges_at")
    broken = _is_rate(breaks) and rate >= breaks
    if low / BEYOND_WINDOW <= rate <= high * BEYOND_WINDOW and not broken:
        return
    side = "high" if rate > high else "low"
    edge = f", and at {breaks:.3g} training broke" if broken else ""
    yield finding(
        f"The learning rate {rate:.3g} is {'above' if side == 'high' else 'below'} the window that lr-find measured, "
        f"{low:.3g} to {high:.3g}{edge}.",
        severity="warning" if verdict.fails else "note",
        confidence=0.8,
        evidence={
            "learning_rate": rate,
            "window_low": low,
            "window_high": high,
            "diverges_at": breaks,
            "threshold_factor": BEYOND_WINDOW,
            "side": side,
        },
        series=None if learning_rate is None else learning_rate.name,
    )


def _is_rate(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < LARGEST
