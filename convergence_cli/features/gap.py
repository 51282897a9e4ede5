"""Training against validation: where validation was best, and how both have moved since."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convergence_cli.features.robust import kendall_z, median, noise_std, running_median

if TYPE_CHECKING:
    from convergence_cli.features.shape import Shape
    from convergence_cli.model import FloatArray

_TINY = 1e-300
# Fewer evaluations than this cannot show a rise that lasts.
MIN_EVALS = 5
SMOOTHED_FROM = 8


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """Validation since its best point. Levels in the unit of the loss.

    ``best_step`` and ``best`` are of the best evaluation in the lowest smoothed stretch; ``end`` is the level
    over the last evaluations. ``rise_share`` is (end - best) as a share of the best's size where the loss is
    positive, else of the whole range; ``rise_of_drop`` is the same as a share of the drop that validation had
    made. ``rise_z`` is the rise, less what the luck of a minimum makes of noise, in standard errors;
    ``trend_z`` the Mann-Kendall deviate since validation first came within its noise of the best.
    ``evals_since`` counts evaluations after the best, ``above_share`` is the share of their later half that
    lies above it by more than the noise, ``steady`` how many of the last rise without a break.
    ``train_fall`` is the fall of the training loss since the best step, as a share of its level then
    (negative: it rose); None where there is no training loss over that stretch. ``gap_end`` is validation
    minus training at the end; ``gap_start`` the same at the first evaluations.
    """

    evals: int
    best_step: float
    best: float
    end: float
    noise: float
    rise_share: float
    rise_of_drop: float
    rise_z: float
    trend_z: float
    evals_since: int
    above_share: float
    steady: int
    train_fall: float | None
    gap_start: float | None
    gap_end: float | None


def gap_of(train: Shape | None, val: Shape) -> Gap:
    """How validation has moved away from its best, and from training."""
    y, step = val.view.mean, val.view.step
    n = len(y)
    # A median of 3 would fill the valley of a short curve.
    smooth = running_median(y, 3) if n >= SMOOTHED_FROM else y
    best_index = int(np.argmin(smooth))
    best = float(smooth[best_index])
    # The very evaluation, whose checkpoint one would keep, within the window of the median.
    around = slice(max(best_index - 1, 0), best_index + 2) if n >= SMOOTHED_FROM else slice(best_index, best_index + 1)
    kept = around.start + int(np.argmin(y[around]))
    tail = max(3, n // 10) if n >= MIN_EVALS else 1
    end = median(y[-tail:])
    # Noise of the settled part: the first steep fall would pass for noise.
    settled = y[min(best_index, n // 2) :] if n - min(best_index, n // 2) >= 5 else y
    noise = max(noise_std(settled), 0.5 * noise_std(y[2:])) * (1 + 8 / n)
    after = y[kept + 1 :]
    # Where the valley begins: the best point itself may be one lucky draw, late in a long rise.
    near_best = int(np.argmax(smooth <= best + noise))
    rise = max(end - best, 0.0)
    drop = max(float(y[0]) - best, 0.0)
    size = best if best > 0 else max(float(y.max() - best), _TINY)
    bar = best + max(2 * noise, 0.02 * abs(best))
    return Gap(
        evals=n,
        best_step=float(step[kept]),
        best=float(y[kept]),
        end=end,
        noise=noise,
        rise_share=rise / max(size, _TINY),
        rise_of_drop=rise / max(drop, 0.05 * abs(best), _TINY),
        rise_z=min(
            max(rise - _luck(noise, n), 0.0) / max(noise * math.sqrt(1.57 / tail + 0.5), 1e-9 * abs(best), _TINY), 1e6
        ),
        trend_z=kendall_z(y[near_best + 1 :]),
        evals_since=len(after),
        above_share=float((after[len(after) // 2 :] > bar).mean()) if len(after) else 0.0,
        steady=_steady(after, best),
        train_fall=_train_fall(train, float(step[best_index]), float(step[-1])),
        gap_start=_gap_at(train, step[: max(n // 5, 1)], y[: max(n // 5, 1)]),
        gap_end=_gap_at(train, step[-tail:], y[-tail:]),
    )


def _luck(noise: float, n: int) -> float:
    """How far the least of ``n`` medians of 3 of pure noise lies below their level (extreme values, Gumbel 1958)."""
    if n < SMOOTHED_FROM:
        return 0.0
    return noise * 1.25 / math.sqrt(3) * math.sqrt(2 * math.log(n / 3))


def _steady(after: FloatArray, best: float) -> int:
    """How many of the last evaluations each lie above the one before."""
    rising = np.diff(np.concatenate(([best], after)))[::-1] > 0
    return int(np.argmin(rising)) if not rising.all() else len(rising)


def _train_fall(train: Shape | None, since: float, until: float) -> float | None:
    if train is None:
        return None
    step, y = train.view.step, train.view.mean
    if step[-1] < since or step[0] > until:
        return None
    before = y[step <= since]
    later = y[step > since]
    if not len(later):
        return None
    few = max(1, min(len(before), len(y) // 20 + 1)) if len(before) else 1
    then = median(before[-few:]) if len(before) else float(y[0])
    now = float(median(later[-max(1, min(len(later), len(y) // 10 + 1)) :]))
    scale = max(abs(then), abs(now), _TINY)
    return (then - now) / scale


def _gap_at(train: Shape | None, steps: FloatArray, values: FloatArray) -> float | None:
    if train is None:
        return None
    if train.view.step[-1] < steps[0] or train.view.step[0] > steps[-1]:
        return None
    return median(values - np.interp(steps, train.view.step, train.smooth))
